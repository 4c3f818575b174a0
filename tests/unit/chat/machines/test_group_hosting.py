"""What a host owes those it lets in: whom it tells, in which order, and what it passes on to whom."""

from __future__ import annotations

import pytest

from smpchat.chat.machines.group_effects import Refused, Send
from smpchat.chat.machines.group_hosting import Hosting, accept, admit, link_came, pass_on, reported
from smpchat.chat.machines.group_states import Group, Link, Member, Standing
from smpchat.chat.wire.bodies import Envelope
from smpchat.chat.wire.group_events import (
    Forward,
    GroupEvent,
    HostProfile,
    LinkAccepted,
    LinkForMember,
    LinkOfMember,
    MemberAnnounced,
    MemberIntroduced,
    MemberRestricted,
    MembersConnected,
    Post,
)
from smpchat.chat.wire.group_values import Acceptance, GroupProfile, MemberId, Restriction, Role
from smpchat.chat.wire.groups import decode_group_messages
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace
from tests.unit.chat.machines.replaying import records
from tests.unit.chat.machines.team import info, member, text
from tests.vectors.formats.app_bodies import body_of

OWN = MemberId(b"own")
BOB, CATH, DAN, EVE = (MemberId(name) for name in (b"bob", b"cath", b"dan", b"eve"))
PICTURE = "data:image/png;base64,AAAA"
PROFILES = {BOB: Profile("bob"), CATH: Profile("cath"), DAN: Profile("dan", picture=PICTURE), EVE: Profile("eve")}
US = Profile("us")
LINK = "simplex:/invitation#/?x"


def hosted(*members: Member, role: Role = Role.OWNER) -> Group:
    """A group of ours."""
    profile = GroupProfile({"displayName": "team", "fullName": ""})
    let_in = [replace(one, introducer=OWN, older=False) for one in members]
    return Group(Member(OWN, role, ""), OWN, profile, by_link=False, members={one.id: one for one in let_in})


CREW = (member("bob", Role.MODERATOR), member("dan"), member("cath", Role.ADMIN), member("eve"))


def sends(found: tuple[object, ...]) -> list[tuple[str, tuple[MemberId, ...]]]:
    return [(type(send.event).__name__, send.now) for send in found if isinstance(send, Send)]


def introduced(found: tuple[object, ...]) -> list[MemberId]:
    events = [send.event for send in found if isinstance(send, Send)]
    return [event.info.member for event in events if isinstance(event, MemberIntroduced)]


def test_a_newcomer_is_announced_to_all_and_all_are_introduced_to_it() -> None:
    hosting, found = admit(hosted(*CREW), Hosting(), EVE, US, PROFILES, by_link=True)
    assert sends(found)[:2] == [("HostProfile", (EVE,)), ("MemberAnnounced", (BOB, DAN, CATH, EVE))]
    # admins, then who has a picture, then the rest, moderators among them (group-wire 12, facts 6 and 7)
    assert introduced(found) == [CATH, DAN, BOB]
    assert list(hosting.pairs) == [(EVE, BOB), (EVE, DAN), (EVE, CATH)]
    # whom a contact of ours became knows us already
    _, by_contact = admit(hosted(*CREW), Hosting(), EVE, US, PROFILES, by_link=False)
    assert [name for name, _ in sends(by_contact) if name == "HostProfile"] == []
    assert admit(hosted(*CREW), hosting, EVE, US, PROFILES, by_link=False)[0] == hosting


@pytest.mark.parametrize("case", ["33", "15"])
def test_the_order_is_that_of_real_hosts(case: str) -> None:
    bodies = [one for one in records() if one["case"].startswith(case) and one["sent_or_received"] == "sent"]
    events = [said.event for one in bodies if one["event"] != "A_RCVD" for said in decode_group_messages(body_of(one))]
    theirs = [event.info for event in events if isinstance(event, MemberIntroduced)]
    members = [
        Member(one.member, one.role, one.profile.display_name, link=Link.CONNECTED, versions=one.versions)
        for one in reversed(theirs)
    ]
    profiles = {one.member: one.profile for one in theirs}
    _, found = admit(hosted(*members, member("new")), Hosting(), MemberId(b"new"), US, profiles, by_link=True)
    assert len(theirs) > 1
    assert introduced(found) == [one.member for one in theirs]


def test_who_is_blocked_or_cannot_be_introduced() -> None:
    group = hosted(member("bob", blocked=True), member("cath", versions=None), member("eve"))
    _, found = admit(group, Hosting(), EVE, US, PROFILES, by_link=True)
    assert [send.event for send in found if isinstance(send, Send)][-1] == MemberIntroduced(
        info("bob"), Restriction.BLOCKED
    )
    assert introduced(found) == [BOB]


def test_under_review_only_moderators_hear_of_a_newcomer_and_it_of_them() -> None:
    group = hosted(*CREW[:3], member("eve", standing=Standing.REVIEW))
    hosting, found = admit(group, Hosting(), EVE, US, PROFILES, by_link=True)
    assert sends(found)[1:3] == [("LinkAccepted", (EVE,)), ("MemberAnnounced", (BOB, CATH))]
    assert LinkAccepted(Acceptance.REVIEW, Role.MEMBER, EVE) in [s.event for s in found if isinstance(s, Send)]
    assert MemberAnnounced(info("eve"), EVE) in [send.event for send in found if isinstance(send, Send)]
    assert introduced(found) == [CATH, BOB]
    hosting, found = accept(group, hosting, EVE, Role.MEMBER, PROFILES)
    accepted = LinkAccepted(Acceptance.ACCEPTED, Role.MEMBER, EVE)
    assert found[:2] == (Send(accepted, (EVE, BOB, CATH)), Send(MemberAnnounced(info("eve")), (DAN,)))
    assert introduced(found) == [DAN]
    assert len(hosting.pairs) == 3
    # another moderator said it, and only those are told who were not there to hear it
    _, by_another = accept(hosted(*CREW), hosting, EVE, Role.MEMBER, PROFILES, said=True)
    assert sends(by_another) == [("MemberAnnounced", (DAN,))]


def test_rights_that_we_have_lost() -> None:
    group = hosted(*CREW, role=Role.MEMBER)
    refused = (
        admit(group, Hosting(), EVE, US, PROFILES, by_link=True),
        accept(group, Hosting(), EVE, Role.MEMBER, PROFILES),
        accept(hosted(*CREW, role=Role.MODERATOR), Hosting(), EVE, Role.ADMIN, PROFILES),
    )
    assert [[type(effect) for effect in found] for _, found in refused] == [[Refused]] * 3


def test_a_newcomers_link_goes_on_once_and_only_from_newcomers_of_ours() -> None:
    group = hosted(*CREW)
    hosting, _ = admit(group, Hosting(), EVE, US, PROFILES, by_link=True)
    after, found = link_came(group, hosting, group.members[EVE], LinkForMember(BOB, LINK), PROFILES)
    assert found == (Send(LinkOfMember(info("eve"), LINK), (BOB,)),)
    for by, to, known in ((EVE, BOB, after), (BOB, EVE, hosting), (EVE, MemberId(b"nobody"), hosting)):
        again, found = link_came(group, known, group.members[by], LinkForMember(to, LINK), PROFILES)
        assert (again, [type(effect) for effect in found]) == (known, [Refused])
    offline = group.changed(BOB, link=Link.JOINING)
    assert link_came(offline, hosting, offline.members[EVE], LinkForMember(BOB, LINK), PROFILES)[1] == (
        Send(LinkOfMember(info("eve"), LINK), (), (BOB,)),
    )


def said(author: MemberId, event: GroupEvent) -> Forward:
    return Forward(author, Envelope("x", {}, "b25l"), event, "2026-11-30T10:00:00Z")  # type: ignore[arg-type]


def whom(group: Group, hosting: Hosting, author: MemberId, event: GroupEvent) -> tuple[MemberId, ...]:
    send = pass_on(group, hosting, group.members[author], said(author, event))
    return () if send is None else (*send.now, *send.later)


def test_what_is_said_is_passed_on_until_its_author_says_that_it_need_not_be() -> None:
    group = hosted(*CREW)
    hosting, _ = admit(group, Hosting(), EVE, US, PROFILES, by_link=True)
    assert whom(group, hosting, EVE, text()) == (BOB, DAN, CATH)
    assert whom(group, hosting, BOB, text()) == (EVE,)
    hosting = reported(hosting, EVE, BOB)
    assert whom(group, hosting, EVE, text()) == (DAN, CATH)
    assert whom(group, hosting, BOB, text()) == (EVE,), "what bob said before its own word is still to come"
    hosting = reported(hosting, BOB, EVE)
    assert whom(group, hosting, BOB, text()) == ()
    assert reported(hosting, BOB, DAN) == hosting
    assert hosting.without(EVE) == Hosting()


def test_to_whom_nothing_is_passed_on() -> None:
    group = hosted(*CREW)
    hosting, _ = admit(group, Hosting(), EVE, US, PROFILES, by_link=True)
    for event in (MembersConnected(BOB), LinkForMember(BOB, LINK), HostProfile(US)):
        assert whom(group, hosting, EVE, event) == ()
    assert whom(group, hosting, EVE, MemberRestricted(DAN, Restriction.BLOCKED)) == (BOB, CATH)
    assert whom(group, hosting, EVE, text(scope=EVE)) == (BOB, CATH)
    assert whom(group, hosting, BOB, text(scope=EVE)) == (EVE,)
    assert whom(group, hosting, EVE, Post({"type": "report", "text": "", "reason": "spam"})) == (BOB, CATH)
    assert whom(group.changed(EVE, blocked=True), hosting, EVE, text()) == ()
    assert whom(group.changed(EVE, standing=Standing.LEFT), hosting, EVE, text()) == ()
    assert whom(group.changed(BOB, standing=Standing.REMOVED), hosting, EVE, text()) == (DAN, CATH)
    assert whom(replace(group, own=replace(group.own, role=Role.MODERATOR)), hosting, EVE, text()) == ()


def test_who_is_not_connected_gets_it_later() -> None:
    group = hosted(*CREW).changed(BOB, link=Link.JOINING)
    hosting, found = admit(group, Hosting(), EVE, US, PROFILES, by_link=True)
    sent = pass_on(group, hosting, group.members[EVE], said(EVE, text()))
    assert sent is not None
    assert (sent.now, sent.later, sent.passed_on) == ((DAN, CATH), (BOB,), ())
    announcement = next(send for send in found if isinstance(send, Send) and isinstance(send.event, MemberAnnounced))
    assert announcement.later == (BOB,)
