"""The part of `smpchat.Client` for groups: those that we have joined, and our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from smpchat.api_files import FileCalls
from smpchat.api_texts import checks_texts
from smpchat.chat.online.patience import RELAY_TIMEOUT
from smpchat.chat.service.views import GroupLinkView, GroupView, MemberView

T = TypeVar("T")


@checks_texts
class GroupCalls(FileCalls):
    """What a program can do with groups.

    To write to a group, call `Client.send` with the group's alias. Messages from members have ``message.group`` and
    ``message.sender``; a message with the content ``group-event`` tells what happened in the group, such as a join.
    """

    def groups(self) -> list[GroupView]:
        """The groups that we are or were in, sorted by alias; then those to which we are invited (alias None)."""
        return self._service.groups()

    def group(self, who: str) -> GroupView:
        """One group, by its alias or, if we are only invited to it, by its number or name. Raises `InputError`."""
        return self._service.group(who)

    def members(self, who: str) -> list[MemberView]:
        """The current members of a group, without ourselves. Raises `InputError`."""
        return list(self._service.group(who).current)

    async def join_group(self, who: str, alias: str | None = None, *, timeout: float = RELAY_TIMEOUT) -> GroupView:
        """Accept an invitation to a group; to join with a group's link, call `Client.connect` instead.

        Args:
            who: The number or the name of the group to which we are invited.
            alias: Alias of the group; None: it is made from the group's name.
            timeout: Seconds to wait until our inviter lets us in. If this takes longer, the join continues by itself.
        Returns:
            The group: its ``standing`` is ``joining`` if we are not a member yet.
        Raises:
            InputError: There is no such invitation, or the alias cannot be used.
            RelayUnavailable: No relay was reached within ``timeout`` seconds; the join continues automatically.
        """
        joined = self._service.join_group(who, alias)
        name = joined.alias or ""

        def look() -> GroupView | None:
            now = self._service.group(name)
            return None if now.standing == "joining" else now

        connection_id = self._service.contact(name).contact.connection_id
        return await self._until_or_none(look, timeout, connection_id) or self._service.group(name)

    def leave_group(self, who: str) -> GroupView:
        """Leave a group, or decline an invitation; `Client.delete` deletes the conversation. Raises `InputError`."""
        return self._service.leave_group(who)

    # -- groups of our own --------------------------------------------------------------------------------------------

    def create_group(
        self, name: str, alias: str | None = None, *, description: str = "", welcome: str = ""
    ) -> GroupView:
        """Make a group, with us as its only member at first. Raises `InputError`.

        Args:
            alias: Alias of the group; None: it is made from the name.
            description: A line about the group.
            welcome: A greeting for new members.
        """
        return self._service.create_group(name, alias, description=description, welcome=welcome)

    def invite_to_group(self, group: str, alias: str, role: str = "member") -> MemberView:
        """Invite a contact to a group; the invitation is sent while we are online.

        Raises:
            UnknownContact: No contact has this alias.
            InputError: Our role does not allow inviting, or the contact cannot be invited.
        """
        return self._service.invite_to_group(group, alias, role)

    async def make_group_link(
        self, group: str, role: str | None = None, *, server: str | None = None, timeout: float = RELAY_TIMEOUT
    ) -> GroupLinkView:
        """The link with which anyone can join a group; the first call for a group makes the link.

        People who use the link are let in while we are online.

        Args:
            role: The role of people who join with the link: ``member`` or ``observer``; None: an existing link keeps
                its role, a new one gets ``member``.
            server: Address of the relay for this link only; None: a configured relay, otherwise the embedded relay.
            timeout: Seconds in which the relay must answer.
        Raises:
            InputError: Our role does not allow a link, or ``role`` or ``server`` is invalid.
            RelayUnavailable: The relay was not reached in time. The link is made as soon as the relay is reached.
        """
        if server is None:
            await self._start_relay()
        asked = self._service.make_group_link(group, role, server=server)

        def look() -> GroupLinkView | None:
            link = self._service.group_link(group)
            return link if link is not None and link.full else None

        return await self._until(look, timeout, asked.connection)

    def accept_member(self, group: str, member: str, role: str = "member") -> MemberView:
        """Let in a person who waits for the approval of a moderator. Raises `InputError`."""
        return self._service.accept_member(group, member, role)

    def set_member_role(self, group: str, member: str, role: str) -> MemberView:
        """Change the role of the member that has this name in `members`. Raises `InputError`."""
        return self._service.set_member_role(group, member, role)

    def remove_member(self, group: str, member: str, *, messages: bool = False) -> MemberView:
        """Remove a member, or withdraw an invitation; with ``messages``, also delete all messages of the member. Raises
        `InputError`."""
        return self._service.remove_member(group, member, messages=messages)

    def delete_group(self, group: str) -> GroupView:
        """End a group for everybody in it. Raises `InputError`."""
        return self._service.delete_group(group)

    # -- implemented by `Client` --------------------------------------------------------------------------------------

    async def _until(self, look: Callable[[], T | None], seconds: float, connection_id: int) -> T:
        raise NotImplementedError

    async def _until_or_none(self, look: Callable[[], T | None], seconds: float, connection_id: int) -> T | None:
        raise NotImplementedError

    async def _start_relay(self) -> None:
        raise NotImplementedError
