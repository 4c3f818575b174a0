"""What two sides allow: the table of the apps' rule, and what profiles may hold."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.chat.wire.preferences import (
    APP_DEFAULTS,
    MAX_TTL,
    OWN_DEFAULTS,
    Allow,
    Enabled,
    Feature,
    Preference,
    Preferences,
    disappear_after,
    enabled,
    preferences_json,
    read_preferences,
)

NOBODY, BOTH, WE, THEY = Enabled(False, False), Enabled(True, True), Enabled(True, False), Enabled(False, True)
A, Y, N = Allow.ALWAYS, Allow.YES, Allow.NO

preferences = st.dictionaries(
    st.sampled_from(Feature),
    st.builds(Preference, st.sampled_from(Allow), st.none()),
)
with_times = st.builds(
    lambda others, allow, ttl: others | {Feature.TIMED_MESSAGES: Preference(allow, ttl)},
    preferences,
    st.sampled_from(Allow),
    st.none() | st.integers(0, MAX_TTL),
)


@pytest.mark.parametrize(
    ("we", "they", "who"),
    [
        (A, A, BOTH), (A, Y, BOTH), (Y, A, BOTH), (Y, Y, BOTH),
        (A, N, THEY), (N, A, WE), (Y, N, NOBODY), (N, Y, NOBODY), (N, N, NOBODY),
    ],
)  # fmt: skip
def test_the_rule_of_apps(we: Allow, they: Allow, who: Enabled) -> None:
    """simplex-chat, Types/Preferences.hs, `prefEnabled`; disappearing messages are the one symmetric feature."""
    for feature in Feature:
        found = enabled(feature, {feature: Preference(we)}, {feature: Preference(they)})
        assert found == (NOBODY if feature is Feature.TIMED_MESSAGES and who in (WE, THEY) else who), feature


def test_what_a_profile_leaves_out_is_as_apps_have_it() -> None:
    everything = {feature: enabled(feature, {}, {}) for feature in Feature}
    assert {feature for feature, who in everything.items() if who == NOBODY} == {Feature.FULL_DELETE, Feature.SESSIONS}
    forbidden = {**OWN_DEFAULTS, Feature.FILES: Preference(Allow.NO)}
    assert enabled(Feature.FILES, forbidden, {}) == WE  # theirs is *always*


@given(preferences, preferences)
def test_both_sides_come_to_the_same(ours: Preferences, theirs: Preferences) -> None:
    for feature in Feature:
        here, there = enabled(feature, ours, theirs), enabled(feature, theirs, ours)
        assert (here.by_us, here.by_them) == (there.by_them, there.by_us)


@given(preferences, preferences, st.sampled_from(Feature))
def test_who_allows_more_gets_no_less_used(ours: Preferences, theirs: Preferences, feature: Feature) -> None:
    order = [Allow.NO, Allow.YES, Allow.ALWAYS]
    found = [enabled(feature, {**ours, feature: Preference(allow)}, theirs) for allow in order]
    for less, more in itertools.pairwise(found):
        assert more.by_them >= less.by_them


@pytest.mark.parametrize(
    ("ours", "theirs", "ttl"),
    [
        (Preference(Y, 60), Preference(Y), 60),
        (Preference(A, 60), Preference(Y, 5), 60),  # what each writes goes by its own time
        (Preference(Y), Preference(Y, 60), None),
        (Preference(N, 60), Preference(A, 60), None),
        (Preference(A, 60), Preference(N, 60), None),
    ],
)
def test_messages_disappear_on_both_sides_or_on_none(ours: Preference, theirs: Preference, ttl: int | None) -> None:
    timed = Feature.TIMED_MESSAGES
    assert disappear_after({timed: ours}, {timed: theirs}) == ttl


@given(with_times)
def test_profiles_hold_them_whole(said: Preferences) -> None:
    assert read_preferences(preferences_json(said)) == said


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, {}), (5, {}), ([], {}), ({"voice": None}, {}), ({"voice": "no"}, {}), ({"voice": {}}, {}),
        ({"voice": {"allow": "maybe"}}, {}), ({"voice": {"allow": ["no"]}}, {}), ({"voice": {"allow": {}}}, {}),
        ({"unknown": {"allow": "no"}, "commands": []}, {}),
        ({"voice": {"allow": "no", "ttl": 5}}, {Feature.VOICE: Preference(N)}),
        ({"timedMessages": {"allow": "yes", "ttl": "5"}}, {Feature.TIMED_MESSAGES: Preference(Y)}),
        ({"timedMessages": {"allow": "no", "ttl": 10}}, {Feature.TIMED_MESSAGES: Preference(N, 10)}),
        ({"timedMessages": {"allow": "yes", "ttl": 10**40}}, {Feature.TIMED_MESSAGES: Preference(Y, MAX_TTL)}),
        ({"timedMessages": {"allow": "yes", "ttl": -1}}, {Feature.TIMED_MESSAGES: Preference(Y, 0)}),
    ],
)  # fmt: skip
def test_what_is_malformed_counts_as_left_out(value: Any, found: Preferences) -> None:
    assert read_preferences(value) == found


def test_what_an_app_sends_is_what_apps_mean_by_nothing() -> None:
    """Sent by the SimpleX Chat terminal app 6.4.5 with its settings untouched (app-bodies.jsonl)."""
    sent = {
        "calls": {"allow": "yes"}, "commands": [], "files": {"allow": "always"}, "fullDelete": {"allow": "no"},
        "reactions": {"allow": "yes"}, "sessions": {"allow": "no"}, "timedMessages": {"allow": "yes"},
        "voice": {"allow": "yes"},
    }  # fmt: skip
    assert read_preferences(sent) == APP_DEFAULTS
