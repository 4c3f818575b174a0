"""Beginning a connection, what waits for it, and the store of an older version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from smpchat.agent.errors import AgentError, IncompatibleVersion, LinkJoinedError, OwnLinkError
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.resync_states import Required
from smpchat.agent.store import addresses, connections, kem_spares, outgoing, ratchets, resyncs
from smpchat.agent.store.database import Database
from smpchat.agent.store.outgoing import Kind
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.agent.transactions import connection, linking
from smpchat.agent.transactions.sending import max_body
from smpchat.agent.wire.envelope import UserMessage
from smpchat.crypto.errors import CryptoError
from smpchat.testing.kem import HashKEM
from tests.unit.agent.agents import INSTANT, STANDARD, Agent, connected, exchange


def submit(agent: Agent, text: bytes) -> None:
    agent.do(lambda tx, context: connection.submit(tx, context, agent.id, UserMessage(text)))


class TestJoining:
    def test_keys_and_ratchet_are_stored_before_anything_is_sent(self, tmp_path: Path) -> None:
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path)
        bob.join(alice.invite())
        assert ratchets.load(bob.tx, bob.id).sending is not None
        assert {item.kind for item in bob.next()} == {Kind.SECURE_SEND, Kind.CREATE}

    def test_no_kem_key_is_made_before_the_network_is_asked(self, tmp_path: Path) -> None:
        kem = HashKEM()
        alice, bob = Agent("alice", tmp_path, HashKEM("alice")), Agent("bob", tmp_path, kem)
        bob.join(alice.invite())
        assert kem.generated == 0
        bob.do(lambda tx, _: kem_spares.add(tx, *kem.generate()))
        [body] = bob.carry_out()
        assert kem.generated == 1 and kem_spares.count(bob.tx) == 0, "the confirmation took the spare one"
        alice.receive(body)
        assert ratchets.load(alice.tx, alice.id).kem_sending

    def test_own_links_and_used_links_are_refused(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        link = bob.connection.link
        assert link is not None
        with pytest.raises(OwnLinkError):
            alice.join(link)
        with pytest.raises(LinkJoinedError):
            bob.join(link)
        bob.do(lambda tx, context: connection.delete(tx, context, bob.id))
        with pytest.raises(LinkJoinedError):  # its queue is still to be removed
            bob.join(link)
        assert len(connections.load_all(bob.tx)) == 1

    @pytest.mark.parametrize(
        ("part", "other", "layer"),
        [("?v=2-7", "?v=8-9", "agent"), ("v%3D2-3", "v%3D4-5", "end-to-end"), ("v%3D1-4", "v%3D5-6", "SMP client")],
    )
    def test_versions_that_do_not_overlap_are_named(self, tmp_path: Path, part: str, other: str, layer: str) -> None:
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path)
        link = alice.invite()
        assert part in link
        with pytest.raises(IncompatibleVersion, match=layer):
            bob.join(link.replace(part, other))
        assert connections.load_all(bob.tx) == []

    def test_keys_of_low_order_store_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path)
        link = alice.invite()

        def refuse(*_: object) -> None:
            raise CryptoError("low order")

        monkeypatch.setattr(linking, "agree_joiner", refuse)
        with pytest.raises(CryptoError):
            bob.join(link)
        assert connections.load_all(bob.tx) == [] and not outgoing.lanes(bob.tx, 0)

    @pytest.mark.parametrize(
        ("part", "other"), [("?v=2-7", "?v=2-4"), ("v%3D2-3", "v%3D2")], ids=["agent-below-5", "e2e-2"]
    )
    def test_older_versions_have_no_room_for_a_kem(self, tmp_path: Path, part: str, other: str) -> None:
        kem = HashKEM()
        alice, bob = Agent("alice", tmp_path, kem), Agent("bob", tmp_path, kem)
        bob.join(alice.invite(STANDARD).replace(part, other))
        assert max_body(alice.tx, alice.id) == 13_380, "until the answer comes it might be wanted"
        exchange(bob, alice)
        for agent in (alice, bob):
            assert isinstance(agent.connection.state, states.Connected)
            assert max_body(agent.tx, agent.id) == 15_602
            assert not ratchets.pq_active(agent.tx, agent.id)
        assert kem.generated == 0


class TestWaiting:
    def test_texts_wait_for_the_confirmation_and_keep_their_order(self, tmp_path: Path) -> None:
        alice, bob = Agent("alice", tmp_path), Agent("bob", tmp_path)
        bob.join(alice.invite())
        for text in (b"one", b"two"):
            submit(bob, text)
        assert Kind.MESSAGE not in {item.kind for item in bob.next()}
        exchange(bob, alice)
        assert [what[0] for what in alice.messages if isinstance(what, tuple)] == [b"one", b"two"]

    def test_a_broken_ratchet_holds_texts_and_receipts(self, tmp_path: Path) -> None:
        alice, bob = connected(tmp_path)
        alice.do(lambda tx, _: resyncs.save(tx, alice.id, Required(), None))
        submit(alice, b"waits")
        assert alice.next() == []
        submit(bob, b"opens again")
        exchange(alice, bob)
        assert bob.messages and alice.messages, "a message that opens lets everything go"

    @pytest.mark.parametrize("state", ["failed", "deleted"])
    def test_nothing_is_taken_for_a_connection_that_is_over(self, tmp_path: Path, state: str) -> None:
        _, bob = connected(tmp_path)
        if state == "failed":
            failed = states.Failed(states.Role.JOINER, INSTANT, states.Failure.LINK_USED)
            bob.do(lambda tx, _: connections.save_state(tx, bob.id, failed, 0))
        else:
            bob.do(lambda tx, context: connection.delete(tx, context, bob.id))
        with pytest.raises(AgentError):
            submit(bob, b"late")


def test_a_database_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its connections go on, without room for a KEM until the peer makes some."""
    path = tmp_path / "old.db"
    Database(path, {"agent": AGENT_MIGRATIONS[:1]}).close()
    old = sqlite3.connect(path)
    old.execute(
        "INSERT INTO connections (state, agent_version, client_version, e2e_version, x3dh_key1, x3dh_key2, created_at)"
        " VALUES (?, 7, 4, 3, ?, ?, 0)",
        ('{"state": "Invited", "terms": {"sender_securable": true, "reply_key": true}}', bytes(56), bytes(56)),
    )
    old.commit()
    old.close()
    database = Database(path, {"agent": AGENT_MIGRATIONS})
    [found] = connections.load_all(database.connection)
    assert not found.pq_support
    assert max_body(database.connection, found.id) == 15_602
    assert (addresses.current(database.connection), addresses.requests(database.connection)) == (None, [])
    database.close()
