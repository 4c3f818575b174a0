"""Regular expressions that are compiled when they are first used.

To compile one takes 0.1 to 1 ms. The modules that a start imports have thirty, and a command uses three of them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable


def late(expression: str, flags: int = 0) -> Callable[[], re.Pattern[str]]:
    """What gives the compiled expression. A mistake in it shows at the first use: a test uses each."""
    return functools.cache(functools.partial(re.compile, expression, flags))
