"""Slash commands for files in `chat`."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from rich.text import Text

from smpchat.agent.errors import RelaysNotApproved
from smpchat.chat.errors import InputError
from smpchat.chat.store.files import FileState
from smpchat.cli.chat.conversation import Conversation
from smpchat.cli.opening import local_file
from smpchat.cli.pictures import drawn, way_of
from smpchat.cli.text import printable, shortened
from smpchat.cli.views.files import state_text
from smpchat.encoding.text import size_text

_APPROVE = "anyway"


def message_number(word: str) -> int | None:
    """The number of a message; None if the word is something else."""
    # Only ASCII digits are accepted, because `isdigit` accepts "²", which int() refuses. Only short numbers are
    # accepted, because SQLite raises OverflowError for a number of more than 64 bits.
    return int(word) if word.isascii() and word.isdigit() and len(word) < 16 else None


class FileLines:
    """Runs the slash commands about files."""

    def __init__(self, talk: Conversation) -> None:
        self._talk, self._transcript, self._service = talk, talk.transcript, talk.service

    def send(self, argument: str) -> None:
        """Send a file: ``/file PATH [TEXT]``. If a text follows, a path with blanks must be in quotes."""
        path, text = split_path(argument)
        self._talk.outgoing.begin(self._service.look_at_file(self._talk.need_contact().alias, path, text))

    def get(self, argument: str) -> None:
        """Receive a file: ``/get [N] [PATH]``, followed by ``anyway`` to approve unknown relays."""
        words = argument.split(maxsplit=1)
        alias = self._talk.need_contact().alias
        number = message_number(words[0].removeprefix("#")) if words else None
        rest = " ".join(words[1:] if number is not None else words).strip()
        number = self._service.offered_by(alias) if number is None else self._here(number)
        approved = rest == _APPROVE or rest.endswith(f" {_APPROVE}")
        place = rest.removesuffix(_APPROVE).strip() if approved else rest
        own = self._talk.owns_files
        try:
            message = self._service.receive_file(
                number, split_path(place)[0] if place else None, approved=approved, own=own
            )
        except RelaysNotApproved as error:
            raise InputError(
                f"The sender put this file at {', '.join(error.relays)}, which you do not use. These relays would"
                " see your IP address.",
                f"If you agree: /get {number} {_APPROVE}",
            ) from error
        file = message.file
        if file is not None and file.state is FileState.RECEIVING and not file.bytes:
            self._transcript.tell(f"* Receiving {shortened(file.name)} ({size_text(file.size)}).")

    def list(self) -> None:
        """List the files of this conversation: ``/files``."""
        found = self._service.files(self._talk.need_contact().alias, 20)
        if not found:
            self._transcript.tell("No files here yet. /file PATH sends one.")
        for message in found:
            assert message.file is not None
            told = f"{size_text(message.file.size)}, {state_text(message.file, message)}"
            self._transcript.show(Text(f"{message.id:>4}  {shortened(message.file.name)}  ({told})"))

    def cancel(self, argument: str) -> None:
        """Cancel a file: ``/cancel N``."""
        number = message_number(argument.removeprefix("#"))
        if number is None:
            raise InputError("Write /cancel N.", "Each message begins with its number.")
        message = self._service.cancel_file(self._here(number))
        assert message.file is not None
        self._transcript.tell(f"* {shortened(message.file.name)}: cancelled.")

    def view(self, argument: str) -> None:
        """Show a picture in the chat: ``/view N``. If the file is not a picture, print the file's path."""
        number = message_number(argument.removeprefix("#"))
        if number is None:
            raise InputError("Write /view N.", "Each message begins with its number.")
        message = self._service.required_message(self._here(number))
        preview = None if message.file is None else self._service.preview_of(number)
        if preview is not None and message.file is not None and message.file.path is None:
            if self._talk.environment.redraws:
                self._transcript.raw("".join(drawn(preview, way_of(os.environ), shutil.get_terminal_size())))
            self._transcript.tell(f"* This is the preview. /get {number} receives the file.")
            return
        path = local_file(message)
        if not self._talk.environment.redraws:
            self._transcript.tell(f"* {printable(str(path))}")
            return
        try:
            pieces = list(drawn(path, way_of(os.environ), shutil.get_terminal_size()))
        except InputError:
            self._transcript.tell(f"* {printable(str(path))}. To open it: smpchat view {number}")
            return
        self._transcript.raw("".join(pieces))

    def _here(self, number: int) -> int:
        """Return ``number``. Raises `InputError` if the message with this number is not in the current conversation."""
        message = self._service.required_message(number)
        if message.contact != self._talk.need_contact().alias:
            raise InputError(
                f"Message {number} is in your conversation with {message.contact!r}.", "Go there with /to."
            )
        return number


def split_path(argument: str) -> tuple[str, str]:
    """Splits an argument into the path of a file and the text after the path.

    If the whole argument is the path of an existing file, the text is empty. Otherwise the path is the first word, or
    the words in quotes at the beginning of the argument.
    """
    argument = argument.strip()
    if not argument:
        raise InputError("The file is missing.", "Type /file PATH.")
    if Path(argument).expanduser().exists():
        return argument, ""
    try:
        [path, *words] = shlex.split(argument)
    except ValueError:
        return argument, ""
    return path, " ".join(words)
