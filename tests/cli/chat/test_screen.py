"""The terminal around a conversation: keys, history, editor, a terminal that moves no cursor."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Callable

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.plain_text import PlainTextOutput

from smpchat.chat.store.events import MessageAdded
from smpchat.chat.store.feed import publish
from smpchat.chat.store.lock import online_lock
from smpchat.chat.store.records import Direction, insert_message
from smpchat.cli.chat.below import PromptBelow
from smpchat.cli.chat.conversation import Conversation, choose
from smpchat.cli.chat.screen import Screen as ChatScreen
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


def test_the_input_history_survives_and_is_private(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    type_into(bob, "remember me\r\x04")
    path = bob.environment.profile_folder() / "input-history"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    type_into(bob, "\x1b[A\r\x04")
    assert [m.text for m in bob.service.history("alice", 2)] == ["remember me", "remember me"]


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
            source.send_text("/edit\r")
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

    opened = Buffer.open_in_editor

    def open_in_editor(buffer: Buffer, validate_and_handle: bool = False) -> asyncio.Task[None]:
        editing = opened(buffer, validate_and_handle)
        editing.add_done_callback(bob.editors.append)
        return editing

    monkeypatch.setattr(Buffer, "open_in_editor", open_in_editor)
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
            "2 messages to alice are not sent yet: they go with the next command that goes online.",
            "1 message to carol is not sent yet: it goes with the next command that goes online.",
        ]
        lock = online_lock(service.folder)
        assert lock.take()
        tell_pending(environment, service)
        lock.release()
        assert capsys.readouterr().err == "", "the process that is online sends them"
