"""`verify`: what a terminal shows beside the digits."""

from __future__ import annotations

import io
import re

import pytest
import segno

from tests.cli.terminal import Terminal


def test_the_code_is_a_qr_code_of_its_digits_and_all_fits_a_small_terminal(smpchat: Terminal) -> None:
    smpchat.connected()
    [found] = smpchat("--json", "-p", "alice", "verify", "bob").objects("verification")
    drawn = io.StringIO()
    segno.make(found["code"].replace(" ", ""), error="l", micro=False).terminal(drawn, border=2, compact=True)
    shown = smpchat("-p", "alice", "--no-color", "verify", "bob", tty=True).stdout
    blocks = [line for line in shown.splitlines() if "\u2588" in line or "\u2580" in line]
    assert [line.rstrip() for line in blocks] == [line.rstrip() for line in drawn.getvalue().splitlines()]
    # With the command above and the prompt below. One code in seven has 78 digits, and a QR code of the next size.
    assert len(shown.splitlines()) <= (22 if len(found["code"].replace(" ", "")) <= 77 else 24)
    assert max(map(len, shown.splitlines())) <= 80
    assert "\u2588" not in smpchat("-p", "alice", "verify", "bob", "--no-qr", tty=True).stdout


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_lines_end_between_words(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    smpchat.connected()
    whole = smpchat("-p", "alice", "verify", "bob").stdout
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = smpchat("-p", "alice", "verify", "bob", "--no-qr", tty=True).stdout
    assert shown.split() == whole.split()
    assert max(len(line) for line in shown.splitlines() if not re.match(r"  (\d|smpchat)", line)) <= columns


def test_where_it_cannot_be_drawn_the_digits_do(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    smpchat.connected()
    assert smpchat("-p", "alice", "verify", "bob", "--plain", tty=True).stderr == ""
    assert "compare the digits" in smpchat("-p", "alice", "verify", "bob", "--qr").stderr
    monkeypatch.setenv("COLUMNS", "20")
    assert "does not fit" in smpchat("-p", "alice", "verify", "bob", "--qr", tty=True).stderr
