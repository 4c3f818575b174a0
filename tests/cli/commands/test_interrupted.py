"""Ctrl-C: each command says what has become of what it was doing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.cli.terminal import DELAY, Terminal


def after(seconds: float) -> Callable[[], Coroutine[Any, Any, None]]:
    async def interrupt() -> None:
        command = next(task for task in asyncio.all_tasks() if task.get_name() == "command")
        await asyncio.sleep(seconds)
        command.cancel()  # what asyncio.run does on SIGINT

    return interrupt


def test_listen_was_asked_to_stop(smpchat: Terminal) -> None:
    smpchat.connected()
    result = smpchat("-p", "alice", "listen", meanwhile=after(2))
    assert (result.code, result.stderr) == (130, "Stopped.\n")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (DELAY / 2, "The message is saved and will be sent."),
        (5, "The message was sent. `smpchat -p alice listen` shows when it is delivered."),
    ],
)
def test_a_message_is_kept(smpchat: Terminal, seconds: float, told: str) -> None:
    smpchat.connected()
    send = ("-p", "alice", "send", "bob", "hello", "--wait", "delivered", "--timeout", "60")
    result = smpchat(*send, meanwhile=after(seconds))
    assert result.code == 130 and result.stderr == f"Interrupted.\n{told}\n"
    smpchat("-p", "alice", "listen", "--timeout", "2")
    assert smpchat("-p", "bob", "listen", "--timeout", "2").stdout.count("hello") == 1
