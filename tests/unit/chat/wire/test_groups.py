"""Events of groups: what is read, what is refused, and bounds. What apps sent is in tests/vectors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smpchat.agent.wire.user_data import write_user_json
from smpchat.chat.wire.bodies import MAX_MESSAGES, LeftOut
from smpchat.chat.wire.group_encoding import batches, encode_group_event, join_batch
from smpchat.chat.wire.group_events import (
    Deletion,
    Edit,
    Forward,
    GroupChanged,
    GroupEvent,
    Invitation,
    LinkInvitation,
    LinkRejection,
    MemberAnnounced,
    MemberIntroduced,
    MemberLeft,
    MemberPresents,
    MemberRestricted,
    MembersConnected,
    Post,
    Reaction,
    RoleChanged,
    Unusable,
    said,
)
from smpchat.chat.wire.group_values import (
    MAX_LINK,
    MAX_MEMBER_ID,
    MAX_MENTIONS,
    Acceptance,
    Feature,
    GroupProfile,
    GroupQuote,
    MemberId,
    MemberIdRole,
    MemberInfo,
    Mention,
    Restriction,
    Role,
    member_text,
)
from smpchat.chat.wire.groups import decode_group_messages, read_group_link
from smpchat.chat.wire.message import TextMessage
from smpchat.chat.wire.profile import Profile
from smpchat.protocol.version import VersionRange

ALICE, BOB = MemberId(b"AliceMemberId001"), MemberId(b"BobMemberId00001")
TEXT = {"type": "text", "text": "hi"}
TEAM = {"displayName": "team", "fullName": ""}
BOB_PROFILE = {"displayName": "bob", "fullName": ""}
LINK = "simplex:/invitation#/?v=2-7&smp=x"


def event(name: str, params: dict[str, Any]) -> GroupEvent:
    [message] = decode_group_messages(json.dumps({"event": name, "msgId": "b25l", "params": params}).encode())
    return message.event


def info(**more: Any) -> dict[str, Any]:
    return {"memberId": member_text(BOB), "memberRole": "member", "v": "1-16", "profile": BOB_PROFILE} | more


def invitation(**more: Any) -> dict[str, Any]:
    value = {
        "fromMember": {"memberId": member_text(ALICE), "memberRole": "owner"},
        "invitedMember": {"memberId": member_text(BOB), "memberRole": "member"},
        "connRequest": LINK,
        "groupProfile": TEAM,
    }
    return {"groupInvitation": value | more}


@pytest.mark.parametrize(
    ("word", "role"),
    [(role.word, role) for role in Role] + [("relay", Role.OBSERVER), ("emperor", Role.OBSERVER), ("", Role.OBSERVER)],
)
def test_roles_that_only_newer_apps_know_are_the_lowest(word: str, role: Role) -> None:
    assert event("x.grp.mem.role", {"memberId": member_text(BOB), "role": word}) == RoleChanged(BOB, role)


def test_roles_are_in_order() -> None:
    assert [role.word for role in sorted(Role)] == ["observer", "author", "member", "moderator", "admin", "owner"]


@pytest.mark.parametrize("text", ["Qm9iTWVtYmVySWQwMDAwMQ==", "Qm9iTWVtYmVySWQwMDAwMQ"])
def test_ids_of_members_are_bytes_whatever_their_padding(text: str) -> None:
    assert event("x.grp.mem.con", {"memberId": text}) == MembersConnected(BOB)


@pytest.mark.parametrize("value", [None, 3, "", "=", "a", "not base64!", "A" * (MAX_MEMBER_ID * 2), ["Qm9i"]])
def test_what_is_no_id_of_a_member_makes_its_event_unusable(value: object) -> None:
    for name in ("x.grp.mem.con", "x.grp.mem.del", "x.grp.acpt"):
        assert event(name, {"memberId": value}) == Unusable(name, "not a member id")


def test_an_invitation() -> None:
    assert event("x.grp.inv", invitation()) == Invitation(
        MemberIdRole(ALICE, Role.OWNER), MemberIdRole(BOB, Role.MEMBER), LINK, GroupProfile(TEAM)
    )


@pytest.mark.parametrize(
    "more",
    [
        {"groupProfile": {"fullName": ""}},
        {"groupProfile": {"displayName": ""}},
        {"groupProfile": None},
        {"fromMember": None},
        {"invitedMember": {"memberId": member_text(BOB)}},
        {"connRequest": "simplex:/ with a blank"},
        {"connRequest": "x" * (MAX_LINK + 1)},
        {"connRequest": None},
        {"business": {"chatType": "club"}},
        {"business": 1},
    ],
)
def test_an_invitation_that_lacks_what_it_needs_is_unusable(more: dict[str, Any]) -> None:
    assert isinstance(event("x.grp.inv", invitation(**more)), Unusable)


@pytest.mark.parametrize("size", [-1, 10**9, True, 1.5, "3", None])
def test_a_size_that_is_none_is_left_out(size: object) -> None:
    found = event("x.grp.inv", invitation(groupSize=size))
    assert isinstance(found, Invitation)
    assert found.size is None


def test_an_acceptance_that_only_newer_apps_know_is_not_one_yet() -> None:
    value = {"fromMemberName": "alice[\n]", "accepted": "perhaps"} | invitation()["groupInvitation"]
    found = event("x.grp.link.inv", {"groupLinkInvitation": value})
    assert isinstance(found, LinkInvitation)
    assert (found.accepted, found.host_name) == (Acceptance.PENDING, "alice( )")
    assert isinstance(event("x.grp.link.inv", {"groupLinkInvitation": value | {"accepted": 1}}), Unusable)
    found = event("x.grp.link.reject", {"groupLinkRejection": value | {"rejectionReason": "x" * 1000}})
    assert isinstance(found, LinkRejection)
    assert len(found.reason) <= 100


def test_members_are_introduced_with_what_is_known_of_them() -> None:
    member = MemberInfo(BOB, Role.MEMBER, Profile("bob"), VersionRange(1, 16))
    assert event("x.grp.mem.new", {"memberInfo": info()}) == MemberAnnounced(member)
    assert event("x.grp.mem.new", {"memberInfo": info(memberKey="new", v="x")}) == MemberAnnounced(
        MemberInfo(BOB, Role.MEMBER, Profile("bob"))
    )
    for restriction, expected in (("blocked", Restriction.BLOCKED), ("muffled", Restriction.OTHER)):
        found = event("x.grp.mem.intro", {"memberInfo": info(), "memberRestrictions": {"restriction": restriction}})
        assert found == MemberIntroduced(member, expected)
    broken: dict[str, Any]
    for broken in ({"profile": {}}, {"memberRole": 3}, {"memberId": ""}):
        assert isinstance(event("x.grp.mem.new", {"memberInfo": info(**broken)}), Unusable)
    assert isinstance(event("x.grp.mem.intro", {"memberInfo": info(), "memberRestrictions": 1}), Unusable)


def test_members_get_no_preferences_of_ours() -> None:
    """They are for contacts (group-wire 11, trap 4)."""
    profile = Profile.from_wire(BOB_PROFILE | {"image": "data:image/png;base64,AAAA", "preferences": {}})
    assert profile is not None
    params = json.loads(encode_group_event(MemberPresents(BOB, profile)))["params"]
    assert params["profile"] == BOB_PROFILE | {"image": "data:image/png;base64,AAAA"}


def test_the_profile_of_a_group_keeps_what_only_newer_apps_know() -> None:
    """An editor that drops it switches it off for all (group-wire 11, trap 27)."""
    value = TEAM | {"publicGroup": {"groupType": "channel"}, "memberAdmission": {"review": "all"}, "later": [1]}
    found = event("x.grp.info", {"groupProfile": value})
    assert found == GroupChanged(GroupProfile(value))
    assert isinstance(found, GroupChanged)
    assert found.profile.reviews
    assert found.profile.channel
    changed = found.profile.with_preferences({"voice": {"enable": "off"}, "later": {}})
    assert changed.value == value | {"groupPreferences": {"voice": {"enable": "off"}, "later": {}}}
    assert found.profile.value == value


@pytest.mark.parametrize(
    ("preferences", "feature", "least"),
    [
        ({}, Feature.VOICE, Role.OBSERVER),
        ({}, Feature.DIRECT_MESSAGES, None),
        ({"voice": {"enable": "off"}}, Feature.VOICE, None),
        ({"voice": {"enable": "on", "role": "admin"}}, Feature.VOICE, Role.ADMIN),
        ({"voice": {"enable": 1}}, Feature.VOICE, Role.OBSERVER),
        ({"voice": "off"}, Feature.VOICE, Role.OBSERVER),
        ({"files": {"role": "moderator"}}, Feature.FILES, Role.MODERATOR),
        ({"directMessages": {"enable": "on", "role": "owner"}}, Feature.DIRECT_MESSAGES, Role.OWNER),
    ],
)
def test_who_may_use_what(preferences: dict[str, Any], feature: Feature, least: Role | None) -> None:
    profile = GroupProfile(TEAM | {"groupPreferences": preferences})
    allowed = [role for role in Role if profile.allows(feature, role)]
    assert allowed == ([] if least is None else [role for role in Role if role >= least])


@pytest.mark.parametrize(
    ("timed", "seconds"),
    [
        ({"enable": "on", "ttl": 60}, 60),
        ({"enable": "on"}, 86_400),
        ({"enable": "on", "ttl": -1}, 86_400),
        ({"enable": "off", "ttl": 60}, None),
        (None, None),
    ],
)
def test_when_messages_disappear(timed: object, seconds: int | None) -> None:
    assert GroupProfile(TEAM | {"groupPreferences": {"timedMessages": timed}}).disappear_after == seconds


def test_a_post_with_all_that_it_may_have() -> None:
    quote = {"content": TEXT, "msgRef": {"msgId": "b25l", "sentAt": "2026-11-30T10:00:00Z", "sent": True}}
    params = {"content": TEXT, "ttl": 60, "live": True, "forward": True, "quote": quote}
    mentions = {"cath": {"memberId": member_text(BOB)}}
    found = event("x.msg.new", params | {"mentions": mentions})
    assert found == Post(
        TEXT,
        quote=GroupQuote(None, "b25l", "2026-11-30T10:00:00Z", True, TEXT),
        ttl=60,
        live=True,
        forwarded=True,
        mentions=(Mention("cath", BOB),),
    )
    assert isinstance(found, Post)
    words = said(found, "b25l")
    assert isinstance(words, TextMessage)
    assert (words.text, words.ttl, words.live, words.forwarded) == ("hi", 60, True, True)
    assert words.quote is not None
    assert "hi" not in repr(found)


def test_halves_of_letters_are_replaced_since_nothing_can_store_them() -> None:
    """JSON can write half of a surrogate pair; SQLite, terminals and UTF-8 refuse it."""
    half = "a\ud800b"
    found = event("x.msg.new", {"content": TEXT | {"text": half, half: [half]}, "file": {"fileName": half}})
    assert found == Post({"type": "text", "text": "a�b", "a�b": ["a�b"]}, {"fileName": "a�b"})
    found = event("x.grp.info", {"groupProfile": TEAM | {"later": {half: half}}})
    assert found == GroupChanged(GroupProfile(TEAM | {"later": {"a�b": "a�b"}}))


def test_mentions_are_bounded() -> None:
    many = {f"n{number}": {"memberId": member_text(BOB)} for number in range(1000)}
    found = event("x.msg.new", {"content": TEXT, "mentions": many | {"x": 1, "y" * 300: {"memberId": "Qm9i"}}})
    assert isinstance(found, Post)
    assert len(found.mentions) == MAX_MENTIONS


@pytest.mark.parametrize("name", ["x.msg.new", "x.msg.update", "x.msg.del", "x.grp.mem.new"])
@pytest.mark.parametrize("scope", [{"type": "reports"}, {"type": "member"}, "member", 1])
def test_what_is_for_some_and_not_said_for_whom_is_shown_to_nobody(name: str, scope: object) -> None:
    """Without support for a scope, a message for moderators would stand before all (group-wire 7.1)."""
    params = {"content": TEXT, "msgId": "b25l", "memberInfo": info()}
    assert not isinstance(event(name, params), Unusable)
    assert isinstance(event(name, params | {"scope": scope}), Unusable)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("x.msg.new", {"content": {"text": "no type"}}),
        ("x.msg.new", {}),
        ("x.msg.update", {"content": TEXT}),
        ("x.msg.del", {}),
        ("x.msg.del", {"msgId": "b25l", "memberId": 1}),
        ("x.msg.react", {"msgId": "b25l", "reaction": {"emoji": "x"}, "add": True}),
        ("x.msg.react", {"msgId": "b25l", "reaction": {"emoji": "\U0001f44d"}, "add": 1}),
        ("x.grp.mem.restrict", {"memberId": member_text(BOB)}),
        ("x.grp.info", {"groupProfile": []}),
        ("x.grp.prefs", {}),
        ("x.grp.mem.fwd", {"memberInfo": info(), "memberIntro": {}}),
        ("x.grp.mem.inv", {"memberId": member_text(BOB), "memberIntro": {"groupConnReq": LINK, "directConnReq": 1}}),
        ("x.info.probe", {"probe": "x" * 1000}),
        ("x.grp.mem.con.all", {}),
        ("x.grp.relay.new", {}),
    ],
)
def test_what_says_nothing_to_us_is_unusable(name: str, params: dict[str, Any]) -> None:
    found = event(name, params)
    assert isinstance(found, Unusable)
    assert found.name == name


def forward(inner: object, **more: Any) -> GroupEvent:
    return event(
        "x.grp.msg.forward", {"memberId": member_text(BOB), "msg": inner, "msgTs": "2026-11-30T10:00:00.5Z"} | more
    )


def test_forwards_hold_what_hosts_pass_on_and_no_more() -> None:
    inner = {"v": "1-16", "msgId": "b25l", "event": "x.msg.new", "params": {"content": TEXT}}
    found = forward(inner, memberName="bob")
    assert isinstance(found, Forward)
    assert (found.author, found.event, found.moment, found.name) == (BOB, Post(TEXT), 1796032800.5, "bob")
    assert json.loads(encode_group_event(found))["params"]["msg"] == inner
    for name in ("x.grp.msg.forward", "x.grp.mem.intro", "x.grp.inv", "x.grp.link.acpt", "x.info.probe"):
        refused = forward({"event": name, "msgId": "b25l", "params": {"msg": inner, "probe": "x"}})
        assert isinstance(refused, Forward)
        assert refused.event is None
    assert isinstance(forward([]), Unusable)
    assert isinstance(forward(inner, memberId=3), Unusable)
    assert forward(inner, msgTs="then").moment is None  # type: ignore[union-attr]


def test_one_broken_event_does_not_spoil_the_others() -> None:
    good = {"event": "x.grp.leave", "params": {}}
    body = json.dumps([good, {"event": "x.msg.new", "params": {}}, 3, good]).encode()
    events = [message.event for message in decode_group_messages(body)]
    assert [type(found) for found in events] == [MemberLeft, Unusable, Unusable, MemberLeft]


def test_so_many_events_of_one_body_are_read() -> None:
    body = json.dumps([{"event": "x.grp.leave", "params": {}}] * (MAX_MESSAGES + 1)).encode()
    events = [message.event for message in decode_group_messages(body)]
    assert len(events) == MAX_MESSAGES + 1
    assert events[-1] == LeftOut()


def test_batches_hold_whole_messages_in_order() -> None:
    """Twelve messages of 3,000 characters went as 5, 5 and 2 (group-wire 12, fact 11)."""
    texts = [f"{number:02} " + "y" * 2997 for number in range(12)]
    messages = [encode_group_event(Post({"type": "text", "text": text}), "b" * 24) for text in texts]
    found = batches(messages, 15_602)
    assert [len(batch) for batch in found] == [5, 5, 2]
    assert [message for batch in found for message in batch] == messages
    assert all(len(join_batch(batch)) <= 15_602 for batch in found)
    assert join_batch([b"{}"]) == b"{}"
    assert batches([b"x" * 10, b"y" * 10], 23) == [[b"x" * 10, b"y" * 10]]
    assert batches([b"x" * 10, b"y" * 10], 22) == [[b"x" * 10], [b"y" * 10]]


def test_what_stands_behind_the_link_of_a_group() -> None:
    assert read_group_link(write_user_json({"groupProfile": TEAM, "publicGroupData": {}})) == GroupProfile(TEAM)
    for other in ({"profile": BOB_PROFILE}, {"groupProfile": {"displayName": 1}}):
        assert read_group_link(write_user_json(other)) is None
    assert read_group_link(b"\xff") is None


def test_edits_and_deletions_say_whose() -> None:
    assert event("x.msg.update", {"msgId": "b25l", "content": TEXT, "ttl": 5}) == Edit("b25l", TEXT, ttl=5)
    whose = {"msgId": "b25l", "memberId": member_text(BOB)}
    assert event("x.msg.del", whose) == Deletion("b25l", BOB)
    reaction = whose | {"reaction": {"type": "emoji", "emoji": "\U0001f44d"}, "add": False}
    assert event("x.msg.react", reaction) == Reaction("b25l", BOB, "\U0001f44d", False)
    restricted = {"memberId": member_text(BOB), "memberRestrictions": {"restriction": "blocked"}}
    assert event("x.grp.mem.restrict", restricted) == MemberRestricted(BOB, Restriction.BLOCKED)
