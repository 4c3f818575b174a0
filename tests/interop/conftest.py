"""Every test of this folder needs the real programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.peers import missing

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = missing()
    if reason is not None:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))
