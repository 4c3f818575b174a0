"""A profile of an earlier version loses the keys that are spent, and keeps those that something needs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake_states import Answer, Failure, Role
from smpchat.agent.store import connections, ratchets, rotations
from smpchat.agent.store.database import Database
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.agent.store.states import state_to_json
from smpchat.crypto.kem import PRIVATE_SIZE
from smpchat.crypto.keys import X448PrivateKey, X25519PrivateKey
from tests.faults.key_walk import files, left_over
from tests.unit.agent.agents import INSTANT, STANDARD
from tests.unit.crypto.ratchets import two_ratchets

BEFORE = next(n for n, script in enumerate(AGENT_MIGRATIONS) if "x3dh_public" in script)
"""The version whose profiles hold them."""
KEY_1, KEY_2 = b"1" * 56, b"2" * 56
LINK = f"simplex:/i#{'B' * 32}/{'C' * 42}A?h=relay.test&c={'D' * 42}A"
STATES: dict[str, states.State] = {
    "inviting": states.Inviting(INSTANT),
    "invited": states.Invited(STANDARD),
    "preparing": states.Preparing(INSTANT, address_known=False),
    "requesting": states.Requesting(INSTANT),
    "requested": states.Requested(INSTANT),
    "reading": states.ReadingLink(),
    "joining": states.Joining(INSTANT, send_early=True, send_queue_ready=False),
    "confirming": states.Confirming(INSTANT, True, Answer.SECURED, signed=True),
    "answering": states.Answering(INSTANT, Answer.SECURED, securable=True),
    "connected": states.Connected(Role.INITIATOR, INSTANT, Answer.SECURED),
    "failed": states.Failed(Role.JOINER, INSTANT, Failure.LINK_USED),
    "deleted": states.Deleted(Role.JOINER, INSTANT),
    "farewell": states.Deleted(Role.JOINER, INSTANT),
}
WAITING = ("inviting", "invited", "preparing", "requesting", "requested")


def insert(tx: sqlite3.Connection, table: str, **values: object) -> None:
    marks = ", ".join("?" for _ in values)
    tx.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


@pytest.fixture(params=STATES)
def migrated(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Database]:
    name: str = request.param
    old = Database(tmp_path / "old.db", {"agent": AGENT_MIGRATIONS[:BEFORE]})
    state, (ratchet, _) = STATES[name], two_ratchets()
    mine = {"connection_id": 1, "server": "smp://AAAA@relay.test", "snd_id": b"s"}
    queue = {"auth_key": b"a" * 32, "dh_secret": b"d" * 32, "e2e_key": b"e" * 32}
    with old.transaction() as tx:
        insert(
            tx, "connections", id=1, state=state_to_json(state), agent_version=7, client_version=4, e2e_version=3,
            x3dh_key1=KEY_1, x3dh_key2=KEY_2, reply_key=b"r" * 32, created_at=1.0, received_id=2,
        )  # fmt: skip
        opened = None if name in (*WAITING, "reading", "joining") else b"o" * 32
        insert(tx, "receive_queues", **mine, **queue, rcv_id=b"r", mode="MESSAGING", e2e_secret=opened)
        insert(tx, "other_receive_queues", **mine, **queue, rcv_id=b"x", left_at=1.0, e2e_secret=b"o" * 32)
        sending = {"client_version": 4, "auth_key": b"A" * 32, "e2e_key": b"E" * 32, "e2e_secret": b"S" * 32}
        insert(tx, "send_queues", **mine, **sending)
        insert(tx, "rotations", **mine, **sending, stage="keyed")
        insert(tx, "ratchets", connection_id=1, state=ratchet.to_bytes())
        skipped = {"header_key": b"h" * 32, "number": 1, "message_key": b"m" * 32, "iv": b"i" * 16}
        insert(tx, "skipped_keys", connection_id=1, **skipped)
        kem = {"kem_public": b"p" * 1158, "kem_private": b"k" * PRIVATE_SIZE}
        insert(tx, "short_links", connection_id=1, link=LINK, link_id=b"l" * 24, auth_key=b"u" * 32, **kem)
        insert(tx, "resyncs", connection_id=1, state='{"state": "InSync"}')
        insert(tx, "addresses", connection_id=1, auto_accept=0, root_key=b"R" * 32, user_data=b"{}")
        if name == "farewell":
            insert(tx, "outbox", connection_id=1, lane="send", priority=2, kind="farewell")
    old.close()
    return name, Database(tmp_path / "old.db", {"agent": AGENT_MIGRATIONS})


def test_what_is_spent_is_gone_and_the_rest_is_read(migrated: tuple[str, Database]) -> None:
    name, database = migrated
    expected = ["short_links.auth_key"] if name in ("inviting", "invited") else []  # which has none in truth
    if name == "reading":
        expected = ["short_links.kem_private"]  # likewise
    assert left_over(database) == expected
    tx, data = database.connection, files(database.path)
    connection = connections.load(tx, 1)
    assert (connection.x3dh_keys is not None) == (name in WAITING) == (KEY_1 in data)
    public = X448PrivateKey(KEY_1).public().raw + X448PrivateKey(KEY_2).public().raw
    assert connection.x3dh_public == (public if name == "joining" else None)
    over = name in ("failed", "deleted", "farewell")
    assert (ratchets.find(tx, 1) is None) == over
    assert len(ratchets.load_skipped(tx, 1)) == (0 if over else 1)
    sending, moving = connections.send_queue(tx, 1), rotations.load(tx, 1)
    if name in ("failed", "deleted"):
        assert sending is None and moving is None
    else:
        assert sending is not None and moving is not None
        assert sending.e2e_public == moving.queue.e2e_public == X25519PrivateKey(b"E" * 32).public()
    receiving = connections.receive_queue(tx, 1)
    assert receiving is not None and receiving.auth_key.raw == b"a" * 32
    assert (receiving.dh_secret is None) == over
    assert (receiving.e2e_key is None) == (name not in (*WAITING, "reading", "joining"))
    [row] = database.read("SELECT link FROM short_links")
    assert row["link"] == (LINK if name in ("inviting", "invited", "reading") else LINK.replace("C" * 42, "A" * 42))
    database.close()
