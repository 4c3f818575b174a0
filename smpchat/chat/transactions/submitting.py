"""Gives messages to the agent, with the number by which the agent later reports their status."""

from __future__ import annotations

import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.transactions import sending
from smpchat.agent.wire.envelope import UserMessage
from smpchat.chat.errors import ContactGone
from smpchat.chat.store import records
from smpchat.chat.store.records import Contact, MessageStatus
from smpchat.chat.transactions import changes, holding
from smpchat.chat.wire.bodies import new_shared_id


def new_id(context: Context) -> str:
    """A new shared id, by which both apps know a message."""
    return new_shared_id(context.entropy.random(12))


def submit(
    tx: sqlite3.Connection, context: Context, contact: Contact, body: bytes, reference: int | None, *, notify: bool
) -> None:
    """Sends the body of a message to a contact, after everything that was sent before.

    Args:
        reference: The number by which the agent reports the status: a message's number, or the negative number of a
            change; None: no status is needed.
        notify: Whether the contact's phone may get a push notification.
    Raises:
        ContactGone, AgentError: Nothing is sent.
    """
    if contact.gone:
        raise ContactGone(contact.alias)
    sending.submit(tx, context, contact.connection_id, UserMessage(body), notify=notify, reference=reference)
    why = holding.reason(tx, contact.connection_id)
    if why is None or reference is None:
        return
    if reference > 0:
        records.set_status(tx, reference, MessageStatus.PENDING, why)
    else:
        changes.set_status(tx, -reference, MessageStatus.PENDING, why)
