"""The real programs: where they are, and how each is started, spoken to and ended. Everything listens on loopback.

They run in folders of the test's own, on ports that the system chose, and end with the block that started them.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import socket
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

FOLDER = "SMPCHAT_PEERS"
"""Environment variable: the folder with the programs."""
NEEDED = ("smp-server", "xftp-server", "xftp", "agentdrv", "simplex-chat")
PATIENCE = 30.0
"""Seconds after which a test gives up; a handshake with post-quantum keys takes one on a busy machine."""
ENDING = 10.0
"""Seconds in which a program ends by itself once it was asked to."""

Object = dict[str, Any]
Test = Callable[[Object], bool]


def missing() -> str | None:
    """Why these tests cannot run; None if they can."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return f"Set {FOLDER} to a folder with {', '.join(NEEDED)} to run the tests against them."
    absent = [name for name in NEEDED if not os.access(Path(folder) / name, os.X_OK)]
    return f"{FOLDER} names a folder without {', '.join(absent)}." if absent else None


def program(name: str) -> str:
    """Path of a program."""
    return str(Path(os.environ[FOLDER]) / name)


def free_port() -> int:
    """A port of loopback on which nothing listens now."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
        return port


def _make(folder: Path) -> bool:
    """Make a folder; whether it was not there."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    return is_new


async def accepts(port: int, process: Process) -> None:
    """Once a program accepts connections. Raises `AssertionError` if it ends before."""
    async with asyncio.timeout(PATIENCE):
        while True:
            assert process.returncode is None, "the program ended at once"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)  # nothing tells when another program listens
                continue
            writer.close()
            await writer.wait_closed()
            return


async def end(process: Process) -> None:
    """End a program that was asked to, by force if it does not."""
    try:
        async with asyncio.timeout(ENDING):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class Events:
    """What a program says by itself, in order; each event is taken once, by whoever waits for it."""

    def __init__(self, kind: str) -> None:
        self._kind, self._news, self._waiting = kind, asyncio.Condition(), list[Object]()

    async def add(self, event: Object) -> None:
        async with self._news:
            self._waiting.append(event)
            self._news.notify_all()

    async def take(self, kind: str, fits: Test, seconds: float = PATIENCE) -> Object:
        """The first event of a kind that fits, once it comes."""

        def found() -> Object | None:
            return next((e for e in self._waiting if e.get(self._kind) == kind and fits(e)), None)

        try:
            async with asyncio.timeout(seconds), self._news:
                event: Object | None = await self._news.wait_for(found)
                assert event is not None
                self._waiting.remove(event)
                return event
        except TimeoutError:
            came = [event.get(self._kind) for event in self._waiting]
            raise AssertionError(f"no {kind} that fits in {seconds:g} s; what came instead: {came}") from None

    def untaken(self, kind: str) -> list[Object]:
        """Events of a kind that nobody waited for."""
        return [event for event in self._waiting if event.get(self._kind) == kind]


# -- the official server ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def official_server(folder: Path, port: int | None = None) -> AsyncIterator[str]:
    """The official relay with an empty folder or that of a start before; its address."""
    port = port or free_port()
    configuration, is_new = folder / "cfg", _make(folder)
    environment = {
        **os.environ,
        "SMP_SERVER_CFG_PATH": str(configuration),
        "SMP_SERVER_LOG_PATH": str(folder / "log"),
    }
    if is_new:
        options = ("init", "-y", "--no-password", "--ip", "127.0.0.1", "--disable-web")
        made = await asyncio.create_subprocess_exec(
            program("smp-server"), *options, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, env=environment
        )
        assert await made.wait() == 0
    settings = configuration / "smp-server.ini"
    settings.write_text(_configured(settings.read_text(), port))
    with (folder / "output").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            program("smp-server"), "start", stdin=DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        await accepts(port, process)
        yield f"smp://{(configuration / 'fingerprint').read_text().strip()}@127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await end(process)


@asynccontextmanager
async def official_file_server(
    folder: Path, *, quota: str = "1gb", password: str | None = None, port: int | None = None
) -> AsyncIterator[str]:
    """The official relay of files with an empty folder or that of a start before; its address, without a password."""
    port = port or free_port()
    configuration, files, is_new = folder / "cfg", folder / "files", _make(folder)
    environment = {
        **os.environ,
        "XFTP_SERVER_CFG_PATH": str(configuration),
        "XFTP_SERVER_LOG_PATH": str(folder / "log"),
    }
    if is_new:
        _make(files)
        options = ("init", "--ip", "127.0.0.1", "-q", quota, "-p", str(files))
        made = await asyncio.create_subprocess_exec(
            program("xftp-server"), *options, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, env=environment
        )
        assert await made.wait() == 0
    settings = configuration / "file-server.ini"
    text = _configured(settings.read_text(), port)
    if password is not None:
        text = re.sub(r"^\[AUTH\]$", f"[AUTH]\ncreate_password = {password}", text, flags=re.MULTILINE)
    settings.write_text(text)
    with (folder / "output").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            program("xftp-server"), "start", stdin=DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        await accepts(port, process)
        yield f"xftp://{(configuration / 'fingerprint').read_text().strip()}@127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await end(process)


async def xftp(*arguments: str | Path) -> tuple[int, str]:
    """The reference's command for files: its exit status, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        program("xftp"), *map(str, arguments), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def _configured(text: str, port: int) -> str:
    """The server's settings without comments (which some of its builds refuse), for one port of this machine."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    values = {"host": "127.0.0.1", "port": str(port)}
    changed = [
        re.sub(r"^(host|port)\s*[=:].*", lambda found: f"{found[1]} = {values[found[1]]}", line) for line in lines
    ]
    return "\n".join(changed) + "\n"


# -- the real agent ---------------------------------------------------------------------------------------------------


class Agent:
    """The agent below the app: line commands on its standard input, JSON lines on its standard output."""

    def __init__(self, process: Process) -> None:
        self._process, self._tags = process, itertools.count(1)
        self._answers: dict[str, asyncio.Future[Object]] = {}
        self.events = Events("event")

    async def read(self) -> None:
        """Sort what it says until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said: Object = json.loads(line)
            if "resp" not in said:
                await self.events.add(said)
            elif (answer := self._answers.pop(said.get("tag") or "", None)) is not None:
                answer.set_result(said)

    async def do(self, command: str, *, refused: bool = False) -> Object:
        """The answer to a command, which succeeds or, with ``refused``, does not."""
        tag = str(next(self._tags))
        answer = self._answers[tag] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(f"#{tag} {command}\n".encode())
        await self._process.stdin.drain()
        async with asyncio.timeout(PATIENCE):
            said: Object = await answer
        assert said["ok"] is not refused, said
        return said

    async def wait(self, event: str, seconds: float = PATIENCE, **fields: object) -> Object:
        """The next event of a kind with these values."""
        return await self.events.take(event, lambda e: all(e.get(k) == v for k, v in fields.items()), seconds)

    async def connected(self) -> Object:
        """Once the connection stands."""
        return await self.wait("CON")

    async def switched(self, direction: str) -> None:
        """Once a queue has moved: ``rcv`` its own, ``snd`` the other side's."""
        await self.wait("SWITCH", direction=direction, phase="completed")


@asynccontextmanager
async def real_agent(
    folder: Path, server: str, *options: str, acknowledge: str | None = "--auto-ack"
) -> AsyncIterator[Agent]:
    """A real agent with its database in ``folder``; it delivers the next message only after an acknowledgement."""
    arguments = [
        "--db",
        str(folder),
        "--server",
        server,
        "--fast-retry",
        *([acknowledge] if acknowledge else []),
        *options,
    ]
    process = await asyncio.create_subprocess_exec(
        program("agentdrv"), *arguments, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=2**22
    )
    agent = Agent(process)
    reading = asyncio.create_task(agent.read())
    try:
        await agent.wait("READY")
        yield agent
    finally:
        assert process.stdin is not None
        if process.returncode is None:
            process.stdin.write(b"quit\n")
        process.stdin.close()
        await end(process)
        await reading


# -- the app ----------------------------------------------------------------------------------------------------------


class App:
    """The terminal app, driven through its WebSocket API."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._answers: dict[str, asyncio.Future[Object]] = {}
        self.events = Events("type")

    async def read(self) -> None:
        """Sort what it says until it ends."""
        try:
            async for frame in self._socket:
                said: Object = json.loads(frame)
                answer = self._answers.pop(said.get("corrId") or "", None)
                if answer is not None:
                    answer.set_result(said["resp"])
                else:
                    await self.events.add(said["resp"])
        except ConnectionClosed:
            return  # it ends without a closing frame

    async def do(self, command: str) -> Object:
        """The answer to a command, which succeeds."""
        number = str(next(self._numbers))
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"corrId": number, "cmd": command}))
        async with asyncio.timeout(PATIENCE):
            said: Object = await answer
        assert said["type"] not in ("chatCmdError", "chatError"), said
        return said

    async def wait(self, event: str, fits: Test = lambda _: True, seconds: float = PATIENCE) -> Object:
        """The next event of a kind that fits."""
        return await self.events.take(event, fits, seconds)

    async def connected(self, name: str) -> Object:
        """Once a contact stands, by the name that the app gave it."""
        return await self.wait("contactConnected", lambda e: e["contact"]["localDisplayName"] == name)

    async def shows(self, text: str) -> Object:
        """The chat item of a received text, once it is shown."""

        def fits(event: Object) -> bool:
            return any(_received(item["chatItem"], text) for item in event["chatItems"])

        event = await self.wait("newChatItems", fits)
        item: Object = next(i["chatItem"] for i in event["chatItems"] if _received(i["chatItem"], text))
        return item

    async def says(self, who: str, text: str) -> Object:
        """The chat item of a text just sent; ``who`` with its ``@`` or ``#``."""
        answer = await self.do(f"{who} {text}")
        item: Object = answer["chatItems"][0]["chatItem"]
        return item

    async def compose(self, chat: str, message: Object, options: str = "") -> Object:
        """The chat item of what a window of the app would send: ``chat`` as ``@3``."""
        answer = await self.do(f"/_send {chat}{options} json {json.dumps([{'mentions': {}, **message}])}")
        item: Object = answer["chatItems"][0]["chatItem"]
        return item

    async def number_of(self, name: str) -> int:
        """The app's own number of a contact."""
        contacts = (await self.do("/contacts"))["contacts"]
        number: int = next(c["contactId"] for c in contacts if c["localDisplayName"] == name)
        return number

    async def history(self, chat: str, count: int = 50) -> list[Object]:
        """Chat items of a conversation (``@3``), oldest first."""
        items: list[Object] = (await self.do(f"/_get chat {chat} count={count}"))["chat"]["chatItems"]
        return items


def _received(item: Object, text: str) -> bool:
    direction: str = item["chatDir"]["type"]
    return direction.endswith("Rcv") and bool(item["meta"]["itemText"] == text)


def nowhere(scheme: str = "xftp") -> str:
    """Address of a relay that nobody runs: without one, the app would take the public ones."""
    return f"{scheme}://{base64.urlsafe_b64encode(bytes(32)).decode()}@127.0.0.1:1"


@asynccontextmanager
async def real_app(
    folder: Path, name: str, server: str, *options: str, files_at: str | None = None
) -> AsyncIterator[App]:
    """The app with its databases in ``folder``; the profile is called ``name`` from the first start on.

    Args:
        server: Its relay.
        files_at: Its relay of files; without one it can send none.
    """
    port, files, is_new = free_port(), folder / "files", _make(folder)
    _make(files)
    arguments = ["-d", str(folder / "app"), "-y", "-p", str(port), "-s", server, "--xftp-server", files_at or nowhere()]
    with (folder / "output").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(program("simplex-chat"), *arguments, "--files-folder", str(files), *options),
            stdin=PIPE,
            stdout=output,
            stderr=output,
        )
    assert process.stdin is not None
    try:
        if is_new:  # it asks for the name
            process.stdin.write(name.encode() + b"\n")
        await accepts(port, process)
        async with connect(f"ws://127.0.0.1:{port}", max_size=2**24, compression=None) as socket:
            app = App(socket)
            reading = asyncio.create_task(app.read())
            yield app
            process.terminate()
            await end(process)
        await reading
    finally:
        if process.returncode is None:
            process.kill()
        process.stdin.close()
        await end(process)
