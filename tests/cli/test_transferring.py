"""The bar of a file on a terminal: in one line, as far as it is; nothing anywhere else."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from smpchat.cli.environment import Environment
from smpchat.cli.transferring import bar
from tests.cli.terminal import FakeTerminal


def drawn(monkeypatch: pytest.MonkeyPatch, environment: Environment) -> str:
    stream = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with bar(environment, "a very long name of a file [red].iso", 200 << 20) as tell:
        tell("Encrypting", 0, 200 << 20)
        tell("Encrypting", 100 << 20, 200 << 20)
        tell("Sending", 50 << 20, 200 << 20)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).replace("\r", "\n")


def test_a_bar_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line.rstrip() for line in drawn(monkeypatch, Environment(tmp_path, "bob")).split("\n") if line.strip()]
    assert all(len(line) <= 80 for line in lines) and all(line.startswith(("Encrypting", "Sending")) for line in lines)
    assert any("50%" in line and "100.0/200.0 MiB" in line for line in lines)
    assert any("25%" in line and line.startswith("Sending") for line in lines)
    assert not any("progress." in line for line in lines)


@pytest.mark.parametrize("options", [{"json": True}, {"quiet": True}, {"plain": True}])
def test_no_bar_where_nobody_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    assert drawn(monkeypatch, Environment(tmp_path, "bob", **options)) == ""
