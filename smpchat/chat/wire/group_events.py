"""What the members of a group say to each other, as values (group-wire 2 to 7); `smpchat.chat.wire.groups` reads and
writes them.

Content that a person reads stays the JSON object that it was, so that passing it on changes nothing; `said` is how a
person reads it.
"""

from __future__ import annotations

from smpchat.chat.wire.bodies import Envelope, LeftOut
from smpchat.chat.wire.group_values import (
    Acceptance,
    Business,
    GroupProfile,
    GroupQuote,
    JsonObject,
    MemberId,
    MemberIdRole,
    MemberInfo,
    Mention,
    Restriction,
    Role,
)
from smpchat.chat.wire.message import TextMessage, UnsupportedEvent, moment_of, read_message
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import Record, field

PROBES = {"x.info.probe": "", "x.info.probe.check": "check", "x.info.probe.ok": "ok"}
"""Kinds of `Probe`."""

# -- joining ----------------------------------------------------------------------------------------------------------


class Invitation(Record):
    """``x.grp.inv``: a contact invites us.

    Attributes:
        link: The connection to the host; the same in a repetition, which may give another role (group-wire 12).
        link_id: Of the group link that we used before, in an old way of joining.
        size: Members, without us.
    """

    host: MemberIdRole
    invited: MemberIdRole
    link: str = field(repr=False)
    profile: GroupProfile
    business: Business | None = None
    link_id: str | None = None
    size: int | None = None


class InvitationAccepted(Record):
    """``x.grp.acpt``: connection info of a contact that accepts an invitation. ``member``: its own id."""

    member: MemberId


class Agreed(Record):
    """``x.ok``: the host's answer to `InvitationAccepted`."""


class JoinRequest(Record):
    """``x.contact``: connection info of a person who uses a group link. ``request_id``: the same in a repetition."""

    profile: Profile
    request_id: str | None


class LinkInvitation(Record):
    """``x.grp.link.inv``: the host's answer to a request through a group link. ``size``: Members, with us."""

    host: MemberIdRole
    host_name: str
    invited: MemberIdRole
    profile: GroupProfile
    accepted: Acceptance | None = None
    business: Business | None = None
    size: int | None = None


class LinkRejection(Record):
    """``x.grp.link.reject``: the host's refusal of such a request. ``reason``: a word of the host's app."""

    host: MemberIdRole
    invited: MemberIdRole
    profile: GroupProfile
    reason: str


class HostProfile(Record):
    """``x.grp.link.mem``: the host's profile; its answer had only a name."""

    profile: Profile


class LinkAccepted(Record):
    """``x.grp.link.acpt``: how far the admission of a newcomer from a link is."""

    acceptance: Acceptance
    role: Role
    member: MemberId


# -- members ----------------------------------------------------------------------------------------------------------


class MemberAnnounced(Record):
    """``x.grp.mem.new``: announces a newcomer to all. ``scope``: it is under review, and only moderators are told."""

    info: MemberInfo
    scope: MemberId | None = None


class MemberIntroduced(Record):
    """``x.grp.mem.intro``: introduces everybody else to the newcomer."""

    info: MemberInfo
    restriction: Restriction | None = None


class LinkForMember(Record):
    """``x.grp.mem.inv``: from the newcomer to its host, a link for ``member``. ``direct``: a second link, in an old
    version."""

    member: MemberId
    link: str = field(repr=False)
    direct: str | None = field(default=None, repr=False)


class LinkOfMember(Record):
    """``x.grp.mem.fwd``: the same, from the host to that member."""

    info: MemberInfo
    link: str = field(repr=False)
    direct: str | None = field(default=None, repr=False)


class MemberPresents(Record):
    """``x.grp.mem.info``: connection info between two members, in both directions."""

    member: MemberId
    profile: Profile


class MembersConnected(Record):
    """``x.grp.mem.con``: the sender and ``member`` are connected and need nobody between them any more."""

    member: MemberId


class RoleChanged(Record):
    """``x.grp.mem.role``."""

    member: MemberId
    role: Role


class MemberRestricted(Record):
    """``x.grp.mem.restrict``: never sent to the member that it is about."""

    member: MemberId
    restriction: Restriction


class MemberRemoved(Record):
    """``x.grp.mem.del``. ``messages``: its messages are deleted, too."""

    member: MemberId
    messages: bool = False


class MemberLeft(Record):
    """``x.grp.leave``."""


class MemberProfile(Record):
    """``x.info``: who the sender is now."""

    profile: Profile


class DirectInvitation(Record):
    """``x.grp.direct.inv``: a link for a private conversation."""

    link: str = field(repr=False)
    content: JsonObject | None = field(default=None, repr=False)
    scope: MemberId | None = None


class Probe(Record):
    """``x.info.probe`` and what answers it: whether a member is one of our contacts. ``kind``: "", check or ok."""

    kind: str
    value: str = field(repr=False)


# -- the group --------------------------------------------------------------------------------------------------------


class GroupDeleted(Record):
    """``x.grp.del``."""


class GroupChanged(Record):
    """``x.grp.info``: the whole profile."""

    profile: GroupProfile


class PreferencesChanged(Record):
    """``x.grp.prefs``: the whole preferences, of a business chat."""

    preferences: JsonObject


# -- what is said -----------------------------------------------------------------------------------------------------


class Post(Record):
    """``x.msg.new``.

    Attributes:
        content: What `said` reads.
        file: The same.
        scope: Whose support chat it belongs to; None if it is for all (group-wire 7.1).
    """

    content: JsonObject = field(repr=False)
    file: JsonObject | None = field(default=None, repr=False)
    quote: GroupQuote | None = None
    ttl: int | None = None
    live: bool = False
    forwarded: bool = False
    mentions: tuple[Mention, ...] = ()
    scope: MemberId | None = None

    @property
    def kind(self) -> str:
        """The type of its content, as its sender named it."""
        return str(self.content["type"])

    @property
    def text(self) -> str:
        """The words of its content, without any note of ours."""
        words = self.content.get("text")
        return words if isinstance(words, str) else ""


class Edit(Record):
    """``x.msg.update``: a new text for the sender's own message ``original``."""

    original: str
    content: JsonObject = field(repr=False)
    ttl: int | None = None
    live: bool = False
    mentions: tuple[Mention, ...] = ()
    scope: MemberId | None = None


class Deletion(Record):
    """``x.msg.del``: the sender deletes its own message, or a moderator deletes that of ``author``."""

    original: str
    author: MemberId | None = None
    scope: MemberId | None = None


class Reaction(Record):
    """``x.msg.react``, to a message of ``author``; apps before 6.5 omit the author only between two contacts."""

    original: str
    author: MemberId | None
    emoji: str = field(repr=False)
    add: bool
    scope: MemberId | None = None


class FileDescribed(Record):
    """``x.msg.file.descr``: a part of the description of the file in ``original``, as it came."""

    original: str
    part: JsonObject = field(repr=False)


class FileWithdrawn(Record):
    """``x.file.cancel``."""

    original: str


class Forward(Record):
    """``x.grp.msg.forward``: what another member said, passed on by its host.

    Attributes:
        author: None in a channel, which speaks for itself.
        message: All of it, as the host wrote it; never to be compared with the direct copy byte by byte.
        said_at: When the relay took it, by the host's word; ISO 8601 text.
        name: What the host calls the author, cut; nothing proves it.
    """

    author: MemberId | None
    message: Envelope
    event: Forwarded | None
    said_at: str
    name: str | None = field(default=None, repr=False)

    @property
    def moment(self) -> float | None:
        """`said_at` in POSIX seconds; None if it is no time."""
        return moment_of(self.said_at)


class Unusable(Record):
    """An event that we cannot use. ``why`` is for the log and contains no text from a peer."""

    name: str
    why: str


Content = Post | Edit | Deletion | Reaction | FileDescribed | FileWithdrawn
Forwarded = (
    Content
    | MemberProfile
    | MemberAnnounced
    | RoleChanged
    | MemberRestricted
    | MemberRemoved
    | MemberLeft
    | GroupDeleted
    | GroupChanged
    | PreferencesChanged
)
"""Events that a host passes on between members who are not connected yet (group-wire 5)."""
GroupEvent = (
    Forwarded
    | Invitation
    | InvitationAccepted
    | Agreed
    | JoinRequest
    | LinkInvitation
    | LinkRejection
    | HostProfile
    | LinkAccepted
    | MemberIntroduced
    | LinkForMember
    | LinkOfMember
    | MemberPresents
    | MembersConnected
    | DirectInvitation
    | Probe
    | Forward
    | LeftOut
    | Unusable
)


def said(post: Post, shared_id: str | None = None) -> TextMessage | None:
    """What a person reads of a post; None if its content says nothing."""
    params: JsonObject = {"content": post.content, "live": post.live, "forward": post.forwarded}
    if post.file is not None:
        params["file"] = post.file
    if post.ttl is not None:
        params["ttl"] = post.ttl
    if post.quote is not None:
        params["quote"] = {"content": post.quote.content, "msgRef": {"msgId": post.quote.shared_id}}
    found = read_message(Envelope("x.msg.new", params, shared_id)).event
    return found if isinstance(found, TextMessage) else None


def is_unsupported(event: object) -> bool:
    """Whether an event has no effect."""
    return isinstance(event, Unusable | UnsupportedEvent | LeftOut)
