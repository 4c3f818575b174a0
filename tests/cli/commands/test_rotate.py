"""``rotate``, ``/switch``, and how a move is shown: to people, in JSON, and as lines of the conversation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from smpchat.agent.machines import moving
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import moves
from smpchat.agent.store.moves import Move
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import events, notices
from smpchat.chat.store.feed import publish
from smpchat.chat.store.records import Direction, contact, insert_message
from smpchat.cli.app import app
from smpchat.cli.schema import problems
from smpchat.home import Home
from smpchat.protocol.address import parse_server
from tests.cli.chat.talk import Talk
from tests.cli.commands.test_changes import home as home
from tests.cli.terminal import Terminal

NEW = parse_server("smp://" + "A" * 43 + "=@new.test")
STEPS = {
    moving.Creating: "creating the new queue",
    moving.Asked: "waiting for bob's app",
    moving.Securing: "securing the new queue",
    moving.Using: "waiting for bob's first message there",
}


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    """A home of this test's own."""
    import shutil

    return Path(shutil.copytree(home, tmp_path / "home"))


def call(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["--home", str(folder), "-p", "alice", *arguments])


def objects(result: Result) -> list[dict[str, object]]:
    found = [json.loads(line) for line in result.stdout.splitlines()]
    for one in found:
        assert not problems(one)
    return found


def opened(folder: Path) -> ChatService:
    return Home(folder).open("alice")


def put(folder: Path, state: moving.State) -> None:
    service = opened(folder)
    with service.database.transaction() as tx:
        number = contact(tx, "bob").connection_id
        moves.save(tx, number, Move(state, service.now(), NEW))
    service.close()


def tell(folder: Path, sentence: str, at: float) -> None:
    service = opened(folder)
    with service.database.transaction() as tx:
        bob = contact(tx, "bob")
        number = notices.add(tx, bob.id, NoticeKind.MOVED, sentence, at)
        publish(tx, events.Notice("bob", notices.addressed(sentence, "bob"), number))
    service.close()


@pytest.mark.parametrize("step", STEPS)
def test_a_move_is_shown_wherever_contacts_are(copy: Path, step: type[moving.State]) -> None:
    put(copy, step())
    name = step.__name__.lower()
    sentence = f"Moving your queue for bob to the relay new.test: {STEPS[step]} since "
    for command in (["status"], ["status", "bob"]):
        result = call(copy, *command)
        assert sentence in " ".join(result.stderr.split()), result.stderr
        [state] = [one for one in objects(call(copy, "--json", *command)) if one["type"] == "state"]
        assert state["move"]["step"] == name and state["move"]["relay"] == "new.test"  # type: ignore[index]
    assert "moving to new.test" in " ".join(call(copy, "contacts").stdout.split())
    [listed] = objects(call(copy, "--json", "contacts"))
    assert listed["move"]["step"] == name  # type: ignore[index]


def test_what_cannot_be_moved_says_why(copy: Path) -> None:
    nobody = call(copy, "rotate", "nobody")
    assert nobody.exit_code == 1
    nonsense = call(copy, "rotate", "bob", "--server", "nonsense")
    assert nonsense.exit_code == 1 and "not the address of a relay" in nonsense.stderr
    none = call(copy, "rotate", "bob", "--cancel")
    assert none.exit_code == 1 and "No move to another relay is in progress for bob." in none.stderr
    put(copy, moving.Using())
    late = call(copy, "--json", "rotate", "bob")
    assert late.exit_code == 1 and "may already send to" in str(objects(late)[-1]["message"])


def test_lines_of_the_conversation_are_shown_once_and_stay_in_the_history(copy: Path) -> None:
    service = opened(copy)
    last = service.history("bob")[-1].sent_at
    service.close()
    tell(copy, "{alias} now receives at the relay new.test.", last + 60)
    heard = call(copy, "--json", "listen", "--timeout", "0")
    [notice] = [one for one in objects(heard) if one["type"] == "notice"]
    assert (notice["contact"], notice["kind"]) == ("bob", "moved")
    assert notice["text"] == "bob now receives at the relay new.test."
    assert "now receives" not in call(copy, "listen", "--timeout", "0").output, "once"
    found = objects(call(copy, "--json", "history", "bob"))
    assert [one["type"] for one in found] == ["message", "message", "notice"]
    assert call(copy, "history", "bob").stdout.splitlines()[-1].endswith("  * bob now receives at the relay new.test.")
    assert call(copy, "rename", "bob", "rob").exit_code == 0
    assert objects(call(copy, "--json", "history", "rob"))[-1]["text"] == "rob now receives at the relay new.test."
    assert "receives" not in call(copy, "history", "rob", "--search", "receives").stdout


def test_in_a_conversation(smpchat: Terminal, copy: Path) -> None:
    service = opened(copy)
    talk = Talk(smpchat, service, "bob")
    talk.news()
    assert any("not the address of a relay" in line or "fingerprint" in line for line in talk.enter("/switch smp://x"))
    [moved] = talk.enter(f"/switch {'smp://' + 'A' * 43 + '='}@new.test")
    assert moved.startswith("Moving your queue for bob to the relay new.test: creating the new queue")
    [stays] = talk.enter("/switch cancel")
    assert stays == "The move is cancelled. You still receive from bob at the old relay."
    with service.database.transaction() as tx:
        bob = contact(tx, "bob")
        number = notices.add(tx, bob.id, NoticeKind.MOVED, "{alias} now receives at new.test.", service.now())
        publish(tx, events.Notice("bob", "bob now receives at new.test.", number))
        insert_message(tx, bob.id, Direction.RECEIVED, "later", service.now() + 60, None)
    talk.arrivals.follow()
    assert any("* bob now receives at new.test." in line for line in talk.news())
    assert service.unshown_notices() == []
    talk.conversation.begin()
    shown = " | ".join(talk.news())
    assert shown.index("now receives") < shown.index("later"), "in its place"
    service.close()
