"""``search`` and ``history``: what is found, by words and times, in one conversation or all, and page by page."""

from __future__ import annotations

import shlex

import pytest

from smpchat.chat.store import notices, records
from smpchat.chat.store.records import Direction
from smpchat.cli.times import moment
from tests.cli.terminal import START, Result, Terminal

DAY = 86_400
# Sunday 12, Monday 13 and Tuesday 14 November 2023; now is Tuesday, 22:13:20
SAID = (
    ("bob", Direction.RECEIVED, "Lunch at the Café?", START - 2 * DAY),
    ("bob", Direction.SENT, "what's for lunch", START - DAY),
    ("carol", Direction.RECEIVED, "no lunch for `me`", START - DAY + 60),
    ("carol", Direction.SENT, 'LUNCH "tomorrow"', START - 3600),
    ("carol", Direction.RECEIVED, "午餐 -x", START - 60),
)


@pytest.fixture
def alice(smpchat: Terminal) -> Terminal:
    """She writes with bob and carol."""
    with smpchat.service("default") as service:
        for alias in ("bob", "carol"):
            connection = service.invite()
            with service.database.transaction() as tx:
                records.insert_contact(tx, connection, alias)
        for alias, direction, text, at in SAID:
            with service.database.transaction() as tx:
                records.insert_message(tx, records.contact(tx, alias).id, direction, text, at, None)
    return smpchat


def numbers(result: Result) -> list[int]:
    assert result.code == 0, result
    return [message["id"] for message in result.objects("message")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("search lunch", [1, 2, 3, 4]),
        ("search cafe lunch", [1]),
        ("search lunch --who carol", [3, 4]),
        ("search lunch --who @BOB", [1, 2]),
        ("search lunch --since yesterday", [2, 3, 4]),
        ("search lunch --until yesterday", [1, 2, 3]),
        ("search lunch --since yesterday --until yesterday", [2, 3]),
        ("search lunch --since 2023-11-13 --until '2023-11-13 22:13'", [2]),
        ("search lunch --since 2h", [4]),
        ("search lunch --until 25h", [1]),
        ("search 餐", [5]),
        ("search '\"tomorrow\"'", [4]),
        ("search -- -x", [5]),
        ("search 'NOT ('", []),
        ("search lunch --before 3", [1, 2]),
        ("history", [1, 2, 3, 4, 5]),
        ("history bob", [1, 2]),
        ("history -n 2", [4, 5]),
        ("history --since today", [4, 5]),
        ("history carol --search lunch", [3, 4]),
        ("history --search=-x", [5]),
        ("history carol --before 4", [3]),
        ("history --until 2023-11-12", [1]),
    ],
)
def test_what_is_found(alice: Terminal, line: str, expected: list[int]) -> None:
    result = alice("--json", *shlex.split(line))
    assert numbers(result) == expected and result.stderr == ""


@pytest.mark.parametrize(
    "line",
    [
        "search lunch -n 1",
        "search `me` -n 1",
        "history -n 1",
        "history carol -n 1",
        "history carol --search lunch -n 1 --since 2d",
        "search lunch --who bob -n 1 --until today",
        "search -n 1 -- -x",
    ],
)
def test_the_command_for_the_page_before_runs_as_printed(alice: Terminal, line: str) -> None:
    everything = numbers(alice("--json", *shlex.split(line.replace("-n 1", "-n 99"))))
    pages: list[int] = []
    words = shlex.split(line)
    while True:
        pages[:0] = numbers(alice("--json", *words))
        shown = alice(*words, tty=True)
        assert shown.code == 0
        if not shown.stderr:
            break
        hint = "".join(shown.stderr.splitlines(keepends=True)).replace("\n", " ").strip()
        assert hint.startswith("For earlier messages: `smpchat ") and hint.endswith("`")
        words = shlex.split(hint.removeprefix("For earlier messages: `smpchat ")[:-1])
    assert pages == everything and everything


def test_a_script_that_does_not_say_how_many_is_told_of_more(alice: Terminal) -> None:
    with alice.service("default") as service, service.database.transaction() as tx:
        for _ in range(50):
            records.insert_message(tx, 1, Direction.RECEIVED, "lunch", START, None)
    for command, named in (("search lunch", "search lunch"), ("history bob", "history bob"), ("history", "history")):
        result = alice("--json", *command.split())
        assert len(numbers(result)) == 50
        assert result.stderr == f"For earlier messages: `smpchat {named} --before 6`\n"
        assert alice("--json", *command.split(), "-n", "50").stderr == ""
        assert alice("-q", *command.split()).stderr == ""


def test_lines_of_several_conversations_name_both_ways(alice: Terminal) -> None:
    plain = alice("history", "-n", "4").stdout.splitlines()
    assert plain == [
        "--- Monday 13 November 2023 ---",
        "   2  22:13  to bob: what's for lunch  (pending)",
        "   3  22:14  carol: no lunch for `me`",
        "--- Tuesday 14 November 2023 ---",
        '   4  21:13  to carol: LUNCH "tomorrow"  (pending)',
        "   5  22:12  carol: 午餐 -x",
    ]
    on_terminal = alice("search", "lunch", "--no-color", tty=True).stdout
    assert "to carol\x1b[0m: LUNCH" in on_terminal and "bob\x1b[0m: Lunch at the Café?" in on_terminal
    assert "you: " in alice("search", "lunch", "--who", "bob").stdout


def test_what_happened_is_told_in_its_time(alice: Terminal) -> None:
    with alice.service("default") as service, service.database.transaction() as tx:
        notices.add(tx, 1, "new-device", "{alias} moved.", START - DAY + 30)
    lines = {"history bob": 1, "history bob --since today": 0, "history bob --until 2023-11-12": 0, "history": 0}
    for line, count in lines.items():
        assert alice(*line.split()).stdout.count("bob moved.") == count, line
    assert "bob moved." not in alice("history", "bob", "--before", "2").stdout


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("search zebra", "No message contains 'zebra'."),
        ("search zebra --since 2h", "No message in that time contains 'zebra'."),
        ("search lunch --before 1", "No message before that contains 'lunch'."),
        ("history bob --since 1m", "No messages in that time."),
        ("history --before 1", "No messages before that."),
    ],
)
def test_nothing_is_said_on_a_terminal(alice: Terminal, line: str, sentence: str) -> None:
    result = alice(*line.split(), tty=True)
    assert (result.code, result.stdout, result.stderr) == (0, "", f"{sentence}\n")
    assert alice(*line.split()).stderr == ""


@pytest.mark.parametrize(
    ("line", "status", "sentence"),
    [
        ("search ' '", 1, "The text to search for is missing."),
        ("search", 2, "Missing argument 'TEXT...'."),
        ("search x --who zoe", 1, "There is no contact 'zoe'."),
        ("search x --since noon", 1, "'noon' is not a time."),
        ("history --until 2023-13-01", 1, "'2023-13-01' is not a time."),
        ("search x --before 0", 2, "Invalid value for '--before': 0 is not 1 or more."),
    ],
)
def test_mistakes_are_explained(alice: Terminal, line: str, status: int, sentence: str) -> None:
    result = alice(*shlex.split(line))
    assert (result.code, result.stderr.splitlines()[0]) == (status, sentence)


def test_a_profile_that_was_never_used(smpchat: Terminal) -> None:
    assert smpchat("search", "x") == Result(("search", "x"), "", "", 0)
    assert smpchat("history") == Result(("history",), "", "", 0)
    assert "invite" in smpchat("history", tty=True).stderr


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2023-11-14", 1_699_920_000, DAY),
        ("today", 1_699_920_000, DAY),
        ("Yesterday", 1_699_920_000 - DAY, DAY),
        ("2023-11-14 09:14", 1_699_953_240, 60),
        ("2023-11-14T9:14", 1_699_953_240, 60),
        ("9:14", 1_699_953_240, 60),
        ("2023-11-14T09:14:00Z", 1_699_953_240, 1),
        ("2023-11-14T09:14:00.500Z", 1_699_953_240, 1),
        ("30m", START - 1800, 0),
        ("1W", START - 7 * DAY, 0),
        ("1970-01-02", DAY, DAY),
    ],
)
def test_a_moment(text: str, begin: float, end: float) -> None:
    assert moment(text, START) == begin
    assert moment(text, START, end=True) == begin + end
