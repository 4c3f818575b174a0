"""Files through the library: two clients and the relay of this computer, with progress, events and a cancelled file."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from smpchat import Client, FileChanged, Message, MessageReceived
from smpchat.chat.errors import FileUnavailable, InputError
from tests.e2e.smpchat import Home


def test_a_program_sends_and_receives_files(home: Home, tmp_path: Path) -> None:
    content = os.urandom(600_000)
    (tmp_path / "photo.bin").write_bytes(content)
    (tmp_path / "in").mkdir()

    async def story() -> None:
        async with Client("alice", home.folder) as alice, Client("bob", home.folder) as bob:
            invitation = await alice.invite("bob")
            await bob.connect(str(invitation.link), "alice")
            await alice.wait_connected("bob", 20)
            moved: list[Message] = []
            sent = await alice.send_file("bob", tmp_path / "photo.bin", "look", progress=moved.append)
            assert sent.file is not None and sent.file.state == "sent"
            assert [m.file.bytes for m in moved if m.file] == sorted(m.file.bytes for m in moved if m.file)
            received = await until(bob, "offered")
            path = await bob.receive_file(received.id, tmp_path / "in")
            assert path == tmp_path / "in" / "photo.bin" and path.read_bytes() == content
            assert [m.file.state for m in bob.files("alice") if m.file] == ["received"]
            with pytest.raises(InputError, match="already"):
                await bob.receive_file(received.id)
            second = await alice.send_file("bob", str(tmp_path / "photo.bin"))
            offered = await until(bob, "offered", received.id)
            alice.cancel_file(second.id)
            await until(bob, "cancelled", received.id)
            with pytest.raises(FileUnavailable):
                await bob.receive_file(offered.id, tmp_path / "in")
            with pytest.raises(InputError, match="cannot be read"):
                await alice.send_file("bob", tmp_path / "none")

    async def until(client: Client, state: str, after: int = 0) -> Message:
        """The message of the next file that gets into a state, behind another one: events may be repeated."""
        async with asyncio.timeout(20):
            async for event in client.events():
                assert not isinstance(event, MessageReceived) or event.message.file is not None
                if isinstance(event, FileChanged) and event.state == state and event.id > after:
                    return next(m for m in client.files("alice") if m.id == event.id)
        raise AssertionError(state)

    asyncio.run(story())
