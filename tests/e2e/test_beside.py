"""One conversation open in two terminals, and a `listen` beside them: all three show everything, at once.

And what becomes of a message that was handed to a process which does not deliver it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from smpchat.chat.store.lock import kept_offline
from tests.e2e.smpchat import PATIENCE, Home, environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


class Screen:
    """What a program writes on a terminal that moves no cursor: lines only."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._written = b""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                written = os.read(self._master, 65536)
            except OSError:  # the program has ended
                return
            with self._news:
                self._written += written
                self._news.notify_all()

    def lines(self, text: str) -> list[str]:
        """Those that contain it."""
        return [line for line in self._written.decode(errors="replace").splitlines() if text in line]

    def until(self, text: str) -> float:
        """When it stood there; POSIX seconds."""
        with self._news:
            assert self._news.wait_for(lambda: self.lines(text), PATIENCE), (text, self._written.decode())
        return time.time()

    def type(self, line: str) -> None:
        self.press(f"{line}\r")

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())


@contextmanager
def chat(home: Home, profile: str, who: str) -> Iterator[Screen]:
    """A `chat` in a terminal of its own."""
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "smpchat", "--home", str(home.folder), "-p", profile, "chat", who],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment() | {"TERM": "dumb"},
        start_new_session=True,
    )
    os.close(slave)
    screen = Screen(master)
    try:
        screen.until(f"{who}> ")
        yield screen
    finally:
        process.kill()
        process.wait(PATIENCE)
        os.close(master)


def test_all_three_show_everything(home: Home) -> None:
    link = home.invite("dora", "--note", "ines")
    assert home.run("ines", "connect", link, "--alias", "dora").code == 0
    with home.running("ines", "listen") as listening, home.running("dora", "listen") as dora:
        dora.until("state", state="connected")
        listening.until("state", state="connected")
        with chat(home, "ines", "dora") as one, chat(home, "ines", "dora") as two:
            for number in range(4):
                assert home.run("dora", "send", "ines", f"from dora {number}").code == 0
                listening.until("message", text=f"from dora {number}")
                for screen in (one, two):
                    screen.until(f"dora: from dora {number}")
            sent = home.run("ines", "send", "dora", "from a script", "--wait", "delivered").of("message")[0]
            listening.until("status", id=sent["id"], status="delivered")
            for screen in (one, two):
                screen.until("you: from a script")
            one.type("typed in one")
            dora.until("message", text="typed in one")
            two.until("you: typed in one")
            heard = next(item["id"] for item in dora.seen if item.get("text") == "from a script")
            assert home.run("dora", "react", str(heard), "👍").code == 0
            listening.until("message", id=sent["id"])
            for screen in (one, two):
                screen.until("(👍 dora)")
                assert len(screen.lines("dora: from dora ")) == 4
                assert len(screen.lines("you: typed in one")) == 1
    assert [text for text, _ in home.statuses("ines", "dora")][-1] == "typed in one"


def connected(home: Home) -> None:
    assert home.run("bob", "connect", home.invite("alice", "--note", "bob"), "--alias", "alice").code == 0
    assert home.run("alice", "listen", "--timeout", "1").code == 0
    assert home.run("bob", "listen", "--timeout", "1").code == 0


def test_a_message_leaves_although_whoever_was_online_has_ended_without_sending_it(home: Home) -> None:
    connected(home)
    send = ("send", "alice", "hello", "--timeout", "20")
    with kept_offline(home.folder / "profiles" / "bob", "bob"):  # as if somebody were online, who does nothing
        sending = home.running("bob", *send)
        running = sending.__enter__()
        message = running.until("message", text="hello")
    try:
        running.until("status", id=message["id"], status="sent")
        assert running.process.wait(PATIENCE) == 0
    finally:
        sending.__exit__(None, None, None)


def test_who_stops_waiting_for_whoever_is_online_is_told_what_becomes_of_the_message(home: Home) -> None:
    connected(home)
    with kept_offline(home.folder / "profiles" / "bob", "bob"):
        with home.running("bob", "send", "alice", "hello", "--timeout", "20") as running:
            running.until("message", text="hello")
            running.process.send_signal(signal.SIGINT)
            told = running.until("error", code=130)
            assert (told["message"], told["hint"]) == ("Interrupted.", "The message is saved and will be sent.")
            assert running.process.wait(PATIENCE) == 130
    assert home.statuses("bob", "alice") == [("hello", "pending")]
