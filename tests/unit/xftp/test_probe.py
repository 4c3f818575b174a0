"""The test of a relay of files: each step with its time, and the first that fails with its reason."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from smpchat.client.probe import Check
from smpchat.client.trouble import Trouble
from smpchat.protocol.address import FileServerAddress
from smpchat.protocol.xftp.commands import Err, FDel, FGet, FileAnswer, FNew, FPut
from smpchat.protocol.xftp.errors import AUTH, INTERNAL, QUOTA
from smpchat.testing.entropy import SeededEntropy
from smpchat.xftp.probe import probe_files
from smpchat.xftp.routes import FileRoutes
from tests.unit.transport.support import NOW
from tests.unit.xftp.relay import FileRelay, a_file_relay, in_loop

ALL = ["connect", "hello", "FNEW", "FPUT", "FGET", "FDEL"]


async def probed(relay: FileRelay, password: str | None = None, timeout: float = 10) -> tuple[bool, list[Check]]:  # noqa: ASYNC109
    checks: list[Check] = []
    entropy = SeededEntropy("probe")
    passed = await probe_files(
        FileServerAddress(relay.server, password),
        checks.append,
        network=FileRoutes(entropy),
        entropy=entropy,
        timeout=timeout,
        now=lambda: NOW,
    )
    return passed, checks


@in_loop
async def test_every_step_is_told() -> None:
    async with a_file_relay() as relay:
        passed, checks = await probed(relay)
        assert passed and [check.name for check in checks] == ALL
        assert all(check.ok and check.seconds >= 0 for check in checks)
        assert checks[1].detail == "XFTP version 3"
        assert not relay.chunks


@pytest.mark.parametrize(
    ("command", "code", "password", "words", "trouble"),
    [
        (FNew, AUTH, None, "needs a password for new files, or does not allow new files", Trouble.PASSWORD),
        (FNew, AUTH, "word", "refuses the password in its address", Trouble.PASSWORD),
        (FPut, QUOTA, None, "no space left", Trouble.RELAY_FULL),
        (FGet, INTERNAL, None, "INTERNAL", None),
        (FDel, INTERNAL, None, "INTERNAL", None),
    ],
)
@in_loop
async def test_the_first_failure_is_the_last_step(
    command: type[Any], code: Any, password: str | None, words: str, trouble: Trouble | None
) -> None:
    refused: list[object] = []

    def once(asked: object) -> FileAnswer | None:
        if isinstance(asked, command) and not refused:
            refused.append(asked)
            return Err(code)
        return None

    async with a_file_relay() as relay:
        relay.instead = once
        passed, checks = await probed(relay, password)
        assert not passed and not checks[-1].ok
        assert checks[-1].name == command.__name__.upper()
        assert words in checks[-1].detail and checks[-1].trouble is trouble
        assert not relay.chunks, "what was made is deleted all the same"


@in_loop
async def test_a_relay_that_is_not_there_is_told() -> None:
    async with a_file_relay() as relay:
        pass
    passed, checks = await probed(relay)
    assert not passed and [(check.name, check.trouble) for check in checks] == [("connect", Trouble.UNREACHABLE)]


@in_loop
async def test_a_relay_that_stops_to_answer_is_told() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async with a_file_relay() as relay:
        relay.before = forever
        passed, checks = await probed(relay, timeout=1.0)
        assert not passed and checks[-1].name == "FNEW" and "did not answer" in checks[-1].detail
