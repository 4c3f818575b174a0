"""A profile that writes to existing contacts and can go online."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from smpchat.agent.context import Context
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import addresses
from smpchat.chat.errors import CodeDiffers, InputError
from smpchat.chat.service.files import FileProfile
from smpchat.chat.service.views import ContactView, Verification
from smpchat.chat.store import conditions, memberships, names, records
from smpchat.chat.store.address import RequestView
from smpchat.chat.store.records import Contact, Message
from smpchat.chat.transactions import conversation, holding, requests
from smpchat.chat.transactions.changes import SentChange
from smpchat.chat.transactions.incoming import ChatApplication
from smpchat.crypto import kem as installed_kem
from smpchat.crypto.entropy import Entropy, SystemEntropy
from smpchat.crypto.kem import KEMProvider

_OF_KEYS = (NoticeKind.OUT_OF_STEP, NoticeKind.NEW_KEYS, NoticeKind.KEYS_DOUBTED)


class WritingProfile(FileProfile):
    """A stored profile that can send and change messages and go online, because it has everything that the agent needs.

    Attributes:
        kem: The library for post-quantum keys; None if it is not available or not wanted.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        socks: str | None = None,
        *,
        entropy: Entropy | None = None,
        kem: KEMProvider | Literal["installed"] | None = "installed",
        **store: Any,
    ) -> None:
        super().__init__(folder, name, socks, **store)
        self.entropy: Entropy = SystemEntropy() if entropy is None else entropy
        self.kem: KEMProvider | None = installed_kem if isinstance(kem, str) else kem
        self._application = ChatApplication(self.own_profile, self.now, self.entropy.random)
        self.context = Context(self._application, self.entropy, self.now, self.kem)
        self._application.joins(self.context)

    # -- messages -----------------------------------------------------------------------------------------------------

    def required_message(self, message_id: int) -> Message:
        """One message. Raises `UnknownMessage`."""
        return conversation.message(self._tx, message_id)

    def send(self, who: str, text: str, reply_to: int | None = None, *, anyway: bool = False) -> Message:
        """Store a message; it is sent as soon as the handshake and the relay allow.

        Args:
            reply_to: Number of the message in this conversation to which the new one replies.
            anyway: If messages are held because the contact's keys have changed, send those messages and this one.
        Raises:
            UnknownContact, UnknownMessage, TextTooLong, InputError: Nothing was stored.
            AgentError: The connection failed.
        """
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            contact = records.contact(tx, who)
            if anyway:
                holding.overrule(tx, self.context, contact)
            original = None if reply_to is None else conversation.message(tx, reply_to)
            if original is not None and original.contact != contact.alias:
                raise InputError(f"Message {original.id} is from another conversation.", "Reply to it there.")
            return conversation.send_text(tx, self.context, contact, text, original)

    def edit(self, message_id: int, text: str) -> SentChange:
        """Edit a message of ours, here and in the contact's app. Raises `InputError`, `AgentError`."""
        with self.database.transaction() as tx:
            return conversation.edit(tx, self.context, message_id, text)

    def retract(self, message_id: int) -> SentChange:
        """Delete a message of ours, here and in the contact's app. In a group, our role may also allow us to delete
        another member's message. Raises `InputError`, `AgentError`.

        Apps delete a message only within 78 hours after it was sent.
        """
        with self.database.transaction() as tx:
            return conversation.retract(tx, self.context, message_id)

    def retract_all(self, message_ids: Sequence[int]) -> list[SentChange]:
        """Delete several messages of ours, in the contacts' apps too: all of them or none. Raises `InputError`,
        `AgentError`."""
        with self.database.transaction() as tx:
            return conversation.retract_all(tx, self.context, message_ids)

    def forward(self, message_id: int, who: str) -> Message:
        """Forwards a message to a contact. Raises as `send` does."""
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            return conversation.forward(tx, self.context, message_id, records.contact(tx, who))

    def react(self, message_id: int, emoji: str, *, add: bool = True) -> SentChange:
        """Reacts to a message with one of eight emoji, or removes the reaction. Raises `InputError`, `AgentError`."""
        with self.database.transaction() as tx:
            return conversation.react(tx, self.context, message_id, emoji, add=add)

    # -- changed keys --------------------------------------------------------------------------------------------------

    def verify(self, who: str, code: str | None) -> Verification:
        """Compares the digits of the contact's code with ours. If they agree, the contact counts as verified, and held
        messages are sent.

        The code itself is saved. If the keys change, the saved code is no longer the code of the connection, and the
        contact no longer counts as verified.

        Args:
            code: The code that the contact's app shows; None if the user has compared it with ours, and both are equal.
        Raises:
            UnknownContact: No contact has this alias.
            AgentError: The connection has no keys yet.
            CodeDiffers: The codes differ; the contact now counts as not verified.
        """
        with self.database.transaction() as tx:
            own, contact = self.verification(who), records.contact(tx, who)
            # Only the digits are compared, because other apps may put spaces at other places (agent-wire 4.10).
            equal = code is None or _digits(code) == _digits(own.code)
            records.save_verified_code(tx, contact.id, own.code if equal else None)
            if equal:
                names.confirm(tx, contact.id)
                holding.let_go(tx, self.context, contact)
        if not equal:
            raise CodeDiffers(own.contact)
        return Verification(own.contact, own.code, verified=True)

    def write_anyway(self, who: str) -> ContactView:
        """The user has decided to write to a contact although its keys have changed. Sends the messages that are held
        for this reason; later messages are sent too.

        Raises:
            UnknownContact: No contact has this alias.
        """
        with self.database.transaction() as tx:
            holding.overrule(tx, self.context, records.contact(tx, who))
        return self.contact(who)

    def resync(self, who: str) -> Contact:
        """Renews the encryption with a contact, or agrees to a renewal that the contact asked for. The security code
        changes. Messages written meanwhile wait.

        Raises:
            UnknownContact: No contact has this alias.
            InputError: The contact is a group, and the encryption with all its members works.
            AgentError: The connection is not complete. Or we have already asked the contact to renew the encryption,
                and the contact has not answered. Or the contact's new keys cannot be used.
        """
        with self.database.transaction() as tx:
            contact = records.contact(tx, who)
            from smpchat.agent.transactions import connection as agent  # not needed for sending

            for connection_id in self._to_decide(tx, contact):
                agent.resync(tx, self.context, connection_id)
            return contact

    def refuse_keys(self, who: str) -> Contact:
        """Refuses a contact's new keys, or withdraws our own request for new ones. In both cases, the old keys
        stay in use.

        Raises:
            UnknownContact: No contact has this alias.
            InputError: The contact is a group, and the encryption with all its members works.
            AgentError: The contact has sent no new keys, and we have not asked for any.
        """
        with self.database.transaction() as tx:
            contact = records.contact(tx, who)
            from smpchat.agent.transactions import connection as agent

            for connection_id in self._to_decide(tx, contact):
                agent.refuse_keys(tx, self.context, connection_id)
            return contact

    def _to_decide(self, tx: sqlite3.Connection, contact: Contact) -> list[int]:
        """The connections for which the user is deciding about keys: the contact's connection. For a group, these are
        the connections to members whose encryption has a problem. Raises `InputError`."""
        if not contact.is_group:
            return [contact.connection_id]
        wrong = {connection for connection, kind, *_ in conditions.standing(tx) if kind in _OF_KEYS}
        found = [each for each in memberships.connections_of(tx, contact.connection_id) if each in wrong]
        if not found:
            raise InputError(f"The encryption with every member of {contact.alias} works.", "Nothing was changed.")
        return found

    # -- groups -------------------------------------------------------------------------------------------------------

    def tend_groups(self) -> float | None:
        """Starts connections to group members. In each minute, only a limited number of connections is started; the
        other members wait. Returns the seconds until more connections can be started; None if no member waits."""
        left = None
        for group_id, minute in memberships.waiting(self._tx):
            from smpchat.chat.machines.group_inputs import Tick  # members wait only in large groups
            from smpchat.chat.machines.group_states import MINUTE

            now = self.now()
            if minute <= now < minute + MINUTE:  # a new minute also begins if the clock was set back
                left = min(filter(None, (left, minute + MINUTE - now)))
                continue
            with self.database.transaction() as tx:
                self._application.groups.happened(tx, group_id, Tick(now))
            left = min(filter(None, (left, float(MINUTE))))
        return left

    # -- contact requests ---------------------------------------------------------------------------------------------

    def requests(self) -> list[RequestView]:
        """Contact requests that the user has not answered, oldest first."""
        return [requests.view(self._tx, request) for request in addresses.requests(self._tx)]

    def unshown_requests(self) -> list[RequestView]:
        """Contact requests that neither `listen` nor `chat` has shown."""
        return [requests.view(self._tx, request) for request in addresses.unshown_requests(self._tx)]


def _digits(code: str) -> str:
    return "".join(c for c in code if c in "0123456789")
