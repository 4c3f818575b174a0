"""Encrypts and decrypts files. Relays store the encrypted form: name, content and filler, encrypted together, followed
by the authentication tag (xftp-wire 3).

All functions of this module block the calling thread. A file is processed in pieces, so only a few megabytes are in
memory at a time. SHA-512, encryption and writing take about equally long, so they run at the same time, in one thread
each.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO, Protocol

from smpchat.crypto.box import KEY_SIZE, NONCE_SIZE
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import VerificationError
from smpchat.crypto.secretbox import Opener, Sealer
from smpchat.encoding.codec import int64, maybe, short_bytes
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.xftp.chunks import LENGTH_SIZE, MAX_ENCRYPTED, MAX_NAME, TAG_SIZE, encrypted_sizes

Progress = Callable[[int], object]
"""A function that is called with the number of bytes processed so far. The function may raise an exception to stop the
work."""


class Target(Protocol):
    """Receives the encrypted file, one piece after the other."""

    def write(self, data: memoryview, /) -> object:
        """Write all of ``data``. Raises `OSError`."""
        ...


Chunk = tuple[int, bytes]
"""The size of a chunk in bytes, and its SHA-256."""

_PIECE = 1024 * 1024
_FILLER = b"#"
_HEADER_WITHIN = 1024
"""The header must end within this number of bytes after the length field, which comes first (xftp-wire 3)."""
_extra = maybe(short_bytes)


class SourceChanged(OSError):
    """A file became shorter while it was read."""


def header_of(name: str) -> bytes:
    """The header of an encrypted file: the name of the file, shortened if necessary. A recipient who got the file's
    description in a message uses the name in that message instead (xftp-wire 3)."""
    # In simplexmq, the length byte of a name longer than `MAX_NAME` overflows (xftp-wire trap 14).
    data = name.encode("utf-8", "replace")[:MAX_NAME].decode("utf-8", "ignore").encode()
    return short_bytes.write(data) + _extra.write(None)


def encrypt_file(
    source: BinaryIO,
    target: Target,
    name: str,
    size: int,
    entropy: Entropy,
    progress: Progress = lambda done: None,
    *,
    sizes: Sequence[int] | None = None,
) -> tuple[bytes, bytes, bytes, tuple[Chunk, ...]]:
    """Encrypt a file.

    Args:
        source: The file; only its first ``size`` bytes are encrypted.
        target: The encrypted file is written here.
        name: The name of the file, to be stored in the header of the encrypted file.
        entropy: Makes the key and the nonce for the encryption.
        progress: Called with the number of bytes of ``source`` that were encrypted.
        sizes: Sizes of the chunks; by default, those of `encrypted_sizes`.
    Returns:
        The key, the nonce, the SHA-512 of the encrypted file, and the chunks of the encrypted file.
    Raises:
        SourceChanged: ``source`` has fewer than ``size`` bytes.
    """
    key, nonce = entropy.random(KEY_SIZE), entropy.random(NONCE_SIZE)
    header = header_of(name)
    chunks = tuple(sizes or encrypted_sizes(len(header), size))
    sealer = Sealer(key, nonce)
    plain = _Plain(int64.write(len(header) + size) + header, source, size)
    left = sum(chunks)
    if left < LENGTH_SIZE + len(header) + size + TAG_SIZE:
        raise ValueError("the chunks are too small for the file")
    whole, each = hashlib.sha512(), _ChunkDigests(chunks)
    with _Behind(sum(chunks), whole.update, target.write) as behind:
        for length in _pieces(chunks):
            buffer = behind.space(length)
            content = buffer[: min(len(buffer), left - TAG_SIZE)]
            plain.read_into(content)
            sealer.update(content, content)
            left -= len(buffer)
            if left <= 0:
                buffer[len(content) :] = sealer.finish()
            elif left < TAG_SIZE:
                raise ValueError("a chunk is smaller than a tag")
            behind.pass_on(buffer)
            each.add(buffer)
            progress(plain.done)
        behind.wait()
    return key, nonce, whole.digest(), each.chunks()


class _Plain:
    """The data to encrypt: length and header, then the file, then filler up to the end of the last chunk."""

    def __init__(self, prefix: bytes, source: BinaryIO, size: int) -> None:
        self._prefix = prefix
        self._source = source
        self._left = size
        self.done = 0

    def read_into(self, view: memoryview) -> None:
        at = min(len(view), len(self._prefix))
        view[:at] = self._prefix[:at]
        self._prefix = self._prefix[at:]
        while at < len(view) and self._left:
            got = self._source.readinto(view[at : at + self._left])  # type: ignore[attr-defined]
            if not got:
                raise SourceChanged("the file became shorter while it was read")
            at, self._left, self.done = at + got, self._left - got, self.done + got
        view[at:] = _FILLER * (len(view) - at)


def _pieces(sizes: Sequence[int]) -> Iterator[int]:
    """Sizes of the pieces in which chunks are processed. No piece spans two chunks."""
    for size in sizes:
        for start in range(0, size, _PIECE):
            yield min(_PIECE, size - start)


class _ChunkDigests:
    """Computes the SHA-256 of each chunk from the pieces of the encrypted file."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = sizes
        self._chunk = hashlib.sha256()
        self._chunks: list[Chunk] = []
        self._in_chunk = 0

    def add(self, piece: memoryview) -> None:
        self._chunk.update(piece)
        self._in_chunk += len(piece)
        size = self._sizes[len(self._chunks)]
        if self._in_chunk == size:
            self._chunks.append((size, self._chunk.digest()))
            self._chunk, self._in_chunk = hashlib.sha256(), 0

    def chunks(self) -> tuple[Chunk, ...]:
        """The size and SHA-256 of each chunk, in order."""
        return tuple(self._chunks)


class _Behind:
    """Works on finished pieces in threads, while the caller makes the next piece.

    Args:
        total: Number of bytes of all pieces together.
        works: The functions that work on the pieces. Each function has a thread of its own, and is called with every
            piece, in order. If a function fails, `space`, `pass_on` or `wait` raises the error of this function.
    """

    _BUFFERS = 3

    def __init__(self, total: int, *works: Callable[[memoryview], object]) -> None:
        self._works = works
        self._size = min(_PIECE, total)
        # For a single small piece, starting a thread takes longer than computing its digest.
        self._threads = [ThreadPoolExecutor(1) for _ in works] if total > _PIECE else []
        self._spaces: deque[tuple[memoryview, list[Future[object]]]] = deque()

    def __enter__(self) -> _Behind:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)

    def space(self, size: int) -> memoryview:
        """Returns a buffer of ``size`` bytes. Write the next piece into this buffer and call `pass_on`, before you call
        `space` again."""
        if len(self._spaces) < self._BUFFERS:
            view = memoryview(bytearray(self._size))
        else:
            view, jobs = self._spaces.popleft()
            for job in jobs:  # wait: these threads still read the buffer
                job.result()
        self._spaces.append((view, []))
        return view[:size]

    def pass_on(self, piece: memoryview) -> None:
        """Start the work on ``piece``, which is in the buffer that `space` returned last."""
        if self._threads:
            jobs = (thread.submit(work, piece) for thread, work in zip(self._threads, self._works, strict=True))
            self._spaces[-1][1].extend(jobs)
        else:
            for work in self._works:
                work(piece)

    def wait(self) -> None:
        """Block until the work on all pieces is done."""
        for _, jobs in self._spaces:
            for job in jobs:
                job.result()


def decrypt_file(
    source: BinaryIO,
    target: BinaryIO,
    key: bytes,
    nonce: bytes,
    digest: bytes,
    progress: Progress = lambda done: None,
    *,
    named: Callable[[bytes], object] = lambda name: None,
) -> int:
    """Check and decrypt a file.

    Args:
        source: The encrypted file; read from its beginning.
        target: The decrypted file is written here. Do not use the decrypted file before this function returns: until
            then, the file is not authentic.
        digest: SHA-512 of the encrypted file.
        progress: Called with the number of bytes of ``source`` that were decrypted.
        named: Called with the file name in the header, once all checks have succeeded. The file name may be invalid
            UTF-8.
    Returns:
        The size of the decrypted file in bytes.
    Raises:
        VerificationError: The SHA-512 of ``source`` is not ``digest``, or ``source`` was not encrypted with ``key``.
        DecodeError: ``source`` has an impossible size, or the header in the decrypted data is not valid.
    """
    size = source.seek(0, 2)
    decryption = FileDecryption(target, size, key, nonce, progress)
    decryption.read(source, size)
    length = decryption.finish(digest)
    named(decryption.name)
    return length


class FileDecryption:
    """Checks and decrypts an encrypted file in several steps, for example while it is downloaded.

    Args:
        target: The decrypted file is written here. Do not use the decrypted file before `finish` returns: until then,
            the file is not authentic.
        size: Number of bytes of the whole encrypted file.
        progress: Called with the number of bytes of the encrypted file that were decrypted.
    Attributes:
        done: Number of bytes of the encrypted file that were decrypted.
    Raises:
        DecodeError: ``size`` is too small or too large for an encrypted file.
    """

    def __init__(
        self, target: BinaryIO, size: int, key: bytes, nonce: bytes, progress: Progress = lambda done: None
    ) -> None:
        if not TAG_SIZE + LENGTH_SIZE < size <= MAX_ENCRYPTED:
            raise DecodeError(f"an encrypted file cannot have {size:,} bytes")
        self.done = 0
        self._size = size
        self._progress = progress
        self._opener = Opener(key, nonce)
        self._content = _Content(target, size - TAG_SIZE)
        self._whole = hashlib.sha512()
        self._tag = bytearray()

    def read(self, source: BinaryIO, until: int) -> None:
        """Decrypt the bytes from position ``done`` up to, but not including, position ``until``. After an error, start
        again with a new `FileDecryption`.

        Args:
            source: The encrypted file, or its beginning, with at least ``until`` bytes.
        Raises:
            VerificationError: ``source`` has fewer than ``until`` bytes.
            OSError: ``source`` cannot be read, or the decrypted file cannot be written.
        """
        source.seek(self.done)
        amount = until - self.done
        with _Behind(amount, self._whole.update) as sealed_behind, _Behind(amount, self._content.add) as plain_behind:
            for size in _pieces([amount]):
                buffer, plain = sealed_behind.space(size), plain_behind.space(size)
                _read_all(source, buffer)
                sealed_behind.pass_on(buffer)
                sealed = buffer[: max(0, min(size, self._size - TAG_SIZE - self.done))]
                self._tag += buffer[len(sealed) :]
                self._opener.update(sealed, plain[: len(sealed)])
                plain_behind.pass_on(plain[: len(sealed)])
                self.done += size
                self._progress(self.done)
            sealed_behind.wait()
            plain_behind.wait()

    def finish(self, digest: bytes) -> int:
        """Check the whole file, after `read` has decrypted all of it. Returns the size of the decrypted file in bytes.

        Args:
            digest: SHA-512 of the encrypted file.
        Raises:
            VerificationError: The SHA-512 of the encrypted file is not ``digest``, or the file was not encrypted with
                the key that this `FileDecryption` uses.
            DecodeError: The header in the decrypted data is not valid.
        """
        # Check the digest first: a damaged download has a wrong digest. If the digest is right, but our key is not the
        # one with which the file was encrypted, the check of the tag below fails.
        if not hmac.compare_digest(self._whole.digest(), digest):
            raise VerificationError("the file does not match its description")
        self._opener.finish(bytes(self._tag))
        if self._content.fault is not None:
            raise self._content.fault
        return self._content.size

    @property
    def name(self) -> bytes:
        """The file name in the header. It is authentic only after `finish`, and may be invalid UTF-8."""
        return self._content.name


def _read_all(source: Any, view: memoryview) -> None:
    at = 0
    while at < len(view):
        got = source.readinto(view[at:])
        if not got:
            raise VerificationError("the encrypted file became shorter while it was read")
        at += got


class _Content:
    """Parses the decrypted data piece by piece: length and header, then the file, then filler."""

    def __init__(self, target: BinaryIO, length: int) -> None:
        self._target = target
        self._length = length
        self._left: int | None = None
        self.size = 0
        self.name = b""
        self.fault: DecodeError | None = None
        """What is wrong with the header. Report this error only after the tag was checked: until then, anyone may have
        changed the header."""

    def add(self, piece: memoryview) -> None:
        if self._left is None:
            # The first piece contains the whole header: callers first decrypt at least as many bytes as the smallest
            # chunk has, and no header is that long.
            try:
                self._left, begin = self._header(bytes(piece[: LENGTH_SIZE + _HEADER_WITHIN]))
            except DecodeError as error:
                self.fault, self._left, begin = error, 0, 0
            self.size = self._left
            piece = piece[begin:]
        own = piece[: self._left]
        self._target.write(own)
        self._left -= len(own)

    def _header(self, start: bytes) -> tuple[int, int]:
        """Read the header. Returns the size of the file in bytes, and the position of its first byte in ``start``."""
        reader = Reader(start)
        length = int64.read(reader)
        self.name = short_bytes.read(reader)  # old agents garble characters beyond ASCII (xftp-wire 10, 7)
        _extra.read(reader)
        size = length - (reader.offset - LENGTH_SIZE)
        if size < 0 or reader.offset + size > self._length:
            raise DecodeError("the length inside the encrypted file is wrong")
        return size, reader.offset
