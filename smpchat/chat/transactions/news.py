"""Lines of the conversation about changes of a contact's profile: its name and its preferences."""

from __future__ import annotations

from smpchat.chat.transactions.preferences import Agreement
from smpchat.chat.wire.content import PROFILE_CHANGE, short_name
from smpchat.chat.wire.durations import duration_text
from smpchat.chat.wire.happenings import Happening
from smpchat.chat.wire.preferences import Feature
from smpchat.chat.wire.profile import Profile

TOO_MUCH = Happening("[keeps changing the profile: further changes are not shown for an hour]", PROFILE_CHANGE)


def about_name(before: Profile, after: Profile) -> list[Happening]:
    """The line ``[is now called Robert]``; no line if the name is the same."""
    if before.display_name == after.display_name:
        return []
    return [_line(f"is now called {short_name(after.display_name)}")]


def about_preferences(before: Agreement, after: Agreement) -> list[Happening]:
    """Lines that say what is different in the conversation because of the contact's new preferences."""
    found = [*_about_time(before, after), *_about_deletion(before, after), *_about_reactions(before, after)]
    return [_line(text) for text in found]


def _line(text: str) -> Happening:
    return Happening(f"[{text}]", PROFILE_CHANGE)


def _about_time(before: Agreement, after: Agreement) -> list[str]:
    was, is_ = (_timed(said) for said in (before, after))
    if was == is_:
        return []
    may, ttl = is_
    if not may:
        return ["no longer allows disappearing messages"] if was[0] else []
    if ttl is not None:
        return [f"set messages to disappear after {duration_text(ttl)}"]
    return ["turned disappearing messages off" if was[1] is not None else "allows disappearing messages"]


def _timed(said: Agreement) -> tuple[bool, int | None]:
    return said.on(Feature.TIMED_MESSAGES).by_us, said.ttl


def _about_deletion(before: Agreement, after: Agreement) -> list[str]:
    was, is_ = (said.on(Feature.FULL_DELETE).by_us for said in (before, after))
    if was == is_:
        return []
    return ["lets you delete messages without a trace" if is_ else "keeps a mark for messages that you delete"]


def _about_reactions(before: Agreement, after: Agreement) -> list[str]:
    was, is_ = (said.on(Feature.REACTIONS).by_us for said in (before, after))
    if was == is_:
        return []
    return ["allows reactions" if is_ else "no longer allows reactions"]
