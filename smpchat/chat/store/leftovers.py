"""Unencrypted files beside a profile's database. Anyone who can read the folder learns what they contain.

There are two kinds. Pictures of links (QR codes) are kept as long as the link can be used and the profile is not
encrypted. A file with the lines typed in `chat` was written by versions before the first release.
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
    """The path of the QR code of an invitation's link, or of the address's link if ``connection_id`` is None."""
    return folder / (_ADDRESS if connection_id is None else f"{_INVITATION}{connection_id}{_PNG}")


def remove(database: Database) -> None:
    """Removes the file with the lines typed in `chat`, and the QR codes that are not needed any more."""
    folder, tx = database.path.parent, database.connection
    names = _names(folder)
    if not names:
        return
    kept: set[int | None] = set()
    if not database.ENCRYPTED:
        kept |= invitations.notes(tx).keys() | ({None} if addresses.current(tx) else set())
    _remove(folder, names - {picture_of(folder, link).name for link in kept})


def remove_all(folder: Path) -> None:
    """Removes all QR codes and the file with the lines typed in `chat`, because the profile is encrypted now."""
    _remove(folder, _names(folder))


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.name == _TYPED or _is_picture(entry.name)}
    except OSError:
        return set()  # the database in this folder cannot be opened either, and that error is reported


def _remove(folder: Path, names: set[str]) -> None:
    for name in names:
        with suppress(OSError):  # the folder may be read-only; the profile can be read all the same
            (folder / name).unlink()


def _is_picture(name: str) -> bool:
    """Whether smpchat made this file; the user may keep other pictures in the folder."""
    number = name.removeprefix(_INVITATION).removesuffix(_PNG)
    return name == _ADDRESS or (name == f"{_INVITATION}{number}{_PNG}" and number.isascii() and number.isdigit())
