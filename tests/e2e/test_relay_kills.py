"""A relay process killed under load loses nothing that it acknowledged."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.bench import file_kills
from tests.bench.kills import run


def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    outcome = asyncio.run(run(tmp_path / "relay", 3, connections=2, queues=3))
    assert outcome.faults == ()
    assert outcome.kills == 3
    assert 0 < outcome.accepted <= outcome.delivered <= outcome.accepted + outcome.uncertain


def test_files_that_were_confirmed_survive_kills_and_nothing_else_stays(tmp_path: Path) -> None:
    outcome = asyncio.run(file_kills.run(tmp_path / "relay", 3, clients=2))
    assert outcome.faults == ()
    assert outcome.kills == 3 and outcome.accepted > 0 and outcome.fetched > 0
