"""`explain`: every exit code and state has its words, and what they tell to type exists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.chat.machines.group_states import Link, Standing
from smpchat.chat.store.records import MessageStatus
from smpchat.chat.wire.group_values import Role
from smpchat.cli.app import program
from smpchat.cli.command_line import loaded
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.explanations import find, topics
from smpchat.cli.schema import problems
from smpchat.cli.text import sentence
from smpchat.cli.topic import Kind, Topic
from smpchat.cli.views import groups
from smpchat.cli.views.messages import TICKS
from tests.cli.terminal import Terminal

TOPICS = list(topics())
README = Path(__file__).parents[3] / "README.md"


def names(kind: Kind) -> list[str]:
    return [topic.name for topic in TOPICS if topic.kind is kind]


def test_everything_that_a_person_meets_is_explained() -> None:
    assert names(Kind.EXIT) == [status.name.lower() for status in ExitStatus]
    assert sorted(names(Kind.CONNECTION)) == sorted(ConnectionState)
    assert sorted(names(Kind.MESSAGE)) == sorted(MessageStatus)
    assert {topic.name: topic.mark for topic in TOPICS if topic.mark} == dict(TICKS)


def test_every_word_about_groups_and_members_is_explained() -> None:
    """Those of JSON, and those that `groups` and `group members` print for people."""
    states = {*Standing, *groups._STANDINGS.values(), *groups._NOT_IN.values(), *(role.word for role in Role)}
    for word in states:
        assert [topic.name for topic in find(word) if topic.kind is Kind.GROUP], word
    for word in {*Link, *groups._LINKS.values()}:
        assert [topic.name for topic in find(word) if topic.kind is Kind.MEMBER], word


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: f"{topic.kind}-{topic.name}")
def test_it_says_whose_move_is_next(topic: Topic) -> None:
    assert topic.moves
    sentences = [topic.happened, *(what for _, what in topic.moves), *topic.causes]
    assert all(sentence(text) == text for text in sentences)
    assert sentence(topic.meaning) != topic.meaning


def _words_to_type(topic: Topic) -> Iterator[str]:
    yield from (command for command, _ in topic.commands)
    for text in (topic.happened, *(what for _, what in topic.moves), *topic.causes):
        yield from (quoted for quoted in re.findall("`([^`]+)`", text) if quoted.startswith("smpchat "))


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: f"{topic.kind}-{topic.name}")
def test_what_it_tells_to_type_exists(topic: Topic) -> None:
    for typed in _words_to_type(topic):
        command: Any = program()
        known = {name for parameter in command.params for name in parameter.opts}
        for word in typed.split()[1:]:
            if word.startswith("-") and word != "--":
                assert word in known or word == "--help" or "COMMAND" in typed, typed
            elif word.islower() and hasattr(command, "commands"):
                assert word in command.commands, typed
                command = loaded(command.commands[word])
                known |= {name for parameter in command.params for name in parameter.opts}


def test_the_readme_and_the_manual_have_the_same_words(smpchat: Terminal) -> None:
    readme = " ".join(README.read_text().split())
    assert " · ".join(f"{status.value} {status.title}" for status in ExitStatus) in readme
    manual = smpchat("man").stdout
    for status in ExitStatus:
        assert f".TP\n{status.value}\n{sentence(status.meaning)}".replace("-", "\\-") in manual


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("4", [(Kind.EXIT, "refused")]),
        ("Refused", [(Kind.EXIT, "refused")]),
        (" 130 ", [(Kind.EXIT, "interrupted")]),
        ("failed", [(Kind.CONNECTION, "failed"), (Kind.MESSAGE, "failed")]),
        ("✓✓", [(Kind.MESSAGE, "delivered")]),
        ("nothing", []),
        ("Waiting to be let in", [(Kind.GROUP, "pending")]),
        ("joining", [(Kind.CONNECTION, "joining"), (Kind.GROUP, "joining"), (Kind.MEMBER, "making")]),
        ("", []),
        ("8", []),
    ],
)
def test_what_is_found(asked: str, found: list[tuple[Kind, str]]) -> None:
    assert [(topic.kind, topic.name) for topic in find(asked)] == found


def test_the_screens(smpchat: Terminal, screen: Callable[[str, str], None]) -> None:
    asked = ("", "3", "ready", "failed", "waiting to be let in", "nonsense")
    said = [smpchat("explain", *words.split()) for words in asked]
    assert [result.code for result in said] == [0, 0, 0, 0, 0, 1]
    assert all(len(line) <= 80 for result in said for line in result.stdout.splitlines())
    assert not list(smpchat.home.iterdir())
    screen("explain", "\n".join(result.transcript() for result in said))


def test_objects(smpchat: Terminal) -> None:
    found = smpchat("explain", "--json").objects()
    assert [(value["kind"], value["name"]) for value in found] == [(topic.kind, topic.name) for topic in TOPICS]
    assert [problem for value in found for problem in problems(value)] == []
    [error] = smpchat("explain", "x", "--json").objects()
    assert smpchat("explain", str(error["code"]), "--json").objects()[0]["name"] == "input"


def test_the_shell_completes_states(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SMPCHAT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "smpchat explain re")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert smpchat().stdout.split() == ["ready", "received", "refused", "removed"]
