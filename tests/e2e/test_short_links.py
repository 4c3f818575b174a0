"""Short links through a real relay, each command in a process of its own; the question on a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from smpchat.agent.wire.short_links import ShortInvitation, format_short_link
from smpchat.protocol.address import parse_server
from tests.e2e.smpchat import PATIENCE, Home, Object

USED = "This invitation was already used or was deleted."


def invitation(home: Home, profile: str = "alice", *options: str) -> Object:
    """A new invitation of hers."""
    result = home.run(profile, "invite", "--no-wait", *options)
    assert result.code == 0, result
    [made] = result.of("invitation")
    return made


def test_an_invitation_has_both_links_and_status_shows_them_again(home: Home) -> None:
    made = invitation(home)
    assert made["link"].startswith("simplex:/invitation#/?v=")
    assert made["short_link"].startswith("simplex:/i#") and len(made["short_link"]) < 170
    assert made["command"] == f"smpchat connect '{made['short_link']}' --alias alice"
    [shown] = home.run("alice", "status").of("invitation")
    assert made.pop("as_of") <= shown.pop("as_of"), "nobody used it, as far as is known"
    assert shown == made


def test_for_people_the_short_link_comes_first(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "smpchat", "--home", str(home.folder), "-p", "alice", "invite", "--no-wait"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("simplex:/i#") and f"  smpchat connect '{lines[0]}' --alias alice" in lines
    assert lines[-2].startswith("simplex:/invitation#/?v=")


def test_three_people_and_one_short_link(home: Home) -> None:
    link = invitation(home, "alice", "--note", "bob")["short_link"]
    joined = home.run("bob", "connect", link, "--alias", "alice", "-m", "one", "-m", "two")
    assert joined.code == 0, joined
    assert joined.of("state")[-1] | {"elapsed_ms": 0, "connection": 1} == {
        "v": 1,
        "type": "state",
        "connection": 1,
        "alias": "alice",
        "role": "joiner",
        "variant": "instant",
        "step": 2,
        "state": "ready",
        "elapsed_ms": 0,
        "since": joined.of("state")[-1]["since"],
    }
    assert [(m["text"], m["status"]) for m in joined.of("message")] == [("one", "sent"), ("two", "sent")]
    assert 'uses the name "alice"' in joined.errors
    third = home.run("carol", "connect", link, "--alias", "alice", "-m", "hi")
    assert third.code == 4 and USED in third.errors
    assert home.run("carol", "contacts").of("contact")[0]["state"] == "failed"
    with home.running("bob", "listen") as bob, home.running("alice", "listen") as alice:
        for text in ("one", "two"):
            alice.until("message", text=text, contact="bob")
        assert home.run("alice", "send", "bob", "three", "--wait", "delivered").code == 0
        bob.until("message", text="three", contact="alice")


def test_the_full_link_of_the_same_invitation_serves_as_well(home: Home) -> None:
    made = invitation(home)
    assert home.run("bob", "connect", made["link"], "--alias", "alice", "-m", "hi").code == 0
    assert home.run("alice", "listen", "--count", "1", "--timeout", "30").texts() == ["hi"]
    late = home.run("carol", "connect", made["short_link"], "--alias", "alice")
    assert late.code == 4 and USED in late.errors


def test_off_a_terminal_the_alias_comes_from_the_link(home: Home) -> None:
    home.run("alice", "profile", "set", "Alice B. \N{SNOWMAN}")
    joined = home.run("bob", "connect", invitation(home)["short_link"])
    assert joined.code == 0
    assert {state["alias"] for state in joined.of("state")} == {"Alice_B._\N{SNOWMAN}"}
    assert "The contact's alias is Alice_B." in joined.errors
    assert home.run("bob", "contacts").of("contact")[0]["profile"] is None


def test_one_link_is_recognised_in_both_forms(home: Home) -> None:
    made = invitation(home)
    for form in ("link", "short_link"):
        own = home.run("alice", "connect", made[form], "--alias", "myself_too")
        assert own.code == 1 and "your own" in own.errors
    assert home.run("bob", "connect", made["short_link"], "--alias", "alice").code == 0
    for form in ("link", "short_link"):
        again = home.run("bob", "connect", made[form], "--alias", "again")
        assert again.code == 1 and "'alice'" in again.errors
    assert len(home.run("bob", "contacts").objects) == 1


@pytest.mark.parametrize("column", ["fixed", "user"])
def test_data_that_the_relay_changed_is_a_verification_failure(home: Home, column: str) -> None:
    link = invitation(home)["short_link"]
    home.run("default", "relay", "stop")
    with contextlib.closing(sqlite3.connect(home.folder / "relay" / "relay.db")) as store, store:
        [(blob,)] = store.execute(f"SELECT {column} FROM link").fetchall()
        store.execute(f"UPDATE link SET {column} = ?", (blob[:-1] + bytes([blob[-1] ^ 1]),))
    home.run("default", "relay", "start")
    joined = home.run("bob", "connect", link, "--alias", "alice", "-m", "hi")
    assert joined.code == 5
    assert joined.of("error")[0]["code"] == 5 and "Ask for a new link" in joined.errors
    assert joined.of("message")[0]["status"] == "failed"
    assert home.run("alice", "listen", "--timeout", "0.5").objects == []


def test_relays_that_know_no_short_links(home: Home) -> None:
    with home.running("default", "relay", "run", "--smp-versions", "7-14") as relay:
        server = parse_server(relay.until("relay", state="running")["address"]).server
        short = format_short_link(ShortInvitation(server, bytes(24), bytes(32), web=False))
        result = home.run("alice", "invite", "--no-wait")
        [made] = result.of("invitation")
        assert "short_link" not in made and made["link"] in made["command"]
        assert result.errors.count("does not support short links") == 1
        joined = home.run("bob", "connect", short, "--alias", "alice")
        assert joined.code == 4 and "too old for short links" in joined.errors
        assert home.run("bob", "connect", made["link"], "--alias", "alice").code == 0


def test_handshakes_without_short_links_say_so_once(home: Home) -> None:
    result = home.run("alice", "invite", "--no-wait", "--handshake", "three-step")
    assert "short_link" not in result.of("invitation")[0]
    assert result.errors.count("does not support short links") == 1


def test_a_stopped_relay_delays_a_short_link_and_loses_nothing(home: Home) -> None:
    link = invitation(home)["short_link"]
    home.run("default", "relay", "stop")
    joined = home.run("bob", "connect", link, "-m", "one")
    assert joined.code == 3 and [m["status"] for m in joined.of("message")] == ["pending"]
    assert home.run("default", "relay", "start").code == 0
    with home.running("bob", "listen") as bob:
        bob.until("state", state="ready", alias="alice")
        assert home.run("alice", "listen", "--count", "1", "--timeout", "30").texts() == ["one"]


# -- on a terminal ----------------------------------------------------------------------------------------------------


class Terminal:
    """A command that runs on a terminal of its own."""

    def __init__(self, home: Home, profile: str, *arguments: str) -> None:
        if not hasattr(os, "openpty"):
            pytest.skip("needs a pseudo-terminal")
        self._screen, inside = os.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "smpchat", "--home", str(home.folder), "-p", profile, *arguments],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(inside)

    def until(self, text: str) -> str:
        """Everything shown, once it contains ``text``."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            ready, _, _ = select.select([self._screen], [], [], max(0.0, deadline - time.monotonic()))
            try:
                shown = os.read(self._screen, 4096) if ready else b""
            except OSError:  # the last process on the terminal has ended
                shown = b""
            assert shown, f"{text!r} never came; seen: {self.seen!r}"
            self.seen += shown.decode(errors="replace")
        return self.seen

    def type(self, line: str) -> None:
        os.write(self._screen, line.encode() + b"\n")

    def end(self) -> int:
        """Its exit status."""
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self._screen)


@contextmanager
def terminal(home: Home, profile: str, *arguments: str) -> Iterator[Terminal]:
    shown = Terminal(home, profile, *arguments)
    try:
        yield shown
    finally:
        shown.close()


def test_the_name_in_the_link_is_offered_before_the_profile_is_sent(home: Home) -> None:
    link = invitation(home)["short_link"]
    with terminal(home, "bob", "connect", link, "-m", "hi") as bob:
        seen = bob.until("[alice] ")
        assert 'The person who made this link uses the name "alice".' in seen
        assert "reserved for you" in seen
        assert home.run("alice", "listen", "--timeout", "0.5").objects == [], "nothing was sent to her"
        bob.type("")
        bob.until("Ready:")
        assert bob.end() == 0
    assert home.run("alice", "listen", "--count", "1", "--timeout", "30").texts() == ["hi"]
    assert home.run("bob", "contacts").of("contact")[0]["alias"] == "alice"


def test_whoever_dies_while_asking_asks_again(home: Home) -> None:
    link = invitation(home)["short_link"]
    with terminal(home, "bob", "connect", link, "-m", "hi") as bob:
        bob.until("[alice] ")
        bob.process.send_signal(signal.SIGKILL)
    status = home.run("bob", "status")
    assert [state["state"] for state in status.of("state")] == ["joining"] and "You have not named" in status.errors
    with terminal(home, "bob", "connect", link, "-m", "hi") as bob:
        bob.until("[alice] ")
        bob.type("-x")
        bob.until("cannot be an alias")
        bob.type("my friend")
        bob.until("Ready:")
        assert bob.end() == 0
    assert "write to my_friend now" in re.sub(r"\s+", " ", bob.seen)
    assert home.run("alice", "listen", "--count", "1", "--timeout", "30").texts() == ["hi"]
    assert home.run("alice", "listen", "--timeout", "0.5").texts() == [], "the text was stored once"


def test_interrupting_the_question_keeps_the_join(home: Home) -> None:
    link = invitation(home)["short_link"]
    with terminal(home, "bob", "connect", link) as bob:
        bob.until("[alice] ")
        bob.process.send_signal(signal.SIGINT)
        assert bob.end() == 130
    assert home.run("bob", "connect", link, "--alias", "alice").code == 0
