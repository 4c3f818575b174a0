"""What one peer can cause in a group is bounded."""

from __future__ import annotations

from smpchat.chat.machines.group_effects import (
    Forget,
    JoinMember,
    MakeLink,
    News,
    Refused,
    Tell,
)
from smpchat.chat.machines.group_inputs import Tick
from smpchat.chat.machines.group_states import (
    LINKS_PER_MINUTE,
    MAX_MEMBERS,
    MAX_UNKNOWN,
    unknown_name,
)
from smpchat.chat.wire.group_events import (
    LinkOfMember,
    MemberAnnounced,
    MemberIntroduced,
    MemberLeft,
)
from smpchat.chat.wire.group_values import (
    MemberId,
    Role,
)
from smpchat.encoding.record import replace
from tests.unit.chat.machines.team import (
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


def test_so_many_introductions_in_a_minute_and_the_others_have_their_turn() -> None:
    """Trap 24: each costs a queue."""
    view = team()
    for number in range(LINKS_PER_MINUTE + 10):
        from_host(view, MemberIntroduced(info(f"m{number}")), f"i{number}")
    assert view.count(MakeLink) == LINKS_PER_MINUTE
    view.happens(Tick(NOW + 59))
    assert view.count(MakeLink) == LINKS_PER_MINUTE
    view.happens(Tick(NOW + 60))
    assert view.count(MakeLink) == LINKS_PER_MINUTE + 10
    assert view.happens(Tick(NOW + 200)) == ()


def test_links_to_join_wait_for_the_same_turn_and_a_clock_set_back_is_no_harm() -> None:
    view = team()
    for number in range(LINKS_PER_MINUTE + 1):
        from_host(view, LinkOfMember(info(f"m{number}"), f"{LINK}{number}"), f"i{number}")
    assert view.count(JoinMember) == LINKS_PER_MINUTE
    assert view.happens(Tick(NOW - 1)) == (JoinMember(MemberId(b"m60"), f"{LINK}60"),)
    assert all(known.offer is None for known in view.group.members.values())


def test_ten_thousand_introductions_are_bounded_and_told_once() -> None:
    view = team()
    for number in range(10_000):
        from_host(view, MemberIntroduced(info(f"m{number}")))
    assert len(view.group.members) == MAX_MEMBERS
    assert view.count(MakeLink) == LINKS_PER_MINUTE
    assert view.told == [Tell(News.CROWDED)]


def test_of_those_who_are_out_the_first_makes_room() -> None:
    view = team(*(member(f"m{number}") for number in range(MAX_MEMBERS - 1)))
    assert isinstance(from_host(view, MemberAnnounced(info("new")), "a")[0], Refused)
    view.hears(MemberId(b"m7"), message(MemberLeft()), NOW)
    assert from_host(view, MemberAnnounced(info("new")), "b")[0] == Forget(MemberId(b"m7"))
    assert len(view.group.members) == MAX_MEMBERS


def test_authors_whom_nobody_introduced_are_bounded() -> None:
    view = team()
    for number in range(MAX_UNKNOWN + 5):
        author = MemberId(f"u{number}".encode())
        from_host(view, replace(passed_on(author, text(), f"i{number}"), name=None))
    assert len(view.group.members) == 1 + MAX_UNKNOWN
    assert view.count(Forget) == 5
    last = MemberId(f"u{MAX_UNKNOWN + 4}".encode())
    assert view.group.members[last].name == unknown_name(last)
    assert len(unknown_name(MemberId(bytes(16)))) == 7


def test_hosts_that_are_told_of_a_connection_are_bounded() -> None:
    hosts = [member(f"h{number}", Role.ADMIN) for number in range(20)]
    view = team(*hosts, member("bob"))
    view.hears(BOB, message(text()), NOW)
    for host in hosts:
        view.hears(host.id, message(passed_on(BOB, text()), None), NOW)
    assert len(view.sent) == 8
