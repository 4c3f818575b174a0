"""Erases keys, in the same transaction that makes them useless. This module says which keys are erased together, and
when the write-ahead log is emptied.

docs/keys.md says what each key column is for, and until when it is kept. SQLite writes zeros over what is deleted
(``secure_delete``), but older pages stay in the write-ahead log until it is emptied: `empty_log` asks for that.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.store import addresses, connections, links, ratchets

EMPTY_LOG = "empty_log_after_commit"
"""Name of an SQL function. If a transaction calls this function, the write-ahead log is emptied after the commit. The
function is defined in `smpchat.agent.store.database`."""


def empty_log(tx: sqlite3.Connection) -> None:
    """Ask for the write-ahead log to be emptied after this transaction is committed, so that the log does not keep what
    the transaction erased."""
    tx.execute(f"SELECT {EMPTY_LOG}()").fetchone()


def after_agreement(tx: sqlite3.Connection, connection_id: int) -> None:
    """Erase the keys of our link, because someone has answered the link. From now on, the keys would help only a thief
    who recorded the answer."""
    connections.forget_handshake_keys(tx, connection_id)
    links.forget_keys(tx, connection_id)
    empty_log(tx)


def after_link(tx: sqlite3.Connection, connection_id: int) -> None:
    """We have read the data of another person's short link, so erase the keys that we stored with the link. Our key for
    the link's queue is now stored in `SendQueue`."""
    links.forget_keys(tx, connection_id)
    empty_log(tx)


def stop_reading(tx: sqlite3.Connection, connection_id: int) -> None:
    """Erase the keys for receiving, except those in the ratchet and those that we need to delete the connection's
    queues. Messages that still arrive are not decrypted."""
    from smpchat.agent.store import resyncs  # imported here: every process that opens a store imports this module

    connections.forget_handshake_keys(tx, connection_id)
    links.forget_keys(tx, connection_id)
    connections.forget_reading_keys(tx, connection_id)
    ratchets.forget_skipped(tx, connection_id)
    resyncs.delete(tx, connection_id)
    addresses.forget_root_key(tx, connection_id)
    empty_log(tx)


def stop_writing(tx: sqlite3.Connection, connection_id: int) -> None:
    """Erase everything that is needed for sending. From now on, no new message is encrypted for the connection, and no
    message that was encrypted before is sent."""
    from smpchat.agent.store import rotations

    ratchets.delete(tx, connection_id)
    rotations.delete(tx, connection_id)
    connections.delete_send_queue(tx, connection_id)
    empty_log(tx)
