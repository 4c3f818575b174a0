"""A contact on a dead relay, or a second relay that is down, costs nobody else anything: neither time nor words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from smpchat.chat.online.patience import Patience, RelayDown
from smpchat.chat.online.settling import Waited
from smpchat.chat.online.wait import Wait
from smpchat.chat.online.waiting import settle, until, until_ready
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import events
from smpchat.chat.store.records import MessageStatus
from smpchat.client.trouble import Trouble
from smpchat.protocol.commands import New, Send
from smpchat.protocol.errors import ErrorCode
from smpchat.relay.limits import QUOTA
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from tests.faults.people import START, Person
from tests.faults.test_troubled_relay import TroubledRelay


def is_connected(service: ChatService, name: str) -> bool:
    return service.contact(name).state.state == "connected"


class Street:
    """Alice, whose contact Pal is on a relay that has died with her text still to be sent; and Bob, on a good one."""

    def __init__(self, folder: Path, *, quota: int = QUOTA) -> None:
        self.good, self.other, self.dead = (
            TroubledRelay(SeededEntropy(host), lambda: START, host=f"{host}.test", quota=quota)
            for host in ("good", "other", "dead")
        )
        relays = [self.good, self.other, self.dead]
        self.alice = Person("alice", folder / "alice", list(relays), home=self.good)
        self.bob = Person("bob", folder / "bob", list(relays), home=self.good)
        self.pal = Person("pal", folder / "pal", list(relays), home=self.dead)

    async def prepare(self) -> None:
        async with self.alice.online():
            for person in (self.bob, self.pal):
                person.service.invite("alice")
                async with person.online():
                    await person.until(lambda s: s.invitations()[0].link is not None)
                    name = "bob" if person is self.bob else "pal"
                    self.alice.service.connect(person.service.invitations()[0].link or "", name)
                    await self.alice.until(partial(is_connected, name=name))
                    await person.until(lambda s: s.is_idle())
            await self.alice.until(lambda s: s.is_idle())
        await self.dead.stop()
        self.alice.service.send("pal", "never mind")

    async def close(self) -> None:
        for relay in (self.good, self.other, self.dead):
            await relay.stop()
        for person in (self.alice, self.bob, self.pal):
            person.service.close()


@asynccontextmanager
async def street(folder: Path, *, quota: int = QUOTA) -> AsyncIterator[Street]:
    """Alice is online, and her tries to reach Pal have failed for a while."""
    made = Street(folder, quota=quota)
    await made.prepare()
    async with made.alice.online():
        await made.alice.until(lambda s: bool(s.troubles()))
        await asyncio.sleep(30)
        yield made
    await made.close()


def connection_of(service: ChatService, who: str) -> int:
    return service.contact(who).contact.connection_id


def nothing() -> str | None:
    return None


async def sent(person: Person, to: str, wait: Wait, patience: Patience, *, held_is_enough: bool = False) -> Waited:
    service = person.service
    message = service.send(to, "hello")

    def status() -> MessageStatus:
        return service.required_message(message.id).status

    return await settle(service, connection_of(service, to), status, wait, patience, held_is_enough=held_is_enough)


def test_a_wait_for_an_invitation_lasts_as_long_as_was_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with street(tmp_path) as there:
            loop, service = asyncio.get_running_loop(), there.alice.service
            number = service.invite()
            began = loop.time()
            assert await until(service, lambda: service.invitation(number), Patience(5), number)
            assert await until(service, nothing, Patience(12, chosen=True), number, receiving=True) is None
            assert 12 <= loop.time() - began < 13
            assert await until(service, nothing, Patience(12), number, receiving=True) is None, "nor by itself"

    run_jumping(main)


def test_a_receipt_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with street(tmp_path) as there:

            async def come_back() -> None:
                await asyncio.sleep(6)
                async with there.bob.online():
                    await there.bob.until(lambda s: s.contact("alice").contact.unread == 1 and s.is_idle())

            coming = asyncio.get_running_loop().create_task(come_back())
            waited = await sent(there.alice, "bob", Wait.DELIVERED, Patience(12, chosen=True))
            assert waited == Waited(MessageStatus.DELIVERED, enough=True)
            await coming

    run_jumping(main)


def test_the_relay_that_is_needed_is_the_one_that_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with street(tmp_path) as there:
            await there.good.stop()
            waited = await sent(there.alice, "bob", Wait.SENT, Patience())
            assert waited.obstacle is not None and waited.obstacle.kind is Trouble.UNREACHABLE
            assert "good.test" in str(RelayDown(waited.obstacle)) and "dead" not in str(RelayDown(waited.obstacle))

    run_jumping(main)


def test_a_deletion_that_waits_for_a_dead_relay_is_nobodys_trouble(tmp_path: Path) -> None:
    async def main() -> None:
        async with street(tmp_path) as there:
            service = there.alice.service
            service.delete("pal")
            number = service.invite()
            assert await until(service, lambda: service.invitation(number), Patience(5), number)
            assert await until(service, nothing, Patience(12), number, receiving=True) is None
            assert (await sent(there.alice, "bob", Wait.SENT, Patience())).enough

    run_jumping(main)


# -- another relay is down --------------------------------------------------------------------------------------------


def stopped(street: Street) -> None:
    street.other.running = False


def closed(street: Street) -> None:
    street.other.refuse(New, 1000, ErrorCode.AUTH)


def full(street: Street) -> None:
    street.other.refuse(New, 1000, ErrorCode.QUOTA)


def disk_full(street: Street) -> None:
    street.other.refuse(New, 1000, ErrorCode.INTERNAL)


KINDS: dict[Callable[[Street], None], Trouble] = {
    stopped: Trouble.UNREACHABLE,
    closed: Trouble.PASSWORD,
    disk_full: Trouble.CANNOT_STORE,
    full: Trouble.RELAY_FULL,
}


@pytest.mark.parametrize("fault", KINDS)
def test_a_new_queue_is_made_at_the_relay_that_takes_it(tmp_path: Path, fault: Callable[[Street], None]) -> None:
    """Invitation, join, address and accepted request, whichever relay is drawn first."""

    async def main() -> None:
        async with street(tmp_path) as there:
            fault(there)
            alice, service = there.alice, there.alice.service
            alice.homes = [there.other, there.good]
            number = service.invite("first")
            invitation = await until(service, lambda: made(service, number), Patience(), number)
            assert invitation and there.good.server.hosts[0] in invitation
            told = [event.sentence for _, event in service.events_after(0) if isinstance(event, events.Notice)]
            assert any("other.test" in sentence and "good.test" in sentence for sentence in told)
            assert service.troubles().get(str(there.other.server)) is None, "nobody needs it"
            there.bob.service.invite("again")
            async with there.bob.online():
                await there.bob.until(lambda s: s.invitations()[-1].link is not None)
            link = there.bob.service.invitations()[-1].link or ""
            joined = service.connect(link, "second", ["hello"]).connection_id
            ready = await until_ready(service, joined, [service.history("second")[0].id], Patience())
            assert ready is not None and ready.state == "ready"
            address = service.create_address()
            assert await until(service, lambda: (a := service.address()) and a.link, Patience(), address)

    run_jumping(main)


def made(service: ChatService, number: int) -> str | None:
    invitation = service.invitation(number)
    return invitation.link if invitation else None


@pytest.mark.parametrize("fault", KINDS)
def test_where_none_takes_it_the_reason_is_what_is_said(tmp_path: Path, fault: Callable[[Street], None]) -> None:
    async def main() -> None:
        async with street(tmp_path) as there:
            fault(there)
            there.alice.homes = [there.other]
            service = there.alice.service
            number = service.invite()
            with pytest.raises(RelayDown) as down:
                await until(service, lambda: made(service, number), Patience(), number)
            assert down.value.kind is KINDS[fault] and "other.test" in str(down.value)

    run_jumping(main)


# -- what a relay answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("enough", [True, False])
def test_a_full_queue_holds_a_message_and_says_why(tmp_path: Path, enough: bool) -> None:
    async def main() -> None:
        async with street(tmp_path, quota=2) as there:
            for _ in range(2):
                assert (await sent(there.alice, "bob", Wait.SENT, Patience())).status is MessageStatus.SENT
            loop = asyncio.get_running_loop()
            for _ in range(2):  # the second finds the lane at rest
                began = loop.time()
                patience = Patience(8, chosen=True)
                waited = await sent(there.alice, "bob", Wait.SENT, patience, held_is_enough=enough)
                assert (waited.status, waited.enough) == (MessageStatus.PENDING, enough)
                assert waited.obstacle is not None and waited.obstacle.kind is Trouble.FULL_QUEUE
                assert (loop.time() - began < 3) is enough
                assert str(RelayDown(waited.obstacle, "bob")).startswith("The relay accepts no more messages for bob: ")
            async with there.bob.online():
                await there.bob.until(lambda s: s.contact("alice").contact.unread == 4)
                await there.alice.until(lambda s: s.obstacle(connection_of(s, "bob")) is None)

    run_jumping(main)


def test_a_relay_that_cannot_store_was_reached(tmp_path: Path) -> None:
    async def main() -> None:
        async with street(tmp_path) as there:
            there.good.refuse(Send, 1000, ErrorCode.INTERNAL)
            waited = await sent(there.alice, "bob", Wait.SENT, Patience())
            assert waited.obstacle is not None and waited.obstacle.kind is Trouble.CANNOT_STORE
            assert "good.test" in str(RelayDown(waited.obstacle))
            there.good.times = 0
            await there.alice.until(lambda s: s.history("bob")[-1].status is MessageStatus.SENT)

    run_jumping(main)
