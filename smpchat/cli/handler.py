"""``listen --exec``: a program of the user that handles each message.

Text of a peer reaches the program only as data, on its standard input and in its environment. The command line comes
from the user; it is split as in a shell, but never run by a shell.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from smpchat.chat.errors import InputError
from smpchat.chat.store.records import Message
from smpchat.cli.environment import Environment, json_line
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.profile_key import ProfileKey
from smpchat.cli.views.messages import message_fields
from smpchat.encoding.record import Record
from smpchat.relay.surroundings import for_programs
from smpchat.storage.locks import FileLock

_STANDARD_ERROR = 2
_AGAIN = (
    "The next `smpchat listen` starts with this message again. `--skip-after N` skips a message that fails N times."
)


class HandlerFailed(CommandFailed):
    """The program was started, but did not end with the exit code 0."""


class MessageHandler(Record):
    """Runs a program for each message, one after another.

    Attributes:
        arguments: The program and its arguments.
        home, profile, key: The program gets these values in environment variables, but never the passphrase itself:
            only the file or command that it comes from. If the program runs `smpchat`, the same profile is used.
        lock: The file that `alone` locks.
    """

    arguments: tuple[str, ...]
    home: Path
    profile: str
    lock: Path
    key: ProfileKey

    @staticmethod
    def parse(command_line: str, environment: Environment) -> MessageHandler:
        """Make the handler from the command line after ``--exec``. Raises `InputError` if this command line is invalid
        or empty, or if its program does not exist."""
        try:
            arguments = shlex.split(command_line)
        except ValueError as error:
            raise InputError(f"The command of --exec cannot be read: {error}.", "Close the quotes.") from None
        hint = "Give --exec a program on your PATH, or a full path."
        if not arguments:
            raise InputError("--exec is empty.", hint)
        if shutil.which(arguments[0]) is None:
            raise InputError(f"There is no program {arguments[0]!r}.", hint)
        lock = environment.profile_folder() / "exec.lock"
        return MessageHandler(tuple(arguments), environment.home, environment.profile, lock, environment.key)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While the ``with`` block runs, no other handler of the profile can run: otherwise, each of them would get
        every message. Raises `CommandFailed` if another handler is running already."""
        lock = FileLock(self.lock)
        if not lock.take():
            raise CommandFailed(
                ExitStatus.LOCKED, "Another `listen --exec` is running for this profile.", "Stop it first."
            )
        try:
            yield
        finally:
            lock.release()

    async def handle(self, message: Message) -> None:
        """Run the user's program for a message, and wait until the program ends. What the program prints goes to
        standard error, because standard output is for what `listen` itself prints.

        Raises:
            HandlerFailed: The program's exit code was not 0, so the message counts as not handled.
            CommandFailed: The program could not be started.
        """
        line = json_line("message", message_fields(message)) + "\n"
        try:
            process = await asyncio.create_subprocess_exec(
                *self.arguments, stdin=asyncio.subprocess.PIPE, stdout=_STANDARD_ERROR, env=self._variables(message)
            )
        except OSError as error:
            how = f"cannot be started: {error.strerror}"
            raise CommandFailed(ExitStatus.INPUT, f"{self.arguments[0]!r} {how}.", _AGAIN) from error
        try:
            await process.communicate(line.encode())
            code = await process.wait()
        finally:
            if process.returncode is None:  # interrupted: no handler outlives the listener
                # The user's program is killed, not asked to end. If it went on, the next `listen --exec` would start it
                # a second time, and both would handle the same message.
                process.kill()
                await process.wait()
        if code < 0:
            raise self._failed(f"was ended by signal {-code}")
        if code > 0:
            raise self._failed(f"ended with {code}")

    def _failed(self, how: str) -> HandlerFailed:
        return HandlerFailed(ExitStatus.INPUT, f"{self.arguments[0]!r} {how}.", _AGAIN)

    def _variables(self, message: Message) -> Mapping[str, str]:
        """The environment variables of the user's program: our own without the secrets, and new ones with the main
        fields of the message."""
        return (
            for_programs()
            | self.key.variables()
            | {
                # The variables below come last, so that they replace inherited variables with the same names.
                "SMPCHAT_HOME": str(self.home),
                "SMPCHAT_PROFILE": self.profile,
                "SMPCHAT_TYPE": "message",
                "SMPCHAT_CONTACT": _variable(message.contact),
                "SMPCHAT_CONTACT_ID": str(message.contact_id),
                "SMPCHAT_VERIFIED": "yes" if message.verified else "no",
                "SMPCHAT_TEXT": _variable(message.text),
                "SMPCHAT_ID": str(message.id),
                "SMPCHAT_CONTENT": _variable(message.content),
                "SMPCHAT_COMMAND": _variable(message.command or ""),
                "SMPCHAT_ARGUMENTS": _variable(message.arguments),
            }
        )


def _variable(text: str) -> str:
    """``text`` as the value of an environment variable: in UTF-8, whatever the locale is. NUL would end the value, so
    U+FFFD replaces it."""
    return os.fsdecode(text.replace("\0", "\ufffd").encode())
