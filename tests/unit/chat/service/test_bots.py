"""A bot of ours: contacts are told what it offers, and what they call of it is handed over as that."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.chat.errors import InputError
from smpchat.chat.store.records import Message
from smpchat.chat.wire.bots import BotCommand
from tests.unit.chat.service.test_introducing import Pair, profile_of, run

HELP, ORDER = BotCommand("help", "Help"), BotCommand("order two", "Order", "<text>")


def calls(messages: list[Message]) -> list[tuple[str | None, str]]:
    return [(message.command, message.arguments) for message in messages]


def test_contacts_are_told_what_is_offered_and_what_they_call_is_handed_over(tmp_path: Path) -> None:
    async def scenario(pair: Pair) -> None:
        alice, bob = pair.alice.service, pair.bob.service
        alice.set_bot([HELP, ORDER])
        await pair.bob.until(lambda s: profile_of(s, "alice").commands == (HELP, ORDER))
        assert profile_of(bob, "alice").bot
        for text in ("/help me", "/'order two'  pizzas\nplease", "/etc is a folder", "help"):
            bob.send("alice", text)
        await pair.alice.until(lambda s: len(s.unshown_messages()) == 4)
        expected = [("help", "me"), ("order two", "pizzas\nplease"), (None, ""), (None, "")]
        assert calls(alice.unshown_messages()) == expected
        assert alice.unshown_messages()[0].text == "/help me"
        alice.set_profile("Alice")  # a bot still, under another name
        assert calls(alice.unshown_messages()) == expected
        alice.set_bot([])  # then any word behind a slash is a command
        assert calls(alice.unshown_messages())[2] == ("etc", "is a folder")
        alice.set_bot(None)
        assert calls(alice.unshown_messages()) == [(None, "")] * 4
        await pair.bob.until(lambda s: not profile_of(s, "alice").bot)
        assert profile_of(bob, "alice").commands == ()

    run(tmp_path, scenario)


def test_what_nobody_could_show_changes_nothing(tmp_path: Path) -> None:
    async def scenario(pair: Pair) -> None:
        pair.alice.service.set_bot([HELP])
        with pytest.raises(InputError):
            pair.alice.service.set_bot([HELP, BotCommand("\x1b", "x")])
        assert pair.alice.service.own_profile().commands == (HELP,)

    run(tmp_path, scenario, connected=False)
