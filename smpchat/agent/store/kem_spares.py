"""KEM key pairs that are made ahead of time, because making one takes about 20 ms, and no handshake should wait for
this."""

from __future__ import annotations

import sqlite3

from smpchat.crypto.kem import KEMPrivateKey, KEMPublicKey


def add(tx: sqlite3.Connection, public: KEMPublicKey, private: KEMPrivateKey) -> None:
    """Keep a key pair for later."""
    tx.execute("INSERT INTO kem_spares (public, private) VALUES (?, ?)", (public.raw, private.raw))


def take(tx: sqlite3.Connection) -> tuple[KEMPublicKey, KEMPrivateKey] | None:
    """Take a key pair out of the store; None if the store has none."""
    row = tx.execute(
        # The transaction that uses a key pair also deletes it, so two processes never take the same pair. If a crash
        # prevents the commit, the pair stays in the store.
        "DELETE FROM kem_spares WHERE id = (SELECT min(id) FROM kem_spares) RETURNING public, private"
    ).fetchone()
    return (KEMPublicKey(row["public"]), KEMPrivateKey(row["private"])) if row else None


def count(tx: sqlite3.Connection) -> int:
    """How many key pairs are in the store."""
    return int(tx.execute("SELECT count(*) FROM kem_spares").fetchone()[0])
