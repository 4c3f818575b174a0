"""A group as one of its members sees it, as a state machine: ``step(group, event) -> (group, effects)``.

An event that is not allowed changes nothing and gives one `Refused`. Nothing that a peer says can make the machine
raise an exception. The events of one group are handled one after the other (group-wire 11, trap 28).
"""

from __future__ import annotations

from smpchat.chat.machines import group_content as content
from smpchat.chat.machines import group_links as links
from smpchat.chat.machines import group_members as members
from smpchat.chat.machines import group_owning as owning
from smpchat.chat.machines.group_effects import Effect, HandOn, Invite, Prove, Refused, Reported, Send
from smpchat.chat.machines.group_inputs import (
    Accept,
    Admission,
    Block,
    Change,
    Confirmed,
    Connected,
    Decision,
    Dissolve,
    Expel,
    Grant,
    Heard,
    Input,
    Invitee,
    Joiner,
    Leave,
    Linked,
    Lost,
    Tick,
)
from smpchat.chat.machines.group_links import Step
from smpchat.chat.machines.group_rights import Deed, may
from smpchat.chat.machines.group_sending import deliver, to_member
from smpchat.chat.machines.group_states import Group, Link, Member, Standing
from smpchat.chat.wire.group_events import (
    Deletion,
    DirectInvitation,
    Edit,
    FileDescribed,
    FileWithdrawn,
    Forward,
    GroupChanged,
    GroupDeleted,
    GroupEvent,
    HostProfile,
    LinkAccepted,
    LinkForMember,
    LinkOfMember,
    MemberAnnounced,
    MemberIntroduced,
    MemberLeft,
    MemberProfile,
    MemberRemoved,
    MemberRestricted,
    MembersConnected,
    Post,
    PreferencesChanged,
    Probe,
    Reaction,
    RoleChanged,
)
from smpchat.chat.wire.group_values import MemberId


def step(group: Group, event: Input) -> Step:
    """The next state, and the effects to carry out."""
    match event:
        case Accept():
            return links.accept(group)
        case Leave():
            return _leave(group)
        case Confirmed():
            return links.confirmed(group, event)
        case Linked(member, link):
            return _linked(group, member, link)
        case Connected(member):
            return links.connected(group, member)
        case Lost(member):
            known = group.members.get(member)
            return (group, ()) if known is None else links.lost(group, known)
        case Tick(now):
            return links.turns(group, now)
        case Heard():
            return _heard(group, event)
        case Joiner():
            return owning.joins(group, event)
        case _:
            return _decided(group, event)


def _decided(group: Group, decision: Decision) -> Step:
    match decision:
        case Invitee():
            return owning.invite(group, decision)
        case Admission():
            return owning.admission(group, decision)
        case Grant():
            return owning.grant(group, decision)
        case Expel():
            return owning.expel(group, decision)
        case Block():
            return owning.block(group, decision)
        case Change():
            return owning.change(group, decision)
        case Dissolve():
            return owning.dissolve(group, decision)


def _leave(group: Group) -> Step:
    if group.own.standing is Standing.INVITED:  # to decline an invitation, nothing is sent
        return members.over(group, Standing.LEFT)
    if not group.active:
        return group, (Refused("leave", "we are not in the group"),)
    farewell = deliver(group, MemberLeft())
    after, effects = members.over(group, Standing.LEFT)
    # After we have left, nothing is kept to be sent later. So we say goodbye only to members to whom our connection
    # works now. The others hear of it from hosts.
    return after, (Send(farewell.event, farewell.now, (), farewell.passed_on), *effects)


def _linked(group: Group, id: MemberId, link: str) -> Step:
    member = group.members.get(id)
    if member is None or member.link is not Link.MAKING or not group.active:
        return group, (Refused("link", "this link is no longer needed"),)
    after = group.changed(id, link=Link.OFFERED)
    if member.standing is Standing.INVITED:
        return after, (Invite(id),)
    return after, to_member(group, group.host, LinkForMember(id, link))


# -- events from members -----------------------------------------------------------------------------------------------


def _heard(group: Group, heard: Heard) -> Step:
    sender, event = group.members.get(heard.sender), heard.message.event
    if sender is None or sender.gone or sender.standing is Standing.INVITED or not group.active:
        return group, (Refused(_name(event), "the sender is not in the group, or we are not"),)
    versions = heard.message.versions
    if versions is not None and versions != sender.versions:
        group = group.changed(sender.id, versions=versions)
        sender = group.members[sender.id]
    if isinstance(event, Forward):
        return _passed_on(group, sender, heard, event)
    seen = heard.known.seen
    if seen is not None:
        if seen.forwarder is None:
            return group, ()
        after, effects = links.tell_connected(group, sender.id, seen.forwarder)
        shared_id = heard.message.shared_id
        if isinstance(event, Post) and shared_id is not None:
            effects = (Prove(sender.id, shared_id, event), *effects)
        return after, effects
    saying = content.Saying(sender, heard.message.shared_id, heard.at, heard.known, None)
    straight = _straight(group, sender, event, heard.now)
    return straight if straight is not None else _said(group, saying, event)


def _passed_on(group: Group, host: Member, heard: Heard, forward: Forward) -> Step:
    """``x.grp.msg.forward``: a host passes on another member's event. The author's rights count, but nothing proves the
    author: the host may have made the event up (group-wire 11, traps 16 and 26)."""
    seen = heard.known.seen
    if not may(Deed.FORWARD, host.role):
        return group, (Refused("x.grp.msg.forward", "the sender's role does not allow it to pass on events"),)
    if forward.event is None or forward.author is None:  # in a channel, events have no author (group-wire 10)
        return group, (Refused("x.grp.msg.forward", "this event may not be passed on, or has no author"),)
    if forward.author == group.own.id:  # we know better what we said
        return group, () if seen else (Refused("x.grp.msg.forward", "we do not know this event of ours"),)
    author, after = group.members.get(forward.author), group
    if seen is not None:
        # The event has arrived before. If the first copy came directly from the author, we tell the host that we are
        # connected to the author.
        if author is None or author.id == host.id or seen.forwarder is not None:
            return group, ()
        return links.tell_connected(group, author.id, host.id)
    effects: tuple[Effect, ...] = ()
    if author is None:
        after, effects = links.enter(group, members.unknown(forward.author, forward.name))
        author = after.members.get(forward.author)
        if author is None:
            return after, effects
    # The host may have made up the time of the message. We use no time later than the message's arrival at the relay: a
    # time in the future would keep the message at the end of the conversation.
    moment = forward.moment
    said_at = heard.at if moment is None else min(moment, heard.at)
    # The history that the host sends also contains the host's own messages. They do not count as passed on: they come
    # through our connection to the host, which proves that the host wrote them.
    forwarder = None if author.id == host.id else host.id
    saying = content.Saying(author, forward.message.shared_id, said_at, heard.known, forwarder)
    last, said = _said(after, saying, forward.event)
    if all(isinstance(effect, Refused) for effect in said):
        return group, said
    return last, (*effects, *said)


def _straight(group: Group, by: Member, event: GroupEvent, now: float) -> Step | None:
    """Handles events that count only when they come directly from their author; returns None for all other events."""
    match event:
        case HostProfile():
            return members.host_named(group, by, event)
        case LinkAccepted():
            return members.accepted(group, by, event)
        case MemberIntroduced():
            return links.introduced(group, by, event, now)
        case LinkOfMember():
            return links.link_came(group, by, event, now)
        case DirectInvitation():
            return content.offered(group, by, event)
        case LinkForMember() if by.introducer == group.own.id:
            return group, (HandOn(by.id, event),)
        case MembersConnected(other):
            # A connection between two other members matters only to the host that let one of them in.
            pair = (by, group.members.get(other))
            ours = any(one is not None and one.introducer == group.own.id for one in pair)
            return group, (Reported(by.id, other),) if ours else ()
        case Probe():  # we do not reveal which members are contacts of ours
            return group, ()
    return None


def _said(group: Group, saying: content.Saying, event: GroupEvent) -> Step:
    """Handles events for which the rights of their author count, whether they came directly or were passed on."""
    by = saying.by
    if by.gone and not isinstance(event, Post | Edit | Deletion | Reaction | FileDescribed | FileWithdrawn):
        return group, (Refused(_name(event), "the author is no longer in the group"),)
    match event:
        case Post():
            return content.wrote(group, saying, event)
        case Edit():
            return content.edited(group, saying, event)
        case Deletion():
            return content.took_back(group, saying, event)
        case Reaction():
            return content.reacted(group, saying, event)
        case FileDescribed() | FileWithdrawn():
            return content.file_event(group, saying, event)
        case MemberProfile():
            return members.renamed(group, by, event)
        case MemberAnnounced():
            return members.announced(group, by, event)
        case RoleChanged():
            return members.role_changed(group, by, event)
        case MemberRestricted():
            return members.restricted(group, by, event)
        case MemberRemoved():
            return members.removed(group, by, event)
        case MemberLeft():
            return members.left(group, by)
        case GroupDeleted():
            return members.deleted(group, by)
        case GroupChanged(profile):
            return members.changed(group, by, profile)
        case PreferencesChanged(preferences):
            return members.preferences_changed(group, by, preferences)
        case LinkForMember():
            return group, (Refused("x.grp.mem.inv", "the sender is not a newcomer whom we let in"),)
    return group, (Refused(_name(event), "this is not an event between members of a group"),)


def _name(event: GroupEvent) -> str:
    return type(event).__name__
