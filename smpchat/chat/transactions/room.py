"""How long one message to a contact can be."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store import connections
from smpchat.agent.transactions import sending
from smpchat.chat.store.records import Contact
from smpchat.chat.wire.bodies import COMPRESSION_SINCE, Room

PQ_SINCE = 5
"""Since this agent version, apps support compression. As long as the peer's chat version is not known, its agent
version tells whether it supports compression (agent-wire 1.5)."""


def room_of(tx: sqlite3.Connection, contact: Contact) -> Room:
    """How much one message to this contact can contain at present."""
    version = contact.chat_version
    if version is None:
        connection = connections.load(tx, contact.connection_id)
        # As long as the chat version is not known, the agent version stands in for it; apps do the same (agent-wire
        # 1.5, last rule).
        version = COMPRESSION_SINCE if connection.agent_version >= PQ_SINCE else 1
    return Room.of(sending.max_body(tx, contact.connection_id), version)
