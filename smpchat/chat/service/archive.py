"""A whole profile in one encrypted file.

::

    file    = %s"smpchat profile" %x00 version sealed   ; version is one byte, 1; `smpchat.crypto.passphrase`
    content = name-length name exported-at database     ; one byte, UTF-8, POSIX seconds in 8 bytes, an SQLite file

The database is a snapshot: what other processes write meanwhile is in it whole or not at all. Two copies of a profile
must never both be used: each would go on with the same ratchets, and contacts could not read what the second one sends.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from smpchat.agent.errors import StoreError
from smpchat.chat.errors import ArchiveDamaged, ArchiveNewer, InputError, NoArchive
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.reading import DATABASE_NAME, MOVED
from smpchat.chat.store import settings
from smpchat.crypto import passphrase as sealing
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import VerificationError
from smpchat.encoding.codec import int64, record, short_bytes, tail
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field

MAGIC = b"smpchat profile\0"
VERSION = 1
MAX_SIZE = 1 << 30
"""Bytes of a file; everything is in memory at once."""
_SQLITE = b"SQLite format 3\0"


class Archive(Record):
    """The content of a file.

    Attributes:
        name: Of the profile, UTF-8.
        exported_at: POSIX seconds.
        database: An SQLite file.
    """

    name: bytes
    exported_at: int
    database: bytes = field(repr=False)


_archive = record(Archive, name=short_bytes, exported_at=int64, database=tail)


def pack(service: ChatService, passphrase: str, cost: sealing.Cost = sealing.STRONG) -> bytes:
    """The bytes of a file with a snapshot of the profile. Raises `InputError` if it is too large."""
    archive = Archive(service.name.encode(), int(service.now()), _snapshot(service))
    if len(archive.database) > MAX_SIZE // 2:
        raise InputError("The profile is too large for one file.", "Delete contacts that you do not need.")
    front = MAGIC + bytes([VERSION])
    return front + sealing.seal(passphrase, front, _archive.encode(archive), service.entropy, cost)


def unpack(data: bytes, passphrase: str) -> Archive:
    """What `pack` wrote.

    Raises:
        NoArchive: It is some other file.
        ArchiveNewer: A later version of smpchat wrote it.
        ArchiveDamaged: It is cut or changed.
        WrongPassphrase: It needs another passphrase.
    """
    front = data[: len(MAGIC) + 1]
    # Before anything is unsealed: half a second and 128 MiB are for files of ours.
    if len(data) > MAX_SIZE or not data.startswith(MAGIC):
        raise NoArchive
    if len(front) <= len(MAGIC):
        raise ArchiveDamaged
    if front[-1] != VERSION:
        raise ArchiveNewer
    try:
        archive = _archive.decode(sealing.unseal(passphrase, front, data[len(front) :]), "archive")
    except (VerificationError, DecodeError):
        raise ArchiveDamaged from None
    if not archive.database.startswith(_SQLITE):
        raise ArchiveDamaged
    return archive


def _snapshot(service: ChatService) -> bytes:
    """The database in memory, on no disk, and with the name that contacts are told, which the home may imply."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        service.database.copy_to(copy)
        settings.save_setting(copy, "profile", service.own_profile().to_json())
        # The mark of the copy that stays behind; the one that goes on has none.
        settings.delete_setting(copy, MOVED)
        return copy.serialize()


def unfold(archive: Archive, folder: Path, scratch: Path, entropy: Entropy) -> None:
    """Make the profile's folder, whole or not at all.

    Args:
        scratch: A folder on the same disk, where it grows.
    Raises:
        InputError: There is such a profile.
        ArchiveDamaged: The database in it cannot be used.
    """
    if folder.exists():
        raise InputError(
            f"There is a profile {folder.name!r} already.", "Import it under another name: `smpchat -p NAME import`."
        )
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    under_way = scratch / f".import-{entropy.random(8).hex()}"
    under_way.mkdir(mode=0o700)
    try:
        write_new(under_way / DATABASE_NAME, archive.database)
        _check(under_way, folder.name)
        # The last step: a folder with this name is whole, or there is none.
        under_way.rename(folder)
    except BaseException:
        for left in under_way.iterdir():
            left.unlink()
        under_way.rmdir()
        raise


def _check(folder: Path, name: str) -> None:
    """Open it, which brings an older schema up to date."""
    try:
        with closing(ChatService(folder, name)) as service:
            sound = service.database.read("PRAGMA quick_check")[0][0] == "ok"
    except sqlite3.Error:
        raise ArchiveDamaged from None
    except StoreError as error:  # or it was written by a newer smpchat, which says so
        if isinstance(error.__cause__, sqlite3.Error):
            raise ArchiveDamaged from None
        raise
    if not sound:
        raise ArchiveDamaged


def write_new(path: Path, data: bytes) -> None:
    """A file of the user's own, on the disk when this returns. Raises `FileExistsError`, `OSError`."""
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
