"""Receipts turned off, for everybody or for one contact: nothing is sent, nothing queued, and both sides say so."""

from __future__ import annotations

import pytest

from tests.cli.terminal import Terminal


@pytest.fixture
def three(smpchat: Terminal) -> Terminal:
    """Bob knows alice and carol."""
    smpchat.connected("alice", "bob")
    smpchat.connected("carol", "bob")
    return smpchat


def arrives(smpchat: Terminal, sender: str) -> str:
    """What has become of a text to bob, once he has it."""
    smpchat("-p", sender, "send", "bob", "hello")
    assert smpchat("-p", "bob", "listen", "--count", "1", "--timeout", "9").code == 0
    with smpchat.service("bob") as bob:
        assert bob.is_idle(), "nothing waits to be sent"
    smpchat("-p", sender, "listen", "--timeout", "3")
    [*_, last] = smpchat("--json", "-p", sender, "history", "bob").objects("message")
    return str(last["status"])


def shown(smpchat: Terminal) -> tuple[bool, dict[str, bool]]:
    """What `status --json` says of Bob, and of each of his contacts that the test made."""
    found = smpchat("--json", "-p", "bob", "status")
    [profile] = found.objects("profile")
    return profile["receipts"], {s["alias"]: s["receipts"] for s in found.objects("state") if "receipts" in s}


def test_of_one_contact(three: Terminal) -> None:
    assert arrives(three, "alice") == "delivered"
    said = three("-p", "bob", "contact", "set", "alice", "receipts", "off")
    assert said.stdout == "alice no longer gets receipts, and sees messages to you as sent, never as delivered.\n"
    assert arrives(three, "alice") == "sent"
    assert arrives(three, "carol") == "delivered", "somebody else still is"
    found = {c["alias"]: c.get("receipts", True) for c in three("--json", "-p", "bob", "contacts").objects("contact")}
    assert found == {"alice": False, "carol": True}
    assert "gets no receipts" in three("-p", "bob", "contacts").stdout
    assert (
        "Receipts for their messages: off, set for this contact"
        in three("-p", "bob", "contact", "show", "alice").stdout
    )
    assert "alice gets no receipts for messages that arrive here." in three("-p", "bob", "status", "alice").stderr
    assert "Receipts are off for alice: they are not told" in three("-p", "bob", "status").stdout
    assert shown(three) == (True, {"alice": False, "carol": True})
    assert [o["receipts"] for o in three("--json", "-p", "bob", "status", "alice").objects("state")] == [False]
    three("-p", "bob", "contact", "set", "alice", "receipts", "default")
    assert arrives(three, "alice") == "delivered", "and that of the first text never comes"
    statuses = [m["status"] for m in three("--json", "-p", "alice", "history", "bob").objects("message")]
    assert statuses[-3:] == ["delivered", "sent", "delivered"]


def test_of_everybody_but_one(three: Terminal) -> None:
    assert three("--json", "-p", "bob", "profile", "set", "--no-receipts").objects()[0]["receipts"] is False
    assert "receipts off" in three("-p", "bob", "profile", "show").stdout
    assert "Receipts are off: your contacts are not told" in three("-p", "bob", "status").stdout
    said = three("-p", "bob", "contact", "set", "carol", "receipts", "on")
    assert said.stdout == "carol now gets receipts when messages arrive here.\n"
    assert [arrives(three, who) for who in ("alice", "carol")] == ["sent", "delivered"]
    assert (
        "off, except for carol: other contacts are not told that their messages arrived."
        in three("-p", "bob", "status").stdout
    )
    assert shown(three) == (False, {"alice": False, "carol": True})
    assert three("--json", "-p", "bob", "profile", "set", "--receipts").objects()[0]["receipts"] is True
    assert arrives(three, "alice") == "delivered"


def test_who_waits_for_one_is_told_why_it_may_not_come(three: Terminal) -> None:
    three("-p", "bob", "profile", "set", "--no-receipts")
    late = three("-p", "alice", "send", "bob", "hello", "--wait", "delivered", "--timeout", "2")
    assert late.code == 6 and "unless your contact has turned receipts off." in late.stderr


@pytest.mark.parametrize(
    "arguments", [("contact", "set", "alice", "receipts", "yes"), ("profile", "set", "--allow", "receipts=yes")]
)
def test_what_is_no_choice(three: Terminal, arguments: tuple[str, ...]) -> None:
    refused = three("-p", "bob", *arguments)
    assert refused.code == 1 and len(refused.stderr.splitlines()) == 2
