"""Profiles as they are stored: what contacts say about themselves, what we say to all, and what each was told last.

Pictures stand in a table of their own: they are large, and lists of contacts need none.
"""

from __future__ import annotations

import sqlite3

from smpchat.chat.store import settings
from smpchat.chat.wire.preferences import Preferences
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace

_OWN, _OWN_PICTURE = "profile", "profile_picture"


# -- ours -------------------------------------------------------------------------------------------------------------


def own(tx: sqlite3.Connection) -> Profile | None:
    """What the user has said about themselves, whose preferences are those that the user has changed; None: nothing."""
    saved = Profile.from_json(settings.setting(tx, _OWN))
    return None if saved is None else replace(saved, picture=settings.setting(tx, _OWN_PICTURE))


def own_preferences(tx: sqlite3.Connection) -> Preferences:
    """What the user allows everybody, where it is not as it is at first."""
    saved = Profile.from_json(settings.setting(tx, _OWN))
    return saved.preferences if saved else {}


def save_own(tx: sqlite3.Connection, profile: Profile) -> None:
    """Say something else from now on."""
    settings.save_setting(tx, _OWN, profile.to_json())
    if profile.picture is None:
        settings.delete_setting(tx, _OWN_PICTURE)
    else:
        settings.save_setting(tx, _OWN_PICTURE, profile.picture)


# -- those of contacts ------------------------------------------------------------------------------------------------


def save(tx: sqlite3.Connection, contact_id: int, profile: Profile) -> bool:
    """The profile that a contact sent; whether it says anything new. Then it is to be shown once."""
    row = tx.execute("SELECT profile FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    known, text = Profile.from_json(row["profile"]), profile.to_json()
    if known == replace(profile, picture=None) and picture(tx, contact_id) == profile.picture:
        return False
    tx.execute("UPDATE contacts SET profile = ?, profile_shown = 0 WHERE id = ?", (text, contact_id))
    if profile.picture is None:
        tx.execute("DELETE FROM pictures WHERE contact_id = ?", (contact_id,))
    else:
        tx.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?)", (contact_id, profile.picture))
    return True


def picture(tx: sqlite3.Connection, contact_id: int) -> str | None:
    """A contact's picture, as its profile has it."""
    row = tx.execute("SELECT uri FROM pictures WHERE contact_id = ?", (contact_id,)).fetchone()
    return row["uri"] if row else None


# -- what each contact was told ---------------------------------------------------------------------------------------


def told(tx: sqlite3.Connection, contact_id: int) -> bytes | None:
    """Digest of the profile of ours that a contact was told last; None if none, or if it is unknown."""
    row = tx.execute("SELECT told FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    digest: bytes | None = row["told"]
    return digest


def save_told(tx: sqlite3.Connection, contact_id: int, digest: bytes) -> None:
    """A contact is being told this."""
    tx.execute("UPDATE contacts SET told = ? WHERE id = ?", (digest, contact_id))
