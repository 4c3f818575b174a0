"""What members of a group say: once, by whom, for whom; what is changed, taken back, hidden."""

from __future__ import annotations

import pytest

from smpchat.chat.machines.group_effects import (
    Hidden,
    News,
    Prove,
    Refused,
    Send,
    Show,
    Tell,
)
from smpchat.chat.machines.group_states import (
    Standing,
)
from smpchat.chat.wire.bodies import Envelope
from smpchat.chat.wire.group_events import (
    Agreed,
    Deletion,
    Edit,
    Forward,
    GroupEvent,
    LinkForMember,
    MemberAnnounced,
    MemberPresents,
    MemberProfile,
    MemberRestricted,
    MembersConnected,
    Post,
    Probe,
    Reaction,
)
from smpchat.chat.wire.group_values import (
    MemberId,
    Restriction,
    Role,
)
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace
from tests.unit.chat.machines.team import (
    HOST,
    ID,
    ME,
    NOW,
    from_host,
    info,
    member,
    message,
    passed_on,
    team,
    text,
)

BOB, CATH, DAN = MemberId(b"bob"), MemberId(b"cath"), MemberId(b"dan")
LINK = "simplex:/invitation#/?x"
THUMB = "\U0001f44d"
OTHER = {"type": "text", "text": "other"}


def test_the_same_message_by_two_ways_is_one() -> None:
    """Traps 5 and 6; whoever passed it on is told once that it need not (group-wire 6)."""
    view = team(member("cath", Role.ADMIN), member("bob"))
    view.hears(CATH, message(passed_on(BOB, text("hello")), None), NOW)
    assert view.lines[BOB, ID].forwarder == CATH
    found = view.hears(BOB, message(text("hello")), NOW)
    assert found == (Prove(BOB, ID, text("hello")), Send(MembersConnected(BOB), (CATH,)))
    assert view.lines[BOB, ID].forwarder is None
    assert view.hears(BOB, message(text("hello")), NOW) == ()
    assert view.hears(CATH, message(passed_on(BOB, text("hello")), None), NOW) == ()
    # and the other way round
    view = team(member("cath", Role.ADMIN), member("bob"))
    view.hears(BOB, message(text("hello")), NOW)
    assert view.hears(CATH, message(passed_on(BOB, text("forged")), None), NOW) == (
        Send(MembersConnected(BOB), (CATH,)),
    )
    assert view.hears(CATH, message(passed_on(BOB, text("forged")), None), NOW) == ()
    assert view.conversation() == ["bob: hello"]


def test_what_a_host_made_up_gives_way_to_the_authors_own_copy() -> None:
    """Trap 26."""
    view = team(member("bob"))
    from_host(view, passed_on(BOB, text("forged")))
    view.hears(BOB, message(text("true")), NOW)
    assert view.conversation() == ["bob: true"]


def test_nobody_can_take_the_id_of_anothers_message() -> None:
    """Were ids the group's, whoever learned one could silence the message with it."""
    view = team(member("bob"), member("cath"))
    view.hears(CATH, message(text("mine")), NOW)
    view.hears(BOB, message(text("true")), NOW)
    assert view.conversation() == ["cath: mine", "bob: true"]


def test_history_has_the_hosts_words_and_those_of_people_who_left() -> None:
    view = team(member("bob"))
    from_host(view, passed_on(HOST, text("welcome"), "a"))
    from_host(view, passed_on(DAN, text("I was here"), "b"))
    assert view.lines[HOST, "a"].forwarder is None  # what it says itself needs no other proof
    assert view.lines[DAN, "b"].forwarder == HOST
    assert view.conversation() == ["host: welcome", "bob of old: I was here"]
    assert view.lines[DAN, "b"].said_at == 1_799_996_400.0
    from_host(view, MemberAnnounced(info("dan")), "c")
    assert view.members["dan"] == "member"
    assert view.conversation()[1] == "dan: I was here"


def test_nobody_said_anything_after_it_came() -> None:
    view = team(member("bob"))
    for number, at in enumerate(("2099-01-01T00:00:00Z", "then")):
        from_host(view, passed_on(BOB, text("early"), f"m{number}", at))
        assert view.lines[BOB, f"m{number}"].said_at == NOW


def test_words_of_ours_are_passed_on_by_nobody() -> None:
    view = team(member("bob"))
    assert isinstance(from_host(view, passed_on(ME, text("I resign")))[0], Refused)
    view.says(ID, text("mine"), NOW)
    assert from_host(view, passed_on(ME, text("mine"))) == ()
    assert view.conversation() == ["me: mine"]


def test_only_what_hosts_pass_on_is_taken_from_them() -> None:
    view = team(member("bob"))
    before = view.group
    unusable: list[GroupEvent] = [
        Forward(BOB, Envelope("x", {}, ID), None, ""),
        Forward(None, Envelope("x", {}, ID), text(), ""),
        LinkForMember(BOB, LINK),
        MemberPresents(BOB, Profile("b")),
        Agreed(),
    ]
    for event in unusable:
        assert isinstance(from_host(view, event)[0], Refused)
    nobodys: list[GroupEvent] = [MembersConnected(BOB), Probe("", "x"), Probe("check", "x")]
    for event in nobodys:
        assert from_host(view, event) == ()
    assert view.group == before


@pytest.mark.parametrize(
    ("own", "by", "scope", "stands_in"),
    [
        (Role.MEMBER, Role.MEMBER, None, "main"),
        (Role.MEMBER, Role.MODERATOR, ME, "own"),
        (Role.MEMBER, Role.MEMBER, ME, None),
        (Role.MEMBER, Role.MEMBER, CATH, None),
        (Role.MEMBER, Role.OWNER, CATH, None),
        (Role.MODERATOR, Role.MEMBER, CATH, "cath"),
        (Role.MODERATOR, Role.OBSERVER, CATH, "cath"),
        (Role.MODERATOR, Role.MEMBER, BOB, None),
        (Role.MODERATOR, Role.ADMIN, BOB, "bob"),
        (Role.MEMBER, Role.OBSERVER, None, None),
    ],
)
def test_support_chats_stand_apart(own: Role, by: Role, scope: MemberId | None, stands_in: str | None) -> None:
    """Trap 15: others must not see them, and do not know of them."""
    view = team(member("cath", by), member("bob"), role=own)
    view.hears(CATH, message(text("psst", scope=scope)), NOW)
    found = {None: "main", ME: "own", CATH: "cath", BOB: "bob"}
    assert [found[line.scope] for line in view.lines.values()] == ([] if stands_in is None else [stands_in])
    assert len(view.refused) == (stands_in is None)


def test_while_we_are_under_review_all_is_in_our_own_support_chat() -> None:
    view = team(member("cath", Role.MODERATOR), standing=Standing.REVIEW)
    view.hears(CATH, message(text("who are you")), NOW)
    assert view.conversation(ME) == ["cath: who are you"]
    view = team(member("bob", standing=Standing.REVIEW), role=Role.MODERATOR)
    view.hears(BOB, message(text("let me in")), NOW)
    assert view.conversation(BOB) == ["bob: let me in"]
    view = team(member("bob", standing=Standing.REVIEW))
    assert isinstance(view.hears(BOB, message(text("let me in")), NOW)[0], Refused)


@pytest.mark.parametrize(
    ("preferences", "post", "hidden"),
    [
        ({}, text(), False),
        ({"voice": {"enable": "off"}}, replace(text(), content={"type": "voice", "text": "", "duration": 1}), True),
        ({"voice": {"enable": "on", "role": "admin"}}, replace(text(), content={"type": "voice", "text": ""}), True),
        ({"files": {"enable": "off"}}, replace(text(), content={"type": "voice", "text": ""}, file={}), False),
        ({"files": {"enable": "off"}}, text(file={"fileName": "a"}), True),
        ({"files": {"enable": "on", "role": "owner"}}, text(file={"fileName": "a"}), True),
        ({"simplexLinks": {"enable": "off"}}, text("see simplex:/contact#/?v=2"), True),
        ({"simplexLinks": {"enable": "off"}}, text("see https://smp.example.org/g#abc?c=x"), True),
        ({"simplexLinks": {"enable": "off"}}, text("see https://simplex.chat/contact#/?v=2"), True),
        ({"simplexLinks": {"enable": "off"}}, text("see https://example.org/page#top"), False),
        ({}, replace(text(), content={"type": "report", "text": "", "reason": "spam"}), True),
        ({}, text("simplex:/contact#/?v=2"), False),
    ],
)
def test_what_the_group_does_not_allow_is_not_shown(preferences: dict[str, object], post: Post, hidden: bool) -> None:
    view = team(member("bob"), preferences=preferences)
    [shown] = view.hears(BOB, message(post), NOW)
    assert isinstance(shown, Show)
    assert shown.hidden is (Hidden.FEATURE if hidden else None)


def test_who_is_blocked_is_heard_and_not_shown() -> None:
    view = team(member("bob"))
    from_host(view, MemberRestricted(BOB, Restriction.BLOCKED), "a")
    view.hears(BOB, message(text("buy"), "b"), NOW)
    from_host(view, MemberRestricted(BOB, Restriction.UNRESTRICTED), "c")
    view.hears(BOB, message(text("sorry"), "d"), NOW)
    assert view.conversation() == ["bob: buy (blocked)", "bob: sorry"]
    assert [tell.news for tell in view.told] == [News.MEMBER_BLOCKED, News.MEMBER_UNBLOCKED]
    # of somebody who comes later
    from_host(view, MemberRestricted(DAN, Restriction.BLOCKED), "e")
    from_host(view, MemberAnnounced(info("dan")), "f")
    assert view.members["dan"] == "member blocked"


def test_messages_disappear_where_the_group_wants_it() -> None:
    for preferences, ttl in (({}, None), ({"timedMessages": {"enable": "on", "ttl": 60}}, 5)):
        view = team(member("bob"), preferences=preferences)
        [shown] = view.hears(BOB, message(text(ttl=5)), NOW)
        assert isinstance(shown, Show)
        assert shown.ttl == ttl
    from_host(view, passed_on(BOB, text(ttl=7), "old"))


def test_only_its_author_edits_a_message_and_what_was_missed_is_made_up_for() -> None:
    view = team(member("bob"), member("cath"))
    view.hears(BOB, message(text("one"), "a"), NOW)
    view.hears(BOB, message(Edit("a", OTHER), "b"), NOW)
    view.hears(CATH, message(Edit("a", {"type": "text", "text": "mine now"}), "c"), NOW)
    assert view.conversation() == ["bob: other (edited)", "cath: mine now"]


@pytest.mark.parametrize("whole", [False, True])
def test_an_edit_or_a_deletion_may_be_faster_than_the_message(whole: bool) -> None:
    """The host passes the edit on while the message itself is still under way."""
    view = team(member("bob"), preferences={"fullDelete": {"enable": "on" if whole else "off"}})
    from_host(view, passed_on(BOB, Edit("a", OTHER), "b"))
    view.hears(BOB, message(text("first"), "a"), NOW)
    assert view.conversation() == ["bob: other"]
    view.hears(BOB, message(Edit("c", OTHER), "d"), NOW)
    view.hears(BOB, message(Deletion("c"), "e"), NOW)
    view.hears(BOB, message(text("first"), "c"), NOW)
    assert view.conversation()[1:] == ([] if whole else ["bob: other (deleted by bob)"])


def test_a_deletion_by_its_author_within_three_days_and_by_a_moderator_at_any_time() -> None:
    """Trap 21."""
    view = team(member("bob"), member("cath", Role.MODERATOR))
    view.hears(BOB, message(text("one"), "a"), NOW - 78 * 3600 - 1)
    view.hears(BOB, message(text("two"), "b"), NOW - 78 * 3600)
    view.hears(BOB, message(Deletion("a"), "c"), NOW)
    view.hears(BOB, message(Deletion("b"), "d"), NOW)
    assert view.conversation() == ["bob: one", "bob: two (deleted by bob)"]
    view.hears(CATH, message(Deletion("a", BOB), "e"), NOW)
    assert view.conversation()[0] == "bob: one (deleted by cath)"


def test_a_deletion_may_come_before_the_message() -> None:
    """Trap 14; of another's message only by somebody who could have deleted it there."""
    view = team(member("bob"), member("cath", Role.MODERATOR), member("dan"))
    view.hears(CATH, message(Deletion("a", BOB), "x"), NOW)
    assert isinstance(view.hears(DAN, message(Deletion("b", BOB), "y"), NOW)[0], Refused)
    view.hears(BOB, message(Deletion("c"), "z"), NOW)
    for shared_id in "abc":
        view.hears(BOB, message(text(shared_id), shared_id), NOW)
    assert view.conversation() == ["bob: a (moderated)", "bob: b", "bob: c (moderated)"]
    assert view.lines[BOB, "a"].gone == CATH


def test_a_moderator_that_lost_its_role_meanwhile_has_deleted_nothing() -> None:
    view = team(member("bob"), member("cath", Role.MODERATOR))
    view.hears(CATH, message(Deletion("a", BOB), "x"), NOW)
    view.group = view.group.changed(CATH, role=Role.MEMBER)
    view.hears(BOB, message(text("a"), "a"), NOW)
    assert view.conversation() == ["bob: a"]


def test_where_the_group_deletes_wholly_nothing_stays_or_comes_back() -> None:
    view = team(member("bob"), preferences={"fullDelete": {"enable": "on"}})
    view.hears(BOB, message(text("one"), "a"), NOW)
    view.hears(BOB, message(Deletion("a"), "b"), NOW)
    assert isinstance(view.hears(BOB, message(Edit("a", OTHER), "c"), NOW)[0], Refused)
    assert isinstance(view.hears(BOB, message(Reaction("a", BOB, THUMB, True), "d"), NOW)[0], Refused)
    assert view.hears(BOB, message(Deletion("a"), "e"), NOW) == ()
    assert view.hears(BOB, message(text("one"), "a"), NOW) == ()
    assert view.conversation() == []


def test_reactions_in_threes_and_before_their_message() -> None:
    view = team(member("bob"), member("cath"))
    early = Reaction("a", BOB, THUMB, True)
    view.hears(CATH, message(early, "r0"), NOW)
    view.hears(BOB, message(text("one"), "a"), NOW)
    assert view.conversation() == [f"bob: one ({THUMB} cath)"]
    for number, emoji in enumerate(("\U0001f600", "\U0001f602", "\U0001f622")):
        view.hears(CATH, message(Reaction("a", BOB, emoji, True), f"r{number + 1}"), NOW)
    assert len(view.lines[BOB, "a"].reactions) == 3
    assert len(view.refused) == 1
    view.hears(CATH, message(replace(early, add=False), "r9"), NOW)
    assert len(view.lines[BOB, "a"].reactions) == 2
    assert isinstance(view.hears(CATH, message(Reaction("a", None, THUMB, True), "n"), NOW)[0], Refused)
    view = team(member("bob"), preferences={"reactions": {"enable": "off"}})
    assert isinstance(view.hears(BOB, message(early), NOW)[0], Refused)


def test_a_name_that_changes_is_told() -> None:
    view = team(member("bob"))
    found = view.hears(BOB, message(MemberProfile(Profile("robert"))), NOW)
    assert found[-1] == Tell(News.RENAMED, BOB, before="bob")
    assert len(view.hears(BOB, message(MemberProfile(Profile("robert")), "other"), NOW)) == 1


def test_what_an_app_speaks_is_kept_up_to_date() -> None:
    view = team(member("bob", versions=None))
    assert view.group.members[BOB].speaks == 1
    view.hears(BOB, message(text()), NOW)
    assert view.group.members[BOB].speaks == 16
