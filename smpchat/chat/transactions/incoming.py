"""Turns the agent's events into changes of contacts and messages, inside the agent's own transactions."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from smpchat.agent.context import Context
from smpchat.agent.errors import EnvelopeRefused
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.delivery import Integrity
from smpchat.agent.machines.handshake_states import Role
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import connections
from smpchat.agent.store.addresses import ReceivedRequest
from smpchat.agent.store.allowances import HOUR
from smpchat.agent.store.connections import Connection
from smpchat.chat.store import (
    address,
    contact_settings,
    events,
    incognito,
    invitations,
    lines,
    memberships,
    names,
    notices,
    profiles,
    records,
)
from smpchat.chat.store import files as message_files
from smpchat.chat.store.feed import describe_state, publish
from smpchat.chat.store.records import Contact, MessageStatus
from smpchat.chat.transactions import (
    conversation,
    fates,
    files,
    hearing,
    naming,
    news,
    preferences,
    requests,
    telling,
)
from smpchat.chat.transactions.room import PQ_SINCE
from smpchat.chat.wire.bodies import CHAT_VERSIONS, MAX_MESSAGES, LeftOut, new_shared_id, pack_info
from smpchat.chat.wire.content import GROUP_INVITATION, in_a_sentence
from smpchat.chat.wire.happenings import Happening
from smpchat.chat.wire.message import (
    ChatEvent,
    ChatMessage,
    ContactDeleted,
    ContactRequest,
    GroupJoined,
    JoinRejected,
    MessageUpdate,
    ProfileInfo,
    Relayed,
    TextMessage,
    decode_contact_request,
    decode_link_info,
    decode_messages,
    encode_profile,
    packed_link_info,
)
from smpchat.chat.wire.preferences import Feature, allowed
from smpchat.chat.wire.profile import Profile
from smpchat.client.trouble import Trouble
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import replace
from smpchat.protocol.version import VersionRange

if TYPE_CHECKING:  # imported where they are used
    from smpchat.chat.transactions.group_conversation import GroupConversation
    from smpchat.chat.transactions.groups import GroupTransactions

log = logging.getLogger("smpchat.chat")

_ENDED_BY_A_MESSAGE = (
    NoticeKind.QUEUE_LOST,
    NoticeKind.NOT_OPENED,
    NoticeKind.NOT_PROCESSED,
    NoticeKind.TOO_MUCH,
    NoticeKind.VERSIONS,
)
MAX_TOLD = 10
"""At most this many lines about a contact's new name or new preferences are shown in one hour. The number is limited,
because each line can ring the bell. The notice `TOO_MANY_AT_ONCE` is shown at most this often in one hour, too."""
TOO_MANY_AT_ONCE = f"{{alias}} sent more than {MAX_MESSAGES} messages at once; the rest were left out."
_INTEGRITY_NOTICES = {
    Integrity.SKIPPED: "Some messages from {alias} before this one were lost.",
    Integrity.BAD_ID: "A message from {alias} came out of order.",
    Integrity.DUPLICATE: "{alias} sent two different messages with the same number.",
    Integrity.BAD_HASH: "A message from {alias} does not match the one before it: one of them may have been replaced.",
}


class ChatApplication:
    """The chat layer's implementation of `smpchat.agent.transactions.connection.Application`."""

    def __init__(
        self,
        own_profile: Callable[[sqlite3.Connection], Profile],
        now: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._own_profile = own_profile
        self._now = now
        self._random = random
        self._context: Context | None = None
        self._groups: GroupTransactions | None = None

    def joins(self, context: Context) -> None:
        """Keeps the agent's context for later calls. ``__init__`` cannot get the context, because this application must
        exist before the context is made."""
        self._context = context

    @property
    def groups(self) -> GroupTransactions:
        """The transactions of groups. The modules for groups are imported on first use, because a profile without
        groups does not need them."""
        if self._groups is None:
            from smpchat.chat.transactions.groups import GroupTransactions

            assert self._context is not None
            self._groups = GroupTransactions(self._context, self.group_conversation)
        return self._groups

    @property
    def group_conversation(self) -> GroupConversation:
        """The conversations of groups."""
        from smpchat.chat.transactions.group_conversation import GroupConversation

        return GroupConversation(self._own_profile, self._now)

    def connection_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        """Our connection info for this connection. A contact gets our profile, as ``x.info``. A member of a group gets
        what `GroupTransactions.connection_info` returns."""
        if memberships.is_members(tx, connection_id):
            info = self.groups.connection_info(tx, connection_id)
            assert info is not None
            return info
        own, contact = self._profile_for(tx, connection_id), records.contact_of(tx, connection_id)
        if contact is not None:
            own = preferences.profile_for(tx, own, contact.id)
            preferences.note_told(tx, contact.id, own)
        compresses = connections.load(tx, connection_id).agent_version >= PQ_SINCE
        return preferences.fitting(own, lambda profile: pack_info(encode_profile(profile), compresses=compresses))

    def _profile_for(self, tx: sqlite3.Connection, connection_id: int) -> Profile:
        return incognito.profile_for(tx, self._own_profile(tx), connection_id)

    def link_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        """Our profile, as data for a short link."""
        return packed_link_info(self._profile_for(tx, connection_id))

    def link_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> None:
        """Saves what the data of a link says: the name in it becomes the contact's alias, unless the user has chosen
        one; the welcome text in it becomes the first message."""
        contact, said = records.contact_of(tx, connection_id), decode_link_info(info)
        if contact is None:
            return
        if said is None:
            self._group_link_read(tx, contact, info)
            return
        name = said.profile.display_name
        records.save_link_name(tx, contact.id, name)
        if said.business:
            records.mark_business(tx, contact.id)
        if said.welcome:
            welcome_id = new_shared_id(self._random(12))
            hearing.add_message(tx, contact, TextMessage(said.welcome, welcome_id), round(self._now()), self._now())
            requests.read_welcome(tx, contact, welcome_id)
        self._name_by_link(tx, contact, name)

    def _group_link_read(self, tx: sqlite3.Connection, contact: Contact, info: bytes) -> None:
        from smpchat.chat.wire.groups import read_group_link

        group = read_group_link(info)
        if group is not None:
            records.save_link_name(tx, contact.id, group.name)
            self._name_by_link(tx, contact, group.name)

    def _name_by_link(self, tx: sqlite3.Connection, contact: Contact, name: str) -> None:
        if contact.provisional:
            alias = naming.free_alias(tx, name, contact.id)
            names.rename(tx, contact.id, alias)
            naming.watch(tx, contact, name, self._now())
            publish(tx, events.ContactChanged(alias))

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        """Publishes how far a connection's handshake is now. For the connection of an address or a group link, nothing
        is published."""
        if states.role(connection.state) is Role.OWNER:
            return
        if memberships.is_members(tx, connection.id):
            if self.groups.state_changed(tx, connection):
                publish(tx, describe_state(connection, records.addressee(tx, connection.id), self._now()))
            return
        contact = records.contact_of(tx, connection.id)
        if contact is None and connection.plain:  # a connection to a member who is no longer in the group
            return
        publish(tx, describe_state(connection, contact, self._now()))

    def peer_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> str | None:
        """Stores the peer's profile. If the peer answers an invitation of ours, the invitation becomes a contact.
        Returns why the peer is refused; None if it is accepted.

        A business answers like the host of a group, because several people there read our messages. A link may belong
        to a business even if the link does not say so.
        """
        said = _decoded(info)
        if connections.is_plain(tx, connection_id) or any(_is_business(message.event) for message in said):
            return self.groups.peer_info(tx, connections.load(tx, connection_id), info)
        # All messages are checked before anything is stored, so that an unsuitable peer leaves no contact behind.
        for message in said:
            unsuitable = _is_unsuitable(message.event)
            if unsuitable is not None:
                return unsuitable
        told = (ProfileInfo, ContactRequest)
        profile = next((m.event.profile for m in said if isinstance(m.event, told)), None)
        contact = records.contact_of(tx, connection_id)
        if contact is None:
            note = invitations.notes(tx).get(connection_id)
            # The user's own note on the invitation comes first, because the name in the peer's profile proves nothing.
            name = note or (profile.display_name if profile else "contact")
            alias = naming.free_alias(tx, name, invited=note is not None)
            records.insert_contact(tx, connection_id, alias, confirmed=note is not None)
            invitations.delete(tx, connection_id)
            contact = records.contact(tx, alias)
        for message in said:
            _note_version(tx, contact, message.versions)
            if isinstance(message.event, Happening):
                hearing.add_line(tx, contact, message.event, self._now())
        if profile is not None:
            _save_profile(tx, contact, profile, self._now())
        return None

    def message_received(
        self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: int, integrity: Integrity
    ) -> bool:
        """Stores what a message contains. Returns whether to send a receipt: only for new messages, calls and
        invitations to groups, and only if the user allows receipts."""
        if integrity is not Integrity.OK:
            self.notice(tx, connection_id, _INTEGRITY_NOTICES[integrity], NoticeKind.MESSAGES_LOST)
        self.mended(tx, connection_id, *_ENDED_BY_A_MESSAGE)
        if memberships.is_members(tx, connection_id):
            wanted = self.groups.message(tx, connection_id, body, sent_at)
            return bool(wanted) and self.gives_receipts(tx, connection_id)
        contact = records.contact_of(tx, connection_id)
        if contact is None:
            return False
        # `any` gets a list: with a generator, it would stop at the first event that wants a receipt, and later events
        # would be lost.
        said = _without_repeats(_decoded(body))
        asked = any([self._receive(tx, contact, message, sent_at) for message in said])
        if any(isinstance(m.event, Happening) and m.event.kind == GROUP_INVITATION for m in said):
            self._invited(tx, contact, body)
        return asked and contact_settings.receipts(tx, contact.id)

    def _invited(self, tx: sqlite3.Connection, contact: Contact, body: bytes) -> None:
        """Handles the invitations to groups that a message contains. The message is decoded a second time, now with the
        types of group events."""
        from smpchat.chat.wire.group_events import Invitation
        from smpchat.chat.wire.groups import decode_group_messages

        for message in decode_group_messages(body):
            if isinstance(message.event, Invitation):
                line = self.groups.invited(tx, contact.id, contact.alias, message.event, message.versions)
                if line is not None:
                    hearing.add_line(tx, contact, Happening(line, GROUP_INVITATION), self._now())
                    publish(tx, events.ContactChanged(contact.alias))

    def _receive(self, tx: sqlite3.Connection, contact: Contact, message: ChatMessage, sent_at: int) -> bool:
        """Stores one event from a contact. Returns whether the contact should get a receipt."""
        _note_version(tx, contact, message.versions)
        match message.event:
            case ProfileInfo(Profile() as profile):
                _save_profile(tx, contact, profile, self._now())
            case ContactDeleted():
                if records.mark_gone(tx, contact.id):
                    self.notice(tx, contact.connection_id, "{alias} removed you.")
                    publish(tx, events.ContactChanged(contact.alias))
            case Happening(kind="group-invitation") as line:
                return line.receipt  # `_invited` handles it
            case LeftOut():
                if notices.lately(tx, contact.id, TOO_MANY_AT_ONCE, self._now() - HOUR) < MAX_TOLD:
                    self.notice(tx, contact.connection_id, TOO_MANY_AT_ONCE)
            case Relayed(author, event, said_at, member):
                author = (member and lines.member_name(tx, contact.id, member)) or author
                # The contact that passes the event on may state a wrong time. A time later than the arrival is not
                # used, because it would keep the message at the end of the conversation.
                moment = sent_at if said_at is None else min(said_at, sent_at)
                hearing.hear(tx, contact, event, moment, self._now(), author)
            case event:
                return hearing.hear(tx, contact, event, sent_at, self._now())
        return False

    def gives_receipts(self, tx: sqlite3.Connection, connection_id: int) -> bool:
        """Whether a contact gets receipts: as set for this contact, otherwise for all contacts, otherwise in the config
        file."""
        contact_id = memberships.contact_number(tx, connection_id)
        return contact_id is not None and contact_settings.receipts(tx, contact_id)

    def message_sent(self, tx: sqlite3.Connection, reference: int) -> None:
        """Notes that the relay has accepted a message. A receipt may have arrived before the relay's answer."""
        fates.progress(tx, reference, MessageStatus.SENT, self._now())

    def message_delivered(self, tx: sqlite3.Connection, reference: int) -> None:
        """Notes that the receipt for a message has arrived."""
        fates.progress(tx, reference, MessageStatus.DELIVERED, self._now())

    def message_failed(self, tx: sqlite3.Connection, reference: int, reason: str) -> None:
        """Notes that a message will never arrive."""
        fates.progress(tx, reference, MessageStatus.FAILED, self._now(), reason)

    def file_uploaded(self, tx: sqlite3.Connection, file_id: int, descriptions: tuple[str, ...]) -> None:
        """Saves the descriptions of an uploaded file; they are sent to the contact later."""
        files.uploaded(tx, file_id, descriptions, self._now() + message_files.KEPT)

    def file_received(self, tx: sqlite3.Connection, file_id: int, path: Path) -> None:
        """Notes that a file was received and saved."""
        files.received(tx, file_id, path)

    def file_failed(self, tx: sqlite3.Connection, file_id: int, trouble: Trouble) -> None:
        """Notes that the transfer of a file has failed."""
        files.failed(tx, file_id, trouble)

    def notice(
        self,
        tx: sqlite3.Connection,
        connection_id: int,
        sentence: str,
        kind: NoticeKind = NoticeKind.INFORMATION,
    ) -> None:
        """Saves and publishes a notice."""
        telling.tell(tx, connection_id, sentence, self._now(), kind)

    def mended(self, tx: sqlite3.Connection, connection_id: int, *kinds: NoticeKind) -> None:
        """Deletes a connection's conditions (stored lasting problems) of these kinds, because the problems have ended.
        The user gets no notice of that."""
        telling.mended(tx, connection_id, *kinds)

    def request_id(self, info: bytes) -> str | None:
        """The id that the sender's app gave a request."""
        try:
            request, _ = decode_contact_request(info)
        except DecodeError as error:
            raise EnvelopeRefused(error.what) from error
        return request.request_id

    def request_received(self, tx: sqlite3.Connection, request: ReceivedRequest) -> None:
        """Publishes an event for a new request."""
        publish(tx, events.RequestReceived(request.id))

    def request_accepted(
        self, tx: sqlite3.Connection, context: Context, connection_id: int, request: ReceivedRequest
    ) -> None:
        """Makes the sender of an accepted request a contact or, if they used a link to a group of ours, a member of the
        group."""
        if memberships.is_link(tx, request.connection_id):
            from smpchat.chat.transactions.group_owning import GroupOwner  # few profiles have such a link

            GroupOwner(self.groups).joined(tx, connection_id, request)
            return
        contact_from_request(tx, context, connection_id, request)


def contact_from_request(
    tx: sqlite3.Connection, context: Context, connection_id: int, request: ReceivedRequest, alias: str | None = None
) -> Contact:
    """Makes the sender of an accepted request a contact. The contact's first message is the text of the request; our
    first messages are the welcome text and automatic reply of our address.

    Args:
        alias: The contact's alias; None: made from the name in the request.
    """
    asked, versions = decode_contact_request(request.info)
    assert asked.profile is not None
    confirmed = alias is not None
    if alias is None:
        alias = naming.free_alias(tx, asked.profile.display_name)
    records.insert_contact(tx, connection_id, alias, confirmed=confirmed)
    contact = records.contact(tx, alias)
    _note_version(tx, contact, versions)
    _save_profile(tx, contact, asked.profile, request.received_at)
    if asked.text:
        moment = request.received_at
        hearing.add_message(tx, contact, TextMessage(asked.text, asked.shared_id), round(moment), moment)
    texts = address.texts(tx)
    if texts.welcome:
        conversation.send_welcome(tx, context, contact, texts.welcome, asked.welcome_id)
    if texts.auto_reply:
        conversation.send_text(tx, context, contact, texts.auto_reply)
    return records.contact(tx, alias)


def _is_business(event: ChatEvent) -> bool:
    return isinstance(event, GroupJoined) and event.business


def _is_unsuitable(event: ChatEvent) -> str | None:
    """Why a peer with this profile cannot be a contact of ours; None if it can.

    If the link did not say that it leads to a group, our messages were meant for one person, so no group may get them.
    """
    match event:
        case GroupJoined(profile):
            return f"This link leads to the group {in_a_sentence(profile.display_name)}, not to a person."
        case JoinRejected(profile, reason):
            because = f" ({in_a_sentence(reason)})" if reason else ""
            return f"The group {in_a_sentence(profile.display_name)} did not accept you{because}."
    return None


def _decoded(body: bytes) -> list[ChatMessage]:
    try:
        said = decode_messages(body)
    except DecodeError as error:
        log.warning("chat message ignored: %s", error)
        return []
    if not said:
        log.info("chat message ignored: it contains only chunks or signed copies")
    return said


def _without_repeats(said: list[ChatMessage]) -> list[ChatMessage]:
    """Leaves out edits of a message that a later edit in the same body would overwrite at once."""
    last = {m.event.shared_id: number for number, m in enumerate(said) if isinstance(m.event, MessageUpdate)}
    return [
        message
        for number, message in enumerate(said)
        if not isinstance(message.event, MessageUpdate) or last[message.event.shared_id] == number
    ]


# -- helpers -----------------------------------------------------------------------------------------------------------


def _save_profile(tx: sqlite3.Connection, contact: Contact, profile: Profile, now: float) -> None:
    """Saves the profile that a contact has sent. If the contact's name or preferences have changed, adds lines about
    that to the conversation."""
    before = preferences.agreement(tx, contact)
    if not profiles.save(tx, contact.id, profile):
        return
    ttl = allowed(profile.preferences, Feature.TIMED_MESSAGES).ttl
    # The contact may have sent its first profile before it knew our preferences, so only a later profile can turn
    # disappearing messages off.
    if contact.profile is not None or ttl is not None:
        preferences.save_ttl(tx, contact.id, ttl)
    naming.watch(tx, contact, profile.display_name, now)
    publish(tx, events.ContactChanged(contact.alias))
    if contact.profile is not None:
        after = preferences.agreement(tx, replace(contact, profile=profile))
        for line in news.about_name(contact.profile, profile) + news.about_preferences(before, after):
            hearing.add_limited_line(tx, contact, line, now, most=MAX_TOLD, too_many=news.TOO_MUCH)


def _note_version(tx: sqlite3.Connection, contact: Contact, versions: VersionRange | None) -> None:
    """Saves the chat version agreed with the contact's app. A message without a version range is from an app that is
    older than such ranges; its version counts as 1."""
    agreed = CHAT_VERSIONS.agree(versions or VersionRange(1, 1))
    if agreed is not None:
        records.raise_chat_version(tx, contact.id, agreed)
