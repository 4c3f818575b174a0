"""How many flights each handshake takes: every block is half a round trip late, and nothing else takes any time.

Source: handshake.md 4, last table. Sessions are warm: what a cold one costs (TLS, hellos) is the same for all variants.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from smpchat.agent.context import Context
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake_states import Variant
from smpchat.agent.store.connections import Connection
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.transactions.incoming import ChatApplication
from smpchat.protocol.commands import Ack, Command, Key, LKey, New, Send, SKey
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person

ROUND_TRIP = 10.0


class Writer(ChatApplication):
    """Writes to a new contact as soon as the handshake lets it, like somebody who has waited for that moment."""

    def __init__(self, service: ChatService, text: str) -> None:
        super().__init__(service.own_profile, service.now, service.entropy.random)
        self._service, self._text = service, text

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        super().state_changed(tx, connection)
        if isinstance(connection.state, states.Answering) and states.may_send(connection.state):
            asyncio.get_running_loop().call_soon(lambda: self._service.send("bob", self._text))


@dataclass
class Flights:
    """What a handshake took.

    Attributes:
        ready: Round trips from `connect` until the joiner is *ready*.
        commands: What arrived at the relay since then, with its time in round trips.
    """

    ready: float
    commands: list[tuple[float, Command]]

    def times(self, *kinds: type[Command]) -> list[float]:
        """When commands of these kinds arrived."""
        return [at for at, command in self.commands if type(command) in kinds]


def shake_hands(
    folder: Path,
    variant: Variant,
    *,
    strip_reply_key: bool = False,
    short_link: bool = False,
    versions: VersionRange = SMP_VERSIONS,
    extensions: bool = True,
    text: str | None = None,
    joiner_texts: tuple[str, ...] = (),
) -> Flights:
    """Both are online all the time, with a session to the one relay; ``text`` is the initiator's, once it may write."""

    async def main() -> Flights:
        loop = asyncio.get_running_loop()
        relay = MemoryRelay(
            SeededEntropy("relay"), lambda: START, versions=versions, extensions=extensions, delay=ROUND_TRIP / 2
        )
        alice, bob = (Person(name, folder / name, [relay], home=relay) for name in ("alice", "bob"))
        service = alice.service
        if text is not None:
            service.context = Context(Writer(service, text), service.entropy, service.now)
        service.invite(variant=variant)
        bob.service.invite(note="noone")  # warms bob's session
        async with alice.online(), bob.online():
            for person in (alice, bob):
                await person.until(lambda service: service.invitations()[0].link is not None)
            invitation = service.invitations()[0]
            link = invitation.short_link if short_link else invitation.link
            assert link is not None
            await asyncio.sleep(20 * ROUND_TRIP)  # the repeated SUBs of a new queue pass, at no cost in fake time
            began, before = loop.time(), len(relay.commands)
            bob.service.connect(re.sub("&rk=.*", "", link) if strip_reply_key else link, "alice", joiner_texts)
            await bob.until(lambda service: service.contact("alice").state.state == "connected")
            for person in (alice, bob):
                await person.until(lambda service: bool(service.contacts()) and service.is_idle())
            ready_at = bob.service.database.read("SELECT ready_at - created_at AS waited FROM connections WHERE id = 2")
        times = [(at - began) / ROUND_TRIP for at in relay.arrivals[before:]]
        await relay.stop()
        for person in (alice, bob):
            person.service.close()
        return Flights(ready_at[0]["waited"] / ROUND_TRIP, list(zip(times, relay.commands[before:], strict=True)))

    return run_jumping(main)


PLAIN = {"extensions": False}
OLD = {"extensions": False, "versions": VersionRange(6, 8)}
Shake = Callable[[Path], Flights]


@pytest.mark.parametrize(
    ("variant", "options", "round_trips"),
    [
        (Variant.INSTANT, {}, 2),
        (Variant.INSTANT, PLAIN, 2),
        (Variant.INSTANT, {"versions": VersionRange(6, 9), **PLAIN}, 2),
        (Variant.INSTANT, {"strip_reply_key": True}, 2),
        (Variant.INSTANT, {"short_link": True}, 2),
        (Variant.INSTANT, {"short_link": True, **PLAIN}, 2),
        (Variant.THREE_STEP, {}, 2),
        (Variant.THREE_STEP, PLAIN, 2),
        (Variant.THREE_STEP, OLD, 3),
        (Variant.STANDARD, OLD, 2),
    ],
)
def test_round_trips_until_the_joiner_is_ready(
    tmp_path: Path, variant: Variant, options: dict[str, object], round_trips: int
) -> None:
    flights = shake_hands(tmp_path, variant, **options)  # type: ignore[arg-type]
    assert flights.ready == pytest.approx(round_trips)


def test_securing_and_creating_go_out_together(tmp_path: Path) -> None:
    flights = shake_hands(tmp_path, Variant.INSTANT)
    assert flights.times(SKey, New) == pytest.approx([0.5, 0.5])
    assert flights.times(Send)[0] == pytest.approx(1.5)


def test_key_goes_out_with_the_confirmation_where_new_takes_none(tmp_path: Path) -> None:
    flights = shake_hands(tmp_path, Variant.INSTANT, extensions=False)
    assert flights.times(Key) == pytest.approx([1.5])
    assert flights.times(Send)[0] == pytest.approx(1.5)


def test_a_short_link_is_read_while_the_reply_queue_is_created(tmp_path: Path) -> None:
    flights = shake_hands(tmp_path, Variant.INSTANT, short_link=True)
    assert flights.times(LKey, New) == pytest.approx([0.5, 0.5])
    assert flights.times(SKey) == [], "reading secured the queue"
    assert flights.times(Key) == pytest.approx([1.5])
    assert flights.times(Send)[0] == pytest.approx(1.5)


def test_a_short_link_costs_the_initiator_nothing(tmp_path: Path) -> None:
    flights = shake_hands(tmp_path, Variant.INSTANT, short_link=True, text="hello")
    confirmation, hello, text = flights.times(Send)[:3]
    assert (hello, text) == pytest.approx((confirmation + 1, confirmation + 1))


def test_below_version_nine_key_is_answered_before_the_confirmation_leaves(tmp_path: Path) -> None:
    flights = shake_hands(tmp_path, Variant.THREE_STEP, extensions=False, versions=VersionRange(6, 8))
    assert flights.times(Key)[0] == pytest.approx(1.5)
    assert flights.times(Send)[0] == pytest.approx(2.5)


@pytest.mark.parametrize("extensions", [True, False])
def test_the_initiators_hello_and_first_text_leave_with_its_acknowledgement(tmp_path: Path, extensions: bool) -> None:
    flights = shake_hands(tmp_path, Variant.INSTANT, extensions=extensions, text="hello")
    confirmation, hello, text = flights.times(Send)[:3]
    assert flights.times(Ack)[0] == pytest.approx(confirmation + 1)  # half there, half back
    assert (hello, text) == pytest.approx((confirmation + 1, confirmation + 1))


def test_the_initiator_secures_before_its_hello_where_nobody_else_did(tmp_path: Path) -> None:
    flights = shake_hands(tmp_path, Variant.INSTANT, strip_reply_key=True)
    confirmation, hello = flights.times(Send)[:2]
    assert flights.times(Ack)[0] == flights.times(SKey)[1] == pytest.approx(confirmation + 1)
    assert hello == pytest.approx(confirmation + 2)


def test_three_step_lets_the_initiator_write_after_key(tmp_path: Path) -> None:
    flights = shake_hands(tmp_path, Variant.THREE_STEP, text="hello")
    confirmation, hello, text = flights.times(Send)[:3]
    assert flights.times(Key)[-1] == pytest.approx(confirmation + 1)
    assert (hello, text) == pytest.approx((confirmation + 2, confirmation + 2))


@pytest.mark.parametrize(
    ("variant", "options", "messages"),
    [
        (Variant.INSTANT, {}, 2),
        (Variant.INSTANT, PLAIN, 2),
        (Variant.INSTANT, {"strip_reply_key": True}, 2),
        (Variant.INSTANT, {"short_link": True}, 2),
        (Variant.THREE_STEP, {}, 3),
        (Variant.STANDARD, OLD, 4),
    ],
)
def test_messages_through_relays(tmp_path: Path, variant: Variant, options: dict[str, object], messages: int) -> None:
    flights = shake_hands(tmp_path, variant, **options)  # type: ignore[arg-type]
    assert len(flights.times(Send)) == messages


@pytest.mark.parametrize(("variant", "options"), [(Variant.THREE_STEP, {}), (Variant.STANDARD, OLD)])
def test_what_waited_for_the_hello_goes_out_as_one_batch(
    tmp_path: Path, variant: Variant, options: dict[str, object]
) -> None:
    flights = shake_hands(tmp_path, variant, joiner_texts=("one", "two", "three"), **options)  # type: ignore[arg-type]
    sends = flights.times(Send)
    batch = max(sends, key=sends.count)
    assert sends.count(batch) >= 3
