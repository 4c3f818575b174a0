"""The settings of a contact: the names that people type for them, and the values that people can give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smpchat.chat.errors import InputError
from smpchat.chat.store.contact_settings import FOR_EVER
from smpchat.chat.wire.durations import parse_duration
from smpchat.chat.wire.preferences import Allow, Feature
from smpchat.encoding.record import Record

if TYPE_CHECKING:
    from smpchat.chat.service.introducing import ContactDetails, IntroducingProfile

ON, OFF, DEFAULT = "on", "off", "default"


class Setting(Record):
    """One setting of a contact.

    Attributes:
        feature: The setting's name in the protocol; None for receipts and mute, which contacts are not told about.
        label: The setting's name in sentences.
    """

    feature: Feature | None
    label: str


SETTINGS = {
    "disappear": Setting(Feature.TIMED_MESSAGES, "Disappearing messages"),
    "fulldelete": Setting(Feature.FULL_DELETE, "Full deletion"),
    "reactions": Setting(Feature.REACTIONS, "Reactions"),
    "voice": Setting(Feature.VOICE, "Voice messages"),
    "files": Setting(Feature.FILES, "Files"),
    "calls": Setting(Feature.CALLS, "Calls"),
    "receipts": Setting(None, "Receipts"),
    "mute": Setting(None, "Muted"),
}


def setting_named(name: str) -> Setting:
    """The setting with this name. Raises `InputError`."""
    found = SETTINGS.get(name.lower())
    if found is None:
        raise InputError(f"There is no setting {name!r}.", f"Choose one of: {', '.join(SETTINGS)}.")
    return found


def allowance(value: str) -> Allow | None:
    """What the user allows a contact: ``value`` is ``yes``, ``no`` or ``always``. The result is None for ``default``:
    the user's choice for all contacts then also holds for this contact. Raises `InputError`."""
    word = value.lower()
    if word == DEFAULT:
        return None
    if word not in frozenset(Allow):
        raise InputError(f"{value!r} is not a valid choice here.", "Choose yes, no, always or default.")
    return Allow(word)


def change_for(setting: Setting, value: str) -> Callable[[IntroducingProfile, str], ContactDetails]:
    """A function that gives ``setting`` this value for one contact. Raises `InputError` if the value is invalid."""
    feature = setting.feature
    if setting is SETTINGS["mute"]:
        quiet = quiet_for(value)
        return lambda service, who: service.mute(who, quiet)
    if feature is None:
        on = _switch(value)
        return lambda service, who: service.set_contact_receipts(who, on)
    if feature is not Feature.TIMED_MESSAGES or value.lower() in frozenset(Allow) | {DEFAULT}:
        allow = allowance(value)
        return lambda service, who: service.set_contact_allowed(who, feature, allow)
    seconds = None if value.lower() == OFF else parse_duration(value)
    return lambda service, who: service.set_disappearing(who, seconds)


def quiet_for(value: str) -> float | None:
    """For how many seconds a contact will be muted: infinity for ``on``, None for ``off``. Raises `InputError`."""
    word = value.lower()
    if word == OFF:
        return None
    if word in (ON, ""):
        return FOR_EVER
    try:
        return parse_duration(value)
    except InputError:
        raise InputError(f"{value!r} is not a valid choice here.", "Choose on, off, or how long: 1h, 8h, 1d.") from None


def _switch(value: str) -> bool | None:
    """Whether the value is ``on``; None for ``default``, which means the user's choice for all contacts. Raises
    `InputError`."""
    word = value.lower()
    if word not in (ON, OFF, DEFAULT):
        raise InputError(f"{value!r} is not a valid choice here.", "Choose on, off or default.")
    return None if word == DEFAULT else word == ON
