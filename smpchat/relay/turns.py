"""Decides whose work is next, so that no one has to wait for all the work of others."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
W = TypeVar("W")


class Turns(Generic[K, W]):
    """Pieces of work by owner: one piece in each turn. The pieces of one owner come out in the order in which they were
    put in."""

    def __init__(self) -> None:
        self._newcomers: OrderedDict[K, deque[W]] = OrderedDict()
        self._others: OrderedDict[K, deque[W]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._newcomers or self._others)

    @property
    def newcomers(self) -> int:
        """Owners who have not had a turn since they last had nothing to do."""
        return len(self._newcomers)

    def put(self, owner: K, work: W) -> None:
        """Adds a piece."""
        pieces = self._others.get(owner)
        if pieces is None:
            pieces = self._newcomers.setdefault(owner, deque())
        pieces.append(work)

    def take(self, *, newcomers_first: bool) -> W:
        """The next piece of the owner who waited longest: among the newcomers or the others, as asked for, if there are
        any.

        Raises:
            KeyError: There is no work.
        """
        first, second = (self._newcomers, self._others) if newcomers_first else (self._others, self._newcomers)
        owner, pieces = (first or second).popitem(last=False)
        work = pieces.popleft()
        if pieces:
            self._others[owner] = pieces
        return work
