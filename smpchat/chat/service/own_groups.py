"""A profile with rights in groups: it creates groups, invites people, changes roles, and deletes groups.

Each action is stored in one transaction; the online process then does what needs a relay.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING

from smpchat.chat.errors import InputError
from smpchat.chat.service.groups import GroupsProfile
from smpchat.chat.service.views import GroupLinkView, GroupView, MemberView
from smpchat.chat.store import records
from smpchat.chat.store.servers import relay_address
from smpchat.chat.wire.alias import check_alias, fold
from smpchat.chat.wire.preferences import MAX_TTL

if TYPE_CHECKING:  # imported where they are used: most commands do not deal with groups
    from smpchat.chat.transactions.group_owning import GroupOwner
    from smpchat.chat.wire.group_values import MemberId, Role

ROLES = ("observer", "member", "moderator", "admin", "owner")
"""Roles that users can give to members. The role *author* is missing, because apps do not offer it."""


class OwnGroupsProfile(GroupsProfile):
    """A profile with everything that owners, admins and moderators of groups do; see `GroupsProfile` for the rest."""

    # -- groups of our own ---------------------------------------------------------------------------------------------

    def create_group(
        self, name: str, alias: str | None = None, *, description: str = "", welcome: str = ""
    ) -> GroupView:
        """Creates a group with nobody else in it. Nothing is sent.

        Args:
            name: The name that the members see.
            alias: The group's alias. If None, the alias is made from the group's name.
            description: One line about the group.
            welcome: A greeting for people who join.
        Raises:
            InputError: Members' apps could not show one of the texts, or the alias cannot be used.
        """
        from smpchat.chat.transactions.group_owning import new_group_profile

        profile = new_group_profile(name, description, welcome)
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            if alias is not None:
                alias = check_alias(alias)
                self._check_free(tx, alias)
            number = self._owner().create(tx, profile)
            alias = self._application.group_conversation.founded(tx, number, alias)
        return self.group(alias)

    def change_group(
        self,
        who: str,
        *,
        name: str | None = None,
        description: str | None = None,
        welcome: str | None = None,
        allow: Mapping[str, bool] | None = None,
        disappear: int | None = None,
        review: bool | None = None,
    ) -> GroupView:
        """Change the given parts of a group's profile for everybody; an empty text deletes that part.

        Args:
            allow: For each feature to change, whether to turn it on. The keys are names from `group_views.FEATURES`.
            disappear: Seconds after which new messages disappear; 0: they stay.
            review: Whether moderators decide about each person who joins by a link.
        Raises:
            InputError: We do not have the right to change the group, or one of the values cannot be used; nothing
                changed.
        """
        changes: dict[str, object] = {} if name is None else {"displayName": name.strip()}
        # in the JSON, the welcome text has the name "description" (group-wire 11, trap 19)
        for key, text in (("shortDescr", description), ("description", welcome)):
            if text is not None:
                changes[key] = text or None
        with self.database.transaction() as tx:
            number = self._joined(tx, who)
            if allow or disappear is not None:
                changes["groupPreferences"] = self._preferences(tx, number, allow or {}, disappear)
            if review is not None:
                known = self._application.groups.load(tx, number).profile.value.get("memberAdmission")
                admission = (
                    {key: said for key, said in known.items() if key != "review"} if isinstance(known, dict) else {}
                )
                changes["memberAdmission"] = admission | ({"review": "all"} if review else {}) or None
            self._owner().change_profile(tx, number, changes)
        return self.group(who)

    def _preferences(
        self, tx: sqlite3.Connection, number: int, allow: Mapping[str, bool], disappear: int | None
    ) -> dict[str, object]:
        from smpchat.chat.service.group_views import FEATURES
        from smpchat.chat.wire.group_values import Feature

        preferences = self._application.groups.load(tx, number).profile.preferences

        def said(feature: Feature, on: bool, **more: int) -> dict[str, object]:
            known = preferences.get(feature)
            return (known if isinstance(known, dict) else {}) | {"enable": "on" if on else "off"} | more

        changed: dict[str, object] = {}
        for word, on in allow.items():
            if word not in FEATURES:
                raise InputError(f"There is no setting {word!r}.", f"Choose one of: {', '.join(FEATURES)}.")
            changed[str(FEATURES[word])] = said(FEATURES[word], on)
        if disappear is not None:
            if not 0 <= disappear <= MAX_TTL:
                raise InputError(
                    "This time is not possible for disappearing messages.", "Give a time such as 30m, 1d or 2w."
                )
            ttl = {"ttl": disappear} if disappear else {}
            changed[str(Feature.TIMED_MESSAGES)] = said(Feature.TIMED_MESSAGES, disappear > 0, **ttl)
        return preferences | changed

    def delete_group(self, who: str) -> GroupView:
        """End a group for everybody. The conversation stays; `delete` removes it. Raises `InputError`."""
        with self.database.transaction() as tx:
            self._owner().delete(tx, self._joined(tx, who))
        return self.group(who)

    # -- new members ---------------------------------------------------------------------------------------------------

    def invite_to_group(self, group: str, who: str, role: str = "member") -> MemberView:
        """Invites a contact. Until the contact accepts, a repeated invitation can offer another role.

        Raises:
            UnknownContact: There is no such contact.
            InputError: We do not have the right to invite people, or the contact cannot be invited.
        """
        given = _role(role)
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            number, invited = self._joined(tx, group), records.contact(tx, who)
            if invited.is_group:
                raise InputError(
                    f"{invited.alias} is a group, not a person.", "`smpchat contacts` lists your contacts."
                )
            member = self._owner().invite(tx, number, invited.connection_id, given)
        return self._member_view(group, member)

    def group_link(self, who: str) -> GroupLinkView | None:
        """Our link to a group, if there is one. Raises `InputError`."""
        number = self._joined(self._tx, who)
        link = self._owner().link_text(self._tx, number)
        if link is None:
            return None
        from smpchat.chat.store import group_hosting

        kept = group_hosting.link_of(self._tx, number)
        assert kept is not None
        return GroupLinkView(kept.connection, link.full, link.short, link.role.word)

    def make_group_link(self, who: str, role: str | None = None, *, server: str | None = None) -> GroupLinkView:
        """Makes a link with which anybody can join the group. If we already have a link to the group, only the role of
        people who join with that link is changed.

        Args:
            role: The role of people who join with the link: ``member`` or ``observer``. If None, the role is ``member``
                for a new link, and an existing link keeps its role.
            server: Address of the relay for this link; None: one of the configured relays.
        Returns:
            The link. ``full`` and ``short`` are None until the online process has made the link's queue.
        Raises:
            InputError: We do not have the right to invite people; or ``role`` or ``server`` is invalid.
        """
        relay = None if server is None else relay_address(server)
        given = None if role is None else _role(role)
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            number, owner = self._joined(tx, who), self._owner()
            if owner.link_text(tx, number) is None:
                owner.make_link(tx, number, _role("member") if given is None else given, relay)
            elif given is not None:
                owner.set_link_role(tx, number, given)
        link = self.group_link(who)
        assert link is not None
        return link

    def remove_group_link(self, who: str) -> int:
        """Deletes our link, so that nobody can join with it any more. Members who joined with our link stay in
        the group.

        Returns:
            The id of the link's connection; the online process deletes the link's queue at the relay.
        Raises:
            InputError: There is no link.
        """
        with self.database.transaction() as tx:
            return self._owner().remove_link(tx, self._joined(tx, who))

    # -- members ------------------------------------------------------------------------------------------------------

    def accept_member(self, who: str, member: str, role: str = "member") -> MemberView:
        """Lets in a person who waits for a decision of the moderators. Raises `InputError`."""
        given = _role(role)
        with self.database.transaction() as tx:
            number = self._joined(tx, who)
            found = self._find_member(tx, number, member)
            self._owner().admit(tx, number, found, given)
        return self._member_view(who, found)

    def set_member_role(self, who: str, member: str, role: str) -> MemberView:
        """Give a member another role. Raises `InputError`."""
        given = _role(role)
        with self.database.transaction() as tx:
            number = self._joined(tx, who)
            found = self._find_member(tx, number, member)
            self._owner().set_role(tx, number, found, given)
        return self._member_view(who, found)

    def remove_member(self, who: str, member: str, *, messages: bool = False) -> MemberView:
        """Remove a member and tell everybody, or take back an invitation. Raises `InputError`.

        Args:
            messages: Whether to delete the member's messages, too.
        """
        with self.database.transaction() as tx:
            number = self._joined(tx, who)
            found = self._find_member(tx, number, member)
            self._owner().remove_member(tx, number, found, messages=messages)
        return self._member_view(who, found)

    def block_member(self, who: str, member: str, *, blocked: bool = True) -> MemberView:
        """Block a member for everybody, or unblock the member. The member is not told. Raises `InputError`."""
        with self.database.transaction() as tx:
            number = self._joined(tx, who)
            found = self._find_member(tx, number, member)
            self._owner().block(tx, number, found, blocked=blocked)
        return self._member_view(who, found)

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _owner(self) -> GroupOwner:
        from smpchat.chat.transactions.group_owning import GroupOwner

        return GroupOwner(self._application.groups)

    def _joined(self, tx: sqlite3.Connection, who: str) -> int:
        """The number of the group that ``who`` names. Raises `InputError` if we have not joined this group."""
        from smpchat.chat.service import group_views

        number = group_views.find(tx, who)
        if records.contact_of(tx, -number) is None:
            raise InputError(f"You are not in the group {who!r} yet.", f"Join first: `smpchat group join {number}`.")
        return number

    def _find_member(self, tx: sqlite3.Connection, number: int, name: str) -> MemberId:
        """The member whom `smpchat group members` lists under this name. Raises `InputError`."""
        from smpchat.chat.store import member_names
        from smpchat.chat.wire.group_values import MemberId

        wanted = fold(name.removeprefix("@"))
        called = {fold(each): member for member, each in member_names.all_of(tx, number).items()}
        found = called.get(wanted)
        if found is None:
            contact = records.contact_of(tx, -number)
            assert contact is not None
            who = shlex.quote(contact.alias)
            if wanted == "you":
                raise InputError("You cannot do this to yourself.", f"`smpchat group leave {who}` leaves the group.")
            raise InputError(
                f"There is no member {name!r} in {contact.alias}.", f"`smpchat group members {who}` lists the members."
            )
        return MemberId(found)

    def _member_view(self, who: str, member: MemberId) -> MemberView:
        from smpchat.chat.service import group_views

        found = group_views.member(self._tx, self._joined(self._tx, who), member)
        assert found is not None, "the record of a member who leaves is kept, because messages refer to it"
        return found


def _role(word: str) -> Role:
    """The role with this name. Raises `InputError`."""
    from smpchat.chat.wire.group_values import Role

    if word.lower() not in ROLES:
        raise InputError(f"{word!r} is not a role.", f"Choose one of: {', '.join(ROLES)}.")
    return Role[word.upper()]
