"""Limits how many contact requests a profile keeps, and how many of them it accepts automatically.

Each accepted request makes us connect to a relay that the requester chose, and keep a queue for the new contact.
Without a limit, one requester could make us connect to any number of relays. Requests beyond the limit wait for their
turn, and are accepted later. If too many requests wait, we find the relay that most of them name, and drop the newest
request that names it: a requester can change names and keys at will, but relays less easily.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.machines import handshake_states as states
from smpchat.agent.store import addresses, connections
from smpchat.protocol.address import SMPServer

MAX_REQUESTS = 1_000
"""How many requests may wait for an answer."""
PER_HOUR = 60
"""How many requests are accepted automatically in one hour."""
AT_ONCE = 10
"""While there are this many recent contacts whose relays we have not reached yet, no more requests are accepted
automatically: each try to reach a relay may take some seconds. Only contacts that were accepted automatically count."""
UNREACHED = 100
"""As `AT_ONCE`, but for contacts of any age: each of them costs a session with its relay, or repeated tries to
connect."""
YOUNG = 600.0
"""Seconds for which a contact counts as recent (see `AT_ONCE`)."""
PATIENCE = 7 * 86_400.0
"""Seconds after which an automatically accepted contact is given up, if the relay that the request names was never
reached."""
_HOUR = 3600.0


def relay_text(server: SMPServer) -> str:
    """The text under which requests that name this relay are counted: only the relay's hosts, because anyone can make
    up a fingerprint."""
    return ",".join(sorted(host.lower() for host in server.hosts))


def has_place(tx: sqlite3.Connection, relay: str) -> bool:
    """Whether one more request that names this relay is kept. The call may drop another request to make room."""
    if addresses.count_requests(tx) < MAX_REQUESTS:
        return True
    counts = addresses.requests_by_relay(tx)
    fullest = max(counts, key=lambda name: counts[name])
    # Find the relay that is named by the most requests. One of these requests is dropped, even if it is the new one: a
    # flood through one relay must not push out requests through other relays.
    if counts.get(relay, 0) + 1 >= counts[fullest]:
        return False
    addresses.delete_newest_of(tx, fullest)
    return True


def next_acceptance(tx: sqlite3.Connection, now: float) -> float:
    """When the next request may be accepted automatically, in POSIX seconds; ``now`` if at once. Changes nothing."""
    # Acceptances stored with a time later than now do not count: the clock was ahead when they were stored.
    times = {number: at for number, at in addresses.accepted_by_themselves(tx).items() if at <= now}
    unreached = [at for number, at in times.items() if _is_unreached(tx, number)]
    if len(unreached) >= UNREACHED:
        return now + YOUNG
    of_hour = sorted(at for at in times.values() if at > now - _HOUR)
    young = sorted(at for at in unreached if at > now - YOUNG)
    hourly = of_hour[-PER_HOUR] + _HOUR if len(of_hour) >= PER_HOUR else now
    at_once = young[-AT_ONCE] + YOUNG if len(young) >= AT_ONCE else now
    return max(hourly, at_once)


def note_acceptance(tx: sqlite3.Connection, connection_id: int, now: float) -> None:
    """Store that a request was accepted automatically, and delete earlier acceptances that no longer count."""
    times = addresses.accepted_by_themselves(tx)
    addresses.forget_accepted(tx, [n for n, at in times.items() if at <= now - _HOUR and not _is_unreached(tx, n)])
    addresses.note_accepted(tx, connection_id, now)


def next_given_up(tx: sqlite3.Connection) -> tuple[float, int] | None:
    """Which automatically accepted contact would be given up next: the time, in POSIX seconds, and the number of the
    contact's connection. None if the relays of all automatically accepted contacts were reached."""
    waiting = [(at, number) for number, at in addresses.accepted_by_themselves(tx).items() if _is_unreached(tx, number)]
    if not waiting:
        return None
    at, number = min(waiting)
    return at + PATIENCE, number


def _is_unreached(tx: sqlite3.Connection, connection_id: int) -> bool:
    return isinstance(connections.load(tx, connection_id).state, states.Joining | states.Confirming)
