"""Carries out our duties as the host of newcomers: announcing and introducing them, sending them the history, and
passing messages on until two members are connected (`smpchat.chat.machines.group_hosting`).

If one member cannot be written to, no error is raised, so that the others are still served.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import get_args

from smpchat.agent.context import Context
from smpchat.agent.errors import AgentError
from smpchat.agent.store import addresses, connections, owed
from smpchat.agent.transactions import contact_address, sending
from smpchat.agent.wire.envelope import UserMessage
from smpchat.agent.wire.user_data import write_user_json
from smpchat.chat.machines import group_effects as effects
from smpchat.chat.machines import group_hosting as duties
from smpchat.chat.machines.group_effects import Effect, Refused
from smpchat.chat.machines.group_hosting import Hosting
from smpchat.chat.machines.group_inputs import Known
from smpchat.chat.machines.group_states import Group, Link, Member
from smpchat.chat.store import group_hosting, groups, records
from smpchat.chat.transactions.room import room_of
from smpchat.chat.wire.bodies import MAX_JSON, Envelope, new_shared_id, pack_info
from smpchat.chat.wire.group_encoding import batches, encode_group_event, join_batch
from smpchat.chat.wire.group_events import (
    Agreed,
    Forward,
    Forwarded,
    GroupEvent,
    Invitation,
    LinkInvitation,
    MemberIntroduced,
    MemberRemoved,
    Post,
)
from smpchat.chat.wire.group_values import Acceptance, Feature, GroupProfile, MemberId, MemberIdRole
from smpchat.chat.wire.groups import GroupMessage
from smpchat.chat.wire.message import MAX_LINK_INFO
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import Record

log = logging.getLogger("smpchat.chat")

HISTORY = 100
"""How many earlier messages a newcomer gets."""
_BATCHES_SINCE = 5
"""Since this chat version, apps can read several messages in one body. The history is sent in such bodies."""
_WELCOME_SINCE = 6
"""Since this chat version, apps expect that the host sends the welcome text after the history. Older apps show the
welcome text even if the host does not send it."""
_NAME = 16
"""How many characters of the author's name are sent with a passed-on message (group-wire 12, fact 1)."""


class Host(Record):
    """Carries out what `smpchat.chat.machines.group_hosting` decides.

    Attributes:
        profile: Returns the profile that we use in a group.
    """

    context: Context
    profile: Callable[[sqlite3.Connection, int | None], Profile]

    # -- new members ---------------------------------------------------------------------------------------------------

    def invite(self, tx: sqlite3.Connection, group_id: int, group: Group, id: MemberId) -> None:
        """Invites a contact to the group, with ``x.grp.inv``. If we invite the contact again, the invitation contains
        the same link (group-wire 12, fact 10)."""
        invitee, contact_connection = group.members[id], group_hosting.contact_of(tx, group_id, id)
        contact = None if contact_connection is None else records.contact_of(tx, contact_connection)
        connection_id = groups.connection_of(tx, group_id, id)
        link = None if connection_id is None else connections.load(tx, connection_id).link
        if contact is None or link is None:
            log.info("an invitation was not sent: the contact or the link is gone")
            return
        room, own_id = room_of(tx, contact), self.new_id()
        for profile in _smaller(group.profile):
            event = Invitation(
                MemberIdRole(group.own.id, group.own.role),
                MemberIdRole(id, invitee.role),
                link,
                profile,
                size=group.size,
            )
            body = room.pack(encode_group_event(event, own_id))
            if body is not None:
                _submit(tx, self.context, contact.connection_id, body, notify=True)
                return
        log.warning("an invitation does not fit into a message")

    def connection_info(self, tx: sqlite3.Connection, group_id: int, group: Group, newcomer: Member) -> bytes:
        """Our connection info for a newcomer. A contact that we invited gets ``x.ok``. A person who asked to join
        through our link gets the answer, ``x.grp.link.inv``."""
        if newcomer.link is not Link.JOINING:
            return encode_group_event(Agreed())
        info = b""
        for profile in _smaller(group.profile):
            info = encode_group_event(
                LinkInvitation(
                    MemberIdRole(group.own.id, group.own.role),
                    self.profile(tx, group_id).display_name,
                    MemberIdRole(newcomer.id, newcomer.role),
                    profile,
                    # the answer says "accepted" even if moderators still have to decide (group-wire 12, fact 13)
                    Acceptance.ACCEPTED,
                    size=group.size if profile.reviews else group.size + 1,
                )
            )
            packed = pack_info(info)
            if packed is not None:
                return packed
        return info

    def perform(self, tx: sqlite3.Connection, group_id: int, effect: Effect) -> None:
        """Carries out an effect of the group's machine that concerns us as a host."""
        group = groups.load(tx, group_id)
        if group is None:
            return
        match effect:
            case effects.Invite(member):
                self.invite(tx, group_id, group, member)
            case effects.Admit(member, by_link):
                self._admit(tx, group_id, group, member, by_link=by_link)
            case effects.AcceptNewcomer(member, ours):
                self._step(
                    tx,
                    group_id,
                    member,
                    lambda hosting: duties.accept(
                        group,
                        hosting,
                        member,
                        group.members[member].role,
                        group_hosting.profiles(tx, group_id),
                        said=not ours,
                    ),
                )
                self._tell_past(tx, group_id, group, member)
            case effects.HandOn(by, event):
                profiles = group_hosting.profiles(tx, group_id)
                self._step(
                    tx,
                    group_id,
                    by,
                    lambda hosting: duties.link_came(group, hosting, group.members[by], event, profiles),
                )
            case effects.Reported(by, member):
                self._step(tx, group_id, by, lambda hosting: (duties.reported(hosting, by, member), ()))

    def _admit(self, tx: sqlite3.Connection, group_id: int, group: Group, id: MemberId, *, by_link: bool) -> None:
        own, profiles = self.profile(tx, group_id), group_hosting.profiles(tx, group_id)
        self._step(tx, group_id, id, lambda hosting: duties.admit(group, hosting, id, own, profiles, by_link=by_link))
        if not group.members[id].pending:
            self._tell_past(tx, group_id, group, id)

    def _step(
        self, tx: sqlite3.Connection, group_id: int, member: MemberId, step: Callable[[Hosting], duties.Step]
    ) -> None:
        before = group_hosting.load(tx, group_id, member)
        after, found = step(before)
        group_hosting.save(tx, group_id, before, after)
        introductions: list[effects.Send] = []
        for effect in found:
            match effect:
                case effects.Send(MemberIntroduced()):
                    introductions.append(effect)
                case effects.Send():
                    self.send(tx, group_id, effect)
                case Refused(name, why):
                    log.info("group event %s changed nothing: %s", name, why)
        if introductions:
            self._to_newcomer(tx, group_id, member, [send.event for send in introductions])

    # -- history -------------------------------------------------------------------------------------------------------

    def _tell_past(self, tx: sqlite3.Connection, group_id: int, group: Group, id: MemberId) -> None:
        """If the group has history turned on, sends a newcomer the history and then the welcome text (group-wire 6)."""
        newcomer = group.members[id]
        if newcomer.speaks < _BATCHES_SINCE or not group.profile.allows(Feature.HISTORY, newcomer.role):
            return
        past = group_hosting.past(tx, group_id, HISTORY)
        names = {group.own.id: self.profile(tx, group_id).display_name}
        events: list[GroupEvent] = [
            _forward(one.author, one.envelope, one.post, one.at, names.get(one.author) or _name(group, one.author))
            for one in past
        ]
        if group.profile.welcome and newcomer.speaks >= _WELCOME_SINCE:
            events.append(Post({"type": "text", "text": group.profile.welcome}))
        self._to_newcomer(tx, group_id, id, events)

    def _to_newcomer(self, tx: sqlite3.Connection, group_id: int, id: MemberId, events: list[GroupEvent]) -> None:
        """Sends events to a newcomer, as many in one message as fit, and wakes its app (group-wire 12, fact 5)."""
        group = groups.load(tx, group_id)
        if group is None or not events:
            return
        bodies = [encode_group_event(event, self.new_id()) for event in events]
        together = group.members[id].speaks >= _BATCHES_SINCE
        for batch in batches(bodies, MAX_JSON) if together else [[body] for body in bodies]:
            self._tell(tx, group_id, id, join_batch(batch), notify=True)

    # -- passing on ---------------------------------------------------------------------------------------------------

    def pass_on(
        self, tx: sqlite3.Connection, group_id: int, by: MemberId, said: GroupMessage, known: Known, heard: Heard
    ) -> None:
        """Passes on an event that a member sent us directly, to those members to whom its author is not connected yet.

        Args:
            known: What the store knew, before the event arrived, about the messages that the event is about.
        """
        event = said.event
        if heard.envelope is None or said.shared_id is None or not isinstance(event, _FORWARDED):
            return
        if known.seen is not None and known.seen.forwarder is None:  # the same event again
            return
        if heard.found and all(isinstance(effect, Refused) for effect in heard.found):
            return
        hosting, author = group_hosting.load(tx, group_id, by), heard.before.members.get(by)
        if not hosting.pairs or author is None:
            return
        group = groups.load(tx, group_id)
        if group is None:
            return
        forward = _forward(by, heard.envelope, event, heard.at, author.name)
        send = duties.pass_on(group, hosting, author, forward)
        if send is not None:
            self.send(tx, group_id, send)

    def last_words(
        self,
        tx: sqlite3.Connection,
        group_id: int,
        by: MemberId,
        said: GroupMessage,
        envelope: Envelope | None,
        at: float,
    ) -> dict[MemberId, bytes]:
        """Makes the message by which we tell a removed member of the removal. Makes no message if the event removes
        nobody, or if the remover has reported a connection to the removed member (group-wire 12, fact 3).

        This method must be called before the removal is carried out, because the removal ends our connection to the
        member.
        """
        event = said.event
        if envelope is None or not isinstance(event, MemberRemoved):
            return {}
        group = groups.load(tx, group_id)
        author = None if group is None else group.members.get(by)
        if author is None or event.member not in duties.waiting_for(group_hosting.load(tx, group_id, by), by):
            return {}
        return {event.member: encode_group_event(_forward(by, envelope, event, at, author.name), self.new_id())}

    # -- sending ------------------------------------------------------------------------------------------------------

    def send(self, tx: sqlite3.Connection, group_id: int, send: effects.Send) -> None:
        """Sends one event to all its recipients, with the same id."""
        body = encode_group_event(send.event, self.new_id())
        passed_on = isinstance(send.event, Forward)
        for member in (*send.now, *send.later):
            if passed_on and not _takes_more(tx, groups.connection_of(tx, group_id, member)):
                log.info("an event was not passed on to a member, because too many messages wait for this member")
                continue
            self._tell(tx, group_id, member, body, notify=not passed_on)

    def send_last(
        self, tx: sqlite3.Connection, group_id: int, send: effects.Send, leaving: frozenset[MemberId]
    ) -> dict[MemberId, bytes]:
        """Handles an event that ends the connections to the members in ``leaving``: sends it to all other recipients.
        For each connected member in ``leaving``, returns the body with the event; the caller sends it as the last
        message of that connection."""
        own_id = self.new_id()
        body = encode_group_event(send.event, own_id)
        for member in (*send.now, *send.later):
            if member not in leaving:
                self._tell(tx, group_id, member, body, notify=False)
        for member in send.passed_on:
            groups.leave_to_host(tx, group_id, member, body)
        group = groups.load(tx, group_id)
        if group is not None:
            groups.heard(tx, group_id, group.own.id, own_id, None)
        return {member: body for member in send.now if member in leaving}

    def _tell(self, tx: sqlite3.Connection, group_id: int, member: MemberId, body: bytes, *, notify: bool) -> None:
        connection_id = groups.connection_of(tx, group_id, member)
        if connection_id is None:  # no host passes this on: it waits until we are connected
            groups.leave_to_host(tx, group_id, member, body)
        else:
            _submit(tx, self.context, connection_id, body, notify=notify)

    def new_id(self) -> str:
        """An id for a message of ours."""
        return new_shared_id(self.context.entropy.random(12))

    # -- former members ------------------------------------------------------------------------------------------------

    def forget(self, tx: sqlite3.Connection, group_id: int, before: Group, done: tuple[Effect, ...]) -> None:
        """Deletes our unfinished introductions of members who have left the group, and our invitations to them."""
        if not any(isinstance(effect, effects.Disconnect | effects.Forget | effects.Tell) for effect in done):
            return
        group = groups.load(tx, group_id)
        for id, member in before.members.items():
            now = None if group is None else group.members.get(id)
            if not member.gone and (now is None or now.gone):
                group_hosting.forget(tx, group_id, id)

    def over(self, tx: sqlite3.Connection, group_id: int) -> None:
        """Deletes our unfinished introductions, our invitations and our link for a group that we are no longer in."""
        group_hosting.forget_all(tx, group_id)
        self.remove_link(tx, group_id)

    # -- our link -----------------------------------------------------------------------------------------------------

    def remove_link(self, tx: sqlite3.Connection, group_id: int) -> None:
        """Delete our link, if there is one."""
        link = group_hosting.link_of(tx, group_id)
        address = None if link is None else addresses.load(tx, link.connection)
        group_hosting.delete_link(tx, group_id)
        if address is not None:
            contact_address.delete(tx, self.context, address)

    def show(self, tx: sqlite3.Connection, group_id: int, profile: GroupProfile) -> None:
        """Puts the group's current profile into the data of our link."""
        link = group_hosting.link_of(tx, group_id)
        if link is not None:
            address = addresses.load(tx, link.connection)
            contact_address.update_at(tx, self.context, address, packed_group_link(profile))


class Heard(Record):
    """An event that we perhaps have to pass on, and how it arrived.

    Attributes:
        envelope: The complete message that contains the event, as its sender wrote it.
        at: When the relay received the event; POSIX seconds.
        before: The group as it was before the event. If the event is that a member left, the member is still in it.
        found: The effects of the event, as our group machine returned them. An event that was refused is not passed on.
    """

    envelope: Envelope | None
    at: float
    before: Group
    found: tuple[Effect, ...]


def packed_group_link(profile: GroupProfile) -> bytes:
    """The data of a group's short link. The picture and the welcome text are left out if they do not fit, because with
    too much data there would be no short link (agent-wire 2.9).
    """
    found = (write_user_json({"groupProfile": shown.value}) for shown in _smaller(profile))
    return next((info for info in found if len(info) <= MAX_LINK_INFO), b"")


def _takes_more(tx: sqlite3.Connection, connection_id: int | None) -> bool:
    """Whether one more passed-on message may be queued for the member with this connection. The limit is needed because
    the authors of such messages can write any number of them."""
    return connection_id is None or owed.has_room(tx, connection_id)


def _submit(tx: sqlite3.Connection, context: Context, connection_id: int, body: bytes, *, notify: bool) -> None:
    try:
        sending.submit(tx, context, connection_id, UserMessage(body), notify=notify)
    except AgentError as error:
        log.info("a member cannot be written to: %s", type(error).__name__)


def _forward(author: MemberId, message: Envelope, event: Forwarded, at: float, name: str) -> Forward:
    moment = datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Forward(author, message, event, moment, (name if len(name) <= _NAME else name[:_NAME] + "…") or None)


def _name(group: Group, id: MemberId) -> str:
    member = group.members.get(id)
    return "" if member is None else member.name


def _smaller(profile: GroupProfile) -> Iterable[GroupProfile]:
    """Yields the complete profile of a group, then ever smaller versions. The caller uses the first one that fits."""
    yield profile
    for left_out in ({"image"}, {"image", "description"}):
        yield GroupProfile({name: value for name, value in profile.value.items() if name not in left_out})
    # Another owner may have made any field of the profile too long, so the last version contains only the name. The
    # key ``fullName`` stays, with an empty value, because apps do not accept a profile without this key.
    yield GroupProfile({"displayName": profile.name, "fullName": ""})


_FORWARDED = get_args(Forwarded)
