"""One person after another lives through what real apps did in their groups, and sees what that person saw."""

from __future__ import annotations

from collections import Counter

import pytest

from smpchat.chat.machines.group_effects import News
from smpchat.chat.machines.group_states import Standing
from smpchat.chat.wire.group_encoding import encode_group_event
from tests.unit.chat.machines.replaying import Replay, of_its_own_accord, records
from tests.unit.chat.machines.view import View

PERSONS = ("bob", "cath", "dan", "eve")
"""Alice is the host of all: her part is not a member's."""
CASES = list(dict.fromkeys(record["case"] for record in records()))

TEAM_BOB = [
    "alice: Welcome to team!",
    "alice: hello bob",
    "me: hello alice",
    "alice: from alice (🚀 me)",
    "me: from bob edited (edited)",
    "cath: from cath",
    "me: reply of bob",
    "cath: self reply of cath",
    "me: to be deleted (deleted by me)",
    "me: to be moderated (deleted by alice)",
    "alice: hi @bob and @cath",
    "alice: look @bob",
    "alice: batch 0",
    "alice: batch 1",
    "alice: batch 2",
    "alice: see https://example.com\nline two",
    "dan: from blocked dan (blocked)",
    "alice: timed message",
    "me: bob delete in full-delete group (deleted by me)",
    "alice: live 1 2 3 (edited)",
    "me: after profile change",
    "alice: to forward",
]


def told(view: View) -> list[News]:
    return [tell.news for tell in view.told]


def test_bob_is_invited_talks_and_leaves() -> None:
    view = Replay("bob").until("02").view
    assert view.members == {"alice": "owner connected"}
    assert view.group.own.standing is Standing.CURRENT
    assert view.conversation() == TEAM_BOB[:1]
    view = Replay("bob").until("25").view
    assert view.members == {"alice": "owner connected", "cath": "admin connected", "dan": "member connected"}
    assert view.conversation() == TEAM_BOB
    assert view.group.profile.name == "team2"
    view = Replay("bob").until("28").view
    assert view.group.own.standing is Standing.LEFT
    assert view.conversation() == TEAM_BOB
    assert view.members == {"alice": "owner", "cath": "admin", "dan": "member"}


def test_roles_and_blocks_come_and_go() -> None:
    view = Replay("bob").until("17").view
    assert [tell.role.word for tell in view.told if tell.role is not None] == ["admin", "observer", "member"]
    assert told(view)[-3:] == [News.ROLE] * 3
    view = Replay("bob").until("18").view
    assert told(view)[-2:] == [News.MEMBER_BLOCKED, News.MEMBER_UNBLOCKED]
    assert not any(member.blocked for member in view.group.members.values())


def test_dan_joins_by_a_link_reads_history_and_is_removed_with_his_messages() -> None:
    view = Replay("dan").until("15").view
    # Deleted and moderated messages are not in a history, and edited ones have their last text (group-wire 12, fact 2).
    assert view.conversation() == [
        "alice: hello bob",
        "bob: hello alice",
        "bob: from bob edited",
        "cath: from cath",
        "alice: from alice",
        "bob: reply of bob",
        "cath: self reply of cath",
        "alice: hi @bob and @cath",
        "alice: look @bob",
        "alice: batch 0",
        "alice: batch 1",
        "alice: batch 2",
        "alice: see https://example.com\nline two",
        "alice: Welcome to team!",
    ]
    view = Replay("dan").until("22").view
    assert view.conversation(view.group.own.id) == ["me: this is spam"]
    view = Replay("dan").until("27").view
    assert view.group.own.standing is Standing.REMOVED
    assert view.members == {"alice": "owner", "cath": "admin", "bob": "member left"}
    assert [line for line in view.conversation() if line.startswith("me")] == [
        "me: from blocked dan (deleted by alice)"
    ]


def test_cath_the_admin_sees_reports_apart_and_the_end_of_the_group() -> None:
    view = Replay("cath").until("28").view
    dan = next(member.id for member in view.group.members.values() if member.name == "dan")
    assert view.conversation(dan) == ["dan: this is spam (deleted by alice)"]
    assert not any("spam" in line for line in view.conversation())
    assert view.members == {"alice": "owner", "bob": "member left", "dan": "member removed"}
    assert view.group.own.standing is Standing.DELETED


def test_bob_was_offline_while_others_came_and_wrote() -> None:
    """What cath wrote meanwhile comes through the host, and some of it later straight from her: each once."""
    view = Replay("bob").until("34").view
    assert view.conversation() == [
        "dan: dan while bob is offline (❤ cath)",
        "cath: cath edited while bob is offline (edited)",
        "alice: alice while bob is offline",
        "cath: cath second, deleted (deleted by cath)",
        "ResourcefulPromoter: eve incognito",
        "me: bob is back",
    ]
    assert view.members == {
        "alice": "owner connected",
        "dan": "member connected blocked",
        "cath": "admin connected",
        "ResourcefulPromoter": "member connected",
    }
    assert view.group.own.role.word == "moderator"  # invited once more, with another role


def test_eve_waits_for_review_and_is_let_in() -> None:
    """Until then all that is said stands in her own support chat, and dan does not know of her."""
    eve = Replay("eve").until("36").view
    assert told(eve)[0] is News.REVIEW
    assert eve.conversation(eve.group.own.id) == ["me: please let me in", "alice: who are you"]
    assert eve.conversation() == [
        "cath: cath edited while bob is offline",
        "alice: alice while bob is offline",
        "ResourcefulPromo…: eve incognito",
        "bob: bob is back",
        "alice: no receipt from bob",
        "alice: receipt from bob",
        "me: eve is in",
    ]
    assert eve.members["ResourcefulPromo…"] == "author unknown"
    bob, dan = Replay("bob").until("36").view, Replay("dan").until("36").view
    assert bob.conversation(eve.group.own.id) == ["eve: please let me in", "alice: who are you"]
    assert told(bob).count(News.MEMBER_REVIEWED) == told(bob).count(News.MEMBER_ACCEPTED) == 1
    assert dan.conversation(eve.group.own.id) == []
    assert bob.conversation()[-1] == dan.conversation()[-1] == "eve: eve is in"


def test_a_business_and_its_customer() -> None:
    customer, employee = Replay("eve").until("42").view, Replay("cath").until("42").view
    assert customer.group.business is not None
    assert customer.conversation() == [
        "alice: Welcome to the shop",
        "me: hello shop",
        "alice: hello customer",
        "cath: cath of the shop",
        "me: customer to both",
    ]
    assert employee.conversation() == [
        "alice: Welcome to the shop",
        "eve: hello shop",
        "alice: hello customer",
        "me: cath of the shop",
        "eve: customer to both",
    ]
    assert Replay("cath").until("45").view.members == {"alice": "owner connected", "eve": "member left"}


def test_batches_and_the_longest_messages_come_whole_and_in_order() -> None:
    view = Replay("bob").until("54").view
    assert [line[:9] for line in view.conversation()[-12:]] == [f"alice: {number:02}" for number in range(12)]
    assert max(map(len, view.conversation())) > 15_000
    assert view.members == {"alice": "owner connected", "cath": "admin connected"}


@pytest.mark.parametrize("person", PERSONS)
def test_what_we_would_say_of_our_own_accord_is_what_the_app_said(person: str) -> None:
    """Links for members that are introduced, and reports of connections: as many, to the same, no more."""
    replay = Replay(person).until(CASES[-1])
    ours = Counter(said for view in replay.views.values() for said in of_its_own_accord(view))
    assert ours == Counter(map(encode_group_event, replay.wrote))
    assert sum(ours.values()) >= 7


@pytest.mark.parametrize("person", PERSONS)
def test_nothing_that_apps_did_is_refused(person: str) -> None:
    replay = Replay(person).until(CASES[-1])
    assert [refused for view in replay.views.values() for refused in view.refused] == []


@pytest.mark.parametrize("person", PERSONS)
def test_everything_twice_changes_nothing(person: str) -> None:
    """The agent may bring a message again after a crash; ids of messages tell."""
    replay = Replay(person)
    for record in records():
        replay._play(record)
        if record["to"].startswith(person) and record["what"] == "message" and replay.views:
            before = replay.view.members, replay.view.conversation(), len(replay.view.told)
            replay._play(record)
            assert (replay.view.members, replay.view.conversation(), len(replay.view.told)) == before
