"""How much one message to a contact holds."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store import connections
from smpchat.agent.transactions import sending
from smpchat.chat.store.records import Contact
from smpchat.chat.wire.bodies import COMPRESSION_SINCE, Room

PQ_SINCE = 5
"""The first agent version that supports compression, for peers whose chat version is not known yet (agent-wire 1.5)."""


def room_of(tx: sqlite3.Connection, contact: Contact) -> Room:
    """The room in a message to this contact now."""
    version = contact.chat_version
    if version is None:
        connection = connections.load(tx, contact.connection_id)
        # As apps assume of us until we have said it (agent-wire 1.5, last rule).
        version = COMPRESSION_SINCE if connection.agent_version >= PQ_SINCE else 1
    return Room.of(sending.max_body(tx, contact.connection_id), version)
