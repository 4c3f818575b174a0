"""Encrypts a file that the user wants to send. The encryption is complete before the store contains anything about the
file."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from smpchat.agent.errors import FileGone, NotRegular
from smpchat.agent.store import file_folder
from smpchat.crypto.entropy import Entropy

Progress = Callable[[int, int], object]
"""A function that is called with the number of bytes encrypted so far and the size of the file. If the function raises
an exception, the encryption stops."""

_SYNCED = 64 * 1024 * 1024
"""Each time this many new bytes are written, the file is flushed to the disk."""


class EncryptedFile:
    """The encrypted copy of a file that is to be sent. Use it in a ``with`` block: at the end of the block, the copy is
    removed unless `settle` was called.

    Attributes:
        plain_size: Size of the unencrypted file, in bytes.
        chunks: Size in bytes and SHA-256 of each chunk, in order.
    """

    def __init__(
        self,
        profile: Path,
        local: str,
        held: BinaryIO,
        *,
        plain_size: int,
        key: bytes,
        nonce: bytes,
        digest: bytes,
        chunks: Sequence[tuple[int, bytes]],
    ) -> None:
        self.profile, self.local = profile, local
        self.plain_size = plain_size
        self.key, self.nonce, self.digest, self.chunks = key, nonce, digest, tuple(chunks)
        self._held = held
        self._submitted = False

    def settle(self) -> None:
        """Keep the encrypted copy, because the store refers to it now. Raises `FileGone` if the copy was removed
        meanwhile."""
        if sys.platform == "win32":  # Windows cannot rename an open file
            self._held.close()
        try:
            file_folder.settle_new(self.profile, self.local)
        except OSError as error:
            raise FileGone from error
        self._submitted = True

    def close(self) -> None:
        """Close the encrypted copy, and remove it if `settle` was not called."""
        self._held.close()
        if not self._submitted:
            file_folder.discard_new(self.profile, self.local)

    def __enter__(self) -> EncryptedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# Without O_NONBLOCK, opening a pipe would wait for ever.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def encrypt_for_sending(path: Path, profile: Path, entropy: Entropy, progress: Progress) -> EncryptedFile:
    """Encrypt a file into the profile's folder of files. This blocks, for seconds if the file is large.

    Args:
        path: A regular file. Its name and its content are encrypted together; the encrypted copy has a random name.
        profile: The profile's folder.
    Raises:
        NotRegular: The path is a folder, a device, or something else that is not a regular file.
        OSError: The file cannot be read, or the disk is full. The unfinished copy was removed.
        Exception: What ``progress`` raises. The unfinished copy was removed.
    """
    from smpchat.xftp.encryption import encrypt_file  # loads libsodium and OpenSSL, needed only to send a file

    local = file_folder.new_name(entropy.random(16))
    with open(os.open(path, _FLAGS), "rb") as source:
        size = _size(source)
        file_folder.check_room(file_folder.made(profile), size)
        new, held = file_folder.create_new(profile, local)
        try:
            with _Durable(held) as target:
                key, nonce, digest, chunks = encrypt_file(
                    source, target, path.name, size, entropy, lambda done: progress(done, size)
                )
                target.finish()
        except BaseException:
            held.close()
            new.unlink(missing_ok=True)
            raise
    return EncryptedFile(profile, local, held, plain_size=size, key=key, nonce=nonce, digest=digest, chunks=chunks)


class _Durable:
    """Writes a file and meanwhile flushes it to the disk, so that there is little left to wait for at the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._since = 0
        self._thread: ThreadPoolExecutor | None = None
        self._syncing: Future[None] | None = None

    def __enter__(self) -> _Durable:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.shutdown()

    def write(self, data: memoryview) -> None:
        """Write ``data``, and flush the file in the background if enough is new. Raises `OSError`."""
        self._file.write(data)
        self._since += len(data)
        if self._since >= _SYNCED and (self._syncing is None or self._syncing.done()):
            if self._syncing is not None:
                self._syncing.result()
            self._file.flush()
            self._since = 0
            self._thread = self._thread or ThreadPoolExecutor(1)
            self._syncing = self._thread.submit(os.fsync, self._file.fileno())

    def finish(self) -> None:
        """Wait until the whole file is on the disk. Raises `OSError`."""
        if self._syncing is not None:
            self._syncing.result()
        self._file.flush()
        os.fsync(self._file.fileno())


def _size(source: BinaryIO) -> int:
    found = os.fstat(source.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise NotRegular
    return found.st_size
