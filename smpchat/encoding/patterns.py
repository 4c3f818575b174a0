"""Regular expressions that are compiled at their first use.

Compiling a regular expression takes 0.1 to 1 ms. Each start of smpchat imports modules with thirty regular expressions,
of which a command uses about three.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable


def late(expression: str, flags: int = 0) -> Callable[[], re.Pattern[str]]:
    """A function that returns the compiled regular expression. A mistake in a regular expression shows only at its
    first use, so a test uses each regular expression."""
    return functools.cache(functools.partial(re.compile, expression, flags))
