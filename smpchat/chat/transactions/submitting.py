"""Hands what we say to the agent, with the number by which the agent reports its fate."""

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
    """An id of a message, between the two clients."""
    return new_shared_id(context.entropy.random(12))


def submit(
    tx: sqlite3.Connection, context: Context, contact: Contact, body: bytes, reference: int | None, *, notify: bool
) -> None:
    """Send a body to a contact, behind everything before it.

    Args:
        reference: A message's number, or a change's below 0; None: nobody asks what has become of it.
        notify: The relay may wake the contact's phone.
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
