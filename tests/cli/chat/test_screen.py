"""The terminal around a conversation: keys, history, editor, a terminal that moves no cursor."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.plain_text import PlainTextOutput

from smpchat.chat.store.events import MessageAdded
from smpchat.chat.store.feed import publish
from smpchat.chat.store.lock import online_lock
from smpchat.chat.store.records import Direction, insert_message
from smpchat.cli.chat import editor
from smpchat.cli.chat import screen as screen_module
from smpchat.cli.chat.below import PromptBelow
from smpchat.cli.chat.conversation import Conversation, choose
from smpchat.cli.chat.screen import Screen as ChatScreen
from smpchat.cli.chat.typed import KEPT, Typed
from smpchat.cli.commands.chat import tell_pending
from smpchat.cli.environment import make_environment
from tests.cli.chat.talk import Talk, hear, type_into
from tests.cli.terminal import FakeTerminal, Terminal


def test_typed_lines_are_sent(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    type_into(bob, "hello\rsecond\r/quit\r")
    assert [m.text for m in bob.service.history("alice", 2)] == ["hello", "second"]


def test_alt_enter_begins_a_new_line(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    type_into(bob, "one\x1b\rtwo\r\x04")
    assert [m.text for m in bob.service.history("alice", 1)] == ["one\ntwo"]


def test_alt_a_goes_to_the_next_unread(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "carol", "psst")
    bob.news()
    type_into(bob, "\x1bafor carol\r/quit\r")
    assert [m.text for m in bob.service.history("carol", 1)] == ["for carol"]


def test_ctrl_c_discards_the_line_and_then_leaves(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    before = bob.service.history("alice")
    type_into(bob, "not this\x03\x03never read")
    assert bob.service.history("alice") == before


UP, EARLIER = "\x1b[A", "\x10"  # the second is Ctrl-P


def test_what_was_sent_comes_back_in_the_next_run_and_is_in_no_file(
    people: Terminal, talk: Callable[..., Talk]
) -> None:
    bob = talk("alice")
    type_into(bob, "remember me\r/search a secret word\r\x04")
    type_into(talk("alice"), f"{EARLIER}\r\x04")
    assert [m.text for m in bob.service.history("alice", 2)] == ["remember me", "remember me"]
    bob.service.close()
    with_it = {path.name for path in (people.home / "profiles" / "bob").iterdir() if b"remember" in path.read_bytes()}
    assert with_it <= {"smpchat.db", "smpchat.db-wal"}
    assert not [path for path in people.home.rglob("*") if path.is_file() and b"secret word" in path.read_bytes()]


def test_each_contact_has_its_own_lines(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    lines = Typed(bob.conversation)
    bob.enter("for alice alone")
    lines.append_string("/search for alice")
    assert list(lines.load_history_strings()) == ["/search for alice", "for alice alone"]
    bob.enter("/to carol")
    assert list(lines.load_history_strings()) == []
    bob.enter("for carol")
    assert list(lines.load_history_strings()) == ["for carol"]
    assert people("-p", "bob", "delete", "alice").code == 0
    bob.enter("/to carol")
    assert list(lines.load_history_strings()) == ["for carol"]


def test_alt_a_brings_the_lines_of_the_other_contact(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("for alice alone")
    hear(people, "carol", "psst")
    bob.news()

    async def run() -> None:
        with create_pipe_input() as source:
            screen = ChatScreen(bob.environment, bob.conversation, source=source, sink=DummyOutput())
            running = asyncio.create_task(screen.run())
            for keys, text in (("draft", "draft"), ("\x1ba", ""), (EARLIER, "(online for a moment)")):
                source.send_text(keys)
                async with asyncio.timeout(30):
                    while screen.text != text or (keys != "draft" and bob.who != "carol"):
                        await asyncio.sleep(0.01)
                        if keys == EARLIER:  # prompt_toolkit loads the other contact's lines when it draws next
                            source.send_text(keys)
            source.send_text("\x03\x03")
            await running

    asyncio.run(run())


def test_a_command_comes_back_where_it_was_entered(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    lines = Typed(bob.conversation)
    for line in ("one", "/search x", "/search y", "two", "two", "//no command", "@carol hello"):
        bob.enter(line)
        lines.append_string(line)
    assert list(lines.load_history_strings()) == [
        "@carol hello", "//no command", "two", "/search y", "/search x", "one",
    ]  # fmt: skip


def test_what_went_away_does_not_come_back(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    lines = Typed(bob.conversation)
    kept, taken_back = (bob.service.send("alice", text) for text in ("stays", "taken back"))
    bob.service.send("alice", "/ as it is typed")
    bob.service.send("alice", "@nobody can type this")
    bob.service.forward(kept.id, "alice")
    bob.service.retract(taken_back.id)
    bob.lines.enter("/set disappear always")
    assert list(lines.load_history_strings()) == ["// as it is typed", "stays"]
    for profile, who in (("alice", "bob"), ("bob", "alice")):
        assert people("-p", profile, "contact", "set", who, "disappear", "1h").code == 0
        assert people("-p", profile, "listen", "--timeout", "2").code == 0
    bob.lines.enter("soon gone")
    lines.append_string("/search for what is soon gone")
    assert list(lines.load_history_strings()) == ["// as it is typed", "stays"]


def test_only_so_much_comes_back(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    lines = Typed(bob.conversation)
    for number in range(KEPT + 5):
        bob.service.send("alice", str(number))
        lines.append_string(f"/search {number}")
    found = list(lines.load_history_strings())
    assert len(found) == 2 * KEPT and found[:2] == [f"/search {KEPT + 4}", str(KEPT + 4)]


def test_the_editor_fills_the_line(talk: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch) -> None:
    bob = talk("alice")
    script = bob.environment.home / "editor"
    script.write_text("#!/bin/sh\nprintf 'from the\\neditor' > \"$1\"\n")
    script.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)

    async def run() -> None:
        with create_pipe_input() as source:
            screen = ChatScreen(bob.environment, bob.conversation, source=source, sink=DummyOutput())
            running = asyncio.create_task(screen.run())
            source.send_text("/editor\r")
            async with asyncio.timeout(30):
                while not screen.text.startswith("from the"):  # noqa: ASYNC110 - the editor is another process
                    await asyncio.sleep(0.01)
            source.send_text("\r/quit\r")
            await running

    asyncio.run(run())
    assert [m.text for m in bob.service.history("alice", 1)] == ["from the\neditor"]


def test_leaving_the_editor_by_its_key_sends_nothing(
    talk: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = talk("alice")
    before = bob.service.history("alice")
    monkeypatch.setenv("EDITOR", "true")  # left without a change
    monkeypatch.delenv("VISUAL", raising=False)

    async def run() -> None:
        with create_pipe_input() as source:
            screen = ChatScreen(bob.environment, bob.conversation, source=source, sink=DummyOutput())
            running = asyncio.create_task(screen.run())
            source.send_text("a draft\x18\x05")
            async with asyncio.timeout(30):
                while not bob.editors:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            source.send_text("\x03\x03")
            await running

    def edit(text: str, *, encrypted: bool) -> str | None:
        bob.editors.append(text)
        return editor.edited(text, encrypted=encrypted)

    monkeypatch.setattr(screen_module, "edited", edit)
    asyncio.run(run())
    assert bob.service.history("alice") == before


def test_a_terminal_that_moves_no_cursor_gets_the_prompt_again_below_what_came(
    people: Terminal, talk: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    bob = talk("alice")
    hear(people, "alice", "before")
    written = FakeTerminal()
    monkeypatch.setattr(sys, "stdout", written)
    lines = PromptBelow(bob.environment)
    conversation = Conversation(bob.environment, bob.service, choose(bob.service, "alice"), lines.show)

    async def run() -> None:
        with create_pipe_input() as source, create_app_session(input=source, output=PlainTextOutput(written)):
            running = asyncio.create_task(ChatScreen(bob.environment, conversation, below=lines).run())
            source.send_text("half")
            async with asyncio.timeout(30):
                while "half" not in written.getvalue():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                with bob.service.database.transaction() as tx:
                    alice = bob.service.contact("alice").contact
                    number = insert_message(tx, alice.id, Direction.RECEIVED, "meanwhile", people.now(), None)
                    publish(tx, MessageAdded(number))
                while not written.getvalue().endswith("meanwhile\nalice> half"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            source.send_text(" a line\r\x04")
            await running

    asyncio.run(run())
    shown = written.getvalue().replace("\r", "").splitlines()
    at = shown.index("alice> half")
    assert shown[at - 1].endswith("alice: before")
    assert shown[at + 1].endswith("alice: meanwhile") and shown[at + 2] == "alice> half a line"


def test_who_leaves_is_told_what_is_not_sent_yet(people: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    environment = make_environment(people.home, "bob", now=people.now)
    with people.service("bob") as service:
        tell_pending(environment, service)
        assert capsys.readouterr().err == ""
        service.send("alice", "one")
        service.send("alice", "two")
        service.send("carol", "three")
        tell_pending(environment, service)
        assert capsys.readouterr().err.splitlines() == [
            "2 messages to alice are not sent yet: the next command that goes online sends them.",
            "1 message to carol is not sent yet: the next command that goes online sends it.",
        ]
        lock = online_lock(service.folder)
        assert lock.take()
        tell_pending(environment, service)
        lock.release()
        assert capsys.readouterr().err == "", "the process that is online sends them"


def test_why_a_text_as_large_as_the_screen_was_refused_can_be_seen(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")

    async def run() -> None:
        with create_pipe_input() as source:
            screen = ChatScreen(bob.environment, bob.conversation, source=source, sink=DummyOutput())
            running = asyncio.create_task(screen.run())
            source.send_text(f"\x1b[200~{'x' * 16_500}\x1b[201~\r")
            async with asyncio.timeout(30):
                while not screen._toolbar().startswith("! The text is "):  # noqa: ASYNC110 - what a key does is no event
                    await asyncio.sleep(0.01)
            assert len(screen.text) == 16_500
            source.send_text("\x15")
            async with asyncio.timeout(30):
                while screen._toolbar().startswith("!"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            source.send_text("\x03\x03")
            await running

    asyncio.run(run())


@pytest.mark.parametrize("line", ["\u200b\u200b", "@alice \u2800", "/reply 1 \u200d", "/edit 1 \u3164"])
def test_what_cannot_be_seen_is_not_sent(people: Terminal, talk: Callable[..., Talk], line: str) -> None:
    bob = talk("alice")
    bob.service.send("alice", "seen")
    before = [message.text for message in bob.service.history("alice")]
    assert any(said.startswith("! ") for said in bob.enter(line))
    assert [message.text for message in bob.service.history("alice")] == before
