"""Waiting for changes: none is missed, a burst is few looks, and nothing wakes anybody while nothing happens."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smpchat.agent.online.changes import PAUSE, POLL, Changes, ForeignChanges
from smpchat.agent.store.database import Database
from smpchat.agent.store.signals import POLL_WITHOUT_SIGNALS, Signals
from smpchat.testing.loop import run_jumping

SCHEMA = {"test": ["CREATE TABLE texts (text TEXT)"]}


@contextmanager
def two(folder: Path) -> Iterator[tuple[Database, Database]]:
    """Two connections to one store, as two processes have them."""
    mine, other = Database(folder / "test.db", SCHEMA), Database(folder / "test.db", SCHEMA)
    try:
        yield mine, other
    finally:
        mine.close()
        other.close()


def insert(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute("INSERT INTO texts VALUES ('new')")


async def looks_at(database: Database, seconds: float, meanwhile: Callable[[], object]) -> list[float]:
    """The moments of all looks within so long of a task that waits for changes."""
    loop = asyncio.get_running_loop()
    moments = []

    async def look() -> None:
        with Changes(database) as changes:
            while True:
                moments.append(loop.time())
                await changes.next()

    tasks = [asyncio.ensure_future(look()), asyncio.ensure_future(ForeignChanges(database).run())]
    loop.call_later(seconds / 2, meanwhile)
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return moments


def test_nothing_happens_and_nobody_looks(tmp_path: Path) -> None:
    with two(tmp_path) as (mine, _):
        assert run_jumping(lambda: looks_at(mine, 600, lambda: None)) == [0.0]


def test_an_own_commit_is_looked_at_at_once(tmp_path: Path) -> None:
    with two(tmp_path) as (mine, _):
        assert run_jumping(lambda: looks_at(mine, 10, lambda: insert(mine))) == [0.0, 5.0]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="signals are Unix sockets")
def test_a_commit_elsewhere_is_looked_at_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp")
    with two(tmp_path) as (mine, other):
        assert run_jumping(lambda: looks_at(mine, 9, lambda: insert(other))) == [0.0, pytest.approx(4.5)]


def test_without_signals_a_commit_elsewhere_is_looked_at_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Signals, "listen", lambda _: None)
    with two(tmp_path) as (mine, other):
        [_, at] = run_jumping(lambda: looks_at(mine, 9.1, lambda: insert(other)))
        assert 0 < at - 4.55 <= POLL_WITHOUT_SIGNALS


def test_where_the_other_cannot_send_a_commit_is_looked_at_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Signals, "send", lambda _: None)  # another TMPDIR, perhaps
    with two(tmp_path) as (mine, other):
        [_, at] = run_jumping(lambda: looks_at(mine, 9.1, lambda: insert(other)))
        assert 0 <= at - 4.55 <= POLL


def test_a_burst_is_few_looks_and_its_end_is_looked_at(tmp_path: Path) -> None:
    async def main() -> tuple[int, int]:
        looks, seen = 0, 0
        with two(tmp_path) as (mine, _), Changes(mine) as changes:

            async def burst() -> None:
                for _ in range(100):
                    insert(mine)
                    await asyncio.sleep(PAUSE / 10)

            writing = asyncio.ensure_future(burst())
            while seen < 100:
                await changes.next()
                looks, seen = looks + 1, len(mine.read("SELECT * FROM texts"))
            await writing
        return looks, seen

    looks, seen = run_jumping(main)
    assert seen == 100
    assert looks <= 12


def test_what_happens_during_a_look_ends_the_next_wait(tmp_path: Path) -> None:
    async def main() -> float:
        with two(tmp_path) as (mine, _), Changes(mine) as changes:
            insert(mine)
            await changes.next(60)
            insert(mine)
            await changes.next(60)
        return asyncio.get_running_loop().time()

    assert run_jumping(main) <= 2 * PAUSE


def test_time_is_up_when_it_is_up(tmp_path: Path) -> None:
    async def main() -> float:
        with two(tmp_path) as (mine, _), Changes(mine) as changes:
            await changes.next(7)
        return asyncio.get_running_loop().time()

    assert run_jumping(main) == 7


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="signals are Unix sockets")
def test_another_process_is_heard_in_real_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp")
    program = (
        "import sys, time; from pathlib import Path; from smpchat.agent.store.database import Database\n"
        "with Database(Path(sys.argv[1]), {}).transaction() as tx:\n"
        "    tx.execute('INSERT INTO texts VALUES (?)', (str(time.time()),))\n"
    )

    async def main() -> float:
        with two(tmp_path) as (mine, _), Changes(mine) as changes:
            following = asyncio.ensure_future(ForeignChanges(mine).run())
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(mine.path))
            await changes.next(30)
            took = time.time() - float(mine.read("SELECT text FROM texts")[0]["text"])
            await process.wait()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        return took

    assert asyncio.run(main()) < POLL / 2
