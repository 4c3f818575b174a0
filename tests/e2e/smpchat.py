"""The program as people run it: processes of their own, in a home of the test's."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from smpchat.cli.schema import problems
from smpchat.protocol.address import parse_server
from smpchat.relay.background import start_background
from smpchat.relay.errors import RelayTurnedOff
from smpchat.relay.folder import status
from tests.bystander import give_bystanders, is_of_bystander

PATIENCE = 30.0
"""Seconds after which a test gives up; nothing takes nearly as long unless something is broken."""

Object = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What a command left: exit code, JSON objects without those of the bystanders, standard error."""

    code: int
    objects: list[Object]
    errors: str

    def of(self, kind: str) -> list[Object]:
        """Objects of one type."""
        return [item for item in self.objects if item["type"] == kind]

    def texts(self) -> list[str]:
        """Texts of the messages, in order."""
        return [item["text"] for item in self.of("message")]


def parse(line: str) -> Object:
    """An object that a command printed, as `smpchat.cli.schema` has it."""
    value: Object = json.loads(line)
    assert problems(value) == [], value
    return value


def _arguments(home: Path, profile: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "smpchat", "--json", "--home", str(home), "-p", profile, *arguments]


def environment() -> dict[str, str]:
    """Ours, without what tells smpchat where its data is."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SMPCHAT_")}


@dataclass
class Running:
    """A command under way; its objects come as it prints them."""

    process: subprocess.Popen[str]
    seen: list[Object] = field(default_factory=list)
    _returned: set[int] = field(default_factory=set)
    _lines: Queue[str | None] = field(default_factory=Queue)
    _reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def until(self, kind: str, **fields: object) -> Object:
        """The first object of a type with these values that was not returned before, once it comes.

        Fails if the command ends before, or takes too long.
        """
        for number in itertools.count():
            if number == len(self.seen):
                try:
                    line = self._lines.get(timeout=PATIENCE)
                except Empty:
                    raise AssertionError(f"no {kind} {fields} came; seen: {self.seen}") from None
                if line is None:
                    raise AssertionError(f"the command ended without {kind} {fields}; seen: {self.seen}")
                self.seen.append(parse(line))
            item = self.seen[number]
            if is_of_bystander(item):
                continue
            matches = item["type"] == kind and all(item.get(name) == value for name, value in fields.items())
            if matches and number not in self._returned:
                self._returned.add(number)
                return item
        raise AssertionError

    def end(self) -> None:
        """``kill -9``, if it has not ended by itself."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)

    def kill(self) -> None:
        """``kill -9``; what it had printed is in ``seen`` afterwards."""
        self.end()
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            if line.endswith("\n"):
                self.seen.append(parse(line))


@dataclass(frozen=True)
class Home:
    """A home folder and the people in it, each of whom has bystanders (`tests.bystander`) from the start.

    Attributes:
        alone: Why people of this scenario have none.
    """

    folder: Path
    alone: str | None = None

    def _prepare(self, profile: str, arguments: Sequence[str]) -> None:
        """Begin the profile with bystanders, unless the command is about the relay alone."""
        if self.alone or arguments[0] in ("relay", "demo", "import", "profile"):
            return
        relay = self.folder / "relay"
        with suppress(RelayTurnedOff):  # it has an address nevertheless
            start_background(relay, on_demand=True)
        address = status(relay).address
        assert address is not None
        give_bystanders(self.folder / "profiles" / profile, profile, parse_server(address))

    def run(self, profile: str, *arguments: str, stdin: str | None = None) -> Result:
        """Run a command to its end."""
        self._prepare(profile, arguments)
        done = subprocess.run(
            _arguments(self.folder, profile, arguments),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=environment(),
        )
        objects = [parse(line) for line in done.stdout.splitlines()]
        return Result(done.returncode, [item for item in objects if not is_of_bystander(item)], done.stderr)

    @contextmanager
    def running(self, profile: str, *arguments: str) -> Iterator[Running]:
        """A command in the background; killed when the block ends."""
        self._prepare(profile, arguments)
        process = subprocess.Popen(
            _arguments(self.folder, profile, arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(),
        )
        running = Running(process)
        try:
            yield running
        finally:
            running.end()

    def invite(self, profile: str, *options: str) -> str:
        """A new invitation's link."""
        result = self.run(profile, "invite", "--no-wait", *options)
        assert result.code == 0, result
        link: str = result.of("invitation")[0]["link"]
        return link

    def statuses(self, profile: str, who: str) -> list[tuple[str, str]]:
        """Text and status of every message of a conversation."""
        history = self.run(profile, "history", who)
        return [(item["text"], item["status"]) for item in history.of("message")]

    def relay_pid(self) -> int:
        """The embedded relay's process."""
        pid: int = self.run("default", "relay", "status").of("relay")[0]["pid"]
        return pid
