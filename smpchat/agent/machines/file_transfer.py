"""A state machine for one chunk of a file that is sent or received: frozen states, pure ``step(state, event)``.

::

    sending     Unplaced → Placed (registered: FNEW) → Stored (FPUT)
    receiving   Wanted → Here (FGET, digest compared)

Until someone has the description of a file, only we know where its chunks are. So if a chunk is registered but cannot
be uploaded to its relay, it is registered at another relay, and the first one is told to delete it. A chunk that we
receive can only come from the relays that the description names for it.

Source: xftp-wire 2.4 and 6. If a relay is full, the reference (simplexmq) gives up the whole file; smpchat asks another
relay.
"""

from __future__ import annotations

from smpchat.agent.errors import UnexpectedEvent
from smpchat.agent.machines.retry import Delays
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import Record

SENDING_PATIENCE = 86_400.0
"""Seconds after which an upload is given up: by then its first chunks have one day left at their relays."""
RECEIVING_PATIENCE = 2 * 86_400.0
"""Seconds after which a download is given up: relays do not keep a file longer."""
DELETION_PATIENCE = 2 * 86_400.0
"""Seconds after which smpchat stops asking a relay to delete a chunk: by then the relay has deleted it by itself."""
SENDER_KEYS_KEPT = 7 * 86_400.0
"""Seconds from the start of an upload after which we forget the keys that can delete its chunks: by default, relays
keep files for only two days."""
RESTS = Delays(2, 180)
"""Delays before a file relay is tried again (xftp-wire 6)."""
TRIES_AT_RELAY = 3
"""How often the upload of a chunk may fail at its relay before another relay is asked."""
TRIES_NOT_UPLOADED = 5
"""How often we ask a relay for a chunk that it has registered, but whose bytes it does not have. After so many tries,
we no longer ask this relay for the chunk."""
TRIES_DAMAGED = 2
"""How often the bytes of a chunk may be wrong before we give up its relay for the chunk: the first time may have been
an accident."""

_SENDING_AGAIN_ELSEWHERE = frozenset({Trouble.RELAY_FULL, Trouble.PASSWORD, Trouble.GONE})
OF_THE_FILE = frozenset({Trouble.FILE_LOST, Trouble.BLOCKED})
"""Errors after which an outgoing file fails: its data is gone from this computer, or a relay's operator has blocked it.
Trying another relay would not help."""
DECIDED = frozenset({Trouble.FILE_LOST, Trouble.BLOCKED, Trouble.GONE, Trouble.DAMAGED})
"""Errors that need no delay: if there is a next try, it begins at once."""
_LOST_AT_RELAY = frozenset({Trouble.GONE, Trouble.BLOCKED})


# -- states -----------------------------------------------------------------------------------------------------------


class Unplaced(Record):
    """No relay knows of the chunk."""


class Placed(Record):
    """A relay has registered the chunk; uploading its bytes has failed ``failures`` times."""

    failures: int = 0


class Stored(Record):
    """The relay has the bytes of the chunk."""


class Wanted(Record):
    """The chunk must still be downloaded.

    Attributes:
        replica: Which relay we ask for the chunk next: an index, from 0, into the list of relays that the description
            names for this chunk. Relays that were found unusable are no longer in the list.
        failures: How often the download of the chunk from this relay has failed.
        spoilt: The chunk was downloaded before, and later found to be damaged.
    """

    replica: int = 0
    failures: int = 0
    spoilt: bool = False


class Here(Record):
    """The chunk is on our disk; ``spoilt``: see `Wanted`."""

    spoilt: bool = False


class Lost(Record):
    """The chunk can no longer be transferred, so the file cannot either."""

    trouble: Trouble


State = Unplaced | Placed | Stored | Wanted | Here | Lost


# -- events -----------------------------------------------------------------------------------------------------------


class Registered(Record):
    """A relay has registered the chunk."""


class Moved(Record):
    """The bytes of the chunk have been uploaded or downloaded."""


class NotMoved(Record):
    """Registering, uploading or downloading the chunk has failed.

    Attributes:
        replicas: For a download: how many relays we can still ask for the chunk. The relay that we have just asked
            counts, too.
    """

    trouble: Trouble
    replicas: int = 1


class Spoilt(Record):
    """The bytes that we stored for the chunk are not the right ones: they were damaged on our disk."""


Event = Registered | Moved | NotMoved | Spoilt


# -- effects ----------------------------------------------------------------------------------------------------------


class ForgetPlace(Record):
    """The relay must be told to delete the chunk that it registered."""


class DropReplica(Record):
    """Forget the relay that we have just asked for the chunk: it can no longer be used for this chunk."""


Effect = ForgetPlace | DropReplica
Step = tuple[State, tuple[Effect, ...]]


# -- transitions ------------------------------------------------------------------------------------------------------


def step(state: State, event: Event) -> Step:
    """The next state of a chunk, and the effects to be carried out. Raises `UnexpectedEvent`."""
    match state, event:
        case Unplaced(), Registered():
            return Placed(), ()
        case Unplaced(), NotMoved(trouble):
            return (Lost(trouble), ()) if trouble is Trouble.FILE_LOST else (state, ())
        case Placed(), Moved():
            return Stored(), ()
        case Placed(failures), NotMoved(trouble):
            return _not_taken(failures, trouble)
        case Wanted(spoilt=spoilt), Moved():
            return Here(spoilt), ()
        case Wanted(), NotMoved(trouble, replicas):
            return _not_given(state, trouble, replicas)
        case Here(False), Spoilt():
            return Wanted(spoilt=True), ()
        case Here(True), Spoilt():
            return Lost(Trouble.DAMAGED), ()
    raise UnexpectedEvent(state, event)


def _not_taken(failures: int, trouble: Trouble) -> Step:
    if trouble in OF_THE_FILE:
        return Lost(trouble), (ForgetPlace(),)
    tries = TRIES_DAMAGED if trouble is Trouble.DAMAGED else TRIES_AT_RELAY
    if trouble in _SENDING_AGAIN_ELSEWHERE or failures + 1 >= tries:
        return Unplaced(), (ForgetPlace(),)
    return Placed(failures + 1), ()


def _not_given(state: Wanted, trouble: Trouble, replicas: int) -> Step:
    tries = {Trouble.DAMAGED: TRIES_DAMAGED, Trouble.NOT_UPLOADED: TRIES_NOT_UPLOADED}.get(trouble)
    if trouble in _LOST_AT_RELAY or (tries is not None and state.failures + 1 >= tries):
        if replicas <= 1:
            return Lost(trouble), ()
        # When this relay is removed from the list, the next relay in the list gets its index.
        return Wanted(state.replica % (replicas - 1), 0, state.spoilt), (DropReplica(),)
    if trouble is Trouble.CANNOT_WRITE:
        return state, ()
    if tries is not None or replicas <= 1:
        # Failures to reach a relay are not counted: it may be back in an hour.
        return Wanted(state.replica, state.failures + (tries is not None), state.spoilt), ()
    return Wanted((state.replica + 1) % replicas, 0, state.spoilt), ()


# -- the file ---------------------------------------------------------------------------------------------------------


def patience(*, sending: bool) -> float:
    """Seconds after which a transfer is given up, counted from its start."""
    return SENDING_PATIENCE if sending else RECEIVING_PATIENCE
