"""A home for each test; its relay ends with it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from smpchat.relay.background import stop
from tests.e2e.smpchat import Home


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> Iterator[None]:
    """A suite that runs in the background has SIGINT ignored, and so would every process that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An empty home folder."""
    home = Home(tmp_path / "home")
    yield home
    stop(home.folder / "relay")
