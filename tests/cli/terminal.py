"""The whole program inside a test: command lines in, transcripts out. Time jumps, and the relay is in memory."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smpchat.chat.online import connectivity
from smpchat.chat.service.connecting import ChatService
from smpchat.cli import app, running
from smpchat.cli.environment import Environment
from smpchat.client.connect import open_session
from smpchat.client.session import OnEvent, ServerSession
from smpchat.crypto import kem
from smpchat.crypto.entropy import Entropy
from smpchat.protocol.address import FileServer, FileServerAddress, SMPServer, SMPServerAddress
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from smpchat.testing.loop import JumpingLoop, run_jumping
from smpchat.testing.relay import MemoryRelay
from smpchat.transport.base import OwnRelayFailed

START = 1_700_000_000.0  # Tuesday 14 November 2023, 22:13:20 UTC
DELAY = 0.05
"""Seconds that a block takes each way."""
SCREENS = Path(__file__).parent / "screens"


@dataclass(frozen=True, slots=True)
class Result:
    """What one command left."""

    arguments: tuple[str, ...]
    stdout: str
    stderr: str
    code: int

    def objects(self, *types: str) -> list[dict[str, Any]]:
        """The JSON objects on standard output, all of one line each; only those of ``types`` if any are given."""
        found = [json.loads(line) for line in self.stdout.splitlines()]
        assert all(value["v"] == 1 for value in found)
        return [value for value in found if not types or value["type"] in types]

    def transcript(self) -> str:
        """For a file of `SCREENS`: what was typed, both streams and the exit status, without what is random."""
        shown = " ".join(argument if argument.split() == [argument] else repr(argument) for argument in self.arguments)
        lines = [f"$ smpchat {shown}", *self.stdout.splitlines()]
        lines += [f"2> {line}".rstrip() for line in self.stderr.splitlines()]
        if self.code:
            lines.append(f"[exit {self.code}]")
        return normal("\n".join(lines)) + "\n"


def normal(text: str) -> str:
    """Links, codes, folders and short times replaced, and no blanks at the end of a line."""
    text = re.sub(r"simplex:/(invitation#/\?|contact#/\?|i#|g#)[^\s'\"]+", "LINK", text)
    text = re.sub(r"\d{5}( \d{1,5}){3,}", "CODE", text)
    text = re.sub(r"/[^\s'\"]*/profiles/", "HOME/profiles/", text)
    text = re.sub(r'("elapsed_ms": )\d+|( *)\d+ ms', lambda found: f"{found[1]}0" if found[1] else "  N ms", text)
    text = re.sub(r'"\d{4}-\d\d-\d\dT[^"]*Z"', '"TIME"', text)
    return "\n".join(line.rstrip() for line in text.splitlines())


class FakeTerminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class InterruptedTerminal(FakeTerminal):
    """One where the person presses Ctrl-C at a question."""

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        raise KeyboardInterrupt


class Terminal:
    """Runs command lines of several profiles of one home, which share a relay in memory."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self._monkeypatch = monkeypatch
        self._passed = 0.0
        self.relay = MemoryRelay(SeededEntropy("relay"), self.now, host="127.0.0.1", delay=DELAY)
        self.stdin: type[FakeTerminal] = FakeTerminal
        """What a terminal's standard input is; commands for scripts read a stream."""
        self._meanwhile: list[Callable[[], Coroutine[Any, Any, None]]] = []

        async def connect(server: SMPServer, *, entropy: Entropy, on_event: OnEvent, **_: object) -> ServerSession:
            return await open_session(self.relay.connect(), server, entropy=entropy, on_event=on_event)

        monkeypatch.setenv("SMPCHAT_HOME", str(home))  # also for what a test runs without `__call__`
        quick = HashKEM()
        for name in ("generate", "encapsulate", "decapsulate"):
            monkeypatch.setattr(kem, name, getattr(quick, name))
        monkeypatch.setattr(connectivity, "connect", connect)
        monkeypatch.setattr(Environment, "relay", lambda _: self)
        monkeypatch.setattr(running, "run_loop", self._run_loop)

    # -- the embedded relay -------------------------------------------------------------------------------------------

    def owns(self, server: SMPServer) -> bool:
        return server == self.relay.server

    async def start(self) -> SMPServerAddress:
        return SMPServerAddress(self.relay.server)

    def owns_files(self, server: FileServer) -> bool:
        return False

    async def start_files(self) -> FileServerAddress:
        raise OwnRelayFailed("The embedded relay does not store files.")

    # -- time ---------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """POSIX seconds: as long as all commands so far took, after `START`; a loop with real time tells nothing."""
        with contextlib.suppress(RuntimeError):  # there is none
            if isinstance(loop := asyncio.get_running_loop(), JumpingLoop):
                return START + self._passed + loop.time()
        return START + self._passed

    def wait(self, seconds: float) -> None:
        """Let time go by between two commands."""
        self._passed += seconds

    def _run_loop(self, command: Coroutine[Any, Any, int]) -> int:
        async def timed() -> tuple[int | BaseException, float]:
            running = asyncio.current_task()
            assert running is not None
            running.set_name("command")
            others, self._meanwhile = [asyncio.ensure_future(work()) for work in self._meanwhile], []
            try:
                status: int | BaseException = await command
            except asyncio.CancelledError:  # Ctrl-C, as asyncio.run tells of it
                status = KeyboardInterrupt()
            except Exception as error:
                status = error
            await asyncio.gather(*others)
            return status, asyncio.get_running_loop().time()

        status, took = run_jumping(timed)
        self._passed += took
        if isinstance(status, BaseException):
            raise status
        return status

    # -- commands -----------------------------------------------------------------------------------------------------

    def __call__(
        self,
        *arguments: str,
        stdin: str = "",
        tty: bool = False,
        meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> Result:
        """Run ``smpchat arguments``; with ``tty`` on a terminal of 80 columns by 24 lines.

        ``meanwhile`` runs beside the command, in the same loop; both have to end.
        """
        self._meanwhile = [] if meanwhile is None else [meanwhile]
        kind = FakeTerminal if tty else io.StringIO
        out, err, source = kind(), kind(), (self.stdin if tty else io.StringIO)(stdin)
        with self._monkeypatch.context() as patched:
            patched.setattr(sys, "stdin", source)
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "stderr", err)
            patched.setenv("SMPCHAT_HOME", str(self.home))
            patched.setenv("LOGNAME", "ola")
            with pytest.raises(SystemExit) as ended:
                app.main(arguments, now=self.now)
        return Result(arguments, out.getvalue(), err.getvalue(), int(ended.value.code or 0))

    @contextlib.contextmanager
    def service(self, profile: str) -> Iterator[ChatService]:
        """The store of a profile, to prepare it or to look into it."""
        service = ChatService(
            self.home / "profiles" / profile, profile, entropy=SeededEntropy(f"prepared {profile}"), now=self.now
        )
        try:
            yield service
        finally:
            service.close()

    # -- beginnings ---------------------------------------------------------------------------------------------------

    def invite(self, profile: str, *options: str) -> str:
        """The link of a new invitation."""
        result = self("--json", "-p", profile, "invite", "--no-wait", *options)
        assert result.code == 0, result
        return str(result.objects("invitation")[0]["link"])

    def connected(self, initiator: str = "alice", joiner: str = "bob") -> None:
        """Two profiles that know each other by their names, and have shown everything."""
        link = self.invite(initiator, "--note", joiner)
        assert self("-p", joiner, "connect", link, "--alias", initiator).code == 0
        assert self("-p", initiator, "listen", "--timeout", "3").code == 0
        assert self("-p", joiner, "listen", "--timeout", "3").code == 0
