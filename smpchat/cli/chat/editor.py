"""Lets the user edit a message in an editor. The editor's file is in memory if possible, and is deleted afterwards.

An editor works on a file, and puts other files beside it (a swap file, a backup). All these files are in a new folder,
which is removed completely afterwards. If `chat` is killed, its folder stays until the next `chat` removes it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from smpchat.chat.errors import InputError
from smpchat.relay.surroundings import for_programs
from smpchat.storage.locks import FileLock

IN_MEMORY = Path("/dev/shm")
"""The folder whose files Linux keeps in memory."""
_BEGINS = "smpchat-editor-"
_USUAL = ("editor", "nano", "pico", "vi", "emacs")
_LOCK, _FILE = "lock", "message.txt"


def edited(text: str, *, encrypted: bool) -> str | None:
    """Let the user edit a text in an editor, and wait until the editor is closed.

    Args:
        encrypted: Whether the profile is encrypted. If it is, the text must not be written to a disk.
    Returns:
        The new text; None if the editor failed.
    Raises:
        InputError: The editor was not found or cannot be run; or the profile is encrypted, and this computer has no
            folder in memory.
    """
    place = _place(encrypted)
    # `mkdtemp` gives the folder mode 0700 and a name that nobody can guess. If the name could be guessed, another user
    # could make a link with this name before the folder is made.
    folder = Path(tempfile.mkdtemp(prefix=_BEGINS, dir=place))
    lock = FileLock(folder / _LOCK)
    lock.take()
    try:
        file = folder / _FILE
        with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as opened:
            opened.write(text)
        if not _run(file):
            return None
        # Editors end a file with a line end, which is not part of the message.
        return file.read_text(encoding="utf-8", errors="replace").removesuffix("\n")
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _place(encrypted: bool) -> Path:
    if IN_MEMORY.is_dir() and os.access(IN_MEMORY, os.W_OK | os.X_OK):
        return IN_MEMORY
    if encrypted:
        raise InputError(
            "An editor needs a file, and for an encrypted profile smpchat writes no unencrypted files to the disk.",
            "Write here instead: Alt-Enter starts a new line.",
        )
    return Path(tempfile.gettempdir())


def remove_left() -> None:
    """Remove editor folders that this user's processes left behind when they were killed. Every `chat` begins with
    this."""
    for folder in (*IN_MEMORY.glob(f"{_BEGINS}*"), *Path(tempfile.gettempdir()).glob(f"{_BEGINS}*")):
        try:
            lock = FileLock(folder / _LOCK)
            if lock.take():
                shutil.rmtree(folder, ignore_errors=True)
                lock.release()
        except OSError:  # somebody else's, or gone meanwhile
            continue


def _run(file: Path) -> bool:
    """Run the editor; returns whether it ended with exit code 0. Raises `InputError` if the editor cannot be run."""
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    usual = next(filter(None, map(shutil.which, _USUAL)), None)
    try:
        arguments = shlex.split(chosen) if chosen else [usual] if usual else []
        if not arguments:
            raise InputError("No editor found.", "Set the variable EDITOR to the name of an editor.")
        return subprocess.call([*arguments, str(file)], env=for_programs()) == 0
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot run the editor {chosen!r}: {why}.", "Check the variable EDITOR.") from None
