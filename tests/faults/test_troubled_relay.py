"""A relay with troubles of its own, which answers a command with an error and carries the same one out later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from smpchat.protocol.commands import Ack, Command, Err, Send, Sub
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.transmission import Transmission
from smpchat.relay.outgoing import Outgoing
from smpchat.relay.subscriptions import Client
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay
from tests.faults.people import START, Person


class TroubledRelay(MemoryRelay):
    """A `MemoryRelay` that answers the next commands of a kind with an error, and does nothing about them."""

    kind: type[Command] = Sub
    times: int = 0
    code: ErrorCode = ErrorCode.INTERNAL

    def refuse(self, kind: type[Command], times: int, code: ErrorCode = ErrorCode.INTERNAL) -> None:
        """The next ``times`` commands of this kind are answered with ``code``."""
        self.kind, self.times, self.code = kind, times, code

    def _carry_out(self, client: Client, transmission: Transmission) -> list[Outgoing]:
        tag = transmission.body.split(b" ")[0]
        if self.times and tag == self.kind.__name__.upper().encode():
            self.times -= 1
            return [Outgoing(client, transmission.corr_id, transmission.entity_id, Err(self.code))]
        return super()._carry_out(client, transmission)


def between_friends(folder: Path, check: Callable[[TroubledRelay, Person, Person], Awaitable[None]]) -> None:
    """Run ``check`` with the relay of Alice and Bob, who are connected and offline."""

    async def main() -> None:
        relay = TroubledRelay(SeededEntropy("relay"), lambda: START)
        alice, bob = (Person(name, folder / name, [relay], home=relay) for name in ("alice", "bob"))
        alice.service.invite("bob")
        async with alice.online():
            await alice.until(lambda s: s.invitations()[0].link is not None)
            bob.service.connect(alice.service.invitations()[0].link or "", "alice")
            async with bob.online():
                await bob.until(lambda s: s.contact("alice").state.state == "connected")
                for person in (alice, bob):
                    await person.until(lambda s: s.is_idle())
        await check(relay, alice, bob)
        await relay.stop()
        alice.service.close()
        bob.service.close()

    run_jumping(main)


def texts(person: Person) -> list[str]:
    return [text for _, _, text, _ in person.transcript()]


@pytest.mark.parametrize("times", [2, 5])
def test_a_queue_that_cannot_be_subscribed_now_is_subscribed_later(tmp_path: Path, times: int) -> None:
    async def check(relay: TroubledRelay, alice: Person, bob: Person) -> None:
        async with bob.online():
            bob.service.send("alice", "are you there?")
            await bob.until(lambda s: s.is_idle())
        relay.refuse(Sub, times)
        async with alice.online():
            await alice.until(lambda _: "are you there?" in texts(alice))

    between_friends(tmp_path, check)


def test_what_follows_a_message_whose_ack_was_not_carried_out_still_comes(tmp_path: Path) -> None:
    async def check(relay: TroubledRelay, alice: Person, bob: Person) -> None:
        async with alice.online(), bob.online():
            await asyncio.sleep(10)  # the repeated SUB of a new session is over
            relay.refuse(Ack, 1)
            for text in ("one", "two"):
                bob.service.send("alice", text)
            await alice.until(lambda _: texts(alice) == ["one", "two"])

    between_friends(tmp_path, check)


def test_a_queue_that_gets_room_while_messages_are_under_way_keeps_their_order(tmp_path: Path) -> None:
    """Five messages are refused; at the next try the first comes just too early, and those behind it would not."""

    async def check(relay: TroubledRelay, alice: Person, bob: Person) -> None:
        sent = ["one", "two", "three", "four", "five"]
        for text in sent:
            bob.service.send("alice", text)
        relay.refuse(Send, len(sent) + 1, ErrorCode.QUOTA)
        async with bob.online():
            await bob.until(lambda s: s.is_idle())
        async with alice.online():
            await alice.until(lambda _: len(texts(alice)) == len(sent))
        assert texts(alice) == sent

    between_friends(tmp_path, check)
