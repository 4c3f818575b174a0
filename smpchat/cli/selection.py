"""The profile that commands without ``-p`` use: a name in a file of the home folder, written by ``profile switch``."""

from __future__ import annotations

import os
from pathlib import Path

from smpchat.cli.exit_status import CommandFailed, ExitStatus

FILE = "active-profile"
DEFAULT = "default"
_MAX_BYTES = 200


def selected(home: Path) -> str:
    """The profile chosen last; ``default`` before that. Raises `CommandFailed` rather than take another one."""
    try:
        with open(home / FILE, "rb") as file:
            name = file.read(_MAX_BYTES + 1).decode().rstrip("\n")
    except (FileNotFoundError, NotADirectoryError):
        return DEFAULT
    except (OSError, UnicodeDecodeError):
        name = ""
    if not name or not name.isprintable() or len(name) > _MAX_BYTES:
        raise CommandFailed(
            ExitStatus.INPUT,
            f"The file {home / FILE} does not say which profile to use.",
            "Choose one: `smpchat -p NAME profile switch NAME`.",
        )
    return name


def select(home: Path, name: str) -> None:
    """Choose a profile for later commands."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    under_way = home / f".{FILE}.{os.getpid()}"
    with open(os.open(under_way, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(f"{name}\n")
    under_way.replace(home / FILE)
