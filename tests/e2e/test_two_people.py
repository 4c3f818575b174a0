"""Two people connect and chat through a real relay, each command in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.smpchat import PATIENCE, Home

USED = "This invitation was already used or was deleted."


def test_demo_shows_the_three_steps_of_both_and_a_message_each_way() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "smpchat", "demo"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    for words in ("alice", "bob", "step 1 of 3", "step 2 of 3", "step 3 of 3", "Hello Alice!", "Hello Bob!", "ms"):
        assert words in done.stdout


def test_the_inviter_is_gone_and_nothing_waits_for_her(home: Home) -> None:
    link = home.invite("alice")
    joined = home.run("bob", "connect", link, "--alias", "alice", "-m", "one", "-m", "two")
    assert joined.code == 0
    assert joined.of("state")[-1]["state"] == "ready"
    assert [(m["text"], m["status"]) for m in joined.of("message")] == [("one", "sent"), ("two", "sent")]
    heard = home.run("alice", "listen", "--count", "2", "--timeout", "30")
    assert heard.code == 0
    kinds = [item["type"] for item in heard.objects]
    assert heard.of("contact")[0]["profile"]["name"] == "bob"
    assert kinds.index("contact") < kinds.index("message")
    assert heard.texts() == ["one", "two"]
    assert home.run("alice", "listen", "--timeout", "0.5").texts() == []  # nothing is shown twice
    with home.running("bob", "listen") as bob:
        assert bob.until("contact", alias="alice")["profile"]["name"] == "alice"
        for _ in range(2):
            bob.until("status", contact="alice", status="delivered")
    assert home.statuses("bob", "alice") == [("one", "delivered"), ("two", "delivered")]


def test_a_message_each_way_while_both_listen(home: Home) -> None:
    with home.running("alice", "listen") as alice, home.running("bob", "listen") as bob:
        link = home.invite("alice", "--note", "bob")
        assert home.run("bob", "connect", link, "--alias", "alice", "--wait", "-m", "hi").code == 0
        alice.until("message", text="hi", contact="bob")
        sent = home.run("alice", "send", "bob", "hello", "--wait", "delivered")
        assert sent.code == 0
        assert sent.objects[-1]["status"] == "delivered"
        bob.until("message", text="hello", contact="alice")


def test_a_third_person_with_the_same_link_is_refused(home: Home) -> None:
    link = home.invite("alice")
    assert home.run("bob", "connect", link, "--alias", "alice").code == 0
    third = home.run("carol", "connect", link, "--alias", "alice", "-m", "hi")
    assert third.code == 4
    assert USED in third.errors and "compare security codes" in third.errors
    assert USED in third.of("error")[0]["message"]
    assert home.run("carol", "contacts").of("contact")[0]["state"] == "failed"


@pytest.mark.parametrize("damage", ["cut", "page", "empty"])
def test_what_is_no_link_stores_nothing(home: Home, damage: str) -> None:
    links = {"cut": home.invite("alice")[:300], "page": "http://example.com/", "empty": ""}
    joined = home.run("bob", "connect", links[damage], "--alias", "alice")
    assert joined.code == 1
    assert len(joined.of("error")) == 1
    assert home.run("bob", "contacts").objects == []
    assert home.run("bob", "status").of("state") == []


def test_a_stopped_relay_delays_and_loses_nothing(home: Home) -> None:
    link = home.invite("alice")
    home.run("default", "relay", "stop")
    joined = home.run("bob", "connect", link, "--alias", "alice", "-m", "one", "-m", "two")
    assert joined.code == 3
    assert [m["status"] for m in joined.of("message")] == ["pending", "pending"]
    assert home.run("bob", "send", "alice", "three").code == 3
    assert home.run("default", "relay", "start").code == 0
    with home.running("bob", "listen"):
        heard = home.run("alice", "listen", "--count", "3", "--timeout", "30")
        assert heard.texts() == ["one", "two", "three"]
        assert home.run("bob", "send", "alice", "four", "--wait", "delivered", "--timeout", "0.1").code in (0, 6)
        assert home.run("alice", "listen", "--count", "1", "--timeout", "30").texts() == ["four"]
    assert [text for text, _ in home.statuses("alice", "bob")] == ["one", "two", "three", "four"]


def test_the_relay_keeps_its_port_so_that_links_stay_valid(home: Home) -> None:
    link = home.invite("alice")
    home.run("default", "relay", "stop")
    home.run("default", "relay", "start")
    assert home.run("bob", "connect", link, "--alias", "alice").code == 0


@pytest.mark.parametrize(
    ("relay", "options", "variant"),
    [
        (("--no-extensions",), (), "instant"),
        (("--smp-versions", "7-8"), (), "three-step"),
        (("--smp-versions", "9-14"), (), "instant"),
        ((), ("--handshake", "three-step"), "three-step"),
        (("--smp-versions", "7-8"), ("--handshake", "standard"), "standard"),
    ],
)
def test_every_handshake_through_old_and_plain_relays(
    home: Home, relay: tuple[str, ...], options: tuple[str, ...], variant: str
) -> None:
    with home.running("default", "relay", "run", *relay) as running:
        running.until("relay", state="running")
        link = home.invite("alice", *options)
        joined = home.run("bob", "connect", link, "--alias", "alice", "-m", "one")
        assert joined.code == 0
        assert joined.of("state")[-1]["variant"] == variant
        with home.running("bob", "listen") as bob, home.running("alice", "listen") as alice:
            alice.until("message", text="one")
            bob.until("status", contact="alice", status="delivered")
            assert home.run("alice", "send", "bob", "two", "--wait", "delivered").code == 0
            bob.until("message", text="two")


def test_many_sends_at_once_find_no_locked_database(home: Home) -> None:
    link = home.invite("alice")
    home.run("bob", "connect", link, "--alias", "alice")
    with home.running("alice", "listen") as alice:
        commands = [[sys.executable, "-m", "smpchat", "--home", str(home.folder), "-p", "bob", "send", "alice", str(n)]
                    for n in range(6)]  # fmt: skip
        processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
        assert [process.wait(PATIENCE) for process in processes] == [0] * len(commands)
        texts = {alice.until("message")["text"] for _ in commands}
    assert texts == {str(n) for n in range(6)}
