"""How much of the space for files one address may use, if anyone may store files."""

from __future__ import annotations

from collections.abc import Callable

from smpchat.encoding.record import Record
from smpchat.relay.files.limits import FileLimits

_MOST_KNOWN = 50_000
"""Addresses that are remembered; of more, those that used the least are forgotten."""


class _Taken(Record):
    amount: float
    at: float


class Share:
    """An allowance for each address, which is restored as time goes by. It is kept only in memory, so that no file says
    who stored what.

    Args:
        most: Of one address.
        seconds: Seconds in which all of it is restored.
        clock: Seconds of any beginning.
    """

    def __init__(self, most: int, seconds: float, clock: Callable[[], float]) -> None:
        self._most, self._pace, self._clock = most, most / seconds, clock
        self._taken: dict[str, _Taken] = {}

    def _left_of(self, origin: str) -> float:
        known = self._taken.get(origin)
        return 0.0 if known is None else max(0.0, known.amount - max(0.0, self._clock() - known.at) * self._pace)

    def take(self, origin: str | None, amount: int) -> bool:
        """Whether an address may use so much more. If so, this is noted. None: the address is not counted."""
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
        """Notes that so much is free again."""
        if origin is None:
            return
        left = self._left_of(origin) - amount
        if left > 0:
            self._taken[origin] = _Taken(left, self._clock())
        else:
            self._taken.pop(origin, None)


class Shares:
    """Both allowances of an address: for bytes, and for the index."""

    _CHUNK, _RECIPIENT = 250, 120  # bytes that the index needs for each, measured

    def __init__(self, limits: FileLimits, clock: Callable[[], float]) -> None:
        self.stored = Share(limits.quota // limits.shares, limits.keep, clock)
        self._indexed = Share(limits.index // limits.shares, limits.keep, clock)

    def may_register(self, origin: str | None, recipients: int, *, new: bool) -> bool:
        """Whether an address may register a chunk, or more recipients of a chunk. If so, this is noted."""
        return self._indexed.take(origin, self._CHUNK * new + self._RECIPIENT * recipients)
