"""Whose work is next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.relay.turns import Turns


def turns(*pieces: tuple[str, int]) -> Turns[str, tuple[str, int]]:
    made: Turns[str, tuple[str, int]] = Turns()
    for owner, number in pieces:
        made.put(owner, (owner, number))
    return made


def drained(work: Turns[str, tuple[str, int]], *, newcomers_first: bool) -> list[tuple[str, int]]:
    taken = []
    while work:
        taken.append(work.take(newcomers_first=newcomers_first))
    return taken


def test_one_piece_of_each_in_turn() -> None:
    work = turns(("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1), ("c", 2))
    assert work.newcomers == 3
    assert drained(work, newcomers_first=True) == [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("c", 2), ("a", 3)]


def test_a_newcomer_is_before_those_who_have_more() -> None:
    work = turns(("a", 1), ("a", 2), ("a", 3))
    work.take(newcomers_first=True)
    work.put("b", ("b", 1))
    assert work.newcomers == 1
    assert work.take(newcomers_first=True) == ("b", 1)
    assert work.newcomers == 0


def test_and_behind_them_every_other_time() -> None:
    work = turns(("a", 1), ("a", 2))
    work.take(newcomers_first=True)
    work.put("b", ("b", 1))
    assert work.take(newcomers_first=False) == ("a", 2)
    assert work.take(newcomers_first=False) == ("b", 1)


def test_who_has_nothing_left_is_a_newcomer_again() -> None:
    work = turns(("a", 1), ("b", 1), ("b", 2))
    work.take(newcomers_first=True)
    work.take(newcomers_first=True)
    work.put("a", ("a", 2))
    assert work.newcomers == 1


def test_without_work_there_is_nothing_to_take() -> None:
    work = turns(("a", 1))
    work.take(newcomers_first=False)
    assert not work
    with pytest.raises(KeyError):
        work.take(newcomers_first=True)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans())))
def test_everything_comes_out_once_and_in_the_order_of_its_owner(steps: list[tuple[str, bool, bool]]) -> None:
    work: Turns[str, tuple[str, int]] = Turns()
    put: list[tuple[str, int]] = []
    taken: list[tuple[str, int]] = []
    for number, (owner, takes, newcomers_first) in enumerate(steps):
        put.append((owner, number))
        work.put(owner, (owner, number))
        if takes:
            taken.append(work.take(newcomers_first=newcomers_first))
    taken += drained(work, newcomers_first=True)
    for owner in "abc":
        assert [piece for piece in taken if piece[0] == owner] == [piece for piece in put if piece[0] == owner]
