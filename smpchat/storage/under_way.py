"""Manages unfinished files and folders. An unfinished file is made in the folder that will contain the finished file. A
register lists the unfinished files, so that the next process can remove those that a killed process left.

::

    <folder>/.under-way/<number>        contains the whole path of an unfinished file
    <folder>/.under-way/<number>.lock   locked by the process that makes the unfinished file, before it creates the file

Unfinished files are named ``.<name>.<16 hex digits>``. Only files and folders with such a name are removed.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from smpchat.storage.locks import FileLock

REGISTER = ".under-way"
_NUMBER = re.compile(r"[0-9a-f]{16}")
_NAME = re.compile(r"\..+\.[0-9a-f]{16}")


def beside(place: Path) -> Path:
    """A new path for an unfinished file, in the same folder as ``place``. So both paths are on the same disk, and the
    finished file can be renamed to ``place`` in one step."""
    return place.with_name(f".{place.name}.{secrets.token_hex(8)}")


@contextmanager
def under_way(folder: Path, growing: Path) -> Iterator[None]:
    """First remove what killed processes left. Then keep ``growing``, the path of an unfinished file, in the register
    while the ``with`` block runs. After the block, remove this file if it still exists.

    Args:
        folder: The folder that contains the register. If we cannot write into this folder, ``growing`` is not
            registered.
    """
    sweep(folder)
    entered = None
    with suppress(OSError):
        entered = _enter(folder / REGISTER, growing.absolute())
    try:
        yield
    finally:
        _remove(growing)
        if entered is not None:
            _strike(*entered)


def left_behind(folder: Path) -> list[Path]:
    """The paths of unfinished files and folders that killed processes left and that still exist."""
    found = []
    for entry, growing in _entries(folder):
        lock = FileLock(_lock_of(entry))
        if lock.take():
            lock.release()
            if os.path.lexists(growing):
                found.append(growing)
    return found


def sweep(folder: Path) -> list[Path]:
    """Remove unfinished files and folders that killed processes left, and return their paths. An entry
    stays in the register if the folder of its file is missing now: the disk with this folder may come back."""
    removed = []
    for entry, growing in _entries(folder):
        lock = FileLock(_lock_of(entry))
        if not lock.take():
            continue
        if os.path.lexists(growing):
            _remove(growing)
            if not os.path.lexists(growing):
                removed.append(growing)
        if os.path.lexists(growing) or not growing.parent.is_dir():
            lock.release()
        else:
            _strike(entry, lock)
    return removed


def _enter(register: Path, growing: Path) -> tuple[Path, FileLock]:
    register.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_ours(register):
        raise PermissionError(f"other users can write to {register}")
    entry = register / secrets.token_hex(8)
    lock = FileLock(_lock_of(entry))
    lock.take()
    with open(os.open(entry, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(os.fsencode(growing))
    return entry, lock


def _lock_of(entry: Path) -> Path:
    return entry.with_name(f"{entry.name}.lock")


def _strike(entry: Path, lock: FileLock) -> None:
    with suppress(OSError):
        entry.unlink(missing_ok=True)
    lock.release()
    with suppress(OSError):
        _lock_of(entry).unlink(missing_ok=True)
        entry.parent.rmdir()  # removes the register if this was its last entry


def _entries(folder: Path) -> list[tuple[Path, Path]]:
    """The path of each entry of the register, and the content of the entry: the path of an unfinished file. An entry is
    ignored unless its content is an absolute path that ends with a name that `beside` could have made."""
    found, register = [], folder / REGISTER
    try:
        if not _is_ours(register):
            return []
        entries = sorted(path for path in register.iterdir() if _NUMBER.fullmatch(path.name))
    except OSError:
        return []
    for entry in entries:
        try:
            if not stat.S_ISREG(entry.lstat().st_mode):
                continue
            growing = Path(os.fsdecode(entry.read_bytes()))
        except (OSError, ValueError):
            continue
        if growing.is_absolute() and _NAME.fullmatch(growing.name):
            found.append((entry, growing))
    return found


def _is_ours(register: Path) -> bool:
    """Whether the register is a folder into which only the current user can write. A relay's folder may be inside a
    folder such as /tmp, into which every user can write.

    Raises:
        OSError: There is no register.
    """
    found = register.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return False
    return os.name != "posix" or (found.st_uid == os.getuid() and not found.st_mode & 0o022)


def _remove(growing: Path) -> None:
    if growing.is_dir() and not growing.is_symlink():
        shutil.rmtree(growing, ignore_errors=True)
    else:
        with suppress(OSError):
            growing.unlink(missing_ok=True)
