"""Regular expressions that are compiled when they are first used.

Compiling one takes 0.1 to 1 ms. The modules that a start imports have thirty, and a command uses three of them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable


def late(expression: str, flags: int = 0) -> Callable[[], re.Pattern[str]]:
    """A function that returns the compiled expression. A mistake in it is noticed only at its first use, so a test uses
    each."""
    return functools.cache(functools.partial(re.compile, expression, flags))
