"""Slash commands for groups in `chat`: list groups and members, invite, join, leave."""

from __future__ import annotations

import re

from rich.text import Text

from smpchat.chat.errors import InputError, UnknownContact
from smpchat.chat.service.views import GroupView
from smpchat.chat.wire.alias import fold
from smpchat.cli.chat.conversation import Conversation
from smpchat.cli.text import shortened
from smpchat.cli.views.groups import about_only_owner, about_rules, group_line, members_table

_AT = re.compile(r"@(\S+)")


class GroupLines:
    """Runs the slash commands about groups."""

    def __init__(self, talk: Conversation) -> None:
        self._talk, self._transcript, self._service = talk, talk.transcript, talk.service

    def list(self) -> None:
        """List all groups and the invitations to groups, and say how to accept an invitation."""
        found = self._service.groups()
        if not found:
            self._transcript.tell("No groups yet: a contact can invite you, or /connect joins one by its link.")
        for group in found:
            self._transcript.show(Text(group_line(group)))
        invited = [group for group in found if group.alias is None]
        if invited:
            self._transcript.tell(f"/join {invited[0].id} accepts the invitation.")

    def members(self) -> None:
        """List the members of the current group."""
        self._transcript.show(members_table(self._need(), all_of_them=False))

    def rules(self, group: GroupView) -> None:
        """Say what the group's owners allow its members to do."""
        self._transcript.tell(f"{about_rules(group)} Owners change that with `smpchat group set`.")

    def invite(self, who: str) -> None:
        """Invite a contact to the current group."""
        group = self._need()
        if not who:
            raise InputError("The contact is missing.", "Type /invite WHO.")
        member = self._service.invite_to_group(group.alias or "", who.removeprefix("@"))
        alias = self._service.contact(who.removeprefix("@")).alias
        self._transcript.tell(f"* {shortened(alias)} is invited as {member.role}.")

    def join(self, argument: str) -> None:
        """Accept an invitation to a group, and go to the conversation of the group."""
        number, _, alias = argument.partition(" ")
        if not number:
            raise InputError("The invitation is missing.", "Type /join N; /groups shows the numbers.")
        joined = self._service.join_group(number.removeprefix("#"), alias.strip().removeprefix("@") or None)
        self._talk.go_to(self._service.contact(joined.alias or ""))

    def leave(self, argument: str) -> None:
        """Leave the current group, but only if its alias was typed, so that nobody leaves a group by mistake."""
        group = self._need()
        alias = group.alias or ""
        if fold(argument.removeprefix("@")) != fold(alias):
            what = " ".join(filter(None, (f"Everybody in {alias} sees that you leave it.", about_only_owner(group))))
            raise InputError(what, f"Type /leave {alias} if that is what you want.")
        self._service.leave_group(alias)
        self._transcript.tell(f"* You left {shortened(alias)}. The conversation stays here.")

    def is_for_the_group(self, line: str) -> bool:
        """Whether ``@NAME …`` mentions a member of the current group, and NAME is not a contact's alias."""
        view, named = self._talk.current, _AT.match(line)
        if view is None or view.group is None or named is None:
            return False
        try:
            self._service.contact(named[1])
        except UnknownContact:
            asked = fold(named[1].rstrip(",:;.!?"))
            return any(fold(member.name) == asked for member in view.group.current)
        return False

    def _need(self) -> GroupView:
        view = self._talk.need_contact()
        if view.group is None:
            raise InputError(f"{view.alias} is not a group.", "Go to a group with /to; /groups lists your groups.")
        return view.group
