"""Backs up a relay into one file: its identity, its state, and its database as it is at one moment. Restores a relay
from such a file.

The backup is a plain tar with ``identity/``, ``relay.json`` and ``relay.db`` of the relay's folder
(`smpchat.relay.folder`). The backup does not contain files that people sent (``files/``).
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path
from typing import IO

from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import replace
from smpchat.protocol.address import parse_server
from smpchat.relay.copying import copy_database, take_over
from smpchat.relay.errors import BackupRefused, RelayError, RelayRunning
from smpchat.relay.folder import (
    DATABASE,
    IDENTITY,
    LOCK,
    LOG,
    STATE,
    STOPPED,
    is_locked,
    read_state,
    state_json,
)
from smpchat.storage.under_way import beside, under_way
from smpchat.transport.base import TransportError
from smpchat.transport.identity import FILES, NEEDED_FILES, identity_files, load_identity

_SMALL = 64 * 1024
"""Maximum size of a file inside a backup, in bytes. The database may be larger."""
_READ = 1024 * 1024
"""Number of bytes of a backup that are read at once."""
_MAY_STAY = frozenset({LOCK, LOG, f"{LOG}.1", STOPPED})
"""A folder that contains no other files than these has no relay, so a backup may be restored to it."""
_SMALL_MEMBERS = frozenset({STATE, *(f"{IDENTITY}/{name}" for name in FILES)})
_NEEDED = frozenset({DATABASE, STATE, *(f"{IDENTITY}/{name}" for name in NEEDED_FILES)})


def back_up(folder: Path, target: Path) -> int:
    """Writes a backup of the relay, which may be running, into a new file that only its owner can read. Blocks.

    Returns:
        The size of the backup in bytes.
    Raises:
        BackupRefused: There is no relay in ``folder``, or ``target`` already exists.
        RelayError: The relay's files cannot be read, or the backup cannot be written. No unfinished backup is left.
    """
    info = read_state(folder)
    if info.port is None:
        raise BackupRefused(f"There is no relay in {folder} because it was never started.")
    if target.exists():
        raise BackupRefused(f"{target} already exists, and will not be overwritten.")
    growing = beside(target.absolute())
    try:
        with under_way(folder.absolute().parent, growing):
            growing.mkdir(mode=0o700)
            database, archive = growing / DATABASE, growing / "tar"
            copy_database(folder / DATABASE, database)
            with os.fdopen(os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                    for path, content in identity_files(folder / IDENTITY).items():
                        _add(tar, f"{IDENTITY}/{path}", io.BytesIO(content), len(content))
                    state = state_json(replace(info, pid=None))
                    _add(tar, STATE, io.BytesIO(state), len(state))
                    with database.open("rb") as copy:
                        _add(tar, DATABASE, copy, database.stat().st_size)
                file.flush()
                os.fsync(file.fileno())
            size = archive.stat().st_size
            archive.replace(target)
            return size
    except OSError as error:
        raise RelayError(f"The backup cannot be written: {error}.") from error
    except TransportError as error:
        raise RelayError(f"The relay's certificates cannot be copied: {error}.") from error


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    tar.addfile(member, content)


def restore(source: Path, folder: Path) -> None:
    """Makes the folder of a relay from a backup. The folder gets all files of the backup, or none of them. Blocks.

    Raises:
        BackupRefused: The folder already contains a relay, or ``source`` is not a backup. Nothing was changed.
        RelayRunning: A relay is running on the folder.
        RelayError: The backup cannot be read, or the relay's folder cannot be written.
    """
    folder = folder.absolute()
    growing = beside(folder)
    try:
        _check_empty(folder)
        with under_way(folder.parent, growing):
            growing.mkdir(mode=0o700)
            (growing / IDENTITY).mkdir(mode=0o700)
            _unpack(source, growing)
            # Before the unpacked files are moved to ``folder``, open them as a relay would: so an unusable backup is
            # noticed now.
            _check(source, growing)
            _check_empty(folder)
            if folder.exists():
                for name in (LOG, f"{LOG}.1", STOPPED):
                    if (folder / name).exists():
                        (folder / name).rename(growing / name)
                (folder / LOCK).unlink(missing_ok=True)
                folder.rmdir()
            growing.rename(folder)
    except OSError as error:
        raise RelayError(f"The backup cannot be restored: {error}.") from error


def _check_empty(folder: Path) -> None:
    if not folder.exists():
        return
    if is_locked(folder):
        raise RelayRunning("A relay is running on this folder.")
    if {path.name for path in folder.iterdir()} - _MAY_STAY:
        raise BackupRefused(f"There is already a relay in {folder}. Restore the backup to an empty folder.")


class _Bounded(io.BufferedReader):
    """A file object that refuses to read more than `_READ` bytes at once. Otherwise `tarfile` would read a header of
    any length into memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _READ:
            raise tarfile.ReadError("the header of a file in the archive is too long")
        return super().read(size)


def _unpack(source: Path, folder: Path) -> None:
    seen: set[str] = set()
    try:
        # We accept only plain files with known names, and write them ourselves: so links, devices and ../ in a tar have
        # no effect. Mode "r:" refuses compressed files, in which a few bytes could become gigabytes.
        with source.open("rb", buffering=0) as file, tarfile.open(fileobj=_Bounded(file), mode="r:") as tar:
            size = source.stat().st_size
            for member in tar:
                if member.issparse() or member.offset_data + member.size > size:  # sparse: 10 kB could become gigabytes
                    raise BackupRefused(
                        f"{source} is not a complete backup of a relay: {member.name[:40]!r} is cut off."
                    )
                fits = member.name == DATABASE or (member.name in _SMALL_MEMBERS and member.size <= _SMALL)
                content = tar.extractfile(member) if fits and member.isfile() and member.name not in seen else None
                if content is None:
                    raise BackupRefused(f"{source} is not a backup of a relay: it contains {member.name[:40]!r}.")
                seen.add(member.name)
                _write(folder / member.name, content)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:  # raised for wrong numbers in headers
        raise BackupRefused(f"{source} is not a complete backup of a relay: {error}.") from error
    if missing := _NEEDED - seen:
        raise BackupRefused(f"{source} is not a complete backup of a relay: {min(missing)} is missing.")


def _write(path: Path, content: IO[bytes]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        shutil.copyfileobj(content, file, _READ // 2)
        file.flush()
        os.fsync(file.fileno())


def _check(source: Path, folder: Path) -> None:
    """Checks that a relay could start with the unpacked files. Raises `BackupRefused`."""
    try:
        info = read_state(folder)
        if info.address is not None:
            parse_server(info.address)
        load_identity(folder / IDENTITY)
        take_over(folder / DATABASE)
    except (RelayError, TransportError) as error:
        raise BackupRefused(f"{source} cannot be used: {error}") from error
    except DecodeError as error:
        raise BackupRefused(f"{source} cannot be used: the relay's address in it is invalid.") from error
    if info.port is None:
        raise BackupRefused(f"{source} does not name a port.")
