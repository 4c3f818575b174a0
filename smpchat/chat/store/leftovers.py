"""Unencrypted files beside a profile's database that reveal its content to anyone who can read the folder.

There are two kinds: pictures of links (QR codes), as long as a link can be used and the profile is not encrypted; and
the lines typed in `chat`, which versions before the first release saved, and which are in the store anyway.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from smpchat.agent.store import addresses
from smpchat.agent.store.database import Database
from smpchat.chat.store import invitations

_TYPED = "input-history"
_ADDRESS = "address.png"
_INVITATION, _PNG = "invitation-", ".png"


def picture_of(folder: Path, connection_id: int | None) -> Path:
    """Where the QR code of an invitation's link is saved, or of the address's if None."""
    return folder / (_ADDRESS if connection_id is None else f"{_INVITATION}{connection_id}{_PNG}")


def remove(database: Database) -> None:
    """Remove the files that are not needed any more."""
    folder, tx = database.path.parent, database.connection
    names = _names(folder)
    if not names:
        return
    kept: set[int | None] = set()
    if not database.ENCRYPTED:
        kept |= invitations.notes(tx).keys() | ({None} if addresses.current(tx) else set())
    _remove(folder, names - {picture_of(folder, link).name for link in kept})


def remove_all(folder: Path) -> None:
    """Remove all of them: the profile is encrypted now."""
    _remove(folder, _names(folder))


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.name == _TYPED or _is_picture(entry.name)}
    except OSError:
        return set()  # the database in it cannot be opened either, and says so


def _remove(folder: Path, names: set[str]) -> None:
    for name in names:
        with suppress(OSError):  # of a folder that may only be read: its profile is read all the same
            (folder / name).unlink()


def _is_picture(name: str) -> bool:
    """Whether it is one of ours: the user may keep pictures of other things there."""
    number = name.removeprefix(_INVITATION).removesuffix(_PNG)
    return name == _ADDRESS or (name == f"{_INVITATION}{number}{_PNG}" and number.isascii() and number.isdigit())
