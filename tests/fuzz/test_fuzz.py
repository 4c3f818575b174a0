"""A short run of every target, what was found before, and that the tool finds what there is to find."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from smpchat.agent.transactions import receiving
from smpchat.encoding.reader import DecodeError
from smpchat.testing.entropy import SeededEntropy
from tests.fuzz import __main__ as program
from tests.fuzz import receiver, run
from tests.fuzz.mutate import BYTES, JSON, TEXT, Mutate, Mutator
from tests.fuzz.receiver import World, world
from tests.fuzz.target import SLOW, Target
from tests.fuzz.targets import chosen, every

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))
REJECTED = frozenset({"transport.hello-leaf"})
"""Targets whose seeds are never accepted: what is looked at comes before a check that they cannot pass."""


@pytest.mark.parametrize("name", every())
def test_a_short_run(name: str) -> None:
    """Seeds first: a target that reads none of them would try nothing."""
    target = every()[name]
    seeds = list(target.make_seeds())[:4]
    assert [target.check(seed) for seed in seeds] == [None] * len(seeds)
    accepted = 0
    for seed in seeds:
        assert target.check(seed) is None
        accepted += target.was_accepted
    assert accepted or name in REJECTED
    mutator = Mutator(random.Random(name))
    for _ in range(8 if name.startswith("receiver") else 60):
        data = target.next_input(mutator)
        assert target.check(data) is None, data.hex()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_was_found_is_mended(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    assert every()[case["target"]].check(bytes.fromhex(case["input"])) is None


# -- the tool ---------------------------------------------------------------------------------------------------------


def target(run: Callable[[bytes], object], *errors: type[Exception], seed: bytes = b"seed") -> Target:
    return Target("a target", run, errors, lambda: [seed])


def refuse(data: bytes) -> None:
    raise DecodeError("no")


def test_only_documented_errors_may_leave() -> None:
    assert target(refuse, DecodeError).check(b"") is None
    assert target(refuse, KeyError).check(b"") == "DecodeError: no"
    assert target(lambda data: data[7]).check(b"") == "IndexError: index out of range"

    def deep(data: bytes) -> None:
        deep(data)

    assert str(target(deep, DecodeError).check(b"")).startswith("RecursionError")


def test_an_input_that_takes_long_is_found() -> None:
    def busy(data: bytes) -> None:
        end = time.thread_time() + SLOW * 1.5
        while time.thread_time() < end:
            pass

    assert "takes 1" in str(target(busy).check(b""))


def test_a_machine_that_takes_long_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(1_000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(moments)))
    assert target(len).check(b"") is None


def test_memory_that_grows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([run.GROWTH, run.GROWTH + 1, 2 * run.GROWTH + 1])
    monkeypatch.setattr(run, "_resident", lambda: next(taken))
    rounds = run.turns([target(len)], seed=1, turn=0.0)
    outcome = run.Outcome()
    for _ in range(6):
        outcome.add(next(rounds))
    [finding] = outcome.findings
    assert "memory grew" in finding["problem"] and outcome.memory == run.GROWTH + 1


def test_the_same_seed_gives_the_same_inputs() -> None:
    seeds = [b'{"a":[1,"x",{"b":null}]}', "héllo".encode()]
    for mutate in (BYTES, TEXT, JSON):
        first, second = (_inputs(mutate, seeds, seed=7) for _ in range(2))
        assert first == second != _inputs(mutate, seeds, seed=8)
        assert len(set(first)) > 100


def _inputs(mutate: Mutate, seeds: list[bytes], *, seed: int) -> list[bytes]:
    mutator = Mutator(random.Random(seed))
    return [mutate(mutator, seeds[number % 2], seeds) for number in range(200)]


def test_a_finding_is_a_file_that_replays_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = {"target": "encoding.json", "input": b"[1]".hex(), "problem": "KeyError: 1"}
    path = run.save(finding, tmp_path / "found")
    assert run.save({**finding, "input": "00"}, tmp_path / "found") == path  # once
    monkeypatch.setattr("sys.argv", ["fuzz", "--replay", str(path)])
    assert program.main() == 0  # nothing is wrong with it

    def broken(data: bytes) -> None:
        raise KeyError(1)

    monkeypatch.setitem(every(), "encoding.json", Target("encoding.json", broken, (), lambda: [b""]))
    monkeypatch.setattr("sys.argv", ["fuzz", "--replay", str(path)])
    with pytest.raises(KeyError):
        program.main()


def test_targets_are_chosen_by_the_begin_of_their_names() -> None:
    assert {one.name.split(".")[0] for one in chosen(["receiver", "chat.body"])} == {"receiver", "chat"}
    with pytest.raises(ValueError, match="no target 'x'"):
        chosen(["x"])


# -- the receiver -----------------------------------------------------------------------------------------------------


@pytest.fixture
def here() -> World:
    return world()


def test_what_it_receives_changes_nothing(here: World) -> None:
    before = list(here.alice.database.connection.iterdump())
    for one in receiver.receivers():
        for seed in list(one.make_seeds())[:2]:
            assert one.check(seed) is None
    assert list(here.alice.database.connection.iterdump()) == before


def test_a_bystander_that_is_touched_is_found(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def receive(tx: object, *arguments: object) -> None:
        here.alice.tx.execute("UPDATE connections SET sent_id = sent_id + 1 WHERE id = ?", (here.carols,))

    monkeypatch.setattr(receiving, "receive", receive)
    assert "another contact was touched" in str(every()["receiver.chat"].check(b"{}"))


def test_a_message_that_writes_without_end_is_found(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def receive(tx: object, *arguments: object) -> None:
        for _ in range(receiver.MOST_CHANGES + 1):
            here.alice.tx.execute("INSERT INTO events (kind, payload) VALUES ('x', '{}')")

    monkeypatch.setattr(receiving, "receive", receive)
    assert "rows changed" in str(every()["receiver.chat"].check(b"{}"))


def test_content_reaches_the_innermost_layer(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes, ratchet, header and number are right: what is in them is what was mutated."""
    got: list[bytes] = []

    def received(tx: object, connection_id: int, body: bytes, *rest: object) -> bool:
        got.append(body)
        return False

    monkeypatch.setattr(here.alice.service.context.application, "message_received", received)
    body = SeededEntropy("body").random(300)
    here.chat(body)
    assert got == [body]
