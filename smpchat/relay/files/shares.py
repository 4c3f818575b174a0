"""Limits how much of the space for files each address may use, if no password is needed to store files."""

from __future__ import annotations

from collections.abc import Callable

from smpchat.encoding.record import Record
from smpchat.relay.files.limits import FileLimits

_MOST_KNOWN = 50_000
"""The relay remembers for at most this many addresses how much each has used. If there are more, it forgets half of
them: those that have used the least."""


class _Taken(Record):
    amount: float
    at: float


class Share:
    """Gives each address the same allowance, a number of bytes. What an address has used of its allowance becomes
    available again little by little. What each address has used is kept only in memory, so that no file shows who
    stored how much.

    Args:
        most: The allowance of each address, in bytes.
        seconds: Seconds until a used-up allowance is full again.
        clock: Returns the time in seconds.
    """

    def __init__(self, most: int, seconds: float, clock: Callable[[], float]) -> None:
        self._most, self._pace, self._clock = most, most / seconds, clock
        self._taken: dict[str, _Taken] = {}

    def _left_of(self, origin: str) -> float:
        known = self._taken.get(origin)
        return 0.0 if known is None else max(0.0, known.amount - max(0.0, self._clock() - known.at) * self._pace)

    def take(self, origin: str | None, amount: int) -> bool:
        """Uses ``amount`` of the allowance of the address ``origin``. Returns False, and uses nothing, if less than
        ``amount`` is left. If ``origin`` is None, the client is not limited."""
        if origin is None:
            return True
        taken = self._left_of(origin) + amount
        if taken > self._most:
            return False
        self._taken[origin] = _Taken(taken, self._clock())
        if len(self._taken) > _MOST_KNOWN:
            by_amount = sorted(self._taken, key=self._left_of)
            for one in by_amount[: _MOST_KNOWN // 2]:
                del self._taken[one]
        return True

    def give_back(self, origin: str | None, amount: int) -> None:
        """Gives back ``amount`` of an address's allowance."""
        if origin is None:
            return
        left = self._left_of(origin) - amount
        if left > 0:
            self._taken[origin] = _Taken(left, self._clock())
        else:
            self._taken.pop(origin, None)


class Shares:
    """The two allowances of each address: for bytes of chunks, and for bytes of the index."""

    _CHUNK, _RECIPIENT = 250, 120  # bytes of the index for each chunk and for each recipient, measured

    def __init__(self, limits: FileLimits, clock: Callable[[], float]) -> None:
        self.stored = Share(limits.quota // limits.shares, limits.keep, clock)
        self._indexed = Share(limits.index // limits.shares, limits.keep, clock)

    def may_register(self, origin: str | None, recipients: int, *, new: bool) -> bool:
        """Uses some of an address's allowance for bytes of the index, to register a chunk with its recipients (``new``)
        or to add recipients to a chunk. Returns False, and uses nothing, if too little is left."""
        return self._indexed.take(origin, self._CHUNK * new + self._RECIPIENT * recipients)
