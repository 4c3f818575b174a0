"""Schedules that nobody thought of: several faults, crashes and outages of the relay in one conversation."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from smpchat.testing.relay import Fault, FaultKind
from tests.faults.people import CrashPlan
from tests.faults.test_conversation import SETTINGS, Setting, check, converse

faults = st.lists(st.builds(Fault, st.integers(1, 40), st.sampled_from(FaultKind)), max_size=4)
crashes = st.lists(st.tuples(st.integers(1, 45), st.booleans()), max_size=3)
outages = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 300)), max_size=2)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(SETTINGS), faults, crashes, crashes, outages)
def test_any_schedule_of_faults_ends_in_the_same_transcript(
    setting: Setting,
    faults: list[Fault],
    alices: list[tuple[int, bool]],
    bobs: list[tuple[int, bool]],
    outages: list[tuple[float, float]],
) -> None:
    plans = {"alice": CrashPlan(*alices), "bob": CrashPlan(*bobs)}
    with tempfile.TemporaryDirectory() as folder:
        check(converse(Path(folder), setting, plans=plans, faults=faults, outages=outages), setting)
