"""``kill -9`` of relay, inviter or joiner at many moments: nothing is lost, nothing comes twice.

The moments are spread over the time that a command takes; where exactly they fall differs from run to run, and the
outcome may not. Every commit and every command in turn, without processes, is `tests.faults`.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.e2e.smpchat import Home

MOMENTS = (0.3, 0.45)
"""Seconds after the start of a command; Python itself takes the first quarter of a second."""


def _killed(home: Home, moment: float, profile: str, *command: str) -> None:
    with home.running(profile, *command) as running:
        time.sleep(moment)
        running.kill()


def _join(home: Home, link: str) -> None:
    """What a person does whose `connect` died: look, and join again if nothing was stored."""
    if not home.run("bob", "contacts").objects:
        assert home.run("bob", "connect", link, "--alias", "alice", "-m", "one", "-m", "two").code == 0


def _finish(home: Home) -> None:
    """Both come online, and everything is where it belongs, once."""
    with home.running("bob", "listen"), home.running("alice", "listen"):
        assert home.run("bob", "send", "alice", "three", "--wait", "delivered", "--timeout", "25").code == 0
    assert [text for text, _ in home.statuses("alice", "bob")] == ["one", "two", "three"]
    assert home.statuses("bob", "alice") == [("one", "delivered"), ("two", "delivered"), ("three", "delivered")]


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_joiner_dies_while_connecting(home: Home, moment: float) -> None:
    link = home.invite("alice")
    _killed(home, moment, "bob", "connect", link, "--alias", "alice", "-m", "one", "-m", "two")
    _join(home, link)
    _finish(home)


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_relay_dies_while_the_joiner_connects(home: Home, moment: float) -> None:
    link = home.invite("alice")
    pid = home.relay_pid()
    with home.running("bob", "connect", link, "--alias", "alice", "-m", "one", "-m", "two") as running:
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        running.process.wait()
    _join(home, link)
    _finish(home)


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_inviter_dies_while_she_reads(home: Home, moment: float) -> None:
    link = home.invite("alice")
    assert home.run("bob", "connect", link, "--alias", "alice", "-m", "one", "-m", "two").code == 0
    _killed(home, moment, "alice", "listen")
    _finish(home)


def test_listen_may_repeat_a_line_after_a_crash_but_skips_none(home: Home) -> None:
    link = home.invite("alice")
    texts = [str(number) for number in range(8)]
    options = [part for text in texts for part in ("-m", text)]
    assert home.run("bob", "connect", link, "--alias", "alice", *options).code == 0
    shown: list[str] = []
    for attempt in range(50):
        with home.running("alice", "listen") as alice:
            for _ in range(attempt % 3 + 1):  # right after a line it may not be noted yet that it was shown
                if alice.until("message")["text"] == texts[-1]:
                    break
            alice.kill()
            shown += [item["text"] for item in alice.seen if item["type"] == "message"]
        if shown[-1] == texts[-1]:
            break
    assert list(dict.fromkeys(shown)) == texts
