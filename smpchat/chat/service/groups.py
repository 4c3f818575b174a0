"""A profile that takes part in groups: it lists groups and their members, joins groups and leaves them.

Messages in a group are written and read like those of any other conversation.
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

if TYPE_CHECKING:  # imported where they are used: most commands do not deal with groups
    from smpchat.agent.wire.links import ContactLink
    from smpchat.agent.wire.short_links import ShortContact
    from smpchat.chat.store.records import Contact
    from smpchat.chat.wire.profile import Profile

_NOTHING_BEFORE = "Join first; you can write as soon as you are in."


class GroupsProfile(AddressProfile):
    """A profile with everything that any member can do in groups. Each action is stored in one transaction;
    the online process then does what needs a relay."""

    def groups(self) -> list[GroupView]:
        """All groups that we are or were in, sorted by alias; then the groups that we are invited to."""
        from smpchat.chat.service import group_views

        return group_views.all_views(self._tx)

    def group(self, who: str) -> GroupView:
        """The group with this alias or number, or the invitation with this name or number. Raises `InputError`."""
        from smpchat.chat.service import group_views

        number = group_views.find(self._tx, who)
        contact = records.addressee(self._tx, -number)
        found = group_views.view(self._tx, number, None if contact is None else contact.alias)
        assert found is not None
        return found

    def join_group(self, who: str, alias: str | None = None) -> GroupView:
        """Accepts an invitation to a group; the online process joins the group.

        Args:
            alias: The group's alias. If None, the alias is made from the group's name.
        Raises:
            InputError: There is no such invitation, or the alias cannot be used.
            AgentError: The link in the invitation cannot be used.
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

    @staticmethod
    def _check_free(tx: sqlite3.Connection, alias: str) -> None:
        from smpchat.chat.transactions import naming

        if records.find_contact(tx, alias):
            raise AliasInUse(alias)
        naming.check_unlike(tx, alias)

    # -- for other parts of the profile --------------------------------------------------------------------------------

    def _leave_for_good(self, tx: sqlite3.Connection, contact: Contact) -> None:
        """Leaves a group; if we were still in it, the members are told. The group's conversation stays: the caller
        must delete it."""
        number = memberships.group_number(contact.connection_id)
        assert number is not None
        self._application.groups.leave(tx, number)

    def _request_group(
        self,
        tx: sqlite3.Connection,
        link: ContactLink | ShortContact,
        texts: Sequence[str],
        *,
        held: bool,
        hidden: bool,
    ) -> int:
        """Asks the host of a group to let us in. Returns the id of the connection to the host.

        Args:
            link: The group's link.
            held: The request is not sent until the user has named the group.
            hidden: The group is told a made-up name.
        Raises:
            InputError: There are texts to send.
            AgentError: The link cannot be used: see `requesting.begin`.
        """
        from smpchat.chat.store import incognito

        if texts:
            raise InputError("This link leads to a group, and nobody can write to it before joining.", _NOTHING_BEFORE)

        def profile_for(connection_id: int) -> Profile:
            if hidden:
                incognito.make(tx, connection_id, self.entropy.random)
            return incognito.profile_for(tx, self.own_profile(tx), connection_id)

        return self._application.groups.request(tx, link, held=held, profile_for=profile_for)
