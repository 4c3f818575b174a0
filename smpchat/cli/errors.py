"""What a person reads and a script gets for every error: one table, from exception to sentences and exit status."""

from __future__ import annotations

import errno
import sqlite3

from smpchat.agent.errors import AgentError, NotNow, PassphraseRefused, StoreInUse, StoreTampered
from smpchat.agent.store.connections import UnknownConnection
from smpchat.chat.errors import (
    ArchiveDamaged,
    ArchiveForeign,
    ChatError,
    CodeDiffers,
    ConnectionFailed,
    DeliveryFailed,
    ProfileLocked,
    RelayUnavailable,
    TextsHeld,
)
from smpchat.chat.online.waiting import RelayDown
from smpchat.cli.exit_status import CommandFailed, ExitStatus, status_of
from smpchat.cli.text import happened_and_advice, sentence
from smpchat.crypto.errors import CryptoError, WrongPassphrase
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.encoding.record import Record
from smpchat.protocol.errors import (
    IdentityError,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    SMPError,
    VersionError,
)
from smpchat.relay.errors import BackupRefused, RelayError, RelayOptionRefused
from smpchat.transport.base import ChainRefused, ListenFailed, TransportError
from smpchat.transport.base import IdentityError as IdentityFileError

_TRY_AGAIN = "Try again in a moment; if it stays so, whoever runs the relay has to mend it. `smpchat status` shows it."
_WRONG_RELAY = "Check the relay's address with whoever runs it: somebody else may be answering in its place."
_REPORT = "Run the command again with -v, and report what it prints."


class Explanation(Record):
    """An error for people: what happened, what to do, and what the program ends with."""

    status: ExitStatus
    message: str
    hint: str


_TABLE: tuple[tuple[type[BaseException], ExitStatus, str | None], ...] = (
    # the first line that fits counts; a hint of None is the error's own
    (ProfileLocked, ExitStatus.LOCKED, None),
    (PassphraseRefused, ExitStatus.LOCKED, None),
    (StoreInUse, ExitStatus.LOCKED, None),
    (CodeDiffers, ExitStatus.VERIFICATION, None),
    (TextsHeld, ExitStatus.VERIFICATION, None),
    (ArchiveDamaged, ExitStatus.VERIFICATION, None),
    (ArchiveForeign, ExitStatus.VERIFICATION, None),
    (StoreTampered, ExitStatus.VERIFICATION, None),
    (ConnectionFailed, ExitStatus.REFUSED, None),
    (DeliveryFailed, ExitStatus.REFUSED, None),
    (ChatError, ExitStatus.INPUT, None),
    (AgentError, ExitStatus.INPUT, None),
    (RelayOptionRefused, ExitStatus.INPUT, None),
    (BackupRefused, ExitStatus.INPUT, None),
    (RelayError, ExitStatus.NETWORK, None),
    (UnknownConnection, ExitStatus.INPUT, "`smpchat status` shows what there is."),
    (ChainRefused, ExitStatus.VERIFICATION, _WRONG_RELAY),
    (IdentityFileError, ExitStatus.INPUT, "Restore the certificate files of the relay's folder from a copy."),
    (ListenFailed, ExitStatus.NETWORK, "Choose another port with --port, or stop the program that uses this one."),
    (
        TransportError,
        ExitStatus.NETWORK,
        "Check that this computer is online; if it is, only whoever runs the relay can mend it.",
    ),
    (IdentityError, ExitStatus.VERIFICATION, _WRONG_RELAY),
    (
        VersionError,
        ExitStatus.NETWORK,
        "Whichever of you and the relay has the lower versions must upgrade; or choose another relay.",
    ),
    (SMPError, ExitStatus.NETWORK, _TRY_AGAIN),
    (
        RemoteProtocolError,
        ExitStatus.NETWORK,
        "The relay is faulty: tell whoever runs it, or choose another with `smpchat server use ADDRESS`.",
    ),
    (LocalProtocolError, ExitStatus.INPUT, _REPORT),
    (ProtocolError, ExitStatus.NETWORK, _TRY_AGAIN),
    (WrongPassphrase, ExitStatus.LOCKED, "Try again with the one that the file was exported with."),
    (CryptoError, ExitStatus.VERIFICATION, "Nothing was shown or stored; ask your contact to send it again."),
    (DecodeError, ExitStatus.INPUT, "Check what you gave the command: a part of it is malformed."),
    (EncodeError, ExitStatus.INPUT, "Shorten what you gave the command: a part of it is too long."),
    (sqlite3.Error, ExitStatus.INPUT, "Check that the disk has room and that the folder belongs to you."),
    (EOFError, ExitStatus.INPUT, "Give the answer as an option of the command."),
)


def first_of(error: BaseException) -> BaseException:
    """The error itself, or the first one of a group."""
    # What failed first; the others ended because of it.
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def explain(error: BaseException) -> Explanation:
    """What to tell the person at the terminal. Of a group, the first error counts."""
    error = first_of(error)
    if isinstance(error, CommandFailed):
        return Explanation(error.status, str(error), error.hint)  # complete, and may begin with an alias
    if isinstance(error, UnicodeEncodeError):  # arguments that are no UTF-8 reach us with surrogates in them
        return Explanation(
            ExitStatus.INPUT, "Something on the command line is no UTF-8 text.", "Check your locale, or use `-`."
        )
    if isinstance(error, SMPError) and error.code.words[0] == "AUTH":
        return Explanation(
            ExitStatus.REFUSED,
            "The relay refused the command: the queue was deleted, or the key is not the queue's.",
            "Ask your contact for a new link.",
        )
    if type(error) in (AgentError, NotNow):  # the first is of a connection that failed for good
        happened, advice = happened_and_advice(str(error))
        status = ExitStatus.INPUT if isinstance(error, NotNow) else ExitStatus.REFUSED
        return Explanation(status, happened, advice or sentence(str(getattr(error, "hint", _REPORT))))
    if isinstance(error, RelayDown | RelayUnavailable):
        return Explanation(status_of(error.kind), _message(error), sentence(error.hint))
    for kind, status, hint in _TABLE:
        if isinstance(error, kind):
            return Explanation(status, _message(error), sentence(hint or str(getattr(error, "hint", _REPORT))))
    if isinstance(error, OSError):
        return Explanation(ExitStatus.INPUT, _message(error), _os_hint(error))
    return Explanation(ExitStatus.INPUT, f"smpchat failed unexpectedly ({type(error).__name__}).", _REPORT)


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return sentence(f"{error.filename} cannot be used: {error.strerror}")
    if isinstance(error, OSError) and error.strerror:
        return sentence(error.strerror)
    return sentence(str(error.args[0]) if error.args else "") or f"Something failed ({type(error).__name__})."


def _os_hint(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "Make room on the disk, then run the command again."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "Check whom the folder belongs to, or choose another with --home."
    return "Check the folder, or choose another with --home."
