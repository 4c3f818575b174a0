"""Finds the preferences of both sides of a conversation, and sends our profile to contacts for whom it has changed.

Our profile differs between contacts, because the user can set preferences for each. The profile is sent to a contact in
the handshake, and again whenever it has changed since. A digest of the profile that was sent last shows whether it has
changed. So no contact is left out, and none gets the same profile twice.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable

from smpchat.agent.context import Context
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.store import connections
from smpchat.agent.transactions import sending
from smpchat.agent.wire.envelope import UserMessage
from smpchat.chat.store import contact_settings, incognito, profiles
from smpchat.chat.store.contact_settings import Setting
from smpchat.chat.store.records import Contact
from smpchat.chat.transactions.room import room_of
from smpchat.chat.wire.bodies import new_shared_id
from smpchat.chat.wire.message import encode_profile
from smpchat.chat.wire.preferences import (
    OWN_DEFAULTS,
    Allow,
    Enabled,
    Feature,
    Preference,
    Preferences,
    allowed,
    disappear_after,
    enabled,
)
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import Record, replace


class Agreement(Record):
    """Our preferences and those of a contact, and what follows from both.

    Attributes:
        ours: All preferences that we send to this contact.
        theirs: The preferences in the contact's profile; empty until it has arrived.
    """

    ours: Preferences
    theirs: Preferences

    def on(self, feature: Feature) -> Enabled:
        """Which of the two sides may use a feature."""
        return enabled(feature, self.ours, self.theirs)

    @property
    def ttl(self) -> int | None:
        """Seconds after which our messages disappear; None if they stay."""
        return disappear_after(self.ours, self.theirs)

    def ttl_of(self, said: int | None) -> int | None:
        """Seconds after which a contact's message disappears: the time in the message, if both sides allow it;
        otherwise None."""
        return said if self.on(Feature.TIMED_MESSAGES).by_them else None


def agreement(tx: sqlite3.Connection, contact: Contact) -> Agreement:
    """Our present preferences for a contact, and the contact's preferences."""
    return Agreement(ours(tx, contact.id), contact.profile.preferences if contact.profile else {})


def ours(tx: sqlite3.Connection, contact_id: int) -> Preferences:
    """Our preferences for a contact, one for each feature: as set for this contact, otherwise as set for all contacts,
    otherwise the default."""
    said = {**OWN_DEFAULTS, **profiles.own_preferences(tx)}
    found = contact_settings.all_of(tx, contact_id)
    for feature in Feature:
        if feature in found:
            said[feature] = Preference(Allow(found[feature]))
    ttl = found.get(Setting.TTL)
    timed = allowed(said, Feature.TIMED_MESSAGES)
    said[Feature.TIMED_MESSAGES] = Preference(timed.allow, None if ttl is None else int(ttl))
    return said


def save_ttl(tx: sqlite3.Connection, contact_id: int, ttl: int | None) -> None:
    """Saves the time after which messages to this contact disappear. As in apps, the last change counts, whether we or
    the contact made it."""
    contact_settings.save(tx, contact_id, Setting.TTL, None if ttl is None else str(ttl))


# -- our profile ------------------------------------------------------------------------------------------------------


def profile_for(tx: sqlite3.Connection, own: Profile, contact_id: int) -> Profile:
    """Our profile for one contact, with our preferences for this contact."""
    return replace(own, preferences=ours(tx, contact_id))


def note_told(tx: sqlite3.Connection, contact_id: int, profile: Profile) -> None:
    """Saves a digest of our profile, as the contact gets it in the handshake."""
    profiles.save_told(tx, contact_id, _digest(profile))


def announce(tx: sqlite3.Connection, context: Context, own: Profile, contact: Contact) -> bool:
    """Sends a contact our profile if it has changed since the contact last got it. Returns whether the profile is sent.

    Until the handshake has sent our profile, this function sends nothing, because the handshake sends the present one.
    It also sends nothing to a contact that removed us, or whose connection has failed.
    """
    if contact.is_group:  # its members get the profile before our next message
        return False
    state = connections.load(tx, contact.connection_id).state
    if contact.gone or not states.has_introduced(state):
        return False
    profile = profile_for(tx, incognito.profile_for(tx, own, contact.connection_id), contact.id)
    digest = _digest(profile)
    if profiles.told(tx, contact.id) == digest:
        return False
    pack = room_of(tx, contact).pack
    shared_id = new_shared_id(context.entropy.random(12))
    body = fitting(profile, lambda profile: pack(encode_profile(profile, shared_id)))
    sending.submit(tx, context, contact.connection_id, UserMessage(body))
    # Saved in the transaction that queues the message: otherwise, after a crash, the profile might be sent twice, or
    # never.
    profiles.save_told(tx, contact.id, digest)
    return True


def fitting(profile: Profile, encode: Callable[[Profile], bytes | None]) -> bytes:
    """A profile, encoded by ``encode``; without its picture if there is no room for it."""
    body = encode(profile)
    if body is None:
        body = encode(replace(profile, picture=None))
    assert body is not None, "a profile without a picture always fits"
    return body


def _digest(profile: Profile) -> bytes:
    return hashlib.sha256(encode_profile(profile)).digest()
