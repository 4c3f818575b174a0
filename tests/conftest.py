"""What every test leaves as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


def _loggers() -> list[logging.Logger]:
    named = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if name.startswith("smpchat")]
    return [logging.root, *named]


@pytest.fixture(autouse=True)
def _no_logs_after_the_test() -> Iterator[None]:
    """A command with ``-v`` or ``--trace`` in this process prints on a stream that ends with its test."""
    was = {logger: (list(logger.handlers), logger.level, logger.propagate) for logger in _loggers()}
    yield
    logging.disable(logging.NOTSET)  # the fuzzer turns all of it off, and runs in this process too
    for logger in _loggers():
        handlers, level, propagate = was.get(logger, ([], logging.NOTSET, True))
        if logger is not logging.root or not handlers:
            logger.handlers = handlers
        else:
            logger.handlers = [handler for handler in logger.handlers if type(handler) is not logging.StreamHandler]
        logger.setLevel(level)
        logger.propagate = propagate
