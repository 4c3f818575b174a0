"""All targets by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tests.fuzz.decoders import decoders
from tests.fuzz.groups import groups
from tests.fuzz.receiver import receivers
from tests.fuzz.sequences import sequences
from tests.fuzz.target import Target


@cache
def every() -> dict[str, Target]:
    """Decoders first."""
    return {target.name: target for target in (*decoders(), *groups(), *receivers(), *sequences())}


def chosen(names: Sequence[str]) -> list[Target]:
    """Those with one of these names or beginnings; all if there are none. Raises ValueError for a name of none."""
    found = [target for name, target in every().items() if not names or any(map(name.startswith, names))]
    for name in names:
        if not any(target.name.startswith(name) for target in found):
            raise ValueError(f"there is no target {name!r}: --list names them")
    return found
