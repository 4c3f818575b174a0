"""A group to try things in: we, one member of each role, and what they say."""

from __future__ import annotations

from typing import Any

from smpchat.chat.machines.group_effects import Effect
from smpchat.chat.machines.group_states import Group, Link, Member
from smpchat.chat.wire.bodies import Envelope
from smpchat.chat.wire.group_events import Forward, GroupEvent, Post
from smpchat.chat.wire.group_values import GroupProfile, MemberId, MemberInfo, Role
from smpchat.chat.wire.groups import GroupMessage
from smpchat.chat.wire.profile import Profile
from smpchat.protocol.version import VersionRange
from tests.unit.chat.machines.view import View

SPEAKS = VersionRange(1, 16)
ME, HOST = MemberId(b"me"), MemberId(b"host")
NOW = 1_800_000_000.0
ID = "b25l"


def text(words: str = "hi", **more: Any) -> Post:
    return Post({"type": "text", "text": words}, **more)


def member(name: str, role: Role = Role.MEMBER, **more: Any) -> Member:
    """Somebody who was there before us, connected."""
    given: dict[str, Any] = {"link": Link.CONNECTED, "older": True, "introducer": HOST, "versions": SPEAKS}
    return Member(MemberId(name.encode()), role, name, **(given | more))


def info(name: str, role: Role = Role.MEMBER, versions: VersionRange | None = SPEAKS) -> MemberInfo:
    return MemberInfo(MemberId(name.encode()), role, Profile(name), versions)


def team(*members: Member, role: Role = Role.MEMBER, preferences: dict[str, Any] | None = None, **more: Any) -> View:
    """A group whose host is its owner."""
    host = member("host", Role.OWNER, introducer=None)
    profile = {"displayName": "team", "fullName": "", "groupPreferences": preferences or {}}
    everybody = {one.id: one for one in (host, *members)}
    own = Member(ME, role, "", **more)
    return View(Group(own, HOST, GroupProfile(profile), by_link=True, members=everybody))


def message(event: GroupEvent, shared_id: str | None = ID) -> GroupMessage:
    return GroupMessage(event, shared_id, SPEAKS)


def passed_on(author: MemberId, event: GroupEvent, shared_id: str = ID, at: str = "2027-01-15T07:00:00Z") -> Forward:
    """A host passes on what somebody said."""
    return Forward(author, Envelope("x", {}, shared_id), event, at, "bob of old")  # type: ignore[arg-type]


def from_host(view: View, event: GroupEvent, shared_id: str | None = None) -> tuple[Effect, ...]:
    """The host says something."""
    return view.hears(HOST, message(event, shared_id), NOW)
