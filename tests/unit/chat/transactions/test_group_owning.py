"""A group of ours: who comes in, in which order all hear of it, what is passed on, who may do what, and who goes."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest

from smpchat.agent.store.owed import MAX_OWN
from smpchat.agent.transactions import sending
from smpchat.agent.wire.envelope import UserMessage
from smpchat.chat.errors import InputError
from smpchat.chat.machines.group_effects import News, RemoveAll
from smpchat.chat.machines.group_states import Link, Standing
from smpchat.chat.store import groups, incognito
from smpchat.chat.transactions.group_hosting import HISTORY
from smpchat.chat.transactions.group_owning import MAX_PROFILE
from smpchat.chat.wire.group_encoding import encode_group_event
from smpchat.chat.wire.group_events import LinkForMember
from smpchat.chat.wire.group_values import Feature, GroupProfile, MemberId, Role
from smpchat.encoding.record import replace
from tests.unit.chat.transactions.crowd import TEAM, Crowd

EVERYBODY = ("host", "ann", "bob", "cath")


def test_a_group_of_ours_begins_with_nobody_else_and_nothing_is_sent(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host")
    crowd.found()
    group = crowd["host"].group
    assert (group.own.role, group.own.standing, group.host, group.members) == (
        Role.OWNER,
        Standing.CURRENT,
        group.own.id,
        {},
    )
    assert len(group.own.id) == 16 and group.own.id.isascii()
    assert crowd["host"].next() == []


def test_whom_we_invite_comes_in_and_is_connected_with_all(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, *EVERYBODY)
    crowd.found()
    crowd.let_in("ann", "bob", "cath")
    crowd.whole(*EVERYBODY)
    for name in EVERYBODY:
        crowd[name].say(f"{name} is here")
    crowd.settle()
    for name in EVERYBODY:
        assert sorted(crowd[name].shown()) == [f"{one}: {one} is here" for one in sorted(EVERYBODY)]


@pytest.mark.parametrize("absent", EVERYBODY)
def test_somebody_is_offline_from_any_step_on(tmp_path: Path, absent: str) -> None:
    """Bob comes in and all write, while one of them goes offline after so many deliveries, and comes back later."""
    step, over = 0, False
    while not over:
        crowd = Crowd(tmp_path / f"{step}", *EVERYBODY, twice=step % 2 == 1)
        crowd.found()
        crowd.let_in("ann", "cath")
        crowd.befriend("host", "bob")
        crowd.invite("bob")
        before = crowd.delivered
        while not crowd["bob"].tx.execute("SELECT id FROM groups").fetchall():
            crowd.settle(1)
        crowd.accept("bob")
        over = crowd.settle(step)
        crowd.offline.add(absent)
        crowd.settle()
        for name in EVERYBODY:
            if name != absent and crowd[name].group.own.standing is Standing.CURRENT:
                crowd[name].say(f"{name} meanwhile")
        crowd.settle()
        crowd.offline.clear()
        crowd.settle()
        crowd.whole(*EVERYBODY)
        assert crowd.kept == []
        said = sorted(crowd["host"].shown())
        for name in EVERYBODY:
            assert sorted(crowd[name].shown()) == said, (name, step)
        assert [tuple(row) for row in crowd["host"].tx.execute("SELECT * FROM group_introductions")] == []
        assert crowd.delivered > before
        step += 3
    assert step > 15


def test_an_invitation_goes_again_with_another_role_by_the_same_link(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann")
    crowd.found()
    crowd.befriend("host", "ann")
    crowd.invite("ann")
    crowd.settle()
    first = crowd["ann"].group
    crowd.invite("ann", Role.ADMIN)
    crowd.settle()
    again = crowd["ann"].group
    assert (again.own.id, again.invitation) == (first.own.id, first.invitation)
    assert (first.own.role, again.own.role) == (Role.MEMBER, Role.ADMIN)
    assert crowd["host"].links() == {"ann": "invited offered"}
    crowd.accept("ann")
    crowd.settle()
    crowd.whole("host", "ann")
    assert crowd["host"].group.members[again.own.id].role is Role.ADMIN


def test_an_admin_hosts_its_own_newcomers_in_a_group_of_somebody_else(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann", "bob", "dan")
    crowd.found()
    crowd.let_in("ann", "bob")
    host = crowd["host"]
    host.do(lambda tx, context: host.owner.set_role(tx, 1, host.id_of("ann"), Role.ADMIN))
    crowd.settle()
    assert crowd["ann"].group.own.role is Role.ADMIN
    crowd.offline.add("bob")
    crowd.let_in("dan", by="ann")
    crowd["dan"].say("hello all")
    crowd.settle()
    assert crowd["host"].shown() == ["dan: hello all"]
    crowd.offline.clear()
    crowd.settle()
    crowd.whole("host", "ann", "bob", "dan")
    assert crowd["bob"].shown() == ["dan: hello all"]
    assert {m.link for m in crowd["dan"].group.members.values()} == {Link.CONNECTED}


# -- what newcomers get -----------------------------------------------------------------------------------------------

WELCOME = GroupProfile(TEAM.value | {"description": "be kind"})


def test_a_newcomer_gets_what_was_said_and_then_the_welcome_text(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann", "bob")
    crowd.found(profile=WELCOME)
    crowd.let_in("ann")
    assert crowd["ann"].shown() == ["host: be kind"]
    for n in range(HISTORY):
        crowd["host" if n % 2 else "ann"].say(f"{n}: " + "x" * 3_000)
        crowd.settle()
    before = crowd.delivered
    crowd.let_in("bob")
    got = crowd["bob"].shown()
    assert [line.split(": ")[1] for line in got[:3]] == ["0", "1", "2"]
    assert len(got) == HISTORY + 1
    assert got[-1] == "host: be kind"
    # several in one body: with one in each there would be a hundred more
    assert crowd.delivered - before < HISTORY
    moments = [row["sent_at"] for row in crowd["bob"].tx.execute("SELECT sent_at FROM messages ORDER BY id")]
    assert moments == sorted(moments)


def test_the_largest_picture_reaches_all_who_come(tmp_path: Path) -> None:
    """Over a contact's connection, whose messages have less room, and in the answer to a request by link."""
    crowd = Crowd(tmp_path, "host", "ann", "bob")
    picture = "data:image/jpg;base64," + base64.b64encode(random.Random(7).randbytes(8_850)).decode()
    profile = GroupProfile(WELCOME.value | {"image": picture})
    crowd.found(profile=profile)
    with crowd["host"].database.transaction() as tx, pytest.raises(InputError, match="12,000 bytes"):
        crowd["host"].owner.change_profile(tx, 1, {"image": picture + "A" * 500})
    crowd.let_in("ann")
    crowd.asks("bob", crowd.open_link().full or "")
    crowd.settle()
    assert crowd["ann"].group.profile == crowd["bob"].group.profile == profile


def test_no_more_of_the_past_than_so_much_and_none_where_the_group_does_not_want_it(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann", "bob")
    crowd.found()
    for n in range(HISTORY + 3):
        crowd["host"].say(f"{n}")
    crowd.let_in("ann")
    assert crowd["ann"].shown() == [f"host: {n}" for n in range(3, HISTORY + 3)]
    host = crowd["host"]
    host.do(lambda tx, context: host.owner.set_feature(tx, 1, Feature.HISTORY, on=False))
    crowd.let_in("bob")
    assert crowd["bob"].shown() == []


def test_what_only_some_see_or_nobody_any_more_is_no_history(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann", "bob")
    crowd.found()
    crowd.let_in("ann")
    host = crowd["host"]
    ann = host.id_of("ann")
    host.say("for all")
    host.say("for ann", scope=ann)
    crowd["ann"].say("of somebody who is blocked later")
    crowd.settle()
    host.say("deleted")
    host.do(lambda tx, context: tx.execute("UPDATE messages SET deleted = 1 WHERE text = 'deleted'"))
    host.do(lambda tx, context: host.owner.block(tx, 1, ann))
    crowd.settle()
    crowd.let_in("bob")
    assert crowd["bob"].shown() == ["host: for all"]
    assert crowd["bob"].group.members[ann].blocked


# -- who goes, and what members may -----------------------------------------------------------------------------------


def test_who_is_removed_hears_of_it_before_its_connection_goes(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, *EVERYBODY)
    crowd.found()
    crowd.let_in("ann", "bob", "cath")
    crowd["bob"].say("something")
    crowd.settle()
    host = crowd["host"]
    bob = host.id_of("bob")
    crowd.offline.add("bob")
    host.do(lambda tx, context: host.owner.remove_member(tx, 1, bob, messages=True))
    crowd.settle()
    host.say("without bob")
    crowd.settle()
    crowd.offline.clear()
    crowd.settle()
    assert crowd["bob"].group.own.standing is Standing.REMOVED
    assert crowd["bob"].shown() == ["bob: something"]
    for name in ("host", "ann", "cath"):
        assert crowd[name].group.members[bob].standing is Standing.REMOVED
        assert RemoveAll(bob, host.group.own.id, False) in crowd[name].application.effects
        assert crowd[name].shown()[-1] == "host: without bob"
        assert groups.connection_of(crowd[name].tx, 1, bob) is None
    with pytest.raises(InputError, match="not in the group"):
        host.do(lambda tx, context: host.owner.remove_member(tx, 1, bob))


def test_an_invitation_that_nobody_has_accepted_is_taken_back(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann")
    crowd.found()
    crowd.befriend("host", "ann")
    crowd.invite("ann")
    crowd.settle()
    host = crowd["host"]
    host.do(lambda tx, context: host.owner.remove_member(tx, 1, host.id_of("ann")))
    crowd.settle()
    crowd.accept("ann")
    crowd.settle()
    assert crowd["host"].links() == {}
    assert crowd["ann"].group.own.standing is Standing.JOINING
    crowd.invite("ann")  # and she can be invited anew
    crowd.settle()
    assert len(crowd["ann"].tx.execute("SELECT id FROM groups").fetchall()) == 2


def test_roles_blocks_and_the_profile_reach_all_and_a_block_not_its_target(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, *EVERYBODY)
    crowd.found()
    crowd.let_in("ann", "bob", "cath")
    host = crowd["host"]
    ann, bob = host.id_of("ann"), host.id_of("bob")
    host.do(lambda tx, context: host.owner.set_role(tx, 1, ann, Role.MODERATOR))
    host.do(lambda tx, context: host.owner.block(tx, 1, bob))
    host.do(lambda tx, context: host.owner.change_profile(tx, 1, {"displayName": "crew", "unknown": {"a": [1]}}))
    crowd.settle()
    for name in EVERYBODY:
        group = crowd[name].group
        assert group.profile.value["unknown"] == {"a": [1]}
        assert group.profile.name == "crew"
        member = group.find(ann)
        assert member is not None and member.role is Role.MODERATOR
    assert [crowd[name].group.members[bob].blocked for name in ("host", "ann", "cath")] == [True] * 3
    assert not crowd["bob"].group.own.blocked
    crowd["bob"].say("heard by nobody")
    crowd.settle()
    assert crowd["ann"].shown() == []
    ann_herself = crowd["ann"]
    ann_herself.do(lambda tx, context: ann_herself.owner.block(tx, 1, bob, blocked=False))
    crowd.settle()
    assert [crowd[name].group.members[bob].blocked for name in ("host", "ann", "cath")] == [False] * 3


@pytest.mark.parametrize("deleted", [True, False])
def test_the_group_is_deleted_for_all_and_a_leaving_owner_leaves_the_others_in_it(
    tmp_path: Path, deleted: bool
) -> None:
    crowd = Crowd(tmp_path, *EVERYBODY)
    crowd.found()
    crowd.let_in("ann", "bob")
    crowd.befriend("host", "cath")
    crowd.invite("cath")
    crowd.settle()
    host = crowd["host"]
    crowd.offline.add("ann")
    host.do(lambda tx, c: host.owner.delete(tx, 1) if deleted else host.groups.leave(tx, 1))
    crowd.settle()
    crowd.offline.clear()
    crowd.settle()
    assert host.group.own.standing is (Standing.DELETED if deleted else Standing.LEFT)
    assert [groups.connection_of(host.tx, 1, member) for member in host.group.members] == [None] * 3
    for name in ("ann", "bob"):
        assert crowd[name].group.own.standing is (Standing.DELETED if deleted else Standing.CURRENT)
    assert host.tx.execute("SELECT count(*) FROM group_invitees").fetchone()[0] == 0
    with pytest.raises(InputError, match="not in this group"):
        crowd.invite("cath")


def test_what_we_may_not_do_is_said_and_changes_nothing(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann", "bob")
    crowd.found()
    crowd.let_in("ann", "bob")
    ann = crowd["ann"]
    host, bob = ann.group.host, ann.id_of("bob")
    crowd.befriend("ann", "bob")
    before = ann.group
    refused = {
        "Only admins and owners can invite somebody; you are a member.": lambda tx, c: ann.owner.invite(
            tx, 1, crowd.contact("ann", "bob")
        ),
        "Only admins and owners can change what members may do": lambda tx, c: ann.owner.set_role(
            tx, 1, bob, Role.ADMIN
        ),
        "Only admins and owners can remove members": lambda tx, c: ann.owner.remove_member(tx, 1, host),
        "Only moderators, admins and owners can block members": lambda tx, c: ann.owner.block(tx, 1, bob),
        "Only owners can change the group": lambda tx, c: ann.owner.change_profile(tx, 1, {"displayName": "x"}),
        "Only owners can delete the group": lambda tx, c: ann.owner.delete(tx, 1),
    }
    for sentence, act in refused.items():
        with pytest.raises(InputError, match=sentence):
            ann.do(act)
    assert ann.group == before
    assert ann.next() == []
    owner = crowd["host"]
    owner.do(lambda tx, c: owner.owner.set_role(tx, 1, before.own.id, Role.ADMIN))
    crowd.settle()
    for act in (
        lambda tx, c: ann.owner.set_role(tx, 1, bob, Role.OWNER),
        lambda tx, c: ann.owner.remove_member(tx, 1, host),
        lambda tx, c: ann.owner.block(tx, 1, host),
    ):
        with pytest.raises(InputError, match="a member with a higher role"):
            ann.do(act)
    for act in (
        lambda tx, c: owner.owner.change_profile(tx, 1, {"displayName": " "}),
        lambda tx, c: owner.owner.change_profile(tx, 1, {"description": "x" * MAX_PROFILE}),
        lambda tx, c: owner.owner.set_role(tx, 1, owner.group.own.id, Role.MEMBER),
        lambda tx, c: owner.owner.invite(tx, 1, crowd.contact("host", "ann")),
        lambda tx, c: owner.owner.invite(tx, 1, 99),
    ):
        with pytest.raises(InputError):
            owner.do(act)
    assert owner.next() == []


def test_whoever_is_removed_by_somebody_who_cannot_reach_it_hears_it_from_its_host(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, *EVERYBODY)
    crowd.found()
    crowd.let_in("ann")
    host, ann = crowd["host"], crowd["ann"]
    host.do(lambda tx, context: host.owner.set_role(tx, 1, host.id_of("ann"), Role.ADMIN))
    crowd.befriend("host", "bob")
    crowd.invite("bob")
    crowd.settle()
    crowd.accept("bob")
    while host.links()["bob"] != "current connected":
        crowd.settle(1)
    crowd.offline.add("bob")
    crowd.settle()
    assert ann.links()["bob"] == "current none"
    bob = ann.id_of("bob")
    ann.do(lambda tx, context: ann.owner.remove_member(tx, 1, bob))
    crowd.settle()
    assert host.group.members[bob].standing is Standing.REMOVED
    crowd.offline.clear()
    crowd.settle()
    assert crowd["bob"].group.own.standing is Standing.REMOVED
    assert [(told.news, told.by) for told in crowd["bob"].application.news if told.member is None][-1] == (
        News.REMOVED,
        ann.group.own.id,
    )


def test_a_made_up_name_is_not_given_away_by_an_invitation(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann")
    crowd.found()
    crowd.befriend("host", "ann")
    host = crowd["host"]
    host.do(lambda tx, context: incognito.make(tx, crowd.contact("host", "ann"), host.entropy.random))
    with pytest.raises(InputError, match="made-up name"):
        crowd.invite("ann")
    host.do(lambda tx, context: tx.execute("DELETE FROM incognito"))
    host.do(lambda tx, context: groups.save_incognito(tx, 1, "Quiet Otter"))
    with pytest.raises(InputError, match="made-up name"):
        crowd.invite("ann")
    assert host.next() == []


# -- hostile newcomers ------------------------------------------------------------------------------------------------


def test_a_newcomers_links_go_on_once_each_and_only_for_those_introduced_to_it(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, *EVERYBODY)
    crowd.found()
    crowd.let_in("ann", "bob", "cath")
    host, cath = crowd["host"], crowd["cath"]
    before = crowd.delivered
    for member in (host.id_of("ann"), host.id_of("bob"), host.group.own.id, MemberId(b"nobody")):
        event = LinkForMember(member, "simplex:/invitation#/?x")
        for _ in range(5):
            body = encode_group_event(event, cath.groups.host.new_id())
            connection_id = groups.connection_of(cath.tx, 1, cath.group.host)
            assert connection_id is not None
            cath.do(lambda tx, c, b=body, n=connection_id: sending.submit(tx, c, n, UserMessage(b)))  # type: ignore[misc]
    crowd.settle()
    assert crowd.delivered - before == 20, "nothing went on"
    crowd.whole(*EVERYBODY)


def test_what_is_passed_on_to_a_member_who_does_not_read_is_bounded(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann", "bob", "cath")
    crowd.found()
    crowd.let_in("ann", "cath")
    crowd.offline.add("ann")
    crowd.let_in("bob")  # who is not connected with ann, as she does not read
    host, bob = crowd["host"], crowd["bob"]
    number = groups.connection_of(host.tx, 1, host.id_of("ann"))
    assert number is not None
    for n in range(MAX_OWN + 20):
        bob.say(f"{n}")
        bob.carry_out()
        for queue, body in bob.sent:  # and her relay does not answer the host
            crowd.deliver(queue, body)
        bob.sent = []
    query = "SELECT count(*) FROM outbox WHERE connection_id = ?"
    assert host.tx.execute(query, (number,)).fetchone()[0] == MAX_OWN
    host.do(lambda tx, context: host.owner.set_role(tx, 1, host.id_of("cath"), Role.OBSERVER))
    assert host.tx.execute(query, (number,)).fetchone()[0] == MAX_OWN + 1, "what we decide is not what others say"
    crowd.offline.clear()
    crowd.settle()
    assert len([one for one in crowd["cath"].shown() if one.startswith("bob")]) == MAX_OWN + 20
    # what was not passed on, bob says again once they are connected
    assert len(crowd["ann"].shown()) == MAX_OWN + 20


def test_whoever_accepts_another_invitation_than_its_own_is_turned_away(tmp_path: Path) -> None:
    crowd = Crowd(tmp_path, "host", "ann")
    crowd.found()
    crowd.befriend("host", "ann")
    crowd.invite("ann")
    crowd.settle()
    ann = crowd["ann"]
    group = ann.group
    own = replace(group.own, id=MemberId(b"somebody else"))
    ann.do(lambda tx, c: tx.execute("UPDATE groups SET own = ?", (own.id,)))
    crowd.accept("ann")
    crowd.settle()
    assert crowd["host"].links() == {"ann": "invited none"}
    assert ann.group.own.standing is Standing.JOINING
    crowd.invite("ann")  # another link for her
    crowd.settle()
    assert crowd["host"].links() == {"ann": "invited offered"}
