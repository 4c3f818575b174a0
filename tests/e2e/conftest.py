"""A home for each test; its relay ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.smpchat import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An empty home folder."""
    home = Home(tmp_path / "home")
    yield home
    home.run("default", "relay", "stop")
