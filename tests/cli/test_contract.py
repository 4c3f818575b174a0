"""The rules of the command line that scripts rely on: exit codes, streams, JSON objects, aliases, links."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from typing import Any

import pytest

from smpchat.cli.logs import TRACE
from tests.cli.terminal import Terminal

COMMANDS = (
    "invite", "connect", "chat", "send", "reply", "forward", "edit", "retract", "react", "listen", "history", "search",
    "receive", "files", "cancel", "view",
    "contacts", "status", "rename", "mute", "verify", "resync", "rotate", "delete", "requests", "accept", "reject",
    "address create", "address show", "address delete",
    "demo", "doctor", "explain", "man", "profile show", "profile set", "profile list", "profile switch",
    "profile delete",
    "export", "import", "key set", "key change", "key remove", "key test", "server list", "server add",
    "config list", "config get", "config set", "config unset", "config path",
    "server remove", "server use", "relay run", "relay start", "relay stop", "relay status",
    "relay stats", "relay rotate-certificate", "relay backup", "relay restore",
)  # fmt: skip


# -- help and usage ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_an_example(smpchat: Terminal, command: str) -> None:
    result = smpchat(*command.split(), "--help")
    assert result.code == 0
    assert f"Example: smpchat {command}".rstrip() in " ".join(result.stdout.split()).replace("--json ", "")


@pytest.mark.parametrize("command", ["", "address", "profile", "server", "relay", *COMMANDS])
def test_help_is_whole_sentences_that_fit_the_terminal(smpchat: Terminal, command: str) -> None:
    shown = smpchat(*command.split(), "--help").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert not re.search(r"[a-z]\.\.\.$|range>|<str>|<path>|{|x>=", shown, re.MULTILINE)
    assert "\n  Example: smpchat " in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("listen --timeout soon", "Invalid value for '--timeout': 'soon' is not a number of seconds."),
        ("listen --timeout nan", "Invalid value for '--timeout': nan is not 0 or more."),
        ("listen --count 0", "Invalid value for '--count': 0 is not 1 or more."),
        ("history bob -n 1.5", "Invalid value for '-n': '1.5' is not a whole number."),
        ("server test --ws-port 65536", "Invalid value for '--ws-port': 65536 is not from 1 to 65535."),
    ],
)
def test_a_number_that_cannot_be_one_is_explained(smpchat: Terminal, arguments: str, sentence: str) -> None:
    assert smpchat(*arguments.split()).stderr.splitlines()[0] == sentence


def test_help_groups_the_commands(smpchat: Terminal) -> None:
    headings = [line for line in smpchat("--help").stdout.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == ["Connect:", "Talk:", "People:", "Settings and relays:", "Look inside:", "Options:"]


def test_no_command_shows_the_help(smpchat: Terminal) -> None:
    result = smpchat()
    assert (result.code, result.stdout) == (2, smpchat("--help").stdout)


USAGE_ERRORS = (
    ["nonsense"],
    ["connect"],
    ["send", "bob"],
    ["listen", "--count", "0"],
    ["listen", "--timeout", "soon"],
    ["invite", "--handshake", "firm"],
    ["send", "bob", "hi", "--wait", "read"],
    ["reply", "1", "hi", "--wait", "read"],
    ["edit", "1", "hi", "--wait", "delivered"],
    ["retract", "first"],
    ["history", "bob", "--unknown"],
    ["server", "nonsense"],
    ["contacts", "too", "many"],
)


@pytest.mark.parametrize("arguments", USAGE_ERRORS, ids=" ".join)
def test_a_usage_error_ends_with_2(smpchat: Terminal, arguments: list[str]) -> None:
    result = smpchat(*arguments)
    assert (result.code, result.stdout) == (2, "")
    assert "--help` shows how to use the command." in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [*USAGE_ERRORS, []], ids=" ".join)
def test_a_usage_error_is_an_object_too(smpchat: Terminal, arguments: list[str]) -> None:
    result = smpchat(*arguments, "--json")
    [error] = result.objects("error")
    assert (result.code, error["code"]) == (2, 2)
    assert error["message"] in result.stderr
    assert error["hint"] in result.stderr


# -- global options ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("-p", "anna", "--json", "profile", "show"),
        ("profile", "show", "--json", "-p", "anna"),
        ("profile", "-p", "anna", "show", "--json"),
        ("profile", "show", "--json", "--profile=anna"),
        ("profile", "show", "--json", "-panna"),
    ],
    ids=" ".join,
)
def test_global_options_stand_anywhere(smpchat: Terminal, arguments: tuple[str, ...]) -> None:
    [profile] = smpchat(*arguments).objects()
    assert profile["display_name"] == "anna"


def test_the_value_of_an_option_is_no_global_option(smpchat: Terminal) -> None:
    link = smpchat.invite("alice")
    result = smpchat("-p", "bob", "connect", link, "--alias", "alice", "-m", "--json", "-m", "-q", "--json")
    assert [message["text"] for message in result.objects("message")] == ["--json", "-q"]


def test_nothing_after_two_dashes_is_a_global_option(smpchat: Terminal) -> None:
    smpchat.connected()
    result = smpchat("--json", "-p", "alice", "send", "--", "bob", "--json", "-q")
    assert result.objects("message")[0]["text"] == "--json -q"


def test_the_home_may_be_named_after_the_command(smpchat: Terminal) -> None:
    assert smpchat("profile", "show", "--home", str(smpchat.home / "other")).code == 0
    assert (smpchat.home / "other" / "profiles" / "default").is_dir()


def test_quiet_leaves_errors(smpchat: Terminal) -> None:
    assert smpchat("invite", "--no-wait", "-q").stderr == ""
    assert smpchat("send", "nobody", "hi", "-q").stderr.startswith("There is no contact 'nobody'.\n")


def test_verbose_shows_the_traceback_and_keeps_the_exit_code(smpchat: Terminal) -> None:
    result = smpchat("send", "nobody", "hi", "-v")
    assert result.code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("`smpchat contacts` lists your contacts; `smpchat status` lists your invitations.\n")


@pytest.mark.parametrize("value", ["1", "yes please", "0"])
def test_any_value_of_no_color_counts(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    smpchat.connected()
    smpchat("-p", "alice", "send", "bob", "hi")
    smpchat("-p", "bob", "listen", "--timeout", "3")
    smpchat("-p", "alice", "listen", "--timeout", "3")
    green = "\x1b[32m✓✓"
    assert green in smpchat("-p", "alice", "history", "bob", tty=True).stdout
    assert green not in smpchat("-p", "alice", "history", "bob", "--no-color", tty=True).stdout
    monkeypatch.setenv("NO_COLOR", value)
    shown = smpchat("-p", "alice", "history", "bob", tty=True).stdout
    assert "✓✓" in shown
    assert "\x1b[3" not in shown


def test_a_pipe_gets_styles_only_where_they_are_forced(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    smpchat.connected()
    assert smpchat("-p", "alice", "send", "bob", "hi", "--wait", "none").stdout == "to bob: hi  (pending)\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    forced = smpchat("-p", "alice", "send", "bob", "hi", "--wait", "none").stdout
    assert re.sub("\x1b\\[[0-9;]*m", "", forced) == "to bob: hi  (pending)\n" != forced


def test_files_belong_to_the_user_alone(smpchat: Terminal) -> None:
    smpchat("-p", "anna", "invite", "--no-wait", "--qr")
    for path in (smpchat.home / "profiles").rglob("*"):
        assert stat.S_IMODE(os.stat(path).st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_trace_names_frames_and_nothing_of_what_is_in_them(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = logging.getLogger(TRACE)
    for name, value in (("handlers", []), ("level", frames.level), ("propagate", frames.propagate)):
        monkeypatch.setattr(frames, name, value)
    link = smpchat.invite("alice")
    result = smpchat("-p", "bob", "connect", link, "--alias", "alice", "-m", "a secret", "--trace")
    lines = [line for line in result.stderr.splitlines() if " ms  " in line]
    assert all(re.fullmatch(r" *\d+ ms  [<>] [A-Z_ ]+ 127\.0\.0\.1", line) for line in lines)
    named = [line.split()[2:4] for line in lines]
    for frame in ([">", "SKEY"], [">", "NEW"], ["<", "IDS"], [">", "SEND"], ["<", "OK"]):
        assert frame in named


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_aliases(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    smpchat.connected()

    def complete(line: str) -> str:
        monkeypatch.setenv("_SMPCHAT_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
        try:
            return smpchat().stdout
        finally:
            monkeypatch.delenv("_SMPCHAT_COMPLETE")

    assert "connect" in complete("smpchat con")
    assert "bob" in complete("smpchat -p alice send b")
    assert "bob" not in complete("smpchat -p fresh send b")
    assert "bob" in complete("smpchat send -p alice b")
    assert "bob" not in complete("smpchat -p alice send -p fresh b")
    assert "send" not in complete("smpchat send -p s")
    assert not (smpchat.home / "profiles" / "fresh").exists()


# -- a profile never used ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["contacts"], ["status"], ["status", "bob"], ["history", "bob"]], ids=" ".join)
@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["people", "json"])
def test_reading_a_profile_never_used_prints_and_makes_nothing(
    smpchat: Terminal, arguments: list[str], flags: list[str]
) -> None:
    result = smpchat("-p", "fresh", *arguments, *flags)
    assert (result.code, result.stdout, result.stderr) == (0, "", "")
    assert not list(smpchat.home.iterdir())


def test_a_person_reads_why_there_is_nothing(smpchat: Terminal) -> None:
    for command in (["contacts"], ["status"], ["history", "bob"]):
        assert smpchat("-p", "fresh", *command, tty=True).stderr.startswith(
            "No contacts yet: make a link with `smpchat -p fresh invite"
        )
    assert "`smpchat -p fresh address create` makes one." in " ".join(
        smpchat("-p", "fresh", "requests", tty=True).stderr.split()
    )
    smpchat.connected()
    assert smpchat("-p", "alice", "history", "bob", tty=True).stderr == "No messages yet.\n"
    assert smpchat("-p", "alice", "history", "bob", "--search", "x", tty=True).stderr == "No message contains 'x'.\n"
    smpchat("-p", "alice", "address", "create")
    assert smpchat("-p", "alice", "requests", tty=True).stderr == "No requests waiting.\n"
    assert smpchat("-p", "alice", "requests").stderr == ""


def test_the_default_profile_has_the_users_name(smpchat: Terminal) -> None:
    assert smpchat("--json", "profile", "show").objects() == [
        {"v": 1, "type": "profile", "name": "default", "display_name": "ola", "active": True, "receipts": True}
    ]


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["send", "nobody", "hi"], 1),
        (["history", "nobody"], 1),
        (["status", "nobody"], 1),
        (["rename", "nobody", "x"], 1),
        (["verify", "nobody"], 1),
        (["resync", "nobody"], 1),
        (["rotate", "nobody"], 1),
        (["delete", "nobody"], 1),
        (["server", "add", "smp://nonsense"], 1),
        (["chat"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_an_error_is_two_sentences_and_an_object(smpchat: Terminal, arguments: list[str], code: int) -> None:
    smpchat("profile", "set", "Anna")  # the profile is in use
    result = smpchat(*arguments, "--json")
    [error] = result.objects()
    assert result.code == code
    assert error == {"v": 1, "type": "error", "code": code, "message": error["message"], "hint": error["hint"]}
    assert result.stderr == f"{error['message']}\n{error['hint']}\n"
    people = smpchat(*arguments)
    assert (people.code, people.stdout, people.stderr) == (code, "", result.stderr)


@pytest.mark.parametrize("text", ["", " ", "http://example.com/a page", "hello", "https://simplex.chat/", "simplex:/"])
def test_what_is_no_link_makes_nothing(smpchat: Terminal, text: str) -> None:
    result = smpchat("connect", text, "--alias", "bob")
    assert (result.code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 2
    assert not list(smpchat.home.iterdir())


def test_a_truncated_link_makes_nothing(smpchat: Terminal) -> None:
    link = smpchat.invite("alice")
    for length in (20, 60, 150, 300, len(link) // 2, len(link) - 5):
        result = smpchat("-p", "bob", "connect", link[:length], "--alias", "alice")
        assert (result.code, result.stdout) == (1, ""), length
        assert len(result.stderr.splitlines()) == 2
    assert not (smpchat.home / "profiles" / "bob").exists()


def test_a_malformed_reply_key_makes_nothing(smpchat: Terminal) -> None:
    link = smpchat.invite("alice")
    result = smpchat("-p", "bob", "connect", link[:-1] + "!", "--alias", "alice")
    assert (result.code, result.stdout) == (1, "")
    assert "rk" in result.stderr


def test_the_link_is_read_from_standard_input(smpchat: Terminal) -> None:
    link = smpchat.invite("alice")
    result = smpchat("--json", "-p", "bob", "connect", "-", "--alias", "alice", stdin=f"  {link}\n")
    assert result.code == 0
    assert result.objects("state")[-1]["state"] == "ready"


def test_the_text_is_read_from_standard_input(smpchat: Terminal) -> None:
    smpchat.connected()
    result = smpchat("--json", "-p", "alice", "send", "bob", "-", stdin="two\nlines\n")
    assert result.objects("message")[0]["text"] == "two\nlines"


def test_a_text_that_is_too_long_says_how_long_it_may_be(smpchat: Terminal) -> None:
    smpchat.connected()
    result = smpchat("--json", "-p", "alice", "send", "bob", "x" * 16_000)
    assert result.code == 1
    assert re.search(
        r"can hold about 1[35],\d{3} bytes", result.objects("error")[0]["message"]
    )  # less with post-quantum
    assert smpchat("-p", "alice", "history", "bob").stdout == ""


def test_an_empty_text_is_refused(smpchat: Terminal) -> None:
    smpchat.connected()
    assert smpchat("-p", "alice", "send", "bob", "").code == 1


# -- aliases ----------------------------------------------------------------------------------------------------------


def _join(smpchat: Terminal, alias: str, *more: str) -> Any:
    return smpchat("--json", "-p", "bob", "connect", smpchat.invite("alice"), "--alias", alias, *more)


def test_blanks_in_an_alias_become_underscores(smpchat: Terminal) -> None:
    assert _join(smpchat, "  Anna \t Berg ").objects("state")[0]["alias"] == "Anna_Berg"


@pytest.mark.parametrize("alias", ["-anna", "@@anna", "/anna", "", "  ", "a" * 41, "a\x1b[31m", "a\u202eb", "a\u200bb"])
def test_an_alias_that_cannot_be_one_stores_nothing(smpchat: Terminal, alias: str) -> None:
    result = _join(smpchat, alias)
    assert result.code == 1
    assert result.objects()[0]["type"] == "error"
    assert smpchat("-p", "bob", "contacts").stdout == ""


def test_an_alias_of_40_characters_is_kept(smpchat: Terminal) -> None:
    assert _join(smpchat, "ä" * 40).code == 0


def test_an_alias_in_use_stores_nothing(smpchat: Terminal) -> None:
    assert _join(smpchat, "anna").code == 0
    result = _join(smpchat, "Anna", "-m", "hi")
    assert (result.code, [value["type"] for value in result.objects()]) == (1, ["error"])
    assert len(smpchat("-p", "bob", "--json", "contacts").objects()) == 1


def test_the_alias_of_a_failed_contact_is_free(smpchat: Terminal) -> None:
    link = smpchat.invite("alice")
    assert smpchat("-p", "carol", "connect", link, "--alias", "alice").code == 0
    assert smpchat("-p", "bob", "connect", link, "--alias", "alice").code == 4
    assert [c["state"] for c in smpchat("-p", "bob", "--json", "contacts").objects()] == ["failed"]
    assert _join(smpchat, "alice").code == 0
    assert [c["state"] for c in smpchat("-p", "bob", "--json", "contacts").objects()] == ["ready"]


def test_a_note_in_use_makes_no_invitation(smpchat: Terminal) -> None:
    smpchat.connected()
    result = smpchat("--json", "-p", "alice", "invite", "--note", "bob", "--no-wait")
    assert (result.code, [value["type"] for value in result.objects()]) == (1, ["error"])
    assert not smpchat("-p", "alice", "--json", "status").objects("invitation")


def test_no_alias_off_a_terminal_makes_one_up(smpchat: Terminal) -> None:
    result = smpchat("--json", "-p", "bob", "connect", smpchat.invite("alice"))
    assert result.objects("state")[0]["alias"] == "contact"
    assert "The contact's alias is contact" in result.stderr


def test_a_cancelled_invitation_is_gone(smpchat: Terminal) -> None:
    link = smpchat.invite("alice")
    assert smpchat("-p", "alice", "delete", "1").code == 0
    assert smpchat("-p", "alice", "--json", "status").objects("invitation", "state") == []
    assert smpchat("-p", "bob", "connect", link, "--alias", "alice").code == 4


# -- what is printed --------------------------------------------------------------------------------------------------


def test_the_printed_command_connects(smpchat: Terminal) -> None:
    import shlex

    smpchat("-p", "alice", "profile", "set", "Alice O'Hara")
    [invitation] = smpchat("-p", "alice", "--json", "invite", "--no-wait").objects("invitation")
    program, *arguments = shlex.split(invitation["command"])
    assert program == "smpchat"
    result = smpchat("--json", "-p", "bob", *arguments)
    assert result.code == 0
    assert result.objects("state")[-1]["alias"] == "Alice_O'Hara"


def test_objects_are_ascii_and_one_to_a_line(smpchat: Terminal) -> None:
    smpchat.connected()
    result = smpchat("--json", "-p", "alice", "send", "bob", "zwei\nZeilen \u2028 ü 🎉")
    assert result.stdout.isascii()
    assert json.loads(result.stdout.splitlines()[0])["text"] == "zwei\nZeilen \u2028 ü 🎉"


def test_what_was_shown_is_not_shown_again(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat("-p", "alice", "send", "bob", "once")
    assert smpchat("-p", "bob", "--json", "contacts").objects()[0]["unread"] == 0  # nobody was online for bob
    assert len(smpchat("-p", "bob", "--json", "listen", "--timeout", "3").objects("message")) == 1
    assert not smpchat("-p", "bob", "--json", "listen", "--timeout", "3").objects("message")
