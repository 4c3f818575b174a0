"""Short links of our own, and joining by somebody else's: what is stored, what is refused, who is recognised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smpchat.agent.errors import LinkError, LinkJoinedError, MissingRecord, OwnLinkError
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.failures import failure_sentence
from smpchat.agent.machines.handshake_events import JoinReleased, SendQueueRefused
from smpchat.agent.machines.handshake_states import Failed, Failure, Role
from smpchat.agent.store import connections, links, outgoing, ratchets
from smpchat.agent.store.outgoing import Kind
from smpchat.agent.transactions import connection, linking, outbox
from smpchat.agent.transactions.outbox import Verdict
from smpchat.agent.transactions.sending import max_body
from smpchat.agent.wire.envelope import AGENT_VERSIONS, UserMessage
from smpchat.agent.wire.link_data import open_link, seal_link, sender_id_for
from smpchat.agent.wire.links import InvitationLink, parse_link
from smpchat.agent.wire.presets import SIMPLEX_SERVERS
from smpchat.agent.wire.short_links import ShortInvitation, format_short_link, parse_short_link
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.kem import KEMProposed
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import Ids, LKey, Lnk, New, Ok, SKey
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from tests.unit.agent.agents import INSTANT, RELAY, STANDARD, Agent, connected, exchange

THREE_STEP = states.Terms(sender_securable=False, reply_key=True)


def pair(folder: Path, *, kem: bool = False) -> tuple[Agent, Agent]:
    """Alice, who has made a link, and Bob."""
    alice = Agent("alice", folder, HashKEM("alice") if kem else None)
    bob = Agent("bob", folder, HashKEM("bob") if kem else None)
    alice.invite()
    return alice, bob


def short(agent: Agent) -> ShortInvitation:
    assert agent.short_link is not None
    link = parse_link(agent.short_link)
    assert isinstance(link, ShortInvitation)
    return link


def lnk(agent: Agent) -> Lnk:
    """What the relay keeps behind the agent's short link."""
    assert isinstance(agent.lnk, Lnk)
    return agent.lnk


def behind(agent: Agent) -> InvitationLink:
    """What the agent's short link leads to."""
    request = open_link(short(agent), lnk(agent)).request
    assert isinstance(request, InvitationLink)
    return request


def reading(agent: Agent) -> outgoing.OutboxItem:
    return next(item for item in agent.next() if item.kind is Kind.READ_LINK)


def read(agent: Agent, answer: object) -> None:
    """The relay answers LKEY."""
    item = reading(agent)
    agent.do(lambda tx, context: outbox.accepted(tx, context, item, b"", answer))  # type: ignore[arg-type]


def failed(agent: Agent) -> Failed:
    state = agent.connection.state
    assert isinstance(state, Failed)
    return state


def sender_id_of(creation: outbox.Creation) -> bytes:
    """The sender id that a NEW asks for."""
    assert creation.publication is not None
    return sender_id_for(creation.publication.corr_id)


class TestMaking:
    def test_both_links_lead_to_the_same_queue_with_the_same_keys(self, tmp_path: Path) -> None:
        alice, _ = pair(tmp_path)
        full = parse_link(alice.connection.link or "")
        assert behind(alice) == full
        assert isinstance(full, InvitationLink) and full.reply_key is not None

    def test_only_the_short_one_offers_a_kem_key(self, tmp_path: Path) -> None:
        alice, _ = pair(tmp_path, kem=True)
        full, offered = parse_link(alice.connection.link or ""), links.kem(alice.tx, alice.id)
        assert offered is not None
        assert behind(alice).e2e.kem == KEMProposed(offered.public)
        assert isinstance(full, InvitationLink) and full.e2e.kem is None
        assert behind(alice) == replace(full, e2e=replace(full.e2e, kem=KEMProposed(offered.public)))

    def test_the_profile_stands_there_to_be_read(self, tmp_path: Path) -> None:
        alice, _ = pair(tmp_path)
        assert open_link(short(alice), lnk(alice)).user_data == b'{"link":true}'

    def test_each_try_has_ids_keys_and_data_of_its_own(self, tmp_path: Path) -> None:
        alice = Agent("alice", tmp_path)
        alice.do(lambda tx, context: connection.invite(tx, context, INSTANT))
        [item] = alice.next()
        tries = [outbox.prepare_creation(alice.tx, alice.context, item, RELAY, 15) for _ in range(2)]
        requests = [creation.request(15, keyed=False, password=None) for creation in tries]
        for request in requests:
            assert isinstance(request.command, New) and request.command.queue is not None
            data = request.command.queue.link
            assert request.corr_id is not None and data is not None
            assert data.sender_id == sender_id_for(request.corr_id) and data.link_id is None
        assert requests[0].corr_id != requests[1].corr_id
        for field in ("e2e_key", "auth_key", "dh_key", "publication"):
            assert getattr(tries[0], field) != getattr(tries[1], field), field

    @pytest.mark.parametrize("version", [9, 14])
    def test_an_older_relay_has_full_links_only(self, tmp_path: Path, version: int) -> None:
        alice = Agent("alice", tmp_path, HashKEM(), version=version)
        assert alice.invite()
        assert alice.short_link is None and alice.lnk is None
        assert links.kem(alice.tx, alice.id) is None, "nobody is offered it"

    @pytest.mark.parametrize("terms", [THREE_STEP, STANDARD], ids=lambda terms: terms.variant)
    def test_so_have_handshakes_in_which_the_joiner_secures_nothing(self, tmp_path: Path, terms: states.Terms) -> None:
        kem = HashKEM()
        alice = Agent("alice", tmp_path, kem)
        assert alice.invite(terms)
        assert alice.short_link is None and alice.lnk is None and kem.generated == 0

    @pytest.mark.parametrize("fault", ["no link id", "short link id", "another sender id", "another mode"])
    def test_a_relay_that_answers_otherwise_leaves_the_full_link(self, tmp_path: Path, fault: str) -> None:
        alice = Agent("alice", tmp_path, HashKEM())
        with alice.database.transaction() as tx:
            alice.id = connection.invite(tx, alice.context, INSTANT)
        [item] = alice.next()
        creation = outbox.prepare_creation(alice.tx, alice.context, item, RELAY, 18)
        ids = Ids(
            b"r" * 24,
            b"s" * 24 if fault == "another sender id" else sender_id_of(creation),
            X25519PrivateKey.generate(alice.entropy).public(),
            queue_mode=None if fault == "another mode" else QueueMode.MESSAGING,
            link_id={"no link id": None, "short link id": b"l" * 23}.get(fault, b"l" * 24),
        )
        alice.do(lambda tx, context: outbox.created(tx, context, item, creation, RELAY, 18, ids, keyed=False))
        assert alice.short_link is None and links.kem(alice.tx, alice.id) is None
        full = parse_link(alice.connection.link or "")
        assert isinstance(full, InvitationLink) and full.queues[0].sender_id == ids.snd_id

    def test_host_names_that_do_not_fit_leave_the_full_link(self, tmp_path: Path) -> None:
        alice = Agent("alice", tmp_path, HashKEM())
        alice.do(lambda tx, context: connection.invite(tx, context, INSTANT))
        [item] = alice.next()
        label = "a" * 60
        far = SMPServer(tuple(f"{label}.{label}.{label}.{n}.test" for n in range(4)), "", bytes(32))
        assert outbox.prepare_creation(alice.tx, alice.context, item, far, 18).publication is None

    def test_its_form_follows_from_the_relay(self, tmp_path: Path) -> None:
        alice = Agent("alice", tmp_path)
        own = SMPServer(("127.0.0.1",), "5333", bytes(32))
        made = {}
        for server in (own, SIMPLEX_SERVERS[0]):
            with alice.database.transaction() as tx:
                connection_id = connection.invite(tx, alice.context, INSTANT)
            item = next(item for item in alice.next() if item.connection_id == connection_id)
            creation = outbox.prepare_creation(alice.tx, alice.context, item, server, 18)
            public = X25519PrivateKey.generate(alice.entropy).public()
            mode = QueueMode.MESSAGING
            ids = Ids(alice.entropy.random(24), sender_id_of(creation), public, mode, link_id=b"l" * 24)
            alice.do(
                lambda tx, context, c=creation, i=item, s=server, n=ids: outbox.created(  # type: ignore[misc]
                    tx, context, i, c, s, 18, n, keyed=False
                )
            )
            made[server] = links.texts(alice.tx)[connection_id]
        assert made[own].startswith("simplex:/i#")
        assert made[own].endswith("?h=127.0.0.1&p=5333&c=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
        assert made[SIMPLEX_SERVERS[0]].startswith("https://smp8.simplex.im/i#") and "?" not in made[SIMPLEX_SERVERS[0]]


class TestPostQuantum:
    def test_the_answer_to_the_links_key_protects_the_very_first_message(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path, kem=True)
        bob.join_short_link_of(alice)
        [confirmation] = bob.carry_out()
        assert ratchets.load(bob.tx, bob.id).kem_sending
        alice.receive(confirmation)
        assert ratchets.load(alice.tx, alice.id).kem_receiving
        assert links.kem(alice.tx, alice.id) is None, "it has served"
        exchange(alice, bob)
        assert ratchets.pq_active(alice.tx, alice.id) and ratchets.pq_active(bob.tx, bob.id)

    def test_who_has_the_full_link_proposes_one(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path, kem=True)
        bob.join(alice.connection.link or "")
        exchange(bob, alice)
        bob.do(lambda tx, context: connection.submit(tx, context, bob.id, UserMessage(b"text")))
        exchange(bob, alice)
        assert ratchets.pq_active(alice.tx, alice.id)
        assert links.kem(alice.tx, alice.id) is None

    @pytest.mark.parametrize("without", ["alice", "bob"])
    def test_one_that_has_none_is_enough_to_do_without(self, tmp_path: Path, without: str) -> None:
        alice, bob = (Agent(name, tmp_path, None if name == without else HashKEM(name)) for name in ("alice", "bob"))
        alice.invite()
        bob.join_short_link_of(alice)
        exchange(bob, alice)
        for agent in (alice, bob):
            assert isinstance(agent.connection.state, states.Connected)
            assert not ratchets.pq_active(agent.tx, agent.id)

    def test_texts_taken_before_the_link_was_read_still_fit(self, tmp_path: Path) -> None:
        """Bob had no KEM when he wrote; one that is there by now must not take the room away."""
        alice, bob = Agent("alice", tmp_path, HashKEM("alice")), Agent("bob", tmp_path)
        alice.invite()
        bob.join_short_link_of(alice)
        longest = UserMessage(bytes(max_body(bob.tx, bob.id)))
        bob.do(lambda tx, context: connection.submit(tx, context, bob.id, longest))
        bob.context = replace(bob.context, kem=HashKEM("bob"))
        exchange(bob, alice)
        assert [what[0] for what in alice.messages if isinstance(what, tuple)] == [longest.body]


class TestReading:
    def test_the_key_is_stored_before_anything_is_sent(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        assert {item.kind for item in bob.next()} == {Kind.READ_LINK, Kind.CREATE}
        stored = links.joined(bob.tx, bob.id)
        first, again = (outbox.request(bob.tx, reading(bob)) for _ in range(2))
        assert first == again, "a lost answer asks with the same key"
        assert first.command == LKey(stored.auth_key.public())
        assert (first.entity_id, first.key) == (short(alice).link_id, stored.auth_key)
        assert outbox.target(bob.tx, reading(bob)) == RELAY

    def test_that_key_is_the_senders_key_from_then_on(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        key = links.joined(bob.tx, bob.id).auth_key
        read(bob, alice.lnk)
        queue = connections.send_queue(bob.tx, bob.id)
        assert queue is not None and queue.auth_key == key
        bob.carry_out(stop_at=frozenset({Kind.CONFIRMATION}))
        requests = [outbox.request(bob.tx, item) for item in bob.next()]
        assert not any(isinstance(request.command, SKey) for request in requests)
        assert requests[0].key == key

    def test_the_whole_handshake(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        exchange(bob, alice)
        for agent, role in ((alice, Role.INITIATOR), (bob, Role.JOINER)):
            assert agent.connection.state == states.Connected(role, INSTANT, states.Answer.SECURED)
        assert bob.application.all("link info") == [b'{"link":true}']
        assert bob.connection.link == alice.connection.link

    def test_a_relay_of_ones_own_is_preferred_to_the_peers(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        create = next(item for item in bob.next() if item.kind is Kind.CREATE)
        assert outbox.peer_server(bob.tx, create) == RELAY
        read(bob, alice.lnk)
        assert outbox.peer_server(bob.tx, create) == RELAY
        with alice.database.transaction() as tx:
            connection_id = connection.invite(tx, alice.context, INSTANT)
        item = next(item for item in alice.next() if item.connection_id == connection_id)
        assert outbox.peer_server(alice.tx, item) is None

    def test_the_reply_queue_may_be_there_first_or_last(self, tmp_path: Path) -> None:
        for first in (Kind.READ_LINK, Kind.CREATE):
            alice, bob = pair(tmp_path / first)
            bob.join_short_link_of(alice)
            bob.carry_out(stop_at=frozenset({Kind.READ_LINK, Kind.CREATE} - {first}))
            assert not isinstance(bob.connection.state, states.Confirming)
            exchange(bob, alice)
            assert isinstance(bob.connection.state, states.Connected)

    def test_a_held_join_keeps_the_confirmation_until_it_is_released(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice, held=True)
        bob.do(lambda tx, context: connection.submit(tx, context, bob.id, UserMessage(b"text")))
        assert bob.carry_out() == [] and outgoing.is_empty(bob.tx, bob.id)
        assert states.is_held(bob.connection.state)
        bob.do(lambda tx, context: connection.apply(tx, context, bob.id, JoinReleased()))
        exchange(bob, alice)
        assert [what[0] for what in alice.messages if isinstance(what, tuple)] == [b"text"]

    def test_connections_without_a_short_link_have_none_to_read(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join(alice.connection.link or "")
        for agent in (alice, bob):
            with pytest.raises(MissingRecord):
                links.joined(agent.tx, agent.id)


def _flipped(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


class TestRefusing:
    @pytest.mark.parametrize("part", ["fixed", "user", "sender_id"])
    def test_changed_data_fails_with_a_sentence_of_its_own(self, tmp_path: Path, part: str) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        bob.do(lambda tx, context: connection.submit(tx, context, bob.id, UserMessage(b"text"), reference=7))
        bob.carry_out(stop_at=frozenset({Kind.READ_LINK}))
        changed = bytes(24) if part == "sender_id" else _flipped(getattr(lnk(alice), part))
        read(bob, replace(lnk(alice), **{part: changed}))
        state = failed(bob)
        assert (state.role, state.terms, state.reason) == (Role.JOINER, None, Failure.LINK_DATA)
        sentence = failure_sentence(state)
        assert sentence.startswith(state.detail) and state.detail and "Ask for a new link" in sentence
        assert bob.application.all("failed") == [(7, sentence)]
        assert [item.kind for item in bob.next()] == [Kind.DELETE], "the reply queue is not needed"
        assert connections.send_queue(bob.tx, bob.id) is None and bob.application.all("link info") == []

    def test_data_of_another_link_is_refused(self, tmp_path: Path) -> None:
        (alice, bob), eve = pair(tmp_path), Agent("eve", tmp_path)
        eve.invite()
        bob.join_short_link_of(alice)
        read(bob, eve.lnk)
        assert failed(bob).reason is Failure.LINK_DATA

    @pytest.mark.parametrize("whose", ["own", "contact"])
    def test_a_queue_that_another_connection_has_is_refused_and_that_one_stays(
        self, tmp_path: Path, whose: str
    ) -> None:
        """Who makes a link may put any queue into it, and a relay may answer LKEY for any."""
        bob, _ = connected(tmp_path)
        other = bob.id
        queue, sending = bob.queue, connections.send_queue(bob.tx, other)
        assert sending is not None
        taken = queue.snd_id if whose == "own" else sending.snd_id
        link, bob.lnk = made_elsewhere(tmp_path, b"", sender_id=taken)
        bob.join(format_short_link(link))
        bob.carry_out(stop_at=frozenset({Kind.DELETE}))
        assert failed(bob).reason is Failure.LINK_DATA
        assert connections.receive_queue(bob.tx, other) == queue
        assert connections.send_queue(bob.tx, other) == sending
        assert isinstance(connections.load(bob.tx, other).state, states.Connected)

    def test_so_is_an_answer_of_another_kind(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        read(bob, Ok())
        assert failed(bob).reason is Failure.LINK_DATA

    def test_keys_of_low_order_store_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise CryptoError("low order")

        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        monkeypatch.setattr(linking, "agree_joiner", refuse)
        read(bob, alice.lnk)
        assert failed(bob).reason is Failure.LINK_DATA and ratchets.find(bob.tx, bob.id) is None

    def test_versions_that_do_not_overlap_are_named(self, tmp_path: Path) -> None:
        _, bob = pair(tmp_path)
        link, answer = made_elsewhere(tmp_path, b"", versions=VersionRange(8, 9))
        bob.join(format_short_link(link))
        read(bob, answer)
        state = failed(bob)
        assert state.reason is Failure.LINK_VERSIONS
        assert "8-9" in failure_sentence(state) and "you must upgrade" in failure_sentence(state)

    def test_a_used_link(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        bob.carry_out(stop_at=frozenset({Kind.READ_LINK}))
        assert bob.refuse() is Verdict.DONE
        assert failed(bob) == Failed(Role.JOINER, None, Failure.LINK_USED)
        assert [item.kind for item in bob.next()] == [Kind.DELETE]

    def test_a_used_link_may_be_the_other_form_of_one_that_was_joined_in_full(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join(alice.connection.link or "")
        bob.carry_out()
        in_full = bob.id
        bob.join_short_link_of(alice)
        bob.refuse()
        assert failed(bob) == Failed(Role.JOINER, None, Failure.LINK_USED_OR_JOINED)
        sentence = failure_sentence(failed(bob))
        assert "You have used full links at the same relay" in sentence and "compare security codes" in sentence
        assert isinstance(connections.load(bob.tx, in_full).state, states.AwaitingHello)

    @pytest.mark.parametrize("before", ["short", "three-step", "failed", "requested", "made", "elsewhere"])
    def test_it_is_not_where_no_full_link_can_have_been_this_one(self, tmp_path: Path, before: str) -> None:
        alice, bob = pair(tmp_path)
        carol = Agent("carol", tmp_path)
        link = parse_link(carol.invite(THREE_STEP) if before == "three-step" else carol.invite())
        assert isinstance(link, InvitationLink)
        if before == "made":
            bob.invite()
        elif before == "short":
            bob.join_short_link_of(carol)
            bob.carry_out()
        else:
            if before == "elsewhere":
                server = SMPServer(("other.test",), "", b"o" * 32)
                link = replace(link, queues=(replace(link.queues[0], server=server),))
            requested = before == "requested"
            with bob.database.transaction() as tx:
                bob.id = connection.join(tx, bob.context, link, requested=requested)
            if before == "failed":
                bob.do(lambda tx, context: connection.apply(tx, context, bob.id, SendQueueRefused()))
        bob.join_short_link_of(alice)
        bob.do(lambda tx, context: outbox.refused(tx, context, reading(bob), ErrorCode.AUTH, b""))
        assert failed(bob).reason is Failure.LINK_USED

    def test_a_relay_below_version_15_is_told_by_name(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        item = reading(bob)
        assert outbox.is_offered(item, 15) and not outbox.is_offered(item, 14)
        for _ in range(2):
            bob.do(lambda tx, context: outbox.not_offered(tx, context, item))
        assert failed(bob).reason is Failure.NO_SHORT_LINKS
        assert "15" in failure_sentence(failed(bob))

    def test_an_answer_after_the_user_deleted_the_contact_changes_nothing(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        item = reading(bob)
        bob.carry_out(stop_at=frozenset({Kind.READ_LINK}))
        bob.do(lambda tx, context: connection.delete(tx, context, bob.id))
        bob.do(lambda tx, context: outbox.accepted(tx, context, item, b"", alice.lnk))
        assert isinstance(bob.connection.state, states.Deleted)
        assert [item.kind for item in bob.next()] == [Kind.DELETE]


def made_elsewhere(
    folder: Path, user_data: bytes, *, versions: VersionRange = AGENT_VERSIONS, sender_id: bytes | None = None
) -> tuple[ShortInvitation, Lnk]:
    """A link as other software makes it, without a reply key."""
    other = Agent("other", folder)
    other.invite()
    entropy = SeededEntropy("elsewhere")
    request = replace(behind(other), agent_versions=versions, reply_key=None)
    if sender_id is not None:
        request = replace(request, queues=(replace(request.queues[0], sender_id=sender_id),))
    sealed = seal_link(Ed25519PrivateKey.generate(entropy), request, user_data, entropy)
    link = ShortInvitation(RELAY, b"l" * 24, sealed.link_key, web=False)
    return link, Lnk(request.queues[0].sender_id, sealed.fixed, sealed.user)


@pytest.mark.parametrize("user_data", [b"", b"\xff", b"X", json.dumps({"profile": 5}).encode(), bytes(10_000)])
def test_whatever_stands_beside_the_request_the_connection_goes_on(tmp_path: Path, user_data: bytes) -> None:
    bob = Agent("bob", tmp_path)
    link, bob.lnk = made_elsewhere(tmp_path, user_data)
    bob.join(format_short_link(link))
    assert len(bob.carry_out()) == 1
    assert bob.application.all("link info") == [user_data]
    assert isinstance(bob.connection.state, states.AwaitingHello)
    assert bob.connection.state.terms.variant == "sender-secured"


class TestRecognising:
    def test_ones_own_link_in_either_form(self, tmp_path: Path) -> None:
        alice, _ = pair(tmp_path)
        assert alice.short_link is not None
        damaged = format_short_link(replace(short(alice), link_key=bytes(32)))
        for text in (alice.connection.link or "", alice.short_link, damaged):
            with pytest.raises(OwnLinkError):
                alice.join(text)
        assert len(connections.load_all(alice.tx)) == 1

    @pytest.mark.parametrize("was_read", [False, True])
    def test_a_short_link_joined_before_in_any_spelling(self, tmp_path: Path, was_read: bool) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        if was_read:
            bob.carry_out()
        link = short(alice)
        for text in (format_short_link(link), format_short_link(replace(link, web=True)) + "&x=1"):
            with pytest.raises(LinkJoinedError):
                bob.join(text)

    def test_the_full_form_of_a_short_link_that_was_read(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path, kem=True)
        bob.join_short_link_of(alice)
        bob.carry_out()
        with pytest.raises(LinkJoinedError):
            bob.join(alice.connection.link or "")

    def test_both_forms_joined_while_offline_leave_the_one_that_holds_the_queue(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path, kem=True)
        bob.join(alice.connection.link or "")
        by_full = bob.id
        bob.join_short_link_of(alice)
        read(bob, alice.lnk)
        lost = connections.load(bob.tx, by_full)
        assert isinstance(lost.state, Failed) and lost.state.reason is Failure.LINK_USED and lost.link is None
        assert isinstance(bob.connection.state, states.Joining)
        assert bob.connection.link == alice.connection.link

    def test_another_relay_may_use_the_same_id(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bob.join_short_link_of(alice)
        elsewhere = replace(short(alice), server=SMPServer(("other.test",), "", b"o" * 32))
        bob.join(format_short_link(elsewhere))
        assert len(connections.load_all(bob.tx)) == 2

    def test_a_shortened_link_to_an_unknown_relay_stores_nothing(self, tmp_path: Path) -> None:
        alice, bob = pair(tmp_path)
        bare = replace(short(alice), server=SMPServer(("relay.test",), "", b""), web=True)
        with pytest.raises(LinkError, match=r"relay\.test"):
            bob.join(format_short_link(bare))
        assert connections.load_all(bob.tx) == []

    def test_a_shortened_link_to_a_preset_relay_is_one_to_its_whole_address(self, tmp_path: Path) -> None:
        preset, bob = SIMPLEX_SERVERS[0], Agent("bob", tmp_path)
        bob.join(f"https://{preset.hosts[0]}/i#{'A' * 32}/{'A' * 43}")
        assert links.joined(bob.tx, bob.id).link.server == preset
        with pytest.raises(LinkJoinedError):
            bob.join(format_short_link(ShortInvitation(preset, bytes(24), bytes(32), web=False)))


def test_no_key_shows_in_any_text_about_a_link(tmp_path: Path) -> None:
    alice, bob = pair(tmp_path, kem=True)
    bob.join_short_link_of(alice)
    stored = links.joined(bob.tx, bob.id)
    assert stored.auth_key.raw.hex() not in repr(stored) and repr(stored.link.link_key) not in repr(stored)
    assert parse_short_link(alice.short_link or "") == stored.link
