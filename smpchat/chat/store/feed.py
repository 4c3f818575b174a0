"""The feed of a profile: how events are added to it, and how they describe a connection's handshake."""

from __future__ import annotations

import sqlite3

from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.failures import failure_sentence
from smpchat.agent.store.connections import Connection
from smpchat.chat.store import events, feed_rows
from smpchat.chat.store.records import Contact


def publish(tx: sqlite3.Connection, event: events.ChatEvent) -> None:
    """Adds an event to the feed."""
    feed_rows.publish(tx, *events.to_row(event), _owner(tx, event))


def _owner(tx: sqlite3.Connection, event: events.ChatEvent) -> int:
    """The number of the contact to whom an event belongs; if there is no such contact, a constant of `feed_rows`."""
    match event:
        case events.MessageAdded(number):
            row = tx.execute("SELECT contact_id FROM messages WHERE id = ?", (number,)).fetchone()
        case events.RequestReceived():
            return feed_rows.REQUESTS
        case events.StateChanged(alias=alias) | events.ContactChanged(alias) | events.Notice(alias):
            row = tx.execute("SELECT id FROM contacts WHERE alias = ?", (alias,)).fetchone()
        case _:
            row = tx.execute("SELECT id FROM contacts WHERE alias = ?", (event.contact,)).fetchone()
    return feed_rows.NOBODYS if row is None or row[0] is None else int(row[0])


def describe_state(connection: Connection, contact: Contact | None, now: float) -> events.StateChanged:
    """The state of a connection's handshake, in the form for users and scripts."""
    state = connection.state
    reached = states.connection_state(state)
    began = connection.created_at
    until = now
    if reached is states.ConnectionState.CONNECTED and connection.connected_at is not None:
        # The time at which this state was reached is used instead of the present time. So the event does not depend on
        # when it is made.
        began = until = connection.connected_at
    elif reached is states.ConnectionState.READY and connection.ready_at is not None:
        began = until = connection.ready_at
    return events.StateChanged(
        connection=connection.id,
        alias=contact.alias if contact else None,
        role=states.role(state),
        variant=states.variant(state),
        step=states.reached_step(state),
        state=reached,
        elapsed_ms=max(0, round((until - connection.created_at) * 1000)),
        reason=failure_sentence(state) if isinstance(state, states.Failed) else None,
        failure=state.reason if isinstance(state, states.Failed) else None,
        since=began,
        holds_texts=states.holds_texts(state),
    )
