"""A whole profile in one encrypted file.

::

    file    = %s"smpchat profile" %x00 version sealed   ; version is one byte, 1; `smpchat.crypto.passphrase`
    content = name-length name exported-at database     ; one byte, UTF-8, POSIX seconds in 8 bytes, an SQLite file

The database is a snapshot: a change that another process makes meanwhile is in it completely or not at all. Two copies
of a profile must never both be used: each would go on with the same ratchets, and contacts could not read what the
second one sends.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from smpchat.agent.errors import StoreError
from smpchat.agent.store.database import Database
from smpchat.agent.store.migrating import define_functions
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.agent.transactions import files
from smpchat.chat.errors import ArchiveDamaged, ArchiveForeign, ArchiveNewer, ImportDeclined, InputError, NoArchive
from smpchat.chat.service.choices import OwnChoices
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.reading import DATABASE_NAME, MOVED
from smpchat.chat.store import files as message_files
from smpchat.chat.store import searching, settings
from smpchat.chat.store.schema import CHAT_MIGRATIONS
from smpchat.crypto import passphrase as sealing
from smpchat.crypto.errors import VerificationError
from smpchat.encoding.codec import int64, record, short_bytes, tail
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field
from smpchat.storage.foreign import (
    DamagedData,
    ForeignData,
    check_foreign,
    copy_rows,
    difference,
    open_foreign,
    schema_of,
)
from smpchat.storage.opening import SQLITE_ERRORS, harden
from smpchat.storage.under_way import beside, under_way

MAGIC = b"smpchat profile\0"
VERSION = 1
MAX_SIZE = 1 << 30
"""Largest file in bytes; all of it is in memory at once."""
_SQLITE = b"SQLite format 3\0"
_OF_DISK = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})
"""Errors that are not the fault of the file; but a migration may also fail because of one of its rows."""
_MESSAGES_READ = 10_000
"""How many of the last messages of each conversation."""


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
        raise InputError("The profile is too large for one file.", "Delete contacts that you no longer need.")
    front = MAGIC + bytes([VERSION])
    return front + sealing.seal(passphrase, front, _archive.encode(archive), service.entropy, cost)


def unpack(data: bytes, passphrase: str) -> Archive:
    """What `pack` wrote.

    Raises:
        NoArchive: It is a file of another kind.
        ArchiveNewer: A later version of smpchat wrote it.
        ArchiveDamaged: It was cut off or changed.
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
    """The database in memory, never on a disk. It includes the name that contacts are told, which may otherwise follow
    from the home."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        harden(copy)
        service.database.copy_to(copy)
        # Whoever imports it builds the index anew, and takes over tables of rows only.
        searching.leave_out(copy)
        settings.save_setting(copy, "profile", service.own_profile().to_json())
        # The mark of the copy that stays behind; the one that goes on has none.
        settings.delete_setting(copy, MOVED)
        settings.save_defaults(copy, {})  # of this computer's config files, which hold here
        return copy.serialize()


def unfold(
    archive: Archive, folder: Path, scratch: Path, approve: Callable[[OwnChoices], bool] = lambda _: True
) -> None:
    """Create the profile's folder, completely or not at all.

    Args:
        scratch: A folder on the same disk, in which the unfinished profile is made.
        approve: Called with the profile's settings of relays and how they are reached, before the profile exists.
    Raises:
        ImportDeclined: The settings were not approved.
        InputError: The profile already exists.
        ArchiveForeign: The database in the file is not in the form that smpchat writes.
        ArchiveDamaged: It cannot be used.
        StoreError: A newer smpchat wrote it, or the disk is full.
    """
    if folder.exists():
        raise InputError(
            f"There is already a profile {folder.name!r}.",
            "Import it under another name: `smpchat -p NAME import FILE`.",
        )
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # On the same disk, where a rename is one step: to another one it is a copy, and a crash leaves half of it.
    growing = beside(scratch / "import")
    with under_way(scratch, growing):
        growing.mkdir(mode=0o700)
        _rebuild(archive.database, growing / DATABASE_NAME)
        _check(growing, folder.name, approve)
        # The last step: a folder with this name is whole, or there is none.
        growing.rename(folder)


def _rebuild(data: bytes, path: Path) -> None:
    """A database made by us, in the version of the file, with the file's rows. Nothing else of the file is used."""
    try:
        with closing(open_foreign(data)) as source:
            agent, chat = _versions(source)
            components = {"agent": AGENT_MIGRATIONS[:agent], "chat": CHAT_MIGRATIONS[:chat]}
            with closing(Database(path, components)) as database:
                check_foreign(source, database.connection)
                with database.transaction() as tx:
                    tx.execute("DELETE FROM schema_versions")  # comes with the other rows
                    copy_rows(source, tx)
    except ForeignData as error:
        raise ArchiveForeign(error.what) from None
    except (DamagedData, *SQLITE_ERRORS):
        raise ArchiveDamaged from None


_VERSIONS = "CREATE TABLE schema_versions (component TEXT PRIMARY KEY, version INTEGER)"


def _versions(source: sqlite3.Connection) -> tuple[int, int]:
    """The versions of the agent's tables and of the chat's tables."""
    # The statement too: a view of this name could compute for ever.
    found = source.execute("SELECT sql FROM sqlite_master WHERE name = 'schema_versions' LIMIT 2").fetchall()
    if [row[0] for row in found] != [_VERSIONS]:
        raise ForeignData("it does not name its version")
    versions = dict(source.execute("SELECT component, version FROM schema_versions LIMIT 3").fetchall())
    match versions:
        case {"agent": int() as agent, "chat": int() as chat} if agent > 0 < chat and len(versions) == 2:
            if agent > len(AGENT_MIGRATIONS) or chat > len(CHAT_MIGRATIONS):
                raise ArchiveNewer
            return agent, chat
    raise ForeignData("it does not name its version")


def schema_difference(service: ChatService) -> str | None:
    """How the profile's database differs from what smpchat makes, for example ``it holds a view 'name'``."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as ours:
        define_functions(ours)
        ours.execute(_VERSIONS)
        for script in (*AGENT_MIGRATIONS, *CHAT_MIGRATIONS):
            for statement in script.split(";"):
                ours.execute(statement)
        searching.copy_definition(service.database.connection, ours)
        return difference(schema_of(service.database.connection), schema_of(ours))


def _check(folder: Path, name: str, approve: Callable[[OwnChoices], bool]) -> None:
    """Open it, which updates an older schema, and read all of it once, as a row may contain anything."""
    try:
        # What the config files of another computer said holds there.
        with closing(ChatService(folder, name, defaults={})) as service:
            with service.database.transaction() as tx:
                files.abandon_received(tx, service.context)
                message_files.ask_anew(tx)
                # Only config files say this: a program that is not ours has put it there, to have files where it likes.
                for name in (settings.FILES_FOLDER, settings.FILES_AUTO):
                    settings.delete_setting(tx, name)
            _read_through(service)
            choices = service.own_choices()
    except StoreError as error:
        code = getattr(error.__cause__, "sqlite_errorcode", None)
        if isinstance(error.__cause__, OSError) or (code is not None and code & 0xFF in _OF_DISK):
            raise
        raise ArchiveDamaged from None
    except Exception:  # whatever our own readers make of records that we did not write
        raise ArchiveDamaged from None
    if not approve(choices):
        raise ImportDeclined


def _read_through(service: ChatService) -> None:
    """Everything that commands show of a profile."""
    service.status()
    service.servers()
    service.proxy()
    service.requests()
    service.events_after(0)
    for view in service.contacts():
        service.details(view.alias)
        service.notices(view.alias)
        service.history(view.alias, _MESSAGES_READ)
    service.unshown_messages()
    service.unshown_changes()


def write_new(path: Path, data: bytes) -> None:
    """Write a file for the user; it is on the disk when this returns. Raises `FileExistsError`, `OSError`."""
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
