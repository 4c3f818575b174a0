"""Chooses aliases for contacts: unused, and not similar to another alias. Warns if a contact's own name looks like
another contact's alias."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from smpchat.chat.errors import AliasInUse
from smpchat.chat.store import invitations, names
from smpchat.chat.store.records import Contact
from smpchat.chat.transactions import telling
from smpchat.chat.wire.alias import MAX_ALIAS, alias_from_name, base_alias, fold, is_reserved, looks
from smpchat.encoding.patterns import late

LOOKS_ALIKE = (
    "{{alias}} chose a name that looks like your contact {other}. Anyone can choose any name, so this may be"
    " someone else. Compare security codes: `smpchat verify {{who}}`. Or choose another alias: `smpchat rename"
    " {{who}} ALIAS`."
)
_ENDS = late(r"^[\W_]+|[\W_]+$")
RENAMED = "{{alias}} used to have the alias {before}, which is a word or number that smpchat itself uses."


def free_alias(tx: sqlite3.Connection, name: str, contact_id: int | None = None, *, invited: bool = False) -> str:
    """An alias for a contact, made from ``name``: not in use, and not similar to another alias.

    Args:
        contact_id: The contact that gets the alias; None if the contact does not exist yet.
        invited: Whether ``name`` is the user's own note on an invitation, not a name that the contact chose. An alias
            made from a note may look like another alias, but must not be in use.
    """
    folded: set[str] = set()
    looked: set[str] = set()
    for _, other, alike in _others(tx, contact_id):
        folded.add(fold(other))
        looked |= alike
    for note in () if invited else filter(None, invitations.notes(tx).values()):
        folded.add(fold(note))
        looked |= looks(note)
    if invited:  # aliases that the user chose may look alike
        return alias_from_name(name, lambda alias: fold(alias) in folded)
    return alias_from_name(name, lambda alias: fold(alias) in folded or not looked.isdisjoint(looks(alias)))


def check_unlike(tx: sqlite3.Connection, alias: str, but: Iterable[int] = ()) -> None:
    """Raises `AliasInUse` if an alias that the user chose looks like the alias of a contact, unless the contact's
    number is in ``but``."""
    shown = looks(alias)
    for number, other, alike in _others(tx, None):
        if number not in but and not alike.isdisjoint(shown) and fold(other) != fold(alias):
            raise AliasInUse(alias, other)


def watch(tx: sqlite3.Connection, contact: Contact, name: str, now: float) -> None:
    """Warns if a contact's name looks like another contact's alias, unless the user has confirmed the contact."""
    if contact.confirmed:
        return
    alike = _like(tx, name, contact.id)
    if alike is None or contact.resembles == alike[0]:
        return
    names.mark_resembling(tx, contact.id, alike[0])
    telling.tell(tx, contact.connection_id, LOOKS_ALIKE.format(other=_quoted(alike[1])), now)


def like(tx: sqlite3.Connection, name: str) -> str | None:
    """A contact's alias that looks like ``name``, the name of a person who is not a contact yet; None if there is
    none."""
    alike = _like(tx, name, None)
    return alike[1] if alike else None


def _like(tx: sqlite3.Connection, name: str, contact_id: int | None) -> tuple[int, str, frozenset[str]] | None:
    base = base_alias(name)
    shown = looks(base) | looks(_ENDS().sub("", base))  # bob, bob! and ~bob~ look the same
    return next((other for other in _others(tx, contact_id) if not other[2].isdisjoint(shown)), None)


def settle(tx: sqlite3.Connection, now: float) -> None:
    """Updates contacts that an old version of smpchat stored: finds out whether the user chose the alias, or smpchat
    made it from the contact's own name.

    A contact with a reserved alias, such as *you*, gets another one, and the user is told.
    """
    for contact in names.unsettled(tx):
        own = [name for name in (contact.profile and contact.profile.display_name, contact.link_name) if name]
        if contact.verified_code is not None or not any(_made_from(contact.alias, name) for name in own):
            names.confirm(tx, contact.id)
        alias = contact.alias
        if is_reserved(alias):
            alias = free_alias(tx, alias, contact.id)
            telling.tell(tx, contact.connection_id, RENAMED.format(before=_quoted(contact.alias)), now)
        names.settle(tx, contact.id, alias)


def _made_from(alias: str, name: str) -> bool:
    """Whether the alias was made from the name, perhaps with a number added."""
    base = base_alias(name)
    stem, _, number = alias.rpartition("_")
    return fold(alias) == fold(base) or (number.isdecimal() and base[: MAX_ALIAS - 1 - len(number)] == stem)


def _others(tx: sqlite3.Connection, contact_id: int | None) -> list[tuple[int, str, frozenset[str]]]:
    """The number, the alias and the `looks` of each contact except contact number ``contact_id``."""
    return [other for other in names.alias_looks(tx) if other[0] != contact_id]


def _quoted(alias: str) -> str:
    """An alias without the characters that have a meaning in our sentences: braces (placeholders) and backticks
    (commands)."""
    return "".join("…" if character in "{}`" else character for character in alias)
