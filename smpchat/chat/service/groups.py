"""A profile that takes part in groups: what waits for an answer, who is in them, joining and leaving.

What is written to a group, and read there, goes the way of every conversation.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smpchat.chat.errors import AliasInUse, InputError
from smpchat.chat.service.addressing import AddressProfile
from smpchat.chat.service.views import GroupView
from smpchat.chat.store import memberships, records
from smpchat.chat.wire.alias import check_alias

if TYPE_CHECKING:  # imported where they are used: most commands have to do with no group
    from smpchat.agent.wire.links import ContactLink
    from smpchat.agent.wire.short_links import ShortContact
    from smpchat.chat.store.records import Contact
    from smpchat.chat.transactions.group_owning import GroupLinkText, GroupOwner
    from smpchat.chat.wire.group_values import MemberId, Role

_NOTHING_BEFORE = "Join first; you can write as soon as you are in."


class GroupsProfile(AddressProfile):
    """A profile with all that a person can do in groups; each is one transaction, carried out by who is online."""

    def groups(self) -> list[GroupView]:
        """All groups that we are or were in, by alias, then those that we are invited to."""
        from smpchat.chat.service import group_views

        return group_views.all_views(self._tx)

    def group(self, who: str) -> GroupView:
        """One group, by its alias, number or, of an invitation, name. Raises `InputError`."""
        from smpchat.chat.service import group_views

        number = group_views.find(self._tx, who)
        contact = records.addressee(self._tx, -number)
        found = group_views.view(self._tx, number, None if contact is None else contact.alias)
        assert found is not None
        return found

    def join_group(self, who: str, alias: str | None = None) -> GroupView:
        """Accept an invitation to a group: whoever is online joins it.

        Args:
            alias: How to address the group; made from its name if None.
        Raises:
            InputError: No such invitation waits, or the alias cannot be used.
            AgentError: The link in the invitation leads nowhere.
        """
        from smpchat.chat.service import group_views
        from smpchat.chat.store import names

        alias = None if alias is None else check_alias(alias)
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            number = group_views.find(tx, who)
            if alias is not None:
                self._check_free(tx, alias)
            self._application.groups.accept(tx, number)
            contact = records.addressee(tx, -number)
            assert contact is not None
            if alias is not None:
                names.rename(tx, contact.id, alias)
        return self.group(str(alias or contact.alias))

    def leave_group(self, who: str) -> GroupView:
        """Leave a group, or decline an invitation to one. The conversation stays; `delete` removes it.

        Raises:
            InputError: There is no such group, or we are not in it any more.
        """
        with self.database.transaction() as tx:
            before = self.group(who)
            if before.alias is None:
                from smpchat.chat.store import groups

                groups.forget(tx, before.id)
                return before
            if before.standing not in ("joining", "pending", "review", "current"):
                raise InputError(f"You are no longer in {before.alias}.", "`smpchat delete` removes the conversation.")
            self._application.groups.leave(tx, before.id)
        return self.group(before.alias)

    # -- groups of ours, and decisions in others ----------------------------------------------------------------------

    def create_group(
        self, name: str, alias: str | None = None, *, description: str = "", welcome: str = ""
    ) -> GroupView:
        """A new group with nobody but us, its owner; nothing is sent.

        Args:
            alias: How to address it; made from its name if None.
            description: A line about it.
            welcome: What newcomers are told.
        Raises:
            InputError: Something of it cannot be used; nothing changed.
        """
        from smpchat.chat.transactions.group_owning import new_group_profile

        profile = new_group_profile(name, description, welcome)
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            if alias is not None:
                alias = check_alias(alias)
                self._check_free(tx, alias)
            number = self._owner.create(tx, profile)
            alias = self._application.group_conversation.founded(tx, number, alias)
        return self.group(alias)

    def invite_to_group(self, group: str, who: str, role: str = "member") -> GroupView:
        """Invite a contact to a group; once more with another role, as long as it has not accepted.

        Raises:
            UnknownContact: No contact under that name.
            InputError: We may not, or the contact cannot be invited.
        """
        with self.database.transaction() as tx:
            number, contact = self._number(tx, group), records.contact(tx, who)
            if contact.is_group:
                raise InputError(f"{contact.alias} is a group.", "Invite one of your contacts.")
            self._owner.invite(tx, number, contact.connection_id, _role(role))
        return self.group(group)

    def make_group_link(self, group: str, role: str = "member", server: str | None = None) -> int:
        """A link by which anybody comes into a group; its connection. `group_link` has it once it is made.

        Args:
            role: ``member`` or ``observer``: what whoever comes by it may do.
            server: The relay of its queue; one of the configured ones if None.
        Raises:
            InputError: We may not, or there is one.
        """
        from smpchat.chat.store.servers import relay_address

        relay = None if server is None else relay_address(server)
        with self.database.transaction() as tx:
            return self._owner.make_link(tx, self._number(tx, group), _role(role), relay)

    def group_link(self, group: str) -> GroupLinkText | None:
        """Our link to a group; None if there is none. Raises `InputError`."""
        return self._owner.link_text(self._tx, self._number(self._tx, group))

    def remove_group_link(self, group: str) -> int:
        """Nobody comes in by our link any more; whoever did stays. Its connection. Raises `InputError`."""
        with self.database.transaction() as tx:
            return self._owner.remove_link(tx, self._number(tx, group))

    def set_member_role(self, group: str, member: str, role: str) -> GroupView:
        """Another role for a member. Raises `InputError`."""
        with self.database.transaction() as tx:
            number = self._number(tx, group)
            self._owner.set_role(tx, number, self._member(tx, number, member), _role(role))
        return self.group(group)

    def remove_member(self, group: str, member: str, *, messages: bool = False) -> GroupView:
        """A member is out, and all hear of it; with ``messages`` what it wrote goes, too. Raises `InputError`."""
        with self.database.transaction() as tx:
            number = self._number(tx, group)
            self._owner.remove_member(tx, number, self._member(tx, number, member), messages=messages)
        return self.group(group)

    def block_member(self, group: str, member: str, *, blocked: bool = True) -> GroupView:
        """What a member writes is hidden from all, or no more; the member is not told. Raises `InputError`."""
        with self.database.transaction() as tx:
            number = self._number(tx, group)
            self._owner.block(tx, number, self._member(tx, number, member), blocked=blocked)
        return self.group(group)

    def change_group(
        self, group: str, *, name: str | None = None, description: str | None = None, welcome: str | None = None
    ) -> GroupView:
        """Change what is given of what a group says about itself; an empty text removes it. Raises `InputError`."""
        given = {"displayName": name, "shortDescr": description, "description": welcome}
        changes = {key: text or None for key, text in given.items() if text is not None}
        with self.database.transaction() as tx:
            self._owner.change_profile(tx, self._number(tx, group), changes)
        return self.group(group)

    def set_group_feature(self, group: str, feature: str, on: bool, *, ttl: int | None = None) -> GroupView:
        """Whether a group has something, by its name in the group's profile. Raises `InputError`."""
        from smpchat.chat.wire.group_values import Feature

        if feature not in list(Feature):
            raise InputError(f"Groups have no setting {feature!r}.", f"Use one of {', '.join(Feature)}.")
        with self.database.transaction() as tx:
            self._owner.set_feature(tx, self._number(tx, group), Feature(feature), on, ttl=ttl)
        return self.group(group)

    def delete_group(self, group: str) -> GroupView:
        """The end of a group of ours for everybody; what was said stays with all. Raises `InputError`."""
        with self.database.transaction() as tx:
            self._owner.delete(tx, self._number(tx, group))
        return self.group(group)

    @property
    def _owner(self) -> GroupOwner:
        from smpchat.chat.transactions.group_owning import GroupOwner

        return GroupOwner(self._application.groups)

    @staticmethod
    def _number(tx: sqlite3.Connection, group: str) -> int:
        from smpchat.chat.service import group_views

        return group_views.find(tx, group)

    @staticmethod
    def _member(tx: sqlite3.Connection, number: int, name: str) -> MemberId:
        """The member that is called so here. Raises `InputError`."""
        from smpchat.chat.store import member_names
        from smpchat.chat.wire.alias import fold
        from smpchat.chat.wire.group_values import MemberId

        asked = fold(name.removeprefix("@"))
        found = [member for member, called in member_names.all_of(tx, number).items() if fold(called) == asked]
        if not found:
            raise InputError(f"Nobody in this group is called {name!r}.", "`smpchat group members` lists their names.")
        return MemberId(found[0])

    @staticmethod
    def _check_free(tx: sqlite3.Connection, alias: str) -> None:
        from smpchat.chat.transactions import naming

        if records.find_contact(tx, alias):
            raise AliasInUse(alias)
        naming.check_unlike(tx, alias)

    # -- used by the rest of the profile ------------------------------------------------------------------------------

    def _leave_for_good(self, tx: sqlite3.Connection, contact: Contact) -> None:
        """Before the conversation of a group is deleted: say goodbye, if we are in it."""
        number = memberships.group_number(contact.connection_id)
        assert number is not None
        self._application.groups.leave(tx, number)

    def _request_group(
        self, tx: sqlite3.Connection, link: ContactLink | ShortContact, texts: Sequence[str], *, held: bool
    ) -> int:
        """Ask to be let into a group by its link; the connection to its host. Raises as `requesting.begin`."""
        if texts:
            raise InputError("This link leads to a group, and nobody can write to it before joining.", _NOTHING_BEFORE)
        return self._application.groups.request(tx, link, held=held)


def _role(word: str) -> Role:
    """A role by its name. Raises `InputError`."""
    from smpchat.chat.wire.group_values import Role

    found = next((role for role in Role if role.word == word), None)
    if found is None:
        raise InputError(f"There is no role {word!r}.", f"Use one of {', '.join(role.word for role in Role)}.")
    return found
