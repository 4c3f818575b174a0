"""A group as a member sees it: how we come in, how we come to the others, how it ends."""

from __future__ import annotations

import pytest

from smpchat.chat.machines import group_effects as effects
from smpchat.chat.machines.group_effects import (
    Allow,
    Disconnect,
    JoinHost,
    JoinMember,
    MakeLink,
    News,
    Refused,
    Release,
    Repeat,
    Send,
    Tell,
    Turn,
)
from smpchat.chat.machines.group_inputs import Accept, Confirmed, Connected, Leave, Linked, Lost
from smpchat.chat.machines.group_links import answered, invited, invited_again
from smpchat.chat.machines.group_states import (
    Group,
    Link,
    Standing,
)
from smpchat.chat.wire.group_events import (
    Agreed,
    GroupChanged,
    GroupDeleted,
    GroupEvent,
    HostProfile,
    Invitation,
    LinkAccepted,
    LinkForMember,
    LinkInvitation,
    LinkOfMember,
    MemberAnnounced,
    MemberIntroduced,
    MemberLeft,
    MemberPresents,
    MemberProfile,
    MemberRemoved,
    MembersConnected,
)
from smpchat.chat.wire.group_values import (
    Acceptance,
    Business,
    ChatType,
    GroupProfile,
    MemberId,
    MemberIdRole,
    Restriction,
    Role,
)
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace
from smpchat.protocol.version import VersionRange
from tests.unit.chat.machines.team import (
    HOST,
    ME,
    NOW,
    SPEAKS,
    from_host,
    info,
    member,
    message,
    team,
    text,
)
from tests.unit.chat.machines.view import View

BOB, CATH, DAN = MemberId(b"bob"), MemberId(b"cath"), MemberId(b"dan")
TEAM = GroupProfile({"displayName": "team", "fullName": ""})
LINK = "simplex:/invitation#/?x"


def invitation(role: Role = Role.MEMBER, host: Role = Role.OWNER, **more: object) -> Invitation:
    made = Invitation(MemberIdRole(HOST, host), MemberIdRole(ME, role), LINK, TEAM)
    return replace(made, **more)  # type: ignore[arg-type]


def answer(**more: object) -> LinkInvitation:
    made = LinkInvitation(MemberIdRole(HOST, Role.OWNER), "alice", MemberIdRole(ME, Role.MEMBER), TEAM)
    return replace(made, **more)  # type: ignore[arg-type]


def an_invitation() -> View:
    group = invited(invitation(), "alice", SPEAKS)
    assert isinstance(group, Group)
    return View(group)


# -- joining ----------------------------------------------------------------------------------------------------------


def test_an_invitation_is_accepted() -> None:
    view = an_invitation()
    assert view.group.own.standing is Standing.INVITED
    assert view.happens(Accept()) == (JoinHost(LINK),)
    assert [type(effect) for effect in view.happens(Accept())] == [Refused]
    assert view.happens(Confirmed(HOST, Agreed())) == (Allow(HOST),)
    assert view.happens(Connected(HOST)) == (Release(HOST), Tell(News.JOINED))
    assert view.happens(Connected(HOST)) == ()
    assert view.group.active
    assert view.members == {"alice": "owner connected"}


def test_an_invitation_may_come_again_with_another_role_until_it_is_accepted() -> None:
    group, found = invited_again(an_invitation().group, invitation(Role.MODERATOR))
    assert (group.own.role, found) == (Role.MODERATOR, ())
    for other in (
        invitation(Role.OWNER, Role.ADMIN),
        invitation(link="simplex:/invitation#/?y"),
        invitation(host=Role.MEMBER),
    ):
        after, found = invited_again(group, other)
        assert (after, [type(effect) for effect in found]) == (group, [Refused])
    view = View(group)
    view.happens(Accept())
    after, found = invited_again(view.group, invitation(Role.ADMIN))
    assert (after, [type(effect) for effect in found]) == (view.group, [Refused])


@pytest.mark.parametrize(
    "wrong",
    [
        invitation(host=Role.MODERATOR),
        invitation(Role.OWNER, Role.ADMIN),
        Invitation(MemberIdRole(ME, Role.OWNER), MemberIdRole(ME, Role.MEMBER), LINK, TEAM),
        invitation(profile=GroupProfile(TEAM.value | {"publicGroup": {"groupType": "channel"}})),
    ],
)
def test_an_invitation_that_its_host_may_not_give_is_none(wrong: Invitation) -> None:
    assert isinstance(invited(wrong, "alice", SPEAKS), Refused)
    same = answer(host=wrong.host, invited=wrong.invited, profile=wrong.profile)
    assert isinstance(answered(same, SPEAKS), Refused)


def test_an_invitation_is_refused_without_a_word() -> None:
    view = an_invitation()
    assert view.happens(Leave()) == ()
    assert view.group.own.standing is Standing.LEFT
    assert isinstance(view.happens(Accept())[0], Refused)


def test_a_group_link_is_answered() -> None:
    group = answered(answer(), SPEAKS)
    assert isinstance(group, Group)
    view = View(group)
    assert view.happens(Confirmed(HOST, answer())) == (Allow(HOST),)
    assert view.happens(Connected(HOST)) == (Release(HOST), Tell(News.JOINED))
    # Its profile comes once, and only then (trap 11).
    assert len(from_host(view, HostProfile(Profile("alice b")))) == 1
    assert view.members == {"alice b": "owner connected"}
    assert isinstance(from_host(view, HostProfile(Profile("mallory")))[0], Refused)


@pytest.mark.parametrize(
    ("accepted", "reviews", "standing"),
    [
        (None, False, Standing.JOINING),
        (Acceptance.ACCEPTED, False, Standing.JOINING),
        (Acceptance.ACCEPTED, True, Standing.REVIEW),
        (Acceptance.REVIEW, False, Standing.REVIEW),
        (Acceptance.PENDING, False, Standing.PENDING),
        (Acceptance.PENDING, True, Standing.PENDING),
    ],
)
def test_how_far_a_link_lets_us_in(accepted: Acceptance | None, reviews: bool, standing: Standing) -> None:
    profile = GroupProfile(TEAM.value | {"memberAdmission": {"review": "all"}}) if reviews else TEAM
    group = answered(answer(accepted=accepted, profile=profile), SPEAKS)
    assert isinstance(group, Group)
    assert group.own.standing is standing
    view = View(group)
    view.happens(Connected(HOST))
    news = {Standing.JOINING: News.JOINED, Standing.REVIEW: News.REVIEW, Standing.PENDING: News.PENDING}
    assert view.told == [Tell(news[standing])]


def test_from_pending_over_review_into_the_group() -> None:
    group = answered(answer(accepted=Acceptance.PENDING), SPEAKS)
    assert isinstance(group, Group)
    view = View(group)
    view.happens(Connected(HOST))
    from_host(view, text("what is two and two?"), "q")
    from_host(view, LinkAccepted(Acceptance.REVIEW, Role.MEMBER, ME))
    from_host(view, text("wait"), "w")
    from_host(view, LinkAccepted(Acceptance.ACCEPTED, Role.OBSERVER, ME))
    from_host(view, text("welcome"), "h")
    assert [tell.news for tell in view.told] == [News.PENDING, News.REVIEW, News.ACCEPTED]
    assert view.conversation(ME) == ["alice: what is two and two?", "alice: wait"]
    assert view.conversation() == ["alice: welcome"]
    assert view.group.own.role is Role.OBSERVER
    # It cannot be taken back but by removal.
    assert isinstance(from_host(view, LinkAccepted(Acceptance.PENDING, Role.MEMBER, ME))[0], Refused)


def test_whoever_is_not_a_moderator_cannot_let_us_in() -> None:
    view = team(member("bob"), member("cath", Role.MODERATOR), standing=Standing.REVIEW)
    accept = message(LinkAccepted(Acceptance.ACCEPTED, Role.MEMBER, ME))
    assert isinstance(view.hears(BOB, accept, NOW)[0], Refused)
    assert view.hears(CATH, accept, NOW) == (Tell(News.ACCEPTED),)


# -- members ----------------------------------------------------------------------------------------------------------


def test_a_newcomer_comes_to_a_connection_with_somebody_older() -> None:
    view = team()
    found = from_host(view, MemberIntroduced(info("bob")), "a")
    assert found[-1] == MakeLink(BOB)
    assert view.happens(Linked(BOB, LINK)) == (Send(LinkForMember(BOB, LINK), (HOST,)),)
    assert isinstance(view.happens(Linked(BOB, LINK))[0], Refused)
    assert view.happens(Confirmed(BOB, MemberPresents(BOB, Profile("robert"))))[-1] == Allow(BOB)
    connected = view.happens(Connected(BOB))
    assert connected[:2] == (Release(BOB), Repeat(BOB))
    assert connected[2:] == (Tell(News.MEMBER_CONNECTED, BOB), Send(MembersConnected(BOB), (HOST,)))
    assert view.members == {"host": "owner connected", "robert": "member connected"}
    assert isinstance(from_host(view, MemberIntroduced(info("bob")), "b")[0], Refused)


def test_a_member_joins_the_link_of_a_newcomer() -> None:
    view = team()
    assert from_host(view, MemberAnnounced(info("bob")), "a")[-1] == Tell(News.MEMBER_JOINED, BOB, HOST)
    assert from_host(view, LinkOfMember(info("bob"), LINK), "b") == (JoinMember(BOB, LINK),)
    assert isinstance(from_host(view, LinkOfMember(info("bob"), LINK), "c")[0], Refused)
    view.happens(Confirmed(BOB, MemberPresents(BOB, Profile("bob"))))
    assert view.happens(Connected(BOB))[-1] == Send(MembersConnected(BOB), (HOST,))


def test_the_link_of_a_newcomer_may_come_before_the_newcomer_is_announced() -> None:
    """Trap 9."""
    view = team()
    assert from_host(view, LinkOfMember(info("bob"), LINK), "a")[-1] == JoinMember(BOB, LINK)
    assert view.members["bob"] == "member"


def test_another_admin_cannot_put_itself_between_two_members() -> None:
    """A link for bob that does not come from who let bob in leads to somebody else."""
    view = team(member("cath", Role.ADMIN), member("bob", link=Link.NONE, older=False))
    found = view.hears(CATH, message(LinkOfMember(info("bob"), LINK)), NOW)
    assert [type(effect) for effect in found] == [Refused]
    assert from_host(view, LinkOfMember(info("bob"), LINK)) == (JoinMember(BOB, LINK),)


@pytest.mark.parametrize(
    "said", [MemberPresents(CATH, Profile("bob")), Agreed(), MemberProfile(Profile("bob")), text()]
)
@pytest.mark.parametrize("link", [Link.OFFERED, Link.JOINING])
def test_whoever_is_not_the_member_that_a_link_was_for_is_turned_away(said: GroupEvent, link: Link) -> None:
    """Trap 10."""
    view = team(member("bob", link=link))
    assert [type(effect) for effect in view.happens(Confirmed(BOB, said))] == [Turn]
    assert view.group.members[BOB].link is Link.NONE
    assert [type(effect) for effect in view.happens(Confirmed(DAN, said))] == [Turn]


@pytest.mark.parametrize("versions", [None, VersionRange(1, 1)])
def test_who_cannot_be_introduced(versions: VersionRange | None) -> None:
    view = team()
    assert isinstance(from_host(view, MemberIntroduced(info("bob", versions=versions)))[0], Refused)


def test_who_is_blocked_is_introduced_as_blocked() -> None:
    view = team()
    from_host(view, MemberIntroduced(info("bob"), Restriction.BLOCKED))
    assert view.members["bob"] == "member blocked"


def test_a_connection_that_is_lost_may_be_made_anew() -> None:
    view = team(member("bob"))
    view.happens(Lost(BOB))
    assert view.members["bob"] == "member"
    assert from_host(view, LinkOfMember(info("bob"), LINK)) == (JoinMember(BOB, LINK),)
    assert view.happens(Lost(MemberId(b"nobody"))) == ()


def test_who_is_removed_leaves_or_deletes_loses_its_connection_after_delivery() -> None:
    """Trap 13."""
    view = team(member("bob"), member("cath"), member("dan", link=Link.NONE))
    assert from_host(view, MemberRemoved(BOB), "a") == (
        Disconnect((BOB,)),
        Tell(News.MEMBER_REMOVED, BOB, HOST),
    )
    assert from_host(view, MemberRemoved(DAN), "b") == (Tell(News.MEMBER_REMOVED, DAN, HOST),)
    assert view.hears(CATH, message(MemberLeft()), NOW) == (Disconnect((CATH,)), Tell(News.MEMBER_LEFT, CATH))
    assert from_host(view, GroupDeleted(), "c") == (Disconnect((HOST,)), Tell(News.DELETED, by=HOST))
    assert view.group.own.standing is Standing.DELETED
    assert view.happens(Connected(BOB)) == (Disconnect((BOB,)),)


def test_we_are_removed() -> None:
    """Trap 12: by one connection; what others still say is not heard."""
    view = team(member("bob"))
    view.says("m", text("mine"), NOW)
    assert from_host(view, MemberRemoved(ME, messages=True))[-1] == Tell(News.REMOVED, by=HOST)
    assert view.group.own.standing is Standing.REMOVED
    assert view.conversation() == ["me: mine (deleted by host)"]
    assert isinstance(view.hears(BOB, message(text()), NOW)[0], Refused)
    assert view.conversation() == ["me: mine (deleted by host)"]


def test_we_leave() -> None:
    view = team(member("bob"), member("cath", link=Link.OFFERED))
    assert view.happens(Leave()) == (Send(MemberLeft(), (HOST, BOB), (), (CATH,)), Disconnect((HOST, BOB, CATH)))
    assert isinstance(view.happens(Leave())[0], Refused)


def test_the_profile_of_a_business_chat_is_not_for_its_owner_to_change() -> None:
    view = team()
    view.group = replace(view.group, business=Business(ChatType.BUSINESS, HOST, ME))
    changed = {"displayName": "other", "fullName": "", "groupPreferences": {"voice": {"enable": "off"}}}
    from_host(view, GroupChanged(GroupProfile(changed)))
    assert view.group.profile.value == {"displayName": "team", "fullName": ""} | {
        "groupPreferences": {"voice": {"enable": "off"}}
    }
    view = team()
    assert [type(e) for e in from_host(view, GroupChanged(GroupProfile(changed)))] == [effects.SaveGroup, Tell]
    assert from_host(view, GroupChanged(GroupProfile(changed))) == ()


def test_review_is_told_to_moderators_only() -> None:
    announcement = MemberAnnounced(info("bob"), BOB)
    assert isinstance(from_host(team(), announcement)[0], Refused)
    view = team(role=Role.MODERATOR)
    assert from_host(view, announcement)[-1] == Tell(News.MEMBER_REVIEWED, BOB, HOST)
    assert isinstance(from_host(team(role=Role.MODERATOR), MemberAnnounced(info("bob"), CATH))[0], Refused)
