"""A group as one of its members sees it: who is in it, how far we are connected, what it allows.

Messages are not in here: there may be any number of them. What is known of the one that an event is about comes with
the event (`smpchat.chat.machines.group_inputs.Known`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from smpchat.chat.wire.group_values import Business, GroupProfile, MemberId, Role
from smpchat.encoding.record import Record, field, replace
from smpchat.encoding.text import to_base64url
from smpchat.protocol.version import VersionRange

MAX_MEMBERS = 1_000
"""Members of a group that are kept, former members included: a host can make up any number."""
MAX_UNKNOWN = 200
"""Of these, how many may be authors whom nobody has introduced."""
LINKS_PER_MINUTE = 60
"""Connections to members that smpchat begins in one minute; the others wait for their turn. Each needs a queue."""
MINUTE = 60
"""Length of that minute in seconds."""
MAX_TOLD = 8
"""How many hosts are told that we and a member are connected."""
_UNKNOWN_NAME = 7
"""Characters of a member's id that are shown as the name of a member whose name nobody has told us (group-wire 6)."""


class Standing(StrEnum):
    """Where somebody stands in the group: a member, and we."""

    INVITED = "invited"
    """A contact invites us, and we have not answered; or we invite somebody, or it uses our link, and is not in yet."""
    JOINING = "joining"
    """Only for ourselves: we are connecting to the host."""
    PENDING = "pending"
    """The host decides; no other member knows of the newcomer."""
    REVIEW = "review"
    """The moderators decide; other members do not know of the newcomer."""
    CURRENT = "current"
    UNKNOWN = "unknown"
    """Only for others: a message of theirs was passed on, but nobody has introduced them."""
    LEFT = "left"
    REMOVED = "removed"
    DELETED = "deleted"
    """Only for ourselves: the group was deleted."""


class Link(StrEnum):
    """How far the connection to a member is."""

    NONE = "none"
    WANTED = "wanted"
    """We will make a link for the member when it is the member's turn."""
    MAKING = "making"
    OFFERED = "offered"
    """Our link is on its way to the member, through the host."""
    TO_JOIN = "to-join"
    """The member's link is here; we join it when it is its turn."""
    JOINING = "joining"
    CONNECTED = "connected"


class Member(Record):
    """A member of the group.

    Attributes:
        name: What it calls itself, or is called; proves nothing, is not unique.
        older: It was in the group before us.
        introducer: Who let it in, or told us of it: passes on what we two say until we are connected. We, where we
            let it in.
        named: Its profile came from itself; a host that joined us by a link is named once (group-wire 11, trap 11).
        offer: The link to join, while it waits for its turn.
        told: Hosts that know that we are connected.
    """

    id: MemberId
    role: Role
    name: str = field(repr=False)
    standing: Standing = Standing.CURRENT
    link: Link = Link.NONE
    older: bool = False
    introducer: MemberId | None = None
    versions: VersionRange | None = None
    blocked: bool = False
    named: bool = True
    offer: str | None = field(default=None, repr=False)
    told: tuple[MemberId, ...] = ()

    @property
    def speaks(self) -> int:
        """The chat version of its app; if unknown, the first one."""
        return self.versions.maximum if self.versions is not None else 1

    @property
    def pending(self) -> bool:
        """Whether the member is not in the group yet."""
        return self.standing in (Standing.PENDING, Standing.REVIEW)

    @property
    def gone(self) -> bool:
        """Whether the member is no longer in the group."""
        return self.standing in (Standing.LEFT, Standing.REMOVED)


class Group(Record):
    """A whole group.

    Attributes:
        own: Our id, role, standing.
        host: Who let us in; we, where nobody did.
        by_link: We came by a group link, or to a business address, not by a contact's invitation.
        invitation: The link to the host, while we have not joined it.
        members: All others, in the order in which we learned of them.
        minute: When the minute began in which `begun` connections were begun; POSIX seconds.
        full: There is no room for another member until one goes, so nobody has to look for some.
        crowded: It was told that there are more members than are kept.
    """

    own: Member
    host: MemberId
    profile: GroupProfile
    by_link: bool
    members: Mapping[MemberId, Member] = field(repr=False)
    business: Business | None = None
    invitation: str | None = field(default=None, repr=False)
    minute: float = 0.0
    begun: int = 0
    full: bool = False
    crowded: bool = False

    @property
    def active(self) -> bool:
        """Whether we take part in it, though perhaps not with all yet."""
        return self.own.standing in (Standing.JOINING, Standing.PENDING, Standing.REVIEW, Standing.CURRENT)

    def find(self, member: MemberId) -> Member | None:
        """A member, or ourselves."""
        return self.own if member == self.own.id else self.members.get(member)

    def with_member(self, member: Member) -> Group:
        """A copy in which this member is new or changed."""
        return replace(self, members={**self.members, member.id: member})

    def changed(self, member: MemberId, **changes: object) -> Group:
        """A copy in which a member's fields, or our own, are changed."""
        if member == self.own.id:
            return replace(self, own=replace(self.own, **changes))  # type: ignore[arg-type]
        return self.with_member(replace(self.members[member], **changes))  # type: ignore[arg-type]

    def without(self, member: MemberId) -> Group:
        """A copy without this member's record."""
        return replace(self, members={id: other for id, other in self.members.items() if id != member})

    @property
    def size(self) -> int:
        """How many current members there are, ourselves included."""
        return 1 + sum(member.standing is Standing.CURRENT for member in self.members.values())


def unknown_name(member: MemberId) -> str:
    """The name shown for an author whom nobody has named."""
    return to_base64url(member)[:_UNKNOWN_NAME]
