"""Who may do what in a group, as one table. Each receiver enforces this table, because no server can (group-wire 7)."""

from __future__ import annotations

from enum import StrEnum

from smpchat.chat.wire.group_values import Role
from smpchat.encoding.record import Record


class Deed(StrEnum):
    """An action of a member. Each value begins with the name of the event that members send for this action."""

    WRITE = "x.msg.new"
    EDIT = "x.msg.update"
    TAKE_BACK = "x.msg.del of its own"
    MODERATE = "x.msg.del of another's"
    REACT = "x.msg.react"
    FILE = "x.msg.file.descr"
    WITHDRAW = "x.file.cancel"
    PROFILE = "x.info"
    LEAVE = "x.grp.leave"
    INTRODUCE = "x.grp.mem.intro"
    ANNOUNCE = "x.grp.mem.new"
    LET_JOIN = "x.grp.mem.fwd"
    FORWARD = "x.grp.msg.forward"
    ACCEPT = "x.grp.link.acpt"
    ROLE = "x.grp.mem.role"
    RESTRICT = "x.grp.mem.restrict"
    REMOVE = "x.grp.mem.del"
    CHANGE = "x.grp.info"
    PREFERENCES = "x.grp.prefs"
    DELETE = "x.grp.del"
    INVITE = "x.grp.inv"


class Rule(Record):
    """The role that an action requires.

    Attributes:
        least: The lowest role with which the action is allowed.
        covers: Whether the acting member's role must also be at least as high as the role of the member concerned (or,
            for a newcomer, the role that the newcomer gets).
    """

    least: Role
    covers: bool = False


_ANYBODY = Rule(Role.OBSERVER)
_RULES: dict[Deed, Rule] = {
    Deed.WRITE: Rule(Role.AUTHOR),
    Deed.EDIT: Rule(Role.AUTHOR),
    Deed.TAKE_BACK: _ANYBODY,
    Deed.MODERATE: Rule(Role.MODERATOR, covers=True),
    # apps accept reactions from members with any role (group-wire 11, trap 18)
    Deed.REACT: _ANYBODY,
    Deed.FILE: _ANYBODY,
    Deed.WITHDRAW: _ANYBODY,
    Deed.PROFILE: _ANYBODY,
    Deed.LEAVE: _ANYBODY,
    Deed.INTRODUCE: Rule(Role.ADMIN),
    Deed.ANNOUNCE: Rule(Role.ADMIN, covers=True),
    Deed.LET_JOIN: Rule(Role.ADMIN, covers=True),
    # A member needs this right to pass on another member's event. That other member must also have the right to do
    # what the event says (group-wire 11, trap 16).
    Deed.FORWARD: Rule(Role.ADMIN),
    Deed.ACCEPT: Rule(Role.MODERATOR, covers=True),
    # As in apps, the member's present role counts, not the new one. If we refused what apps accept, the member's role
    # would be different here and in the apps.
    Deed.ROLE: Rule(Role.ADMIN, covers=True),
    Deed.RESTRICT: Rule(Role.MODERATOR, covers=True),
    Deed.REMOVE: Rule(Role.ADMIN, covers=True),
    Deed.CHANGE: Rule(Role.OWNER),
    Deed.PREFERENCES: Rule(Role.OWNER),
    Deed.DELETE: Rule(Role.OWNER),
    Deed.INVITE: Rule(Role.ADMIN, covers=True),
}


def may(deed: Deed, role: Role, target: Role | None = None) -> bool:
    """Whether a member with the role ``role`` has the right to do ``deed``. ``target``: the role of the member
    concerned; None if the action concerns no member, or one whose role we do not know."""
    rule = _RULES[deed]
    return role >= rule.least and (not rule.covers or target is None or role >= target)
