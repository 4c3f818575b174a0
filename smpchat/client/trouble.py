"""Why a relay is of no use just now, as a value: what a person reads and a program gets is chosen by it alone."""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """What is wrong with a relay, or what it answered."""

    UNREACHABLE = "unreachable"
    NAME_NOT_FOUND = "name-not-found"
    ADDRESS = "address"
    """It leads nowhere by any way there is: no such port, or an onion host without Tor."""
    OWN_RELAY_STOPPED = "own-relay-stopped"
    """The relay of this computer, by whoever uses it."""
    OWN_RELAY_FAILED = "own-relay-failed"
    """The relay of this computer does not start."""
    NOT_PUBLIC = "not-public"
    """Somebody else named it, and it is at an address of this computer or its network: nothing was looked for there."""
    PROXY = "proxy"
    """The SOCKS proxy; the relay was not asked."""
    PRIVATE_ROUTING = "private-routing"
    """The relay of ours that is to forward does not."""
    FINGERPRINT = "fingerprint"
    """Whoever answers is not the relay that the address names."""
    CERTIFICATE_TIME = "certificate-time"
    VERSION = "version"
    PASSWORD = "password"
    """NEW: AUTH. It wants a password, or another one, or makes no new queues."""
    FULL_QUEUE = "queue-full"
    """SEND: QUOTA. The peer has not read for long; or the relay is full, which SMP has no other word for."""
    RELAY_FULL = "relay-full"
    """QUOTA for anything else: the relay takes nothing new for now."""
    CANNOT_STORE = "cannot-store"
    """INTERNAL or STORE: its disk is full, say."""
    BLOCKED = "blocked"
    """Its operator has blocked the queue."""
    FAULTY = "faulty"
    """It breaks the protocol."""
    GONE = "gone"
    """FGET: AUTH. The file has expired at the relay, or was deleted there by whoever sent it."""
    NOT_UPLOADED = "not-uploaded"
    """FGET: NO_FILE. A place was made for this part of the file, and nothing ever came there."""
    DAMAGED = "damaged"
    """What the relay has is not what the file's description names."""
    CANNOT_WRITE = "cannot-write"
    """This computer's disk is full or read-only; no relay is to blame."""
    FILE_LOST = "file-lost"
    """What was to be sent is no longer on this computer, or was changed there."""
    TIME_UP = "time-up"
    """It was tried for as long as makes sense."""

    @property
    def ends_sessions(self) -> bool:
        """Whether nothing at all can be done at the relay; of the others only what was asked fails."""
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
