"""KEM key pairs made ahead of time: when, how many, and who gets them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.agent.context import Context, SparedKEM
from smpchat.agent.online.spares import ON_ITS_WAY, QUIET, SPARES, SpareKeys
from smpchat.agent.store import kem_spares
from smpchat.agent.transactions import connection
from smpchat.crypto.kem import KEMUnavailable
from smpchat.testing.kem import HashKEM
from smpchat.testing.loop import run_jumping
from tests.unit.agent.agents import INSTANT, Agent


def test_pairs_leave_the_store_once_oldest_first(tmp_path: Path) -> None:
    alice, kem = Agent("alice", tmp_path), HashKEM()
    pairs = [kem.generate(), kem.generate()]
    for pair in pairs:
        alice.do(lambda tx, _, pair=pair: kem_spares.add(tx, *pair))  # type: ignore[misc]
    with alice.database.transaction() as tx:
        assert [kem_spares.take(tx), kem_spares.take(tx), kem_spares.take(tx)] == [*pairs, None]


def test_a_transaction_that_fails_keeps_them(tmp_path: Path) -> None:
    alice, kem = Agent("alice", tmp_path), HashKEM()
    alice.do(lambda tx, _: kem_spares.add(tx, *kem.generate()))
    with pytest.raises(ZeroDivisionError), alice.database.transaction() as tx:
        kem_spares.take(tx)
        raise ZeroDivisionError
    assert kem_spares.count(alice.tx) == 1


def test_spares_come_first_and_new_ones_after(tmp_path: Path) -> None:
    alice, kem = Agent("alice", tmp_path), HashKEM()
    spare = kem.generate()
    alice.do(lambda tx, _: kem_spares.add(tx, *spare))
    with alice.database.transaction() as tx:
        provider = SparedKEM(tx, kem)
        assert provider.generate() == spare and kem.generated == 1
        public, private = provider.generate()
        assert kem.generated == 2
        ciphertext, secret = provider.encapsulate(public)
        assert provider.decapsulate(private, ciphertext) == secret


def test_without_a_kem_nothing_works_and_nobody_wants_it(tmp_path: Path) -> None:
    alice, kem = Agent("alice", tmp_path), HashKEM()
    alice.do(lambda tx, _: kem_spares.add(tx, *kem.generate()))
    with alice.database.transaction() as tx, pytest.raises(KEMUnavailable):
        SparedKEM(tx, None).generate()
    assert not alice.context.wants_pq(7, 3)


class BrokenKEM(HashKEM):
    """A package that is there and cannot be imported."""

    def available(self) -> bool:
        return False


def test_a_kem_that_does_not_work_here_is_as_none(tmp_path: Path) -> None:
    alice = Agent("alice", tmp_path, BrokenKEM())
    alice.do(lambda tx, _: kem_spares.add(tx, *HashKEM().generate()))
    with alice.database.transaction() as tx, pytest.raises(KEMUnavailable):
        alice.context.kem_in(tx).generate()
    assert kem_spares.count(alice.tx) == 1
    assert not alice.context.wants_pq(7, 3)
    alice.invite()
    assert not alice.connection.pq_support


@pytest.mark.parametrize(("agent", "e2e", "wanted"), [(5, 3, True), (7, 3, True), (4, 3, False), (7, 2, False)])
def test_versions_decide(tmp_path: Path, agent: int, e2e: int, wanted: bool) -> None:
    alice = Agent("alice", tmp_path, HashKEM())
    context: Context = alice.context
    assert context.wants_pq(agent, e2e) is wanted


class TestMaking:
    def test_after_a_quiet_second_and_not_before(self, tmp_path: Path) -> None:
        async def main() -> None:
            alice, kem = Agent("alice", tmp_path), HashKEM()
            spares = SpareKeys(alice.database, kem)
            alice.database.watch(spares.plan)
            spares.plan()
            await asyncio.sleep(QUIET * 0.9)
            spares.plan()  # something happened
            await asyncio.sleep(QUIET * 0.9)
            assert kem.generated == 0
            await asyncio.sleep(QUIET * (SPARES + 5))
            assert kem.generated == kem_spares.count(alice.tx) == SPARES
            spares.cancel()

        run_jumping(main)

    def test_none_by_a_kem_that_does_not_work_here(self, tmp_path: Path) -> None:
        async def main() -> None:
            alice, kem = Agent("alice", tmp_path), BrokenKEM()
            spares = SpareKeys(alice.database, kem)
            for _ in range(2):
                spares.plan()
                await asyncio.sleep(QUIET * 2)
            assert kem.generated == 0

        run_jumping(main)

    @pytest.mark.parametrize("short_link", [False, True])
    def test_for_a_joiner_that_has_none_while_its_first_commands_are_on_their_way(
        self, tmp_path: Path, short_link: bool
    ) -> None:
        async def main() -> None:
            alice, bob, kem = Agent("alice", tmp_path), Agent("bob", tmp_path), HashKEM()
            link = alice.invite()
            bob.join((alice.short_link or "") if short_link else link)
            spares = SpareKeys(bob.database, kem)
            spares.plan()
            await asyncio.sleep(QUIET * 0.9)
            assert kem_spares.count(bob.tx) == 0, "while it connects, it would only be later"
            for _ in range(2):
                spares.commands_sent()
            await asyncio.sleep(ON_ITS_WAY * 1.5)
            assert kem_spares.count(bob.tx) == 1
            spares.commands_sent()
            await asyncio.sleep(ON_ITS_WAY * 1.5)
            assert kem_spares.count(bob.tx) == 1, "one is enough for now"
            spares.cancel()

        run_jumping(main)

    def test_an_inviter_is_in_no_hurry(self, tmp_path: Path) -> None:
        async def main() -> None:
            alice, kem = Agent("alice", tmp_path), HashKEM()
            alice.do(lambda tx, context: connection.invite(tx, context, INSTANT))
            spares = SpareKeys(alice.database, kem)
            spares.plan()
            spares.commands_sent()
            await asyncio.sleep(QUIET * 0.9)
            assert kem.generated == 0
            spares.cancel()

        run_jumping(main)

    @pytest.mark.parametrize("trouble", ["full", "locked", "malformed"])
    def test_a_store_that_takes_none_is_only_logged(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: str
    ) -> None:
        faults: list[object] = []

        def damaged(*_: object) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
            alice, kem = Agent("alice", tmp_path), HashKEM()
            alice.do(lambda tx, _: kem_spares.add(tx, *kem.generate()))
            if trouble == "malformed":
                monkeypatch.setattr(kem_spares, "add", damaged)
            with closing(sqlite3.connect(alice.database.path, isolation_level=None)) as other:
                if trouble == "full":
                    [pages] = alice.tx.execute("PRAGMA page_count").fetchone()
                    alice.tx.execute(f"PRAGMA max_page_count = {pages}")
                elif trouble == "locked":
                    alice.tx.execute("PRAGMA busy_timeout = 0")
                    other.execute("BEGIN IMMEDIATE")
                spares = SpareKeys(alice.database, kem)
                spares.plan()
                await asyncio.sleep(2 * QUIET)
                assert (kem.generated, kem_spares.count(alice.tx)) == (2, 1)
            alice.tx.execute("PRAGMA max_page_count = 10000")
            monkeypatch.undo()
            spares.plan()
            await asyncio.sleep(2 * QUIET)
            assert kem_spares.count(alice.tx) == SPARES, "it goes on once there is room again"
            spares.cancel()

        run_jumping(main)
        assert faults == []
        [record] = caplog.records
        assert (record.name, record.levelname) == ("smpchat.agent", "WARNING")
        assert trouble in record.getMessage()

    def test_none_without_a_kem(self, tmp_path: Path) -> None:
        async def main() -> None:
            alice = Agent("alice", tmp_path)
            SpareKeys(alice.database, None).plan()
            await asyncio.sleep(10 * QUIET)
            assert kem_spares.count(alice.tx) == 0

        run_jumping(main)
