"""A chunk's life: every pair of state and event has its line, and every way ends somewhere."""

from __future__ import annotations

import pytest

from smpchat.agent.errors import UnexpectedEvent
from smpchat.agent.machines import file_transfer as machine
from smpchat.agent.machines.file_transfer import (
    DropReplica,
    ForgetPlace,
    Here,
    Lost,
    Moved,
    NotMoved,
    Placed,
    Registered,
    Spoilt,
    Stored,
    Unplaced,
    Wanted,
    step,
)
from smpchat.client.trouble import Trouble

UNREACHED = [Trouble.UNREACHABLE, Trouble.PROXY, Trouble.FINGERPRINT, Trouble.FAULTY, Trouble.CANNOT_STORE]
ELSEWHERE = [Trouble.RELAY_FULL, Trouble.PASSWORD, Trouble.GONE]


class TestSending:
    def test_a_chunk_is_registered_then_stored(self) -> None:
        assert step(Unplaced(), Registered()) == (Placed(), ())
        assert step(Placed(2), Moved()) == (Stored(), ())

    @pytest.mark.parametrize("trouble", [*UNREACHED, *ELSEWHERE])
    def test_until_a_relay_registers_it_any_other_one_may(self, trouble: Trouble) -> None:
        assert step(Unplaced(), NotMoved(trouble)) == (Unplaced(), ())

    @pytest.mark.parametrize("trouble", UNREACHED)
    def test_a_relay_that_has_registered_it_is_tried_again_and_then_another_one(self, trouble: Trouble) -> None:
        state: machine.State = Placed()
        for failures in range(1, machine.TRIES_AT_RELAY):
            state, effects = step(state, NotMoved(trouble))
            assert (state, effects) == (Placed(failures), ())
        assert step(state, NotMoved(trouble)) == (Unplaced(), (ForgetPlace(),))

    @pytest.mark.parametrize("trouble", ELSEWHERE)
    def test_a_full_relay_or_one_that_has_forgotten_it_is_left_at_once(self, trouble: Trouble) -> None:
        assert step(Placed(), NotMoved(trouble)) == (Unplaced(), (ForgetPlace(),))

    def test_bytes_that_a_relay_finds_wrong_are_sent_once_more(self) -> None:
        assert step(Placed(), NotMoved(Trouble.DAMAGED)) == (Placed(1), ())
        assert step(Placed(1), NotMoved(Trouble.DAMAGED)) == (Unplaced(), (ForgetPlace(),))

    @pytest.mark.parametrize("trouble", [Trouble.FILE_LOST, Trouble.BLOCKED])
    def test_what_is_wrong_with_the_file_itself_is_wrong_everywhere(self, trouble: Trouble) -> None:
        assert step(Placed(), NotMoved(trouble)) == (Lost(trouble), (ForgetPlace(),))

    def test_a_file_that_vanishes_before_it_is_registered_is_lost(self) -> None:
        assert step(Unplaced(), NotMoved(Trouble.FILE_LOST)) == (Lost(Trouble.FILE_LOST), ())


class TestReceiving:
    def test_a_chunk_is_wanted_then_here(self) -> None:
        assert step(Wanted(1, 2), Moved()) == (Here(), ())
        assert step(Wanted(spoilt=True), Moved()) == (Here(spoilt=True), ())

    @pytest.mark.parametrize("trouble", UNREACHED)
    def test_the_only_relay_is_waited_for(self, trouble: Trouble) -> None:
        assert step(Wanted(), NotMoved(trouble)) == (Wanted(), ())

    @pytest.mark.parametrize("trouble", UNREACHED)
    def test_of_several_relays_the_next_one_is_asked(self, trouble: Trouble) -> None:
        assert step(Wanted(0), NotMoved(trouble, replicas=2)) == (Wanted(1), ())
        assert step(Wanted(1), NotMoved(trouble, replicas=2)) == (Wanted(0), ())

    @pytest.mark.parametrize("trouble", [Trouble.GONE, Trouble.BLOCKED])
    def test_what_is_gone_at_one_relay_may_be_at_the_next(self, trouble: Trouble) -> None:
        assert step(Wanted(0), NotMoved(trouble, replicas=2)) == (Wanted(0), (DropReplica(),))
        assert step(Wanted(1), NotMoved(trouble, replicas=2)) == (Wanted(0), (DropReplica(),))
        assert step(Wanted(1), NotMoved(trouble, replicas=3)) == (Wanted(1), (DropReplica(),))
        assert step(Wanted(0), NotMoved(trouble)) == (Lost(trouble), ())

    @pytest.mark.parametrize(
        ("trouble", "tries"),
        [(Trouble.DAMAGED, machine.TRIES_DAMAGED), (Trouble.NOT_UPLOADED, machine.TRIES_NOT_UPLOADED)],
    )
    def test_what_may_have_been_an_accident_is_asked_for_again(self, trouble: Trouble, tries: int) -> None:
        state: machine.State = Wanted()
        for failures in range(1, tries):
            state, effects = step(state, NotMoved(trouble, replicas=2))
            assert (state, effects) == (Wanted(0, failures), ())
        assert step(state, NotMoved(trouble, replicas=2)) == (Wanted(0), (DropReplica(),))
        assert step(state, NotMoved(trouble)) == (Lost(trouble), ())

    def test_a_full_disk_of_ours_says_nothing_of_the_relay(self) -> None:
        assert step(Wanted(0, 1), NotMoved(Trouble.CANNOT_WRITE, replicas=2)) == (Wanted(0, 1), ())

    def test_what_is_damaged_here_is_fetched_once_more(self) -> None:
        assert step(Here(), Spoilt()) == (Wanted(spoilt=True), ())
        assert step(Here(spoilt=True), Spoilt()) == (Lost(Trouble.DAMAGED), ())

    @pytest.mark.parametrize("trouble", list(Trouble))
    def test_every_trouble_ends_or_leaves_a_place_to_ask(self, trouble: Trouble) -> None:
        """With three relays, whatever each of them answers: never a place that is not there, never for ever if lost."""
        state: machine.State = Wanted()
        left, answers = 3, 0
        while isinstance(state, Wanted) and answers < 100:
            assert 0 <= state.replica < left
            state, effects = step(state, NotMoved(trouble, replicas=left))
            left -= len(effects)
            answers += 1
        final = trouble in (Trouble.GONE, Trouble.BLOCKED, Trouble.DAMAGED, Trouble.NOT_UPLOADED)
        assert isinstance(state, Lost) is final


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (Stored(), Moved()),
        (Stored(), NotMoved(Trouble.GONE)),
        (Unplaced(), Moved()),
        (Placed(), Registered()),
        (Here(), Moved()),
        (Wanted(), Spoilt()),
        (Lost(Trouble.GONE), NotMoved(Trouble.GONE)),
    ],
)
def test_nothing_else_can_happen(state: machine.State, event: machine.Event) -> None:
    with pytest.raises(UnexpectedEvent):
        step(state, event)


def test_patience() -> None:
    assert machine.patience(sending=True) == 86_400
    assert machine.patience(sending=False) == 2 * 86_400
