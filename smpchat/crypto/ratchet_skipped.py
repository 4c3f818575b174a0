"""Skipped keys: message keys kept for messages that have not arrived yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from smpchat.encoding.record import Record, field

MAX_STORED_SKIPPED = 2048
"""Maximum number of skipped keys that are kept for a connection; if there are more, the oldest are dropped. One message
can add 1,024 keys (512 of the peer's previous chain, 512 of its new one), so there is room for the keys of two such
messages. The reference has no limit: there, a peer can fill the user's disk."""


class SkippedId(NamedTuple):
    """Identifies the message that a skipped key decrypts: the header key of the message's chain, and the message's
    number in this chain."""

    header_key: bytes
    number: int

    def __repr__(self) -> str:
        return f"SkippedId(…, number={self.number})"


class SkippedKey(NamedTuple):
    """The key (32 bytes) and IV (16 bytes) of one message's body."""

    message_key: bytes
    iv: bytes

    def __repr__(self) -> str:
        return "SkippedKey(…)"


class SkippedKeys(Mapping[SkippedId, SkippedKey]):
    """A frozen mapping from message to key, in the order in which the keys were added, oldest first."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[SkippedId, SkippedKey] | Iterable[tuple[SkippedId, SkippedKey]] = ()) -> None:
        self._keys: dict[SkippedId, SkippedKey] = dict(keys)

    def __getitem__(self, key: SkippedId) -> SkippedKey:
        return self._keys[key]

    def __iter__(self) -> Iterator[SkippedId]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"SkippedKeys({len(self)} keys)"

    def header_keys(self) -> Iterable[bytes]:
        """The header keys of all stored keys, each header key only once."""
        return dict.fromkeys(key.header_key for key in self._keys)


class SkippedDiff(Record):
    """How one decrypted message changes the skipped keys: the store must delete ``removed`` and insert ``added``."""

    added: Mapping[SkippedId, SkippedKey] = field(default_factory=dict, repr=False)
    removed: tuple[SkippedId, ...] = ()

    def apply(self, skipped: SkippedKeys) -> SkippedKeys:
        """The skipped keys after this change."""
        if not self.removed and not self.added:
            return skipped
        removed = frozenset(self.removed)
        kept = {key: value for key, value in skipped.items() if key not in removed}
        return SkippedKeys({**kept, **self.added})


def set_aside(skipped: SkippedKeys, added: Mapping[SkippedId, SkippedKey]) -> SkippedDiff:
    """The diff that adds the keys in ``added``. If there would be more than `MAX_STORED_SKIPPED` keys, the diff also
    removes the oldest keys."""
    excess = len(skipped) + len(added) - MAX_STORED_SKIPPED
    return SkippedDiff(added, tuple(islice(skipped, max(0, excess))))
