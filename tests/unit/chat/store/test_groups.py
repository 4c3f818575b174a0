"""Groups in the store: what the machine needs is there again after every step, and bounded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from smpchat.agent.store.database import Database
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.chat.machines import group_effects as effects
from smpchat.chat.machines.group_effects import Effect, Show
from smpchat.chat.machines.group_inputs import NOTHING, Asked, Input, Known
from smpchat.chat.machines.group_states import Group, Link, Member, Standing
from smpchat.chat.store import expiry, groups, memberships, records
from smpchat.chat.store.records import Direction
from smpchat.chat.store.schema import CHAT_MIGRATIONS
from smpchat.chat.wire.group_events import Deletion, Post, Reaction
from smpchat.chat.wire.group_values import Business, ChatType, MemberId, Role
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace
from tests.unit.chat.machines.replaying import Replay
from tests.unit.chat.machines.replaying import records as bodies
from tests.unit.chat.machines.team import HOST, ME, NOW, member, message, team, text
from tests.unit.chat.machines.view import Key, View

BOB, CATH = MemberId(b"bob"), MemberId(b"cath")
THUMB = "\U0001f44d"


@contextmanager
def opened(folder: Path) -> Iterator[sqlite3.Connection]:
    database = Database(folder / "test.db", {"agent": AGENT_MIGRATIONS, "chat": CHAT_MIGRATIONS})
    with database.transaction() as tx:
        yield tx
    database.close()


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with opened(tmp_path) as tx:
        yield tx


@dataclass
class StoredView(View):
    """The same, kept in the store as well: both must say the same at every step."""

    tx: sqlite3.Connection | None = None
    number: int = 0
    contact: int = 0
    checked: list[Known] = field(default_factory=list)

    @property
    def store(self) -> sqlite3.Connection:
        assert self.tx is not None
        return self.tx

    def begin(self, tx: sqlite3.Connection) -> StoredView:
        self.tx, self.number = tx, groups.insert(tx, self.group)
        records.insert_contact(tx, self.number, f"group{self.number}")
        self.contact = records.contact(tx, f"group{self.number}").id
        groups.attach(tx, self.number, self.contact)
        return self

    def happens(self, event: Input) -> tuple[Effect, ...]:
        before = groups.load(self.store, self.number)
        assert before == self.group
        found = super().happens(event)
        groups.save(self.store, self.number, before, self.group)
        return found

    def becomes(self, group: Group) -> None:
        groups.save(self.store, self.number, self.group, group)
        super().becomes(group)

    def _known(self, key: Key | None, item: Key | None, by: MemberId) -> Known:
        expected = super()._known(key, item, by)
        asked = Asked(by, None if key is None else key[1], item)
        found = groups.known(self.store, self.number, asked)
        assert found == (NOTHING if key is None and item is None else expected)
        self.checked.append(found)
        return found

    def note(self, key: Key, forwarder: MemberId | None) -> None:
        super().note(key, forwarder)
        groups.heard(self.store, self.number, *key, forwarder)

    def says(self, shared_id: str, post: Post, at: float) -> None:
        super().says(shared_id, post, at)
        self._keep(self.group.own.id, shared_id, post.text, at, post.scope, None)
        groups.heard(self.store, self.number, self.group.own.id, shared_id, None)

    def _keep(
        self, author: MemberId, id: str, words: str, at: float, scope: MemberId | None, forwarder: MemberId | None
    ) -> None:
        direction = Direction.SENT if author == self.group.own.id else Direction.RECEIVED
        number = records.insert_message(self.store, self.contact, direction, words, at, id)
        groups.add_message(self.store, self.number, number, author, id, scope, forwarder)

    def _do(self, effect: Effect) -> None:
        super()._do(effect)
        tx, number = self.store, self.number
        match effect:
            case Show(author, str(id), post, at, scope, forwarder):
                self._keep(author, id, post.text, at, scope, forwarder)
            case effects.Prove(author, id):
                shown = groups.find_message(tx, number, author, id)
                if shown is not None:
                    groups.proven(tx, shown)
            case effects.Remove(author, id, _, True):
                self._erase((author, id))
            case effects.KeepDeletion(author, id, by):
                groups.keep_deletion(tx, number, author, id, by)
            case effects.React(author, id, by, emoji, add):
                groups.react(tx, number, author, id, by, emoji, add=add)
            case effects.SaveProfile(who, profile):
                self.profiles.append((who, profile))

    profiles: list[tuple[MemberId, Profile]] = field(default_factory=list)

    def _erase(self, key: Key) -> None:
        found = groups.find_message(self.store, self.number, *key)
        assert found is not None
        expiry.remove(self.store, found)


@pytest.mark.parametrize("person", ["bob", "cath", "dan", "eve"])
def test_a_group_is_the_same_after_every_step(tx: sqlite3.Connection, person: str) -> None:
    """Played from what real apps did: loaded before each step, saved after it."""
    replay = Replay(person, make=lambda group: StoredView(group).begin(tx)).until(bodies()[-1]["case"])
    checked = 0
    for view in replay.views.values():
        assert isinstance(view, StoredView)
        assert groups.load(tx, view.number) == view.group
        checked += len(view.checked)
    assert checked > 30


def stored(tx: sqlite3.Connection, *members: Member, preferences: dict[str, object] | None = None) -> StoredView:
    return StoredView(team(*members, preferences=preferences).group).begin(tx)


def test_what_came_before_is_known(tx: sqlite3.Connection) -> None:
    """As the pure view has it; both are compared at every step."""
    view = stored(tx, member("bob"), member("cath", Role.MODERATOR), preferences={"fullDelete": {"enable": "on"}})
    view.hears(CATH, message(Reaction("a", BOB, THUMB, True), "r"), NOW)
    view.hears(CATH, message(Deletion("b", BOB), "d"), NOW)
    view.hears(BOB, message(text("one"), "a"), NOW)
    view.hears(BOB, message(text("two"), "b"), NOW)
    view.hears(BOB, message(text("one"), "a"), NOW)
    view.hears(CATH, message(Reaction("a", BOB, THUMB, False), "s"), NOW)
    view.hears(BOB, message(Deletion("a"), "e"), NOW)
    view.hears(BOB, message(Deletion("a"), "f"), NOW)
    assert view.checked[-1].gone
    assert view.conversation() == ["bob: two (moderated)"]


def test_reactions_are_kept_by_who_put_them(tx: sqlite3.Connection) -> None:
    view = stored(tx, member("bob"), member("cath"))
    view.hears(BOB, message(text("one"), "a"), NOW)
    assert groups.react(tx, view.number, BOB, "a", CATH, THUMB, add=True)
    assert not groups.react(tx, view.number, BOB, "a", CATH, THUMB, add=True)
    assert groups.react(tx, view.number, BOB, "a", BOB, THUMB, add=True)
    assert groups.reactions(tx, view.number, BOB, "a") == [(CATH, THUMB), (BOB, THUMB)]
    assert groups.react(tx, view.number, BOB, "a", CATH, THUMB, add=False)
    assert not groups.react(tx, view.number, BOB, "a", CATH, THUMB, add=False)


def test_reactions_name_the_members_but_not_us(tx: sqlite3.Connection) -> None:
    view = stored(tx, member("bob"), member("cath"))
    view.hears(BOB, message(text("one"), "a"), NOW)
    number = groups.find_message(tx, view.number, BOB, "a")
    assert number is not None
    assert memberships.reacted(tx, number) == {}
    for by in (CATH, ME, BOB):
        assert groups.react(tx, view.number, BOB, "a", by, THUMB, add=True)
    assert memberships.reacted(tx, number) == {("received", THUMB): ("cath", "bob")}


def test_whose_connection_one_is(tx: sqlite3.Connection) -> None:
    view = stored(tx, member("bob"))
    assert groups.of_connection(tx, 41) is None
    groups.connect(tx, view.number, BOB, 41)
    assert groups.of_connection(tx, 41) == groups.Place(view.number, BOB)
    assert groups.connection_of(tx, view.number, BOB) == 41
    groups.connect(tx, view.number, BOB, None)
    assert groups.connection_of(tx, view.number, BOB) is None
    assert groups.of_connection(tx, 41) is None


def test_every_field_of_a_group_is_kept(tx: sqlite3.Connection) -> None:
    """Each set to what no default is, so that a forgotten column shows."""
    waiting = member("bob", Role.ADMIN, standing=Standing.REVIEW, link=Link.TO_JOIN)
    bob = replace(waiting, blocked=True, named=False, offer="simplex:/x", told=(HOST, CATH), introducer=None)
    made = team(bob).group
    business = Business(ChatType.CUSTOMER, HOST, BOB)
    counted = replace(made, minute=NOW, begun=7, full=True, crowded=True)
    group = replace(counted, business=business, invitation="simplex:/y")
    number = groups.insert(tx, group)
    assert groups.load(tx, number) == group
    after = replace(
        made.changed(ME, role=Role.OWNER, standing=Standing.LEFT), profile=made.profile.with_preferences({})
    )
    groups.save(tx, number, group, replace(after, business=group.business))
    assert groups.load(tx, number) == replace(after, business=group.business)
    groups.save(tx, number, after, replace(after, members={}))
    loaded = groups.load(tx, number)
    assert loaded is not None
    assert loaded.members == {}
    assert groups.load(tx, number + 1) is None


def test_groups_that_invite_us(tx: sqlite3.Connection) -> None:
    group = team().group
    invited = groups.insert(tx, group.changed(ME, standing=Standing.INVITED))
    groups.insert(tx, replace(group, host=BOB))
    assert groups.invitations(tx) == [invited]
    assert groups.find(tx, ME, HOST) == invited
    assert groups.find(tx, ME, CATH) is None


def test_a_conversation_goes_with_its_group(tx: sqlite3.Connection) -> None:
    view = stored(tx, member("bob"))
    view.hears(BOB, message(text("one"), "a"), NOW)
    assert groups.of_contact(tx, view.contact) == view.number
    assert groups.messages_of(tx, view.number, BOB) != []
    tx.execute("DELETE FROM contacts WHERE id = ?", (view.contact,))
    for table in ("groups", "group_members", "group_heard", "group_messages", "group_reactions", "group_deletions"):
        assert tx.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0, table


def test_what_is_remembered_of_one_group_is_bounded(tx: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "KEPT_HEARD", 20)
    monkeypatch.setattr(groups, "KEPT_EARLY", 10)
    first, other = stored(tx, member("bob")), stored(tx, member("bob"))
    groups.heard(tx, other.number, BOB, "other", None)
    for number in range(50):
        groups.heard(tx, first.number, BOB, f"m{number}", None)
        groups.keep_deletion(tx, first.number, BOB, f"m{number}", CATH)
        groups.react(tx, first.number, BOB, f"m{number}", CATH, THUMB, add=True)

    def count(table: str) -> int:
        query = f"SELECT count(*) FROM {table} WHERE group_id = ?"
        return int(tx.execute(query, (first.number,)).fetchone()[0])

    assert (count("group_heard"), count("group_deletions"), count("group_reactions")) == (20, 10, 10)
    assert groups.known(tx, first.number, Asked(BOB, "m49", None)).seen is not None
    assert groups.known(tx, first.number, Asked(BOB, "m0", None)).seen is None
    assert groups.known(tx, other.number, Asked(BOB, "other", None)).seen is not None


def test_what_a_host_is_to_pass_on_is_kept_until_we_are_connected(
    tx: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "KEPT_LEFT", 5)
    view = stored(tx, member("bob"), member("cath"))
    for number in range(7):
        groups.leave_to_host(tx, view.number, BOB if number % 2 else CATH, b"%d" % number)
    assert groups.take_left(tx, view.number, BOB) == [b"3", b"5"]
    assert groups.take_left(tx, view.number, BOB) == []
    assert groups.take_left(tx, view.number, CATH) == [b"2", b"4", b"6"]


def test_reactions_to_messages_that_are_here_do_not_push_out_others(
    tx: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "KEPT_EARLY", 2)
    view = stored(tx, member("bob"))
    view.hears(BOB, message(text("one"), "a"), NOW)
    groups.react(tx, view.number, BOB, "a", CATH, THUMB, add=True)
    for number in range(5):
        groups.react(tx, view.number, BOB, f"m{number}", CATH, THUMB, add=True)
    assert groups.reactions(tx, view.number, BOB, "a") == [(CATH, THUMB)]
    assert groups.reactions(tx, view.number, BOB, "m0") == []


def test_a_group_is_no_repr_of_names_or_links(tx: sqlite3.Connection) -> None:
    shown = repr(team(member("Bartholomew", link=Link.TO_JOIN, offer="simplex:/secret")).group)
    assert "Bartholomew" not in shown.replace("b'Bartholomew'", "")
    assert "secret" not in shown
    assert isinstance(groups.load(tx, 1), Group | None)
