"""How groups, invitations to groups and members are shown."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smpchat.chat.service.views import GroupLinkView, GroupView, MemberView
from smpchat.chat.wire.alias import alias_from_name
from smpchat.chat.wire.durations import duration_text
from smpchat.cli.environment import Environment
from smpchat.cli.text import plural, quoted, shortened
from smpchat.cli.views.layout import Cell, show_table, table

if TYPE_CHECKING:
    from rich.table import Table

NO_GROUPS = "No groups yet. `smpchat group create NAME` makes one, and `smpchat connect LINK` joins one by its link."
_STANDINGS = {
    "joining": "joining",
    "pending": "waiting to be let in",
    "review": "waiting to be let in",
    "current": "member",
    "left": "you left",
    "removed": "you were removed",
    "deleted": "deleted",
}
_HERE = ("current", "pending", "review", "invited")
"""The values of `MemberView.standing` for people who are in the group, or who may still come in."""
_NOT_IN = {
    "invited": "invited",
    "pending": "waiting to be let in",
    "review": "waiting to be let in",
    "left": "left",
    "removed": "removed",
    "unknown": "not a member that you know",
}
_LINKS = {
    "none": "not connected",
    "wanted": "waiting for its turn",
    "making": "connecting",
    "offered": "connecting",
    "to-join": "waiting for its turn",
    "joining": "connecting",
    "connected": "connected",
}


def group_fields(group: GroupView) -> dict[str, Any]:
    """The fields of a ``group`` object in JSON."""
    fields: dict[str, Any] = {
        "id": group.id,
        "alias": group.alias,
        "name": group.name,
        "role": group.role,
        "state": group.standing,
        "members": len(group.current) + (group.standing == "current"),
        "connected": sum(member.connected for member in group.current),
    }
    if group.inviter is not None and group.alias is None:
        fields["inviter"] = group.inviter
    if group.business:
        fields["business"] = True
    if group.description:
        fields["description"] = group.description
    if group.welcome:
        fields["welcome"] = group.welcome
    fields["allows"] = list(group.allows)
    if group.disappear_after is not None:
        fields["disappear_after"] = group.disappear_after
    if group.incognito is not None:
        fields["incognito"] = group.incognito
    return fields


def member_fields(group: GroupView, member: MemberView) -> dict[str, Any]:
    """The fields of a ``member`` object in JSON."""
    fields: dict[str, Any] = {
        "group": group.alias,
        "name": member.name,
        "role": member.role,
        "state": member.standing,
        "connection": member.connection,
    }
    if member.host:
        fields["host"] = True
    if member.blocked:
        fields["blocked"] = True
    return fields


def group_line(group: GroupView) -> str:
    """A group in one line, such as ``team: member, 4 members, 3 connected``. If we are only invited, the line is like
    ``2: "hikers", invited by bob as member``."""
    if group.alias is None:
        by = f" by {shortened(group.inviter)}" if group.inviter else ""
        return f"{group.id}: {quoted(group.name)}, invited{by} as {group.role}"
    return f"{shortened(group.alias)}: {', '.join(about_group(group))}"


def about_group(group: GroupView) -> list[str]:
    """Our role, the number of members, and how many are connected to us; or why we are not in the group."""
    if group.standing != "current":
        return [_STANDINGS[group.standing]]
    connected = sum(member.connected for member in group.current)
    here = len(group.current)
    reached = "all connected" if connected == here else f"{connected} connected"
    invited = sum(member.standing == "invited" for member in group.members)
    return [
        group.role,
        *(["a business"] if group.business else []),
        *([plural(here + 1, "member"), reached] if here else ["nobody else yet"]),
        *([f"{invited} invited"] if invited else []),
    ]


def about_joining(alias: str, group: GroupView | None) -> str:
    """A sentence that says whether we are in a group. ``group`` is None until the group's host has answered."""
    if group is None:
        return f"You have asked to join {alias}. You will be let in when the member who made the link comes online."
    match group.standing:
        case "current":
            return f"You are in the group {alias}."
        case "joining":
            return f"You will be in {alias} when the person who invited you comes online."
        case "pending" | "review":
            return (
                f"You are waiting to be let into {alias}. Until then, only the members who can let you in can read your"
                " messages."
            )
        case "deleted":
            return f"The group {alias} was deleted."
        case "removed":
            return f"You were removed from {alias}."
    return f"You left {alias}."


def about_only_owner(group: GroupView) -> str:
    """A warning that says what the other members can no longer do after we leave the group; empty if we are not the
    only owner, or if nobody else is in the group."""
    roles = {member.role for member in group.current}
    if group.role != "owner" or group.standing != "current" or not roles or "owner" in roles:
        return ""
    lost = "change or end the group" if "admin" in roles else "change the group, invite people or remove members"
    alias = shortened(group.alias or "")
    return f"You are the only owner of {alias}. After you leave, nobody can {lost}."


def show_group(environment: Environment, group: GroupView, line: str | None = None) -> None:
    """Print a ``group`` object for scripts, or ``line`` for people (default: `group_line`)."""
    environment.emit("group", group_fields(group), group_line(group) if line is None else line)


def about_rules(group: GroupView) -> str:
    """What the group allows its members, such as ``You may use: reactions, voice, files. Off: history.``"""
    from smpchat.chat.service.group_views import FEATURES  # imported here: lists of contacts do not need it

    off = [name for name in FEATURES if name not in group.allows]
    on = f"You may use: {', '.join(group.allows)}." if group.allows else "You may send only texts."
    rules = f"{on} Off: {', '.join(off)}." if off else on
    if group.disappear_after is not None:
        rules += f" Messages disappear after {duration_text(group.disappear_after)}."
    return rules


def show_groups(environment: Environment, groups: Sequence[GroupView]) -> None:
    """Print ``group`` objects for scripts; for people, a table of the groups, and below it the invitations to other
    groups."""
    if environment.json:
        for group in groups:
            show_group(environment, group)
        return
    joined = [group for group in groups if group.alias is not None]
    if joined:
        rows: list[list[Cell]] = [
            [
                [(shortened(group.alias or ""), "bold")],
                [(about_group(group)[0], "")],
                [(", ".join(about_group(group)[1:]), "dim")],
                [(quoted(group.name, 40), "dim")],
            ]
            for group in joined
        ]
        show_table(environment, ["Alias", "You are", "Members", "Its name"], rows)
    invited = [group for group in groups if group.alias is None]
    for group in invited:
        show_group(environment, group)
    if invited:
        number = invited[0].id
        environment.notice(f"Join: `smpchat group join {number}`. Decline: `smpchat group leave {number}`.")


def show_member(environment: Environment, group: GroupView, member: MemberView, line: str = "") -> None:
    """Print a ``member`` object for scripts, or ``line`` for people."""
    environment.emit("member", member_fields(group, member), line)


def show_group_link(environment: Environment, group: GroupView, link: GroupLinkView) -> None:
    """Print a ``group-link`` object for scripts; for people, the links and the exact command that others type to
    join."""
    short = link.short or link.full or ""
    command = f"smpchat connect {shlex.quote(short)} --alias {shlex.quote(alias_from_name(group.name))}"
    fields: dict[str, Any] = {"group": group.alias, "link": link.full}
    if link.short is not None:
        fields["short_link"] = link.short
    fields |= {"command": command, "role": link.role}
    full = f"\n\nFor apps that do not support short links:\n\n{link.full}" if link.short else ""
    article = "an" if link.role[0] in "aeiou" else "a"
    lines = (
        f"{short}{full}\n\nGive people this link, or this command:\n\n  {command}\n\n"
        f"People who use it join {shortened(group.alias or '')} as {article} {link.role} while you are online.\n"
    )
    environment.emit("group-link", fields, lines)


def show_members(environment: Environment, group: GroupView, *, all_of_them: bool) -> None:
    """Print ``member`` objects for scripts, or a table for people. Former members are left out unless
    ``all_of_them``."""
    shown = _to_show(group, all_of_them=all_of_them)
    if environment.json:
        for member in shown:
            show_member(environment, group, member)
        return
    show_table(environment, _HEADINGS, _rows(group, shown))
    if environment.attended and any(member.current and not member.connected for member in shown):
        environment.notice(
            "If you are not connected to a member, you get their messages through the member who let them in. Only a"
            " connection to the author proves who wrote a message."
        )


_HEADINGS = ("Name", "Role", "Connection", "")


def members_table(group: GroupView, *, all_of_them: bool) -> Table:
    """The table that `show_members` prints, for a caller that draws it itself."""
    return table(_HEADINGS, _rows(group, _to_show(group, all_of_them=all_of_them)))


def _to_show(group: GroupView, *, all_of_them: bool) -> list[MemberView]:
    return [member for member in group.members if all_of_them or member.standing in _HERE]


def _rows(group: GroupView, shown: Sequence[MemberView]) -> list[list[Cell]]:
    made_up = "" if group.incognito is None else f"known as {group.incognito}"
    rows: list[list[Cell]] = [[[("you", "bold")], [(group.role, "")], [("", "")], [(made_up, "dim")]]]
    rows += [
        [
            [(shortened(member.name), "bold")],
            [(member.role, "")],
            [(_LINKS[member.connection] if member.current else _NOT_IN.get(member.standing, member.standing), "")],
            [(", ".join(_marks(member)), "dim")],
        ]
        for member in shown
    ]
    return rows


def _marks(member: MemberView) -> list[str]:
    return [*(["let you in"] if member.host else []), *(["blocked for everybody"] if member.blocked else [])]
