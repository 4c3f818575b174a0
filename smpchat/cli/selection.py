"""The profile that commands without ``-p`` use: a name in a file of the home folder, written by ``profile switch``."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.encoding.patterns import late

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
    # Whoever reads it meanwhile gets the old name or the new one, whole.
    under_way.replace(home / FILE)


_COMMAND = late(r"`smpchat (?!(?:relay|demo|explain|man|import|COMMAND|profile list|profile switch)\b|-)(?=[a-z])")
"""A command in a sentence, unless it concerns no profile or names one."""


def for_profile(text: str, home: Path, profile: str) -> str:
    """``text`` with ``-p`` in every command between backticks, where without it another profile would be used.

    What a sentence tells to type works as it stands: who tries two profiles in two terminals needs it most.
    """
    if "`smpchat " not in text or not profile or profile == _used_without_option(home):
        return text
    name = shlex.quote(profile)
    # A function: in a text re would take a backslash of the name for one of its own.
    return _COMMAND().sub(lambda _: f"`smpchat -p {name} ", text)


def _used_without_option(home: Path) -> str | None:
    try:
        return os.environ.get("SMPCHAT_PROFILE") or selected(home)
    except CommandFailed:
        return None
