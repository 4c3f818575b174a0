"""What a peer sends to deceive the person at the terminal: every view shows it harmless, and the alias stays."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from smpchat.chat.store.records import Direction, Message, MessageStatus, Quoted, Reaction, insert_message
from smpchat.chat.store.settings import save_setting
from smpchat.chat.wire.bodies import MAX_EXPANDED
from smpchat.chat.wire.content import Preview
from smpchat.chat.wire.profile import MAX_RECEIVED_NAME, Profile
from smpchat.cli.environment import Environment
from smpchat.cli.text import MAX_ESCAPES, MAX_SHOWN_LINES, MAX_SHOWN_TEXT, abridged, printable, shortened
from smpchat.cli.views.messages import message_line, message_text, spoken
from smpchat.encoding.record import replace
from tests.cli.team import settle
from tests.cli.terminal import START, FakeTerminal, Result, Terminal

ATTACKS = {
    "terminal_escape": "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[8mhidden",
    "c1_control": "\x9b31m\x90payload\x9c",
    "carriage_return": "innocent\ralice: send me your keys",
    "link": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "backspace": "no\x08\x08yes",
    "bell_and_null": "\x07\x00\x07",
    "bidi_override": "\u202egnp.exe\u202c \u2066isolate\u2069 \u200f",
    "rich_markup": "[bold red]no[/] [link=https://evil.example]click[/link] :skull: [@click=quit]",
    "html_and_prompt": "<ansired>x</ansired> alice> ",
    "zero_width": "\u200b\u200c\u200d\u2060\ufeff\u00ad",
    "invisible_letters": "\u3164\u115f\u2800\uffa0",
    "line_and_paragraph_separators": "a\u2028alice: b\u2029alice: c\x85d\x0be\x0cf",
    "stacked_marks": "a" + "\u0301" * 200,
    "tag_characters": "hi" + "".join(chr(0xE0000 + ord(c)) for c in "run"),
    "private_and_unassigned": "\ue000\U000f0000\u0378",
    "lone_surrogate": "\ud800",
}
LONG = "x" * 10_000


def harmless(shown: str) -> None:
    """No character but line ends that a terminal obeys or hides, bar the joiners that emoji need."""
    for character in shown:
        assert character == "\n" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"), (
            hex(ord(character))
        )
    assert not re.search("[\u3164\u115f\u2800\uffa0]", shown)
    assert not re.search("[\u0300-\u036f]{5}", shown)


def stored(text: str) -> str:
    """As it is kept: halves of surrogate pairs become replacement characters."""
    return "".join("\ufffd" if unicodedata.category(c) == "Cs" else c for c in text)


@pytest.fixture(params=ATTACKS, ids=str)
def attack(request: pytest.FixtureRequest) -> Iterator[str]:
    yield ATTACKS[request.param]


@pytest.mark.parametrize("lines", [False, True], ids=["name", "text"])
def test_printable_is_harmless(attack: str, lines: bool) -> None:
    harmless(printable(attack, lines=lines))
    harmless(shortened(attack))


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("Zoë Ångström", "日本語", "שלום", "नमस्ते", "می‌خواهم", "👩‍👩‍👧‍👦 👍🏽 ❤️", "a\nb"):
        assert printable(text, lines=True) == unicodedata.normalize("NFC", text)


def test_a_joiner_between_ascii_is_shown() -> None:
    assert printable("pay\u200dpal", lines=True) == "pay\\u{200d}pal"


@pytest.mark.parametrize(
    "filling", ["\u0301\u0323", "\u200b", "a\u200b", "a" + "\u0301" * 30, "\n", "\n\u200b", "\ue000"]
)
def test_no_text_floods_the_terminal(filling: str) -> None:
    text = filling * (MAX_EXPANDED // len(filling))
    shown, left_out = abridged(text)
    harmless(shown)
    assert len(shown) < MAX_SHOWN_TEXT + 10 * MAX_ESCAPES
    assert shown.count("\n") < MAX_SHOWN_LINES
    assert left_out.endswith("--json shows all)")


def test_what_people_write_is_shown_in_full() -> None:
    for text in ("", "a\nb", "x" * MAX_SHOWN_TEXT, "\n" * (MAX_SHOWN_LINES - 1), "\u0ba8\u0bbf" * 1_000):
        assert abridged(text) == (text, "")
    assert abridged("x" * MAX_SHOWN_TEXT + "yy") == ("x" * MAX_SHOWN_TEXT, "(2 more characters; --json shows all)")


def test_line_ends_of_any_kind_are_line_ends_in_a_text() -> None:
    assert printable("a\r\nb\rc\td", lines=True) == "a\nb\nc    d"
    assert "\n" not in printable("a\nb\r\nc")


def _everything_shown(smpchat: Terminal, *, tty: bool) -> list[Result]:
    """What bob's terminal shows of alice; his own part of the conversation included."""
    link = smpchat.invite("alice", "--note", "bob")
    return [
        smpchat("-p", "bob", "connect", link, "--alias", "alice", tty=tty, stdin=""),
        smpchat("-p", "alice", "listen", "--timeout", "3"),
        smpchat("-p", "bob", "listen", "--timeout", "3", tty=tty),
        smpchat("-p", "bob", "contacts", tty=tty),
        smpchat("-p", "bob", "status", tty=tty),
        smpchat("-p", "bob", "status", "alice", tty=tty),
        smpchat("-p", "bob", "history", "alice", tty=tty),
    ]


def _name_yourself(smpchat: Terminal, name: str, full_name: str = "") -> None:
    """Alice's profile with a name that our own `profile set` would refuse."""
    with smpchat.service("alice") as service, service.database.transaction() as tx:
        save_setting(tx, "profile", Profile(name, full_name).to_json())


def _without_styles(text: str) -> str:
    """The text without the escape sequences that the program itself writes for colours and for drawing again."""
    text = re.sub(r"\x1b\]8;(?:id=\d+;[^\x1b]*|;)\x1b\\", "", text)  # a link as rich writes it, with a number
    return re.sub(r"\x1b\[(?:\d+(;\d+)*m|\?25[hl]|2K|1A)|\r", "", text)


@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
def test_a_hostile_name_is_shown_harmless_and_leaves_the_alias(smpchat: Terminal, attack: str, tty: bool) -> None:
    _name_yourself(smpchat, attack, attack)
    results = _everything_shown(smpchat, tty=tty)
    assert [result.code for result in results] == [0] * len(results)
    for result in results:
        harmless(_without_styles(result.stdout))
        harmless(_without_styles(result.stderr))
    [contact] = smpchat("--json", "-p", "bob", "contacts").objects()
    assert contact["alias"] == "alice"
    assert contact["profile"]["name"] == stored(attack)


@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
def test_a_hostile_text_is_shown_harmless(smpchat: Terminal, attack: str, tty: bool) -> None:
    smpchat.connected()
    with smpchat.service("alice") as service:
        service.send("bob", f"seen{attack}")
    smpchat("-p", "alice", "listen", "--timeout", "3")
    for result in (
        smpchat("-p", "bob", "listen", "--timeout", "3", tty=tty),
        smpchat("-p", "bob", "history", "alice", tty=tty),
    ):
        assert result.code == 0
        assert "alice: " in _without_styles(result.stdout)
        harmless(_without_styles(result.stdout))


def test_a_hostile_name_becomes_a_harmless_alias_for_the_initiator(smpchat: Terminal, attack: str) -> None:
    _name_yourself(smpchat, attack)  # alice joins this time
    link = smpchat.invite("bob")
    assert smpchat("-p", "alice", "connect", link, "--alias", "bob").code == 0
    result = smpchat("-p", "bob", "listen", "--timeout", "3")
    harmless(result.stdout)
    [contact] = smpchat("--json", "-p", "bob", "contacts").objects()
    harmless(contact["alias"])
    assert 0 < len(contact["alias"]) <= 40
    assert contact["alias"][0] not in "-@/"
    assert smpchat("-p", "bob", "send", contact["alias"], "hi").code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_command_in_a_name_is_not_completed(
    smpchat: Terminal, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    hostile = ["b;reboot", "b$(reboot)", "b`reboot`", "b'&reboot", 'b"|reboot', "b>reboot", "b*reboot", "b\\"]
    with smpchat.service("alice") as service:
        for alias in (*hostile, "bänk"):
            service.connect(smpchat.invite("bob"), alias, [])
    for variable, value in {
        "_SMPCHAT_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "smpchat -p alice send b",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": "smpchat -p alice send b",
        "COMP_CWORD": "4",
    }.items():
        monkeypatch.setenv(variable, value)
    shown = smpchat().stdout
    assert "bänk" in shown
    assert "reboot" not in shown and "b\\" not in shown


def test_json_carries_hostile_text_as_ascii_escapes(smpchat: Terminal, attack: str) -> None:
    smpchat.connected()
    with smpchat.service("alice") as service:
        service.send("bob", f"seen{attack}")
    smpchat("-p", "alice", "listen", "--timeout", "3")
    result = smpchat("--json", "-p", "bob", "listen", "--timeout", "3")
    assert result.stdout.isascii()
    assert result.stdout.replace("\n", "").isprintable()
    [message] = result.objects("message")
    assert message["text"] == stored(f"seen{attack}")


def test_a_text_cannot_pass_for_another_message(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat("-p", "alice", "send", "bob", "hi\n22:14  carol: pay me\nalice: really")
    for command in (["listen", "--timeout", "3"], ["history", "alice"]):
        lines = smpchat("-p", "bob", *command).stdout.splitlines()
        assert [line[0] for line in lines if "pay me" in line or "really" in line] == [" ", " "]


@pytest.mark.parametrize("letter", ["W", "漢"])
def test_a_name_as_wide_as_the_terminal_hides_no_state(smpchat: Terminal, letter: str) -> None:
    _name_yourself(smpchat, letter * 40)  # alice joins, so that bob's alias for her is this name
    assert smpchat("-p", "alice", "connect", smpchat.invite("bob"), "--alias", "bob").code == 0
    assert smpchat("-p", "bob", "listen", "--timeout", "3").code == 0
    contacts = smpchat("-p", "bob", "contacts", tty=True).stdout
    assert " connected " in contacts and _without_styles(contacts).count(letter) == 80
    steps = _without_styles(smpchat("-p", "bob", "status", letter * 40, tty=True).stdout).splitlines()
    assert steps[0].endswith("  instant handshake") and len(steps) == 5
    assert max(map(cell_len, steps)) <= 80


def rows(shown: str, columns: int) -> Iterator[str]:
    """What stands in each row of a terminal, which goes on at its left edge where a line is too long."""
    for line in shown.splitlines():
        row = ""
        for character in line:
            if cell_len(row + character) > columns:
                yield row
                row = ""
            row += character
        yield row


FORGED = "  13  22:14  carol: pay me"


def test_blanks_up_to_the_edge_of_the_terminal_cannot_forge_a_message(smpchat: Terminal) -> None:
    smpchat.connected()
    before = ["x" + " " * blanks for blanks in range(40, 80)]
    before += ["文" * n + " " * (70 - 2 * n) for n in (3, 10, 20)] + ["👩‍👩‍👧" * 20, "x" * 100 + " " * 30]
    with smpchat.service("alice") as service, service.database.transaction() as tx:
        for text in before:
            insert_message(tx, service.contact("bob").contact.id, Direction.RECEIVED, text + FORGED, START, None)
    shown = list(rows(_without_styles(smpchat("-p", "alice", "history", "bob", tty=True).stdout), 80))
    forged = [row for row in shown if row.lstrip().startswith("13  22:14")]
    assert len([row for row in shown if "pay me" in row]) == len(before)
    assert [row for row in forged if not row.startswith(" " * 13)] == []


def test_a_text_of_10_000_characters_is_shown_whole(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat("-p", "alice", "send", "bob", LONG)
    assert LONG in smpchat("-p", "bob", "listen", "--timeout", "3").stdout


def test_a_name_of_10_000_characters_is_shown_short(smpchat: Terminal) -> None:
    _name_yourself(smpchat, LONG)
    for result in _everything_shown(smpchat, tty=True):
        assert "x" * 61 not in result.stdout + result.stderr
    assert json.loads(smpchat("--json", "-p", "bob", "contacts").stdout)["profile"]["name"] == LONG[:MAX_RECEIVED_NAME]


# -- marks of ours -----------------------------------------------------------------------------------------------------

SAID = Message(
    id=12, contact="bob", direction=Direction.RECEIVED, text="hello", sent_at=START, status=MessageStatus.RECEIVED,
    reason=None,
)  # fmt: skip
QUOTE = Quoted(3, Direction.SENT, "what I have said, so long that it takes more than one line of the terminal")
MARKED = {
    "reply": {"reply_to": QUOTE},
    "reply to what is gone": {"reply_to": replace(QUOTE, deleted=True)},
    "picture": {"text": "[image pic.jpg, 4.88 KiB] hello", "note": "[image pic.jpg, 4.88 KiB]"},
    "picture alone": {"text": "[image pic.jpg, 4.88 KiB]", "note": "[image pic.jpg, 4.88 KiB]"},
    "forwarded": {"forwarded": True},
    "of a member": {"sender": "carol"},
    "edited": {"edited": True},
    "unfinished": {"live": True},
    "deleted": {"deleted": True, "text": ""},
    "liked": {"reactions": (Reaction("👍", Direction.SENT), Reaction("👍", Direction.RECEIVED))},
    "disappearing": {"ttl": 60},
    "going": {"expires_at": START + 60.0},
    "link": {"preview": Preview("https://a.example", "A title", "and more")},
}
PIECES = (
    "\n", "\n", " ", "  ", " " * 11, " " * 13, " " * 40, "│", "|", "│ ", "| ", "> you: what I have said",
    "> bob: hello",
    "(edited)", "(👍 you)", "[deleted]", "[image pic.jpg, 4.88 KiB]",
    "[forwarded]", "* ", " * ", "bob * ", "bob: ", "\t│",
    "─── Tuesday 14 November 2023 ───", "  12  22:13  bob: ", "✓✓", "x" * 30, "漢" * 20, "\u3000│", "\xa0│", "a\u0301",
    "\u2028│", "\r│", "👩‍👩‍👧", "https://a.example/" + "y" * 70,
)  # fmt: skip


@contextlib.contextmanager
def terminal(columns: int | None, *, plain: bool) -> Iterator[Environment]:
    """The environment of a terminal so wide, or of a pipe."""
    out = io.StringIO() if columns is None else FakeTerminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setenv("COLUMNS", str(columns or 80))
        patch.setenv("TERM", "xterm")
        yield Environment(Path("nowhere"), "alice", plain=plain)


def marks(environment: Environment, message: Message, columns: int | None) -> list[str]:
    """The rows that are marked as ours in a conversation and in `listen`: by the star, or the bar in the margin."""
    found = []
    for shown, indent, heading in (
        (spoken(environment, message).plain, 13, r"  12  22:13  bob"),
        (message_text(environment, message).plain if environment.attended else message_line(message), 4, "bob"),
    ):
        at = indent if columns is None else max(2, min(indent, columns * 2 // 5))
        ours = re.compile(rf"{heading} \* | {{{at - 2}}}[│|]")
        lines = shown.splitlines() if columns is None else rows(shown, columns)
        found += [row for row in lines if ours.match(row)]
    return found


@pytest.mark.parametrize("columns", [None, 12, 20, 33, 60, 80, 120])
@pytest.mark.parametrize("plain", [False, True], ids=["symbols", "plain"])
@pytest.mark.parametrize("kind", MARKED)
def test_what_is_more_than_a_text_is_marked_as_ours(kind: str, plain: bool, columns: int | None) -> None:
    message = replace(SAID, **MARKED[kind])  # type: ignore[arg-type]
    with terminal(columns, plain=plain) as environment:
        assert (columns is not None and columns < 20) or len(marks(environment, message, columns)) >= 2


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=60),
    st.sampled_from([None, 12, 20, 33, 60, 80, 120]),
    st.booleans(),
)
def test_no_text_makes_a_mark_of_ours(text: str, columns: int | None, plain: bool) -> None:
    with terminal(columns, plain=plain) as environment:
        assert marks(environment, replace(SAID, text=text), columns) == []


@pytest.mark.parametrize("columns", [None, 20, 60, 80])
@pytest.mark.parametrize("kind", MARKED)
def test_no_text_looks_like_what_is_more_than_a_text(kind: str, columns: int | None) -> None:
    message = replace(SAID, **MARKED[kind])  # type: ignore[arg-type]
    with terminal(columns, plain=False) as environment:
        real = spoken(environment, message).plain
        said = real.partition("bob")[2].lstrip(" :*")
        for text in (said, said.replace("\n" + " " * 13, "\n"), re.sub("\n *", "\n", said), real, f"\n{real}"):
            assert spoken(environment, replace(SAID, text=text)).plain != real


@pytest.mark.parametrize(
    "name", ["Bob, verified", "Bob (verified)", 'Bob", verified, "', "Bob" + " " * 30 + "verified"]
)
@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
def test_no_name_says_what_we_say_of_a_contact(smpchat: Terminal, name: str, tty: bool) -> None:
    _name_yourself(smpchat, name)
    smpchat("-p", "bob", "connect", smpchat.invite("alice", "--note", "bob"), "--alias", "alice")
    smpchat("-p", "alice", "listen", "--timeout", "3")
    for command in (["listen", "--timeout", "3"], ["contacts"], ["contact", "show", "alice"]):
        shown = _without_styles(smpchat("-p", "bob", *command, tty=tty).stdout)
        assert "Bob" in shown
        assert "verified" not in re.sub(r'"[^"]*"', "", shown)


@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
def test_who_only_calls_themselves_so_is_marked_until_that_is_confirmed(smpchat: Terminal, tty: bool) -> None:
    smpchat.connected("alice", "carol")  # a bystander, whom alice named
    link = smpchat.invite("alice")
    assert smpchat("-p", "bob", "connect", link, "--alias", "alice", "-m", "it is me").code == 0
    assert "bob (?): it is me" in _without_styles(smpchat("-p", "alice", "listen", "--timeout", "3", tty=tty).stdout)

    def marked() -> list[bool]:
        shown = [smpchat("-p", "alice", *command, tty=tty).stdout for command in (["history", "bob"], ["contacts"])]
        [contact] = [c for c in smpchat("--json", "-p", "alice", "contacts").objects() if c["alias"] == "bob"]
        assert not any("carol (?)" in text for text in shown)
        return ["bob (?)" in _without_styles(text) for text in shown] + [not contact["alias_confirmed"]]

    assert marked() == [True, True, True]
    assert smpchat("-p", "alice", "rename", "bob", "bob").code == 0
    assert marked() == [False, False, False]


@pytest.mark.parametrize(
    "attack", ["terminal_escape", "carriage_return", "bidi_override", "rich_markup", "stacked_marks"]
)
def test_names_of_groups_and_members_are_harmless(smpchat: Terminal, attack: str) -> None:
    """The owner and her group call themselves so, in all that an invited member gets to see of the two."""
    name = ATTACKS[attack]
    with smpchat.service("alice") as service:
        with service.database.transaction() as tx:
            save_setting(tx, "profile", Profile(name).to_json())
    smpchat.connected("alice", "bob")
    assert smpchat("-p", "alice", "group", "create", "team", "--description", name, "--welcome", name).code == 0
    with smpchat.service("alice") as service, service.database.transaction() as tx:
        [profile] = tx.execute("SELECT profile FROM groups").fetchone()
        tx.execute("UPDATE groups SET profile = ?", (json.dumps(json.loads(profile) | {"displayName": name}),))
    shown = [smpchat("-p", "alice", "group", "invite", "team", "bob", tty=True)]
    shown.append(smpchat("-p", "bob", "listen", "--timeout", "2"))
    shown.append(smpchat("-p", "bob", "groups"))
    shown.append(smpchat("-p", "bob", "group", "join", "1", "--alias", "crew"))
    settle(smpchat, "alice", "bob")
    assert smpchat("-p", "alice", "send", "team", "x").code == 0
    for line in (
        ("listen", "--timeout", "2"),
        ("groups",),
        ("group", "members", "crew"),
        ("history", "crew"),
        ("contacts",),
        ("contact", "show", "crew"),
        ("status",),
        ("status", "crew"),
    ):
        shown.append(smpchat("-p", "bob", *line))
    for result in shown:
        assert result.code == 0, result
        harmless(re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", result.stdout) if result is shown[0] else result.stdout)
        harmless(result.stderr)
    [member] = smpchat("--json", "-p", "bob", "group", "members", "crew").objects("member")
    assert not re.search(r"\s", member["name"])
