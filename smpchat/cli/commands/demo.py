"""``demo``: in one process, runs a relay and two people, who connect in three steps and write to each other."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.running import run

if TYPE_CHECKING:
    from smpchat.chat.service.connecting import ChatService
    from smpchat.chat.store.events import StateChanged
    from smpchat.protocol.address import FileServer, FileServerAddress, SMPServer, SMPServerAddress

app = Program()
_TIMEOUT = 30.0
_FILE_SIZE = 5 << 20
_LOOKS = 0.003
"""Seconds between two checks for events: short, because the demonstration shows how little time each step takes."""


class _Relay:
    """The relay of the demonstration. The relay runs already, so `start` only returns its address."""

    def __init__(self, address: str, files_address: str) -> None:
        from smpchat.protocol.address import parse_file_server, parse_server

        self._address, self._files = parse_server(address), parse_file_server(files_address)

    def owns(self, server: SMPServer) -> bool:
        return server == self._address.server

    async def start(self) -> SMPServerAddress:
        return self._address

    def owns_files(self, server: FileServer) -> bool:
        return server == self._files.server

    async def start_files(self) -> FileServerAddress:
        return self._files


@app.command(epilog=examples("smpchat demo", "smpchat demo --file"))
def demo(
    context: typer.Context,
    file: bool = typer.Option(False, "--file", help="Send a file of 5 MiB too."),
) -> None:
    """Watch two people connect, without a network."""
    run(context, lambda environment: _demo(environment, file=file))


async def _demo(environment: Environment, *, file: bool = False) -> int:
    """Run the demonstration, with all its data in a temporary folder."""
    import asyncio

    from smpchat.relay.daemon import run_relay
    from smpchat.relay.folder import status

    with tempfile.TemporaryDirectory(prefix="smpchat-demo-") as folder:
        stopping = asyncio.Event()
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        relay = asyncio.create_task(
            run_relay(Path(folder) / "relay", stop=stopping, ready=lambda address, _: ready.set_result(address))
        )
        waiting: set[asyncio.Future[object]] = {relay, ready}  # type: ignore[arg-type]
        try:
            # This also waits for the end of `relay`, because a relay that cannot start never sets `ready`.
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if relay.done():
                await relay
            address, files_address = await ready, status(Path(folder) / "relay").files_address
            assert files_address is not None  # a relay with any free port and a new folder can store files
            await _converse(environment, Path(folder), _Relay(address, files_address), file=file)
        finally:
            stopping.set()
            await asyncio.wait([relay])
    if not environment.json:
        environment.notice(
            "Now try it yourself: `smpchat invite` makes a link for someone, and `smpchat chat` opens the chat."
        )
    return ExitStatus.OK


async def _converse(environment: Environment, folder: Path, relay: _Relay, *, file: bool = False) -> None:
    import asyncio

    from smpchat.chat.online.presence import online
    from smpchat.chat.service.connecting import ChatService

    alice, bob = ChatService(folder / "alice", "alice"), ChatService(folder / "bob", "bob")
    try:
        async with asyncio.timeout(_TIMEOUT), online(alice, relay), online(bob, relay):
            stage = _Stage(environment, {"alice": alice, "bob": bob})
            invitation = alice.invite("bob")
            link = await stage.until(lambda: (i := alice.invitation(invitation)) is not None and i.link)
            stage.say("alice", "has a link, and gives it to bob")
            bob.connect(str(link), "alice", ["Hello Alice! I could write at once."])
            await stage.until(lambda: bob.contact("alice").state.state in ("ready", "connected"))
            stage.say("bob", "can write")
            await stage.until(lambda: any(c.state.state == "connected" for c in alice.contacts()))
            alice.send("bob", "Hello Bob! So could I.")
            await stage.until(lambda: _delivered(alice, "bob") and _delivered(bob, "alice"))
            stage.say("both", "are connected, and both messages are delivered")
            if file:
                await _send_file(stage, folder, alice, bob, relay)
    except TimeoutError:
        raise CommandFailed(ExitStatus.TIMEOUT, "The demo took too long.", "Run it again with -v to see why.") from None
    finally:
        alice.close()
        bob.close()


async def _send_file(stage: _Stage, folder: Path, alice: ChatService, bob: ChatService, relay: _Relay) -> None:
    """Let alice send a file, and bob receive it."""
    import os

    source, target = folder / "picture.bin", folder / "received"
    source.write_bytes(os.urandom(_FILE_SIZE))
    target.mkdir()
    sent = alice.send_file("bob", source).id
    await stage.until(lambda: _file_state(alice, sent) == "sent")
    await stage.until(lambda: bool(bob.files("alice")))
    [offered] = bob.files("alice")
    bob.receive_file(offered.id, target, own=relay.owns_files)
    await stage.until(lambda: _file_state(bob, offered.id) == "received")
    same = (target / source.name).read_bytes() == source.read_bytes()
    stage.say("bob", f"has the file, {'byte for byte the same' if same else 'but it differs'}")
    if not same:
        raise CommandFailed(
            ExitStatus.VERIFICATION, "The file that arrived is not the one that was sent.", "Run `smpchat doctor`."
        )


def _file_state(service: ChatService, number: int) -> str | None:
    message = service.message(number)
    return None if message is None or message.file is None else message.file.state


def _delivered(service: ChatService, who: str) -> bool:
    from smpchat.chat.store.records import MessageStatus

    own = [m for m in service.history(who) if m.status is not MessageStatus.RECEIVED]
    return bool(own) and all(m.status is MessageStatus.DELIVERED for m in own) and len(service.history(who)) == 2


class _Stage:
    """Prints what happens to each person, with milliseconds since the start."""

    def __init__(self, environment: Environment, people: dict[str, ChatService]) -> None:
        from smpchat.cli.steps import Progress

        self._environment = environment
        self._people = people
        self._after = dict.fromkeys(people, 0)
        self._progress = {name: Progress() for name in people}
        self._reached: dict[str, tuple[str, int]] = {}
        self._start = time.monotonic()

    def say(self, who: str, what: str, step: str = "") -> None:
        """Print a line for people: when, who, which step, and what happened."""
        from smpchat.cli.views.layout import indented

        if not self._environment.json:
            milliseconds = (time.monotonic() - self._start) * 1000
            start = f"{milliseconds:6.0f} ms  {who:6} {step:11} "
            print(start + indented(self._environment, what, len(start), len(start)), flush=True)

    async def until(self, look: object) -> object:
        """Print events until ``look`` returns a true value, and return that value."""
        import asyncio

        assert callable(look)
        while True:
            for name, service in self._people.items():
                for number, event in service.events_after(self._after[name]):
                    self._after[name] = number
                    self._show(name, service, event)
            if found := look():
                return found
            await asyncio.sleep(_LOOKS)

    def _show(self, name: str, service: ChatService, event: object) -> None:
        from smpchat.chat.store.events import FileChanged, MessageAdded, StateChanged, StatusChanged
        from smpchat.cli.views.files import show_file
        from smpchat.cli.views.messages import message_line, show_message, show_status
        from smpchat.encoding.text import size_text

        match event:
            case StateChanged():
                self._show_state(name, event)
            case MessageAdded(number):
                message = service.message(number)
                if message is not None:
                    if self._environment.json:
                        show_message(self._environment, message)
                    self.say(name, message_line(message))
            case StatusChanged(number, contact, status):
                if self._environment.json:
                    show_status(self._environment, event)
                self.say(name, f"message {number} to {contact}: {status}")
            case FileChanged(number, _, state):
                message = service.message(number)
                if message is not None and message.file is not None:
                    if self._environment.json:
                        show_file(self._environment, message)
                    self.say(name, f"{message.file.name}, {size_text(message.file.size)}: {state}")
            case _:
                pass

    def _show_state(self, name: str, state: StateChanged) -> None:
        from smpchat.cli.steps import NAMES
        from smpchat.cli.views.connections import show_state

        progress = self._progress[name]
        progress.observe(state)
        if self._reached.get(name) == (state.state, state.step):
            return  # printed already: a joiner's first step causes several events
        self._reached[name] = (state.state, state.step)
        if self._environment.json:
            show_state(self._environment, state)
        step = progress.finished or 1
        self.say(name, f"{NAMES[step]}: {progress.describe(step, self._environment.now())}", f"step {step} of 3")
