"""Every exit status of the program (cli.md), and the error that carries one."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """What a script learns from the end of a command."""

    OK = 0
    INPUT = 1
    USAGE = 2
    NETWORK = 3
    REFUSED = 4
    VERIFICATION = 5
    TIMEOUT = 6
    LOCKED = 7
    INTERRUPTED = 130


class CommandFailed(Exception):
    """Ends a command with a status, a sentence saying what happened and one saying what to do."""

    def __init__(self, status: ExitStatus, message: str, hint: str) -> None:
        super().__init__(message)
        self.status = status
        self.hint = hint
