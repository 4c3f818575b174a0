"""Our side of a test: people with `smpchat.Client`, the relay between them and the peer, and what peers say to us."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from smpchat import Client, Message
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.records import MessageStatus
from smpchat.home import Home
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.daemon import run_relay
from tests.interop.peers import PATIENCE, Agent, Object, official_server

T = TypeVar("T")
LIMIT = 100.0
"""Seconds that one scenario may take."""


def run(scenario: Callable[[Path], Coroutine[Any, Any, None]], folder: Path) -> None:
    """Play a scenario in real time."""

    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await scenario(folder)

    asyncio.run(limited())


async def until(look: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
    """What ``look`` finds, once it finds something true."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := look()):  # noqa: ASYNC110 - the store tells nobody of another task's changes
                await asyncio.sleep(0.05)
            return found
    except TimeoutError:
        raise AssertionError(f"{what}: not in {seconds:g} s; it is {look()!r}") from None


# -- relays -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def our_relay(
    folder: Path, versions: VersionRange = SMP_VERSIONS, ws_port: int | None = None
) -> AsyncIterator[str]:
    """Our relay on a port of its own; its address."""
    stop, ready = asyncio.Event(), asyncio.Event()
    addresses: list[str] = []

    def is_ready(address: str, port: int) -> None:
        addresses.append(address)
        ready.set()

    running = asyncio.create_task(run_relay(folder, stop=stop, versions=versions, ws_port=ws_port, ready=is_ready))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        yield addresses[0]
    finally:
        stop.set()
        await running


@asynccontextmanager
async def relay(kind: str, folder: Path) -> AsyncIterator[str]:
    """A relay: ``official``, ``ours``, or ``ours 6-8`` with old SMP versions only."""
    if kind == "official":
        async with official_server(folder / "official") as address:
            yield address
        return
    _, _, versions = kind.partition(" ")
    async with our_relay(folder / "relay", VersionRange.parse(versions) if versions else SMP_VERSIONS) as address:
        yield address


# -- our side ---------------------------------------------------------------------------------------------------------


class Person(Client):
    """One of us."""

    def __init__(self, name: str, home: Path) -> None:
        super().__init__(name, home)
        self._hearing = self.messages()

    @property
    def service(self) -> ChatService:
        """What commands beside an online process do."""
        return self._service

    async def heard(self, count: int = 1) -> list[Message]:
        """The next messages that a person would be shown, each of them once."""
        found: list[Message] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while len(found) < count:
                    found.append(await anext(self._hearing))
        except TimeoutError:
            raise AssertionError(f"{len(found)} of {count} messages came: {texts(found)}") from None
        return found

    async def heard_text(self, text: str) -> Message:
        """The next message with this text, whatever lines come before it."""
        while True:
            [message] = await self.heard()
            if message.text == text:
                return message


@asynccontextmanager
async def ours(folder: Path, server: str, name: str = "sam") -> AsyncIterator[Person]:
    """One of us, online; queues are made at ``server``."""
    home = Home(folder / "home")
    service = home.open(name)
    try:
        service.use_servers([server])
    finally:
        service.close()
    async with Person(name, home.path) as person:
        yield person


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


async def delivered(client: Client, contact: str, *expected: str) -> None:
    """Once all these texts of ours have their receipts, in this order."""

    def look() -> bool:
        own = [m for m in client.history(contact, 500) if m.text in expected and m.direction == "sent"]
        return texts(own) == list(expected) and all(m.status is MessageStatus.DELIVERED for m in own)

    await until(look, f"receipts of {len(expected)} texts")


# -- what a peer says with the chat protocol --------------------------------------------------------------------------


def body(event: str, parameters: Object, shared_id: bytes | None = None) -> str:
    """An app message as the agent's commands take it."""
    message: Object = {"v": "1-15", "event": event, "params": parameters}
    if shared_id is not None:
        message["msgId"] = base64.urlsafe_b64encode(shared_id).decode()
    return "hex:" + json.dumps(message, separators=(",", ":")).encode().hex()


def introduction(name: str) -> str:
    """The profile of a peer."""
    return body("x.info", {"profile": {"displayName": name, "fullName": "", "preferences": {}}})


def text_body(text: str) -> str:
    """A text of a peer."""
    return body("x.msg.new", {"content": {"type": "text", "text": text}}, os.urandom(12))


async def agent_reads(agent: Agent, *expected: str) -> None:
    """Once these texts of ours came, in this order and none twice; other events may stand between them."""
    came: list[str] = []
    while len(came) < len(expected):
        said = json.loads((await agent.wait("MSG"))["bodyText"])
        if said["event"] == "x.msg.new":
            came.append(said["params"]["content"]["text"])
    assert came == list(expected)


async def greet(
    person: Person, contact: str, agent: Agent, connection: str, *, pq: bool = True, receipts: bool = True
) -> None:
    """Texts each way between us and an agent, by turns, with all receipts; post-quantum keys take two rounds."""
    option = "" if pq else " pq=off"
    for number in ("first", "second"):
        await agent.do(f"send {connection} {text_body(f'{number} from the agent')}{option}")
        assert texts(await person.heard()) == [f"{number} from the agent"]
        await person.send(contact, f"{number} from smpchat")
        await agent_reads(agent, f"{number} from smpchat")
        if receipts:
            await agent.wait("RCVD", conn=connection)
            await delivered(person, contact, f"{number} from smpchat")
