"""What a day at the prompt needs: drafts, paging, the last message without its number, links made and used here."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.records import Direction, MessageStatus, contact, insert_message
from smpchat.chat.wire.message import REACTIONS
from smpchat.cli.chat.screen import Screen as ChatScreen
from smpchat.cli.chat.slash import Offer
from smpchat.cli.emoji import emoji_of
from tests.cli.chat.talk import Talk, hear, type_into
from tests.cli.terminal import Terminal

UP = "\x1b[A"


def wrote(service: ChatService, who: str, count: int) -> None:
    """``count`` messages of a contact that nobody was shown."""
    with service.database.transaction() as tx:
        contact_id = contact(tx, who).id
        for number in range(count):
            insert_message(tx, contact_id, Direction.RECEIVED, f"line {number}", service.now(), MessageStatus.RECEIVED)


async def screen_of(bob: Talk, steps: list[tuple[str, Callable[[ChatScreen], bool]]]) -> None:
    """Keys, and what each waits for before the next."""
    with create_pipe_input() as source:
        screen = ChatScreen(bob.environment, bob.conversation, source=source, sink=DummyOutput())
        running = asyncio.create_task(screen.run())
        for keys, reached in steps:
            source.send_text(keys)
            async with asyncio.timeout(30):
                while not reached(screen):  # noqa: ASYNC110 - what a key does is no event
                    await asyncio.sleep(0.005)
        source.send_text("\x03\x03")
        await running


def test_a_draft_belongs_to_its_contact(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "carol", "psst")
    bob.news()
    steps: list[tuple[str, Callable[[ChatScreen], bool]]] = [
        ("private words for alice", lambda s: s.text.endswith("alice")),
        ("\x1ba", lambda s: bob.who == "carol" and s.text == ""),
        ("to carol\r", lambda s: bob.service.history("carol")[-1].text == "to carol"),
        ("/to alice\r", lambda s: bob.who == "alice" and s.text == "private words for alice"),
        ("\r", lambda s: bool(bob.service.history("alice"))),
    ]
    asyncio.run(screen_of(bob, steps))
    assert [m.text for m in bob.service.history("alice")] == ["private words for alice"]
    assert "private" not in " ".join(m.text for m in bob.service.history("carol"))


def test_up_in_an_empty_line_edits_the_last_message(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    type_into(bob, f"helo\r{UP} there\r\x04")
    [message] = bob.service.history("alice")
    assert message.text == "helo there" and message.edited


def test_no_number_is_needed_for_the_last_message(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "alice", "a question")
    bob.news()
    bob.enter("/reply an answer")
    answer = bob.service.history("alice")[-1]
    assert answer.reply_to is not None and answer.reply_to.text == "a question"
    bob.enter("/react +1")
    [question] = [m for m in bob.service.history("alice") if m.text == "a question"]
    assert [r.emoji for r in question.reactions] == ["👍"]
    bob.enter("/react -+1")
    assert bob.service.required_message(question.id).reactions == ()
    with pytest.raises(Offer) as offered:
        bob.lines.enter("/edit")
    assert offered.value.line == f"/edit {answer.id} an answer"
    bob.enter(f"/edit {answer.id} another answer")
    bob.enter(offered.value.line)
    assert bob.service.required_message(answer.id).text == "an answer"
    before = bob.service.required_message(answer.id).changes
    bob.enter(offered.value.line)
    assert bob.service.required_message(answer.id).changes == before, "nothing was changed: nothing is sent"
    bob.enter("/delete")
    assert bob.service.required_message(answer.id).deleted


@pytest.mark.parametrize("word", ["+1", ":+1:", "thumbsup", ":THUMBSUP:", "👍", "👍\ufe0f"])
def test_an_emoji_has_names(word: str) -> None:
    assert emoji_of(word) == REACTIONS[0]
    assert emoji_of("-1") == REACTIONS[1] and emoji_of("nonsense") == "nonsense"


def test_what_is_unread_begins_at_a_line(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("carol")
    hear(people, "alice", "read before")
    bob.enter("/to alice")
    bob.enter("/to carol")
    hear(people, "alice", "not read yet")
    shown = bob.enter("/to alice")
    line = shown.index("─── unread ───")
    assert "read before" in " ".join(shown[:line]) and shown[line + 1].endswith("alice: not read yet")
    assert "─── unread ───" not in bob.enter("/to alice")


def test_thousands_of_unread_messages_are_two_screens_and_pages(
    talk: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINES", "24")
    bob = talk("carol")
    wrote(bob.service, "alice", 2_000)
    shown = bob.enter("/to alice")
    assert "… 1,952 earlier, 1,952 of them unread: /history" in shown
    assert shown[-1].endswith("alice: line 1999") and len(shown) < 60
    assert bob.service.contact("alice").contact.unread == 0
    back = bob.enter("/history")
    assert back[-2].endswith("alice: line 1951") and back[-1].startswith("… 1,933 earlier: /history")
    assert bob.enter("/history back")[-2].endswith("alice: line 1932")
    assert bob.enter("/history forward")[-1].endswith("alice: line 1951")
    assert bob.enter("/history 1")[-1].endswith("alice: line 1999")
    assert bob.enter("/history forward") == ["This is the last message."]


def test_an_empty_conversation_says_so(talk: Callable[..., Talk]) -> None:
    assert talk("alice").greeting == ["No messages with alice yet. Type one, and press Enter."]


def test_a_message_to_somebody_else_is_pending_until_it_is_sent(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    assert bob.enter("@carol hello") == ["to carol: pending"]
    assert bob.news() == []
    assert people("-p", "bob", "listen", "--timeout", "2").code == 0
    assert bob.news() == ["to carol: sent"]


def test_links_are_made_and_used_here(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    assert bob.enter("/invite dora") == ["* Making a link…"]
    assert people("-p", "bob", "listen", "--timeout", "1").code == 0
    shown = bob.news()
    assert shown[0] == "LINK" and "smpchat connect" in " ".join(shown)
    link = people.invite("eve")
    assert bob.enter("/connect")[0].startswith("! Type /connect LINK ALIAS.")
    assert bob.enter(f"/connect {link} eve")[0] == "Now writing to eve."
    assert bob.who == "eve"
    assert bob.enter("/rename evelyn") == ["* eve is now called evelyn."]
    assert bob.who == "evelyn"
    assert bob.enter("/resync")[0].startswith("! ")


def test_sigterm_leaves_the_terminal_as_it_was(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")

    async def run() -> None:
        with create_pipe_input() as source:
            screen = ChatScreen(bob.environment, bob.conversation, source=source, sink=DummyOutput())
            running = asyncio.create_task(screen.run())
            source.send_text("half a li")
            async with asyncio.timeout(30):
                while not screen.text.endswith("half a li"):  # noqa: ASYNC110 - what a key does is no event
                    await asyncio.sleep(0.005)
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(30):
                await running

    asyncio.run(run())
    assert bob.service.history("alice") == []
