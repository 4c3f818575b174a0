"""``profile set --bot`` and ``--command``: what contacts see of a bot, and what its scripts get."""

from __future__ import annotations

import pytest

from smpchat.cli.schema import problems
from tests.cli.terminal import Terminal

SET = ("-p", "alice", "profile", "set")


def test_a_bot_says_so_and_what_it_offers(smpchat: Terminal) -> None:
    smpchat.connected("alice", "bob")
    shown = smpchat(*SET, "--bot", "--command", "help=What I can do", "--command", "/date")
    assert shown.stdout.splitlines()[1:] == ["  a bot", "  /help: What I can do", "  /date: date"]
    [profile] = smpchat("--json", "-p", "alice", "profile", "show").objects("profile")
    assert problems(profile) == []
    assert profile["bot"] and [command["keyword"] for command in profile["commands"]] == ["help", "date"]
    assert 'a bot, profile name "alice"' in smpchat("-p", "bob", "listen", "--timeout", "2").stdout
    [contact] = smpchat("--json", "-p", "bob", "contacts").objects("contact")
    assert problems(contact) == []
    assert contact["profile"]["commands"][0] == {"keyword": "help", "label": "What I can do", "params": ""}
    assert "a bot" in smpchat("-p", "bob", "contacts").stdout
    for text in ("/help me", "/other"):
        assert smpchat("-p", "bob", "send", "alice", text).code == 0
    call, other = smpchat("--json", "-p", "alice", "listen", "--count", "2", "--timeout", "5").objects("message")
    assert (call["command"], call["arguments"], problems(call)) == ("help", "me", [])
    assert "command" not in other


def test_another_name_leaves_a_bot_and_no_bot_takes_its_commands(smpchat: Terminal) -> None:
    smpchat(*SET, "--command", "help=Help")
    for arguments in (("Alice",), ("--bot",)):
        [profile] = smpchat("--json", *SET, *arguments).objects("profile")
        assert profile["bot"] and len(profile["commands"]) == 1
    [profile] = smpchat("--json", *SET, "--no-bot").objects("profile")
    assert "bot" not in profile and "commands" not in profile


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--no-bot", "--command", "help"), 2, "use either --command or --no-bot, not both."),
        (("--command", "="), 1, "The command '' is invalid."),
        (("--command", "help=\x1b[2J"), 1, "The command 'help' is invalid."),
    ],
)
def test_what_cannot_be_offered_changes_nothing(
    smpchat: Terminal, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    refused = smpchat(*SET, *arguments)
    assert (refused.code, sentence in refused.stderr) == (code, True)
    assert "bot" not in smpchat("--json", "-p", "alice", "profile", "show").objects("profile")[0]
