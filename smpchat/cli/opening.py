"""Opens the user's files in the program that the desktop uses for such files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from smpchat.chat.errors import InputError
from smpchat.chat.store.records import Message
from smpchat.relay.surroundings import for_programs


def local_file(message: Message) -> Path:
    """The path of a message's file. Raises `InputError` if there is no file, or the file is not on this computer."""
    file = message.file
    if file is None:
        raise InputError(f"Message {message.id} has no file.", "`smpchat files` lists messages with files.")
    if file.path is None:
        raise InputError(
            f"The file of message {message.id} is not here.", f"Receive it first: `smpchat receive {message.id}`"
        )
    if not file.path.is_file():
        raise InputError(f"The file of message {message.id} is no longer at {file.path}.", "It was moved or deleted.")
    return file.path


def open_file(path: Path) -> None:
    """Let the desktop open a file. We do not wait for the program that shows the file. Raises `InputError`."""
    if sys.platform == "win32":
        os.startfile(path)
        return
    program = "open" if sys.platform == "darwin" else "xdg-open"
    found = shutil.which(program)
    if found is None:
        raise InputError(f"{program}, which opens files, is not installed.", f"Open the file yourself: {path}")
    # The path must be absolute: if a name begins with "-", `open` and `xdg-open` treat it as an option. Neither
    # program gets our secrets in its environment, because it may start any other program.
    subprocess.Popen(
        [found, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=for_programs(),
    )
