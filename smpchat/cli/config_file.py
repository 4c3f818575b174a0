"""Changes one setting in the text of a config file, and leaves the rest as it was. (`tomllib` can only read files.)"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from smpchat.chat.errors import InputError
from smpchat.config import FLAGS, KEYS, ConfigRefused, checked, content, parsed, statements, unknown_hint

_NEW = "# Settings of smpchat; `smpchat config list` shows all of them.\n"
_PATIENCE = 10.0
"""Seconds to wait for another command that is changing the file."""
_FLAGS = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def known(name: str) -> str:
    """Check the name of a setting, and return it. Raises `InputError` if there is no setting with this name."""
    if name not in KEYS:
        raise InputError(f"There is no setting {name[:60]!r}.", unknown_hint(name))
    return name


def typed(name: str, words: list[str]) -> bool | str | list[str]:
    """Turn the words that the user typed into the value of a setting: a boolean, a text or a list, as the setting
    needs. Raises `InputError`."""
    default = KEYS[name].default
    if isinstance(default, tuple):
        return [] if words == ["none"] else words
    text = " ".join(words)
    if not isinstance(default, bool):
        return text
    if text.lower() not in _FLAGS:
        raise InputError(f"{name} cannot be {text[:60]!r}.", f"Use {' or '.join(FLAGS)}.")
    return _FLAGS[text.lower()]


def set_in(path: Path, name: str, value: bool | str | list[str]) -> None:
    """Write a setting into a file, in the place of its old value if there is one.

    Raises:
        InputError: The value is not allowed, or another command is changing the file.
        ConfigRefused: The file cannot be read or changed.
        OSError: The file cannot be written.
    """
    try:
        checked(path, None, name, value)
    except ConfigRefused as error:
        what = str(error).removeprefix(f"{path}: ").rstrip(".")
        none = " For an empty list, write none." if isinstance(value, list) else ""
        raise InputError(f"The value is invalid: {what}.", f"Allowed: {KEYS[name].form}.{none}") from None
    with _alone(path):
        text = content(path)
        changed = with_setting(path, _NEW if text is None else text, name, value)
        if parsed(path, changed).get(name) != value:  # never write a file in which our edit did not work
            raise ConfigRefused(path, None, f"{name} cannot be changed here", "Change it in the file with an editor.")
        write(path, changed)


def unset_in(path: Path, name: str) -> bool:
    """Remove a setting from a file; returns False if the file does not have it. Raises as `set_in` does."""
    if content(path) is None:
        return False
    with _alone(path):
        text = content(path)
        if text is None or name not in parsed(path, text):
            return False
        write(path, with_setting(path, text, name, None))
    return True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other commands from changing the file while the ``with`` block runs; otherwise one command could undo the
    change of another.

    Raises:
        InputError: Another command was still changing the file after `_PATIENCE`.
        OSError: The file's folder cannot be made, or cannot be written to.
    """
    from smpchat.storage.locks import FileLock

    path = path.resolve()
    _make_folders(path)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    until = time.monotonic() + _PATIENCE
    while not lock.take():
        if time.monotonic() > until:
            raise InputError("Another command is changing the settings.", "Try again in a moment.")
        time.sleep(0.01)
    try:
        yield
    finally:
        lock.release()


def _make_folders(path: Path) -> None:
    for folder in (*reversed(path.parent.parents), path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)  # parents=True would give only the last folder this mode


def with_setting(path: Path, text: str, name: str, value: bool | str | list[str] | None) -> str:
    """Returns the text of a config file, after one setting was given a new value, or was removed if ``value`` is None.

    Raises:
        ConfigRefused: The file is not TOML.
    """
    parsed(path, text)
    found = statements(path, text)
    lines = text.split("\n")
    end = "\r" if lines[0].endswith("\r") else ""
    place = next((statement for statement in found if statement.key == name), None)
    written = [] if value is None else [f"{name} = {_toml(value)}"]
    if place is not None:
        if written and place.comment:
            written[0] += f"  {place.comment}"
        lines[place.first : place.last + 1] = [line + end for line in written]
        return "\n".join(lines)
    at = next((statement.first for statement in found if statement.is_table), None)
    # A new setting is written above the first table, because every line below a table's heading belongs to that table.
    # If the file has no table, the setting is written at the end of the file.
    if at is None:
        at = len(lines) - (lines[-1] == "")
        if at and not lines[at - 1].endswith(end):
            lines[at - 1] += end
        if at == len(lines):
            lines.append("")
    lines[at:at] = [line + end for line in written]
    return "\n".join(lines)


def _toml(value: bool | str | list[str]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are valid in TOML, except surrogate pairs, which ensure_ascii=False avoids. TOML also needs an
        # escape for DEL, which JSON writes unchanged.
        return re.sub("\x7f", r"\\u007f", json.dumps(value, ensure_ascii=False))
    if len(value) < 2:
        return f"[{', '.join(map(_toml, value))}]"
    return "[" + "".join(f"\n  {_toml(one)}," for one in value) + "\n]"


def write(path: Path, text: str) -> None:
    """Replace a file in one step; only its owner can read the new file. If the path is a symbolic link, the file that
    the link points to is replaced."""
    path = path.resolve()
    _make_folders(path)
    under_way = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):  # left by a process that was killed
        under_way.unlink()
    try:
        with os.fdopen(os.open(under_way, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        under_way.replace(path)
    except OSError:
        under_way.unlink(missing_ok=True)
        raise
