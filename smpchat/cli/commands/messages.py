"""``send``, ``listen`` and ``history``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from smpchat.chat import events
from smpchat.chat.errors import InputError
from smpchat.chat.online import FOLLOW_INTERVAL, online
from smpchat.chat.service import ChatService
from smpchat.chat.store import Message, MessageStatus
from smpchat.cli import views
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.waiting import RELAY_TIMEOUT, RelayDown, flush, until

_ENOUGH = {
    "none": set(MessageStatus),
    "sent": {MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.FAILED},
    "delivered": {MessageStatus.DELIVERED, MessageStatus.FAILED},
}


async def send(environment: Environment, who: str, text: str, wait: str | None, patience: float | None) -> int:
    """Store a message and send it."""
    if wait is not None and wait not in _ENOUGH:
        raise InputError(f"`--wait {wait}` is unknown.", "Choose sent, delivered or none.")
    enough = _ENOUGH[wait or "sent"]
    service = environment.open()
    try:
        message = service.send(who, text)
        views.show_message(environment, message)
        if wait == "none":
            return ExitStatus.OK
        shown = message.status
        down = None

        def look() -> MessageStatus | None:
            nonlocal shown
            current = service.message(message.id)
            if current is None:
                return MessageStatus.FAILED
            if current.status is not shown:
                shown = current.status
                views.show_status(
                    environment, events.StatusChanged(current.id, current.contact, current.status, current.reason)
                )
            return current.status if current.status in enough or (wait is None and held_back()) else None

        def held_back() -> bool:
            """Whether nothing more can be done for it now: the handshake or the peer's full queue holds it."""
            return service.is_idle() and shown is MessageStatus.PENDING

        async with online(service, environment.relay()):
            ended = None
            try:
                ended = await until(service, look, RELAY_TIMEOUT if patience is None else patience)
            except RelayDown as error:
                down = error
            await flush(service)
        if ended is MessageStatus.FAILED:
            current = service.message(message.id)
            reason = (current.reason if current else None) or "The contact was deleted."
            raise CommandFailed(ExitStatus.REFUSED, reason, "`smpchat status` shows the contact's connection.")
        if ended is None and shown is MessageStatus.PENDING and (down or not service.is_idle()):
            because = f": {down}".rstrip(".") if down else ""
            raise CommandFailed(
                ExitStatus.NETWORK,
                f"The relay cannot be reached{because}.",
                "The message is kept, and sent by the next command that goes online.",
            )
        if ended is None:
            raise CommandFailed(
                ExitStatus.TIMEOUT, f"The message is {shown}.", "It goes on by itself; `smpchat history` shows it."
            )
        return ExitStatus.OK
    finally:
        service.close()


def _news(environment: Environment, service: ChatService) -> Iterator[Message | None]:
    """Prints contacts and messages that nobody was shown; yields each message once its line is flushed and noted."""
    for contact in service.unshown_contacts():
        views.show_contact(environment, contact, service.state(contact.connection_id).state)
        service.mark_profile_shown(contact.id)
    for message in service.unshown_messages():
        views.show_message(environment, message)
        service.mark_shown(message.id)  # after the line: a crash repeats it, never skips it
        yield message


async def listen(environment: Environment, patience: float | None, count: int | None) -> int:
    """Print what nobody was shown, then what comes."""
    service = environment.open()
    try:
        after = service.last_event()
        seen = 0
        loop = asyncio.get_running_loop()
        deadline = None if patience is None else loop.time() + patience
        async with online(service, environment.relay()):
            while True:
                for number, event in service.events_after(after):
                    after = number
                    _show_event(environment, event)
                for _ in _news(environment, service):
                    seen += 1
                    if seen == count:
                        break
                if seen == count or (deadline is not None and loop.time() >= deadline):
                    break
                await asyncio.sleep(FOLLOW_INTERVAL)
            await flush(service)
        if count is not None and seen < count:
            raise CommandFailed(
                ExitStatus.TIMEOUT, f"{seen} of {count} messages came.", "Listen longer, or without --timeout."
            )
        return ExitStatus.OK
    finally:
        service.close()


def _show_event(environment: Environment, event: events.ChatEvent) -> None:
    match event:
        case events.StateChanged():
            views.show_state(environment, event)
        case events.StatusChanged():
            views.show_status(environment, event)
        case events.Notice():
            views.show_notice(environment, event)
        case events.ContactChanged() | events.MessageAdded():
            pass  # printed from the store, which knows what was shown before


def history(environment: Environment, who: str, limit: int, search: str | None) -> int:
    """Print the last messages of a conversation."""
    service = environment.open()
    try:
        for message in service.history(who, limit, search):
            views.show_message(environment, message)
        return ExitStatus.OK
    finally:
        service.close()
