"""What goes to standard error: with `-v` a log of what happens, with `--trace` the name of every protocol frame."""

from __future__ import annotations

import logging
import sys

from smpchat.cli.environment import Environment

TRACE = "smpchat.trace"
"""The logger of protocol frames; see `smpchat.client.session`."""


def start_logs(environment: Environment) -> None:
    """Start to print the logs that the options `-v` and `--trace` ask for. Beside each protocol frame, `--trace` prints
    the milliseconds since the program began."""
    if environment.verbose:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    if environment.trace:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(relativeCreated)7.0f ms  %(message)s"))
        frames = logging.getLogger(TRACE)
        frames.setLevel(logging.DEBUG)
        # Otherwise -v would print each frame a second time, in the format of -v.
        frames.propagate = False
        frames.handlers = [handler]
