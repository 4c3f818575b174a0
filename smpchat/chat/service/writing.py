"""A profile that writes to the contacts it has, and on which an agent can be run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from smpchat.agent.context import Context
from smpchat.agent.store import addresses
from smpchat.chat.errors import InputError
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store import records
from smpchat.chat.store.address import RequestView
from smpchat.chat.store.records import Message
from smpchat.chat.transactions import conversation, requests
from smpchat.chat.transactions.changes import SentChange
from smpchat.chat.transactions.incoming import ChatApplication
from smpchat.crypto import kem as installed_kem
from smpchat.crypto.entropy import Entropy, SystemEntropy
from smpchat.crypto.kem import KEMProvider


class WritingProfile(StoredProfile):
    """A stored profile with what the agent needs: messages are sent and changed, and it can be online.

    Attributes:
        kem: Makes post-quantum keys, where it is available; None where they are not wanted.
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
        application = ChatApplication(self.own_profile, self.now, self.entropy.random)
        self.context = Context(application, self.entropy, self.now, self.kem)

    # -- messages -----------------------------------------------------------------------------------------------------

    def required_message(self, message_id: int) -> Message:
        """One message. Raises `UnknownMessage`."""
        return conversation.message(self._tx, message_id)

    def send(self, who: str, text: str, reply_to: int | None = None) -> Message:
        """Store a message; it is sent as soon as the handshake and the relay let it.

        Args:
            reply_to: Number of a message of this conversation, which the new one answers.
        Raises:
            UnknownContact, UnknownMessage, TextTooLong, InputError: Nothing was stored.
            AgentError: The connection failed.
        """
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            contact = records.contact(tx, who)
            original = None if reply_to is None else conversation.message(tx, reply_to)
            if original is not None and original.contact != contact.alias:
                raise InputError(f"Message {original.id} is of another conversation.", "Answer it there.")
            return conversation.send_text(tx, self.context, contact, text, original)

    def edit(self, message_id: int, text: str) -> SentChange:
        """Give a message of ours another text, here and at the contact's. Raises `InputError`, `AgentError`."""
        with self.database.transaction() as tx:
            return conversation.edit(tx, self.context, message_id, text)

    def retract(self, message_id: int) -> SentChange:
        """Take a message of ours back, here and at the contact's. Raises `InputError`, `AgentError`.

        Apps honour that for 78 hours.
        """
        with self.database.transaction() as tx:
            return conversation.retract(tx, self.context, message_id)

    def retract_all(self, message_ids: Sequence[int]) -> list[SentChange]:
        """Take several messages of ours back: all of them or none. Raises `InputError`, `AgentError`."""
        with self.database.transaction() as tx:
            return conversation.retract_all(tx, self.context, message_ids)

    def forward(self, message_id: int, who: str) -> Message:
        """Pass a message on to a contact. Raises `InputError`, `AgentError` as `send` does; nothing was stored then."""
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            return conversation.forward(tx, self.context, message_id, records.contact(tx, who))

    def react(self, message_id: int, emoji: str, *, add: bool = True) -> SentChange:
        """React to a message with one of eight emoji, or take that back. Raises `InputError`, `AgentError`."""
        with self.database.transaction() as tx:
            return conversation.react(tx, self.context, message_id, emoji, add=add)

    # -- contact requests ---------------------------------------------------------------------------------------------

    def requests(self) -> list[RequestView]:
        """Contact requests that wait for an answer, oldest first."""
        return [requests.view(self._tx, request) for request in addresses.requests(self._tx)]

    def unshown_requests(self) -> list[RequestView]:
        """Contact requests that no `listen` or `chat` has shown."""
        return [requests.view(self._tx, request) for request in addresses.unshown_requests(self._tx)]
