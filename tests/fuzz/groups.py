"""Target: what members of a group say, through its machine: nothing is raised, what is refused changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from smpchat.chat.machines.group_effects import Effect, HandOn, Refused, Reported
from smpchat.chat.machines.group_hosting import Hosting, Introduction, link_came, pass_on, reported
from smpchat.chat.machines.group_inputs import Confirmed
from smpchat.chat.machines.group_sending import FORWARDABLE
from smpchat.chat.machines.group_states import MAX_MEMBERS, Group, Link, Member, Standing
from smpchat.chat.wire.bodies import Envelope
from smpchat.chat.wire.group_events import Forward
from smpchat.chat.wire.group_values import GroupProfile, MemberId, Role
from smpchat.chat.wire.groups import GroupMessage, decode_group_messages
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import replace
from smpchat.protocol.version import VersionRange
from tests.fuzz.mutate import JSON
from tests.fuzz.receiver import group_bodies
from tests.fuzz.target import Target
from tests.unit.chat.machines.view import Line, View

NOW = 1_800_000_000.0
SPEAKS = VersionRange(1, 16)
ALICE, BOB, CATH, DAN = (
    MemberId(id) for id in (b"AliceMemberId01", b"BobMemberId0001", b"CathMemberId001", b"DanMemberId0001")
)
"""As in the known answers; we are Bob."""


def _view(own: Standing) -> View:
    members = [
        Member(ALICE, Role.OWNER, "alice", link=Link.CONNECTED, older=True, named=False),
        Member(CATH, Role.MODERATOR, "cath", link=Link.CONNECTED, older=True, introducer=ALICE),
        Member(DAN, Role.MEMBER, "dan", link=Link.OFFERED, older=True, introducer=ALICE),
    ]
    profile = GroupProfile({"displayName": "hikers", "fullName": "", "groupPreferences": {}})
    ours = Member(BOB, Role.MODERATOR, "", own)
    view = View(Group(ours, ALICE, profile, by_link=True, members={member.id: member for member in members}))
    for author in (ALICE, BOB, CATH, DAN):
        view.lines[author, "c2FtcGxlMDAx"] = Line(author, "hello all", NOW - 60, None, None)
        view.note((author, "c2FtcGxlMDAx"), None)
    return view


def _ours() -> View:
    """A group of ours: one is in, one is invited, one is on its way by our link."""
    members = [
        Member(ALICE, Role.ADMIN, "alice", link=Link.CONNECTED, introducer=BOB, versions=SPEAKS),
        Member(CATH, Role.MEMBER, "cath", Standing.INVITED, Link.OFFERED, introducer=BOB, versions=SPEAKS),
        Member(DAN, Role.MEMBER, "dan", Standing.INVITED, Link.JOINING, introducer=BOB, versions=SPEAKS),
    ]
    profile = GroupProfile({"displayName": "hikers", "fullName": "", "groupPreferences": {}})
    own = Member(BOB, Role.OWNER, "", Standing.CURRENT)
    return View(Group(own, BOB, profile, by_link=False, members={member.id: member for member in members}))


def _host(group: Group, author: MemberId, said: GroupMessage, found: tuple[Effect, ...]) -> None:
    """What a host does about it."""
    hosting = Hosting({(CATH, ALICE): Introduction(), (ALICE, DAN): Introduction(asked=True)})
    by, event = group.members.get(author), said.event
    for effect in found:
        match effect:
            case HandOn(one, link) if one in group.members:
                after, sent = link_came(group, hosting, group.members[one], link, {})
                assert len(after.pairs) == len(hosting.pairs) and len(sent) <= 1
            case Reported(one, other):
                assert len(reported(hosting, one, other).pairs) == len(hosting.pairs)
    if by is not None and isinstance(event, FORWARDABLE):
        sends = pass_on(group, hosting, by, Forward(author, Envelope("x", {}), event, ""))
        assert sends is None or len({*sends.now, *sends.later}) <= len(group.members)


def _play(data: bytes) -> None:
    messages = decode_group_messages(data)
    for view in (_view(Standing.CURRENT), _view(Standing.REVIEW), _ours()):
        for sender in (ALICE, CATH, DAN):
            for message in messages:
                before = view.group
                found = view.hears(sender, message, NOW)
                _host(view.group, sender, message, found)
                if found and all(isinstance(effect, Refused) for effect in found):
                    assert _without_versions(view.group) == _without_versions(before)
            if messages:
                view.happens(Confirmed(sender, messages[0].event))
        assert view.group.own.id == BOB
        assert len(view.group.members) <= MAX_MEMBERS


def _without_versions(group: Group) -> Group:
    # What an app speaks is taken from every message, before anybody asks what is in it.
    none = VersionRange(1, 1)
    members = {id: replace(member, versions=none) for id, member in group.members.items()}
    return replace(group, members=members, crowded=False, full=False)


def _arrays() -> Sequence[bytes]:
    """Each event alone, and several in a row."""
    alone = group_bodies()
    some = [b"[" + b",".join(alone[start : start + 4]) + b"]" for start in range(0, len(alone), 4)]
    return [*alone, *some]


def groups() -> list[Target]:
    """The one."""
    return [Target("groups", _play, (DecodeError,), _arrays, JSON)]
