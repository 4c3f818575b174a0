"""Preferences: which features each side of a conversation allows in its profile, and who may use them (agent-wire 6.3).

For each feature, each side says to the other *no*, *yes* ("we may both use it if you allow it too") or *always* ("you
may use it even if you do not allow me to use it"). Only the function `enabled` works out, from the choices of both
sides, who may use a feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from smpchat.encoding.record import Record

MAX_TTL = 100 * 366 * 86_400
"""Longest time in seconds after which messages may disappear; if a peer sets a longer time, this time is used."""


class Feature(StrEnum):
    """Features of a conversation, by their names in profiles."""

    TIMED_MESSAGES = "timedMessages"
    FULL_DELETE = "fullDelete"
    REACTIONS = "reactions"
    VOICE = "voice"
    FILES = "files"
    CALLS = "calls"
    SESSIONS = "sessions"


class Allow(StrEnum):
    """What one side of a conversation allows the other side."""

    ALWAYS = "always"
    YES = "yes"
    NO = "no"


_ALLOWS = frozenset(Allow)


class Preference(Record):
    """What one side of a conversation allows for one feature.

    Attributes:
        ttl: Only for the feature of disappearing messages: seconds after which a message disappears. None if messages
            stay.
    """

    allow: Allow
    ttl: int | None = None


Preferences = Mapping[Feature, Preference]
"""The preferences of one person; for missing features, `APP_DEFAULTS` is used."""

APP_DEFAULTS: Preferences = {
    Feature.TIMED_MESSAGES: Preference(Allow.YES),
    Feature.FULL_DELETE: Preference(Allow.NO),
    Feature.REACTIONS: Preference(Allow.YES),
    Feature.VOICE: Preference(Allow.YES),
    Feature.FILES: Preference(Allow.ALWAYS),
    Feature.CALLS: Preference(Allow.YES),
    Feature.SESSIONS: Preference(Allow.NO),
}
"""What apps assume for features that a profile does not mention."""

OWN_DEFAULTS: Preferences = {
    **APP_DEFAULTS,
    # with *no*, apps hide the button for calls, which smpchat does not support
    Feature.CALLS: Preference(Allow.NO),
}
"""Our own preferences if the user has not chosen any."""


class Enabled(Record):
    """Who may use a feature: we, the contact, both or neither."""

    by_us: bool
    by_them: bool


def allowed(preferences: Preferences, feature: Feature) -> Preference:
    """A person's preference for a feature: as stated in ``preferences``, otherwise as in `APP_DEFAULTS`."""
    return preferences.get(feature, APP_DEFAULTS[feature])


def enabled(feature: Feature, ours: Preferences, theirs: Preferences) -> Enabled:
    """Finds out, from the preferences of both sides, who may use a feature.

    If one side says *always* and the other *no*, only the side that said *no* may use the feature. Disappearing
    messages are an exception: they are on for both sides or for neither.
    """
    we, they = allowed(ours, feature).allow, allowed(theirs, feature).allow
    if Allow.NO not in (we, they):
        return Enabled(by_us=True, by_them=True)
    one_sided = feature is not Feature.TIMED_MESSAGES
    return Enabled(
        by_us=one_sided and (we, they) == (Allow.NO, Allow.ALWAYS),
        by_them=one_sided and (we, they) == (Allow.ALWAYS, Allow.NO),
    )


def disappear_after(ours: Preferences, theirs: Preferences) -> int | None:
    """Seconds after which our messages disappear; None if they stay."""
    both = enabled(Feature.TIMED_MESSAGES, ours, theirs)
    return allowed(ours, Feature.TIMED_MESSAGES).ttl if both.by_us else None


# -- profiles ---------------------------------------------------------------------------------------------------------


def preferences_json(preferences: Preferences) -> dict[str, Any]:
    """Preferences in the JSON form of profiles."""
    return {str(feature): _preference_json(preference) for feature, preference in preferences.items()}


def _preference_json(preference: Preference) -> dict[str, Any]:
    value: dict[str, Any] = {"allow": str(preference.allow)}
    return value if preference.ttl is None else value | {"ttl": preference.ttl}


def read_preferences(value: object) -> Preferences:
    """The preferences in a peer's profile; unknown and malformed ones count as missing."""
    if not isinstance(value, dict):
        return {}
    found: dict[Feature, Preference] = {}
    for feature in Feature:
        said = value.get(feature)
        allow = said.get("allow") if isinstance(said, dict) else None
        if isinstance(said, dict) and isinstance(allow, str) and allow in _ALLOWS:
            ttl = read_ttl(said.get("ttl")) if feature is Feature.TIMED_MESSAGES else None
            found[feature] = Preference(Allow(allow), ttl)
    return found


def read_ttl(value: object) -> int | None:
    """A number of seconds from JSON; 0 for a negative one, and at most `MAX_TTL`; None if it is not a whole number."""
    # `value != value // 1` also excludes nan and the infinities. Booleans are excluded because True would count as 1.
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(min(max(value, 0), MAX_TTL))
