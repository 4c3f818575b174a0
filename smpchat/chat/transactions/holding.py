"""Texts that wait for the user's own decision, because keys of their contact have changed: why, and until when.

The agent holds them, whichever process sends: `smpchat.agent.transactions.sending.holds_texts`. Here is what people see
of it: each waiting message and change with its reason; and how these are sent on.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from smpchat.agent.machines import resync_states
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import outgoing, resyncs
from smpchat.chat.store import conditions, events, records
from smpchat.chat.store.feed import publish
from smpchat.chat.store.records import Contact

if TYPE_CHECKING:
    from smpchat.agent.context import Context

HELD = (
    "The security code with {alias} has changed because the encryption was renewed. Your messages are held until"
    " you compare the new code, over a call or face to face: `smpchat verify {who}`. To send them anyway:"
    " `smpchat send {who} --anyway`."
)
"""The code was compared before, so the user trusts it."""
WRITTEN_ANYWAY = (
    "You sent messages to {alias} without comparing the new security code, so {alias} is no longer verified."
)

CODE = "Held: the security code has changed."
KEYS = "Held: new encryption keys came."
OUT_OF_STEP = "Held: messages can no longer be decrypted."
RENEWING = "Waiting: the encryption is being renewed."


def reason(tx: sqlite3.Connection, connection_id: int) -> str | None:
    """Why what is written to a contact waits, as far as keys are the reason; None if it does not."""
    if outgoing.holds_texts(tx, connection_id):
        return CODE
    match resyncs.load(tx, connection_id):
        case resync_states.Asked(proven=False):
            return KEYS
        case resync_states.Required():
            return OUT_OF_STEP
        case resync_states.Started() | resync_states.Agreed():
            return RENEWING
    return None


def hold(tx: sqlite3.Connection, contact: Contact, now: float) -> bool:
    """The security code has changed: hold texts if the old one had been compared; whether they are held."""
    # Also where it is held already, and a wrong code was compared since: that is no reason to let anything go.
    if contact.verified_code is None and not outgoing.holds_texts(tx, contact.connection_id):
        return False
    from smpchat.agent.transactions import sending  # with the ratchet, for which commands that read do not wait

    sending.hold_texts(tx, contact.connection_id, now)
    return True


def let_go(tx: sqlite3.Connection, context: Context, contact: Contact) -> bool:
    """Send what was held for a new security code; whether anything was."""
    from smpchat.agent.transactions import sending

    held = outgoing.holds_texts(tx, contact.connection_id)
    for kind in (NoticeKind.CODE_CHANGED, NoticeKind.SECOND_PERSON):
        conditions.end(tx, contact.connection_id, kind)
    sending.let_texts_go(tx, context, contact.connection_id)
    refresh(tx, contact)
    publish(tx, events.ContactChanged(contact.alias))
    return held


def overrule(tx: sqlite3.Connection, context: Context, contact: Contact) -> None:
    """Send everything that is held with the keys in use, as the user decided."""
    why = reason(tx, contact.connection_id)
    if outgoing.holds_texts(tx, contact.connection_id):
        records.save_verified_code(tx, contact.id, None)
        let_go(tx, context, contact)
        context.application.notice(tx, contact.connection_id, WRITTEN_ANYWAY)
        why = reason(tx, contact.connection_id)
    if why == KEYS:
        from smpchat.agent.transactions.connection import overrule_keys  # whoever sends has no need of the machine

        overrule_keys(tx, context, contact.connection_id)
    refresh(tx, contact)


def refresh(tx: sqlite3.Connection, contact: Contact) -> None:
    """Save for every message and change whether it waits, and why."""
    why = reason(tx, contact.connection_id)
    changed = "contact_id = ? AND status = 'pending' AND reason IS NOT ?"
    rows = tx.execute(f"SELECT id FROM messages WHERE {changed} ORDER BY id", (contact.id, why)).fetchall()
    for table in ("messages", "changes"):
        tx.execute(f"UPDATE {table} SET reason = ? WHERE {changed}", (why, contact.id, why))
    for row in rows:
        publish(tx, events.StatusChanged(row["id"], contact.alias, records.MessageStatus.PENDING, why))
