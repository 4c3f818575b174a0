"""Commands of bots: what a peer's profile offers, what ours may offer, and what text calls one."""

from __future__ import annotations

from typing import Any

import pytest

from smpchat.chat.errors import InputError
from smpchat.chat.wire.bots import (
    MAX_COMMANDS,
    BotCommand,
    Call,
    called,
    commands_json,
    own_commands,
    read_call,
    read_commands,
)
from smpchat.chat.wire.profile import Profile

HELP = BotCommand("help", "Help")
ORDER = BotCommand("order", "Order something", "<text>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/help", Call("help", "")),
        ("/help ", Call("help", "")),
        ("/order two pizzas\nplease", Call("order", "two pizzas\nplease")),
        ("/'all orders' of  today", Call("all orders", "of  today")),
        ("/héé 1", Call("héé", "1")),
        ("", None),
        ("help", None),
        (" /help", None),
        ("/", None),
        ("/ help", None),
        ("//help", None),
        ("/'help", None),
        ("/''", None),
        ("/etc/passwd is a file", Call("etc/passwd", "is a file")),
    ],
)
def test_what_a_text_calls(text: str, expected: Call | None) -> None:
    assert read_call(text) == expected


def test_only_what_is_offered_is_called_where_anything_is() -> None:
    assert called("/help me", [HELP, ORDER]) == Call("help", "me")
    assert called("/etc/passwd is a file", [HELP, ORDER]) is None
    assert called("/anything", []) == Call("anything", "")


def test_commands_of_menus_are_commands() -> None:
    value = [
        {"type": "command", "keyword": "help", "label": "Help", "icon": 3},
        {"type": "menu", "label": "More", "commands": [
            {"type": "command", "keyword": "order", "label": "Order something", "params": "<text>"}
        ]},
    ]  # fmt: skip
    assert read_commands(value) == (HELP, ORDER)
    assert read_commands(commands_json([HELP, ORDER])) == (HELP, ORDER)


@pytest.mark.parametrize(
    "value",
    [
        None, 3, {}, [3, None, {}], [{"type": "command"}], [{"type": "command", "keyword": ""}],
        [{"type": "command", "keyword": 3}], [{"type": "game", "keyword": "a", "label": "b"}],
        [{"type": "menu", "commands": 3}],
    ],
)  # fmt: skip
def test_what_is_malformed_is_left_out(value: object) -> None:
    assert read_commands(value) == ()


def test_a_peer_cannot_make_menus_without_end() -> None:
    command = {"type": "command", "keyword": "k" * 1000, "label": "\ud800"}
    many = read_commands([command] * 10_000)
    assert len(many) == MAX_COMMANDS and many[0] == BotCommand("k" * 100, "\ufffd")
    deep: list[dict[str, Any]] = [command]
    for _ in range(50):
        deep = [{"type": "menu", "commands": deep}]
    assert read_commands(deep) == ()


@pytest.mark.parametrize(
    "command",
    [
        BotCommand("", "a"), BotCommand("a", ""), BotCommand("a\nb", "a"), BotCommand("/a", "a"), BotCommand("'a", "a"),
        BotCommand("a" * 101, "a"), BotCommand("a", "a" * 101), BotCommand("a", "a", "\x1b"),
    ],
)  # fmt: skip
def test_what_we_cannot_offer(command: BotCommand) -> None:
    with pytest.raises(InputError):
        own_commands([HELP, command])


def test_ours_have_a_bound() -> None:
    assert own_commands([HELP, ORDER, BotCommand("all orders", "All")])[2].keyword == "all orders"
    with pytest.raises(InputError, match="at most"):
        own_commands([HELP] * (MAX_COMMANDS + 1))


def test_a_profile_says_that_it_is_a_bots() -> None:
    profile = Profile("Echo", bot=True, commands=(HELP,))
    value = profile.to_wire()
    assert value["peerType"] == "bot"
    assert value["preferences"]["commands"] == [{"type": "command", "keyword": "help", "label": "Help"}]
    assert Profile.from_wire(value) == profile == Profile.from_json(profile.to_json())
    assert "peerType" not in Profile("Alice").to_wire()


@pytest.mark.parametrize("said", ["human", "robot", 3, None, ["bot"]])
def test_any_other_kind_of_peer_is_none(said: object) -> None:
    found = Profile.from_wire({"displayName": "Bob", "peerType": said})
    assert found is not None and not found.bot
