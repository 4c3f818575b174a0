from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.machines.handshake_states import Variant
from smpchat.chat.online.patience import Patience, RelayDown
from smpchat.chat.online.settling import Waited
from smpchat.chat.online.wait import Wait
from smpchat.chat.online.waiting import settle, until, until_ready
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store.records import MessageStatus
from smpchat.client.trouble import Trouble
from smpchat.testing.loop import run_jumping
from tests.unit.chat.transactions.test_conversation import Two, one, run

USUAL = Patience()


def connection_of(service: StoredProfile, who: str) -> int:
    return service.contact(who).contact.connection_id


async def wait_for(
    two: Two,
    wait: Wait,
    patience: Patience = USUAL,
    *,
    held_is_enough: bool = False,
) -> Waited:
    """Alice writes to Bob and waits."""
    service = two.alice.service
    message = service.send("bob", "hello")
    status = lambda: one(service, message.id).status  # noqa: E731
    return await settle(service, connection_of(service, "bob"), status, wait, patience, held_is_enough=held_is_enough)


@pytest.mark.parametrize(
    ("wait", "least"),
    [(Wait.SENT, {MessageStatus.SENT, MessageStatus.DELIVERED}), (Wait.DELIVERED, {MessageStatus.DELIVERED})],
)
def test_it_ends_as_soon_as_it_is_as_far(tmp_path: Path, wait: Wait, least: set[MessageStatus]) -> None:
    async def scenario(two: Two) -> None:
        waited = await wait_for(two, wait)
        assert waited.status in least
        assert (waited.enough, waited.obstacle) == (True, None)

    run(tmp_path, scenario)


def test_it_ends_when_no_relay_answers(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        await two.relays["bob"].stop()
        waited = await wait_for(two, Wait.SENT)
        assert (waited.status, waited.enough) == (MessageStatus.PENDING, False)
        assert waited.obstacle is not None and waited.obstacle.kind is Trouble.UNREACHABLE
        assert "bob.test" in waited.obstacle.error

    run(tmp_path, scenario)


def offline(scenario: Callable[[Two], Coroutine[Any, Any, None]], folder: Path) -> None:
    """Bob has left; Alice is online."""

    async def main() -> None:
        two = Two(folder)
        async with two.connected():
            pass
        async with two.alice.online():
            await scenario(two)
        await two.close()

    run_jumping(main)


def test_it_ends_when_time_is_up(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        waited = await wait_for(two, Wait.DELIVERED, Patience(5))
        assert waited == Waited(MessageStatus.SENT, enough=False)

    offline(scenario, tmp_path)


@pytest.mark.parametrize("held_is_enough", [True, False])
def test_what_the_handshake_holds_back_may_be_enough(tmp_path: Path, held_is_enough: bool) -> None:
    async def main() -> None:
        two = Two(tmp_path)
        async with two.alice.online():
            number = two.alice.service.invite("bob", variant=Variant.STANDARD)
            await two.alice.until(lambda service: service.invitations()[0].link is not None)
        invitation = two.alice.service.invitation(number)
        assert invitation is not None and invitation.link is not None
        async with two.bob.online():
            service = two.bob.service
            service.connect(invitation.link, "alice")
            await two.bob.until(lambda service: service.contact("alice").state.state == "ready")
            message = service.send("alice", "hello")
            number = connection_of(service, "alice")
            status = lambda: one(service, message.id).status  # noqa: E731
            waited = await settle(service, number, status, Wait.SENT, Patience(5), held_is_enough=held_is_enough)
            assert (waited.status, waited.enough) == (MessageStatus.PENDING, held_is_enough)
            ready = await until_ready(service, number, [message.id], Patience(5))
            assert ready is not None and ready.state == "ready"
        await two.close()

    run_jumping(main)


def nothing() -> str | None:
    return None


def test_looking_ends_with_what_is_found_or_nothing_or_the_relays_trouble(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        service = two.alice.service
        number = connection_of(service, "bob")
        assert await until(service, lambda: "found", Patience(5), number) == "found"
        assert await until(service, nothing, Patience(5), number) is None
        await two.relays["bob"].stop()
        service.send("bob", "hello")
        loop = asyncio.get_running_loop()
        for patience, least in ((Patience(60), 2), (Patience(60, chosen=True), 60)):
            began = loop.time()
            with pytest.raises(RelayDown, match="connection refused") as down:
                await until(service, nothing, patience, number)
            assert down.value.kind is Trouble.UNREACHABLE and least <= loop.time() - began < least + 5

    offline(scenario, tmp_path)
