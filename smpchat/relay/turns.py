"""Takes work from several owners in turn, so that no owner must wait until all work of the other owners is done."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
W = TypeVar("W")


class Turns(Generic[K, W]):
    """A queue for the work of several owners, who take turns: one piece of work in each turn. Each owner's pieces of
    work stay in order. An owner that had no work and gets a piece is a *newcomer* until the owner's next turn."""

    def __init__(self) -> None:
        self._newcomers: OrderedDict[K, deque[W]] = OrderedDict()
        self._others: OrderedDict[K, deque[W]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._newcomers or self._others)

    @property
    def newcomers(self) -> int:
        """The number of newcomers."""
        return len(self._newcomers)

    def put(self, owner: K, work: W) -> None:
        """Adds a piece of work for an owner, after the owner's other pieces."""
        pieces = self._others.get(owner)
        if pieces is None:
            pieces = self._newcomers.setdefault(owner, deque())
        pieces.append(work)

    def take(self, *, newcomers_first: bool) -> W:
        """Removes and returns the next piece of work.

        With ``newcomers_first``, newcomers come before the other owners; without it, they come after them. Within each
        of these two kinds, the owner that has waited longest comes first.

        Raises:
            KeyError: There is no work.
        """
        first, second = (self._newcomers, self._others) if newcomers_first else (self._others, self._newcomers)
        owner, pieces = (first or second).popitem(last=False)
        work = pieces.popleft()
        if pieces:
            self._others[owner] = pieces
        return work
