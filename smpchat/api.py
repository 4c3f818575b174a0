"""smpchat as a library: a profile that is online while a program runs. An echo bot::

    import asyncio

    from smpchat import Client


    async def main() -> None:
        async with Client(profile="echo") as client:
            invitation = await client.invite()
            print(invitation.link, flush=True)
            async for message in client.messages():
                await client.send(message.contact, message.text, reply_to=message.id)


    if __name__ == "__main__":
        asyncio.run(main())

The library and the command line use the same profiles: ``smpchat -p echo history bob`` shows what this bot said. Your
program and ``smpchat chat`` can use a profile at the same time. If something fails, a method raises a `TimeoutError`,
or a `ChatError` or `AgentError` with a sentence and a ``hint`` that says what to do. A mistake in your program raises a
`ValueError` or `RuntimeError`. Every method raises `InputError` for a string with a lone surrogate.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from smpchat.agent.errors import AgentError
from smpchat.agent.machines.handshake_states import ConnectionState, Variant
from smpchat.agent.online.changes import Changes
from smpchat.api_events import Event, MessageChanged, MessageReceived, RequestReceived, check_not_failed
from smpchat.api_files import WaitFor
from smpchat.api_groups import GroupCalls
from smpchat.api_texts import checks_texts
from smpchat.chat.errors import ChatError, DeliveryFailed, RelayUnavailable
from smpchat.chat.online.embedded import EmbeddedRelay
from smpchat.chat.online.patience import RELAY_TIMEOUT, Patience, RelayDown, not_in_time
from smpchat.chat.online.presence import online
from smpchat.chat.online.wait import Wait
from smpchat.chat.online.waiting import settle, until, until_ready
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.listening import Listener
from smpchat.chat.service.reading import DEFAULT_PROFILE, no_passphrase
from smpchat.chat.service.views import ContactView, GroupLinkView, GroupView, Invitation, MemberView
from smpchat.chat.store.address import AddressView, RequestView
from smpchat.chat.store.events import ContactChanged, FileChanged, Notice, StateChanged, StatusChanged
from smpchat.chat.store.records import Contact, Message, MessageStatus
from smpchat.chat.transactions.changes import SentChange
from smpchat.chat.wire.bots import BotCommand
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import replace
from smpchat.home import Home
from smpchat.transport.base import TransportError

__all__ = [
    "AddressView",
    "AgentError",
    "BotCommand",
    "ChatError",
    "Client",
    "ContactChanged",
    "ContactView",
    "Event",
    "FileChanged",
    "GroupLinkView",
    "GroupView",
    "Invitation",
    "MemberView",
    "Message",
    "MessageChanged",
    "MessageReceived",
    "Notice",
    "RequestReceived",
    "RequestView",
    "StateChanged",
    "StatusChanged",
    "Variant",
    "Wait",
]

T = TypeVar("T")
Fate = tuple[MessageStatus, str | None]
"""The status of a message or change of ours, and the reason if it failed."""


@checks_texts
class Client(GroupCalls):
    """A profile that is online inside an ``async with`` block.

    The same task must enter and leave the block; inside it, any task of the same event loop may call the methods.

    Args:
        profile: Name of the profile, which is created at its first use.
        home: Folder of all profiles; None: the folder that the command line uses.
        relay: The relay for new links if the profile has no relay configured; None: the embedded relay, which is
            started on demand in a process of its own.
        passphrase: Passphrase of the profile, if it is encrypted (`smpchat key set`).
    """

    def __init__(
        self,
        profile: str = DEFAULT_PROFILE,
        home: Path | str | None = None,
        *,
        relay: EmbeddedRelay | None = None,
        passphrase: str | None = None,
    ) -> None:
        self._profile = profile
        self._home = Home.default() if home is None else Home(Path(home).absolute())
        self._relay = relay or self._home.relay()
        self._passphrase = no_passphrase if passphrase is None else lambda: passphrase
        self._stack = AsyncExitStack()
        self._opened: ChatService | None = None
        self._listener: Listener | None = None
        self._after = 0

    async def __aenter__(self) -> Self:
        """Go online. Raises `ChatError` or `AgentError` if the profile's name, store or passphrase cannot be used."""
        service = self._home.open(self._profile, passphrase=self._passphrase)
        self._stack.callback(service.close)
        self._opened, self._after = service, service.last_event()
        self._listener = Listener(service, self._after)
        await self._stack.enter_async_context(online(service, self._relay))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Go offline. Messages that are not sent yet are sent when the profile is online again."""
        service, self._opened = self._service, None
        service.database.changed()  # wakes loops over `messages` and `events`, so that they end with an error
        try:
            await self._stack.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            if len(group.exceptions) != 1:
                raise
            if group.exceptions[0] is not error:
                raise group.exceptions[0] from None

    @property
    def _listening(self) -> Listener:
        if self._opened is None or self._listener is None:
            raise RuntimeError("the client is not online: use it inside `async with`")
        return self._listener

    @property
    def _service(self) -> ChatService:
        if self._opened is None:
            raise RuntimeError("the client is not online: use it inside `async with`")
        return self._opened

    # -- connections --------------------------------------------------------------------------------------------------

    async def invite(
        self,
        note: str | None = None,
        *,
        variant: Variant = Variant.INSTANT,
        server: str | None = None,
        timeout: float = RELAY_TIMEOUT,
        incognito: bool = False,
    ) -> Invitation:
        """Make a one-time link.

        Args:
            note: Alias for the person who uses the link; None: the name that this person chose, made unique.
            server: Address of the relay for this link only; None: a configured relay, otherwise the embedded relay.
            timeout: Seconds in which the relay must answer.
            incognito: Use a made-up name for this contact instead of our own.
        Raises:
            InputError: The note cannot be an alias, or is in use; or ``server`` is not the address of a relay.
            RelayUnavailable: The relay was not reached in time. No link was made, and nothing is stored.
        """
        service = self._service
        if server is None:
            await self._start_relay()
        connection = service.invite(note, variant, server=server, incognito=incognito)

        def link() -> Invitation | None:
            invitation = service.invitation(connection)
            return invitation if invitation is not None and invitation.link else None

        try:
            return await self._until(link, timeout, connection)
        except RelayUnavailable:
            service.delete(str(connection))
            raise

    async def _start_relay(self) -> None:
        if any(entry.preferred for entry in self._service.servers()):
            return
        try:
            await self._relay.start()
        except TransportError as error:
            raise RelayUnavailable(str(error), "Start the relay with `smpchat relay start`.") from error

    async def connect(
        self,
        link: str,
        alias: str | None = None,
        texts: Sequence[str] = (),
        *,
        timeout: float = RELAY_TIMEOUT,
        incognito: bool = False,
    ) -> ContactView:
        """Open a link and write at once: link, alias and texts are saved together before anything is sent.

        Returns:
            The contact, to whom you can write now; `wait_connected` waits until the contact has answered.
        Raises:
            InputError, LinkError, LinkJoinedError, OwnLinkError: An argument cannot be used. Nothing was stored.
            ConnectionFailed: The connection failed for good, for example because the link was already used or deleted.
            RelayUnavailable: No relay was reached within ``timeout`` seconds; the join continues automatically.
        """
        service = self._service
        contact = service.connect(link, alias, texts, incognito=incognito)
        own = [message.id for message in service.history(contact.alias, len(texts))] if texts else []
        return await self._ready(contact, own, timeout)

    async def _ready(self, contact: Contact, own: Sequence[int], seconds: float) -> ContactView:
        """Wait until we can write to a new contact, and until the messages with the numbers ``own`` are sent."""
        service = self._service
        try:
            state = await until_ready(service, contact.connection_id, own, Patience(seconds, chosen=True))
        except RelayDown as error:
            raise error.for_program() from error
        if state is None:
            raise not_in_time().for_program()
        check_not_failed(state)
        # If the link was a short one, the data at its relay may have given the contact another alias meanwhile.
        named = service.contact_of(contact.connection_id) or contact
        return service.contact(named.alias)

    async def wait_connected(self, alias: str, timeout: float | None = None) -> StateChanged:
        """Wait until a contact has connected; ``alias`` may also be the note of an invitation that nobody has used yet.

        Raises:
            UnknownContact: Neither a contact nor an invitation has this name.
            ConnectionFailed: The connection failed for good.
            TimeoutError: The contact has not connected within ``timeout`` seconds.
        """
        service = self._service
        by_note = (i.connection for i in service.invitations() if i.note == alias)
        number = next(by_note, None) or service.contact(alias).contact.connection_id
        async with asyncio.timeout(timeout):
            with Changes(service.database) as changes:
                while True:
                    state = service.state(number or 0)
                    check_not_failed(state)
                    if state.state == ConnectionState.CONNECTED:
                        return state
                    await changes.next()

    async def delete(self, alias: str, *, timeout: float = 5.0) -> bool:
        """Delete a contact with its messages and tell the contact, or cancel an invitation.

        Returns:
            Whether our queue at the relay was deleted within ``timeout`` seconds; if not, it is deleted later.
        Raises:
            UnknownContact: Neither a contact nor an invitation has this name.
        """
        service = self._service
        connection = service.delete(alias)
        return await self._is_forgotten(connection, timeout)

    async def _is_forgotten(self, connection_id: int, seconds: float) -> bool:
        try:
            await self._until(lambda: self._service.is_forgotten(connection_id) or None, seconds, connection_id)
        except RelayUnavailable:
            return False
        return True

    # -- contact address ----------------------------------------------------------------------------------------------

    async def create_address(
        self,
        *,
        auto_accept: bool = False,
        welcome: str = "",
        auto_reply: str = "",
        server: str | None = None,
        timeout: float = RELAY_TIMEOUT,
    ) -> AddressView:
        """Create the profile's contact address: a link that many people can use, each of whom sends a request.

        Args:
            auto_accept: Accept every request at once.
            welcome: Text that people see before they send a request, and again when they are accepted.
            auto_reply: Text of a message that is sent to each person who is accepted.
            server: Address of the relay for this address only; None: a configured relay, otherwise the embedded relay.
            timeout: Seconds in which the relay must answer.
        Returns:
            The address with its links.
        Raises:
            InputError: There already is an address, or ``server`` is not the address of a relay.
            RelayUnavailable: The relay was not reached in time. The link is made as soon as the relay is reached.
        """
        service = self._service
        if server is None:
            await self._start_relay()

        def link() -> AddressView | None:
            address = service.address()
            return address if address is not None and address.link else None

        made = service.create_address(auto_accept=auto_accept, server=server, welcome=welcome, auto_reply=auto_reply)
        return await self._until(link, timeout, made)

    async def delete_address(self, *, timeout: float = 5.0) -> bool:
        """Delete the contact address and the requests that wait; contacts made through it stay.

        Returns:
            Whether our queue at the relay was deleted within ``timeout`` seconds; if not, it is deleted later.
        Raises:
            NoAddress: The profile has no address.
        """
        service = self._service
        connection = service.delete_address()
        return await self._is_forgotten(connection, timeout)

    async def accept(
        self,
        request: int | str,
        alias: str | None = None,
        *,
        timeout: float = RELAY_TIMEOUT,
        incognito: bool = False,
        any_relay: bool = False,
    ) -> ContactView:
        """Accept a request: its sender becomes a contact, and the text of the request becomes the first message.

        Args:
            request: The number of the request, or the name of its sender.
            alias: Alias of the contact; None: it is made from the name in the request.
            any_relay: Connect even if the contact's relay is on this computer or in this computer's network.
        Returns:
            The contact, to whom you can write now; `wait_connected` waits until the contact's app has answered.
        Raises:
            InputError, AgentError: There is no such request, or the alias cannot be used; nothing changed.
            ConnectionFailed: The connection failed for good, for example because the sender has withdrawn the request.
            RelayUnavailable: No relay was reached within ``timeout`` seconds; the answer is sent later.
        """
        contact = self._service.accept(str(request), alias, incognito=incognito, any_relay=any_relay)
        return await self._ready(contact, [], timeout)

    async def _until(self, look: Callable[[], T | None], seconds: float, connection_id: int) -> T:
        """Wait until ``look`` returns a result, and return it. Raises `RelayUnavailable` after ``seconds`` seconds."""
        found = await self._until_or_none(look, seconds, connection_id)
        if found is None:
            raise not_in_time().for_program()
        return found

    async def _until_or_none(self, look: Callable[[], T | None], seconds: float, connection_id: int) -> T | None:
        try:
            return await until(self._service, look, Patience(seconds, chosen=True), connection_id)
        except RelayDown as error:
            raise error.for_program() from error

    # -- messages -----------------------------------------------------------------------------------------------------

    async def send(
        self,
        alias: str,
        text: str,
        *,
        reply_to: int | None = None,
        wait: WaitFor = Wait.SENT,
        timeout: float = RELAY_TIMEOUT,
        anyway: bool = False,
    ) -> Message:
        """Store a message and send it.

        Args:
            reply_to: Number of the message to which the new message is a reply.
            anyway: Send this message and those that are held, although keys of the contact have changed.
            wait: What to wait for: ``sent`` (the relay has it), ``delivered`` (the contact's app has it) or ``none``.
        Returns:
            The message with its status. Even with ``wait="sent"``, the status may be ``pending``: the message then
            waits for the contact's answer in the handshake, or for room in the contact's queue.
        Raises:
            InputError: The message cannot be sent, for example because it is too long. Nothing was stored.
            DeliveryFailed: The message will never arrive.
            TextsHeld: The message is held until you call `verify`, `resync` or `refuse_keys`, or send with ``anyway``.
            RelayUnavailable, TimeoutError: ``timeout`` seconds were not enough; sending continues automatically.
        """
        return await self._sent(self._service.send(alias, text, reply_to, anyway=anyway), Wait(wait), timeout)

    async def forward(
        self, message_id: int, alias: str, *, wait: WaitFor = Wait.SENT, timeout: float = RELAY_TIMEOUT
    ) -> Message:
        """Forward a text or a file of any conversation to a contact; waits and raises as `send` and `send_file` do."""
        if self._service.has_file(message_id):
            return await self._forward_file(message_id, alias, Wait(wait), timeout)
        return await self._sent(self._service.forward(message_id, alias), Wait(wait), timeout)

    async def _sent(self, message: Message, wait: Wait, seconds: float) -> Message:
        service = self._service
        await self._settle(message.contact, lambda: service.fate(message), wait, seconds)
        return service.message(message.id) or replace(message, status=service.fate(message)[0])

    async def edit(self, message_id: int, text: str, *, wait: WaitFor = Wait.SENT, timeout: float = 20.0) -> Message:
        """Edit a message of ours; waits and raises as `send` does, but cannot wait for ``delivered``."""
        return await self._change(lambda service: service.edit(message_id, text), wait, timeout)

    async def retract(self, message_id: int, *, wait: WaitFor = Wait.SENT, timeout: float = 20.0) -> Message:
        """Delete a message of ours for both sides, up to 78 hours after sending; waits and raises as `edit` does."""
        return await self._change(lambda service: service.retract(message_id), wait, timeout)

    async def retract_all(
        self, message_ids: Sequence[int], *, wait: WaitFor = Wait.SENT, timeout: float = 20.0
    ) -> list[Message]:
        """Delete several messages of ours, either all or none; waits and raises as `edit` does."""
        return await self._changes(lambda service: service.retract_all(message_ids), wait, timeout)

    async def react(
        self, message_id: int, emoji: str, *, add: bool = True, wait: WaitFor = Wait.SENT, timeout: float = 20.0
    ) -> Message:
        """React to a message with one of eight emoji, or remove our reaction; waits and raises as `edit` does."""
        return await self._change(lambda service: service.react(message_id, emoji, add=add), wait, timeout)

    async def _change(self, make: Callable[[ChatService], SentChange], wait: WaitFor, seconds: float) -> Message:
        [changed] = await self._changes(lambda service: [make(service)], wait, seconds)
        return changed

    async def _changes(
        self, make: Callable[[ChatService], list[SentChange]], wait: WaitFor, seconds: float
    ) -> list[Message]:
        """Make changes to messages. Returns all changed messages, even those deleted meanwhile."""
        service = self._service
        if Wait(wait) is Wait.DELIVERED:
            raise ValueError("a change is never confirmed as delivered: wait for `sent` or `none`")
        made = make(service)
        left = [change.message or service.required_message(change.message_id) for change in made]
        for change, message in zip(made, left, strict=True):
            await self._settle(message.contact, partial(service.fate_of_change, change.id), Wait(wait), seconds)
        return [service.message(message.id) or message for message in left]

    async def _settle(self, alias: str, progress: Callable[[], Fate], wait: Wait, seconds: float) -> None:
        if wait is Wait.NONE:
            return
        service, patience = self._service, Patience(seconds, chosen=True)
        connection_id = service.contact(alias).contact.connection_id
        if progress()[0] is MessageStatus.PENDING:
            service.check_not_held(alias)
        waited = await settle(
            service, connection_id, lambda: progress()[0], wait, patience, held_is_enough=wait is Wait.SENT
        )
        if waited.status is MessageStatus.FAILED:
            raise DeliveryFailed(progress()[1] or "The message failed.")
        if waited.enough:
            return
        if waited.obstacle is not None and waited.obstacle.kind is not Trouble.FULL_QUEUE:
            raise RelayDown(waited.obstacle, alias).for_program()
        raise TimeoutError(f"the message is {waited.status} after {seconds:g} seconds")

    # -- what happens -------------------------------------------------------------------------------------------------

    async def messages(self) -> AsyncIterator[Message]:
        """Messages of all contacts: those not shown yet, then each new one, even if another process has shown it.

        A message counts as shown once the loop asks for the next one. If the body of the loop crashes, the next loop
        begins with the same message, so no message is ever skipped. Run only one loop over `messages` or `events`: if
        two run, each may miss messages.
        """
        with Changes(self._service.database) as changes:
            while True:
                for message in self._listening.messages():
                    yield message
                    self._listening.done(message)
                await changes.next()

    async def events(self) -> AsyncIterator[Event]:
        """All events since the client went online; also the messages and requests that were not shown before.

        A message or request counts as shown once the loop asks for the next event.
        """
        with Changes(self._service.database) as changes:
            while True:
                service = self._service
                for number, event in service.events_after(self._after):
                    if isinstance(event, StateChanged | StatusChanged | ContactChanged | FileChanged | Notice):
                        yield event
                    self._after = number
                for request in service.unshown_requests():
                    yield RequestReceived(request)
                    service.mark_requests_shown(request.id)
                for message in self._listening.messages():
                    yield MessageReceived(message)
                    self._listening.done(message)
                for message in self._listening.changes():
                    yield MessageChanged(message)
                    self._listening.done(message)
                await changes.next()
