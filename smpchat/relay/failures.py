"""Counts failed connections, and logs them at most once a minute, so that nobody can fill the log."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from enum import Enum

_log = logging.getLogger("smpchat.relay")


class Failure(Enum):
    """How a connection failed. The value of each member is the text for the log."""

    NO_TLS = "did not speak TLS (a proxy in front of the relay must not add a header or end TLS)"
    IN_TLS = "failed in the TLS handshake, or before the SMP handshake began"
    IN_SMP = "spoke TLS, but did not complete the SMP handshake (too slow, or no common version)"
    SILENT = ""
    """The client sent nothing, like programs that only check whether the port is open. Such a connection is
    not logged; it appears only in the statistics."""


_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "BAD_RECORD_TYPE", "UNEXPECTED_MESSAGE")


def failure_of(error: Exception) -> Failure:
    """How a connection failed before the SMP handshake. ``error``: the exception that ended the connection."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return Failure.NO_TLS if getattr(error, "reason", None) in _NO_TLS else Failure.IN_TLS
    return Failure.SILENT if isinstance(error, OSError) else Failure.IN_TLS


class FailureLog:
    """Logs how many connections failed, and how: at most one line a minute."""

    _EVERY = 60.0

    def __init__(self) -> None:
        self._counted: Counter[Failure] = Counter()
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def note(self, failure: Failure) -> None:
        """Counts a failed connection for the log. The line is written now, or less than a minute later."""
        if failure is Failure.SILENT:
            return
        self._counted[failure] += 1
        loop = asyncio.get_running_loop()
        if self._timer is None:
            wait = self._last + self._EVERY - loop.time()
            if wait > 0:
                self._timer = loop.call_later(wait, self.write)
            else:
                self.write()

    def write(self) -> None:
        """Logs the failures that were counted since the last line, if there are any."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._counted:
            self._last = asyncio.get_running_loop().time()
            told = (f"{count} {failure.value}" for failure, count in self._counted.items())
            _log.warning("failed connections: %s", "; ".join(told))
            self._counted.clear()
