from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from smpchat.relay.control import Control, ask
from smpchat.relay.errors import RelayError, RelayNotRunning
from smpchat.relay.folder import CONTROL, FolderLock, RelayInfo, write_state
from smpchat.relay.local_http import Page


async def numbers() -> Page:
    return Page("application/json", b'{"sends": 3}')


async def no_object() -> Page:
    return Page("application/json", b"[]")


async def no_json() -> Page:
    return Page("application/json", b"?")


PAGES = {"/stats": numbers, "/list": no_object, "/text": no_json}


def as_running(folder: Path) -> FolderLock:
    """What a relay that runs has in its folder, but for the relay."""
    lock = FolderLock(folder)
    assert lock.acquire()
    write_state(folder, RelayInfo("running", "smp://x", os.getpid(), 5223))
    return lock


def asked(folder: Path, path: str, *, spoil: bool = False) -> dict[str, object]:
    async def within() -> dict[str, object]:
        control = Control(folder, PAGES)
        await control.open()
        try:
            if spoil:
                content = json.loads((folder / CONTROL).read_bytes())
                (folder / CONTROL).write_text(json.dumps(content | {"token": "guessed"}))
            return await asyncio.to_thread(ask, folder, path)
        finally:
            await control.close()
            await control.close()

    lock = as_running(folder)
    try:
        return asyncio.run(within())
    finally:
        lock.release()


def test_who_can_read_the_folder_is_answered(tmp_path: Path) -> None:
    assert asked(tmp_path, "/stats") == {"sends": 3}
    assert not (tmp_path / CONTROL).exists()


def test_a_file_of_a_killed_relay_is_replaced(tmp_path: Path) -> None:
    (tmp_path / CONTROL).write_text("old")
    assert asked(tmp_path, "/stats") == {"sends": 3}


@pytest.mark.parametrize(("path", "spoil", "words"), [("/stats", True, "token"), ("/none", False, "no such page")])
def test_who_is_refused_learns_why(tmp_path: Path, path: str, spoil: bool, words: str) -> None:
    with pytest.raises(RelayError, match=words):
        asked(tmp_path, path, spoil=spoil)


@pytest.mark.parametrize("path", ["/list", "/text"])
def test_an_answer_of_some_other_program(tmp_path: Path, path: str) -> None:
    with pytest.raises(RelayError, match="cannot be read"):
        asked(tmp_path, path)


@pytest.mark.skipif(sys.platform == "win32", reason="mode bits")
def test_only_the_owner_can_read_the_token(tmp_path: Path) -> None:
    async def within() -> int:
        control = Control(tmp_path, PAGES)
        await control.open()
        mode = stat.S_IMODE((tmp_path / CONTROL).stat().st_mode)
        await control.close()
        return mode

    assert asyncio.run(within()) == 0o600


def test_no_relay(tmp_path: Path) -> None:
    with pytest.raises(RelayNotRunning):
        ask(tmp_path, "/stats")


@pytest.mark.parametrize("content", [None, "", "[]", '{"port": 0, "token": "x"}', '{"port": 9, "token": 1}'])
def test_a_file_that_is_missing_or_damaged(tmp_path: Path, content: str | None) -> None:
    lock = as_running(tmp_path)
    if content is not None:
        (tmp_path / CONTROL).write_text(content)
    with pytest.raises(RelayError):
        ask(tmp_path, "/stats")
    lock.release()


def test_nobody_listens_there(tmp_path: Path) -> None:
    lock = as_running(tmp_path)
    (tmp_path / CONTROL).write_text('{"port": 1, "token": "x"}')
    with pytest.raises(RelayError, match="does not answer"):
        ask(tmp_path, "/stats")
    lock.release()
