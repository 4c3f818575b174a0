"""Held messages: they wait for a decision of the user, because the contact's keys have changed. Edits, deletions and
reactions are held in the same way.

The agent does not send what is held (`smpchat.agent.transactions.sending.holds_texts`). This module stores, for each
held message, a reason that users can see, and sends the messages when the user has decided.
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
"""The notice that the security code has changed, if the user had compared the old code."""
WRITTEN_ANYWAY = (
    "You sent messages to {alias} without comparing the new security code, so {alias} is no longer verified."
)

CODE = "Held: the security code has changed."
KEYS = "Held: new encryption keys came."
OUT_OF_STEP = "Held: messages can no longer be decrypted."
RENEWING = "Waiting: the encryption is being renewed."


def reason(tx: sqlite3.Connection, connection_id: int) -> str | None:
    """Why messages to a contact are held, in words for the user, if changed keys are the cause; otherwise None."""
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
    """Called when the security code has changed. Holds our messages to the contact if the user had compared the old
    code. Returns whether messages are held."""
    # If messages are held, they stay held even if the contact is no longer verified, for example because the user has
    # entered a wrong code.
    if contact.verified_code is None and not outgoing.holds_texts(tx, contact.connection_id):
        return False
    from smpchat.agent.transactions import sending  # imports the ratchet, which commands that only read do not need

    sending.hold_texts(tx, contact.connection_id, now)
    return True


def let_go(tx: sqlite3.Connection, context: Context, contact: Contact) -> bool:
    """Sends the messages that were held because of a new security code. Returns whether messages to this contact were
    held."""
    from smpchat.agent.transactions import sending

    held = outgoing.holds_texts(tx, contact.connection_id)
    for kind in (NoticeKind.CODE_CHANGED, NoticeKind.SECOND_PERSON):
        conditions.end(tx, contact.connection_id, kind)
    sending.let_texts_go(tx, context, contact.connection_id)
    refresh(tx, contact)
    publish(tx, events.ContactChanged(contact.alias))
    return held


def overrule(tx: sqlite3.Connection, context: Context, contact: Contact) -> None:
    """Sends all held messages with the present keys, as the user has decided."""
    why = reason(tx, contact.connection_id)
    if outgoing.holds_texts(tx, contact.connection_id):
        records.save_verified_code(tx, contact.id, None)
        let_go(tx, context, contact)
        context.application.notice(tx, contact.connection_id, WRITTEN_ANYWAY)
        why = reason(tx, contact.connection_id)
    if why == KEYS:
        from smpchat.agent.transactions.connection import overrule_keys  # rarely needed for sending

        overrule_keys(tx, context, contact.connection_id)
    refresh(tx, contact)


def refresh(tx: sqlite3.Connection, contact: Contact) -> None:
    """For each pending message to a contact, and each pending change, saves why it is held; None if it is not held."""
    why = reason(tx, contact.connection_id)
    changed = "contact_id = ? AND status = 'pending' AND reason IS NOT ?"
    rows = tx.execute(f"SELECT id FROM messages WHERE {changed} ORDER BY id", (contact.id, why)).fetchall()
    for table in ("messages", "changes"):
        tx.execute(f"UPDATE {table} SET reason = ? WHERE {changed}", (why, contact.id, why))
    for row in rows:
        publish(tx, events.StatusChanged(row["id"], contact.alias, records.MessageStatus.PENDING, why))
