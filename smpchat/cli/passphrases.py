"""Where a passphrase comes from: a file, the environment or a prompt; never the command line, which others can see."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from smpchat.chat.errors import InputError

VARIABLE = "SMPCHAT_PASSPHRASE"
_MAX_BYTES = 1024


def passphrase(file: Path | None, *, new: bool) -> str:
    """The passphrase in the first line of ``file``, else in the environment, else asked for.

    Args:
        new: It is being chosen: it must be long enough, and is asked for twice.
    Raises:
        InputError: There is none, or it cannot be used.
    """
    from smpchat.chat.archive import MIN_PASSPHRASE

    if file is not None:
        found = _first_line(file)
    elif VARIABLE in os.environ:
        found = _text(os.fsencode(os.environ[VARIABLE]))
    else:
        found = _ask(new)
    if not found:
        raise InputError("The passphrase is empty.", "Give one.")
    if new and len(found) < MIN_PASSPHRASE:
        raise InputError(
            f"The passphrase is too short: it needs {MIN_PASSPHRASE} characters or more.",
            "Whoever gets hold of the file may guess for years: several random words are good.",
        )
    return found


def _first_line(file: Path) -> str:
    try:
        with open(file, "rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"The file {str(file)!r} cannot be read: {error.strerror}.", "Give another one.") from None
    line = data.split(b"\n", 1)[0].removesuffix(b"\r")
    if len(line) > _MAX_BYTES:
        raise InputError(f"The first line of {str(file)!r} is too long for a passphrase.", "Give another file.")
    return _text(line)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InputError("The passphrase is no UTF-8 text.", "Give it in UTF-8.") from None


def _ask(new: bool) -> str:
    import getpass

    if not sys.stdin.isatty():
        raise InputError(
            "There is nobody to ask for the passphrase.", f"Use --passphrase-file or the variable {VARIABLE}."
        )
    found = getpass.getpass("Passphrase for the file: ")
    if new and found != getpass.getpass("Once more: "):
        raise InputError("The two passphrases differ.", "Run the command again.")
    return found
