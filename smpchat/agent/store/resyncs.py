"""Where each connection's re-synchronisation is, our keys while the peer's are awaited, and the keys it has sent."""

from __future__ import annotations

import json
import sqlite3

from smpchat.agent.errors import StoreError
from smpchat.agent.machines import resync_states
from smpchat.crypto.agreement import X3DHKeys
from smpchat.crypto.kem import KEMPrivateKey, KEMPublicKey
from smpchat.crypto.keys import X448PrivateKey
from smpchat.crypto.ratchet_kem import KEMState
from smpchat.encoding.record import Record, field

_STATES = {
    state.__name__: state
    for state in (resync_states.InSync, resync_states.Allowed, resync_states.Required, resync_states.Agreed)
}
"""All but `Started`, which has a field."""


class OwnKeys(Record):
    """The keys that we send for a new ratchet; ``kem``: a proposed KEM key, where we take part in one."""

    x3dh: X3DHKeys = field(repr=False)
    kem: KEMState | None = field(repr=False)


def load(tx: sqlite3.Connection, connection_id: int) -> resync_states.State:
    """The connection's state; most never had another than in sync."""
    row = tx.execute("SELECT state FROM resyncs WHERE connection_id = ?", (connection_id,)).fetchone()
    return _from_json(row["state"]) if row else resync_states.InSync()


def save(tx: sqlite3.Connection, connection_id: int, state: resync_states.State, keys: OwnKeys | None) -> None:
    """The state, with our keys as long as the peer's are awaited."""
    kept = keys if isinstance(state, resync_states.Started) else None
    tx.execute(
        "INSERT OR REPLACE INTO resyncs VALUES (?, ?, ?, ?, ?, ?)",
        (
            connection_id,
            _to_json(state),
            kept.x3dh.key1.raw if kept else None,
            kept.x3dh.key2.raw if kept else None,
            kept.kem.public.raw if kept and kept.kem else None,
            kept.kem.private.raw if kept and kept.kem else None,
        ),
    )


def delete(tx: sqlite3.Connection, connection_id: int) -> None:
    """The connection is over: no keys of the peer's are awaited."""
    tx.execute("DELETE FROM resyncs WHERE connection_id = ?", (connection_id,))


def own_keys(tx: sqlite3.Connection, connection_id: int) -> OwnKeys | None:
    """Our keys that the peer has not answered yet."""
    row = tx.execute("SELECT * FROM resyncs WHERE connection_id = ?", (connection_id,)).fetchone()
    if row is None or row["key1"] is None:
        return None
    kem = None
    if row["kem_public"] is not None:
        kem = KEMState(KEMPublicKey(row["kem_public"]), KEMPrivateKey(row["kem_private"]))
    return OwnKeys(X3DHKeys(X448PrivateKey(row["key1"]), X448PrivateKey(row["key2"])), kem)


def seen(tx: sqlite3.Connection, connection_id: int, keys_hash: bytes) -> bool:
    """Whether the peer sent these keys before."""
    query = "SELECT 1 FROM ratchet_keys_seen WHERE connection_id = ? AND hash = ?"
    return tx.execute(query, (connection_id, keys_hash)).fetchone() is not None


def mark_seen(tx: sqlite3.Connection, connection_id: int, keys_hash: bytes) -> None:
    """Remember keys that were used: a copy of them changes nothing."""
    tx.execute("INSERT OR IGNORE INTO ratchet_keys_seen VALUES (?, ?)", (connection_id, keys_hash))


def _to_json(state: resync_states.State) -> str:
    fields = {"own": state.own.hex()} if isinstance(state, resync_states.Started) else {}
    return json.dumps({"state": type(state).__name__, **fields})


def _from_json(text: str) -> resync_states.State:
    try:
        fields = json.loads(text)
        name = fields.pop("state")
        return resync_states.Started(bytes.fromhex(fields["own"])) if name == "Started" else _STATES[name]()
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            "The profile's database holds a re-synchronisation that this version does not know."
        ) from error
