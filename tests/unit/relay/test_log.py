from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from smpchat.relay.gate import Gate
from smpchat.relay.log import start_log

LOG = logging.getLogger("smpchat.relay")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is one for the process, and the tests' own has to come back."""
    root, ours = logging.getLogger(), logging.getLogger("smpchat")
    handlers, level, ours_level = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(ours_level)


def lines(stream: io.StringIO) -> list[str]:
    return [line.split(" ", 2)[2] for line in stream.getvalue().splitlines()]


def a_fault() -> None:
    try:
        raise ValueError("about queue 17\nof alice")
    except ValueError:
        LOG.exception("a command failed")


def test_one_line_an_event_and_no_words_of_exceptions() -> None:
    start_log(stream=(stream := io.StringIO()))
    LOG.info("ready\nnow")
    LOG.debug("a detail")
    a_fault()
    first, fault = lines(stream)
    assert first == "INFO ready now"
    assert fault.startswith("ERROR a command failed (ValueError in a_fault, line ")
    assert "alice" not in fault


def test_verbose_says_more() -> None:
    start_log(verbose=True, stream=(stream := io.StringIO()))
    LOG.debug("a detail")
    a_fault()
    assert "DEBUG a detail" in stream.getvalue()
    assert "Traceback" in stream.getvalue()


def test_quiet_says_less_and_others_do_not_join_in() -> None:
    start_log(quiet=True, stream=(stream := io.StringIO()))
    LOG.info("ready")
    LOG.warning("take care")
    logging.getLogger("asyncio").info("chatter")
    assert lines(stream) == ["WARNING take care"]


def test_who_was_refused_is_not_told() -> None:
    start_log(verbose=True, stream=(stream := io.StringIO()))
    gate = Gate(1, 1)
    assert gate.enter("192.0.2.1")
    for number in range(10):
        assert not gate.enter(f"192.0.2.{number}")
    assert lines(stream) == [f"WARNING too many connections: {count} refused so far" for count in (1, 10)]
    assert gate.refused == 10
