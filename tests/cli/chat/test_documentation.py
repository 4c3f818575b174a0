"""docs/chat.md lists the slash commands as `/help` does, and the keys as the manual page does."""

from __future__ import annotations

from pathlib import Path

from smpchat.cli.chat.slash_table import COMMANDS, ELSEWHERE, KEYS

PAGE = Path(__file__).parents[3] / "docs" / "chat.md"


def test_every_slash_command_is_on_the_page() -> None:
    section = PAGE.read_text(encoding="utf-8").split("\n## Slash commands\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    usages = [(command.usage.replace("|", "\\|"), command.does) for command in (*COMMANDS.values(), *ELSEWHERE)]
    assert rows == [f"| `{usage}` | {does} |" for usage, does in usages]


def test_every_key_is_on_the_page() -> None:
    section = PAGE.read_text(encoding="utf-8").split("\n## Keys\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert rows == [f"| {key.usage} | {key.does} |" for key in KEYS]
