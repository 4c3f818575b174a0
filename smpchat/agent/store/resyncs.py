"""The state of each connection's re-synchronisation, in which both sides agree on a new ratchet: our keys that wait for
an answer, and the keys that the peer has sent."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from smpchat.agent.errors import StoreError
from smpchat.agent.machines import resync_states
from smpchat.crypto.agreement import E2EParams, X3DHKeys, e2e_params
from smpchat.crypto.kem import KEMPrivateKey, KEMPublicKey
from smpchat.crypto.keys import X448PrivateKey
from smpchat.crypto.ratchet_kem import KEMState
from smpchat.encoding.record import Record, field

_STATES = {
    state.__name__: state
    for state in (resync_states.InSync, resync_states.Allowed, resync_states.Required, resync_states.Agreed)
}
"""The states without fields."""

KEPT_SEEN = 64
"""How many keys of one peer are remembered, to recognise copies. If the peer sends keys again that we no longer
remember, the user may be asked about them once more. Nothing worse happens."""
MAX_ASKED = 16
"""How often in a day the user is asked about new keys of one peer. Further keys that the peer sends are dropped."""
DAY = 86_400.0


class OwnKeys(Record):
    """Our key pairs for a new ratchet. We send the public halves to the peer. ``kem`` is None if we use no KEM."""

    x3dh: X3DHKeys = field(repr=False)
    kem: KEMState | None = field(repr=False)


def load(tx: sqlite3.Connection, connection_id: int) -> resync_states.State:
    """The state of the connection's re-synchronisation. For most connections, no state is stored: their ratchets have
    always been in sync."""
    row = tx.execute("SELECT state FROM resyncs WHERE connection_id = ?", (connection_id,)).fetchone()
    return _from_json(row["state"]) if row else resync_states.InSync()


def save(tx: sqlite3.Connection, connection_id: int, state: resync_states.State, keys: OwnKeys | None) -> None:
    """Save the state. Our keys are saved only if we are waiting for the peer's keys; otherwise they are erased. The
    peer's keys (see `save_asked`) are erased unless the user must still accept or refuse them."""
    kept = keys if isinstance(state, resync_states.Started) else None
    asks = isinstance(state, resync_states.Asked)
    tx.execute(
        "INSERT INTO resyncs (connection_id, state, key1, key2, kem_public, kem_private) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (connection_id) DO UPDATE SET state = excluded.state, key1 = excluded.key1, key2 = excluded.key2,"
        " kem_public = excluded.kem_public, kem_private = excluded.kem_private,"
        f" asked = {'asked' if asks else 'NULL'}",
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
    """Delete the state of the connection's re-synchronisation, because the connection has ended."""
    tx.execute("DELETE FROM resyncs WHERE connection_id = ?", (connection_id,))


def save_asked(tx: sqlite3.Connection, connection_id: int, theirs: E2EParams) -> None:
    """Save the peer's keys that the user must accept or refuse. Call `save` first, which stores the state."""
    tx.execute("UPDATE resyncs SET asked = ? WHERE connection_id = ?", (e2e_params.encode(theirs), connection_id))


def asked(tx: sqlite3.Connection, connection_id: int) -> E2EParams | None:
    """The peer's keys that the user must accept or refuse; None if there are no such keys."""
    row = tx.execute("SELECT asked FROM resyncs WHERE connection_id = ?", (connection_id,)).fetchone()
    return e2e_params.decode(row["asked"]) if row and row["asked"] is not None else None


def own_keys(tx: sqlite3.Connection, connection_id: int) -> OwnKeys | None:
    """Our keys for a new ratchet, if we have sent them and wait for the peer's keys; otherwise None."""
    row = tx.execute("SELECT * FROM resyncs WHERE connection_id = ?", (connection_id,)).fetchone()
    if row is None or row["key1"] is None:
        return None
    kem = None
    if row["kem_public"] is not None:
        kem = KEMState(KEMPublicKey(row["kem_public"]), KEMPrivateKey(row["kem_private"]))
    return OwnKeys(X3DHKeys(X448PrivateKey(row["key1"]), X448PrivateKey(row["key2"])), kem)


def seen(tx: sqlite3.Connection, connection_id: int, keys_hash: bytes) -> bool:
    """Whether the peer sent the keys with this hash before."""
    query = "SELECT 1 FROM ratchet_keys_seen WHERE connection_id = ? AND hash = ?"
    return tx.execute(query, (connection_id, keys_hash)).fetchone() is not None


def mark_seen(tx: sqlite3.Connection, connection_id: int, keys_hash: bytes, now: float) -> None:
    """Remember ratchet keys that came from the peer, so that they change nothing if they arrive again. Only the last
    `KEPT_SEEN` keys are remembered."""
    tx.execute(
        "INSERT OR IGNORE INTO ratchet_keys_seen (connection_id, hash, at) VALUES (?, ?, ?)",
        (connection_id, keys_hash, now),
    )
    tx.execute(
        "DELETE FROM ratchet_keys_seen WHERE connection_id = ? AND hash NOT IN"
        " (SELECT hash FROM ratchet_keys_seen WHERE connection_id = ? ORDER BY at DESC, hash LIMIT ?)",
        (connection_id, connection_id, KEPT_SEEN),
    )


def seen_lately(tx: sqlite3.Connection, connection_id: int, now: float) -> int:
    """How many different ratchet keys the peer has sent within the last day."""
    query = "SELECT count(*) FROM ratchet_keys_seen WHERE connection_id = ? AND at > ?"
    return int(tx.execute(query, (connection_id, now - DAY)).fetchone()[0])


def _to_json(state: resync_states.State) -> str:
    return json.dumps(_fields(state))


def _fields(state: resync_states.State) -> dict[str, Any]:
    fields: dict[str, Any] = {"state": type(state).__name__}
    match state:
        case resync_states.Started(own):
            fields["own"] = own.hex()
        case resync_states.Asked(theirs, at, under, proven):
            fields |= {"theirs": theirs.hex(), "at": at, "under": type(under).__name__, "proven": proven}
    return fields


def _from_json(text: str) -> resync_states.State:
    try:
        fields = json.loads(text)
        match fields["state"]:
            case "Started":
                return resync_states.Started(bytes.fromhex(fields["own"]))
            case "Asked":
                theirs, under = bytes.fromhex(fields["theirs"]), _STATES[fields["under"]]()
                return resync_states.Asked(theirs, int(fields["at"]), under, bool(fields["proven"]))
            case name:
                return _STATES[name]()
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            "The profile's database contains a key renewal that this version of smpchat does not know."
        ) from error
