"""Reads and prints text, whatever the locale is: input is UTF-8, and output never fails because of its characters."""

from __future__ import annotations

import io
import os
import sys

from smpchat.cli.exit_status import CommandFailed, ExitStatus

MAX_INPUT = 1 << 20
"""At most this many bytes are read from standard input; messages and links are much shorter."""


def read_text() -> str:
    """The content of standard input, without line breaks at its end. Raises `CommandFailed` if the content is longer
    than `MAX_INPUT`, or not UTF-8."""
    data = sys.stdin.buffer.read(MAX_INPUT + 1) if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
    if len(data) > MAX_INPUT:
        raise CommandFailed(
            ExitStatus.INPUT,
            f"Standard input has more than {MAX_INPUT:,} bytes, far more than one message can hold.",
            "Send it in parts.",
        )
    try:
        # The byte order mark that some editors write is removed.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandFailed(
            ExitStatus.INPUT,
            f"Standard input is not UTF-8 text: byte {error.start + 1} is invalid.",
            "Send only text. Convert other encodings first, for example with `iconv -t UTF-8`.",
        ) from None
    return text.replace("\r\n", "\n").rstrip("\n")


def argument_text(argument: str) -> str:
    """A text from the command line, read as UTF-8 if the locale cannot read it. Raises `CommandFailed` if it is not
    UTF-8 either."""
    # Characters from U+DC80 to U+DCFF stand for bytes that the locale could not decode (surrogateescape, PEP 383).
    if argument.isascii() or not any("\udc80" <= c <= "\udcff" for c in argument):
        return argument
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        raise CommandFailed(
            ExitStatus.INPUT,
            "A text on the command line is not UTF-8.",
            "Check your locale, or give the text on standard input with `-`.",
        ) from None


def tolerate_any_text() -> None:
    """From now on, standard output prints an escape for each character that its encoding does not have, as standard
    error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
