"""``reply``, ``edit``, ``retract`` and ``react``: what they print, refuse and store; and that peer text is escaped."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import records
from smpchat.chat.store.records import Direction, MessageStatus, Quoted
from smpchat.chat.transactions import changes
from smpchat.chat.wire.message import REACTIONS
from smpchat.cli.app import app
from smpchat.home import Home
from smpchat.testing.loop import run_jumping
from tests.cli.terminal import Terminal
from tests.unit.chat.transactions.test_conversation import Two


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alice knows Bob; one message each way: 1 is hers, 2 is his."""
    folder = tmp_path_factory.mktemp("home")

    async def main() -> None:
        two = Two(folder / "profiles")
        async with two.connected():
            await two.said("hello")
            answer = two.bob.service.send("alice", "hi \x1b[2J")
            await two.alice.until(lambda service: len(service.history("bob")) == 2)
            await two.bob.until(lambda s: (m := s.message(answer.id)) is not None and m.status != "pending")
        await two.close()

    run_jumping(main)
    with opened(folder) as service, service.database.transaction() as tx:
        # `call` runs at the real time, and old messages cannot be deleted for others.
        tx.execute("UPDATE messages SET sent_at = ?", (time.time(),))
    return folder


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    """A home of this test's own."""
    import shutil

    return Path(shutil.copytree(home, tmp_path / "home"))


def call(home: Path, *arguments: str, text: str = "") -> Result:
    """A command of Alice's; nothing goes online with ``--wait none``."""
    return CliRunner().invoke(app, ["--home", str(home), "-p", "alice", *arguments], input=text)


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@contextmanager
def opened(home: Path) -> Iterator[ChatService]:
    service = Home(home).open("alice")
    yield service
    service.close()


def test_edit(copy: Path) -> None:
    result = call(copy, "--json", "edit", "1", "hello", "there", "--wait", "none")
    assert result.exit_code == 0
    [message] = objects(result)
    assert (message["type"], message["text"], message["edited"]) == ("message", "hello there", True)
    with opened(copy) as service:
        [line] = [m.text for m in service.history("bob") if m.id == 1]
        assert line == "hello there"
        assert [service.change(1), service.is_idle()] == [changes.SentChange(1, 1, MessageStatus.PENDING, None), False]


def test_edit_from_standard_input(copy: Path) -> None:
    result = call(copy, "edit", "1", "-", "--wait", "none", text="one\ntwo\n")
    assert result.stdout == "to bob: one\n    two\n  | (edited)  (delivered)\n"


def test_retract(copy: Path) -> None:
    result = call(copy, "--json", "retract", "1", "--wait", "none")
    [message] = objects(result)
    assert (message["text"], message["deleted"]) == ("", True)
    assert "[deleted]" in call(copy, "history", "bob").stdout


def test_several_are_retracted_or_none(copy: Path) -> None:
    with opened(copy) as service:
        second = service.send("bob", "second").id
    refused = call(copy, "--json", "retract", "1", "2", "--wait", "none")
    assert refused.exit_code == 1
    with opened(copy) as service:
        assert not any(message.deleted for message in service.history("bob"))
    result = call(copy, "--json", "retract", "1", str(second), "1", "--wait", "none")
    assert [(message["id"], message["deleted"]) for message in objects(result)] == [(1, True), (second, True)]
    assert call(copy, "retract", "--wait", "none").exit_code == 2


def test_forward(copy: Path) -> None:
    [message] = objects(call(copy, "--json", "forward", "2", "bob", "--wait", "none"))
    assert (message["contact"], message["text"], message["forwarded"]) == ("bob", "hi \x1b[2J", True)
    heading, said = call(copy, "history", "bob").stdout.splitlines()[-2:]
    assert heading.endswith("you * [forwarded]") and said == "             hi \\u{1b}[2J  (pending)"
    refused = call(copy, "--json", "forward", "2", "nobody")
    assert objects(refused)[0]["message"].startswith("There is no contact")


def test_react_and_remove(copy: Path) -> None:
    [message] = objects(call(copy, "--json", "react", "2", REACTIONS[0], "--wait", "none"))
    assert message["reactions"] == [{"emoji": REACTIONS[0], "direction": "sent"}]
    [message] = objects(call(copy, "--json", "react", "2", REACTIONS[0], "--remove", "--wait", "none"))
    assert "reactions" not in message


def test_reply(copy: Path) -> None:
    [message] = objects(call(copy, "--json", "reply", "1", "indeed", "--wait", "none"))
    assert (message["contact"], message["text"], message["status"]) == ("bob", "indeed", "pending")
    assert message["reply_to"] == {"id": 1, "direction": "sent", "text": "hello"}
    assert "you: hello" in call(copy, "history", "bob").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["edit", "2", "mine"], "Message 2 is not yours."),
        (["retract", "2"], "Message 2 is not yours."),
        (["retract", "99"], "There is no message 99."),
        (["reply", "99", "hello"], "There is no message 99."),
        (["edit", "1", ""], "The text is empty"),
        (["react", "1", "\U0001f4a9"], "SimpleX apps do not accept this reaction."),
        (["react", "1", REACTIONS[0], "--remove"], "Message 1 has no"),
    ],
)
def test_what_is_refused_says_why_and_stores_nothing(home: Path, arguments: list[str], sentence: str) -> None:
    result = call(home, "--json", *arguments)
    assert result.exit_code == 1
    [error] = objects(result)
    assert error["type"] == "error" and error["message"].startswith(sentence)
    assert result.stderr.startswith(sentence)
    with opened(home) as service:
        assert [m.text for m in service.history("bob")] == ["hello", "hi \x1b[2J"]
        assert service.change(1) is None


def test_text_of_a_contact_is_escaped_wherever_it_stands(copy: Path) -> None:
    with opened(copy) as service, service.database.transaction() as tx:
        bob = records.contact(tx, "bob")
        for quoted in (Quoted(2, Direction.RECEIVED, ""), Quoted(None, Direction.SENT, "\x1b[31mred\u202e\nyou: yes")):
            records.insert_message(tx, bob.id, Direction.RECEIVED, "a\x07\nb", 0, None, reply_to=quoted)
    result = call(copy, "history", "bob")
    assert result.exit_code == 0
    assert not any(c in result.stdout for c in "\x1b\x07\u202e")
    lines = result.stdout.splitlines()
    assert not any(line.startswith(("b", "you")) for line in lines)
    assert "yes" not in result.stdout


def test_a_contact_that_deleted_us_is_marked(copy: Path) -> None:
    with opened(copy) as service, service.database.transaction() as tx:
        records.mark_gone(tx, records.contact(tx, "bob").id)
    [contact] = objects(call(copy, "--json", "contacts"))
    assert contact["gone"] is True
    assert call(copy, "send", "bob", "hello").exit_code == 1


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 10**30])
@pytest.mark.parametrize("line", ["reply {} hi", "edit {} hi", "react {} 👍", "retract {}", "forward {} bob"])
def test_a_number_that_no_database_holds_is_that_of_no_message(copy: Path, line: str, number: int) -> None:
    result = call(copy, *line.format(number).split())
    assert result.exit_code == 1 and f"no message {number}" in result.stderr.lower(), result.stderr


def test_any_number_of_messages_may_be_asked_for(copy: Path) -> None:
    result = call(copy, "history", "bob", "-n", str(10**30))
    assert result.exit_code == 0 and "hello" in result.stdout


def test_after_78_hours_a_message_of_ours_is_not_deleted(smpchat: Terminal) -> None:
    """Apps keep a message whose deletion comes later; what still waits here can be deleted at any time."""
    smpchat.connected("alice", "bob")
    smpchat("-p", "alice", "send", "bob", "old")
    smpchat.relay.running = False
    smpchat("-p", "alice", "send", "bob", "waits", "--wait", "none")
    [old, waits] = [m["id"] for m in smpchat("-p", "alice", "--json", "history", "bob").objects("message")]
    smpchat.wait(78 * 3600 + 60)
    late = smpchat("-p", "alice", "retract", str(old), str(waits))
    assert late.code == 1 and "was sent more than 78 hours ago" in " ".join(late.stderr.split())
    assert smpchat("-p", "alice", "retract", str(waits), "--wait", "none").code == 0
    texts = [m["text"] for m in smpchat("-p", "alice", "--json", "history", "bob").objects("message")]
    assert texts == ["old", ""]
