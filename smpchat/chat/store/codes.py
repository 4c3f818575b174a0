"""Security codes: that of a connection, and whether the one that the user compared is still it."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store import ratchets


def current(tx: sqlite3.Connection, connection_id: int) -> str | None:
    """The security code of a connection; None while it has no keys."""
    from smpchat.crypto.agreement import security_code

    ratchet = ratchets.find(tx, connection_id)
    return security_code(ratchet.associated_data) if ratchet else None


def is_verified(tx: sqlite3.Connection, connection_id: int, code: str | None) -> bool:
    """Whether a code was compared and is still the same; most were not, and cost nothing."""
    return code is not None and code == current(tx, connection_id)
