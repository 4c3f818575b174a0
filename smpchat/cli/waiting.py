"""Being online while a command waits: look until it is so, time is up or no relay answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from smpchat.chat.online import FOLLOW_INTERVAL
from smpchat.chat.service import ChatService

RELAY_TIMEOUT = 20.0
"""Seconds in which a relay must be reached, unless `--timeout` says otherwise."""
_GRACE = 2.0  # a relay just started refuses connections for a moment
_FLUSH = 2.0

T = TypeVar("T")


class RelayDown(Exception):
    """No relay was reached in time; the text says why if it is known."""


async def until(service: ChatService, look: Callable[[], T | None], seconds: float) -> T | None:
    """What ``look`` finds; None after ``seconds``.

    Raises:
        RelayDown: Some relay refuses connections now, and a moment of patience did not help.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    while (found := look()) is None:
        waited = loop.time() - start
        trouble = trouble_now(service)
        if trouble and waited > min(_GRACE, seconds):
            raise RelayDown(trouble)
        if waited >= seconds:
            return None
        await asyncio.sleep(FOLLOW_INTERVAL)
    return found


def trouble_now(service: ChatService) -> str | None:
    """A relay that the online process is waiting to try again, and why; old records do not count."""
    now = service.now()
    for trouble in service.status().troubles.values():
        if trouble.next_try_at is None or trouble.next_try_at > now:
            return trouble.error
    return None


async def flush(service: ChatService) -> None:
    """Let acknowledgements and receipts leave; what does not leave in time is kept for whoever is online next."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _FLUSH
    while not service.is_idle() and loop.time() < deadline and not trouble_now(service):
        await asyncio.sleep(FOLLOW_INTERVAL)
