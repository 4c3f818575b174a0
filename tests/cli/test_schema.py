"""The table of JSON objects: its page is current, and it finds what is wrong with an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smpchat.cli.schema import TYPES, markdown, problems

MESSAGE = {
    "v": 1,
    "type": "message",
    "contact": "bob",
    "contact_id": 1,
    "direction": "received",
    "id": 1,
    "text": "hello",
    "sent_at": "2025-01-31T09:14:00.25Z",
    "status": "received",
    "content": "text",
}
ERROR = {"v": 1, "type": "error", "code": 1, "message": "No.", "hint": ""}


def test_the_page_in_the_documentation_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "json.md"
    assert page.read_text() == markdown(), "print it again: python -m smpchat.cli.schema >docs/json.md"


def test_names_of_types_and_fields_are_unique() -> None:
    assert len({kind.name for kind in TYPES}) == len(TYPES)
    for kind in TYPES:
        names = [field.name for field in kind.fields]
        assert len(set(names)) == len(names), kind.name


@pytest.mark.parametrize(
    "value",
    [
        MESSAGE,
        ERROR,
        MESSAGE | {"reply_to": {"id": None, "direction": "sent", "text": "", "deleted": True}, "edited": True},
        MESSAGE | {"reactions": [{"emoji": "👍", "direction": "sent"}]},
        MESSAGE | {"content": "hologram", "forwarded": True, "live": True, "sender": "carol"},
        MESSAGE | {"content": "link", "preview": {"uri": "https://a.example", "title": "", "description": ""}},
    ],
)
def test_what_fits_has_no_problems(value: dict[str, Any]) -> None:
    assert problems(value) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"v": 2}, "v is 2"),
        ({"type": "letter"}, "unknown type 'letter'"),
        ({"colour": "red"}, "message.colour: unknown"),
        ({"id": "1"}, "message.id: '1' is not: number"),
        ({"id": True}, "message.id: True is not: number"),
        ({"text": None}, "message.text: null"),
        ({"status": "read"}, "message.status: 'read' is not: text"),
        ({"sent_at": "yesterday"}, "message.sent_at: 'yesterday' is not: time"),
        ({"edited": "yes"}, "message.edited: 'yes' is not: true or false"),
        ({"reply_to": "bob"}, "message.reply_to: not an object"),
        ({"reply_to": {"id": 1, "text": "x"}}, "message.reply_to.direction: missing"),
        ({"reactions": {}}, "message.reactions: not a list"),
        ({"reactions": [{"emoji": "x", "direction": "up"}]}, "message.reactions.direction: 'up' is not: text"),
    ],
)
def test_what_does_not_fit_is_found(change: dict[str, Any], problem: str) -> None:
    assert problems(MESSAGE | change) == [problem]


@pytest.mark.parametrize("refused", [["AUTH"], {"AUTH": "1"}, {"AUTH": True}, 1])
def test_counts_are_numbers_by_name(refused: object) -> None:
    found = problems({"v": 1, "type": "stats", "refused": refused})
    assert f"stats.refused: {refused!r} is not: object of numbers" in found
    assert not any("stats.refused" in one for one in problems({"v": 1, "type": "stats", "refused": {"AUTH": 1}}))


@pytest.mark.parametrize(("causes", "wrong"), [([], False), (["a"], False), ("a", True), ([1], True)])
def test_a_list_of_texts_holds_texts(causes: object, wrong: bool) -> None:
    found = problems({"v": 1, "type": "explanation", "causes": causes})
    assert (f"explanation.causes: {causes!r} is not: list of texts" in found) is wrong


@pytest.mark.parametrize("name", [name for name in MESSAGE if name not in ("v", "type")])
def test_a_missing_field_is_found(name: str) -> None:
    assert problems({key: value for key, value in MESSAGE.items() if key != name}) == [f"message.{name}: missing"]


@pytest.mark.parametrize("value", [None, [], "message", {}, {"v": 1}])
def test_what_is_no_object_of_ours_is_found(value: object) -> None:
    assert len(problems(value)) == 1
