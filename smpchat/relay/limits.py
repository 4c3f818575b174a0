"""The relay's limits for its clients, and the operating system's limit of open files for the relay."""

from __future__ import annotations

import logging
import sys
from datetime import timedelta

from smpchat.encoding.record import Record

QUOTA = 128
"""The default of `Limits.quota`, the maximum number of messages in a queue."""
PLAUSIBLE_PAUSE = 86_400
"""The longest plausible time between two checks of the clock, in seconds. If more time has passed, the relay does not
trust the clock at first, and removes no old messages (`SQLiteStore.see_clock`)."""
CERTIFICATE_WARNING = timedelta(days=30)
"""The operator is warned when the relay's certificate expires within this time."""


def runs_out(left: timedelta) -> str:
    """The end of a sentence about a certificate: ``expires in 2 days`` or ``expired 2 days ago``, for example."""
    days = abs(left) // timedelta(days=1)
    when = "" if days == 0 else "1 day" if days == 1 else f"{days} days"
    if left < timedelta():
        return f"expired {when} ago" if when else "expired less than a day ago"
    return f"expires in {when}" if when else "expires in less than a day"


_OTHER_DESCRIPTORS = 64
"""File descriptors reserved for everything except connections, with some to spare."""

_log = logging.getLogger("smpchat.relay")


class Limits(Record):
    """The relay's limits. A client that exceeds a limit must wait, gets an error, or is disconnected. Other clients do
    not notice this.

    Attributes:
        handshake: Maximum number of seconds for the TLS handshake. The SMP handshake after it may take as long again.
        write: A connection is closed if data waits for the client, but the client accepts nothing for this many
            seconds.
        idle: A connection without subscriptions is closed after this many seconds without a block (smp-wire 7.5).
        connections: Maximum number of open connections, including those in handshakes; further ones are closed at once.
        connections_per_address: Maximum number of open connections from one address; see `Gate`.
        new_queues: Maximum number of queues that one connection may create in a minute; further NEW commands get ERR
            QUOTA.
        unsent_bytes: If this many bytes wait for a client that does not read them, the relay stops reading from the
            client.
        quota: Maximum number of messages in a queue; when it is reached, SEND gets ERR QUOTA.
        stored: Maximum number of bytes that the content of the database may use. When the limit is reached, commands
            that need room get ERR QUOTA.
        free: If the disk has fewer free bytes than this, commands that need room get ERR QUOTA.
        keep: Seconds after which an unfetched message is removed (smp-wire 7.5).
        keep_notifications: Seconds after which an unsent notification is removed.
        expire_every: Seconds between two searches for old messages and notifications.
        notify_every: Seconds for which notifications are collected before they are pushed.
    """

    handshake: float = 60.0
    write: float = 120.0
    idle: float = 21_600.0
    connections: int = 10_000
    connections_per_address: int = 1_000
    new_queues: int = 3_000
    unsent_bytes: int = 1024 * 1024
    quota: int = QUOTA
    stored: int = 10 * 1024**3
    free: int = 64 * 1024**2
    keep: int = 21 * 86_400
    keep_notifications: int = 86_400
    expire_every: float = 7_200.0
    # The reference server also sends notifications in batches, every 1.5 s (smp-wire 5.5).
    notify_every: float = 1.5


def descriptors_for(connections: int, beside: int = 0) -> int:
    """Returns the number of connections that the operating system allows this process, at most ``connections``.
    Increases the soft limit of open files if necessary.

    Args:
        beside: The number of file descriptors that other parts of the process need at the same time.
    """
    if sys.platform == "win32":
        return connections
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = _OTHER_DESCRIPTORS + beside
    wanted = connections + others
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError) as failure:
        _log.warning("the limit of open files cannot be raised: %s", failure)
        most = soft
    return max(1, most - others)
