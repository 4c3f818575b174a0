"""How the messages, edits, deletions and reactions of members are handled (group-wire 5 to 7.1)."""

from __future__ import annotations

from smpchat.chat.machines.group_effects import (
    Change,
    DirectOffer,
    FileEvent,
    Hidden,
    KeepDeletion,
    React,
    Refused,
    Remove,
    Show,
)
from smpchat.chat.machines.group_inputs import Known
from smpchat.chat.machines.group_links import Step
from smpchat.chat.machines.group_rights import Deed, may
from smpchat.chat.machines.group_states import Group, Member
from smpchat.chat.wire.content import DELETABLE
from smpchat.chat.wire.group_events import (
    Deletion,
    DirectInvitation,
    Edit,
    FileDescribed,
    FileWithdrawn,
    Post,
    Reaction,
)
from smpchat.chat.wire.group_values import Feature, MemberId, Role
from smpchat.encoding.patterns import late
from smpchat.encoding.record import Record

MAX_REACTIONS = 3
"""How many different reactions one member may give to one message."""
_LINK = late(r"simplex:/|https://[^\s/]+/(?:(?:invitation|contact|file)/?#|[a-z]#)")
"""What apps accept as a link to a conversation: the full form and the short one, on any host."""


class Saying(Record):
    """A message, edit, deletion or reaction of a member.

    Attributes:
        shared_id: The event's id, which for a new message is the message's id; None if the event has none.
        said_at: When the member sent the event; POSIX seconds.
        forwarder: The member who passed this event on; None for the author's own copy.
    """

    by: Member
    shared_id: str | None
    said_at: float
    known: Known
    forwarder: MemberId | None


class _Nobodys(Record):
    """`_scope` returns this for a message that must be ignored: the message is in a support chat that we must not see,
    or to which the author must not write."""

    why: str


def wrote(group: Group, saying: Saying, post: Post) -> Step:
    """``x.msg.new``: a member wrote a message."""
    if saying.known.item is not None or saying.known.gone:  # an edit or the deletion arrived first
        return group, ()
    by, scope = saying.by, _scope(group, saying.by, post.scope)
    if isinstance(scope, _Nobodys):
        return group, (Refused("x.msg.new", scope.why),)
    if scope is None and not may(Deed.WRITE, by.role):
        return group, (Refused("x.msg.new", "the author may not write in this group"),)
    # While disappearing messages are turned off in the group, the time to live of a message is ignored if the message
    # comes directly from its author. A passed-on message may be older: its time to live counts, because disappearing
    # messages may have been turned off only later.
    timed = saying.forwarder is not None or group.profile.disappear_after is not None
    hidden, moderator = _hidden(group, saying, post, scope)
    ttl = post.ttl if timed else None
    shown = Show(by.id, saying.shared_id, post, saying.said_at, scope, saying.forwarder, ttl, hidden, moderator)
    return group, (shown,)


def _hidden(group: Group, saying: Saying, post: Post, scope: MemberId | None) -> tuple[Hidden | None, MemberId | None]:
    if saying.by.blocked:
        return Hidden.BLOCKED, None
    if _forbidden(group, saying.by, post, scope):
        return Hidden.FEATURE, None
    for id in saying.known.moderators:
        moderator = group.find(id)
        own = id == saying.by.id
        if own or (moderator is not None and may(Deed.MODERATE, moderator.role, saying.by.role)):
            return Hidden.MODERATED, id
    return None, None


def _forbidden(group: Group, by: Member, post: Post, scope: MemberId | None) -> bool:
    allows = group.profile.allows
    if post.kind == "voice":
        return not allows(Feature.VOICE, by.role)
    if scope is not None:
        return False
    if post.kind == "report" and (group.own.role < Role.MODERATOR or not allows(Feature.REPORTS, by.role)):
        return True
    if post.file is not None and not allows(Feature.FILES, by.role):
        return True
    return holds_link(post.text) and not allows(Feature.SIMPLEX_LINKS, by.role)


def holds_link(text: str) -> bool:
    """Whether a text contains something that apps treat as a link to a conversation."""
    return _LINK().search(text) is not None


def edited(group: Group, saying: Saying, edit: Edit) -> Step:
    """``x.msg.update``: only the author can edit. If we do not have the message, the edit is shown as the message."""
    by = saying.by
    if saying.known.gone:
        return group, (Refused("x.msg.update", "the message was deleted"),)
    if saying.known.item is None:
        post = Post(edit.content, ttl=edit.ttl, live=edit.live, mentions=edit.mentions, scope=edit.scope)
        after, effects = wrote(group, _of(saying, edit.original), post)
        return after, effects
    scope = saying.known.item.scope
    if scope is None and not may(Deed.EDIT, by.role):
        return group, (Refused("x.msg.update", "the author may not write in this group"),)
    words = Post(edit.content).text
    if scope is None and holds_link(words) and not group.profile.allows(Feature.SIMPLEX_LINKS, by.role):
        return group, (Refused("x.msg.update", "the new text contains a link, which the group does not allow"),)
    timed = saying.forwarder is not None or group.profile.disappear_after is not None
    return group, (Change(by.id, edit, saying.said_at, edit.ttl if timed else None),)


def _of(saying: Saying, shared_id: str) -> Saying:
    return Saying(saying.by, shared_id, saying.said_at, saying.known, saying.forwarder)


def took_back(group: Group, saying: Saying, deletion: Deletion) -> Step:
    """``x.msg.del``: the author can delete a message within `DELETABLE` seconds, a moderator at any time. If the
    deletion arrives before the message, the deletion is kept until the message arrives."""
    by, item = saying.by, saying.known.item
    author = deletion.author or by.id
    if saying.known.gone:
        return group, ()
    if author != by.id:
        target = group.find(author)
        if not may(Deed.MODERATE, by.role, target.role if target else None):
            return group, (Refused("x.msg.del", "this member may not delete another member's message"),)
    elif item is not None and deletion.author is None and saying.said_at > item.said_at + DELETABLE:
        return group, (Refused("x.msg.del", "the author deleted the message too late"),)
    if item is None:
        return group, (KeepDeletion(author, deletion.original, by.id),)
    whole = group.profile.allows(Feature.FULL_DELETE, by.role)
    return group, (Remove(author, deletion.original, by.id, whole),)


def reacted(group: Group, saying: Saying, reaction: Reaction) -> Step:
    """``x.msg.react``: a member adds or removes a reaction."""
    item = saying.known.item
    if reaction.author is None:
        return group, (Refused("x.msg.react", "the reaction does not name the author of the message"),)
    if not group.profile.allows(Feature.REACTIONS, saying.by.role):
        return group, (Refused("x.msg.react", "the group does not allow reactions"),)
    if saying.known.gone or (reaction.add and item is not None and item.reactions >= MAX_REACTIONS):
        return group, (Refused("x.msg.react", "too many reactions, or the message was deleted"),)
    return group, (React(reaction.author, reaction.original, saying.by.id, reaction.emoji, reaction.add),)


def file_event(group: Group, saying: Saying, event: FileDescribed | FileWithdrawn) -> Step:
    """``x.msg.file.descr`` and ``x.file.cancel``: accepted from a member with any role, because even an observer can
    send files in a support chat."""
    return group, (FileEvent(saying.by.id, event),)


def offered(group: Group, by: Member, event: DirectInvitation) -> Step:
    """``x.grp.direct.inv``: a member offers us a private conversation."""
    if by.blocked or not group.profile.allows(Feature.DIRECT_MESSAGES, by.role):
        return group, (Refused("x.grp.direct.inv", "this member is blocked, or may not send invitations"),)
    return group, (DirectOffer(by.id, event.link, event.content),)


def _scope(group: Group, by: Member, scope: MemberId | None) -> MemberId | _Nobodys | None:
    """Finds the support chat for an event that the member ``by`` sent: the member with whom the moderators talk in it.
    None if the event is for everybody (group-wire 7.1)."""
    if group.own.pending:
        return group.own.id
    if by.pending:
        return by.id if group.own.role >= Role.MODERATOR else _Nobodys("the author is not in the group yet")
    if scope is None:
        return None
    if scope == group.own.id:
        return scope if by.role >= Role.MODERATOR else _Nobodys("only moderators can write to us in our support chat")
    if group.own.role < Role.MODERATOR or (scope != by.id and by.role < Role.MODERATOR):
        return _Nobodys("the author is not in this support chat, or we are not")
    return scope
