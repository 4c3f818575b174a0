"""The events that members of a group send to each other, one class for each event (group-wire 2 to 7).
`smpchat.chat.wire.groups` reads these events from JSON, and `smpchat.chat.wire.group_encoding` writes them as JSON.

The content of a group message is kept as the JSON object that arrived, so that a host can pass it on unchanged. `said`
turns a group message into readable text.
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
from smpchat.chat.wire.message import TextMessage, moment_of, read_message
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import Record, field

PROBES = {"x.info.probe": "", "x.info.probe.check": "check", "x.info.probe.ok": "ok"}
"""The kind of a `Probe`, by the name of its event."""

# -- joining ----------------------------------------------------------------------------------------------------------


class Invitation(Record):
    """``x.grp.inv``: a contact invites us to a group.

    Attributes:
        invited: Our own member id, which the host has chosen, and our role.
        link: The link with which we connect to the host, the member who invites us. A repeated invitation has the same
            link, but may offer another role (group-wire 12).
        link_id: The id of the group link that we used. Only hosts with old apps set this id: if a request comes through
            a group link, they answer it with an invitation.
        size: Number of members in the group, without us.
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
    """``x.contact``: connection info of a person who uses a group link. ``request_id`` stays the same when this request
    is sent again."""

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
    """``x.grp.link.reject``: the host refuses a request through a group link. ``reason``: one word from the host's app
    that says why the host refuses."""

    host: MemberIdRole
    invited: MemberIdRole
    profile: GroupProfile
    reason: str


class HostProfile(Record):
    """``x.grp.link.mem``: the host's whole profile. The host's answer to our request contained only its name."""

    profile: Profile


class LinkAccepted(Record):
    """``x.grp.link.acpt``: says whether ``member``, a newcomer who used a group link, was admitted. If not yet,
    ``acceptance`` says who must decide."""

    acceptance: Acceptance
    role: Role
    member: MemberId


# -- members ----------------------------------------------------------------------------------------------------------


class MemberAnnounced(Record):
    """``x.grp.mem.new``: announces a newcomer. If moderators must still admit the newcomer, only they get the event,
    and ``scope`` is the newcomer's id."""

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
    """``x.grp.mem.info``: connection info with the sender's member id and profile. When two members connect to each
    other, both of them send this event."""

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
    """``x.grp.mem.del``: removes a member. ``messages``: whether the member's messages are deleted too."""

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
    """``x.info.probe``, ``x.info.probe.check`` or ``x.info.probe.ok``: with these events, apps find out whether a
    member is one of their contacts. ``kind``: the value in `PROBES` for the event's name."""

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
        content: The message's content as JSON; `said` makes the content readable.
        file: The message's file as JSON; None if the message has no file.
        scope: The member whose support chat the message belongs to; None if the message is for all members (group-wire
            7.1).
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
        """The type of the message's content, as the sender's app named it."""
        return str(self.content["type"])

    @property
    def text(self) -> str:
        """The text that the message's author wrote, without the note that `said` adds for other content."""
        words = self.content.get("text")
        return words if isinstance(words, str) else ""


class Edit(Record):
    """``x.msg.update``: a new text for one of the sender's own messages. ``original``: the id of this message."""

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

    ``author`` is None if the sender's app does not name the author of the message.
    """

    original: str
    author: MemberId | None
    emoji: str = field(repr=False)
    add: bool
    scope: MemberId | None = None


class FileDescribed(Record):
    """``x.msg.file.descr``: one part of a file's description, as it arrived. ``original``: the id of the message with
    the file."""

    original: str
    part: JsonObject = field(repr=False)


class FileWithdrawn(Record):
    """``x.file.cancel``: the sender withdraws the file of its own message ``original``."""

    original: str


class Forward(Record):
    """``x.grp.msg.forward``: an event of another member, passed on by a host.

    Attributes:
        author: The member who sent the event; None in a channel, where messages come from the channel itself.
        message: The whole message that contains the event. The host may have written its JSON anew, so the bytes may
            differ from the bytes that the author sent.
        event: The event in ``message``; None if hosts may not pass on such an event.
        said_at: When the event arrived at the host's relay, according to the host; ISO 8601 text.
        name: The author's name according to the host, cut if it is long. Nothing proves that the name is right.
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
    """An event that we cannot use, because it is unknown or malformed. ``why`` is for the log and contains no text from
    a peer."""

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
    """A group message with its content as readable text; None if the content cannot be shown."""
    params: JsonObject = {"content": post.content, "live": post.live, "forward": post.forwarded}
    if post.file is not None:
        params["file"] = post.file
    if post.ttl is not None:
        params["ttl"] = post.ttl
    if post.quote is not None:
        params["quote"] = {"content": post.quote.content, "msgRef": {"msgId": post.quote.shared_id}}
    found = read_message(Envelope("x.msg.new", params, shared_id)).event
    return found if isinstance(found, TextMessage) else None
