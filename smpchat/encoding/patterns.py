"""Regular expressions that are compiled at their first use.

Compiling one takes 0.1 to 1 ms. The modules that every start imports contain thirty, and a command uses about three of
them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable


def late(expression: str, flags: int = 0) -> Callable[[], re.Pattern[str]]:
    """A function that returns the compiled expression. Mistakes in an expression show only at its first use, so a test
    uses each."""
    return functools.cache(functools.partial(re.compile, expression, flags))
