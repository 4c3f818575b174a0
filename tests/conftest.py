"""What every test leaves as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from smpchat.cli.logs import TRACE


@pytest.fixture(autouse=True)
def _no_trace_after_the_test() -> Iterator[None]:
    """A command with ``--trace`` in this process prints frames on a stream that ends with its test."""
    frames = logging.getLogger(TRACE)
    was = frames.handlers, frames.level, frames.propagate
    yield
    frames.handlers, frames.propagate = was[0], was[2]
    frames.setLevel(was[1])
