"""Which event loop a relay runs in."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import pytest

from smpchat.relay import loop


class Other(asyncio.SelectorEventLoop):
    """Stands for uvloop's."""


async def running() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


def test_uvloop_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("uvloop")
    module.new_event_loop = Other  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "uvloop", module)
    assert loop.run(running()) is Other


def test_pythons_own_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert issubclass(loop.run(running()), asyncio.BaseEventLoop)
