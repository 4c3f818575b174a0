"""A contact address of our own: its links, and what becomes of requests, well-formed or not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from smpchat.agent.errors import EnvelopeRefused, LinkError, OwnLinkError, RelayNotPublic
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.failures import failure_sentence
from smpchat.agent.store import addresses, clock, connections, consents, outgoing, sent_requests
from smpchat.agent.store.addresses import ReceivedRequest
from smpchat.agent.store.allowances import DAY
from smpchat.agent.store.outgoing import Kind
from smpchat.agent.transactions import admitting, contact_address, outbox, requesting, strangers
from smpchat.agent.transactions.admitting import AT_ONCE, MAX_REQUESTS, PER_HOUR, YOUNG
from smpchat.agent.transactions.contact_address import TAKING_TURNS, TOO_MANY_REQUESTS
from smpchat.agent.wire.envelope import (
    AgentEnvelope,
    Confirmation,
    InvitationEnvelope,
    MessageEnvelope,
    agent_envelope,
)
from smpchat.agent.wire.link_data import open_link
from smpchat.agent.wire.links import ContactLink, InvitationLink, format_link, parse_link
from smpchat.agent.wire.short_links import ShortContact
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import Ids, LinkData, Lnk, LSet, New, QueueRequest
from smpchat.protocol.envelope import (
    CONFIRMATION_PADDING,
    ClientMessage,
    PHConfirmation,
    PHEmpty,
    client_msg_envelope,
    seal_client_message,
)
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.queue_mode import QueueMode
from smpchat.testing.entropy import SeededEntropy
from tests.unit.agent.agents import NOW, RELAY, STANDARD, Agent, exchange

DATA = b'{"profile":{"displayName":"alice"}}'
INFO = b'{"asks":true}'


def owner(folder: Path, *, auto_accept: bool = False, version: int = 18) -> Agent:
    """Alice, looked at through the record of her address."""
    alice = Agent("alice", folder, version=version)
    with alice.database.transaction() as tx:
        alice.id = contact_address.publish(tx, alice.context, DATA, auto_accept=auto_accept)
    alice.carry_out()
    return alice


def address_of(agent: Agent) -> addresses.Address:
    address = addresses.current(agent.tx)
    assert address is not None
    return address


def full_link(agent: Agent) -> ContactLink:
    link = parse_link(connections.load(agent.tx, address_of(agent).connection_id).link or "")
    assert isinstance(link, ContactLink)
    return link


def short_link(agent: Agent) -> ShortContact:
    link = parse_link(address_of(agent).short_link or "")
    assert isinstance(link, ShortContact)
    return link


def link_data(agent: Agent) -> LinkData:
    [new] = agent.news
    assert new.queue is not None and new.queue.link is not None
    return new.queue.link


def ask(
    agent: Agent,
    address: ContactLink | ShortContact,
    info: bytes = INFO,
    reference: int | None = None,
    *,
    held: bool = False,
) -> None:
    with agent.database.transaction() as tx:
        agent.id = requesting.begin(tx, agent.context, address, held=held)
        sent_requests.save_info(tx, agent.id, info, reference)


def request_of(agent: Agent, address: ContactLink, info: bytes = INFO) -> bytes:
    """Body of a request of this person's."""
    ask(agent, address, info)
    [body] = agent.carry_out()
    return body


def requests_of(agent: Agent) -> list[ReceivedRequest]:
    return addresses.requests(agent.tx)


class TestLinks:
    def test_both_links_lead_to_the_same_queue_and_the_short_one_shows_who_it_is(self, tmp_path: Path) -> None:
        alice = owner(tmp_path)
        data = link_data(alice)
        assert data.link_id is not None
        opened = open_link(short_link(alice), Lnk(data.sender_id, data.fixed, data.user))
        assert opened.request == full_link(alice)
        assert opened.user_data == DATA
        assert full_link(alice).queues[0].mode is QueueMode.CONTACT
        assert alice.queue.snd_id == full_link(alice).queues[0].sender_id == data.sender_id
        assert isinstance(alice.connection.state, states.Published)

    @pytest.mark.parametrize(
        ("version", "queue"), [(14, QueueRequest(QueueMode.CONTACT)), (9, QueueRequest(QueueMode.CONTACT)), (8, None)]
    )
    def test_older_relays_keep_no_link_data(self, tmp_path: Path, version: int, queue: QueueRequest | None) -> None:
        alice = owner(tmp_path, version=version)
        assert [new.queue for new in alice.news] == [queue]
        assert address_of(alice).short_link is None
        assert full_link(alice).queues[0].sender_id == alice.queue.snd_id

    def test_a_relay_that_gives_the_queue_another_id_leaves_the_full_link(self, tmp_path: Path) -> None:
        alice = Agent("alice", tmp_path)
        with alice.database.transaction() as tx:
            alice.id = contact_address.publish(tx, alice.context, DATA, auto_accept=False)
        [item] = alice.next()
        creation = outbox.prepare_creation(alice.tx, alice.context, item, RELAY, 18)
        command = creation.request(18, keyed=False, password=None).command
        assert isinstance(command, New) and command.queue is not None and command.queue.link is not None
        key = X25519PrivateKey.generate(alice.entropy).public()
        ids = Ids(bytes(24), b"other id", key, queue_mode=QueueMode.CONTACT, link_id=command.queue.link.link_id)
        alice.do(lambda tx, context: outbox.created(tx, context, item, creation, RELAY, 18, ids, keyed=False))
        assert address_of(alice).short_link is None
        assert full_link(alice).queues[0].sender_id == b"other id"

    def test_each_try_of_new_has_ids_of_its_own(self, tmp_path: Path) -> None:
        alice = Agent("alice", tmp_path)
        with alice.database.transaction() as tx:
            alice.id = contact_address.publish(tx, alice.context, DATA, auto_accept=False)
        [item] = alice.next()
        tries = [outbox.prepare_creation(alice.tx, alice.context, item, RELAY, 18) for _ in range(2)]
        requests = [creation.request(18, keyed=False, password=None) for creation in tries]
        assert requests[0].corr_id != requests[1].corr_id
        assert requests[0].command != requests[1].command

    def test_other_user_data_replaces_what_the_relay_keeps(self, tmp_path: Path) -> None:
        alice = owner(tmp_path)
        alice.do(lambda tx, context: contact_address.update(tx, context, b"{}"))
        alice.do(lambda tx, context: contact_address.update(tx, context, b"{}"))  # says nothing new
        [item] = alice.next()
        request = outbox.request(alice.tx, item)
        data = link_data(alice)
        assert isinstance(request.command, LSet)
        assert (request.command.link_id, request.command.fixed) == (data.link_id, data.fixed)
        assert (request.entity_id, request.key) == (alice.queue.rcv_id, alice.queue.auth_key)
        opened = open_link(short_link(alice), Lnk(data.sender_id, request.command.fixed, request.command.user))
        assert opened.user_data == b"{}"
        assert outbox.request(alice.tx, item) == request
        alice.carry_out()
        assert alice.next() == []

    def test_user_data_that_changed_while_new_was_under_way_follows_it(self, tmp_path: Path) -> None:
        alice = Agent("alice", tmp_path)
        with alice.database.transaction() as tx:
            alice.id = contact_address.publish(tx, alice.context, DATA, auto_accept=False)
        [item] = alice.next()
        creation = outbox.prepare_creation(alice.tx, alice.context, item, RELAY, 18)
        alice.do(lambda tx, context: contact_address.update(tx, context, b"{}"))
        command = creation.request(18, keyed=False, password=None).command
        assert isinstance(command, New) and command.queue is not None and command.queue.link is not None
        link, key = command.queue.link, X25519PrivateKey.generate(alice.entropy).public()
        ids = Ids(bytes(24), link.sender_id, key, queue_mode=QueueMode.CONTACT, link_id=link.link_id)
        alice.do(lambda tx, context: outbox.created(tx, context, item, creation, RELAY, 18, ids, keyed=False))
        assert [item.kind for item in alice.next()] == [Kind.UPDATE_ADDRESS]

    @pytest.mark.parametrize("code", [ErrorCode.AUTH, ErrorCode.INTERNAL])
    def test_an_update_is_repeated_unless_the_queue_is_gone(self, tmp_path: Path, code: ErrorCode) -> None:
        alice = owner(tmp_path)
        alice.do(lambda tx, context: contact_address.update(tx, context, b"{}"))
        [item] = alice.next()
        alice.do(lambda tx, context: outbox.refused(tx, context, item, code, alice.queue.rcv_id))
        assert bool(alice.next()) == (code == ErrorCode.INTERNAL)

    def test_a_deleted_address_goes_with_its_requests_and_can_be_followed_by_another(self, tmp_path: Path) -> None:
        alice = owner(tmp_path)
        alice.receive(request_of(Agent("bob", tmp_path), full_link(alice)))
        old = address_of(alice)
        alice.do(lambda tx, context: contact_address.delete(tx, context, old))
        assert (requests_of(alice), addresses.current(alice.tx)) == ([], None)
        assert [item.kind for item in alice.next()] == [Kind.DELETE]
        with alice.database.transaction() as tx:
            contact_address.publish(tx, alice.context, DATA, auto_accept=False)
        alice.carry_out()
        assert [address.connection_id != old.connection_id for address in addresses.load_all(alice.tx)] == [True]


class TestRequests:
    def test_a_request_is_kept_with_its_link_and_what_it_says(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        alice.receive(request_of(bob, full_link(alice)))
        [request] = requests_of(alice)
        assert (request.info, request.received_at, request.shown) == (INFO, NOW, False)
        link = parse_link(request.link)
        assert isinstance(link, InvitationLink)
        assert (link.queues[0].sender_id, link.reply_key is not None) == (bob.queue.snd_id, True)
        assert alice.application.all("request") == [request]
        assert alice.queue.e2e_secret is None, "the next request brings another key"

    def test_a_copy_makes_no_second_request_and_is_not_told_again(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        body = request_of(bob, full_link(alice))
        alice.receive(body)
        [request] = requests_of(alice)
        alice.do(lambda tx, context: addresses.mark_request_shown(tx, request.id))
        alice.receive(body)
        assert requests_of(alice) == [replace(request, shown=True)]
        assert len(alice.application.all("request")) == 1

    def test_the_same_id_from_another_queue_replaces_the_request(self, tmp_path: Path) -> None:
        alice = owner(tmp_path)
        alice.application.same_as = "b25l"
        alice.receive(request_of(Agent("bob", tmp_path), full_link(alice)))
        [first] = requests_of(alice)
        alice.do(lambda tx, context: addresses.mark_request_shown(tx, first.id))
        alice.receive(request_of(Agent("bob again", tmp_path), full_link(alice), b'{"asks":"again"}'))
        [second] = requests_of(alice)
        assert (second.id, second.info, second.shown) == (first.id, b'{"asks":"again"}', False)
        assert second.link != first.link
        assert len(alice.application.all("request")) == 2

    def test_one_request_can_replace_two(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        body = request_of(bob, full_link(alice))
        alice.receive(body)
        alice.application.same_as = "b25l"
        alice.receive(request_of(Agent("carol", tmp_path), full_link(alice)))
        assert len(requests_of(alice)) == 2
        alice.receive(body)  # Bob's queue, Carol's id
        [left] = requests_of(alice)
        assert left.snd_id == bob.queue.snd_id

    def test_accepting_joins_and_the_requester_is_the_initiator(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        body = request_of(bob, full_link(alice))
        alice.receive(body)
        [request] = requests_of(alice)
        with alice.database.transaction() as tx:
            address, alice.id = alice.id, contact_address.accept(tx, alice.context, request)
        exchange(alice, bob)
        for agent, role in ((alice, states.Role.JOINER), (bob, states.Role.INITIATOR)):
            assert isinstance(agent.connection.state, states.Connected)
            assert (agent.connection.state.role, agent.connection.state.terms.variant) == (role, "instant")
        assert requests_of(alice) == []
        alice.id = address
        alice.receive(body)  # our ACK was lost
        assert requests_of(alice) == []

    def test_auto_accept_does_so_in_the_receiving_transaction(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path, auto_accept=True), Agent("bob", tmp_path)
        body = request_of(bob, full_link(alice))
        alice.receive(body)
        alice.receive(body)
        [connection_id] = alice.application.all("accepted")
        assert alice.application.all("request") == [] == requests_of(alice)
        assert isinstance(connection_id, int)
        alice.id = connection_id
        exchange(alice, bob)
        assert isinstance(bob.connection.state, states.Connected)

    def test_a_rejected_request_leaves_nothing_and_sends_nothing(self, tmp_path: Path) -> None:
        alice = owner(tmp_path)
        alice.receive(request_of(Agent("bob", tmp_path), full_link(alice)))
        [request] = requests_of(alice)
        alice.do(lambda tx, context: contact_address.reject(tx, request))
        assert (requests_of(alice), alice.next()) == ([], [])

    def test_a_flood_is_stopped_with_one_notice_and_repeats_still_come_through(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        body = request_of(bob, full_link(alice))
        alice.receive(body)
        [request] = requests_of(alice)
        with alice.database.transaction() as tx:
            for number in range(MAX_REQUESTS - 2):
                addresses.insert_request(tx, replace(request, snd_id=number.to_bytes(24, "big")))
        alice.receive(request_of(Agent("carol", tmp_path), full_link(alice)))
        assert alice.notices == [TOO_MANY_REQUESTS]
        for name in ("dave", "eve"):
            alice.receive(request_of(Agent(name, tmp_path), full_link(alice)))
        assert addresses.turned_away(alice.tx, alice.id) == (2, NOW)
        alice.receive(body)
        assert addresses.count_requests(alice.tx) == MAX_REQUESTS
        assert alice.notices == [TOO_MANY_REQUESTS]

    def test_one_relay_cannot_fill_an_address_alone(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        alice.receive(request_of(bob, full_link(alice)))
        [request] = requests_of(alice)
        with alice.database.transaction() as tx:
            for number in range(MAX_REQUESTS - 1):
                flood = replace(request, snd_id=number.to_bytes(24, "big"), relay="flood.test")
                addresses.insert_request(tx, flood)
        assert addresses.requests_by_relay(alice.tx) == {"flood.test": MAX_REQUESTS - 1, "relay.test": 1}
        for name in ("dave", "eve"):
            alice.receive(request_of(Agent(name, tmp_path), full_link(alice)))
        assert addresses.requests_by_relay(alice.tx) == {"flood.test": MAX_REQUESTS - 3, "relay.test": 3}
        assert addresses.turned_away(alice.tx, alice.id) == (2, NOW), "what gave way was lost, too, and is told"
        with alice.database.transaction() as tx:
            assert contact_address.reject_all(tx, address_of(alice)) == MAX_REQUESTS
        assert (requests_of(alice), addresses.turned_away(alice.tx, alice.id)) == ([], None)

    def test_keys_that_cannot_be_used_are_told_in_words(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path), Agent("bob", tmp_path)
        alice.receive(request_of(bob, full_link(alice)))
        [request] = requests_of(alice)
        link = parse_link(request.link)
        assert isinstance(link, InvitationLink)
        weak = replace(link.e2e, key1=type(link.e2e.key1)(bytes(56)))
        bad = replace(request, link=format_link(replace(link, e2e=weak)))
        with pytest.raises(LinkError, match="keys in this request"), alice.database.transaction() as tx:
            contact_address.accept(tx, alice.context, bad)
        assert requests_of(alice) == [request]


class TestTurns:
    """What an address accepts by itself, in time and number."""

    def ask(self, alice: Agent, folder: Path, number: int) -> None:
        alice.receive(request_of(Agent(f"asker {number}", folder), full_link(alice)))

    def test_so_many_at_once_and_the_others_wait_for_their_turn(self, tmp_path: Path) -> None:
        alice = owner(tmp_path, auto_accept=True)
        for number in range(AT_ONCE + 2):
            self.ask(alice, tmp_path, number)
        accepted = alice.application.all("accepted")
        assert len(accepted) == AT_ONCE
        assert [request.in_turn for request in requests_of(alice)] == [True, True]
        assert alice.application.all("request") == [], "nobody is to answer them"
        assert alice.notices == [TAKING_TURNS] * 2
        assert contact_address.next_turn(alice.tx, NOW) == NOW + YOUNG
        with alice.database.transaction() as tx:
            contact_address.accept_next(tx, alice.context)
        assert len(alice.application.all("accepted")) == AT_ONCE
        assert isinstance(accepted[0], int)
        with alice.database.transaction() as tx:  # one relay is reached: there is room again
            connections.save_state(tx, accepted[0], states.Connected(ROLE, TERMS, states.Answer.REPLY), NOW)
            contact_address.accept_next(tx, alice.context)
        assert len(alice.application.all("accepted")) == AT_ONCE + 1
        [left] = requests_of(alice)
        with alice.database.transaction() as tx:
            addresses.save_auto_accept(tx, alice.id, False)
        assert requests_of(alice) == [replace(left, in_turn=False)], "a person is to answer it now"

    def test_so_many_in_an_hour_and_a_clock_that_is_set_back(self, tmp_path: Path) -> None:
        alice = owner(tmp_path, auto_accept=True)
        with alice.database.transaction() as tx:
            for number in range(PER_HOUR):
                joined = connections.load(tx, alice.id)
                made = connections.insert(
                    tx,
                    state=states.Deleted(ROLE, TERMS),
                    link=None,
                    agent_version=7,
                    client_version=4,
                    e2e_version=3,
                    x3dh_keys=joined.x3dh_keys,
                    reply_key=None,
                    pq_support=False,
                    now=NOW,
                )
                addresses.note_accepted(tx, made, NOW + number)
            at = NOW + PER_HOUR
            assert admitting.next_acceptance(tx, at) == NOW + 3600
            assert admitting.next_acceptance(tx, NOW + 3600) == NOW + 3600, "the first of them is an hour ago"
            assert admitting.next_acceptance(tx, NOW - 1e6) == NOW - 1e6

    def test_the_relay_of_a_request_may_not_be_in_a_private_network(self, tmp_path: Path) -> None:
        alice = owner(tmp_path, auto_accept=True)
        bob = Agent("bob", tmp_path)
        text = format_link(_at(bob, "192.168.1.7", "5223"))
        alice.receive(sealed(alice, InvitationEnvelope(7, text.encode(), INFO)))
        [request] = requests_of(alice)
        assert (request.in_turn, alice.application.all("request")) == (False, [request])
        reason = contact_address.reason_against(alice.tx, request)
        assert reason == (
            "192.168.1.7:5223: someone else chose this relay, so it must not have an address of a private network"
        )
        with pytest.raises(RelayNotPublic, match="private network"), alice.database.transaction() as tx:
            contact_address.accept(tx, alice.context, request)
        assert requests_of(alice) == [request]
        server = SMPServer(("192.168.1.7",), "5223", bytes(32))
        with alice.database.transaction() as tx:
            contact_address.accept(tx, alice.context, request, any_relay=True)
        assert strangers.fence_for(alice.tx, server) is None

    def test_unless_the_user_lets_strangers_be_anywhere(self, tmp_path: Path) -> None:
        alice = owner(tmp_path, auto_accept=True)
        with alice.database.transaction() as tx:
            consents.save_anywhere(tx, True)
        text = format_link(_at(Agent("bob", tmp_path), "127.0.0.1", "5223"))
        alice.receive(sealed(alice, InvitationEnvelope(7, text.encode(), INFO)))
        assert len(alice.application.all("accepted")) == 1

    def test_a_public_relay_is_fenced_in_case_its_name_leads_elsewhere(self, tmp_path: Path) -> None:
        alice, bob = owner(tmp_path, auto_accept=True), Agent("bob", tmp_path)
        text = format_link(_at(bob, "relay.example.org", ""))
        alice.receive(sealed(alice, InvitationEnvelope(7, text.encode(), INFO)))
        server = SMPServer(("relay.example.org",), "", bytes(32))
        fence = strangers.fence_for(alice.tx, server)
        assert fence is not None and not fence.admits("127.0.0.1")
        assert strangers.is_unknown(alice.tx, server)
        [connection_id] = alice.application.all("accepted")
        assert isinstance(connection_id, int)
        with alice.database.transaction() as tx:
            connections.save_state(tx, connection_id, states.Connected(ROLE, TERMS, states.Answer.REPLY), NOW)
        assert not strangers.is_unknown(alice.tx, server)
        assert strangers.fence_for(alice.tx, server) == fence, "that it was reached once is no consent"


class TestGivingUp:
    def test_who_is_never_reached_is_given_up_after_a_week_and_makes_room(self, tmp_path: Path) -> None:
        """Bystanders: Carol, whose confirmation left, and Dave, whom the owner accepted."""
        alice = owner(tmp_path, auto_accept=True)
        for name in ("bob", "carol"):
            alice.receive(request_of(Agent(name, tmp_path), full_link(alice)))
            alice.now += 60
        bob, carol = (int(str(number)) for number in alice.application.all("accepted"))
        with alice.database.transaction() as tx:
            connections.save_state(tx, carol, states.Connected(ROLE, TERMS, states.Answer.REPLY), alice.now)
            addresses.save_auto_accept(tx, alice.id, False)
        alice.receive(request_of(Agent("dave", tmp_path), full_link(alice)))
        [asked] = requests_of(alice)
        with alice.database.transaction() as tx:
            dave = contact_address.accept(tx, alice.context, asked)

        def give_up() -> bool:
            with alice.database.transaction() as tx:
                return contact_address.give_up_next(tx, alice.context)

        due = NOW + admitting.PATIENCE
        assert contact_address.next_look(alice.tx, alice.now) == due and not give_up()
        alice.now = due
        assert give_up() and not give_up(), "once"
        failed = connections.load(alice.tx, bob).state
        assert isinstance(failed, states.Failed) and "for a week" in failure_sentence(failed)
        assert not isinstance(connections.load(alice.tx, dave).state, states.Failed)
        assert isinstance(connections.load(alice.tx, carol).state, states.Connected)
        assert contact_address.next_look(alice.tx, alice.now) is None

    def test_a_clock_that_leaps_gives_nobody_up(self, tmp_path: Path) -> None:
        alice = owner(tmp_path, auto_accept=True)
        alice.receive(request_of(Agent("bob", tmp_path), full_link(alice)))
        alice.do(lambda tx, _: clock.note(tx, alice.now))
        alice.now += 365 * DAY
        alice.do(lambda tx, context: contact_address.give_up_next(tx, context))
        [bob] = alice.application.all("accepted")
        assert not isinstance(connections.load(alice.tx, int(str(bob))).state, states.Failed)
        assert contact_address.next_look(alice.tx, alice.now) == alice.now + clock.HOLD


ROLE = states.Role.JOINER
TERMS = states.Terms(sender_securable=True, reply_key=True, requested=True)


def _at(agent: Agent, host: str, port: str) -> InvitationLink:
    """An invitation to a queue at some relay."""
    link = parse_link(agent.invite(STANDARD))
    assert isinstance(link, InvitationLink)
    queue = link.queues[0]
    return replace(link, queues=(replace(queue, server=SMPServer((host,), port, queue.server.key_hash)),))


def sealed(alice: Agent, envelope: AgentEnvelope | bytes, header: PHEmpty | PHConfirmation | None = None) -> bytes:
    entropy = SeededEntropy("sender")
    key = X25519PrivateKey.generate(entropy)
    content = envelope if isinstance(envelope, bytes) else agent_envelope.encode(envelope)
    secret = key.exchange(full_link(alice).queues[0].dh_key)
    message = ClientMessage(header or PHEmpty(), content)
    return seal_client_message(4, key.public(), secret, entropy.random(24), message, CONFIRMATION_PADDING)


def invitation(folder: Path) -> bytes:
    return Agent("carol", folder).invite(STANDARD).encode()


def _without_key(body: bytes) -> bytes:
    return client_msg_envelope.encode(replace(client_msg_envelope.decode(body), sender_key=None))


def _of_version(body: bytes, version: int) -> bytes:
    return client_msg_envelope.encode(replace(client_msg_envelope.decode(body), version=version))


Make = Callable[[Agent, Path], bytes]
HOSTILE: dict[str, Make] = {
    "nothing": lambda alice, folder: b"",
    "noise": lambda alice, folder: bytes(range(256)) * 62,
    "no key": lambda alice, folder: _without_key(sealed(alice, InvitationEnvelope(7, invitation(folder), INFO))),
    "client version": lambda alice, folder: _of_version(
        sealed(alice, InvitationEnvelope(7, invitation(folder), INFO)), 99
    ),
    "key in the header": lambda alice, folder: sealed(
        alice,
        InvitationEnvelope(7, invitation(folder), INFO),
        PHConfirmation(Ed25519PrivateKey(bytes(32)).public()),
    ),
    "confirmation": lambda alice, folder: sealed(alice, Confirmation(7, None, b"ratchet")),
    "message": lambda alice, folder: sealed(alice, MessageEnvelope(7, b"ratchet")),
    "cut off": lambda alice, folder: sealed(alice, b"\x00\x07I\xff\xffsimplex:"),
    "agent version": lambda alice, folder: sealed(alice, InvitationEnvelope(99, invitation(folder), INFO)),
    "no text": lambda alice, folder: sealed(alice, InvitationEnvelope(7, b"\xff\xfe", INFO)),
    "no link": lambda alice, folder: sealed(alice, InvitationEnvelope(7, b"hello", INFO)),
    "empty link": lambda alice, folder: sealed(alice, InvitationEnvelope(7, b"", INFO)),
    "address": lambda alice, folder: sealed(alice, InvitationEnvelope(7, format_link(full_link(alice)).encode(), INFO)),
    "short link": lambda alice, folder: sealed(
        alice, InvitationEnvelope(7, (address_of(alice).short_link or "").encode(), INFO)
    ),
    "versions to come": lambda alice, folder: sealed(
        alice, InvitationEnvelope(7, invitation(folder).replace(b"?v=2-7", b"?v=8-9"), INFO)
    ),
    "bad reply key": lambda alice, folder: sealed(alice, InvitationEnvelope(7, invitation(folder) + b"&rk=AAAA", INFO)),
    "half a fingerprint": lambda alice, folder: sealed(
        alice, InvitationEnvelope(7, re.sub(rb"smp%3A%2F%2F[^%]{20}", b"smp%3A%2F%2F", invitation(folder)), INFO)
    ),
    "no connection info": lambda alice, folder: sealed(alice, InvitationEnvelope(7, invitation(folder), b"")),
}


@pytest.mark.parametrize("auto_accept", [False, True], ids=["", "auto-accept"])
@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_request_is_refused_and_the_next_one_is_taken(tmp_path: Path, what: str, auto_accept: bool) -> None:
    alice = owner(tmp_path, auto_accept=auto_accept)
    with pytest.raises(EnvelopeRefused):
        alice.receive(HOSTILE[what](alice, tmp_path))
    assert (requests_of(alice), alice.application.told) == ([], [("state", "Published")])
    alice.receive(request_of(Agent("bob", tmp_path), full_link(alice)))
    assert len(requests_of(alice)) + len(alice.application.all("accepted")) == 1


@pytest.mark.parametrize("auto_accept", [False, True], ids=["", "auto-accept"])
def test_a_request_that_offers_a_queue_of_ours_is_refused(tmp_path: Path, auto_accept: bool) -> None:
    alice = owner(tmp_path, auto_accept=auto_accept)
    address = alice.id
    own = alice.invite()
    alice.id = address
    with pytest.raises(EnvelopeRefused, match="ours"):
        alice.receive(sealed(alice, InvitationEnvelope(7, own.encode(), INFO)))


def test_a_full_queue_is_no_news_to_an_address(tmp_path: Path) -> None:
    alice = owner(tmp_path)
    alice.receive(None)
    assert outgoing.is_empty(alice.tx, alice.id)


def test_ones_own_address_is_known(tmp_path: Path) -> None:
    alice = owner(tmp_path)
    for address in (full_link(alice), short_link(alice), replace(short_link(alice), web=False)):
        with pytest.raises(OwnLinkError):
            ask(alice, address)
