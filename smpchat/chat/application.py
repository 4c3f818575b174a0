"""What the agent's events mean for contacts and messages, inside the agent's own transactions."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable

from smpchat.agent import handshake
from smpchat.agent.connection import FAILURE_SENTENCES
from smpchat.agent.delivery import Integrity
from smpchat.agent.store.connections import Connection
from smpchat.chat import events, store
from smpchat.chat.contact import alias_from_name
from smpchat.chat.message import (
    ContactDeleted,
    ContactRequest,
    ProfileInfo,
    TextMessage,
    decode_messages,
    encode_profile,
)
from smpchat.chat.profile import Profile
from smpchat.chat.store import Contact, Direction, MessageStatus
from smpchat.encoding.reader import DecodeError

log = logging.getLogger("smpchat.chat")

_INTEGRITY_NOTICES = {
    Integrity.SKIPPED: "Some messages from {alias} before this one were lost.",
    Integrity.BAD_ID: "A message from {alias} came out of order.",
    Integrity.DUPLICATE: "{alias} sent two different messages with the same number.",
    Integrity.BAD_HASH: "The messages from {alias} do not follow each other: one may have been replaced.",
}


class ChatApplication:
    """The chat layer's side of `smpchat.agent.connection.Application`."""

    def __init__(self, own_profile: Callable[[sqlite3.Connection], Profile], now: Callable[[], float]) -> None:
        self._own_profile = own_profile
        self._now = now

    def connection_info(self, tx: sqlite3.Connection, connection_id: int) -> bytes:
        """Our profile as ``x.info``."""
        return encode_profile(self._own_profile(tx))

    def state_changed(self, tx: sqlite3.Connection, connection: Connection) -> None:
        """Publish the step."""
        contact = store.contact_of(tx, connection.id)
        publish(tx, describe_state(connection, contact, self._now()))

    def peer_info_received(self, tx: sqlite3.Connection, connection_id: int, info: bytes) -> None:
        """The peer's profile; on the initiator's side the invitation becomes a contact."""
        profile = _profile_in(info)
        contact = store.contact_of(tx, connection_id)
        if contact is None:
            note = store.invitation_notes(tx).get(connection_id)
            name = note or (profile.display_name if profile else "contact")
            alias = alias_from_name(name, lambda candidate: store.find_contact(tx, candidate) is not None)
            store.insert_contact(tx, connection_id, alias)
            store.delete_invitation(tx, connection_id)
            contact = store.contact(tx, alias)
        if profile is not None:
            self._save_profile(tx, contact, profile)

    def _save_profile(self, tx: sqlite3.Connection, contact: Contact, profile: Profile) -> None:
        store.save_profile(tx, contact.id, profile)
        publish(tx, events.ContactChanged(contact.alias))

    def message_received(
        self, tx: sqlite3.Connection, connection_id: int, body: bytes, sent_at: int, integrity: Integrity
    ) -> bool:
        """Store what the message says. Only texts ask for a receipt; what is unknown is ignored."""
        contact = store.contact_of(tx, connection_id)
        if contact is None:
            return False
        if integrity is not Integrity.OK:
            publish(tx, events.Notice(contact.alias, _INTEGRITY_NOTICES[integrity].format(alias=contact.alias)))
        try:
            received = decode_messages(body)
        except DecodeError as error:
            log.warning("chat message ignored: %s", error)
            return False
        wants_receipt = False
        for event in (message.event for message in received):
            match event:
                case TextMessage(text=text, shared_id=shared_id):
                    message_id = store.insert_message(tx, contact.id, Direction.RECEIVED, text, sent_at, shared_id)
                    publish(tx, events.MessageAdded(message_id))
                    wants_receipt = True
                case ProfileInfo(Profile() as profile) if profile != contact.profile:
                    self._save_profile(tx, contact, profile)
                case ContactDeleted():
                    publish(tx, events.Notice(contact.alias, f"{contact.alias} deleted the contact with you."))
                case _:
                    log.info("chat event ignored: %s", type(event).__name__)
        return wants_receipt

    def message_sent(self, tx: sqlite3.Connection, reference: int) -> None:
        """The relay has the message; a receipt may have come before its answer."""
        message = store.message(tx, reference)
        if message and message.status is MessageStatus.PENDING:
            set_status(tx, reference, MessageStatus.SENT)

    def message_delivered(self, tx: sqlite3.Connection, reference: int) -> None:
        """The receipt came."""
        set_status(tx, reference, MessageStatus.DELIVERED)

    def message_failed(self, tx: sqlite3.Connection, reference: int, reason: str) -> None:
        """The message will never arrive."""
        set_status(tx, reference, MessageStatus.FAILED, reason)

    def notice(self, tx: sqlite3.Connection, connection_id: int, sentence: str) -> None:
        """Tell whoever follows."""
        contact = store.contact_of(tx, connection_id)
        publish(tx, events.Notice(contact.alias if contact else None, sentence))


def publish(tx: sqlite3.Connection, event: events.ChatEvent) -> None:
    """Put an event into the feed."""
    store.publish(tx, *events.to_row(event))


def set_status(tx: sqlite3.Connection, message_id: int, status: MessageStatus, reason: str | None = None) -> None:
    """Save a message's status and tell whoever follows; a message deleted meanwhile is nobody's business."""
    message = store.message(tx, message_id)
    if message is not None and message.status is not status:
        store.set_status(tx, message_id, status, reason)
        publish(tx, events.StatusChanged(message_id, message.contact, status, reason))


def describe_state(connection: Connection, contact: Contact | None, now: float) -> events.StateChanged:
    """A connection's handshake as people and scripts see it."""
    state = connection.state
    undecided = isinstance(state, handshake.Inviting | handshake.Invited)
    reached = handshake.connection_state(state)
    until = now
    if reached is handshake.ConnectionState.CONNECTED and connection.connected_at is not None:
        until = connection.connected_at
    elif reached is handshake.ConnectionState.READY and connection.ready_at is not None:
        until = connection.ready_at
    return events.StateChanged(
        connection=connection.id,
        alias=contact.alias if contact else None,
        role=handshake.role(state),
        variant=None if undecided else state.terms.variant,
        step=handshake.reached_step(state),
        state=reached,
        elapsed_ms=max(0, round((until - connection.created_at) * 1000)),
        reason=FAILURE_SENTENCES[state.reason] if isinstance(state, handshake.Failed) else None,
    )


def _profile_in(info: bytes) -> Profile | None:
    try:
        received = decode_messages(info)
    except DecodeError as error:
        log.warning("connection info ignored: %s", error)
        return None
    said = (message.event for message in received)
    return next((event.profile for event in said if isinstance(event, ProfileInfo | ContactRequest)), None)
