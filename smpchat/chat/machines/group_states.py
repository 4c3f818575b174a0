"""A group as one of its members sees it: its members, our connections to them, and what it allows.

`Group` contains no messages, because there may be any number of them. An event about a message contains what the store
knows about that message (`smpchat.chat.machines.group_inputs.Known`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from smpchat.chat.wire.group_values import Business, GroupProfile, MemberId, Role
from smpchat.encoding.record import Record, field, replace
from smpchat.encoding.text import to_base64url
from smpchat.protocol.version import VersionRange

MAX_MEMBERS = 1_000
"""The most members of a group that are kept, former members included. The number is limited, because a host can make up
members."""
MAX_UNKNOWN = 200
"""The most members with the standing `Standing.UNKNOWN` that are kept in a group."""
LINKS_PER_MINUTE = 60
"""The most connections to members that a group starts in one minute; further connections wait. The number is limited,
because each connection needs a queue."""
MINUTE = 60
"""Length of a minute in seconds, for `LINKS_PER_MINUTE`."""
MAX_TOLD = 8
"""When we are connected to a member, we tell at most this many hosts."""
_UNKNOWN_NAME = 7
"""How many characters of a member's id are shown if the member's name is not known (group-wire 6)."""


class Standing(StrEnum):
    """Whether a member, or we ourselves, are invited to the group, joining it, in it, or no longer in it."""

    INVITED = "invited"
    """If this is our own standing: a contact has invited us, and we have not answered. If it is another member's: we
    have invited this person, or this person uses our link; in both cases, the person is not in the group yet."""
    JOINING = "joining"
    """We are connecting to the host. Only we ourselves can have this standing."""
    PENDING = "pending"
    """The host must decide whether to admit the newcomer. No other member knows of the newcomer."""
    REVIEW = "review"
    """The moderators must decide whether to admit the newcomer. Other members do not know of the newcomer."""
    CURRENT = "current"
    UNKNOWN = "unknown"
    """We know of this member only from what others passed on or told us; nobody has introduced the member to us."""
    LEFT = "left"
    REMOVED = "removed"
    DELETED = "deleted"
    """The group was deleted. Only we ourselves can have this standing."""


class Link(StrEnum):
    """The state of our connection to a member."""

    NONE = "none"
    WANTED = "wanted"
    """We will make a link for the member, as soon as `LINKS_PER_MINUTE` allows it."""
    MAKING = "making"
    OFFERED = "offered"
    """Our link is on its way to the member, through the host."""
    TO_JOIN = "to-join"
    """We have the member's link, and will join it as soon as `LINKS_PER_MINUTE` allows it."""
    JOINING = "joining"
    CONNECTED = "connected"


class Member(Record):
    """A member of the group.

    Attributes:
        name: The name from the member's profile, or a substitute. This name proves nothing and is not unique.
        older: Whether the member was in the group before us.
        introducer: The id of the host that let this member in, or of the member who told us of this member. It is our
            own id if we let this member in. Until we and this member are connected, the introducer passes on messages
            between us.
        named: False for an unknown author. Also False for the host of a group link until that host has sent its
            profile, which is accepted only once (group-wire 11, trap 11). True for all other members.
        offer: The member's link, which we will join.
        told: Hosts to whom we have reported that we are connected to this member.
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
        """The highest chat version of the member's app; 1 if unknown."""
        return self.versions.maximum if self.versions is not None else 1

    @property
    def pending(self) -> bool:
        """Whether the host or the moderators must still decide about the member."""
        return self.standing in (Standing.PENDING, Standing.REVIEW)

    @property
    def gone(self) -> bool:
        """Whether the member is no longer in the group."""
        return self.standing in (Standing.LEFT, Standing.REMOVED)


class Group(Record):
    """A whole group.

    Attributes:
        own: Ourselves as a member, with our id, role and standing.
        host: The member who let us in; our own id if we created the group.
        by_link: We joined by a group link or a business address, not by a contact's invitation.
        invitation: The link in a contact's invitation, which leads to the host; None after we have used the link.
        members: All other members, in the order in which we learned of them.
        minute: Start of the current minute, in POSIX seconds.
        begun: How many connections were started in this minute.
        full: There is no room for another member until one leaves. This is stored so that we need not search for room
            whenever another new member is announced.
        crowded: The user has been told that the group has more members than we keep.
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
        """Whether we are in the group or on the way into it."""
        return self.own.standing in (Standing.JOINING, Standing.PENDING, Standing.REVIEW, Standing.CURRENT)

    def find(self, member: MemberId) -> Member | None:
        """A member, or ourselves."""
        return self.own if member == self.own.id else self.members.get(member)

    def with_member(self, member: Member) -> Group:
        """A copy of the group in which this member is new or changed."""
        return replace(self, members={**self.members, member.id: member})

    def changed(self, member: MemberId, **changes: object) -> Group:
        """A copy of the group in which some fields of a member, or of ourselves, are changed."""
        if member == self.own.id:
            return replace(self, own=replace(self.own, **changes))  # type: ignore[arg-type]
        return self.with_member(replace(self.members[member], **changes))  # type: ignore[arg-type]

    def without(self, member: MemberId) -> Group:
        """A copy of the group without this member's record."""
        return replace(self, members={id: other for id, other in self.members.items() if id != member})

    @property
    def size(self) -> int:
        """How many current members there are, ourselves included."""
        return 1 + sum(member.standing is Standing.CURRENT for member in self.members.values())


def unknown_name(member: MemberId) -> str:
    """The name shown for an author whose name nobody has told us."""
    return to_base64url(member)[:_UNKNOWN_NAME]
