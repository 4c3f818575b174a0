"""A file in the form that relays get: name, content and filler in one box, with its tag at the end (xftp-wire 3).

Both directions block, and handle a file piece by piece, so that only a few megabytes are in memory. SHA-512, encryption
and writing run at the same time, each in a thread of its own, as each takes about as long.
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
"""Called with the number of bytes that are done; it may raise an exception to stop the work."""


class Target(Protocol):
    """What is written to, one piece after the other."""

    def write(self, data: memoryview, /) -> object:
        """All of it. Raises `OSError`."""
        ...


Chunk = tuple[int, bytes]
"""Bytes, and SHA-256."""

_PIECE = 1024 * 1024
_FILLER = b"#"
_HEADER_WITHIN = 1024
"""The header must be complete within so many bytes (xftp-wire 3)."""
_extra = maybe(short_bytes)


class SourceChanged(OSError):
    """A file became shorter while it was read."""


def header_of(name: str) -> bytes:
    """The header with a name, shortened to what fits. It is not used, because the message contains the name (xftp-wire
    3)."""
    # Longer ones wrap their length byte in the reference (xftp-wire trap 14).
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
        source: Returns the file's bytes; everything after the first ``size`` bytes is left out.
        target: Gets the encrypted file.
        name: Goes into the encrypted file.
        entropy: For key and nonce.
        progress: Called with the number of bytes of the file itself.
        sizes: Sizes of the chunks, if they differ from those of `encrypted_sizes`.
    Returns:
        Key, nonce, SHA-512 of the encrypted file, and its chunks.
    Raises:
        SourceChanged: ``source`` has fewer bytes.
    """
    key, nonce = entropy.random(KEY_SIZE), entropy.random(NONCE_SIZE)
    header = header_of(name)
    chunks = tuple(sizes or encrypted_sizes(len(header), size))
    sealer = Sealer(key, nonce)
    plain = _Plain(int64.write(len(header) + size) + header, source, size)
    left = sum(chunks)
    if left < LENGTH_SIZE + len(header) + size + TAG_SIZE:
        raise ValueError("the chunks do not hold the file")
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
    """The data to be sealed: a prefix, the file, and endless filler."""

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
    """Sizes of the pieces of all chunks; no piece belongs to two chunks."""
    for size in sizes:
        for start in range(0, size, _PIECE):
            yield min(_PIECE, size - start)


class _ChunkDigests:
    """SHA-256 of each chunk."""

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
        """Each with its SHA-256."""
        return tuple(self._chunks)


class _Behind:
    """The work on pieces while the next one is made: each kind of work is done in order, in a thread of its own.

    Args:
        total: Bytes of all pieces.
        works: Each is called with every piece. Its errors are raised by the next call.
    """

    _BUFFERS = 3

    def __init__(self, total: int, *works: Callable[[memoryview], object]) -> None:
        self._works = works
        self._size = min(_PIECE, total)
        # A thread for one small piece takes longer than its digest.
        self._threads = [ThreadPoolExecutor(1) for _ in works] if total > _PIECE else []
        self._spaces: deque[tuple[memoryview, list[Future[object]]]] = deque()

    def __enter__(self) -> _Behind:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)

    def space(self, size: int) -> memoryview:
        """Space for the next piece, at most as large as the largest one; call `pass_on` before the next call."""
        if len(self._spaces) < self._BUFFERS:
            view = memoryview(bytearray(self._size))
        else:
            view, jobs = self._spaces.popleft()
            for job in jobs:  # nothing is written over that somebody still reads
                job.result()
        self._spaces.append((view, []))
        return view[:size]

    def pass_on(self, piece: memoryview) -> None:
        """The last space now contains a piece."""
        if self._threads:
            jobs = (thread.submit(work, piece) for thread, work in zip(self._threads, self._works, strict=True))
            self._spaces[-1][1].extend(jobs)
        else:
            for work in self._works:
                work(piece)

    def wait(self) -> None:
        """Until everything is done."""
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
        target: Gets the file's bytes, which must not be used before this returns: only then they are authentic.
        digest: SHA-512 of the encrypted file.
        progress: Called with the number of bytes of the encrypted file.
        named: Called with the name inside the file, once that is authentic. The name may be invalid UTF-8.
    Returns:
        How many bytes the file has.
    Raises:
        VerificationError: It is not the file that was described, or not sealed with this key.
        DecodeError: It does not contain a file.
    """
    size = source.seek(0, 2)
    decryption = FileDecryption(target, size, key, nonce, progress)
    decryption.read(source, size)
    length = decryption.finish(digest)
    named(decryption.name)
    return length


class FileDecryption:
    """Checks and decrypts an encrypted file while it arrives: first chunk first, as many at a time as there are.

    Args:
        target: Gets the file's bytes, which must not be used before `finish` returns: only then they are authentic.
        size: Bytes of the whole encrypted file.
        progress: Called with the number of bytes of the encrypted file.
    Attributes:
        done: Bytes of the encrypted file that were read so far.
    Raises:
        DecodeError: No file has this size when it is encrypted.
    """

    def __init__(
        self, target: BinaryIO, size: int, key: bytes, nonce: bytes, progress: Progress = lambda done: None
    ) -> None:
        if not TAG_SIZE + LENGTH_SIZE < size <= MAX_ENCRYPTED:
            raise DecodeError(f"an encrypted file has {size:,} bytes")
        self.done = 0
        self._size = size
        self._progress = progress
        self._opener = Opener(key, nonce)
        self._content = _Content(target, size - TAG_SIZE)
        self._whole = hashlib.sha512()
        self._tag = bytearray()

    def read(self, source: BinaryIO, until: int) -> None:
        """Decrypt what comes next, up to byte number ``until`` of the encrypted file. After an error, start again with
        a new `FileDecryption`.

        Args:
            source: The encrypted file; it is complete up to there.
        Raises:
            VerificationError: It is shorter.
            OSError: It cannot be read, or the target cannot be written.
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
        """All of the file was read. Returns how many bytes it has when it is decrypted.

        Args:
            digest: SHA-512 of the encrypted file.
        Raises:
            VerificationError: It is not the file that was described, or not sealed with this key.
            DecodeError: It does not contain a file.
        """
        # The digest comes first: it tells a damaged download from a wrong key.
        if not hmac.compare_digest(self._whole.digest(), digest):
            raise VerificationError("the file does not match its description")
        self._opener.finish(bytes(self._tag))
        if self._content.fault is not None:
            raise self._content.fault
        return self._content.size

    @property
    def name(self) -> bytes:
        """The name inside the file, authentic after `finish`. It may be invalid UTF-8."""
        return self._content.name


def _read_all(source: Any, view: memoryview) -> None:
    at = 0
    while at < len(view):
        got = source.readinto(view[at:])
        if not got:
            raise VerificationError("the encrypted file became shorter while it was read")
        at += got


class _Content:
    """Parses the content of the box as it arrives."""

    def __init__(self, target: BinaryIO, length: int) -> None:
        self._target = target
        self._length = length
        self._left: int | None = None
        self.size = 0
        self.name = b""
        self.fault: DecodeError | None = None
        """What is wrong with the header. It may be told only if the header is as it was sealed."""

    def add(self, piece: memoryview) -> None:
        if self._left is None:
            # The first piece has all of the header, or is the whole file: no chunk is smaller than a header.
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
        """Bytes of the file, and their position in the box."""
        reader = Reader(start)
        length = int64.read(reader)
        self.name = short_bytes.read(reader)  # a name, of which old agents garble what is not ASCII (xftp-wire 10, 7)
        _extra.read(reader)
        size = length - (reader.offset - LENGTH_SIZE)
        if size < 0 or reader.offset + size > self._length:
            raise DecodeError("an encrypted file has a wrong length in it")
        return size, reader.offset
