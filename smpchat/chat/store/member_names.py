"""The names under which smpchat shows the members of a group: their own names, in the form of an alias, and made
unique.

A name proves nothing. Like an alias, a shown name contains no blanks. So no member can choose a name that looks like
another member's name followed by a message.
"""

from __future__ import annotations

import sqlite3

from smpchat.chat.wire.alias import base_alias, fold, is_reserved
from smpchat.encoding.text import to_base64url

YOU = "you"
"""This word is shown instead of our own name. No member has it as a name, because the word is reserved."""
_SHORT = 7
"""How many characters of a member's id are shown if the member's name is not known."""


def name(tx: sqlite3.Connection, group_id: int, member: bytes) -> str:
    """A member's name, with a number added if an earlier member has the same name."""
    query = "SELECT place, member, name FROM group_members WHERE group_id = ? AND member = ?"
    row = tx.execute(query, (group_id, member)).fetchone()
    if row is None:
        return _own(member, "")
    own = _own(member, row["name"])
    earlier = tx.execute(
        "SELECT member, name FROM group_members WHERE group_id = ? AND place < ?", (group_id, row["place"])
    )
    same = fold(own)
    return _numbered(own, sum(fold(_own(other["member"], other["name"])) == same for other in earlier))


def all_of(tx: sqlite3.Connection, group_id: int) -> dict[bytes, str]:
    """The names of all members, former ones included."""
    taken: dict[str, int] = {}
    found: dict[bytes, str] = {}
    query = "SELECT member, name FROM group_members WHERE group_id = ? ORDER BY place"
    for row in tx.execute(query, (group_id,)):
        own = _own(row["member"], row["name"])
        before = taken.get(fold(own), 0)
        taken[fold(own)] = before + 1
        found[row["member"]] = _numbered(own, before)
    return found


def _own(member: bytes, name: str) -> str:
    return base_alias(name or to_base64url(member)[:_SHORT])


def _numbered(own: str, before: int) -> str:
    if is_reserved(own):  # for example "you" or a number, which commands would not take as a name
        return f"{own}_{before + 2}"
    return own if before == 0 else f"{own}_{before + 1}"
