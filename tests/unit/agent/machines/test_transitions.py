"""The tables of docs/handshake.md: what they leave out makes no difference."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from smpchat.testing.transitions import Conditions, Outcome, shortened

FIELDS = ("state.made", "event.keyed", "link.key")
POINTS: list[Conditions] = [
    dict(zip(FIELDS, values, strict=True)) for values in itertools.product((True, False), repeat=len(FIELDS))
]
OUTCOMES: list[Outcome] = [("Joining", "none"), ("Confirming", "SendConfirmation"), ("Failed", "none")]


@given(st.lists(st.sampled_from([None, *OUTCOMES]), min_size=len(POINTS), max_size=len(POINTS)))
def test_each_step_has_its_outcome_and_no_other(chosen: list[Outcome | None]) -> None:
    """None: a step that cannot happen."""
    steps = [(point, outcome) for point, outcome in zip(POINTS, chosen, strict=True) if outcome is not None]
    rows = shortened(steps)
    assert len(rows) <= len(steps)
    for point in POINTS:
        said = {outcome for conditions, outcome in rows if conditions.items() <= point.items()}
        happens = {outcome for other, outcome in steps if other == point}
        assert said == happens or (not happens and len(said) <= 1)


def test_a_condition_without_effect_is_left_out() -> None:
    steps: list[tuple[Conditions, Outcome]] = [
        (point, OUTCOMES[0] if point["event.keyed"] else OUTCOMES[1]) for point in POINTS
    ]
    assert shortened(steps) == [({"event.keyed": True}, OUTCOMES[0]), ({"event.keyed": False}, OUTCOMES[1])]
