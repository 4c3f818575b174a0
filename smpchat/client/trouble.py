"""Why a relay cannot be used at the moment, as a `Trouble`. The value of each member of `Trouble` is a code for
programs; `smpchat.chat.troubles` has the sentences for people."""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """What is wrong with a relay, with the connection to it, with one command, or with a file."""

    UNREACHABLE = "unreachable"
    NAME_NOT_FOUND = "name-not-found"
    ADDRESS = "address"
    """The relay's address cannot be used: its port is not a valid number, or it is an onion address and Tor is not
    used."""
    OWN_RELAY_STOPPED = "own-relay-stopped"
    """The user has stopped the embedded relay, which runs on this computer."""
    OWN_RELAY_FAILED = "own-relay-failed"
    """The embedded relay does not start, or cannot be used."""
    NOT_PUBLIC = "not-public"
    """The relay's address came from another person, and leads to this computer or the local network. So smpchat did not
    connect to this relay."""
    PROXY = "proxy"
    """The SOCKS proxy failed, so the relay was not reached."""
    PRIVATE_ROUTING = "private-routing"
    """Private routing is on, but none of the user's own relays could forward the command."""
    FINGERPRINT = "fingerprint"
    """The relay that answers is not the one in the address."""
    CERTIFICATE_TIME = "certificate-time"
    VERSION = "version"
    PASSWORD = "password"
    """The relay answered NEW or FNEW with AUTH: the password is missing or wrong, or the relay accepts nothing new."""
    FULL_QUEUE = "queue-full"
    """The relay answered SEND with QUOTA: the peer has not read messages for a long time, or the relay is full. SMP has
    the same error for both cases."""
    RELAY_FULL = "relay-full"
    """The relay answered a command other than SEND with QUOTA: it accepts nothing new at the moment."""
    CANNOT_STORE = "cannot-store"
    """The relay answered INTERNAL, STORE, FILE_IO or TIMEOUT: for example, its disk is full."""
    BLOCKED = "blocked"
    """The relay's operator has blocked the queue."""
    FAULTY = "faulty"
    """The relay breaks the protocol."""
    GONE = "gone"
    """The file relay answered a command other than FNEW with AUTH: the file has expired there, or its sender deleted
    it."""
    NOT_UPLOADED = "not-uploaded"
    """The file relay answered NO_FILE: this part of the file was registered, but its bytes never arrived there."""
    DAMAGED = "damaged"
    """The bytes at the relay do not match the file's description."""
    CANNOT_WRITE = "cannot-write"
    """This computer's disk is full or read-only, which is not the fault of a relay."""
    FILE_LOST = "file-lost"
    """The data to be sent is no longer on this computer, or was changed there."""
    TIME_UP = "time-up"
    """The time limit for retries has passed."""

    @property
    def ends_sessions(self) -> bool:
        """Whether the whole relay cannot be used. False if only one command failed, and others may succeed."""
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
