"""The effects of a group's machine: what the caller must do after an event."""

from __future__ import annotations

from enum import StrEnum

from smpchat.chat.wire.group_events import Edit, GroupEvent, LinkForMember, Post
from smpchat.chat.wire.group_values import GroupProfile, JsonObject, MemberId, Role
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import Record, field

# -- connections ------------------------------------------------------------------------------------------------------


class JoinHost(Record):
    """Join the host's link; our connection info says that we accept the invitation."""

    link: str = field(repr=False)


class MakeLink(Record):
    """Make a link for a member, without post-quantum keys. After that, the machine gets the event `Linked`."""

    member: MemberId


class JoinMember(Record):
    """Join a member's link; our connection info carries our profile."""

    member: MemberId
    link: str = field(repr=False)


class Allow(Record):
    """Accept the peer of a connection, because it is the expected member. Our connection info carries our profile."""

    member: MemberId


class Turn(Record):
    """Refuse the peer of a connection, for the reason ``why``."""

    member: MemberId
    why: str


class Disconnect(Record):
    """End our connections to these members, each as soon as everything in its queue has been delivered (group-wire 11,
    trap 13)."""

    members: tuple[MemberId, ...]


class Release(Record):
    """Send a member everything that was kept for it, in order, because our connection to this member works now."""

    member: MemberId


class Repeat(Record):
    """Send a member, now directly, all messages of ours that a host had to pass on to this member: the member may have
    missed some. They are sent before anything new.

    A host stops passing messages on between two members as soon as one of them reports that they are connected. A
    message that reaches the host after this report, mostly because its author was offline, is not passed on. If a
    message reaches a member twice, the member recognises its id and drops the second copy.
    """

    member: MemberId


# -- admitting newcomers -----------------------------------------------------------------------------------------------


class Invite(Record):
    """Send a contact the invitation to the group. The link that the invitation contains has already been made."""

    member: MemberId


class Admit(Record):
    """Our connection to a newcomer works: announce the newcomer to the other members, and introduce these members to
    the newcomer. ``by_link``: the newcomer used our link."""

    member: MemberId
    by_link: bool


class AcceptNewcomer(Record):
    """Moderators have admitted a newcomer whose host we are: announce the newcomer to the members who did not know of
    it.

    Attributes:
        ours: True: we admitted the newcomer, so we must tell the newcomer and the moderators. False: another moderator
            admitted the newcomer, and has told all of them.
    """

    member: MemberId
    ours: bool


class HandOn(Record):
    """A newcomer made a link for a member whom we introduced: pass the link on to that member."""

    by: MemberId
    event: LinkForMember


class Reported(Record):
    """The member ``by`` reports a direct connection to ``member``, and we are the host of one of these two. From now
    on, we do not pass on to ``member`` what ``by`` writes."""

    by: MemberId
    member: MemberId


# -- sending ----------------------------------------------------------------------------------------------------------


class Send(Record):
    """Send the same event, with the same id, to one or more members.

    Attributes:
        now: Members to whom our connection works already; they get the event at once.
        later: Members who get the event as soon as our connection to them works.
        passed_on: Members to whom a host passes the event on. They are not in ``later``, or they would get the event
            twice (group-wire 11, trap 6).
    """

    event: GroupEvent
    now: tuple[MemberId, ...]
    later: tuple[MemberId, ...] = ()
    passed_on: tuple[MemberId, ...] = ()


# -- effects on the store ----------------------------------------------------------------------------------------------


class Hidden(StrEnum):
    """Why a message is not shown."""

    BLOCKED = "blocked"
    """The author is blocked for all members."""
    MODERATED = "moderated"
    """The message was deleted before it arrived."""
    FEATURE = "feature"
    """The group does not allow this author to send such a message."""


class Show(Record):
    """Store and show a new message. If ``hidden`` gives a reason, the user must not see the text of the message.

    Attributes:
        forwarder: The member who passed the message on. In this case, nothing proves who wrote the message. None for
            the author's own copy.
        ttl: Seconds after which the message disappears.
        by: Who deleted the message, if ``hidden`` is `Hidden.MODERATED`.
    """

    author: MemberId
    shared_id: str | None
    post: Post
    said_at: float
    scope: MemberId | None
    forwarder: MemberId | None = None
    ttl: int | None = None
    hidden: Hidden | None = None
    by: MemberId | None = None


class Prove(Record):
    """The author's own copy of a passed-on message arrived: show the text of this copy, unless the message was edited
    or deleted meanwhile."""

    author: MemberId
    shared_id: str
    post: Post


class Change(Record):
    """Give a message a new text. ``ttl``: the new number of seconds after which the message disappears; None: no
    change."""

    author: MemberId
    edit: Edit
    said_at: float
    ttl: int | None = None


class Remove(Record):
    """Delete a message. ``whole``: nothing of the message remains, not even a note that it was deleted."""

    author: MemberId
    shared_id: str
    by: MemberId
    whole: bool


class RemoveAll(Record):
    """Delete everything that a member wrote."""

    author: MemberId
    by: MemberId
    whole: bool


class KeepDeletion(Record):
    """Remember that ``by``, the author or a moderator, deleted a message that has not arrived here yet."""

    author: MemberId
    shared_id: str
    by: MemberId


class React(Record):
    """Add or remove a reaction. If the message has not arrived yet, the reaction is kept until it arrives."""

    author: MemberId
    shared_id: str
    by: MemberId
    emoji: str = field(repr=False)
    add: bool


class FileEvent(Record):
    """A later event about the file of a message: its description, or the news that the sender withdrew the file."""

    author: MemberId
    event: GroupEvent


class SaveProfile(Record):
    """Save a member's profile."""

    member: MemberId
    profile: Profile


class Forget(Record):
    """Delete a member's record."""

    member: MemberId


class DirectOffer(Record):
    """Tell the user that a member offers a private conversation."""

    member: MemberId
    link: str = field(repr=False)
    content: JsonObject | None = field(default=None, repr=False)


# -- news for the user -------------------------------------------------------------------------------------------------


class News(StrEnum):
    """What the user is told about the group."""

    JOINED = "joined"
    """We are in the group now."""
    ACCEPTED = "accepted"
    """The host or the moderators have admitted us."""
    PENDING = "pending"
    """The host decides whether we are admitted."""
    REVIEW = "review"
    """Moderators decide whether we are admitted."""
    MEMBER_JOINED = "member-joined"
    MEMBER_REVIEWED = "member-reviewed"
    """The moderators, of whom we are one, decide whether someone is admitted."""
    MEMBER_ACCEPTED = "member-accepted"
    MEMBER_CONNECTED = "member-connected"
    MEMBER_LEFT = "member-left"
    MEMBER_REMOVED = "member-removed"
    MEMBER_BLOCKED = "member-blocked"
    MEMBER_UNBLOCKED = "member-unblocked"
    ROLE = "role"
    RENAMED = "renamed"
    """A member has changed their name."""
    CHANGED = "changed"
    """The group's name, picture, texts or rules have changed."""
    REMOVED = "removed"
    """We were removed."""
    DELETED = "deleted"
    CROWDED = "crowded"
    """The group has more members than smpchat keeps."""


class Tell(Record):
    """Tell the user what happened, usually in a line of the conversation.

    Attributes:
        member: The member whom the news is about; None if the news is about us or the group.
        by: The member who caused the news.
        role: The new role of ``member``, if ``news`` is `News.ROLE`.
        before: The earlier name of ``member``, if ``news`` is `News.RENAMED`.
    """

    news: News
    member: MemberId | None = None
    by: MemberId | None = None
    role: Role | None = None
    before: str | None = field(default=None, repr=False)


class SaveGroup(Record):
    """Save the group's own profile, which has changed."""

    profile: GroupProfile


class Refused(Record):
    """An event changed nothing. The reason is for the log; it contains no name and no text from a person."""

    event: str
    why: str


Effect = (
    JoinHost
    | MakeLink
    | JoinMember
    | Allow
    | Turn
    | Disconnect
    | Release
    | Repeat
    | Invite
    | Admit
    | AcceptNewcomer
    | HandOn
    | Reported
    | Send
    | Show
    | Prove
    | Change
    | Remove
    | RemoveAll
    | KeepDeletion
    | React
    | FileEvent
    | SaveProfile
    | Forget
    | DirectOffer
    | Tell
    | SaveGroup
    | Refused
)
