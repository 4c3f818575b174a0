"""What `chat` shows: messages, ticks beside the prompt, days, unread counts."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from smpchat.cli.chat.transcript import ranges
from tests.cli.chat.talk import Talk, hear
from tests.cli.terminal import FakeTerminal, Terminal


def test_ticks_change_beside_the_prompt(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    assert bob.enter("hello") == []
    assert bob.tail()[-1] == "22:13  you: hello  ·"
    assert "last message pending ·" in bob.toolbar()
    people("-p", "bob", "send", "carol", "(online)")
    assert bob.news() == []
    assert bob.tail()[-1] == "22:13  you: hello  ✓"
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    assert bob.news()[-1] == "22:13  you: hello  ✓✓"
    assert bob.tail() == []
    assert "last message delivered ✓✓" in bob.toolbar()


def test_ticks_of_what_was_written_before_change_too(people: Terminal, talk: Callable[..., Talk]) -> None:
    people("-p", "bob", "send", "alice", "earlier")
    bob = talk("alice")
    assert bob.tail()[-1] == "22:13  you: earlier  ✓"
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    assert bob.news()[-1] == "22:13  you: earlier  ✓✓"
    assert bob.tail() == []


def test_what_was_printed_with_one_tick_is_said_to_be_delivered_later(
    people: Terminal, talk: Callable[..., Talk]
) -> None:
    bob = talk("alice")
    for number in range(5):
        bob.enter(f"message {number}")
    people("-p", "bob", "send", "carol", "(online)")
    assert not [line for line in bob.news() if "delivered" in line]
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    first, second = [message.id for message in bob.service.history("alice") if "message" in message.text][:2]
    assert f"* delivered: {first}-{second}" in bob.news()
    assert not [line for line in bob.news() if "delivered" in line]


def test_what_is_delivered_in_another_conversation_is_not_said(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    for number in range(5):
        bob.enter(f"message {number}")
    bob.enter("/to carol")
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    assert not [line for line in bob.news() if "delivered" in line]


def test_own_messages_leave_the_prompt_before_an_incoming_one(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("mine")
    hear(people, "alice", "yours")
    shown = [line[7:] for line in bob.news() if "mine" in line or "yours" in line]
    assert shown[0].startswith("you: mine")
    assert shown[1] == "alice: yours"


def test_few_messages_stay_beside_the_prompt(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    shown = [line for number in range(6) for line in bob.enter(f"message {number}")]
    assert [line.split()[3] for line in shown if "you:" in line] == ["0", "1", "2"]
    assert [line.split()[3] for line in bob.tail() if "you:" in line] == ["3", "4", "5"]
    bob.conversation.transcript.finish()
    assert bob.tail() == []


def test_plain_says_it_in_words(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice", plain=True)
    assert bob.enter("hello")[-1] == "22:13  you: hello  (pending)"
    assert bob.tail() == []
    people("-p", "bob", "send", "carol", "(online)")
    assert bob.news() == []
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    assert bob.news() == ["* delivered: 1"]
    assert "✓" not in bob.toolbar()


def test_plain_says_who_wrote_meanwhile(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice", plain=True)
    hear(people, "carol", "psst")
    assert bob.news() == ["* unread: carol 1 (/next goes there)"]
    people("-p", "alice", "send", "bob", "hello")
    hear(people, "alice", "hello again")
    assert not [line for line in bob.news() if "unread" in line]
    assert "* unread: carol 1 (/next goes there)" in talk("alice", plain=True).news()


def test_a_message_that_was_delivered_before_we_looked_is_confirmed_once(
    people: Terminal, talk: Callable[..., Talk]
) -> None:
    bob = talk("alice", plain=True)
    bob.enter("hello")
    for profile in ("bob", "alice", "bob"):  # sent and delivered are both in the feed
        people("-p", profile, "listen", "--timeout", "3")
    assert bob.news() == ["* delivered: 1"]


def test_a_new_day_gets_a_separator(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    people.wait(-3600)
    hear(people, "alice", "late")
    assert "─── Tuesday 14 November 2023 ───" in bob.news()
    people.wait(86_400)
    hear(people, "alice", "next day")
    shown = bob.news()
    at = shown.index("─── Wednesday 15 November 2023 ───")
    assert any("alice: next day" in line for line in shown[at:])


def test_a_contact_that_is_only_ready_can_be_written_to(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", FakeTerminal())
    smpchat("-p", "bob", "connect", smpchat.invite("alice"), "--alias", "ally")
    with smpchat.service("bob") as service:
        bob = Talk(smpchat, service, "ally")
        assert bob.news() == ["* You can write to ally now. ally has not come online yet (since 22:13)."]
        assert bob.toolbar().startswith("ready: waiting for them to come online")
        bob.enter("hello")
        assert len(bob.tail()) == 2  # the day, the message
        smpchat("-p", "bob", "send", "ally", "(online)")
        smpchat("-p", "alice", "listen", "--timeout", "3")
        smpchat("-p", "bob", "send", "ally", "(online again)", "--wait", "delivered", "--timeout", "2")
        shown = bob.news()
        assert "* ally is connected." in shown
        assert '* ally\'s profile name is "alice".' in shown
        assert bob.who == "ally"


def test_a_failed_connection_is_announced(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", FakeTerminal())
    link = smpchat.invite("alice")
    smpchat("-p", "carol", "connect", link, "--alias", "alice")
    with smpchat.service("bob") as service:
        service.connect(link, "alice", ["hello"])
        bob = Talk(smpchat, service, "alice")
        bob.news()
        smpchat("-p", "bob", "listen", "--timeout", "3")
        shown = bob.news()
        assert any(line.startswith("* This invitation was already used") for line in shown)
        assert any("you: hello  ✗ This invitation was already used" in line for line in shown)
        assert bob.enter("more")[0].startswith("! This invitation was already used")


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [([29], "29"), ([29, 30], "29-30"), ([40, 29, 31, 30, 30], "29-31, 40"), ([1, 3], "1, 3"), ([], "")],
)
def test_numbers_that_follow_each_other_are_told_together(numbers: list[int], shown: str) -> None:
    assert ranges(numbers) == shown
