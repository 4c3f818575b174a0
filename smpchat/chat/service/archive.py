"""A whole profile in one encrypted file.

::

    file    = %s"smpchat profile" %x00 version sealed   ; version is one byte, 1
    content = name-length name exported-at database     ; one byte, UTF-8, POSIX seconds in 8 bytes, an SQLite file

``sealed`` is ``content``, encrypted as `smpchat.crypto.passphrase` describes. The database is a snapshot: a
change that another process makes meanwhile is in it completely or not at all. Two copies of a profile must never both
be used: each would continue the same ratchets, and contacts could not decrypt what the second one sends.
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
"""The most bytes in the file of an exported profile. The size is limited, because the whole file is held in memory."""
_SQLITE = b"SQLite format 3\0"
_OF_DISK = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})
"""SQLite errors that come from the disk. All other SQLite errors mean that the exported file is damaged: for example, a
damaged row makes a migration fail."""
_MESSAGES_READ = 10_000
"""How many of the last messages of each conversation are read to test an imported profile."""


class Archive(Record):
    """The content of an exported profile.

    Attributes:
        name: The name of the profile, in UTF-8.
        exported_at: POSIX seconds.
        database: An SQLite file.
    """

    name: bytes
    exported_at: int
    database: bytes = field(repr=False)


_archive = record(Archive, name=short_bytes, exported_at=int64, database=tail)


def pack(service: ChatService, passphrase: str, cost: sealing.Cost = sealing.STRONG) -> bytes:
    """The bytes of a file with a snapshot of the profile. Raises `InputError` if the profile is too large."""
    archive = Archive(service.name.encode(), int(service.now()), _snapshot(service))
    if len(archive.database) > MAX_SIZE // 2:
        raise InputError("The profile is too large for one file.", "Delete contacts that you no longer need.")
    front = MAGIC + bytes([VERSION])
    return front + sealing.seal(passphrase, front, _archive.encode(archive), service.entropy, cost)


def unpack(data: bytes, passphrase: str) -> Archive:
    """The content of a file that `pack` wrote.

    Raises:
        NoArchive: The file is not an exported profile, or is too large.
        ArchiveNewer: A later version of smpchat wrote the file.
        ArchiveDamaged: The file was cut off or changed.
        WrongPassphrase: ``passphrase`` does not open the file.
    """
    front = data[: len(MAGIC) + 1]
    # The size and the first bytes are checked before the file is unsealed, which takes half a second and 128 MiB.
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
    """A copy of the database in memory, never on a disk. The copy includes the name that contacts see, which may depend
    on this computer if the user never set one."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        harden(copy)
        service.database.copy_to(copy)
        # The import builds the search index anew, and copies only rows of ordinary tables.
        searching.leave_out(copy)
        settings.save_setting(copy, "profile", service.own_profile().to_json())
        # `MOVED` marks a profile that was moved to another computer. The exported copy is the one that is used there,
        # so it must not have this mark.
        settings.delete_setting(copy, MOVED)
        settings.save_defaults(copy, {})  # the stored defaults come from this computer's config files
        return copy.serialize()


def unfold(
    archive: Archive, folder: Path, scratch: Path, approve: Callable[[OwnChoices], bool] = lambda _: True
) -> None:
    """Creates the profile's folder from an archive, completely or not at all.

    Args:
        scratch: A folder on the same disk, in which the unfinished profile is made.
        approve: Called with the relays and network settings of the exported profile, before ``folder`` exists. Returns
            whether the user approves these settings.
    Raises:
        ImportDeclined: The settings were not approved.
        InputError: The profile already exists.
        ArchiveForeign: The database in the file is not in the form that smpchat writes.
        ArchiveDamaged: The database is damaged, or smpchat cannot read a record in it.
        StoreError: A newer smpchat wrote the database, or the disk is full.
    """
    if folder.exists():
        raise InputError(
            f"There is already a profile {folder.name!r}.",
            "Import it under another name: `smpchat -p NAME import FILE`.",
        )
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The folder is filled in ``scratch``, which is on the same disk as ``folder``, and then renamed: a crash cannot
    # interrupt a rename. A copy from another disk could be interrupted half-way.
    growing = beside(scratch / "import")
    with under_way(scratch, growing):
        growing.mkdir(mode=0o700)
        _rebuild(archive.database, growing / DATABASE_NAME)
        _check(growing, folder.name, approve)
        # The rename comes last, so that a folder with the profile's name is always complete.
        growing.rename(folder)


def _rebuild(data: bytes, path: Path) -> None:
    """Creates a database with our own tables, in the schema version of the file, and copies the file's rows into it.
    Nothing else of the file is used."""
    try:
        with closing(open_foreign(data)) as source:
            agent, chat = _versions(source)
            components = {"agent": AGENT_MIGRATIONS[:agent], "chat": CHAT_MIGRATIONS[:chat]}
            with closing(Database(path, components)) as database:
                check_foreign(source, database.connection)
                with database.transaction() as tx:
                    tx.execute("DELETE FROM schema_versions")  # the file's rows of this table are copied too
                    copy_rows(source, tx)
    except ForeignData as error:
        raise ArchiveForeign(error.what) from None
    except (DamagedData, *SQLITE_ERRORS):
        raise ArchiveDamaged from None


_VERSIONS = "CREATE TABLE schema_versions (component TEXT PRIMARY KEY, version INTEGER)"


def _versions(source: sqlite3.Connection) -> tuple[int, int]:
    """The versions of the agent's tables and of the chat's tables."""
    # The CREATE statement is compared too: if the file had a view instead of this table, it could take for ever to read
    # the view.
    found = source.execute("SELECT sql FROM sqlite_master WHERE name = 'schema_versions' LIMIT 2").fetchall()
    if [row[0] for row in found] != [_VERSIONS]:
        raise ForeignData("the database does not name its version")
    versions = dict(source.execute("SELECT component, version FROM schema_versions LIMIT 3").fetchall())
    match versions:
        case {"agent": int() as agent, "chat": int() as chat} if agent > 0 < chat and len(versions) == 2:
            if agent > len(AGENT_MIGRATIONS) or chat > len(CHAT_MIGRATIONS):
                raise ArchiveNewer
            return agent, chat
    raise ForeignData("the database does not name its version")


def schema_difference(service: ChatService) -> str | None:
    """How the profile's database differs from what smpchat makes, for example ``the database contains a view 'name'``;
    None if it does not differ."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as ours:
        define_functions(ours)
        ours.execute(_VERSIONS)
        for script in (*AGENT_MIGRATIONS, *CHAT_MIGRATIONS):
            for statement in script.split(";"):
                ours.execute(statement)
        searching.copy_definition(service.database.connection, ours)
        return difference(schema_of(service.database.connection), schema_of(ours))


def _check(folder: Path, name: str, approve: Callable[[OwnChoices], bool]) -> None:
    """Opens the imported profile, which updates an older schema. Then reads everything that commands show, to find out
    whether smpchat can read the rows: another program may have written them. Then asks for approval of the profile's
    settings."""
    try:
        # The defaults of another computer's config files do not apply here.
        with closing(ChatService(folder, name, defaults={})) as service:
            with service.database.transaction() as tx:
                files.abandon_received(tx, service.context)
                message_files.ask_anew(tx)
                # smpchat reads these settings only from config files. If the imported database contains them, another
                # program has written them, perhaps to choose where files are saved.
                for name in (settings.FILES_FOLDER, settings.FILES_AUTO):
                    settings.delete_setting(tx, name)
            _read_through(service)
            choices = service.own_choices()
    except StoreError as error:
        code = getattr(error.__cause__, "sqlite_errorcode", None)
        if isinstance(error.__cause__, OSError) or (code is not None and code & 0xFF in _OF_DISK):
            raise
        raise ArchiveDamaged from None
    except Exception:  # our readers may fail in any way on records that we did not write
        raise ArchiveDamaged from None
    if not approve(choices):
        raise ImportDeclined


def _read_through(service: ChatService) -> None:
    """Reads everything that commands show of a profile."""
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
    """Writes a new file for the user, and returns when it is safely on the disk. Raises `FileExistsError`,
    `OSError`."""
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
