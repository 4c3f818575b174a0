"""Security codes: the code of a connection, and whether it is still the one that the user compared."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store import ratchets


def current(tx: sqlite3.Connection, connection_id: int) -> str | None:
    """The security code of a connection; None as long as the connection has no keys."""
    from smpchat.crypto.agreement import security_code

    ratchet = ratchets.find(tx, connection_id)
    return security_code(ratchet.associated_data) if ratchet else None


def is_verified(tx: sqlite3.Connection, connection_id: int, code: str | None) -> bool:
    """Whether ``code``, which the user compared, is still the code of the connection; False if ``code`` is None.

    If ``code`` is None, the connection's keys are not loaded. This makes lists of contacts fast.
    """
    return code is not None and code == current(tx, connection_id)
