"""To whom what we say goes: straight, later, or through a host."""

from __future__ import annotations

import pytest

from smpchat.chat.machines.group_effects import Send
from smpchat.chat.machines.group_sending import (
    MAX_RECEIPTS,
    deliver,
    deliver_profile,
    may_say,
    wants_receipts,
)
from smpchat.chat.machines.group_states import Link, Standing
from smpchat.chat.wire.group_events import Edit, MemberProfile, MembersConnected, Reaction
from smpchat.chat.wire.group_values import MemberId, Role
from smpchat.chat.wire.profile import Profile
from smpchat.protocol.version import VersionRange
from tests.unit.chat.machines.team import HOST, ME, member, team, text

BOB, CATH, DAN, EVE = (MemberId(name) for name in (b"bob", b"cath", b"dan", b"eve"))
OLD = VersionRange(1, 3)


def test_who_is_connected_gets_it_now_and_a_host_passes_on_what_it_can() -> None:
    view = team(
        member("bob"),
        member("cath", link=Link.OFFERED),
        member("dan", link=Link.JOINING, versions=OLD),
        member("eve", link=Link.NONE, older=False, introducer=BOB),
        member("gone", standing=Standing.LEFT, link=Link.NONE),
        member("new", standing=Standing.REVIEW),
        member("unknown", standing=Standing.UNKNOWN, link=Link.NONE),
    )
    assert deliver(view.group, text()) == Send(text(), (HOST, BOB), (DAN,), (CATH, EVE))
    # not passed on by anybody, so it waits
    assert deliver(view.group, MembersConnected(BOB)).later == (CATH, DAN, EVE)


def test_a_host_that_passes_nothing_on_leaves_it_to_us() -> None:
    view = team(member("bob", link=Link.NONE), member("cath", link=Link.NONE, older=False, introducer=DAN))
    view.group = view.group.changed(HOST, versions=OLD)
    assert deliver(view.group, text()) == Send(text(), (HOST,), (BOB, CATH))


def test_what_is_said_to_a_host_waits_for_its_connection() -> None:
    view = team()
    view.group = view.group.changed(HOST, link=Link.JOINING)
    assert deliver(view.group, text()) == Send(text(), (), (HOST,))


def test_support_chats_go_to_moderators() -> None:
    everybody = (member("bob"), member("cath", Role.MODERATOR), member("dan", Role.ADMIN, versions=OLD))
    view = team(*everybody)
    assert deliver(view.group, text(), ME).now == (HOST, CATH)
    # as a moderator in that of bob
    assert deliver(team(*everybody, role=Role.MODERATOR).group, text(), BOB).now == (HOST, BOB, CATH)


def test_while_we_are_not_in_only_those_who_decide_hear_us() -> None:
    everybody = (member("bob"), member("cath", Role.MODERATOR))
    assert deliver(team(*everybody, standing=Standing.PENDING).group, text()).now == (HOST,)
    assert deliver(team(*everybody, standing=Standing.REVIEW).group, text()).now == (HOST, CATH)
    pending = (member("bob", standing=Standing.PENDING), member("cath", Role.MODERATOR))
    assert deliver(team(*pending, role=Role.ADMIN).group, text(), BOB).now == (BOB,)


@pytest.mark.parametrize(
    ("role", "standing", "scope", "allowed"),
    [
        (Role.MEMBER, Standing.CURRENT, None, True),
        (Role.AUTHOR, Standing.CURRENT, None, True),
        (Role.OBSERVER, Standing.CURRENT, None, False),
        (Role.OBSERVER, Standing.CURRENT, ME, True),
        (Role.OBSERVER, Standing.REVIEW, None, True),
        (Role.OWNER, Standing.JOINING, None, False),
        (Role.OWNER, Standing.LEFT, None, False),
        (Role.OWNER, Standing.REMOVED, None, False),
        (Role.OWNER, Standing.DELETED, None, False),
        (Role.OWNER, Standing.INVITED, None, False),
    ],
)
def test_who_may_write(role: Role, standing: Standing, scope: MemberId | None, allowed: bool) -> None:
    group = team(role=role, standing=standing).group
    assert (may_say(group, text(scope=scope)) is None) is allowed
    assert (may_say(group, Edit("a", {"type": "text", "text": ""}, scope=scope)) is None) is allowed
    reaction = Reaction("a", BOB, "\U0001f44d", True)
    assert (may_say(group, reaction) is None) is (standing in (Standing.CURRENT, Standing.REVIEW))


def test_a_new_profile_goes_to_those_who_take_it() -> None:
    after = Profile("anna")
    view = team(member("bob"), member("old", versions=OLD))
    assert deliver_profile(view.group, after) == Send(MemberProfile(after), (HOST, BOB))


def test_small_groups_have_receipts() -> None:
    others = [member(f"m{number}") for number in range(MAX_RECEIPTS - 2)]
    assert wants_receipts(team(*others, member("gone", standing=Standing.LEFT)).group)
    assert not wants_receipts(team(*others, member("bob")).group)
