"""Regular expressions that are compiled at their first use.

Compiling an expression takes 0.1 to 1 ms. Each start of smpchat imports modules with thirty expressions, of which a
command uses about three.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable


def late(expression: str, flags: int = 0) -> Callable[[], re.Pattern[str]]:
    """A function that returns the compiled expression. A mistake in an expression shows only at its first use, so a
    test uses each expression."""
    return functools.cache(functools.partial(re.compile, expression, flags))
