"""The relay's log on standard error: one line per event, without anything that identifies clients.

At level INFO, no line contains a queue, a client or an address. At level DEBUG, which is for finding bugs, lines may
contain addresses.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import TextIO


class OneLine(logging.Formatter):
    """Writes a log record as one line: time, level and message. An exception is shown as its type and place only,
    because its text may identify a client."""

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
    """Sets up logging for a relay's process.

    Args:
        verbose: Log at level DEBUG, with whole tracebacks.
        quiet: Log nothing below level WARNING.
        stream: Where to write the log; None for standard error.
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
