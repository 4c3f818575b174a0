"""What every command prints, on both streams, and how it ends: compared with the files in ``screens``."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from smpchat.chat.service import writing
from smpchat.testing.entropy import SeededEntropy
from tests.cli.team import settle
from tests.cli.terminal import Result, Terminal

Screen = Callable[[str, str], None]
JSON = pytest.mark.parametrize("flags", [(), ("--json",)], ids=["people", "json"])


def _name(base: str, flags: tuple[str, ...]) -> str:
    return base + ("_json" if flags else "")


@JSON
def test_a_conversation(smpchat: Terminal, screen: Screen, flags: tuple[str, ...]) -> None:
    said = [smpchat(*flags, "-p", "alice", "invite", "--note", "bob", "--no-wait")]
    with smpchat.service("alice") as service:
        [invitation] = service.invitations()
    assert invitation.link is not None
    for line in (
        ("-p", "alice", "status"),
        ("-p", "bob", "connect", invitation.link, "--alias", "alice", "-m", "hi", "-m", "it is me"),
        ("-p", "bob", "contacts"),
        ("-p", "bob", "status"),
        ("-p", "bob", "status", "alice"),
        ("-p", "alice", "listen", "--count", "2"),
        ("-p", "alice", "send", "bob", "hello", "yourself"),
        ("-p", "bob", "listen", "--timeout", "3"),
        ("-p", "alice", "send", "bob", "still there?", "--wait", "none"),
        ("-p", "alice", "contacts"),
        ("-p", "alice", "status"),
        ("-p", "alice", "status", "bob"),
        ("-p", "alice", "history", "bob"),
        ("-p", "alice", "history", "bob", "--search", "YOURSELF"),
        ("-p", "alice", "history", "bob", "-n", "1"),
        ("-p", "alice", "rename", "bob", "robert"),
        ("-p", "alice", "verify", "robert"),
        ("-p", "alice", "delete", "robert"),
        ("-p", "alice", "contacts"),
    ):
        smpchat.wait(1)
        said.append(smpchat(*flags, *line))
    screen(_name("conversation", flags), "\n".join(result.transcript() for result in said))


@JSON
def test_waiting_for_an_answer(smpchat: Terminal, screen: Screen, flags: tuple[str, ...]) -> None:
    link = smpchat.invite("alice")
    said = [
        smpchat(*flags, "-p", "alice", "invite", "--wait", "--timeout", "10"),
        smpchat(*flags, "-p", "bob", "connect", link, "--wait", "--timeout", "10"),
        smpchat(*flags, "-p", "bob", "send", "contact", "hello", "--wait", "delivered", "--timeout", "10"),
        smpchat(*flags, "-p", "bob", "listen", "--count", "1", "--timeout", "10"),
    ]
    assert [result.code for result in said] == [6, 6, 6, 6]
    screen(_name("timeouts", flags), "\n".join(result.transcript() for result in said))


@JSON
def test_a_changed_key(
    smpchat: Terminal, screen: Screen, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    # Whose new keys count is decided by their bytes: the same in each run, or the post-quantum keys come now or later.
    runs = itertools.count()
    monkeypatch.setattr(writing, "SystemEntropy", lambda: SeededEntropy(f"run {next(runs)}"))
    smpchat.connected()
    [code] = smpchat("-p", "bob", "--json", "verify", "alice").objects("verification")
    assert smpchat("-p", "alice", "verify", "bob", code["code"]).code == 0
    said = []
    for line in (
        ("-p", "bob", "resync", "alice"),
        ("-p", "alice", "listen", "--timeout", "3"),
        ("-p", "alice", "send", "bob", "what now?"),
        ("-p", "alice", "resync", "bob"),
        ("-p", "bob", "listen", "--timeout", "3"),
        ("-p", "alice", "listen", "--timeout", "3"),
        ("-p", "alice", "send", "bob", "my PIN is 1234"),
        ("-p", "alice", "contacts"),
        ("-p", "alice", "status", "bob"),
        ("-p", "alice", "history", "bob"),
        ("-p", "alice", "verify", "bob", "--confirm"),
        ("-p", "bob", "listen", "--timeout", "3"),
    ):
        smpchat.wait(1)
        said.append(smpchat(*flags, *line))
    screen(_name("changed_key", flags), "\n".join(result.transcript() for result in said))


@JSON
def test_no_relay(smpchat: Terminal, screen: Screen, flags: tuple[str, ...]) -> None:
    smpchat.connected()
    link = smpchat.invite("alice")
    smpchat.relay.running = False
    said = [
        smpchat(*flags, "-p", "alice", "invite", "--no-wait"),
        smpchat(*flags, "-p", "bob", "connect", link, "--alias", "again", "-m", "kept"),
        smpchat(*flags, "-p", "bob", "send", "alice", "hello"),
        smpchat(*flags, "-p", "bob", "status"),
    ]
    assert [result.code for result in said] == [3, 3, 3, 0]
    smpchat.relay.running = True
    said.append(smpchat(*flags, "-p", "bob", "listen", "--timeout", "3"))
    said.append(smpchat(*flags, "-p", "alice", "listen", "--timeout", "3"))
    screen(_name("no_relay", flags), "\n".join(result.transcript() for result in said))


@JSON
def test_a_link_used_twice(smpchat: Terminal, screen: Screen, flags: tuple[str, ...]) -> None:
    link = smpchat.invite("alice")
    assert smpchat("-p", "bob", "connect", link, "--alias", "alice").code == 0
    said = [
        smpchat(*flags, "-p", "carol", "connect", link, "--alias", "alice"),
        smpchat(*flags, "-p", "carol", "contacts"),
        smpchat(*flags, "-p", "carol", "send", "alice", "anybody there?"),
        smpchat(*flags, "-p", "bob", "connect", link, "--alias", "again"),
        smpchat(*flags, "-p", "alice", "connect", link, "--alias", "myself_too"),
    ]
    assert [result.code for result in said] == [4, 0, 4, 1, 1]
    screen(_name("link_used", flags), "\n".join(result.transcript() for result in said))


@JSON
def test_profiles(smpchat: Terminal, screen: Screen, flags: tuple[str, ...]) -> None:
    said = [
        smpchat(*flags, "profile", "list"),
        smpchat(*flags, "profile", "show"),
        smpchat(*flags, "-p", "work", "profile", "set", "Alice at work"),
        smpchat(*flags, "profile", "list"),
        smpchat(*flags, "profile", "set", " "),
        smpchat(*flags, "-p", "../up", "profile", "show"),
    ]
    assert [result.code for result in said] == [0, 0, 0, 0, 1, 1]
    screen(_name("profiles", flags), "\n".join(result.transcript() for result in said))


@JSON
def test_a_day_of_a_group(smpchat: Terminal, screen: Screen, flags: tuple[str, ...]) -> None:
    smpchat.connected("alice", "bob")
    said = []

    def do(*line: str) -> Result:
        said.append(smpchat(*flags, *line))
        return said[-1]

    do("-p", "alice", "group", "create", "Hiking club", "--alias", "team", "--welcome", "Be kind.")
    do("-p", "alice", "group", "invite", "team", "bob")
    do("-p", "bob", "listen", "--timeout", "2")
    do("-p", "bob", "groups")
    do("-p", "bob", "group", "join", "1", "--alias", "club")
    settle(smpchat, "alice", "bob")
    do("-p", "alice", "group", "link", "team")
    with smpchat.service("alice") as service:
        link = service.group_link("team")
    assert link is not None and link.short is not None
    do("-p", "cath", "connect", link.short, "--alias", "club", "--timeout", "3")
    settle(smpchat, "alice", "bob", "cath")
    do("-p", "cath", "group", "members", "club")
    do("-p", "cath", "send", "club", "hello all")
    do("-p", "bob", "listen", "--timeout", "2")
    do("-p", "alice", "listen", "--timeout", "2")
    do("-p", "cath", "listen", "--timeout", "2")
    do("-p", "cath", "history", "club")
    do("-p", "bob", "contacts")
    do("-p", "alice", "group", "role", "team", "cath", "moderator")
    do("-p", "alice", "group", "block", "team", "bob")
    do("-p", "alice", "group", "set", "team", "--name", "Walkers", "--allow", "history=off", "--disappear", "1w")
    do("-p", "alice", "group", "remove", "team", "bob")
    settle(smpchat, "bob", "cath")
    do("-p", "bob", "groups")
    do("-p", "bob", "send", "club", "why?")
    do("-p", "cath", "group", "leave", "club")
    do("-p", "alice", "listen", "--timeout", "2")
    do("-p", "alice", "group", "members", "team", "--all")
    do("-p", "alice", "group", "delete", "team")
    do("-p", "alice", "groups")
    screen(_name("group", flags), "\n".join(result.transcript() for result in said))
