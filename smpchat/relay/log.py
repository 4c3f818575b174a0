"""The relay's log: one line for each event on standard error, with nothing that distinguishes clients.

At level INFO no line names a queue, a client or its address; DEBUG, for finding bugs, may name addresses.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import TextIO


class OneLine(logging.Formatter):
    """Time, level and message; for an exception, only its type and where it was raised, because its words may name a
    client."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        return super().format(record).replace("\n", " ")

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """See `logging.Formatter.formatException`."""
        kind, _, where = ei
        frames = traceback.extract_tb(where)
        name = "error" if kind is None else kind.__name__
        return f"({name} in {frames[-1].name}, line {frames[-1].lineno} of {frames[-1].filename})" if frames else name


def start_log(*, verbose: bool = False, quiet: bool = False, stream: TextIO | None = None) -> None:
    """Lets this process log as a relay.

    Args:
        verbose: DEBUG, and whole tracebacks.
        quiet: Nothing below WARNING.
        stream: In place of standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s") if verbose else OneLine())
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    root = logging.getLogger()
    for other in root.handlers[:]:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("smpchat").setLevel(level)
