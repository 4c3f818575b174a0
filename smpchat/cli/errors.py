"""Chooses for every exception the sentences that a person reads, and the exit status that a script gets."""

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
    FileDamaged,
    FileNotSaved,
    FileStalled,
    FileUnavailable,
    ProfileLocked,
    RelayUnavailable,
    TextsHeld,
)
from smpchat.chat.online.patience import RelayDown
from smpchat.cli.exit_status import CommandFailed, ExitStatus, status_of
from smpchat.cli.text import happened_and_advice, sentence
from smpchat.client.trouble import Trouble
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
from smpchat.relay.errors import BackupRefused, RelayError, RelayFolderRefused, RelayOptionRefused
from smpchat.transport.base import ChainRefused, ListenFailed, TransportError
from smpchat.transport.base import IdentityError as IdentityFileError

_TRY_AGAIN = "Try again in a moment. If it keeps failing, tell the relay's operator. `smpchat status` shows the relay."
_WRONG_RELAY = "Someone else may be answering in the relay's place. Check the relay's address with its operator."
_REPORT = "This is a bug in smpchat. Run the command again with -v, and report what it prints."


class Explanation(Record):
    """An error for people: what happened, what to do, and the exit status."""

    status: ExitStatus
    message: str
    hint: str


_TABLE: tuple[tuple[type[BaseException], ExitStatus, str | None], ...] = (
    # The first row with a fitting exception type is used. A row that contains None instead of a hint is for exceptions
    # with an attribute `hint`.
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
    (FileDamaged, ExitStatus.VERIFICATION, None),
    (FileNotSaved, ExitStatus.INPUT, None),
    (FileUnavailable, ExitStatus.REFUSED, None),
    (ChatError, ExitStatus.INPUT, None),
    (AgentError, ExitStatus.INPUT, None),
    (RelayOptionRefused, ExitStatus.INPUT, None),
    (BackupRefused, ExitStatus.INPUT, None),
    (RelayFolderRefused, ExitStatus.INPUT, None),
    (RelayError, ExitStatus.NETWORK, None),
    (UnknownConnection, ExitStatus.INPUT, "`smpchat status` lists your invitations and connections."),
    (ChainRefused, ExitStatus.VERIFICATION, _WRONG_RELAY),
    (IdentityFileError, ExitStatus.INPUT, "Restore the certificate files in the relay's folder from a backup."),
    (ListenFailed, ExitStatus.NETWORK, "Stop the program that uses this port, or choose another port with --port."),
    (
        TransportError,
        ExitStatus.NETWORK,
        "Check that this computer is online. If it is, only the relay's operator can fix it.",
    ),
    (IdentityError, ExitStatus.VERIFICATION, _WRONG_RELAY),
    (
        VersionError,
        ExitStatus.NETWORK,
        (
            "If the relay needs newer versions of the protocol, upgrade smpchat. Otherwise ask the relay's operator to"
            " upgrade, or choose another relay."
        ),
    ),
    (SMPError, ExitStatus.NETWORK, _TRY_AGAIN),
    (
        RemoteProtocolError,
        ExitStatus.NETWORK,
        "The relay is faulty. Tell its operator, or choose another relay with `smpchat server use ADDRESS`.",
    ),
    (LocalProtocolError, ExitStatus.INPUT, _REPORT),
    (ProtocolError, ExitStatus.NETWORK, _TRY_AGAIN),
    (WrongPassphrase, ExitStatus.LOCKED, "Try again with the passphrase that was used for the export."),
    (CryptoError, ExitStatus.VERIFICATION, "Nothing was shown or stored. Ask your contact to send it again."),
    (DecodeError, ExitStatus.INPUT, "Check the arguments of the command: one of them is invalid."),
    (EncodeError, ExitStatus.INPUT, "Shorten the arguments of the command: one of them is too long."),
    (sqlite3.Error, ExitStatus.INPUT, "Check that the disk has free space and that the folder belongs to you."),
    (EOFError, ExitStatus.INPUT, "Give the answer as an option; `--help` lists the options."),
)


def first_of(error: BaseException) -> BaseException:
    """The error itself; for an exception group, the first error in it."""
    # The first error is the cause; the others follow from it.
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def explain(error: BaseException) -> Explanation:
    """What to tell the person at the terminal about an error. For an exception group, this is about its first error."""
    error = first_of(error)
    if isinstance(error, CommandFailed):
        return Explanation(error.status, str(error), error.hint)  # no capital letter: it may begin with an alias
    if isinstance(error, UnicodeEncodeError):  # arguments that are not UTF-8 contain surrogates
        return Explanation(
            ExitStatus.INPUT,
            "The command line contains text that is not UTF-8.",
            "Check your locale, or give the text on standard input with `-`.",
        )
    if isinstance(error, SMPError) and error.code.words[0] == "AUTH":
        return Explanation(
            ExitStatus.REFUSED,
            "The relay refused the command: the queue was deleted, or this profile has the wrong key for it.",
            "Ask your contact for a new link.",
        )
    if type(error) in (AgentError, NotNow):  # a plain AgentError means that a connection failed for good
        happened, advice = happened_and_advice(str(error))
        status = ExitStatus.INPUT if isinstance(error, NotNow) else ExitStatus.REFUSED
        return Explanation(status, happened, advice or sentence(str(getattr(error, "hint", _REPORT))))
    if isinstance(error, FileStalled) and error.kind in (None, Trouble.CANNOT_WRITE):
        status = ExitStatus.TIMEOUT if error.kind is None else ExitStatus.INPUT
        return Explanation(status, _message(error), sentence(error.hint))
    if isinstance(error, RelayDown | RelayUnavailable | FileStalled):
        return Explanation(status_of(error.kind), _message(error), sentence(error.hint))
    for kind, status, hint in _TABLE:
        if isinstance(error, kind):
            return Explanation(status, _message(error), sentence(hint or str(getattr(error, "hint", _REPORT))))
    if isinstance(error, OSError):
        return Explanation(ExitStatus.INPUT, _message(error), _os_hint(error))
    return Explanation(ExitStatus.INPUT, f"smpchat failed unexpectedly ({type(error).__name__}).", _REPORT)


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return sentence(f"Cannot use {error.filename}: {error.strerror}")
    if isinstance(error, OSError) and error.strerror:
        return sentence(error.strerror)
    return sentence(str(error.args[0]) if error.args else "") or f"Something failed ({type(error).__name__})."


def _os_hint(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "Free some disk space, then run the command again."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "Check who owns the folder, or choose another folder with --home."
    return "Check the folder, or choose another folder with --home."
