"""What each side of a conversation allows, from the store; and our profile, told to whom it changes for.

Our profile differs from contact to contact by what the user has set for each. A contact is told it in the handshake,
and again whenever it is another one than it was told last; a digest of what it was told decides that, so that nothing
is told twice and nobody is left out, whichever way our profile has changed.
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
    """What we and a contact say, and what follows.

    Attributes:
        ours: All that we say to this contact.
        theirs: What its profile says; nothing before that arrived.
    """

    ours: Preferences
    theirs: Preferences

    def on(self, feature: Feature) -> Enabled:
        """Who may use a feature."""
        return enabled(feature, self.ours, self.theirs)

    @property
    def ttl(self) -> int | None:
        """Seconds after which what we write disappears; None if it stays."""
        return disappear_after(self.ours, self.theirs)

    def ttl_of(self, said: int | None) -> int | None:
        """When a contact's message is to disappear, if the message says so and both sides allow it."""
        return said if self.on(Feature.TIMED_MESSAGES).by_them else None


def agreement(tx: sqlite3.Connection, contact: Contact) -> Agreement:
    """What we and a contact say at this moment."""
    return Agreement(ours(tx, contact.id), contact.profile.preferences if contact.profile else {})


def ours(tx: sqlite3.Connection, contact_id: int) -> Preferences:
    """All that we say to a contact: what is set for it, else what is set for all, else the defaults."""
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
    """Messages disappear after another time: the one that either side has set last holds for both, as in apps."""
    contact_settings.save(tx, contact_id, Setting.TTL, None if ttl is None else str(ttl))


# -- our profile ------------------------------------------------------------------------------------------------------


def profile_for(tx: sqlite3.Connection, own: Profile, contact_id: int) -> Profile:
    """Our profile as one contact is told it."""
    return replace(own, preferences=ours(tx, contact_id))


def note_told(tx: sqlite3.Connection, contact_id: int, profile: Profile) -> None:
    """The contact is told our profile by the handshake."""
    profiles.save_told(tx, contact_id, _digest(profile))


def announce(tx: sqlite3.Connection, context: Context, own: Profile, contact: Contact) -> bool:
    """Tell a contact our profile if it is another one than it was told; whether it is on its way.

    During a handshake it goes with that; contacts that deleted us or cannot be reached are not told.
    """
    if contact.is_group:  # its members are told before the next message
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
    # In the transaction that takes the message over: after a crash in between it would be told twice, or never.
    profiles.save_told(tx, contact.id, digest)
    return True


def fitting(profile: Profile, encode: Callable[[Profile], bytes | None]) -> bytes:
    """A profile as ``encode`` makes it; without its picture where there is no room for that."""
    body = encode(profile)
    if body is None:
        body = encode(replace(profile, picture=None))
    assert body is not None, "a name and a description always fit"
    return body


def _digest(profile: Profile) -> bytes:
    return hashlib.sha256(encode_profile(profile)).digest()
