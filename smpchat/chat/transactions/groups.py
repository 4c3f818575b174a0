"""Handles each event of a group in one transaction: loads the group, steps its state machine, saves the group, and
carries out the effects.

This module handles a group's connections and what is sent through them. A `Conversation` handles the names of the
members, and what users see.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from smpchat.agent.context import Context
from smpchat.agent.errors import AgentError
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake_states import Terms
from smpchat.agent.store import sent_requests
from smpchat.agent.store.connections import Connection
from smpchat.agent.transactions import connection as agent
from smpchat.agent.transactions import requesting, sending
from smpchat.agent.wire.envelope import UserMessage
from smpchat.agent.wire.links import ContactLink, InvitationLink, parse_link
from smpchat.agent.wire.short_links import ShortContact
from smpchat.chat.errors import InputError
from smpchat.chat.machines import group_effects as effects
from smpchat.chat.machines.group_effects import Effect, Refused
from smpchat.chat.machines.group_inputs import (
    Accept,
    Confirmed,
    Connected,
    Heard,
    Input,
    Leave,
    Linked,
    Lost,
    asks,
    is_post,
)
from smpchat.chat.machines.group_links import answered, invited, invited_again
from smpchat.chat.machines.group_sending import deliver, deliver_profile, may_say, to_member, wants_receipts
from smpchat.chat.machines.group_states import Group, Link, Standing
from smpchat.chat.machines.groups import step
from smpchat.chat.store import conditions, groups, incognito
from smpchat.chat.transactions.group_hosting import Heard as AsHeard
from smpchat.chat.transactions.group_hosting import Host
from smpchat.chat.wire.bodies import MAX_JSON, Envelope, new_shared_id
from smpchat.chat.wire.content import in_a_sentence
from smpchat.chat.wire.group_encoding import encode_group_event
from smpchat.chat.wire.group_events import (
    Forward,
    GroupEvent,
    Invitation,
    InvitationAccepted,
    JoinRequest,
    LinkInvitation,
    LinkRejection,
    MemberPresents,
    MemberProfile,
    Post,
)
from smpchat.chat.wire.group_values import MemberId
from smpchat.chat.wire.groups import GroupMessage, decode_with_envelopes
from smpchat.chat.wire.profile import Profile
from smpchat.crypto.errors import CryptoError
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record
from smpchat.protocol.version import VersionRange

log = logging.getLogger("smpchat.chat")

_INSTANT = Terms(sender_securable=True, reply_key=True)
NOBODY: Mapping[MemberId, bytes] = MappingProxyType({})
"""The default of ``last_words``: no member gets a last message before its connection ends."""
Refer = Callable[[MemberId], int]
"""Each member gets a copy of a message. This function returns, for a member, the reference of the copy (see
`memberships.COPIES`)."""


class Conversation(Protocol):
    """What `GroupTransactions` needs from conversations. Each method runs inside the caller's transaction."""

    def profile(self, tx: sqlite3.Connection, group_id: int | None) -> Profile:
        """Our profile in a group. If ``group_id`` is None, the profile for a group that we ask to join."""
        ...

    def begun(self, tx: sqlite3.Connection, group_id: int, connection_id: int) -> None:
        """Called when a new group was stored. ``connection_id``: our connection to the host of the group."""
        ...

    def perform(self, tx: sqlite3.Connection, group_id: int, effect: Effect) -> None:
        """Carries out an effect that concerns messages, lines of the conversation, or profiles. `GroupTransactions`
        handles all other effects."""
        ...


class GroupTransactions(Record):
    """All events of groups, and all actions on them."""

    context: Context
    conversation: Conversation

    @property
    def host(self) -> Host:
        """Our duties as a host, towards newcomers whom we let in."""
        return Host(self.context, self.conversation.profile)

    # -- actions of the user -------------------------------------------------------------------------------------------

    def request(
        self,
        tx: sqlite3.Connection,
        link: ContactLink | ShortContact,
        *,
        held: bool = False,
        profile_for: Callable[[int], Profile] | None = None,
    ) -> int:
        """Asks to join a group, and returns the connection. Raises as `requesting.begin`.

        Args:
            held: Whether the request must wait until the agent gets the event `JoinReleased` for this connection.
            profile_for: Gets the number of the new connection, and returns the profile for the group, perhaps with a
                made-up name; None: the group gets our usual profile.
        """
        connection_id = requesting.begin(tx, self.context, link, held=held, plain=True)
        profile = self.conversation.profile(tx, None) if profile_for is None else profile_for(connection_id)
        asked = JoinRequest(profile, new_shared_id(self.context.entropy.random(16)))
        sent_requests.save_info(tx, connection_id, encode_group_event(asked), None)
        return connection_id

    def invited(
        self,
        tx: sqlite3.Connection,
        inviter_id: int,
        inviter: str,
        invitation: Invitation,
        versions: VersionRange | None,
    ) -> str | None:
        """A contact invites us to a group. Returns the line for the contact's conversation; None if the invitation is
        repeated.

        Args:
            inviter: The alias of the contact who invites us.
        """
        name = in_a_sentence(invitation.profile.name)
        known_as = groups.find(tx, invitation.invited.member, invitation.host.member)
        if known_as is not None:
            before = self._load(tx, known_as)
            after, _ = invited_again(before, invitation)
            groups.save(tx, known_as, before, after)
            return None
        group = invited(invitation, inviter, versions)
        if isinstance(group, Refused):
            log.info("an invitation to a group is refused: %s", group.why)
            what = "channel" if invitation.profile.channel else "group"
            why = "smpchat cannot join channels" if invitation.profile.channel else "it is not valid"
            return f"[invites you to the {what} {name}: {why}]"
        group_id = groups.insert(tx, group, inviter_id)
        # A contact that knows us by a made-up name must not learn our real one from the group (group-wire 2).
        groups.save_incognito(tx, group_id, incognito.name_of_contact(tx, inviter_id))
        groups.forget_old_invitations(tx, inviter_id)
        return f"[invites you to the group {name}; to accept: `smpchat group join {group_id}`]"

    def accept(self, tx: sqlite3.Connection, group_id: int) -> None:
        """Accepts an invitation. Raises `InputError` if the invitation was already answered, `AgentError` if the
        invitation's link cannot be used."""
        if any(isinstance(effect, Refused) for effect in self._happened(tx, group_id, Accept())):
            raise InputError(
                "You have already answered this invitation.", "Ask the person who invited you for a new one."
            )

    def leave(self, tx: sqlite3.Connection, group_id: int) -> None:
        """Leaves a group, or declines an invitation."""
        self._happened(tx, group_id, Leave())

    def say(
        self,
        tx: sqlite3.Connection,
        group_id: int,
        event: GroupEvent,
        scope: MemberId | None = None,
        *,
        shared_id: str | None = None,
        refer: Refer | None = None,
    ) -> str:
        """Sends an event to the group, and returns the event's id. Raises `InputError` if we have no right to send the
        event, or if the event is too long.

        Args:
            shared_id: The id of the event; None: the event gets a new id.
            refer: Gives each member's copy the number by which the agent reports the status of the copy; None: no
                status is needed.
        """
        group = self._load(tx, group_id)
        refusal = may_say(group, event)
        if group.own.standing is Standing.JOINING:
            raise InputError(
                "You are not in this group yet.", "You can write when the person who invited you comes online."
            )
        if refusal is not None:
            raise InputError(refusal, "Ask somebody in the group to invite you.")
        return self._send(tx, group_id, deliver(group, event, scope), shared_id, refer)

    def tell(
        self, tx: sqlite3.Connection, group_id: int, member: MemberId, event: GroupEvent, reference: int | None = None
    ) -> None:
        """Sends an event to one member: now if we are connected to the member, otherwise as soon as we are."""
        for send in to_member(self._load(tx, group_id), member, event):
            if isinstance(send, effects.Send):
                self._send(tx, group_id, send, refer=None if reference is None else lambda _: reference)

    def present(self, tx: sqlite3.Connection, group_id: int, profile: Profile) -> None:
        """Sends the members our current profile."""
        self._send(tx, group_id, deliver_profile(self._load(tx, group_id), profile))

    def load(self, tx: sqlite3.Connection, group_id: int) -> Group:
        """The group with this number. Raises `InputError` if the user has deleted the group."""
        return self._load(tx, group_id)

    # -- events from the agent -----------------------------------------------------------------------------------------

    def connection_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes | None:
        """Our connection info for a member; None if the connection is not a member's."""
        place = groups.of_connection(tx, connection_id)
        if place is None:
            return None
        group, profile = self._load(tx, place.group), self.conversation.profile(tx, place.group)
        member = group.members[place.member]
        if member.standing is Standing.INVITED:
            return self.host.connection_info(tx, place.group, group, member)
        if place.member != group.host:
            return encode_group_event(MemberPresents(group.own.id, profile))
        return encode_group_event(MemberProfile(profile) if group.by_link else InvitationAccepted(group.own.id))

    def peer_info(self, tx: sqlite3.Connection, connection: Connection, info: bytes) -> str | None:
        """Called when a peer has said who it is. It is a member, or the host that answers our request to join.

        Returns:
            Why the peer is refused; None if it is accepted.
        """
        place = groups.of_connection(tx, connection.id)
        for said, _ in _decoded(info):
            if place is None:
                return self._answered(tx, connection.id, said)
            for effect in self._happened(tx, place.group, Confirmed(place.member, said.event)):
                if isinstance(effect, effects.Turn):
                    groups.connect(tx, place.group, place.member, None)
                    return "This is not the group member for whom the link was made."
            return None
        return "The member's app sent nothing that smpchat understands."

    def _answered(self, tx: sqlite3.Connection, connection_id: int, said: GroupMessage) -> str | None:
        match said.event:
            case LinkInvitation() as answer:
                group = answered(answer, said.versions)
                if isinstance(group, Refused):
                    log.info("the answer of a group's host is refused: %s", group.why)
                    return "The member who made the group's link is not allowed to let you in."
                group_id = groups.insert(tx, group)
                groups.connect(tx, group_id, group.host, connection_id)
                self.conversation.begun(tx, group_id, connection_id)
                return None
            case LinkRejection(profile=profile, reason=reason):
                because = f" ({in_a_sentence(reason)})" if reason else ""
                return f"The group {in_a_sentence(profile.name)} did not accept you{because}."
        return "The link does not lead to a group."

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> bool:
        """Called when the state of a connection has changed. Returns whether this connection leads to the host of a
        group."""
        place = groups.of_connection(tx, connection.id)
        if place is None:
            return False
        member = self._load(tx, place.group).members[place.member]
        if isinstance(connection.state, states.Connected):
            self._happened(tx, place.group, Connected(place.member))
        elif isinstance(connection.state, states.Failed):
            self._happened(tx, place.group, Lost(place.member))
        elif member.link is Link.MAKING and connection.link is not None:
            self._happened(tx, place.group, Linked(place.member, connection.link))
        return place.member == groups.host_of(tx, place.group)

    def message(self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: float) -> bool | None:
        """Called when a member has sent a message. Returns whether the member should get a receipt; None if the
        connection is not a member's."""
        place = groups.of_connection(tx, connection_id)
        if place is None:
            return None
        # `any` gets a list: with a generator, it would stop at the first event that wants a receipt, and later events
        # would be lost.
        return any([self._heard(tx, place, said, envelope, sent_at) for said, envelope in _decoded(body)])

    def _heard(
        self, tx: sqlite3.Connection, place: groups.Place, said: GroupMessage, envelope: Envelope | None, sent_at: float
    ) -> bool:
        asked = asks(place.member, said)
        known, before = groups.known(tx, place.group, asked), self._load(tx, place.group)
        heard = Heard(place.member, said, sent_at, self.context.now(), known)
        last_words = self.host.last_words(tx, place.group, place.member, said, envelope, sent_at)
        found = self._happened(tx, place.group, heard, last_words)
        self.host.pass_on(tx, place.group, place.member, said, known, AsHeard(envelope, sent_at, before, found))
        self.host.forget(tx, place.group, before, found)
        passed_on = isinstance(said.event, Forward)
        if asked.event is not None:
            groups.heard(tx, place.group, asked.by, asked.event, place.member if passed_on else None)
        return is_post(said.event) and not passed_on and wants_receipts(self._load(tx, place.group))

    # -- running the machine -------------------------------------------------------------------------------------------

    def _load(self, tx: sqlite3.Connection, group_id: int) -> Group:
        group = groups.load(tx, group_id)
        if group is None:
            raise InputError("You have deleted this group here.", "Ask somebody in it to invite you again.")
        return group

    def happened(self, tx: sqlite3.Connection, group_id: int, event: Input) -> tuple[Effect, ...]:
        """Steps the group's machine, saves the group, and carries out the effects."""
        before = self._load(tx, group_id)
        found = self._happened(tx, group_id, event)
        self.host.forget(tx, group_id, before, found)
        return found

    def _happened(
        self, tx: sqlite3.Connection, group_id: int, event: Input, last_words: Mapping[MemberId, bytes] = NOBODY
    ) -> tuple[Effect, ...]:
        """Like `happened`, but does not call `Host.forget` for members who have left. ``last_words``: the last message
        to each member whose connection ends."""
        before = self._load(tx, group_id)
        after, found = step(before, event)
        leaving = frozenset(id for one in found if isinstance(one, effects.Disconnect) for id in one.members)
        # The connections of these members are looked up now, because the effects may delete the members' records.
        ends = {id: groups.connection_of(tx, group_id, id) for id in leaving}
        # The group is saved before the effects are carried out, because an effect may cause the next event at once.
        groups.save(tx, group_id, before, after)
        farewells = dict(last_words)
        for effect in found:
            if isinstance(effect, effects.Send) and not leaving.isdisjoint(effect.now):
                farewells |= self.host.send_last(tx, group_id, effect, leaving)
            else:
                self._perform(tx, group_id, effect, farewells, ends)
        if before.active and not after.active:
            self.host.over(tx, group_id)
        return found

    def _perform(
        self,
        tx: sqlite3.Connection,
        group_id: int,
        effect: Effect,
        farewells: Mapping[MemberId, bytes],
        ends: Mapping[MemberId, int | None],
    ) -> None:
        match effect:
            case effects.JoinHost(link):
                host = self._load(tx, group_id).host
                self._join(tx, group_id, host, link)
                connection_id = groups.connection_of(tx, group_id, host)
                assert connection_id is not None
                self.conversation.begun(tx, group_id, connection_id)
            case effects.JoinMember(member, link):
                try:
                    self._join(tx, group_id, member, link)
                except (AgentError, CryptoError, DecodeError) as error:
                    log.info("a member's link cannot be used: %s", type(error).__name__)
                    self._happened(tx, group_id, Lost(member))
            case effects.MakeLink(member):
                groups.connect(tx, group_id, member, agent.invite(tx, self.context, _INSTANT, plain=True))
            case effects.Send():
                self._send(tx, group_id, effect)
            case effects.Repeat(member):
                for body in groups.take_left(tx, group_id, member):
                    self._submit(tx, group_id, member, body, notify=False)
            case effects.Disconnect(members):
                for member in members:
                    self._disconnect(tx, group_id, member, ends[member], farewells.get(member))
            case effects.Invite() | effects.Admit() | effects.AcceptNewcomer() | effects.HandOn() | effects.Reported():
                self.host.perform(tx, group_id, effect)
            case Refused(name, why):
                log.info("group event %s changed nothing: %s", name, why)
            # For these effects there is nothing to do: the agent accepts every peer that is not refused, and sends
            # what waits for a connection as soon as the connection is ready.
            case effects.Allow() | effects.Turn() | effects.Release():
                pass
            case _:
                if isinstance(effect, effects.SaveGroup):
                    self.host.show(tx, group_id, effect.profile)
                self.conversation.perform(tx, group_id, effect)

    def _join(self, tx: sqlite3.Connection, group_id: int, member: MemberId, text: str) -> None:
        link = parse_link(text)
        if not isinstance(link, InvitationLink):
            raise DecodeError("the link of a member is not an invitation")
        groups.connect(tx, group_id, member, agent.join(tx, self.context, link, plain=True))

    def _disconnect(
        self, tx: sqlite3.Connection, group_id: int, member: MemberId, connection_id: int | None, farewell: bytes | None
    ) -> None:
        if connection_id is not None:
            groups.connect(tx, group_id, member, None)
            conditions.forget(tx, connection_id)
            agent.delete(tx, self.context, connection_id, farewell)

    # -- sending ------------------------------------------------------------------------------------------------------

    def _send(
        self,
        tx: sqlite3.Connection,
        group_id: int,
        send: effects.Send,
        shared_id: str | None = None,
        refer: Refer | None = None,
    ) -> str:
        """Sends one event to all its recipients, with the same id."""
        shared_id = shared_id or self._new_id()
        body = encode_group_event(send.event, shared_id)
        if len(body) > MAX_JSON:
            raise InputError("The text is too long for one message.", "Send it in parts.")
        notify = isinstance(send.event, Post)
        for member in (*send.now, *send.later):
            reference = None if refer is None else refer(member)
            self._submit(tx, group_id, member, body, notify=notify, reference=reference)
        for member in send.passed_on:
            groups.leave_to_host(tx, group_id, member, body)
        groups.heard(tx, group_id, self._load(tx, group_id).own.id, shared_id, None)
        return shared_id

    def _submit(
        self,
        tx: sqlite3.Connection,
        group_id: int,
        member: MemberId,
        body: bytes,
        *,
        notify: bool,
        reference: int | None = None,
    ) -> None:
        connection_id = groups.connection_of(tx, group_id, member)
        if connection_id is None:  # no connection yet, and no host that could pass the message on
            log.info("a member misses a message: we are not connected, and no host passes it on")
            return
        try:
            sending.submit(tx, self.context, connection_id, UserMessage(body), notify=notify, reference=reference)
        except AgentError as error:  # the other members still get the message
            log.info("a member cannot be written to: %s", type(error).__name__)

    def _new_id(self) -> str:
        return new_shared_id(self.context.entropy.random(12))


def _decoded(body: bytes) -> list[tuple[GroupMessage, Envelope | None]]:
    try:
        return decode_with_envelopes(body)
    except DecodeError as error:
        log.warning("message of a group ignored: %s", error)
        return []
