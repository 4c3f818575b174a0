"""The limits of the relay for its clients, and of the operating system for the relay."""

from __future__ import annotations

import logging
import sys
from datetime import timedelta

from smpchat.encoding.record import Record

QUOTA = 128
"""Messages that a queue holds before SEND is refused."""
PLAUSIBLE_PAUSE = 86_400
"""If more seconds pass between two looks at the clock, it is not believed at once; looks come every two hours."""
CERTIFICATE_WARNING = timedelta(days=30)
"""Time before the certificate of the relay expires, from which on the operator is warned."""


def runs_out(left: timedelta) -> str:
    """``runs out in 2 days``, ``ran out 2 days ago``: what a certificate does."""
    days = abs(left) // timedelta(days=1)
    when = "" if days == 0 else "1 day" if days == 1 else f"{days} days"
    if left < timedelta():
        return f"expired {when} ago" if when else "expired less than a day ago"
    return f"expires in {when}" if when else "expires in less than a day"


_OTHER_DESCRIPTORS = 64
"""Files that are open besides connections, with some to spare."""

_log = logging.getLogger("smpchat.relay")


class Limits(Record):
    """What the relay grants. A client that asks for more is held back, refused or closed; others do not notice.

    Attributes:
        handshake: Seconds for TLS, and again for the hellos.
        write: Seconds in which a client may receive nothing of what is sent to it.
        idle: Seconds without a block after which a client is closed that listens to no queue (smp-wire 7.5).
        connections: Open at a time, handshakes included; more are closed at once.
        connections_per_address: The same for one address, see `Gate`.
        new_queues: Queues that one connection creates in a minute; ERR QUOTA beyond.
        unsent_bytes: Bytes of answers that may wait for one client before the relay stops reading from it.
        quota: Messages that a queue holds.
        stored: Bytes of the database in use, beyond which nothing that needs room is accepted; ERR QUOTA.
        free: The same for bytes free on its disk, if there are fewer.
        keep: Seconds after which an unfetched message is removed (smp-wire 7.5).
        keep_notifications: The same for notifications.
        expire_every: Seconds between looking for such messages.
        notify_every: Seconds for which notifications may be collected before they are pushed.
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
    # Batches of 1.5 s, as the reference sends them (smp-wire 5.5, trap 31): what came together leaves together.
    notify_every: float = 1.5


def descriptors_for(connections: int, beside: int = 0) -> int:
    """How many connections, up to the given number, the operating system allows this process; raises its soft limit.

    Args:
        beside: Descriptors that something else needs at the same time.
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
