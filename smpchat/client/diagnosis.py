"""Finds out what is wrong, as a `Trouble`, from the error that was raised or that a relay sent."""

from __future__ import annotations

from smpchat.client.errors import SessionClosed
from smpchat.client.private_routing import PrivateRoutingFailed
from smpchat.client.trouble import Trouble
from smpchat.protocol.commands import Command, Send
from smpchat.protocol.errors import (
    CertificateTimeError,
    ErrorCode,
    IdentityError,
    ProtocolError,
    RemoteProtocolError,
    SMPError,
    VersionError,
)
from smpchat.transport.base import (
    AddressRefused,
    AddressUnusable,
    CertificateNotCurrent,
    ChainRefused,
    NameNotFound,
    OwnRelayFailed,
    OwnRelayStopped,
    ProxyFailed,
    TransportError,
)

_KINDS: tuple[tuple[type[Exception], Trouble], ...] = (
    # several classes may fit an error: the first of them counts
    (PrivateRoutingFailed, Trouble.PRIVATE_ROUTING),
    (NameNotFound, Trouble.NAME_NOT_FOUND),
    (AddressUnusable, Trouble.ADDRESS),
    (OwnRelayStopped, Trouble.OWN_RELAY_STOPPED),
    (OwnRelayFailed, Trouble.OWN_RELAY_FAILED),
    (AddressRefused, Trouble.NOT_PUBLIC),
    (ProxyFailed, Trouble.PROXY),
    (CertificateNotCurrent, Trouble.CERTIFICATE_TIME),
    (ChainRefused, Trouble.FINGERPRINT),
    (TransportError, Trouble.UNREACHABLE),
    (CertificateTimeError, Trouble.CERTIFICATE_TIME),
    (IdentityError, Trouble.FINGERPRINT),
    (VersionError, Trouble.VERSION),
    (ProtocolError, Trouble.FAULTY),
)


def trouble_of(error: Exception) -> Trouble:
    """The `Trouble` that ``error`` means. ``error`` is either a failure to connect to a relay, or a relay's ERR."""
    if isinstance(error, SMPError):
        return trouble_of_code(error.code)
    if isinstance(error, SessionClosed) and isinstance(error.__cause__, RemoteProtocolError):
        return Trouble.FAULTY
    return next((trouble for kind, trouble in _KINDS if isinstance(error, kind)), Trouble.FAULTY)


def trouble_of_code(code: ErrorCode) -> Trouble:
    """The `Trouble` that a relay's ERR means in answer to a command that is not about an existing queue, such as NEW.

    In answer to such a command, AUTH means `Trouble.PASSWORD`. (In answer to a command about a queue, AUTH would mean
    that the queue no longer exists.) For an ERR in answer to SEND, use `trouble_of_command`: there, QUOTA means that
    the queue is full.
    """
    if code.is_blocked:
        return Trouble.BLOCKED
    match code.words[0]:
        case "QUOTA":
            return Trouble.RELAY_FULL
        case "INTERNAL" | "STORE":
            return Trouble.CANNOT_STORE
        case "AUTH":
            return Trouble.PASSWORD
    return Trouble.FAULTY


def trouble_of_command(command: Command, error: SMPError) -> Trouble:
    """The `Trouble` that a relay's ERR to ``command`` means. QUOTA means a full queue only in answer to SEND."""
    found = trouble_of(error)
    return Trouble.FULL_QUEUE if found is Trouble.RELAY_FULL and isinstance(command, Send) else found
