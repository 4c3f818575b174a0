"""What commands tell beside what they do: under which name one is seen, how to go on, and what is asked first."""

from __future__ import annotations

import getpass
import re

import pytest

from tests.cli.terminal import Terminal

SEEN = "Your contacts will see you as"


def test_the_first_link_says_under_which_name_one_is_seen(smpchat: Terminal) -> None:
    first = smpchat("-p", "work", "invite", "--no-wait")
    assert f"{SEEN} work. To change this name: `smpchat -p work profile set NAME`." in first.stderr
    assert SEEN not in smpchat("-p", "work", "invite", "--no-wait").stderr


def test_the_login_name_is_told_until_one_is_chosen(smpchat: Terminal) -> None:
    told = f"{SEEN} ola, your login name. To change this name: `smpchat profile set NAME`."
    link = smpchat.invite("default")
    for _ in range(2):
        assert told in smpchat("invite", "--no-wait", "--no-qr", tty=True).stderr.replace("\n", " ")
    assert SEEN not in smpchat("invite", "--no-wait").stderr  # a script was told once
    assert SEEN in smpchat("-p", "bob", "connect", link, "--alias", "ola").stderr
    assert smpchat("profile", "set", "Ola Nordmann").code == 0
    assert SEEN not in smpchat("invite", "--no-wait", "--no-qr", tty=True).stderr


@pytest.mark.parametrize("command", ["invite", "connect"])
def test_who_is_incognito_is_not_told_the_other_name(smpchat: Terminal, command: str) -> None:
    link = smpchat.invite("alice")
    line = ["invite", "--no-wait"] if command == "invite" else ["connect", link, "--alias", "alice"]
    assert SEEN not in smpchat("-p", "bob", *line, "--incognito").stderr


# -- delete -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "gone"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_a_contact_is_deleted_on_a_terminal_after_a_yes(smpchat: Terminal, answer: str, *, gone: bool) -> None:
    smpchat.connected()
    result = smpchat("-p", "alice", "delete", "BOB", tty=True, stdin=answer)
    assert result.code == 0
    assert "Delete bob and all messages for good? [y/N] " in result.stderr
    assert ("Nothing was deleted." in result.stderr) is not gone
    assert bool(smpchat("-p", "alice", "contacts").stdout) is not gone


@pytest.mark.parametrize("line", [["delete", "bob", "--yes"], ["--json", "delete", "bob"]])
def test_nobody_is_asked_who_said_yes_or_wants_json(smpchat: Terminal, line: list[str]) -> None:
    smpchat.connected()
    result = smpchat("-p", "alice", *line, tty=True)
    assert (result.code, "[y/N]" in result.stderr) == (0, False)
    assert smpchat("-p", "alice", "contacts").stdout == ""


def test_a_script_and_an_invitation_are_not_asked_and_get_an_object(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat.invite("alice", "--note", "carol")
    assert smpchat("--json", "-p", "alice", "delete", "bob").objects() == [
        {"v": 1, "type": "deleted", "contact": "bob", "connection": 1, "finished": True}
    ]
    assert smpchat("--json", "-p", "alice", "delete", "carol").objects() == [
        {"v": 1, "type": "deleted", "contact": None, "connection": 2, "finished": True}
    ]
    smpchat.invite("alice")
    assert "[y/N]" not in smpchat("-p", "alice", "delete", "3", tty=True).stderr


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_contacts_names_the_invitation_that_waits(smpchat: Terminal) -> None:
    smpchat.invite("alice", "--note", "bob")
    told = smpchat("-p", "alice", "contacts", tty=True).stderr.replace("\n", " ")
    assert told.startswith("No contacts yet: your invitation for bob was not used yet.")
    assert told.endswith("`smpchat -p alice status` shows its link. ")
    smpchat.invite("alice")
    told = smpchat("-p", "alice", "contacts", tty=True).stderr.replace("\n", " ")
    assert told == (
        "No contacts yet: your 2 invitations (for bob, number 2) are not used yet."
        " `smpchat -p alice status` shows their links. "
    )
    assert smpchat("-p", "alice", "contacts").stderr == ""


def test_requests_and_listen_say_how_to_accept(smpchat: Terminal) -> None:
    link = smpchat("--json", "-p", "alice", "address", "create").objects("address")[0]["link"]
    assert smpchat("-p", "bob", "connect", link, "--alias", "alice").code == 0
    told = "Accept with `smpchat -p alice accept 1`, or reject with `smpchat -p alice reject 1`."
    assert told in smpchat("-p", "alice", "listen", "--timeout", "3", tty=True).stderr.replace("\n", " ")
    assert told in smpchat("-p", "alice", "requests", tty=True).stderr.replace("\n", " ")
    assert smpchat("-p", "alice", "requests").stderr == ""
    assert smpchat("-p", "alice", "accept", "1").code == 0


def test_listen_numbers_its_lines_on_a_terminal_only(smpchat: Terminal) -> None:
    smpchat.connected()
    for text in ("one", "two"):
        assert smpchat("-p", "bob", "send", "alice", text).code == 0
    assert smpchat("-p", "alice", "listen", "--count", "1").stdout == "bob: one\n"
    smpchat.wait(86_400)
    shown = smpchat("-p", "alice", "listen", "--count", "1", "--no-color", "--plain", tty=True).stdout
    assert re.sub(r"\x1b\[\d*m", "", shown) == "   2  14 Nov 22:13  bob: two\n"


def test_rename_prints_a_sentence(smpchat: Terminal) -> None:
    smpchat.connected()
    assert smpchat("-p", "alice", "rename", "bob", "Rob").stdout == "bob is now called Rob. Only you see this name.\n"


def test_resync_before_connected_is_an_input_error(smpchat: Terminal) -> None:
    link = smpchat.invite("alice")
    assert smpchat("-p", "bob", "connect", link, "--alias", "alice").code == 0
    result = smpchat("-p", "bob", "resync", "alice")
    assert (result.code, result.stderr.splitlines()) == (
        1,
        [
            "This contact is not connected yet, so there are no keys to replace.",
            "Wait until `smpchat -p bob status` shows connected.",
        ],
    )
    smpchat.connected("carol", "dave")
    assert smpchat("-p", "carol", "resync", "dave", "--refuse").code == 1


def test_the_shortest_passphrase_is_told_before_one_is_typed(
    smpchat: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    smpchat.invite("alice")
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "short"

    monkeypatch.setattr(getpass, "getpass", answer)
    assert smpchat("-p", "alice", "key", "set", tty=True).code == 1
    assert asked[0] == "Passphrase for the profile alice (8 characters or more): "
