"""Asking through somebody's contact address: what is sent, what is known, and what ends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.agent.errors import LinkError, LinkJoinedError, MissingRecord
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake_events import JoinReleased
from smpchat.agent.machines.handshake_states import Failure
from smpchat.agent.store import connections, outgoing, sent_requests
from smpchat.agent.store.outgoing import Kind, Lane, Priority
from smpchat.agent.transactions import connection, outbox, requesting
from smpchat.agent.transactions.outbox import Verdict
from smpchat.agent.wire.envelope import InvitationEnvelope, UserMessage, agent_envelope
from smpchat.agent.wire.link_data import ContactLinkData, contact_keys, seal_link, seal_user_data
from smpchat.agent.wire.links import ContactLink, InvitationLink, parse_link
from smpchat.agent.wire.presets import SIMPLEX_SERVERS
from smpchat.agent.wire.short_links import ContactType, ShortContact
from smpchat.crypto.keys import X25519PrivateKey, X25519PublicKey
from smpchat.encoding.record import replace
from smpchat.protocol.address import MAX_HOSTS, SMPServer
from smpchat.protocol.commands import BrokerMessage, Ids, LGet, Lnk, Ok, Send
from smpchat.protocol.envelope import CONFIRMATION_PADDING, PHEmpty, client_msg_envelope, open_client_message
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.queue_mode import QueueMode
from tests.unit.agent.agents import RELAY, Agent, exchange
from tests.unit.agent.transactions.test_contact_address import (
    DATA,
    INFO,
    address_of,
    ask,
    full_link,
    link_data,
    owner,
    request_of,
    requests_of,
    short_link,
)

TAG_SIZE = 16


def behind(alice: Agent) -> Lnk:
    data = link_data(alice)
    return Lnk(data.sender_id, data.fixed, data.user)


def failed(agent: Agent) -> list[object]:
    return [what[0] for what in agent.application.all("failed") if isinstance(what, tuple)]


def accepted(agent: Agent) -> int:
    """The connection of the only request that was accepted at once."""
    [connection_id] = agent.application.all("accepted")
    assert isinstance(connection_id, int)
    return connection_id


def reason(agent: Agent) -> Failure:
    state = agent.connection.state
    assert isinstance(state, states.Failed)
    return state.reason


class TestRequest:
    def test_it_is_unsigned_with_a_key_of_its_own_and_padded(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        ask(bob, full_link(alice))
        bob.carry_out(stop_at=frozenset({Kind.REQUEST}))
        [item] = bob.next()
        request = outbox.request(bob.tx, item)
        assert isinstance(request.command, Send)
        assert (request.key, request.entity_id, request.command.notification) == (None, alice.queue.snd_id, True)
        envelope = client_msg_envelope.decode(request.command.body)
        assert envelope.sender_key is not None
        assert len(envelope.sealed) == CONFIRMATION_PADDING + TAG_SIZE
        opened = open_client_message(alice.queue.link_key.exchange(envelope.sender_key), envelope)
        inner = agent_envelope.decode(opened.body)
        assert isinstance(opened.header, PHEmpty) and isinstance(inner, InvitationEnvelope)
        assert (inner.agent_version, inner.conn_info) == (7, INFO)
        link = parse_link(inner.link.decode())
        assert isinstance(link, InvitationLink) and link.reply_key is not None
        assert (link.queues[0].sender_id, link.queues[0].mode) == (bob.queue.snd_id, QueueMode.MESSAGING)

    def test_a_repeat_after_a_lost_answer_says_the_same(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        ask(bob, full_link(alice))
        bob.carry_out(stop_at=frozenset({Kind.REQUEST}))
        [item] = bob.next()
        assert outbox.request(bob.tx, item) == outbox.request(bob.tx, item)

    def test_states_on_the_way(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        request_of(bob, full_link(alice))
        assert bob.application.all("state") == ["Requesting", "Requested"]
        assert not states.may_send(bob.connection.state)

    def test_texts_wait_until_the_owner_has_answered(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path, auto_accept=True), Agent("bob", tmp_path)
        ask(bob, full_link(alice), reference=1)
        bob.do(lambda tx, context: connection.submit(tx, context, bob.id, UserMessage(b"text"), reference=2))
        [body] = bob.carry_out()
        assert bob.application.all("sent") == [1]
        alice.receive(body)
        alice.id = accepted(alice)
        exchange(alice, bob)
        assert bob.application.all("sent") == [1, 2]
        assert [what[0] for what in alice.messages if isinstance(what, tuple)] == [b"text"]

    def test_an_answer_shows_that_the_request_arrived(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path, auto_accept=True), Agent("bob", tmp_path)
        ask(bob, full_link(alice), reference=1)
        bob.carry_out(stop_at=frozenset({Kind.REQUEST}))
        [item] = bob.next()
        command = outbox.request(bob.tx, item).command
        assert isinstance(command, Send)
        alice.receive(command.body)
        alice.id = accepted(alice)
        for body in alice.carry_out():
            bob.receive(body)
        assert bob.application.all("delivered") == [1]
        assert isinstance(bob.connection.state, states.Answering)
        assert Kind.REQUEST not in [waiting.kind for waiting in bob.next()]
        bob.do(lambda tx, context: outbox.accepted(tx, context, item, b""))  # OK after all
        exchange(alice, bob)
        assert isinstance(bob.connection.state, states.Connected)
        assert bob.application.all("delivered") == [1]

    def test_a_deleted_address_fails_the_request_and_its_texts(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        ask(bob, full_link(alice), reference=1)
        bob.do(lambda tx, context: connection.submit(tx, context, bob.id, UserMessage(b"text"), reference=2))
        bob.carry_out(stop_at=frozenset({Kind.REQUEST}))
        assert bob.refuse(ErrorCode.AUTH) is Verdict.DONE
        assert (reason(bob), sorted(map(str, failed(bob)))) == (Failure.ADDRESS_GONE, ["1", "2"])
        assert [item.kind for item in bob.next()] == [Kind.DELETE]

    def test_a_full_queue_is_waited_for(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        ask(bob, full_link(alice))
        bob.carry_out(stop_at=frozenset({Kind.REQUEST}))
        assert bob.refuse(ErrorCode.QUOTA) is Verdict.FULL
        assert isinstance(bob.connection.state, states.Requesting)

    def test_it_cannot_be_deleted_for_the_owner(self, tmp_path: Path) -> None:
        """A farewell needs a ratchet: the queue goes, and nothing is sent."""
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        request_of(bob, full_link(alice))
        bob.do(lambda tx, context: connection.delete(tx, context, bob.id, b"farewell"))
        assert [item.kind for item in bob.next()] == [Kind.DELETE]
        bob.carry_out()
        with pytest.raises(connections.UnknownConnection):
            _ = bob.connection
        assert sent_requests.load(bob.tx, bob.id) is None

    def test_the_longest_introduction_fits_with_a_long_link(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        ask(bob, full_link(alice), b"{" + bytes(sent_requests.MAX_INFO - 1))
        [item] = bob.next()
        onion = "a" * 56 + ".onion"
        server = SMPServer(
            ("some-relay.example.org", *(f"{n}{onion}" for n in range(MAX_HOSTS - 1))), "5223", bytes(32)
        )
        creation = outbox.prepare_creation(bob.tx, bob.context, item, server, 18)
        bob.do(lambda tx, context: outbox.created(tx, context, item, creation, server, 18, ids(), keyed=False))
        assert isinstance(bob.connection.state, states.Requesting)


def ids() -> Ids:
    """A queue that a relay has made."""
    key = X25519PrivateKey(bytes([1] * 32)).public()
    return Ids(bytes(24), bytes(24), key, queue_mode=QueueMode.MESSAGING)


class TestShortLink:
    def test_reading_and_creating_go_side_by_side(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        bob.lnk = behind(alice)
        ask(bob, short_link(alice), reference=1)
        assert [item.kind for item in bob.next()] == [Kind.CREATE, Kind.READ_ADDRESS]
        [_, item] = bob.next()
        request = outbox.request(bob.tx, item)
        assert (request.command, request.key) == (LGet(), None)
        assert request.entity_id == contact_keys(short_link(alice).link_key)[0] == link_data(alice).link_id
        assert outbox.target(bob.tx, item) == outbox.peer_server(bob.tx, item) == RELAY
        [body] = bob.carry_out()
        alice.receive(body)
        assert (len(requests_of(alice)), bob.application.all("sent")) == (1, [1])
        assert bob.application.all("link info") == [DATA]

    def test_a_held_request_leaves_once_it_is_released(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        bob.lnk = behind(alice)
        ask(bob, short_link(alice), reference=1, held=True)
        assert (bob.carry_out(), bob.next()) == ([], [])
        assert bob.application.all("link info") == [DATA]
        bob.do(lambda tx, context: connection.apply(tx, context, bob.id, JoinReleased()))
        [body] = bob.carry_out()
        alice.receive(body)
        assert (len(requests_of(alice)), bob.application.all("sent")) == (1, [1])

    @pytest.mark.parametrize("code", [ErrorCode.AUTH, ErrorCode.cmd("UNKNOWN"), ErrorCode.cmd("SYNTAX")])
    def test_a_link_that_leads_nowhere_fails_it_and_deletes_the_queue(self, tmp_path: Path, code: ErrorCode) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        ask(bob, short_link(alice), reference=1)
        [create, item] = bob.next()
        creation = outbox.prepare_creation(bob.tx, bob.context, create, RELAY, 18)
        bob.do(lambda tx, context: outbox.refused(tx, context, item, code, b""))
        assert (reason(bob), failed(bob)) == (Failure.ADDRESS_GONE, [1])
        assert bob.next() == []
        bob.do(lambda tx, context: outbox.created(tx, context, create, creation, RELAY, 18, ids(), keyed=False))
        assert [left.kind for left in bob.next()] == [Kind.DELETE]

    def test_a_relay_with_a_problem_of_its_own_is_asked_again(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        ask(bob, short_link(alice))
        [_, item] = bob.next()
        with bob.database.transaction() as tx:
            assert outbox.refused(tx, bob.context, item, ErrorCode.INTERNAL, b"") is Verdict.RETRY
        assert isinstance(bob.connection.state, states.Preparing)

    @pytest.mark.parametrize("what", ["nothing", "ok", "noise", "other queue", "invitation", "indirect", "group"])
    def test_what_is_not_behind_an_address_fails_it(self, tmp_path: Path, what: str) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        address, right, entropy = address_of(alice), behind(alice), alice.entropy
        link = short_link(alice)
        answers: dict[str, BrokerMessage | None] = {
            "nothing": None,
            "ok": Ok(),
            "noise": Lnk(right.sender_id, bytes(2048), bytes(13824)),
            "other queue": replace(right, sender_id=bytes(24)),
        }
        if what in answers:
            bob.lnk = answers[what]
        elif what == "indirect":
            assert address.root_key is not None
            _, box_key = contact_keys(link.link_key)
            data = ContactLinkData(full_link(alice).agent_versions, b"{}", direct=False)
            bob.lnk = replace(right, user=seal_user_data(address.root_key, box_key, data, entropy))
        else:
            request = replace(full_link(alice), client_data='{"type":"group"}')
            invited = parse_link(Agent("carol", tmp_path).invite())
            assert isinstance(invited, InvitationLink)
            assert address.root_key is not None
            sealed = seal_link(address.root_key, request if what == "group" else invited, b"{}", entropy)
            link = replace(link, link_key=sealed.link_key)
            sender_id = (request if what == "group" else invited).queues[0].sender_id
            bob.lnk = Lnk(sender_id, sealed.fixed, sealed.user)
        ask(bob, link, reference=1)
        bob.carry_out()
        assert (reason(bob), failed(bob)) == (Failure.ADDRESS_UNUSABLE, [1])
        assert bob.application.all("link info") == []

    def test_an_address_used_under_its_long_link_is_known_once_the_short_one_is_read(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        request_of(bob, full_link(alice))
        bob.lnk = behind(alice)
        ask(bob, short_link(alice))
        bob.carry_out()
        assert reason(bob) is Failure.ADDRESS_USED and bob.application.all("link info") == []


class TestRefused:
    def test_an_address_is_used_once(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        bob.lnk = behind(alice)
        ask(bob, short_link(alice))
        bob.carry_out()
        for again in (short_link(alice), replace(short_link(alice), web=False), full_link(alice)):
            assert requesting.find(bob.tx, again) == bob.id
            with pytest.raises(LinkJoinedError):
                ask(bob, again)

    @pytest.mark.parametrize("kind", [ContactType.GROUP, ContactType.CHANNEL, ContactType.RELAY])
    def test_short_links_of_groups(self, tmp_path: Path, kind: ContactType) -> None:
        with pytest.raises(LinkError, match=r"group|channel"):
            ask(Agent("bob", tmp_path), ShortContact(RELAY, bytes(32), kind))

    @pytest.mark.parametrize(
        ("data", "group"),
        [
            ('{"type":"group"}', True),
            ('{"groupLinkId":"hCkt5Ph057tSeJdyEI0uug=="}', True),
            ('{"groupLinkId":null}', True),
            ('{"type":"group","groupLinkId":"hCkt5Ph057tSeJdyEI0uug=="}', True),
            ("{}", False),
            ("{", False),
            ("[]", False),
            ('["groupLinkId"]', False),
            ('"groupLinkId"', False),
        ],
    )
    def test_full_links_of_groups(self, tmp_path: Path, data: str, group: bool) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        link = replace(full_link(alice), client_data=data)
        if not group:
            ask(bob, link)
            return
        with pytest.raises(LinkError, match=r"group|channel"):
            ask(bob, link)

    def test_a_shortened_link_to_a_relay_that_nobody_knows(self, tmp_path: Path) -> None:
        with pytest.raises(LinkError, match="fingerprint"):
            ask(Agent("bob", tmp_path), ShortContact(SMPServer(("relay.test",), "", b""), bytes(32)))

    def test_one_that_was_used_is_known_again_by_its_key(self, tmp_path: Path) -> None:
        """The table of known relays gained onion hosts; a link that was stored before has none."""
        bob, preset = Agent("bob", tmp_path), SIMPLEX_SERVERS[0]
        other = ShortContact(preset, bytes([1] * 32))
        before = ShortContact(SMPServer(preset.hosts[:1], "", preset.key_hash), bytes(32))
        ask(bob, before)
        now = ShortContact(SMPServer(preset.hosts[:1], "", b""), bytes(32))
        assert requesting.find(bob.tx, now) == bob.id and requesting.find(bob.tx, other) is None
        with pytest.raises(LinkJoinedError):
            ask(bob, now)

    def test_a_key_that_cannot_be_used(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        link = full_link(alice)
        weak = ContactLink(link.agent_versions, (replace(link.queues[0], dh_key=X25519PublicKey(bytes(32))),))
        with pytest.raises(LinkError, match="cannot be used"):
            ask(bob, weak)
        assert connections.load_all(bob.tx) == []


def test_an_item_for_a_connection_without_a_short_link_is_that_connections_own_problem(tmp_path: Path) -> None:
    alice, bob = owner(tmp_path), Agent("bob", tmp_path)
    ask(bob, full_link(alice))
    bob.do(lambda tx, context: outgoing.enqueue(tx, bob.id, Lane.SEND, Kind.READ_ADDRESS, Priority.SECURE))
    item = next(item for item in bob.next() if item.kind is Kind.READ_ADDRESS)
    with pytest.raises(MissingRecord):
        outbox.target(bob.tx, item)
