"""Marks of SimpleX apps on a terminal: drawn where styles are, left as they were typed anywhere else."""

from __future__ import annotations

import pytest
from prompt_toolkit.formatted_text import ANSI, fragment_list_to_text

from smpchat.cli.chat.screen import _LINK
from tests.cli.terminal import Terminal

TEXT = "a *bold* word, #hush# and https://example.org/x_y."
LINK = "\x1b]8;"


def heard(smpchat: Terminal, *flags: str, tty: bool) -> str:
    smpchat.connected()
    assert smpchat("-p", "bob", "send", "alice", TEXT).code == 0
    return smpchat(*flags, "-p", "alice", "listen", "--count", "1", "--timeout", "5", tty=tty).stdout


def test_a_terminal_draws_them(smpchat: Terminal) -> None:
    shown = heard(smpchat, tty=True)
    assert "a \x1b[1mbold\x1b[0m word" in shown and "*bold*" not in shown
    assert "\x1b[7;8mhush\x1b[0m" in shown
    assert f";https://example.org/x_y\x1b\\https://example.org/x_y{LINK};\x1b\\." in shown


@pytest.mark.parametrize("flags", [(), ("--json",), ("--plain",)])
def test_whatever_draws_no_styles_shows_what_was_typed(smpchat: Terminal, flags: tuple[str, ...]) -> None:
    assert TEXT in heard(smpchat, *flags, tty="--plain" in flags)


def test_beside_the_prompt_a_link_is_its_text(smpchat: Terminal) -> None:
    """What prompt_toolkit draws knows no OSC 8: it would print the address twice, between letters of the sequence."""
    drawn = f"see {LINK}id=1;https://example.org\x1b\\https://example.org{LINK};\x1b\\ \x1b[1mnow\x1b[0m"
    assert fragment_list_to_text(ANSI(_LINK.sub("", drawn)).__pt_formatted_text__()) == "see https://example.org now"


def test_a_text_cannot_draw_in_the_margin(smpchat: Terminal) -> None:
    smpchat.connected()
    assert smpchat("-p", "bob", "send", "alice", "one\n*alice: two*\n!1 ! three!").code == 0
    shown = smpchat("-p", "alice", "listen", "--count", "1", "--timeout", "5", tty=True).stdout
    lines = shown.splitlines()
    assert [line[:4] for line in lines[lines.index(next(x for x in lines if "one" in x)) + 1 :]] == ["    ", "    "]
