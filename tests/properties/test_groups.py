"""Groups of our machine, around a host as apps are and around ours: whoever is offline when, all know the same.

With our host nobody needs to repeat anything: it passes on what an author said until the author itself says stop.
"""

from __future__ import annotations

from random import Random

import pytest

from smpchat.chat.machines.group_states import Link, Standing
from smpchat.chat.wire.group_values import MemberId, Role
from tests.unit.chat.machines.team import HOST
from tests.unit.chat.machines.world import World

NAMES = ("ann", "bob", "cath", "dan", "eve")
ROLES = (Role.MEMBER, Role.MODERATOR, Role.ADMIN)


def checked(world: World) -> None:
    """All who are in have the same members with the same roles, each connected to each, and each message once."""
    current = world.current()
    expected = {person.id: world.roles[person.id] for person in current}
    for person in current:
        group = person.view.group
        others = {one.id: one.role for one in group.members.values() if one.standing is Standing.CURRENT}
        assert others == {id: role for id, role in expected.items() if id != person.id} | {HOST: Role.OWNER}
        assert all(group.members[id].link is Link.CONNECTED for id in others)
        assert person.later == {}
        assert [refused.why for refused in person.view.refused] == []
        for author in world.people:
            heard = world.heard_by(person, author)
            assert sorted(heard) == sorted(world.said.get(author, [])), "each once, and nothing of nobody's"
    assert world.open_pairs == set()
    assert all(known.asked and len(known.reported) == 2 for known in world.hosting.pairs.values())


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize(("ours", "repeats"), [(False, True), (True, False), (True, True)])
def test_all_come_to_know_the_same(seed: int, ours: bool, repeats: bool) -> None:
    """Joining, writing and being offline in any order; then a round that everybody must hear, in order."""
    random = Random(seed)
    world = World(random, ours=ours, repeats=repeats)
    waiting = list(NAMES)
    count = 0
    for _ in range(400):
        match random.randrange(12):
            case 0 if waiting:
                world.join(waiting.pop(0), random.choice(ROLES))
            case 1 if world.current():
                count += 1
                world.say(random.choice(world.current()).id, f"m{count}")
            case 2 if world.people:
                world.offline.add(random.choice([HOST, *world.people]))
            case 3 if world.offline:
                world.offline.discard(random.choice(sorted(world.offline)))
            case _:
                world.step()
    world.settle()
    for name in waiting:
        world.join(name)
    world.settle()
    checked(world)
    for number in range(3):
        for person in world.current():
            world.say(person.id, f"{person.id.decode()} {number}")
    world.settle()
    for person in world.current():
        for author in world.current():
            last = world.heard_by(person, author.id)[-3:]
            assert last == [f"{author.id.decode()} {number}" for number in range(3)]
    checked(world)


@pytest.mark.parametrize("absent", [HOST, *(MemberId(name.encode()) for name in NAMES[:3])])
@pytest.mark.parametrize("moment", range(0, 60, 4))
def test_any_one_may_be_offline_at_any_step_of_an_introduction(absent: MemberId, moment: int) -> None:
    world = World(Random(moment))
    for name in NAMES[:2]:
        world.join(name)
    world.settle()
    world.join(NAMES[2])
    for _ in range(moment):
        world.step()
    world.offline.add(absent)
    while world.step():
        pass
    for person in world.current():
        world.say(person.id, f"meanwhile {person.id.decode()}")
    while world.step():
        pass
    world.settle()
    checked(world)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ours", [False, True])
def test_who_leaves_is_out_for_all(seed: int, ours: bool) -> None:
    world = World(Random(seed), ours=ours)
    for name in NAMES:
        world.join(name)
    world.settle()
    bob = MemberId(b"bob")
    world.say(bob, "farewell")
    world.leave(bob)
    world.settle()
    for person in world.current():
        assert person.view.group.members[bob].standing is Standing.LEFT
        assert world.heard_by(person, bob) == ["farewell"]
    checked(world)


def test_one_message_to_twenty_members_arrives_once_at_each() -> None:
    """500 messages; and no more copies than members, once all are connected."""
    world = World(Random(1))
    people = [f"m{number:02}" for number in range(20)]
    for name in people:
        world.join(name)
    world.settle()
    checked(world)
    world.copies = 0
    for number in range(500):
        world.say(MemberId(people[number % 20].encode()), f"t{number}")
        for _ in range(world.random.randrange(40)):
            world.step()
    world.settle()
    assert world.copies == 500 * 19
    for person in world.current():
        for author in world.current():
            assert world.heard_by(person, author.id) == world.said[author.id]
