"""What a host keeps: introductions until both say that they are connected, whom it invites, its link, what was said."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from smpchat.chat.machines.group_hosting import Hosting, Introduction
from smpchat.chat.store import group_hosting, groups, records
from smpchat.chat.store.group_hosting import GroupLink
from smpchat.chat.store.records import Direction, Quoted
from smpchat.chat.wire.group_values import GroupQuote, MemberId, Role
from smpchat.chat.wire.profile import Profile
from tests.unit.chat.machines.team import member, team
from tests.unit.chat.store.test_groups import opened

ANN, BOB, CATH = (MemberId(name) for name in (b"ann", b"bob", b"cath"))


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with opened(tmp_path) as tx:
        yield tx


def a_group(tx: sqlite3.Connection) -> int:
    return groups.insert(tx, team(member("ann"), member("bob"), member("cath")).group)


def test_introductions_are_those_of_one_member_and_go_when_both_are_done(tx: sqlite3.Connection) -> None:
    group, other = a_group(tx), a_group(tx)
    hosting = Hosting({(BOB, ANN): Introduction(), (CATH, BOB): Introduction(asked=True), (CATH, ANN): Introduction()})
    group_hosting.save(tx, group, Hosting(), hosting)
    assert group_hosting.load(tx, group, BOB) == Hosting(
        {(BOB, ANN): Introduction(), (CATH, BOB): Introduction(asked=True)}
    )
    assert group_hosting.load(tx, other, BOB) == Hosting()
    one = hosting.with_pair((CATH, BOB), Introduction(True, frozenset({BOB})))
    group_hosting.save(tx, group, hosting, one)
    assert group_hosting.load(tx, group, BOB).pairs[CATH, BOB] == Introduction(True, frozenset({BOB}))
    both = one.with_pair((CATH, BOB), Introduction(True, frozenset({BOB, CATH})))
    group_hosting.save(tx, group, one, both)
    assert list(group_hosting.load(tx, group, BOB).pairs) == [(BOB, ANN)]
    group_hosting.forget(tx, group, ANN)
    assert group_hosting.load(tx, group, BOB) == group_hosting.load(tx, group, CATH) == Hosting()


def test_a_step_writes_only_what_it_changed(tx: sqlite3.Connection) -> None:
    group = a_group(tx)
    hosting = Hosting({(BOB, ANN): Introduction(), (CATH, BOB): Introduction()})
    group_hosting.save(tx, group, Hosting(), hosting)
    before = tx.total_changes
    group_hosting.save(tx, group, hosting, hosting.with_pair((CATH, BOB), Introduction(asked=True)))
    assert tx.total_changes - before == 1


def test_whom_we_invite_is_found_by_contact_and_by_member(tx: sqlite3.Connection) -> None:
    group, other = a_group(tx), a_group(tx)
    group_hosting.invited(tx, group, ANN, 7)
    group_hosting.invited(tx, group, BOB, 7)
    group_hosting.invited(tx, other, CATH, 7)
    assert group_hosting.members_of_contact(tx, group, 7) == [ANN, BOB]
    assert group_hosting.contact_of(tx, group, BOB) == 7
    assert group_hosting.contact_of(tx, group, CATH) is None
    group_hosting.forget(tx, group, BOB)
    assert group_hosting.members_of_contact(tx, group, 7) == [ANN]
    group_hosting.forget_all(tx, group)
    assert group_hosting.members_of_contact(tx, group, 7) == []
    assert group_hosting.members_of_contact(tx, other, 7) == [CATH]


def test_a_group_has_one_link(tx: sqlite3.Connection) -> None:
    group = a_group(tx)
    assert group_hosting.link_of(tx, group) is None
    link = GroupLink(group, 5, Role.MEMBER)
    group_hosting.save_link(tx, link)
    assert group_hosting.link_of(tx, group) == group_hosting.link_at(tx, 5) == link
    group_hosting.save_link(tx, GroupLink(group, 5, Role.OBSERVER))
    assert group_hosting.link_at(tx, 5) == GroupLink(group, 5, Role.OBSERVER)
    assert group_hosting.link_at(tx, 6) is None
    group_hosting.delete_link(tx, group)
    assert group_hosting.link_of(tx, group) is None


def test_who_the_members_say_they_are(tx: sqlite3.Connection) -> None:
    group = a_group(tx)
    groups.save_profile(tx, group, ANN, Profile("ann", "Ann Example"))
    assert group_hosting.profiles(tx, group) == {ANN: Profile("ann", "Ann Example")}


def test_the_past_is_what_all_can_see(tx: sqlite3.Connection) -> None:
    group = a_group(tx)
    records.insert_contact(tx, 1, "team")
    contact = records.contact(tx, "team").id

    def said(words: str, shared_id: str, author: MemberId = ANN, scope: MemberId | None = None) -> int:
        number = records.insert_message(tx, contact, Direction.RECEIVED, words, 1_000.0 + len(shared_id), shared_id)
        groups.add_message(tx, group, number, author, shared_id, scope)
        return number

    said("first", "a")
    said("for moderators", "b", scope=BOB)
    for column in ("deleted", "husk", "live", "ttl"):
        tx.execute(f"UPDATE messages SET {column} = 1 WHERE id = ?", (said(column, column),))
    said("", "no-words")
    said("of somebody who is blocked", "c", CATH)
    tx.execute("UPDATE group_members SET blocked = 1 WHERE member = ?", (CATH,))
    said("second", "d", BOB)
    records.insert_message(tx, contact, Direction.SENT, "of no group", 3.0, "e")
    past = group_hosting.past(tx, group, 100)
    assert [(one.author, one.post.text, one.shared_id, one.at) for one in past] == [
        (ANN, "first", "a", 1_001.0),
        (BOB, "second", "d", 1_001.0),
    ]
    assert [one.post.text for one in group_hosting.past(tx, group, 1)] == ["second"]
    envelope = past[0].envelope
    assert (envelope.event, envelope.shared_id, envelope.params) == (
        "x.msg.new",
        "a",
        {"content": {"type": "text", "text": "first"}},
    )
    assert str(envelope.versions) == "1-16"


def test_a_reply_of_the_past_names_what_it_answers_if_that_is_for_all(tx: sqlite3.Connection) -> None:
    group = a_group(tx)
    records.insert_contact(tx, 1, "team")
    contact = records.contact(tx, "team").id
    for shared_id, scope in (("open", None), ("hidden", BOB), ("taken-back", None)):
        number = records.insert_message(tx, contact, Direction.RECEIVED, f"{shared_id} words", 1_000.0, shared_id)
        groups.add_message(tx, group, number, ANN, shared_id, scope)
        answer = f"to {shared_id}"
        reply_to = Quoted(number, Direction.RECEIVED, "whatever")
        number = records.insert_message(tx, contact, Direction.SENT, answer, 2_000.0, answer, reply_to=reply_to)
        groups.add_message(tx, group, number, BOB, answer)
    tx.execute("UPDATE messages SET deleted = 1 WHERE shared_id = 'taken-back'")
    quotes = {one.shared_id: one.post.quote for one in group_hosting.past(tx, group, 100)}
    assert quotes == {
        "open": None,
        "to open": GroupQuote(ANN, "open", "1970-01-01T00:16:40Z", False, {"type": "text", "text": "open words"}),
        "to hidden": None,
        "to taken-back": None,
    }


def test_what_a_host_keeps_goes_with_its_group(tx: sqlite3.Connection) -> None:
    group = a_group(tx)
    group_hosting.save(tx, group, Hosting(), Hosting({(BOB, ANN): Introduction()}))
    group_hosting.invited(tx, group, ANN, 7)
    group_hosting.save_link(tx, GroupLink(group, 5, Role.MEMBER))
    tx.execute("DELETE FROM groups WHERE id = ?", (group,))
    for table in ("group_introductions", "group_invitees", "group_links"):
        assert tx.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0
