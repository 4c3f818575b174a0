"""Where passphrases come from: a file, a command, the environment or a prompt, but never the command line, which others
can see.

There are two kinds of passphrases: for a profile whose database is encrypted, and for an exported file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from smpchat.chat.errors import InputError, PassphraseNeeded
from smpchat.cli.text import printable
from smpchat.encoding.record import Record
from smpchat.relay.surroundings import for_programs, secret

VARIABLE = "SMPCHAT_PASSPHRASE"
"""The environment variable for an exported file's passphrase."""
KEY_VARIABLE = "SMPCHAT_KEY"
"""The environment variable for the profile's passphrase."""
NEW_KEY_VARIABLE = "SMPCHAT_NEW_KEY"
"""The environment variable for the profile's new passphrase."""
MIN_LENGTH = 8
"""A new passphrase has at least this many characters: anyone who has the encrypted file can try guesses for as long as
they like."""
_MAX_BYTES = 1024
ONE_ONLY = "two copies in use break each other's encryption and lose messages"
"""Why an exported profile must be used in one place only."""


class Source(Record):
    """Where to look for a passphrase: in the file, else in what the command prints, else in the environment variable.
    If no file, command or variable is given, the person at the terminal is asked.

    Attributes:
        file: A file with the passphrase in its first line.
        command: A command line, split as a shell does; the first line that it prints is the passphrase.
        variable: Name of the environment variable.
        question: The question for a person, without a colon at the end.
        options: The options with which a script can give the passphrase; the error names them if there is no terminal
            to ask on.
    """

    variable: str
    question: str
    options: str
    file: Path | None = None
    command: str | None = None


def exported_file(file: Path | None) -> Source:
    """Where `smpchat export` and `smpchat import` look for the passphrase of the exported file."""
    return Source(VARIABLE, "Passphrase for the file", "--passphrase-file", file)


def profile_key(profile: str, file: Path | None, command: str | None, *, new: bool) -> Source:
    """Where to look for the passphrase of a profile (`smpchat.cli.profile_key`)."""
    question = f"Passphrase {'for' if new else 'of'} the profile {profile}"
    return Source(KEY_VARIABLE, question, "--key-file, --key-command", file, command)


def new_key(profile: str, file: Path | None, command: str | None) -> Source:
    """Where to look for the new passphrase of a profile that already has one."""
    question = f"New passphrase for the profile {profile}"
    return Source(NEW_KEY_VARIABLE, question, "--new-key-file, --new-key-command", file, command)


def passphrase(source: Source, *, new: bool) -> str:
    """Get the passphrase from ``source``.

    Args:
        new: Whether a new passphrase is chosen: then it must be long enough, and a person is asked for it twice.
    Raises:
        InputError: The passphrase cannot be read, is empty, or is not UTF-8; or it is new, and too short or typed
            differently the second time.
        PassphraseNeeded: No file, command or variable is given, and there is no terminal to ask on.
    """
    if source.file is not None:
        found = _first_line(source.file)
    elif source.command is not None:
        found = _output(source.command)
    elif (given := secret(source.variable)) is not None:
        found = _text(os.fsencode(given))
    else:
        found = _ask(source, new)
    if not found:
        raise InputError("The passphrase is empty.", "Give one that is not empty.")
    # Only a new passphrase must be long enough: an older one may be shorter, and must still open what it encrypted.
    if new and len(found) < MIN_LENGTH:
        raise InputError(
            f"The passphrase is too short: it needs {MIN_LENGTH} characters or more.",
            "Anyone with the file can try guesses for years; use several random words.",
        )
    return found


def _first_line(file: Path) -> str:
    try:
        with open(file, "rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"Cannot read the file {str(file)!r}: {error.strerror}.", "Give another file.") from None
    return _line(data, f"The first line of {str(file)!r}", "Give another file.")


def _output(command: str) -> str:
    """The first line that a command prints; on a terminal, the command may ask the person for what it needs."""
    import shlex
    import subprocess

    # The command is not printed: it may contain a secret.
    hint = "Give a command that prints the passphrase and does not need a shell."
    try:
        arguments = shlex.split(command)
        # Standard error still goes to the terminal: programs such as `gpg` ask the person there for what they need.
        run = subprocess.run(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=for_programs(), check=False
        )
    except (OSError, ValueError, IndexError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"The command for the passphrase cannot be run: {why}.", hint) from None
    if run.returncode < 0:
        raise InputError(f"The command for the passphrase was ended by signal {-run.returncode}.", hint)
    if run.returncode:
        raise InputError(f"The command for the passphrase failed with exit code {run.returncode}.", hint)
    return _line(run.stdout, "What the command for the passphrase printed", hint)


def _line(data: bytes, what: str, hint: str) -> str:
    line = data.split(b"\n", 1)[0].removesuffix(b"\r")
    if len(line) > _MAX_BYTES:
        raise InputError(f"{what} is too long for a passphrase.", hint)
    return _text(line)


def _text(data: bytes) -> str:
    try:
        found = data.decode()
    except UnicodeDecodeError:
        raise InputError("The passphrase is not UTF-8 text.", "Give it in UTF-8.") from None
    if "\0" in found:
        raise InputError("The passphrase contains a NUL character.", "Give another passphrase.")
    return found


def _ask(source: Source, new: bool) -> str:
    import getpass

    if not (sys.stdin.isatty() or sys.stderr.isatty()):  # standard input may be a link or a message
        raise PassphraseNeeded(f"Use {source.options} or the variable {source.variable}.")
    try:
        least = f" ({MIN_LENGTH} characters or more)" if new else ""
        found = getpass.getpass(f"{printable(source.question)}{least}: ")
        again = getpass.getpass("Once more: ") if new else found
    except KeyboardInterrupt:
        print(file=sys.stderr)  # the line of the question ends here
        raise
    if again != found:
        raise InputError("The two passphrases differ.", "Run the command again.")
    return _text(os.fsencode(found))  # a terminal may send bytes that are not text
