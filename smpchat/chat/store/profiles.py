"""The stored profiles: our own, and those that contacts sent. For each contact, there is also a digest of the profile
that we last sent to this contact.

Pictures have a table of their own, because they are large, and lists of contacts do not need them.
"""

from __future__ import annotations

import sqlite3

from smpchat.chat.store import settings
from smpchat.chat.wire.preferences import Preferences
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace

_OWN, _OWN_PICTURE = "profile", "profile_picture"


# -- our own profile ---------------------------------------------------------------------------------------------------


def own(tx: sqlite3.Connection) -> Profile | None:
    """The profile that the user has set, with only the preferences that the user has changed; None if the user has set
    nothing."""
    saved = Profile.from_json(settings.setting(tx, _OWN))
    return None if saved is None else replace(saved, picture=settings.setting(tx, _OWN_PICTURE))


def own_preferences(tx: sqlite3.Connection) -> Preferences:
    """The preferences that the user has set for all contacts at once. A preference that still has its default is left
    out."""
    saved = Profile.from_json(settings.setting(tx, _OWN))
    return saved.preferences if saved else {}


def save_own(tx: sqlite3.Connection, profile: Profile) -> None:
    """Change our profile."""
    settings.save_setting(tx, _OWN, profile.to_json())
    if profile.picture is None:
        settings.delete_setting(tx, _OWN_PICTURE)
    else:
        settings.save_setting(tx, _OWN_PICTURE, profile.picture)


# -- profiles of contacts ----------------------------------------------------------------------------------------------


def save(tx: sqlite3.Connection, contact_id: int, profile: Profile) -> bool:
    """Saves the profile that a contact sent. Returns whether the profile differs from the one that was stored; if so,
    the user will be shown the new profile once."""
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
    """The picture in a contact's profile; None if there is none."""
    row = tx.execute("SELECT uri FROM pictures WHERE contact_id = ?", (contact_id,)).fetchone()
    return row["uri"] if row else None


# -- which profile of ours each contact got ----------------------------------------------------------------------------


def told(tx: sqlite3.Connection, contact_id: int) -> bytes | None:
    """Digest of the profile that we last sent to a contact; None if we sent no profile, or do not know which one."""
    row = tx.execute("SELECT told FROM contacts WHERE id = ?", (contact_id,)).fetchone()
    digest: bytes | None = row["told"]
    return digest


def save_told(tx: sqlite3.Connection, contact_id: int, digest: bytes) -> None:
    """Saves the digest of the profile that is being sent to a contact."""
    tx.execute("UPDATE contacts SET told = ? WHERE id = ?", (digest, contact_id))
