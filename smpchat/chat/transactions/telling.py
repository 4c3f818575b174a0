"""Stores notices about a connection in the history of its conversation. A notice of a lasting problem is also stored as
a *condition*, until the problem ends."""

from __future__ import annotations

import sqlite3

from smpchat.agent.machines.notices import CONDITIONS, NoticeKind
from smpchat.chat.store import conditions, events, notices, records, searching
from smpchat.chat.store.feed import publish
from smpchat.chat.store.records import MessageStatus
from smpchat.chat.transactions import holding
from smpchat.chat.wire.content import short_name

_HOLDS = frozenset({NoticeKind.CODE_CHANGED, NoticeKind.NEW_KEYS, NoticeKind.KEYS_DOUBTED, NoticeKind.OUT_OF_STEP})
"""Kinds of notices that decide whether messages are held."""
PERHAPS_LOST = "May be lost: the encryption was renewed before your contact confirmed this message."


MEMBER_GONE = "{alias} no longer gets your messages: their app has ended the connection with you."
_LOOKED_AT = 200
"""How many of the latest messages are searched for unconfirmed ones. More need not be searched, because a queue at the
relay holds 128 messages."""


def tell(
    tx: sqlite3.Connection,
    connection_id: int,
    sentence: str,
    now: float,
    kind: NoticeKind = NoticeKind.INFORMATION,
) -> None:
    """Stores a notice and, if it reports a lasting problem, a condition.

    While a condition lasts, its notice is shown only once, because some problems come up with every message. If
    the user had compared the old security code, a new code is a condition, too: messages are held until the user
    decides, and each further change of the code is shown.
    """
    contact = records.addressee(tx, connection_id)
    if contact is not None and contact.is_group:
        # In a group, a member's deleted queue is not a lasting problem: most such members have left the group, and the
        # conversation has a line about that.
        if kind is NoticeKind.PEER_QUEUE_GONE:
            kind, sentence = NoticeKind.INFORMATION, MEMBER_GONE
        sentence = _of_member(tx, connection_id, sentence)
    stands = kind in CONDITIONS
    if kind is NoticeKind.CODE_CHANGED:
        stands = contact is not None and holding.hold(tx, contact, now)
        sentence = holding.HELD if stands else sentence
        if contact is not None:
            _mark_unconfirmed(tx, contact.id)
    new = not stands or conditions.begin(tx, connection_id, kind, sentence, now)
    if contact is not None and kind in _HOLDS:
        holding.refresh(tx, contact)
    if not new and kind is not NoticeKind.CODE_CHANGED:
        return
    alias, number = None, None
    if contact is not None:
        alias, number = contact.alias, notices.add(tx, contact.id, kind, sentence, now)
    publish(tx, events.Notice(alias, notices.addressed(sentence, alias), number, kind))


def mended(tx: sqlite3.Connection, connection_id: int, *kinds: NoticeKind) -> None:
    """Deletes the conditions of these kinds, because they have ended."""
    over = [kind for kind in kinds if conditions.end(tx, connection_id, kind)]
    contact = records.addressee(tx, connection_id)
    if contact is not None and not _HOLDS.isdisjoint(kinds):
        holding.refresh(tx, contact)
    if over and contact is not None:
        publish(tx, events.ContactChanged(contact.alias))


def _of_member(tx: sqlite3.Connection, connection_id: int, sentence: str) -> str:
    """A sentence about the connection to a member, with the member's name added."""
    row = tx.execute("SELECT group_id, member FROM group_members WHERE connection_id = ?", (connection_id,)).fetchone()
    if row is None:
        return sentence
    from smpchat.chat.store import member_names  # few connections lead to members

    name = "".join("…" if c in "{}`" else c for c in short_name(member_names.name(tx, row["group_id"], row["member"])))
    return sentence.replace("{alias}", f"{name} in {{alias}}")


def _mark_unconfirmed(tx: sqlite3.Connection, contact_id: int) -> None:
    """Marks sent messages that no receipt has confirmed: the contact may have lost the keys to decrypt them."""
    last = searching.find(tx, searching.Selection(contact_id=contact_id), _LOOKED_AT)
    for message in records.load(tx, last):
        # Receipts come in the order of messages, so only messages after the last confirmed one can be lost.
        if message.status is MessageStatus.DELIVERED:
            break
        if message.status is not MessageStatus.SENT:
            continue
        records.set_status(tx, message.id, message.status, PERHAPS_LOST)
        publish(tx, events.StatusChanged(message.id, message.contact, message.status, PERHAPS_LOST))
