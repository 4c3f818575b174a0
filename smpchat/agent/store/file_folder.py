"""Manages the folder of encrypted files beside a profile's database, and saves received files without overwriting
others.

::

    <profile>/files/<random>.new          a file being encrypted for sending, locked by the encrypting process
    <profile>/files/<random>.enc          a file to be sent, or what has arrived of a file that somebody sent us
    <profile>/files/<digest>.link         what has arrived of a file whose link we were given, locked by its downloader
    <target folder>/.smpchat-<random>.part  a received file being decrypted

Files in the folder that no transfer needs are removed, for example after ``kill -9``, or when a transfer has ended.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from smpchat.agent.errors import MissingRecord
from smpchat.agent.store.file_traces import FOLDER

_NAME = re.compile(r"[0-9a-f]{32}")
_SENT, _NEW, _BY_LINK = ".enc", ".new", ".link"
_KEPT_BY_LINK = 48 * 3600
"""Seconds for which we keep an unfinished download of a file whose link we were given. After that time, relays have
deleted the chunks that are still missing."""
ROOM = 64 * 1024 * 1024
"""Bytes that must stay free on the disk, because messages and the profile's database need space too."""
MAX_NAME = 255
"""The longest file name, in bytes, that file systems accept."""
_MAX_TRIES = 10_000


def new_name(random: bytes) -> str:
    """The name of an encrypted file. ``random``: 16 bytes."""
    return random.hex()


def folder_of(profile: Path) -> Path:
    """The folder of a profile's encrypted files."""
    return profile / FOLDER


def local_path(profile: Path, name: str) -> Path:
    """The path of the encrypted file with this name. Raises `MissingRecord` for a name that smpchat does not give to
    encrypted files."""
    return folder_of(profile) / f"{_checked(name)}{_SENT}"


def part_path(target: Path, name: str) -> Path:
    """The path of the unfinished decrypted file that will become ``target``."""
    return target.with_name(f".smpchat-{_checked(name)}.part")


def create_part(part: Path) -> BinaryIO:
    """Create the file at ``part``, empty at first, into which a received file will be decrypted. Raises `OSError`, for
    example if the file exists already."""
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | _NO_FOLLOW | getattr(os, "O_BINARY", 0)
    return open(os.open(part, flags, 0o600), "w+b")


def _checked(name: str) -> str:
    # The name may come from a profile that somebody else made, so it must not lead out of the folder.
    if not _NAME.fullmatch(name):
        raise MissingRecord("This is not a name that smpchat gives to an encrypted file.")
    return name


def made(profile: Path) -> Path:
    """The folder of encrypted files, which is created if it does not exist. Raises `OSError`."""
    folder = folder_of(profile)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def check_room(folder: Path, size: int) -> None:
    """Raises `OSError` if the folder's disk does not have room for ``size`` more bytes."""
    if shutil.disk_usage(folder).free < size + ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


# -- being encrypted --------------------------------------------------------------------------------------------------


@contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def create_new(profile: Path, name: str) -> tuple[Path, BinaryIO]:
    """Create an empty file for ciphertext. While the returned file is open, no process removes it as a leftover. Raises
    `OSError`."""
    path = made(profile) / f"{_checked(name)}{_NEW}"
    file = open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | _NO_FOLLOW, 0o600), "r+b")
    with _removed_on_error(path):
        _lock(file)
    return path, file


def settle_new(profile: Path, name: str) -> None:
    """Give a completely encrypted file its final name. Call this in the transaction that adds the file to the store.
    Raises `OSError` if the file is gone."""
    folder = folder_of(profile)
    (folder / f"{_checked(name)}{_NEW}").rename(folder / f"{name}{_SENT}")


def discard_new(profile: Path, name: str) -> None:
    """Remove an encrypted file that will not be sent."""
    with suppress(OSError):
        (folder_of(profile) / f"{_checked(name)}{_NEW}").unlink()


_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def _lock(file: BinaryIO) -> bool:
    """Lock the file until it is closed or the process ends. Returns whether this succeeded."""
    if sys.platform == "win32":  # Windows cannot remove an open file anyway
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# -- downloads of a file whose link we were given ---------------------------------------------------------------------


def open_by_link(profile: Path, name: str) -> BinaryIO | None:
    """Open the ciphertext of a file whose link we were given. It contains what an interrupted download has fetched.
    None if another process is receiving the same file. Raises `OSError`."""
    path = made(profile) / f"{_checked(name)}{_BY_LINK}"
    file = open(os.open(path, os.O_CREAT | os.O_RDWR | _NO_FOLLOW, 0o600), "r+b")
    if _lock(file):
        return file
    file.close()
    return None


def discard_by_link(profile: Path, name: str) -> None:
    """Remove the ciphertext of a file whose link we were given, because the file was saved or cannot be downloaded."""
    with suppress(OSError):
        (folder_of(profile) / f"{_checked(name)}{_BY_LINK}").unlink()


# -- sweeping ---------------------------------------------------------------------------------------------------------


def candidates(profile: Path, needed: Collection[str]) -> list[Path]:
    """The files in the folder that `remove` may delete: those whose names are not in ``needed``, except recent
    downloads of a file whose link we were given.

    If ``needed`` was read before the current transaction began, another process may need some of these files by now.
    """
    try:
        with os.scandir(folder_of(profile)) as entries:
            return [Path(entry.path) for entry in entries if _is_ours(entry) and entry.name[:32] not in needed]
    except OSError:
        return []


def _is_ours(entry: os.DirEntry[str]) -> bool:
    if _NAME.fullmatch(entry.name[:32]) is None:
        return False
    if entry.name[32:] == _BY_LINK:
        return entry.stat().st_mtime < time.time() - _KEPT_BY_LINK
    return entry.name[32:] in (_SENT, _NEW)


def may_be_in_use(path: Path) -> bool:
    """Whether a process may be using the file although nothing in the store refers to it."""
    return path.suffix in (_NEW, _BY_LINK)


def remove(paths: Collection[Path]) -> None:
    """Remove leftover files. Call this inside a transaction, so that no other process begins to use one of the files
    meanwhile."""
    for path in paths:
        with suppress(OSError):  # removed by another process, or open in one on Windows
            if not may_be_in_use(path) or _is_abandoned(path):
                path.unlink()


def _is_abandoned(path: Path) -> bool:
    with open(path, "rb") as file:
        return _lock(file)


# -- publishing -------------------------------------------------------------------------------------------------------


def numbered(target: Path) -> Iterator[Path]:
    """``name.ext``, ``name_1.ext``, ``name_2.ext``, …, all short enough for file systems."""
    yield target
    stem, suffix = target.stem, target.suffix
    for number in range(1, _MAX_TRIES):
        end = f"_{number}{suffix}"
        cut = stem
        while len(os.fsencode(cut + end)) > MAX_NAME and cut:
            cut = cut[:-1]
        yield target.with_name(cut + end)


def publish(part: Path, target: Path) -> Path:
    """Give a complete decrypted file the name ``target``, or else the first free name of `numbered`. On file systems
    with hard links, the file also keeps the name ``part``, until `unpublished` removes this name.

    The call may be repeated after a crash at any point: a published file is found again, and not published twice.

    Raises:
        FileExistsError: ``target`` and thousands of numbered names are taken.
        OSError: The folder cannot be written.
    """
    sync(part)
    for path in numbered(target):
        if _same(part, path):  # published by an earlier try that was interrupted
            return path
        if os.path.lexists(path):
            continue
        try:
            os.link(part, path)
        except FileExistsError:
            continue
        except OSError:
            if not part.exists() or not os.access(part.parent, os.W_OK):
                raise
            # The file system, for example of a memory card, has no hard links. Reserve the name with an empty file,
            # then replace the empty file with ``part``.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            os.replace(part, path)
        _sync_folder(path.parent)
        return path
    raise FileExistsError(f"{target} exists already, and so do thousands of files with similar names.")


def find_published(part: Path, target: Path) -> Path | None:
    """The path to which ``part`` was already published; None if it was not. The file has both names, ``part`` and the
    returned path, if a process ended after `publish` and before `unpublished`."""
    try:
        if part.is_symlink() or part.stat().st_nlink < 2:
            return None
    except OSError:
        return None
    for path in numbered(target):
        if _same(part, path):
            return path
        if not os.path.lexists(path):
            return None
    return None


def _same(part: Path, path: Path) -> bool:
    try:
        return not path.is_symlink() and os.path.samefile(part, path)
    except OSError:
        return False


def unpublished(part: Path) -> None:
    """Remove the name ``part`` of a published file, or the file ``part`` itself if it will not be published."""
    with suppress(OSError):
        part.unlink()


def remove_part(target: Path | None, name: str) -> None:
    """Remove the unfinished decrypted file that was to become ``target``."""
    if target is not None:
        with suppress(MissingRecord):
            unpublished(part_path(target, name))


def identity(path: Path) -> tuple[int, int]:
    """The device and inode of a file, by which it differs from a later file with the same name. Raises `OSError`."""
    found = path.lstat()
    return found.st_dev, found.st_ino


def retract(path: Path, known: tuple[int, int]) -> None:
    """Remove a published file, because its transfer was cancelled meanwhile. ``known``: the file's `identity`."""
    with suppress(OSError):
        if identity(path) == known:
            path.unlink()


def sync(path: Path) -> None:
    """Make sure that the whole file is on the disk. Raises `OSError`."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some systems cannot open folders, such as Windows
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
