"""The bystanders of a profile: two contacts on a dead relay, one of them waiting for a text, and a relay that is down.

Nobody else may pay for them: neither with time nor with words (public-reports.md F1, F2). The connections are made once
for a test run, in memory; every profile gets a copy. The dead relay is a port of this computer that answers nothing.
"""

from __future__ import annotations

import socket
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import Any

from smpchat.agent.store.database import Database
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.reading import DATABASE_NAME, StoredProfile
from smpchat.protocol.address import SMPServer, SMPServerAddress, format_server
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.testing.relay import MemoryRelay

PAL, EVE = "pal", "eve"
"""Both are on the dead relay: a text to Pal waits for it; with Eve there is a conversation."""


@cache
def _closed_port() -> socket.socket:
    """Bound for as long as the tests run, and never listened on: whoever connects there is refused."""
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    return closed


@cache
def _made() -> tuple[bytes, SMPServer]:
    """A profile with its bystanders, and the dead relay that they are on."""
    from tests.faults.people import START, Person

    dead = MemoryRelay(
        SeededEntropy("dead"), lambda: START, host="127.0.0.1", port=str(_closed_port().getsockname()[1])
    )

    def has_link(service: ChatService, number: int) -> bool:
        invitation = service.invitation(number)
        return invitation is not None and invitation.link is not None

    def is_connected(service: ChatService, alias: str) -> bool:
        return service.contact(alias).state.state == "connected"

    async def connect(folder: Path) -> None:
        me = Person("me", folder / "me", [dead], home=dead)
        async with me.online():
            for name in (PAL, EVE):
                other = Person(name, folder / name, [dead], home=dead)
                number = other.service.invite("mine")
                async with other.online():
                    await other.until(partial(has_link, number=number))
                    me.service.connect(other.service.invitations()[0].link or "", name)
                    await me.until(partial(is_connected, alias=name))
                    await other.until(lambda s: s.is_idle())
                    if name == EVE:
                        other.service.send("mine", "are you there?")
                        await me.until(lambda s: s.contact(EVE).contact.unread == 1)
                        for message in me.service.unshown_messages():
                            me.service.mark_shown(message.id, message.changes)
                    await me.until(lambda s: s.is_idle())
                    await other.until(lambda s: s.is_idle())
                other.service.close()
        await dead.stop()
        me.service.send(PAL, "never mind")
        me.service.mark_profiles_shown(*(contact.id for contact in me.service.unshown_contacts()))
        me.service.close()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_jumping(lambda: connect(folder))
        return (folder / "me" / DATABASE_NAME).read_bytes(), dead.server


def dead_relay() -> SMPServer:
    """A relay that is down, and stays so."""
    return _made()[1]


def give_bystanders(folder: Path, profile: str, good: SMPServerAddress | None = None) -> None:
    """Begin a profile with the bystanders in it; one that exists is left as it is.

    Args:
        good: The relay for new queues, beside which the dead one is configured too.
    """
    path = folder / DATABASE_NAME
    if path.exists():
        return
    folder.mkdir(mode=0o700, parents=True)
    path.touch(0o600)
    path.write_bytes(_made()[0])
    if good is not None:
        service = StoredProfile(folder, profile, open_database=_Quick)
        service.use_servers([format_server(good), format_server(SMPServerAddress(dead_relay()))])
        service.close()


class _Quick(Database):
    SYNCHRONOUS = "OFF"


def is_of_bystander(item: dict[str, Any]) -> bool:
    """Whether an object that a command printed is about a bystander or the dead relay."""
    about = {item.get("contact"), item.get("alias")}
    return bool(about & {PAL, EVE}) or str(item.get("server", "")) == str(dead_relay())
