"""Which relays the user has agreed to connect to for a contact. By using a link, the user agrees to the link's relay.
By making a link, or by sending a request to an address, the user agrees to the relay of the person who answers. The
user must agree to any other relay explicitly.

If the user has not agreed to a relay, `smpchat.agent.transactions.strangers` decides at which network addresses smpchat
may connect to it.
"""

from __future__ import annotations

import sqlite3

from smpchat.protocol.address import Server

_ANY = ""


def add(tx: sqlite3.Connection, connection_id: int, server: Server | None) -> None:
    """Save that the user agrees to connect to ``server`` for this connection; if ``server`` is None, to every relay
    that the contact names."""
    text = _ANY if server is None else str(server)
    tx.execute("INSERT OR IGNORE INTO consents VALUES (?, ?)", (connection_id, text))


def anywhere(tx: sqlite3.Connection) -> bool:
    """Whether relays that other people name may have any IP address, even one of this computer or of its local
    networks."""
    return tx.execute("SELECT 1 FROM strangers WHERE anywhere").fetchone() is not None


def save_anywhere(tx: sqlite3.Connection, allow: bool) -> None:
    """Save whether smpchat may connect to a relay that another person named at any IP address, even one of this
    computer or of its local networks."""
    tx.execute("DELETE FROM strangers")
    tx.execute("INSERT INTO strangers VALUES (?)", (allow,))


def covers(tx: sqlite3.Connection, server: Server) -> bool:
    """Whether the user has agreed to connect to this relay for at least one contact. If so, the relay learns nothing
    new from another session with us."""
    query = (
        "SELECT 1 FROM consents WHERE server = :server UNION ALL"
        " SELECT 1 FROM consents JOIN send_queues AS q USING (connection_id)"
        " WHERE consents.server = :any AND q.server = :server UNION ALL"
        " SELECT 1 FROM consents JOIN rotations AS q USING (connection_id)"
        " WHERE consents.server = :any AND q.server = :server LIMIT 1"
    )
    return tx.execute(query, {"server": str(server), "any": _ANY}).fetchone() is not None
