"""The handshake machine: every variant's path as whole effect lists, repeats, and what must not happen."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from smpchat.agent.errors import UnexpectedEvent
from smpchat.agent.machines import handshake as hs
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake import step
from smpchat.agent.machines.handshake_effects import (
    CreateAddressQueue,
    CreateReceiveQueue,
    DeleteReceiveQueue,
    Effect,
    KeyChoice,
    ReadAddress,
    ReadLink,
    RepeatConfirmation,
    ResendConfirmationSigned,
    ResendHello,
    SecureReceiveQueue,
    SecureSendQueue,
    SendConfirmation,
    SendHello,
    SendReady,
    SendRequest,
)
from smpchat.agent.machines.handshake_events import (
    AddressRead,
    AddressRefused,
    ConfirmationAccepted,
    ConfirmationReceived,
    ConfirmationRefused,
    DeleteRequested,
    Event,
    HelloAccepted,
    HelloReceived,
    HelloRefused,
    JoinReleased,
    LinkRead,
    LinkUnusable,
    PeerReady,
    ReceiveQueueCreated,
    ReceiveQueueSecured,
    RequestAccepted,
    SendQueueRefused,
    SendQueueSecured,
)
from smpchat.agent.machines.handshake_states import Answer, ConnectionState, Failure, Role, State, Terms, Variant
from smpchat.agent.store.states import state_from_json, state_to_json
from smpchat.encoding.record import replace
from smpchat.testing.transitions import VARIANTS, markdown, reachable, transitions

INSTANT = Terms(sender_securable=True, reply_key=True)
THREE_STEP = Terms(sender_securable=False, reply_key=True)
SENDER_SECURED = Terms(sender_securable=True, reply_key=False)
STANDARD = Terms(sender_securable=False, reply_key=False)


def run(start: hs.Step, *events: Event) -> tuple[State, list[Effect]]:
    """The state after all events, and every effect on the way."""
    state, effects = start
    done = list(effects)
    for event in events:
        state, more = step(state, event)
        done += more
    return state, done


def join(terms: Terms) -> hs.Step:
    return hs.join(terms, send_early=True)


@pytest.mark.parametrize(
    ("terms", "variant"),
    [
        (INSTANT, Variant.INSTANT),
        (THREE_STEP, Variant.THREE_STEP),
        (SENDER_SECURED, Variant.SENDER_SECURED),
        (STANDARD, Variant.STANDARD),
    ],
)
def test_a_variant_is_named_by_queue_and_reply_key(terms: Terms, variant: Variant) -> None:
    assert terms.variant is variant


class TestJoiner:
    def test_instant_with_keyed_new(self) -> None:
        state, effects = run(join(INSTANT), SendQueueSecured(), ReceiveQueueCreated(messaging=True, keyed=True))
        assert effects == [
            SecureSendQueue(),
            CreateReceiveQueue(messaging=True, keyed=True),
            SendConfirmation(Answer.SECURED, signed=True),
        ]
        assert states.may_send(state) and states.pipelines(state)
        state, effects = run((state, ()), ConfirmationAccepted())
        assert (states.connection_state(state), effects) == (ConnectionState.READY, [])
        state, effects = run((state, ()), HelloReceived(sender_key=False))
        assert (states.connection_state(state), effects) == (ConnectionState.CONNECTED, [])

    @pytest.mark.parametrize("created_first", [True, False])
    def test_key_travels_beside_the_confirmation_at_relays_without_keyed_new(self, created_first: bool) -> None:
        events: list[Event] = [ReceiveQueueCreated(messaging=True), SendQueueSecured()]
        state, effects = run(join(INSTANT), *(events if created_first else reversed(events)))
        assert effects[2:] == [
            SecureReceiveQueue(KeyChoice.REPLY, before_sending=False),
            SendConfirmation(Answer.SECURED, signed=True),
        ]
        state, effects = run((state, ()), ReceiveQueueSecured(), ConfirmationAccepted())
        assert (states.connection_state(state), effects) == (ConnectionState.READY, [])

    def test_key_goes_before_the_confirmation_at_relays_below_version_9(self) -> None:
        created = ReceiveQueueCreated(messaging=False, key_beside=False)
        state, effects = run(join(INSTANT), SendQueueSecured(), created)
        assert effects[2:] == [SecureReceiveQueue(KeyChoice.REPLY, before_sending=True)]
        assert isinstance(state, states.Joining)
        state, effects = run((state, ()), ReceiveQueueSecured())
        assert effects == [SendConfirmation(Answer.SECURED, signed=True)]

    def test_three_step_holds_texts_until_the_hello_and_announces_itself(self) -> None:
        state, effects = run(join(THREE_STEP), ReceiveQueueCreated(messaging=True, keyed=True))
        assert effects == [
            CreateReceiveQueue(messaging=True, keyed=True),
            SendConfirmation(Answer.SECURED, signed=False),
        ]
        assert not states.may_send(state)
        state, _ = run((state, ()), ConfirmationAccepted())
        assert states.connection_state(state) is ConnectionState.READY and not states.may_send(state)
        assert run((state, ()), ConfirmationAccepted()) == (state, [RepeatConfirmation()])
        state, effects = run((state, ()), HelloReceived(sender_key=False))
        assert effects == [SendReady()] and states.may_send(state)

    def test_sender_secured(self) -> None:
        state, effects = run(join(SENDER_SECURED), SendQueueSecured(), ReceiveQueueCreated(messaging=True))
        assert effects[2:] == [SendConfirmation(Answer.REPLY, signed=True)]
        assert states.may_send(state) and not states.pipelines(state)
        state, effects = run((state, ()), ConfirmationAccepted(), HelloReceived(sender_key=False))
        assert (states.connection_state(state), effects) == (ConnectionState.CONNECTED, [])

    @pytest.mark.parametrize("short", [True, False], ids=["short link", "full link"])
    def test_texts_never_overtake_the_hello_that_an_older_relay_calls_for(self, short: bool) -> None:
        """Our own queue is not messaging: the initiator waits for HELLO, and takes the first message for it."""
        created = ReceiveQueueCreated(messaging=False)
        if short:
            state, _ = run(hs.join_short(held=False), created, LinkRead(False, send_early=True))
        else:
            state, _ = run(join(SENDER_SECURED), SendQueueSecured(), created)
        assert not states.may_send(state) and not states.holds_texts(state)
        state, _ = run((state, ()), ConfirmationAccepted())
        assert states.connection_state(state) is ConnectionState.READY and states.holds_texts(state)
        state, effects = run((state, ()), HelloReceived(sender_key=True), ReceiveQueueSecured())
        assert effects[-1] == SendReady() and not states.may_send(state)
        state, _ = run((state, ()), PeerReady())
        assert states.may_send(state) and not states.holds_texts(state)

    def test_an_initiator_that_knows_the_reply_key_reads_texts_at_once(self) -> None:
        """It answers with a hello whatever the queue's mode: no HELLO of ours follows that texts could overtake."""
        created = ReceiveQueueCreated(messaging=False, keyed=True)
        state, _ = run(join(INSTANT), SendQueueSecured(), created)
        assert states.may_send(state)

    def test_an_older_agent_must_answer_before_it_is_written_to(self) -> None:
        state, _ = run(
            hs.join(SENDER_SECURED, send_early=False), SendQueueSecured(), ReceiveQueueCreated(messaging=True)
        )
        assert not states.may_send(state)

    def test_standard(self) -> None:
        state, effects = run(join(STANDARD), ReceiveQueueCreated(messaging=False, key_beside=False))
        assert effects == [
            CreateReceiveQueue(messaging=True, keyed=False),
            SendConfirmation(Answer.REPLY, signed=False),
        ]
        state, effects = run((state, ()), ConfirmationAccepted(), HelloReceived(sender_key=True))
        assert effects == [RepeatConfirmation(), SecureReceiveQueue(KeyChoice.PEER, before_sending=True)]
        assert not states.may_send(state)
        state, effects = run((state, ()), ReceiveQueueSecured())
        assert effects == [SendReady()] and not states.may_send(state)
        state, effects = run((state, ()), PeerReady())
        assert (states.connection_state(state), effects, states.may_send(state)) == (
            ConnectionState.CONNECTED,
            [],
            True,
        )

    def test_a_used_link_fails_and_removes_the_reply_queue(self) -> None:
        failed = states.Failed(Role.JOINER, INSTANT, Failure.LINK_USED)
        assert step(join(INSTANT)[0], SendQueueRefused()) == (failed, (DeleteReceiveQueue(),))
        assert step(failed, ReceiveQueueCreated(messaging=True)) == (failed, (DeleteReceiveQueue(),))

    def test_a_signed_confirmation_refused_is_final(self) -> None:
        state, _ = run(join(INSTANT), SendQueueSecured(), ReceiveQueueCreated(messaging=True, keyed=True))
        state, effects = step(state, ConfirmationRefused())
        assert states.connection_state(state) is ConnectionState.FAILED
        assert effects == (DeleteReceiveQueue(),)

    def test_an_unsigned_confirmation_refused_is_tried_once_signed(self) -> None:
        state, _ = run(join(THREE_STEP), ReceiveQueueCreated(messaging=True, keyed=True))
        state, effects = step(state, ConfirmationRefused())
        assert effects == (ResendConfirmationSigned(),)
        assert states.connection_state(step(state, ConfirmationAccepted())[0]) is ConnectionState.READY
        assert states.connection_state(step(state, ConfirmationRefused())[0]) is ConnectionState.FAILED

    def test_a_confirmation_without_answer_finds_out_that_another_person_was_accepted(self) -> None:
        state, _ = run(join(THREE_STEP), ReceiveQueueCreated(messaging=True, keyed=True), ConfirmationAccepted())
        state, effects = step(state, ConfirmationRefused())  # unsigned: the queue is secured by now
        assert effects == (ResendConfirmationSigned(),)
        accepted, effects = step(state, ConfirmationAccepted())  # signed: with our key, so the hello will come
        assert (states.connection_state(accepted), effects) == (ConnectionState.READY, ())
        refused, effects = step(state, ConfirmationRefused())
        assert refused == states.Failed(Role.JOINER, THREE_STEP, Failure.LINK_USED)
        assert effects == (DeleteReceiveQueue(),)

    def test_the_hello_may_come_before_the_relay_answers_the_confirmation(self) -> None:
        state, _ = run(
            join(INSTANT),
            SendQueueSecured(),
            ReceiveQueueCreated(messaging=True, keyed=True),
            HelloReceived(sender_key=False),
        )
        assert states.connection_state(state) is ConnectionState.CONNECTED
        assert step(state, ConfirmationAccepted()) == (state, ())


def read(*, held: bool = False) -> hs.Step:
    return hs.join_short(held=held)


class TestShortLink:
    def test_reading_and_creating_go_out_together(self) -> None:
        state, effects = read()
        assert effects == (ReadLink(), CreateReceiveQueue(messaging=True, keyed=False))
        assert states.role(state) is Role.JOINER and states.connection_state(state) is ConnectionState.JOINING
        assert not states.may_send(state) and state.terms is None

    @pytest.mark.parametrize("created_first", [True, False])
    def test_key_travels_beside_the_confirmation(self, created_first: bool) -> None:
        events: list[Event] = [ReceiveQueueCreated(messaging=True), LinkRead(True, send_early=True)]
        state, effects = run(read(), *(events if created_first else reversed(events)))
        assert effects == [
            ReadLink(),
            CreateReceiveQueue(messaging=True, keyed=False),
            SecureReceiveQueue(KeyChoice.REPLY, before_sending=False),
            SendConfirmation(Answer.SECURED, signed=True),
        ]
        assert state == states.Confirming(INSTANT, send_early=True, answer=Answer.SECURED, signed=True)

    @pytest.mark.parametrize("created_first", [True, False])
    def test_key_goes_first_where_the_reply_relay_is_below_version_9(self, created_first: bool) -> None:
        created = ReceiveQueueCreated(messaging=False, key_beside=False)
        events: list[Event] = [created, LinkRead(True, send_early=True)]
        state, effects = run(read(), *(events if created_first else reversed(events)))
        assert effects[2:] == [SecureReceiveQueue(KeyChoice.REPLY, before_sending=True)]
        assert step(state, ReceiveQueueSecured())[1] == (SendConfirmation(Answer.SECURED, signed=True),)

    @pytest.mark.parametrize("send_early", [True, False])
    def test_links_of_other_software_have_no_reply_key(self, send_early: bool) -> None:
        state, effects = run(read(), ReceiveQueueCreated(messaging=True), LinkRead(False, send_early))
        assert effects[2:] == [SendConfirmation(Answer.REPLY, signed=True)]
        assert state.terms == SENDER_SECURED and states.may_send(state) is send_early

    def test_a_used_link_fails_and_removes_the_reply_queue(self) -> None:
        failed = states.Failed(Role.JOINER, None, Failure.LINK_USED)
        assert step(read()[0], SendQueueRefused()) == (failed, (DeleteReceiveQueue(),))
        assert step(failed, ReceiveQueueCreated(messaging=True)) == (failed, (DeleteReceiveQueue(),))

    @pytest.mark.parametrize("reason", [Failure.LINK_DATA, Failure.LINK_VERSIONS, Failure.NO_SHORT_LINKS])
    def test_so_does_one_that_leads_nowhere(self, reason: Failure) -> None:
        state, _ = run(read(held=True), ReceiveQueueCreated(messaging=True))
        failed, effects = step(state, LinkUnusable(reason, "It is not signed."))
        assert failed == states.Failed(Role.JOINER, None, reason, "It is not signed.")
        assert effects == (DeleteReceiveQueue(),)

    def test_a_held_join_does_everything_but_confirm(self) -> None:
        begun = read(held=True)
        state, effects = run(begun, ReceiveQueueCreated(messaging=True), LinkRead(True, send_early=True))
        assert (tuple(effects), states.is_held(state)) == (begun[1], True)
        released, effects = run((state, ()), JoinReleased())
        assert effects == [
            SecureReceiveQueue(KeyChoice.REPLY, before_sending=False),
            SendConfirmation(Answer.SECURED, signed=True),
        ]
        assert not states.is_held(released)

    def test_it_may_be_released_before_the_link_is_read(self) -> None:
        state, effects = run(read(held=True), JoinReleased())
        assert (state, effects) == (read()[0], list(read()[1]))

    def test_a_join_is_released_once(self) -> None:
        for state in (read()[0], join(INSTANT)[0]):
            with pytest.raises(UnexpectedEvent):
                step(state, JoinReleased())


@pytest.mark.parametrize("requested", [True, False])
def test_the_link_in_a_request_is_gone_where_another_one_is_used(requested: bool) -> None:
    terms = [replace(variant, requested=requested) for variant in VARIANTS]
    reasons = {
        after.reason
        for before, _, after, _ in transitions(terms)
        if isinstance(after, states.Failed) and after != before and before.terms in terms and after.role is Role.JOINER
    }
    gone = Failure.REQUEST_GONE if requested else Failure.LINK_USED
    given_up = {Failure.NOT_REACHED} if requested else set()
    assert reasons == {gone, Failure.QUEUE_REFUSED, Failure.NOT_A_CONTACT} | given_up


class TestInitiator:
    def invited(self, terms: Terms = INSTANT, *, messaging: bool = True) -> State:
        return step(hs.invite(terms)[0], ReceiveQueueCreated(messaging=messaging))[0]

    def test_instant(self) -> None:
        received = ConfirmationReceived(Answer.SECURED, sender_key=False, securable=True, reply_key_ours=True)
        state, effects = step(self.invited(), received)
        assert effects == (SendHello(signed=True),)
        assert (
            states.may_send(state)
            and states.pipelines(state)
            and states.connection_state(state) is ConnectionState.READY
        )
        state, effects = step(state, HelloAccepted())
        assert (states.connection_state(state), effects) == (ConnectionState.CONNECTED, ())

    def test_a_relay_without_sender_securing_makes_it_three_step(self) -> None:
        state = self.invited(messaging=False)
        assert state.terms is not None and state.terms.variant is Variant.THREE_STEP
        received = ConfirmationReceived(Answer.SECURED, sender_key=True, securable=True, reply_key_ours=True)
        _, effects = step(state, received)
        assert effects == (
            SecureReceiveQueue(KeyChoice.PEER, before_sending=True),
            SendHello(signed=True),
        )

    def test_an_overtaken_key_is_repaired_once(self) -> None:
        received = ConfirmationReceived(Answer.SECURED, sender_key=False, securable=True, reply_key_ours=True)
        state, _ = step(self.invited(), received)
        state, effects = step(state, HelloRefused())
        assert effects == (SecureSendQueue(), ResendHello())
        assert step(state, SendQueueSecured()) == (state, ())
        assert states.connection_state(step(state, HelloAccepted())[0]) is ConnectionState.CONNECTED
        for refusal in (HelloRefused(), SendQueueRefused()):
            failed, effects = step(state, refusal)
            assert failed == states.Failed(Role.INITIATOR, INSTANT, Failure.REPLY_REFUSED)
            assert effects == (DeleteReceiveQueue(),)

    def test_a_swapped_reply_key_is_not_answered(self) -> None:
        received = ConfirmationReceived(Answer.SECURED, sender_key=False, securable=True, reply_key_ours=False)
        state, effects = step(self.invited(), received)
        assert state == states.Failed(Role.INITIATOR, INSTANT, Failure.REPLY_REFUSED)
        assert not any(isinstance(effect, SendHello) for effect in effects)

    def test_software_without_reply_keys_gets_the_sender_secured_path(self) -> None:
        received = ConfirmationReceived(Answer.REPLY, sender_key=False, securable=True)
        state, effects = step(self.invited(), received)
        assert effects == (SecureSendQueue(), SendHello(signed=True))
        assert state.terms is not None and state.terms.variant is Variant.SENDER_SECURED
        assert states.may_send(state) and not states.pipelines(state)
        assert states.connection_state(step(state, SendQueueRefused())[0]) is ConnectionState.FAILED

    def test_standard(self) -> None:
        received = ConfirmationReceived(Answer.REPLY, sender_key=True, securable=False)
        state, effects = step(self.invited(STANDARD, messaging=False), received)
        assert effects == (SecureReceiveQueue(KeyChoice.PEER, before_sending=True), SendHello(signed=False))
        assert not states.may_send(state)
        state, effects = step(state, HelloAccepted())
        assert (states.connection_state(state), effects) == (ConnectionState.READY, ())
        state, effects = step(state, PeerReady())
        assert (states.connection_state(state), effects) == (ConnectionState.CONNECTED, (SendReady(),))

    def test_mixed_queue_secured_by_the_initiator_reply_queue_by_its_sender(self) -> None:
        received = ConfirmationReceived(Answer.REPLY, sender_key=True, securable=True)
        state, effects = step(self.invited(STANDARD, messaging=False), received)
        assert effects == (
            SecureReceiveQueue(KeyChoice.PEER, before_sending=True),
            SecureSendQueue(),
            SendHello(signed=True),
        )
        assert states.connection_state(step(state, HelloAccepted())[0]) is ConnectionState.CONNECTED


class TestRequester:
    """Whoever uses a contact address: the initiator of a connection that the address's owner joins."""

    def test_with_a_full_link(self) -> None:
        state, effects = run(hs.request(INSTANT, address_known=True), ReceiveQueueCreated(messaging=True))
        assert effects == [CreateReceiveQueue(messaging=True, keyed=False), SendRequest()]
        assert (states.connection_state(state), states.reached_step(state)) == (ConnectionState.JOINING, 1)
        state, effects = run((state, ()), RequestAccepted())
        assert (states.connection_state(state), states.reached_step(state), effects) == (ConnectionState.READY, 2, [])
        assert (states.variant(state), states.may_send(state), states.role(state)) == (None, False, Role.INITIATOR)

    @pytest.mark.parametrize("read_first", [True, False])
    def test_a_short_link_is_read_while_the_queue_is_made(self, read_first: bool) -> None:
        start = hs.request(INSTANT, address_known=False)
        events: list[Event] = [ReceiveQueueCreated(messaging=True), AddressRead()]
        state, effects = run(start, *(reversed(events) if read_first else events))
        assert effects == [
            ReadAddress(),
            CreateReceiveQueue(messaging=True, keyed=False),
            SendRequest(),
        ]
        assert state == states.Requesting(INSTANT)

    @pytest.mark.parametrize("released_at", range(3))
    @pytest.mark.parametrize("read_first", [True, False])
    def test_a_held_request_waits_for_the_answer(self, read_first: bool, released_at: int) -> None:
        events: list[Event] = [ReceiveQueueCreated(messaging=True), AddressRead()]
        if read_first:
            events.reverse()
        state, effects = run(hs.request(INSTANT, address_known=False, held=True), *events)
        assert effects == [ReadAddress(), CreateReceiveQueue(messaging=True, keyed=False)]
        assert states.is_held(state) and not states.reads_link(state)
        assert step(state, JoinReleased()) == (states.Requesting(INSTANT), (SendRequest(),))
        events.insert(released_at, JoinReleased())
        state, effects = run(hs.request(INSTANT, address_known=False, held=True), *events)
        assert (state, effects[2:]) == (states.Requesting(INSTANT), [SendRequest()])
        with pytest.raises(UnexpectedEvent):
            step(state, JoinReleased())

    @pytest.mark.parametrize("accepted", [True, False])
    def test_the_owners_confirmation_is_answered_like_any_other_even_before_ok(self, accepted: bool) -> None:
        start = hs.request(INSTANT, address_known=True)
        events: list[Event] = [ReceiveQueueCreated(messaging=True), *([RequestAccepted()] * accepted)]
        confirmation = ConfirmationReceived(Answer.SECURED, sender_key=False, securable=True, reply_key_ours=True)
        state, effects = run(start, *events, confirmation)
        assert (state, effects[-1]) == (states.Answering(INSTANT, Answer.SECURED, True), SendHello(signed=True))
        assert states.variant(state) is Variant.INSTANT

    def test_an_app_takes_the_older_path_and_an_older_relay_makes_it_three_step(self) -> None:
        asked, _ = run(hs.request(INSTANT, address_known=True), ReceiveQueueCreated(messaging=False))
        assert asked.terms == THREE_STEP
        answer = ConfirmationReceived(Answer.REPLY, sender_key=True, securable=True)
        state, effects = step(asked, answer)
        assert state.terms == STANDARD
        assert effects == (
            SecureReceiveQueue(KeyChoice.PEER, before_sending=True),
            SecureSendQueue(),
            SendHello(signed=True),
        )

    def test_a_link_changed_on_its_way_is_noticed(self) -> None:
        state, _ = run(hs.request(INSTANT, address_known=True), ReceiveQueueCreated(messaging=True))
        answer = ConfirmationReceived(Answer.SECURED, sender_key=False, securable=True, reply_key_ours=False)
        assert step(state, answer)[0] == states.Failed(Role.INITIATOR, INSTANT, Failure.REPLY_REFUSED)

    @pytest.mark.parametrize("events", [(), (ReceiveQueueCreated(messaging=True),)])
    def test_an_address_that_cannot_be_read_ends_it(self, events: tuple[Event, ...]) -> None:
        start = hs.request(INSTANT, address_known=False)
        state, effects = run(start, *events, AddressRefused(Failure.ADDRESS_UNUSABLE))
        assert state == states.Failed(Role.INITIATOR, INSTANT, Failure.ADDRESS_UNUSABLE)
        assert effects[-1] == DeleteReceiveQueue()
        assert step(state, ReceiveQueueCreated(messaging=True)) == (state, (DeleteReceiveQueue(),))

    def test_a_refused_request_ends_it(self) -> None:
        state, _ = run(hs.request(INSTANT, address_known=True), ReceiveQueueCreated(messaging=True))
        state, effects = step(state, AddressRefused(Failure.ADDRESS_GONE))
        assert state == states.Failed(Role.INITIATOR, INSTANT, Failure.ADDRESS_GONE)
        assert effects == (DeleteReceiveQueue(),)

    @pytest.mark.parametrize("event", [RequestAccepted(), AddressRefused(Failure.ADDRESS_GONE), AddressRead()])
    def test_what_cannot_happen_once_the_address_has_answered(self, event: Event) -> None:
        state, _ = run(hs.request(INSTANT, address_known=True), ReceiveQueueCreated(messaging=True), RequestAccepted())
        with pytest.raises(UnexpectedEvent):
            step(state, event)


def test_an_address_is_published_and_takes_nothing_but_requests() -> None:
    state, effects = run(hs.publish(), ReceiveQueueCreated(messaging=False))
    assert (effects, states.role(state), states.variant(state)) == ([CreateAddressQueue()], Role.OWNER, None)
    with pytest.raises(UnexpectedEvent):
        step(state, ConfirmationReceived(Answer.REPLY, sender_key=True, securable=True))


def test_every_kind_of_state_is_reached_and_survives_the_store() -> None:
    found = reachable()
    assert {type(state) for state in found} == set(typing.get_args(states.State))
    for state in found:
        assert state_from_json(state_to_json(state)) == state


def test_every_state_can_be_deleted_and_stays_deleted() -> None:
    for state in reachable():
        deleted, effects = step(state, DeleteRequested())
        assert isinstance(deleted, states.Deleted)
        assert effects == (() if isinstance(state, states.Deleted) else (DeleteReceiveQueue(),))


def test_a_failed_or_deleted_connection_never_sends_again() -> None:
    for state in reachable():
        if isinstance(state, states.Failed | states.Deleted):
            assert not states.may_send(state)
            for event in (ConfirmationAccepted(), HelloAccepted(), PeerReady(), SendQueueSecured()):
                assert step(state, event) == (state, ())


def test_an_impossible_event_is_one_typed_error() -> None:
    with pytest.raises(UnexpectedEvent, match="HelloReceived cannot happen in Inviting"):
        step(hs.invite(INSTANT)[0], HelloReceived(sender_key=False))


def test_the_table_in_the_docs_is_current() -> None:
    page = Path(__file__).parents[4] / "docs" / "handshake.md"
    assert page.read_text() == markdown(), "print it again: python -m smpchat.testing.transitions >docs/handshake.md"


def test_a_farewell_needs_a_peer_that_has_our_first_message() -> None:
    reached = {state for state in reachable() if states.reached_peer(state)}
    assert {type(state) for state in reached} == {
        states.AwaitingHello,
        states.SecuringReply,
        states.AwaitingReady,
        states.Connected,
    }
    assert all(states.may_send(state) for state in reached)
