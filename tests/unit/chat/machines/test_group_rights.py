"""Every event by every role, to every role: what is legal has an effect, what is not changes nothing and says why."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, product

import pytest

from smpchat.chat.machines.group_effects import Refused
from smpchat.chat.machines.group_rights import Deed, may
from smpchat.chat.machines.group_states import Link, Standing
from smpchat.chat.wire.bodies import Envelope
from smpchat.chat.wire.group_events import (
    Deletion,
    DirectInvitation,
    Edit,
    FileDescribed,
    FileWithdrawn,
    Forward,
    GroupChanged,
    GroupDeleted,
    GroupEvent,
    LinkAccepted,
    LinkOfMember,
    MemberAnnounced,
    MemberIntroduced,
    MemberLeft,
    MemberProfile,
    MemberRemoved,
    MemberRestricted,
    PreferencesChanged,
    Reaction,
    RoleChanged,
)
from smpchat.chat.wire.group_values import Acceptance, GroupProfile, MemberId, Restriction, Role
from smpchat.chat.wire.profile import Profile
from tests.unit.chat.machines.team import ME, NOW, info, member, message, team, text
from tests.unit.chat.machines.view import Line, View

OBS, A, M, MOD, ADM, OWN = Role.OBSERVER, Role.AUTHOR, Role.MEMBER, Role.MODERATOR, Role.ADMIN, Role.OWNER
BOB, NEW = MemberId(b"bob"), MemberId(b"new")
CONTENT = {"type": "text", "text": "other"}

# In full, and not from the code: for each sender, the roles of those to whom it may do it (group-wire 4, 5 and 7).
EVERYBODY = [OBS, A, M, MOD, ADM, OWN]
NOBODY: list[Role] = []
FROM_ADMINS = {OBS: NOBODY, A: NOBODY, M: NOBODY, MOD: NOBODY, ADM: [OBS, A, M, MOD, ADM], OWN: EVERYBODY}
FROM_MODERATORS = FROM_ADMINS | {MOD: [OBS, A, M, MOD]}
TABLE: dict[Deed, dict[Role, list[Role]]] = {
    Deed.ANNOUNCE: FROM_ADMINS,
    Deed.LET_JOIN: FROM_ADMINS,
    Deed.ROLE: FROM_ADMINS,
    Deed.REMOVE: FROM_ADMINS,
    Deed.INVITE: FROM_ADMINS,
    Deed.MODERATE: FROM_MODERATORS,
    Deed.RESTRICT: FROM_MODERATORS,
    Deed.ACCEPT: FROM_MODERATORS,
}
LEAST = {
    **dict.fromkeys((Deed.WRITE, Deed.EDIT), A),
    **dict.fromkeys((Deed.TAKE_BACK, Deed.REACT, Deed.FILE, Deed.WITHDRAW, Deed.PROFILE, Deed.LEAVE), OBS),
    **dict.fromkeys((Deed.INTRODUCE, Deed.FORWARD), ADM),
    **dict.fromkeys((Deed.CHANGE, Deed.PREFERENCES, Deed.DELETE), OWN),
}
"""Deeds that are done to nobody."""


def test_every_deed_is_in_one_of_the_two_tables() -> None:
    assert TABLE.keys() | LEAST.keys() == set(Deed)
    assert TABLE.keys() & LEAST.keys() == set()


@pytest.mark.parametrize("deed", TABLE)
def test_what_is_done_to_somebody(deed: Deed) -> None:
    for sender, target in product(Role, Role):
        assert may(deed, sender, target) is (target in TABLE[deed][sender]), (sender, target)


@pytest.mark.parametrize("deed", LEAST)
def test_what_is_done_to_nobody(deed: Deed) -> None:
    for sender in Role:
        assert may(deed, sender) is (sender >= LEAST[deed])


# -- through the machine ----------------------------------------------------------------------------------------------

Make = Callable[[Role], GroupEvent]
TO_MEMBERS: dict[Deed, Make] = {
    Deed.ANNOUNCE: lambda role: MemberAnnounced(info("new", role)),
    Deed.LET_JOIN: lambda role: LinkOfMember(info("new", role), "simplex:/x"),
    Deed.ROLE: lambda role: RoleChanged(BOB, OBS if role is not OBS else A),
    Deed.REMOVE: lambda role: MemberRemoved(BOB),
    Deed.RESTRICT: lambda role: MemberRestricted(BOB, Restriction.BLOCKED),
    Deed.MODERATE: lambda role: Deletion("bobs", BOB),
    Deed.ACCEPT: lambda role: LinkAccepted(Acceptance.ACCEPTED, role, NEW),
}
TO_NOBODY: dict[Deed, GroupEvent] = {
    Deed.WRITE: text(),
    Deed.EDIT: Edit("own", CONTENT),
    Deed.TAKE_BACK: Deletion("own"),
    Deed.REACT: Reaction("bobs", BOB, "\U0001f44d", True),
    Deed.FILE: FileDescribed("own", {}),
    Deed.WITHDRAW: FileWithdrawn("own"),
    Deed.PROFILE: MemberProfile(Profile("other")),
    Deed.LEAVE: MemberLeft(),
    Deed.CHANGE: GroupChanged(GroupProfile({"displayName": "other", "fullName": ""})),
    Deed.PREFERENCES: PreferencesChanged({"voice": {"enable": "off"}}),
    Deed.DELETE: GroupDeleted(),
}
DONE_DIRECTLY = {Deed.LET_JOIN, Deed.ACCEPT}
"""Counts only from the one who says it."""


def a_team(sender: Role, target: Role, *, newcomer: bool = False) -> View:
    """We, somebody of the sender's role called cath, and bob of the target's, who each wrote something."""
    members = [member("cath", sender), member("bob", target)]
    members += [member("new", Role.OBSERVER, standing=Standing.REVIEW, link=Link.NONE)] if newcomer else []
    view = team(*members, role=MOD)
    for author, shared_id in ((MemberId(b"cath"), "own"), (BOB, "bobs"), (ME, "mine")):
        view.lines[author, shared_id] = Line(author, "words", NOW - 60, None, None)
    return view


def check(view: View, event: GroupEvent, *, legal: bool) -> None:
    before = view.group
    found = view.hears(MemberId(b"cath"), message(event), NOW)
    if legal:
        assert found
        assert not any(isinstance(effect, Refused) for effect in found)
    else:
        assert [type(effect) for effect in found] == [Refused]
        assert view.group == before


@pytest.mark.parametrize("deed", TO_MEMBERS)
@pytest.mark.parametrize("sender", list(Role), ids=lambda role: role.word)
def test_events_to_members(deed: Deed, sender: Role) -> None:
    for target in Role:
        event = TO_MEMBERS[deed](target)
        legal = target in TABLE[deed][sender]
        check(a_team(sender, target, newcomer=deed is Deed.ACCEPT), event, legal=legal)


@pytest.mark.parametrize("deed", TO_NOBODY)
@pytest.mark.parametrize("sender", list(Role), ids=lambda role: role.word)
def test_events_to_nobody(deed: Deed, sender: Role) -> None:
    check(a_team(sender, M), TO_NOBODY[deed], legal=sender >= LEAST[deed])


@pytest.mark.parametrize("deed", [deed for deed in (*TO_MEMBERS, *TO_NOBODY) if deed not in DONE_DIRECTLY])
def test_what_is_passed_on_needs_an_admin_and_the_rights_of_its_author(deed: Deed) -> None:
    """Every host, every author, every target: 216 of each event (group-wire 11, trap 16)."""
    ids = count()
    for host, author, target in product(Role, Role, Role):
        event = TO_MEMBERS[deed](target) if deed in TO_MEMBERS else TO_NOBODY[deed]
        rights = target in TABLE[deed][author] if deed in TO_MEMBERS else author >= LEAST[deed]
        view = a_team(author, target)
        view.group = view.group.with_member(member("dan", host))
        before = view.group
        passed_on = Forward(MemberId(b"cath"), Envelope("x", {}, f"id{next(ids)}"), event, "2026-11-30T10:00:00Z")  # type: ignore[arg-type]
        found = view.hears(MemberId(b"dan"), message(passed_on, None), NOW)
        refused = [type(effect) for effect in found] == [Refused]
        assert refused is not (host >= ADM and rights), (host, author, target)
        if refused:
            assert view.group == before


@pytest.mark.parametrize("sender", list(Role), ids=lambda role: role.word)
def test_of_ourselves(sender: Role) -> None:
    """Our role and our place, too, are others' to change; blocking us is never told to us (group-wire 7)."""
    for own in Role:
        for deed, event in (
            (Deed.ROLE, RoleChanged(ME, OBS if own is not OBS else A)),
            (Deed.REMOVE, MemberRemoved(ME)),
            (Deed.MODERATE, Deletion("mine", ME)),
        ):
            view = a_team(sender, M)
            view.group = view.group.changed(ME, role=own)
            check(view, event, legal=own in TABLE[deed][sender])
    check(a_team(sender, M), MemberRestricted(ME, Restriction.BLOCKED), legal=False)


@pytest.mark.parametrize("sender", list(Role), ids=lambda role: role.word)
def test_introductions_only_from_the_host_and_only_from_an_admin(sender: Role) -> None:
    check(a_team(sender, M), MemberIntroduced(info("new")), legal=False)
    view = team(role=M)
    view.group = view.group.changed(MemberId(b"host"), role=sender)
    found = view.hears(MemberId(b"host"), message(MemberIntroduced(info("new"))), NOW)
    assert any(isinstance(effect, Refused) for effect in found) is (sender < ADM)
    assert (NEW in view.group.members) is (sender >= ADM)


@pytest.mark.parametrize("sender", list(Role), ids=lambda role: role.word)
def test_conversations_of_two_where_the_group_allows_them(sender: Role) -> None:
    offer = DirectInvitation("simplex:/x")
    for least in (None, *Role):
        preferences = {} if least is None else {"directMessages": {"enable": "on", "role": least.word}}
        view = team(member("cath", sender), preferences=preferences)
        check(view, offer, legal=least is not None and sender >= least)
    view = team(member("cath", sender, blocked=True), preferences={"directMessages": {"enable": "on"}})
    check(view, offer, legal=False)


def test_who_is_out_says_nothing_and_neither_do_we_listen() -> None:
    for event in (text(), MemberProfile(Profile("other")), RoleChanged(BOB, OBS), GroupDeleted()):
        view = team(member("cath", OWN, standing=Standing.REMOVED), member("bob"))
        check(view, event, legal=False)
        view = team(member("cath", OWN), member("bob"), standing=Standing.LEFT)
        check(view, event, legal=False)
        view = team(member("bob"))
        check(view, event, legal=False)
