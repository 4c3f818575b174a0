"""What we decide in a group, by and to every role: what is legal is said to all, what is not changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smpchat.chat.machines.group_effects import (
    AcceptNewcomer,
    Admit,
    Disconnect,
    Effect,
    HandOn,
    Invite,
    MakeLink,
    News,
    Refused,
    Reported,
    Send,
    Tell,
    Turn,
)
from smpchat.chat.machines.group_inputs import (
    Admission,
    Block,
    Change,
    Confirmed,
    Connected,
    Decision,
    Dissolve,
    Expel,
    Grant,
    Heard,
    Invitee,
    Joiner,
    Linked,
    Lost,
)
from smpchat.chat.machines.group_owning import found, refusal
from smpchat.chat.machines.group_rights import Deed
from smpchat.chat.machines.group_states import MAX_MEMBERS, Group, Link, Member, Standing
from smpchat.chat.machines.groups import step
from smpchat.chat.wire.group_events import (
    GroupChanged,
    GroupDeleted,
    GroupEvent,
    InvitationAccepted,
    LinkAccepted,
    LinkForMember,
    MemberPresents,
    MemberProfile,
    MemberRemoved,
    MemberRestricted,
    MembersConnected,
    RoleChanged,
)
from smpchat.chat.wire.group_values import Acceptance, GroupProfile, MemberId, Restriction, Role
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace
from tests.unit.chat.machines.team import NOW, SPEAKS, member, message, team, text

OBS, A, M, MOD, ADM, OWN = Role.OBSERVER, Role.AUTHOR, Role.MEMBER, Role.MODERATOR, Role.ADMIN, Role.OWNER
ANN, BOB, NEW, US = MemberId(b"ann"), MemberId(b"bob"), MemberId(b"new"), MemberId(b"us")
OTHER = GroupProfile({"displayName": "other", "fullName": ""})
LINK = "simplex:/invitation#/?x"

# In full, and not from the code: who may do it, and to whom.
EVERYBODY = [OBS, A, M, MOD, ADM, OWN]
BY_ADMINS: dict[Role, list[Role]] = {ADM: [OBS, A, M, MOD, ADM], OWN: EVERYBODY}
BY_MODERATORS = BY_ADMINS | {MOD: [OBS, A, M, MOD]}
BY_OWNERS: dict[Role, list[Role]] = {OWN: EVERYBODY}
CASES: list[tuple[Callable[[Role], Decision], dict[Role, list[Role]]]] = [
    (lambda role: Invitee(NEW, role, "new", SPEAKS), BY_ADMINS),
    (lambda role: Grant(BOB, OBS if role is not OBS else A), BY_ADMINS),
    (lambda role: Expel(BOB), BY_ADMINS),
    (lambda role: Block(BOB, True), BY_MODERATORS),
    (lambda role: Admission(MemberId(b"waits"), role), BY_MODERATORS),
    (lambda role: Change(OTHER), BY_OWNERS),
    (lambda role: Dissolve(), BY_OWNERS),
]


def others(target: Role = M) -> list[Member]:
    waits = member("waits", OBS, standing=Standing.REVIEW)
    return [member("ann"), member("bob", target), waits]


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("own", list(Role), ids=lambda role: role.word)
def test_every_decision_by_every_role_to_every_role(case: int, own: Role) -> None:
    make, table = CASES[case]
    for target in Role:
        view = team(*others(target), role=own)
        before = view.group
        effects = view.happens(make(target))
        if target in table.get(own, []):
            assert effects
            assert not any(isinstance(effect, Refused) for effect in effects)
            assert view.group != before
        else:
            assert [type(effect) for effect in effects] == [Refused], (own, target)
            assert view.group == before


@pytest.mark.parametrize("standing", [one for one in Standing if one is not Standing.CURRENT])
def test_whoever_is_not_in_decides_nothing(standing: Standing) -> None:
    for make, _ in CASES:
        view = team(*others(), role=OWN, standing=standing)
        assert [type(effect) for effect in view.happens(make(M))] == [Refused]


def test_nobody_is_made_more_than_we_are() -> None:
    view = team(*others(), role=ADM)
    assert [type(effect) for effect in view.happens(Grant(BOB, OWN))] == [Refused]
    assert view.happens(Grant(BOB, ADM)) != ()


def test_the_sentence_says_who_could() -> None:
    group = team(role=M).group
    assert refusal(group, Deed.REMOVE, M) == "Only admins and owners can remove members; you are a member."
    assert refusal(group, Deed.RESTRICT) == "Only moderators, admins and owners can block members; you are a member."
    assert refusal(replace(group, own=replace(group.own, role=OBS)), Deed.DELETE) == (
        "Only owners can delete the group; you are an observer."
    )
    assert refusal(team(role=ADM).group, Deed.REMOVE, OWN) == (
        "You are an admin: you cannot do this to a member with a higher role, or give a role higher than yours."
    )
    assert refusal(team(role=OWN).group, Deed.REMOVE, OWN) is None
    for standing in (Standing.INVITED, Standing.JOINING, Standing.LEFT, Standing.REMOVED, Standing.DELETED):
        assert refusal(team(role=OWN, standing=standing).group, Deed.CHANGE) == "You are not in this group."


def said(effects: tuple[Effect, ...]) -> list[tuple[GroupEvent, set[bytes]]]:
    return [(one.event, {*one.now, *one.later}) for one in effects if isinstance(one, Send)]


def test_to_whom_a_decision_is_said() -> None:
    everybody = {b"host", b"ann", b"bob"}
    assert said(team(*others(), role=OWN).happens(Grant(BOB, MOD))) == [(RoleChanged(BOB, MOD), everybody)]
    blocked = team(*others(), role=OWN)
    assert said(blocked.happens(Block(BOB, True))) == [
        (MemberRestricted(BOB, Restriction.BLOCKED), everybody - {BOB})
    ], "never to its target"
    assert said(blocked.happens(Block(BOB, False))) == [
        (MemberRestricted(BOB, Restriction.UNRESTRICTED), everybody - {BOB})
    ]
    effects = team(*others(), role=OWN).happens(Expel(BOB, messages=True))
    assert said(effects) == [(MemberRemoved(BOB, True), everybody)]
    assert effects.index(Disconnect((BOB,))) > 0, "what it is told goes before its connection does"
    waits = MemberId(b"waits")
    assert said(team(*others(), role=OWN).happens(Expel(waits))) == [(MemberRemoved(waits), everybody | {waits})]
    assert said(team(*others(), role=OWN).happens(Change(OTHER))) == [(GroupChanged(OTHER), everybody | {waits})]
    assert said(team(*others(), role=OWN).happens(Dissolve())) == [(GroupDeleted(), everybody)]
    same = team(*others(), role=OWN)
    for decision in (Grant(ANN, M), Block(ANN, False), Change(same.group.profile)):
        assert same.happens(decision) == ()


# -- who comes in -----------------------------------------------------------------------------------------------------


def ours(*events: object) -> tuple[Group, tuple[Effect, ...]]:
    """A group of ours after some events, with the effects of the last."""
    group = found(US, OTHER)
    effects: tuple[Effect, ...] = ()
    for event in events:
        group, effects = step(group, event)  # type: ignore[arg-type]
    return group, effects


INVITEE, JOINER = Invitee(BOB, M, "bob", SPEAKS), Joiner(BOB, OBS, "bob", SPEAKS)


def test_the_steps_of_an_invitation() -> None:
    group, effects = ours(INVITEE)
    assert effects == (MakeLink(BOB),)
    assert (group.members[BOB].standing, group.members[BOB].introducer, group.size) == (Standing.INVITED, US, 1)
    assert ours(INVITEE, INVITEE)[1] == (), "its link is being made"
    assert ours(INVITEE, Linked(BOB, LINK))[1] == (Invite(BOB),)
    again, effects = ours(INVITEE, Linked(BOB, LINK), replace(INVITEE, role=ADM))
    assert (effects, again.members[BOB].role) == ((Invite(BOB),), ADM)
    again, effects = ours(INVITEE, Linked(BOB, LINK), Grant(BOB, ADM))
    assert (effects, again.members[BOB].role) == ((Invite(BOB),), ADM)
    assert ours(INVITEE, Linked(BOB, LINK), Lost(BOB), INVITEE)[1] == (MakeLink(BOB),)
    accepted = Confirmed(BOB, InvitationAccepted(BOB))
    group, effects = ours(INVITEE, Linked(BOB, LINK), accepted, Connected(BOB))
    assert [effect for effect in effects if isinstance(effect, Admit | Tell)] == [
        Admit(BOB, by_link=False),
        Tell(News.MEMBER_JOINED, BOB, US),
    ]
    assert (group.members[BOB].standing, group.size) == (Standing.CURRENT, 2)
    assert [type(effect) for effect in ours(INVITEE, Linked(BOB, LINK), accepted, Connected(BOB), INVITEE)[1]] == [
        Refused
    ]


@pytest.mark.parametrize(
    "info", [InvitationAccepted(ANN), MemberPresents(BOB, Profile("bob")), MemberProfile(Profile("bob")), text()]
)
def test_whoever_is_not_the_invited_one_is_turned_away(info: GroupEvent) -> None:
    group, effects = ours(INVITEE, Linked(BOB, LINK), Confirmed(BOB, info))
    assert [type(effect) for effect in effects] == [Turn]
    assert (group.members[BOB].standing, group.members[BOB].link) == (Standing.INVITED, Link.NONE)


def test_the_steps_of_joining_by_our_link() -> None:
    group, effects = ours(JOINER)
    assert (effects, group.members[BOB].link, group.size) == ((), Link.JOINING, 1)
    group, effects = ours(JOINER, Confirmed(BOB, MemberProfile(Profile("robert"))))
    assert group.members[BOB].name == "robert"
    group, effects = ours(JOINER, Confirmed(BOB, MemberProfile(Profile("robert"))), Connected(BOB))
    assert Admit(BOB, by_link=True) in effects
    assert (group.members[BOB].standing, group.members[BOB].role) == (Standing.CURRENT, OBS)
    for info in (InvitationAccepted(BOB), MemberPresents(BOB, Profile("bob"))):
        group, effects = ours(JOINER, Confirmed(BOB, info))
        assert [type(effect) for effect in effects] == [Turn]
        assert group.members[BOB].gone, "nobody can be asked to come again"
    assert ours(JOINER, Lost(BOB))[0].members[BOB].gone
    for event in (JOINER, replace(JOINER, member=US)):
        assert [type(effect) for effect in ours(JOINER, event)[1]] == [Refused]


def test_whom_moderators_are_to_look_at() -> None:
    review = GroupProfile(OTHER.value | {"memberAdmission": {"review": "all"}})
    group = replace(found(US, review), members={ANN: replace(member("ann", MOD), introducer=US)})
    for event in (JOINER, Connected(BOB)):
        group, effects = step(group, event)
    assert Tell(News.MEMBER_REVIEWED, BOB, US) in effects
    assert group.members[BOB].standing is Standing.REVIEW
    group, effects = step(group, Admission(BOB, M))
    assert effects == (AcceptNewcomer(BOB, ours=True), Tell(News.MEMBER_ACCEPTED, BOB, US))
    assert (group.members[BOB].standing, group.members[BOB].role) == (Standing.CURRENT, M)
    assert [type(effect) for effect in step(group, Admission(BOB, M))[1]] == [Refused]


def test_a_moderator_who_let_nobody_in_only_says_that_somebody_is_in() -> None:
    view = team(member("mod", MOD), *others(), role=MOD)
    waits = MemberId(b"waits")
    effects = view.happens(Admission(waits, M))
    assert said(effects) == [(LinkAccepted(Acceptance.ACCEPTED, M, waits), {b"host", b"mod", waits})]


def test_what_another_moderator_decides_about_a_newcomer_of_ours() -> None:
    group = replace(
        found(US, OTHER),
        members={
            ANN: replace(member("ann", MOD), introducer=US),
            BOB: replace(member("bob", standing=Standing.REVIEW), introducer=US),
        },
    )
    event = LinkAccepted(Acceptance.ACCEPTED, M, BOB)
    after, effects = step(group, Heard(ANN, message(event), NOW, NOW))
    assert AcceptNewcomer(BOB, ours=False) in effects
    assert after.members[BOB].standing is Standing.CURRENT


def test_what_newcomers_of_ours_say_about_each_other_is_the_hosts() -> None:
    group = replace(found(US, OTHER), members={id: replace(member(id.decode()), introducer=US) for id in (ANN, BOB)})
    for event, expected in (
        (LinkForMember(ANN, LINK), HandOn(BOB, LinkForMember(ANN, LINK))),
        (MembersConnected(ANN), Reported(BOB, ANN)),
    ):
        assert step(group, Heard(BOB, message(event), NOW, NOW)) == (group, (expected,))
    view = team(member("ann"), member("bob"), role=ADM)
    assert [type(effect) for effect in view.hears(BOB, message(LinkForMember(ANN, LINK)), NOW)] == [Refused]
    assert view.hears(BOB, message(MembersConnected(ANN)), NOW) == ()


def test_whoever_is_not_in_says_nothing_to_the_group() -> None:
    group, _ = ours(INVITEE, Linked(BOB, LINK))
    assert [type(effect) for effect in step(group, Heard(BOB, message(text()), NOW, NOW))[1]] == [Refused]


def test_a_group_of_ours_has_an_end() -> None:
    """The one who asked first and has not come gives way; whoever is in, or invited, does not."""
    crowd = {MemberId(f"{n}".encode()): member(f"{n}", introducer=US) for n in range(MAX_MEMBERS - 1)}
    group, _ = step(replace(found(US, OTHER), members=crowd), JOINER)
    assert len(group.members) == MAX_MEMBERS
    after, effects = step(group, Joiner(NEW, M, "new", SPEAKS))
    assert BOB not in after.members and NEW in after.members
    assert Disconnect((BOB,)) in effects
    group, _ = step(replace(found(US, OTHER), members=crowd), INVITEE)
    after, effects = step(group, Joiner(NEW, M, "new", SPEAKS))
    assert after.members == group.members
    assert any(isinstance(effect, Refused) for effect in effects)
