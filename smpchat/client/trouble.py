"""Why a relay cannot be used at the moment, as a value. It alone decides what a person reads and a program gets."""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """What is wrong with a relay, or what it answered."""

    UNREACHABLE = "unreachable"
    NAME_NOT_FOUND = "name-not-found"
    ADDRESS = "address"
    """The address cannot be reached in any way: there is no such port, or it is an onion address and Tor is not
    used."""
    OWN_RELAY_STOPPED = "own-relay-stopped"
    """The relay of this computer was stopped."""
    OWN_RELAY_FAILED = "own-relay-failed"
    """The relay of this computer does not start."""
    NOT_PUBLIC = "not-public"
    """Someone else named this relay, and it is on this computer or in its network; smpchat did not connect to it."""
    PROXY = "proxy"
    """The SOCKS proxy failed; the relay was not reached through it."""
    PRIVATE_ROUTING = "private-routing"
    """Our own relay, which should forward, does not."""
    FINGERPRINT = "fingerprint"
    """The one who answers is not the relay that the address names."""
    CERTIFICATE_TIME = "certificate-time"
    VERSION = "version"
    PASSWORD = "password"
    """NEW: AUTH. The relay needs a password, or another password, or accepts no new queues."""
    FULL_QUEUE = "queue-full"
    """SEND: QUOTA. The peer has not read for a long time. Or the relay is full: SMP has no other word for that."""
    RELAY_FULL = "relay-full"
    """QUOTA for anything else: the relay accepts nothing new at the moment."""
    CANNOT_STORE = "cannot-store"
    """INTERNAL or STORE: the relay's disk is full, for example."""
    BLOCKED = "blocked"
    """The relay's operator has blocked the queue."""
    FAULTY = "faulty"
    """It breaks the protocol."""
    GONE = "gone"
    """FGET: AUTH. The file has expired at the relay, or its sender deleted it there."""
    NOT_UPLOADED = "not-uploaded"
    """FGET: NO_FILE. This part of the file was registered, but its bytes never arrived at the relay."""
    DAMAGED = "damaged"
    """The bytes at the relay do not match the file's description."""
    CANNOT_WRITE = "cannot-write"
    """This computer's disk is full or read-only, which is not the fault of a relay."""
    FILE_LOST = "file-lost"
    """The data to be sent is no longer on this computer, or was changed there."""
    TIME_UP = "time-up"
    """The time limit for trying has ended."""

    @property
    def ends_sessions(self) -> bool:
        """Whether nothing at all can be done at the relay. With other troubles, only the current command fails."""
        return self not in _ANSWERS


_ANSWERS = frozenset(
    {
        Trouble.PASSWORD,
        Trouble.FULL_QUEUE,
        Trouble.RELAY_FULL,
        Trouble.CANNOT_STORE,
        Trouble.BLOCKED,
        Trouble.GONE,
        Trouble.NOT_UPLOADED,
        Trouble.DAMAGED,
        Trouble.CANNOT_WRITE,
        Trouble.FILE_LOST,
        Trouble.TIME_UP,
    }
)
