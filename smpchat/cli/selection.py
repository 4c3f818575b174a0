"""The profile that commands without ``-p`` use: a name in a file of the home folder, written by ``profile switch``."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.config_path import platform_home
from smpchat.encoding.patterns import late

if TYPE_CHECKING:
    import re

FILE = "active-profile"
DEFAULT = "default"
_MAX_BYTES = 200


def selected(home: Path) -> str:
    """The profile chosen last; ``default`` if none was chosen. Raises `CommandFailed` if the file that names the
    profile cannot be used."""
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
    # The file is replaced in one step, so that another command reads either the old name or the new one.
    under_way.replace(home / FILE)


def deselect(home: Path) -> None:
    """Let later commands use the default profile again."""
    (home / FILE).unlink(missing_ok=True)


_COMMAND = late(r"`smpchat ((?:[\w-]+ ?)[^`]*)")
_ALIKE_ANYWHERE = late(r"(?:demo|explain|man)\b|-v$|.*--(?:help|version)\b")
"""Commands that use neither the home folder nor a profile."""
_OF_ALL_PROFILES = late(r"(?:relay|import|profile list|profile switch)\b|-p |--profile ")
"""Commands that need no added ``-p``: they use no profile that ``-p`` could choose, or already contain ``-p``."""


def as_typed(text: str, home: Path, profile: str) -> str:
    """``text``, in which commands stand between backticks. ``--home`` and ``-p`` are added to each command that would
    otherwise use another home folder or profile.

    With ``--home`` and ``-p``, a printed command works if it is typed as it is. Without them, a person who tries two
    profiles in two terminals would often use the wrong profile.

    Args:
        home, profile: The home folder and the profile of the current run; ``Path()`` and an empty name if they are not
            known.
    """
    if "`smpchat " not in text:
        return text
    where = "" if home in (Path(), _home_without_option()) else f"--home {shlex.quote(str(home))} "
    whose = "" if not profile or profile == _used_without_option(home) else f"-p {shlex.quote(profile)} "

    def complete(found: re.Match[str]) -> str:
        command = found[1]
        if _ALIKE_ANYWHERE().match(command):
            return found[0]
        return f"`smpchat {where}{'' if _OF_ALL_PROFILES().match(command) else whose}{command}"

    # The replacement is a function, because in a replacement string `re` would interpret backslashes. The name of a
    # folder may contain backslashes.
    return _COMMAND().sub(complete, text) if where or whose else text


def _home_without_option() -> Path:
    chosen = os.environ.get("SMPCHAT_HOME")
    return (Path(chosen) if chosen else platform_home()).absolute()


def _used_without_option(home: Path) -> str | None:
    try:
        return os.environ.get("SMPCHAT_PROFILE") or selected(home)
    except CommandFailed:
        return None
