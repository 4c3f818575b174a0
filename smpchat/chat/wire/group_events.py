"""The events that members of a group send to each other, as values (group-wire 2 to 7). `smpchat.chat.wire.groups`
reads them, `smpchat.chat.wire.group_encoding` writes them.

The content of a message stays the JSON object that arrived, so that passing it on changes nothing. `said` turns it into
readable text.
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
"""The kind of a `Probe`, by the name of its event."""

# -- joining ----------------------------------------------------------------------------------------------------------


class Invitation(Record):
    """``x.grp.inv``: a contact invites us.

    Attributes:
        link: The link to the host. A repeated invitation has the same link, but may offer another role (group-wire 12).
        link_id: The id of the group link that we used; set only in an old way of joining, in which the host answers a
            request through its link with an invitation.
        size: Number of members, without us.
    """

    host: MemberIdRole
    invited: MemberIdRole
    link: str = field(repr=False)
    profile: GroupProfile
    business: Business | None = None
    link_id: str | None = None
    size: int | None = None


class InvitationAccepted(Record):
    """``x.grp.acpt``: connection info of a contact that accepts an invitation. ``member``: the contact's member id."""

    member: MemberId


class Agreed(Record):
    """``x.ok``: the host's answer to `InvitationAccepted`."""


class JoinRequest(Record):
    """``x.contact``: connection info of a person who uses a group link. ``request_id``: the same each time the request
    is sent."""

    profile: Profile
    request_id: str | None


class LinkInvitation(Record):
    """``x.grp.link.inv``: the host's answer to a request through a group link. ``size``: number of members, with us."""

    host: MemberIdRole
    host_name: str
    invited: MemberIdRole
    profile: GroupProfile
    accepted: Acceptance | None = None
    business: Business | None = None
    size: int | None = None


class LinkRejection(Record):
    """``x.grp.link.reject``: the host refuses a request through a group link. ``reason``: one word from the host's app,
    which says why."""

    host: MemberIdRole
    invited: MemberIdRole
    profile: GroupProfile
    reason: str


class HostProfile(Record):
    """``x.grp.link.mem``: the host's profile, because its answer to our request had only a name."""

    profile: Profile


class LinkAccepted(Record):
    """``x.grp.link.acpt``: whether ``member``, a newcomer who used a link, was admitted, or who must still decide."""

    acceptance: Acceptance
    role: Role
    member: MemberId


# -- members ----------------------------------------------------------------------------------------------------------


class MemberAnnounced(Record):
    """``x.grp.mem.new``: announces a newcomer. ``scope``: the newcomer's id if it is under review, so that only
    moderators are told."""

    info: MemberInfo
    scope: MemberId | None = None


class MemberIntroduced(Record):
    """``x.grp.mem.intro``: introduces an older member to the newcomer."""

    info: MemberInfo
    restriction: Restriction | None = None


class LinkForMember(Record):
    """``x.grp.mem.inv``: a newcomer sends its host a link for ``member``. ``direct``: a second link, which only old
    versions of apps use."""

    member: MemberId
    link: str = field(repr=False)
    direct: str | None = field(default=None, repr=False)


class LinkOfMember(Record):
    """``x.grp.mem.fwd``: the host sends an older member the link from the newcomer's `LinkForMember`. ``info``: the
    newcomer."""

    info: MemberInfo
    link: str = field(repr=False)
    direct: str | None = field(default=None, repr=False)


class MemberPresents(Record):
    """``x.grp.mem.info``: connection info with the sender's id and profile. Both members send it when they connect."""

    member: MemberId
    profile: Profile


class MembersConnected(Record):
    """``x.grp.mem.con``: the sender and ``member`` are connected, so no host needs to pass messages on between them."""

    member: MemberId


class RoleChanged(Record):
    """``x.grp.mem.role``: a member gets another role."""

    member: MemberId
    role: Role


class MemberRestricted(Record):
    """``x.grp.mem.restrict``: blocks or unblocks a member for everybody; never sent to that member."""

    member: MemberId
    restriction: Restriction


class MemberRemoved(Record):
    """``x.grp.mem.del``: removes a member. ``messages``: the member's messages are deleted too."""

    member: MemberId
    messages: bool = False


class MemberLeft(Record):
    """``x.grp.leave``: the sender leaves the group."""


class MemberProfile(Record):
    """``x.info``: the sender's current profile."""

    profile: Profile


class DirectInvitation(Record):
    """``x.grp.direct.inv``: a link for a private conversation."""

    link: str = field(repr=False)
    content: JsonObject | None = field(default=None, repr=False)
    scope: MemberId | None = None


class Probe(Record):
    """``x.info.probe`` and its answers, by which apps find out whether a member is one of their contacts. ``kind``:
    empty, ``check`` or ``ok``."""

    kind: str
    value: str = field(repr=False)


# -- the group --------------------------------------------------------------------------------------------------------


class GroupDeleted(Record):
    """``x.grp.del``: the sender deletes the group for everybody."""


class GroupChanged(Record):
    """``x.grp.info``: the whole new profile of the group."""

    profile: GroupProfile


class PreferencesChanged(Record):
    """``x.grp.prefs``: all preferences of a business chat."""

    preferences: JsonObject


# -- messages ----------------------------------------------------------------------------------------------------------


class Post(Record):
    """``x.msg.new``: a message to a group.

    Attributes:
        content: The JSON of the content; `said` makes it readable.
        file: The JSON of the file; None if there is none.
        scope: The member whose support chat the message belongs to; None if it is for all (group-wire 7.1).
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
        """The type of the post's content, as the sender's app named it."""
        return str(self.content["type"])

    @property
    def text(self) -> str:
        """The text of the post's content, without a note that smpchat adds."""
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
    """``x.msg.del``: the sender deletes its own message, or, as a moderator, a message of ``author``."""

    original: str
    author: MemberId | None = None
    scope: MemberId | None = None


class Reaction(Record):
    """``x.msg.react``: the sender adds or removes a reaction to a message of ``author``.

    Between two contacts, apps before 6.5 leave the author out.
    """

    original: str
    author: MemberId | None
    emoji: str = field(repr=False)
    add: bool
    scope: MemberId | None = None


class FileDescribed(Record):
    """``x.msg.file.descr``: a part of the description of the file in message ``original``, as it arrived."""

    original: str
    part: JsonObject = field(repr=False)


class FileWithdrawn(Record):
    """``x.file.cancel``: the sender withdraws the file of its own message ``original``."""

    original: str


class Forward(Record):
    """``x.grp.msg.forward``: an event of another member, passed on by a host.

    Attributes:
        author: The member who sent it; None in a channel, where messages come from the channel itself.
        message: The whole message, as the host wrote it. Its bytes may differ from those of the author's own copy.
        event: The event in the message; None if hosts may not pass on such an event.
        said_at: When the event arrived at the host's relay, according to the host; ISO 8601 text.
        name: The host's name for the author, cut if it is long; nothing proves it.
    """

    author: MemberId | None
    message: Envelope
    event: Forwarded | None
    said_at: str
    name: str | None = field(default=None, repr=False)

    @property
    def moment(self) -> float | None:
        """`said_at` in POSIX seconds; None if it is not a time."""
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
    """A post as a readable message; None if its content cannot be shown."""
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
    """Whether smpchat ignores an event."""
    return isinstance(event, Unusable | UnsupportedEvent | LeftOut)
