"""Limits on what waits for a peer that may never read it: our automatic answers to the peer, and messages of the
user."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store.outgoing import Kind

MAX_OWN = 512
"""How many receipts and similar answers may wait for a contact who does not read. When so many wait, we make no more,
because otherwise the contact could fill our disk. The relay of our queue could do so, too: when the queue was full, the
relay sends us a quota marker, and we answer each marker."""
MAX_OWN_BYTES = 8 << 20
"""How many bytes the answers that `MAX_OWN` counts may take. A sealed answer takes 16 kB, and we keep its plaintext
with it, which counts, too."""
MAX_ANSWERS = 64
"""When a contact moves its queue to another relay, smpchat answers automatically. At most this many such answers may
wait, in addition to `MAX_OWN`."""
MAX_TEXTS = 4_000
"""How many messages of the user, including edits and other changes of earlier messages, may wait for one contact."""
MAX_TEXTS_BYTES = 64 << 20
"""How many bytes the messages that `MAX_TEXTS` counts may take. A sealed message counts with its plaintext."""


def has_room(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Whether one more receipt, or similar automatic answer, may wait to be sent."""
    count, size = _waiting(tx, connection_id, "IS NULL")
    return count < MAX_OWN and size < MAX_OWN_BYTES


def may_answer(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Whether one more answer to a move of the peer's queue may wait to be sent. The limit for these answers is higher
    than the limit for receipts: if the peer moves its queue because the old relay is gone, many receipts may already be
    waiting."""
    return _waiting(tx, connection_id, "IS NULL")[0] < MAX_OWN + MAX_ANSWERS


def takes_texts(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Whether one more message of the user may wait to be sent."""
    count, size = _waiting(tx, connection_id, "IS NOT NULL")
    return count < MAX_TEXTS and size < MAX_TEXTS_BYTES


def _waiting(tx: sqlite3.Connection, connection_id: int, reference: str) -> tuple[int, int]:
    """The number and the total size in bytes of the items that wait to be sealed or sent. If an item is sealed, the
    plaintext that is kept with it counts, too.

    Args:
        reference: ``IS NULL`` selects our automatic answers, ``IS NOT NULL`` the messages of the user.
    """
    count, size = tx.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM"
        " (SELECT length(body) + coalesce(length(message), 0) AS size FROM outbox"
        f" WHERE connection_id = :id AND kind IN (:message, :receipt) AND reference {reference}"
        " UNION ALL SELECT length(message) FROM waiting_messages"
        f" WHERE connection_id = :id AND reference {reference})",
        {"id": connection_id, "message": Kind.MESSAGE, "receipt": Kind.RECEIPT},
    ).fetchone()
    return int(count), int(size)
