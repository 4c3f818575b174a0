from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.machines.handshake_states import Variant
from smpchat.chat.online.waiting import RelayDown, Wait, Waited, settle, until, until_ready
from smpchat.chat.store.records import MessageStatus
from smpchat.testing.loop import run_jumping
from tests.unit.chat.transactions.test_conversation import Two, one, run


async def wait_for(two: Two, wait: Wait, *, seconds: float = 20, held_is_enough: bool = False) -> Waited:
    """Alice writes to Bob and waits."""
    service = two.alice.service
    message = service.send("bob", "hello")
    return await settle(service, lambda: one(service, message.id).status, wait, seconds, held_is_enough=held_is_enough)


@pytest.mark.parametrize(
    ("wait", "least"),
    [(Wait.SENT, {MessageStatus.SENT, MessageStatus.DELIVERED}), (Wait.DELIVERED, {MessageStatus.DELIVERED})],
)
def test_it_ends_as_soon_as_it_is_as_far(tmp_path: Path, wait: Wait, least: set[MessageStatus]) -> None:
    async def scenario(two: Two) -> None:
        waited = await wait_for(two, wait)
        assert waited.status in least
        assert (waited.enough, waited.trouble) == (True, None)

    run(tmp_path, scenario)


def test_it_ends_when_no_relay_answers(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        await two.relays["bob"].stop()
        waited = await wait_for(two, Wait.SENT)
        assert (waited.status, waited.enough) == (MessageStatus.PENDING, False)
        assert waited.trouble is not None and "bob.test" in waited.trouble

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
        waited = await wait_for(two, Wait.DELIVERED, seconds=5)
        assert waited == Waited(MessageStatus.SENT, enough=False, trouble=None)

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
            waited = await settle(
                service, lambda: one(service, message.id).status, Wait.SENT, 5, held_is_enough=held_is_enough
            )
            assert (waited.status, waited.enough) == (MessageStatus.PENDING, held_is_enough)
            ready = await until_ready(service, service.contact("alice").contact.connection_id, [message.id], 5)
            assert ready is not None and ready.state == "ready"
        await two.close()

    run_jumping(main)


def nothing() -> str | None:
    return None


def test_looking_ends_with_what_is_found_or_nothing_or_the_relays_trouble(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        service = two.alice.service
        assert await until(service, lambda: "found", 5) == "found"
        assert await until(service, nothing, 5) is None
        await two.relays["bob"].stop()
        service.send("bob", "hello")
        with pytest.raises(RelayDown, match="connection refused"):
            await until(service, nothing, 60)

    offline(scenario, tmp_path)
