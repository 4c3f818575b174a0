"""Every exit status of the program, and the exception that ends a command with one of them."""

from __future__ import annotations

from enum import IntEnum

from smpchat.client.trouble import Trouble


class ExitStatus(IntEnum):
    """How a command ended, for scripts: a number, and words for it.

    The README, the manual page, docs/json.md and `smpchat explain` use these titles and meanings. Tests check
    that the words are the same everywhere.

    Attributes:
        title: What the exit code means, in a few words.
        meaning: What the exit code means, as part of a sentence: without a capital letter or a full stop.
    """

    title: str
    meaning: str

    def __new__(cls, code: int, title: str, meaning: str) -> ExitStatus:
        """A status with its two texts, title and meaning. The value of the enum member is the exit code alone."""
        status = int.__new__(cls, code)
        status._value_ = code
        status.title, status.meaning = title, meaning
        return status

    OK = 0, "ok", "done"
    INPUT = (
        1,
        "a value cannot be used (such as an unknown alias), or a failure on this computer",
        "a value cannot be used, such as an unknown alias, or something failed on this computer",
    )
    USAGE = (
        2,
        "mistyped command (such as an unknown option or a missing argument)",
        "the command was mistyped: for example, an option is unknown or an argument is missing",
    )
    NETWORK = (
        3,
        "relay not reached (nothing is lost)",
        "a relay was not reached; messages are kept, and sent by the next smpchat that goes online",
    )
    REFUSED = (
        4,
        "gone for good (used or deleted link, ended connection, deleted file)",
        "a link was used or deleted, or a connection or file is gone for good",
    )
    VERIFICATION = (
        5,
        "a check failed (security code, certificate, file)",
        "a check failed: a security code, a relay's certificate or a file",
    )
    TIMEOUT = 6, "timed out", "the time limit ended, or too many messages are waiting"
    LOCKED = (
        7,
        "profile locked, or passphrase missing or wrong",
        "the profile is locked or was moved, or its passphrase is wrong or missing",
    )
    INTERRUPTED = 130, "interrupted", "interrupted"


_OF_TROUBLE = {
    Trouble.FINGERPRINT: ExitStatus.VERIFICATION,
    Trouble.CERTIFICATE_TIME: ExitStatus.VERIFICATION,
    Trouble.FULL_QUEUE: ExitStatus.TIMEOUT,
}


def status_of(trouble: Trouble | None) -> ExitStatus:
    """The exit status of a command that failed because a relay could not be used. ``trouble`` says why."""
    return ExitStatus.NETWORK if trouble is None else _OF_TROUBLE.get(trouble, ExitStatus.NETWORK)


class CommandFailed(Exception):
    """Ends a command with a status, a sentence saying what happened and one saying what to do."""

    def __init__(self, status: ExitStatus, message: str, hint: str) -> None:
        super().__init__(message)
        self.status = status
        self.hint = hint
