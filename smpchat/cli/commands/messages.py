"""``send``, ``reply``, ``edit``, ``retract``, ``react`` and ``listen``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from smpchat.chat import events
from smpchat.chat.changes import SentChange
from smpchat.chat.errors import InputError
from smpchat.chat.online import FOLLOW_INTERVAL, online
from smpchat.chat.store import MessageStatus
from smpchat.chat.writing import WritingProfile
from smpchat.cli import views
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.handler import MessageHandler
from smpchat.cli.text import sentence
from smpchat.cli.waiting import RELAY_TIMEOUT, Wait, flush, settle


async def send(
    environment: Environment,
    who: str | None,
    text: str,
    wait: str | None,
    patience: float | None,
    reply_to: int | None = None,
) -> int:
    """Store a message and send it; a reply without ``who`` goes where the message that it answers came from."""
    kind = _wait(wait, list(Wait))
    service = environment.open_as(WritingProfile)
    try:
        if who is None:
            assert reply_to is not None
            who = service.required_message(reply_to).contact
        message = service.send(who, text, reply_to)
        views.show_message(environment, message)
        shown = message.status

        def status() -> MessageStatus:
            nonlocal shown
            current = service.message(message.id)
            if current is None:
                return MessageStatus.FAILED
            if current.status is not shown:
                shown = current.status
                changed = events.StatusChanged(current.id, current.contact, current.status, current.reason)
                views.show_status(environment, changed)
            return current.status

        def reason() -> str | None:
            current = service.message(message.id)
            return current.reason if current else None

        await _deliver(environment, service, status, reason, kind, patience, explicit=wait is not None)
        return ExitStatus.OK
    finally:
        service.close()


async def change(
    environment: Environment,
    make: Callable[[WritingProfile], SentChange],
    wait: str | None,
    patience: float | None,
) -> int:
    """Change a message here, and wait until the change is on its way; apps send no receipts for changes."""
    kind = _wait(wait, [Wait.NONE, Wait.SENT])
    service = environment.open_as(WritingProfile)
    try:
        made = make(service)
        views.show_message(environment, service.required_message(made.message_id))

        def status() -> MessageStatus:
            current = service.change(made.id)
            return current.status if current else MessageStatus.FAILED

        def reason() -> str | None:
            current = service.change(made.id)
            return current.reason if current else None

        await _deliver(environment, service, status, reason, kind, patience, explicit=wait is not None)
        return ExitStatus.OK
    finally:
        service.close()


def _wait(text: str | None, known: list[Wait]) -> Wait:
    if text is None:
        return Wait.SENT
    if text not in known:
        raise InputError(f"`--wait {text}` is unknown.", f"Choose one of: {', '.join(known)}.")
    return Wait(text)


async def _deliver(
    environment: Environment,
    service: WritingProfile,
    status: Callable[[], MessageStatus],
    reason: Callable[[], str | None],
    wait: Wait,
    patience: float | None,
    *,
    explicit: bool,
) -> None:
    """Be online until it is as far as asked for. Raises `CommandFailed`."""
    if wait is Wait.NONE:
        return
    seconds = RELAY_TIMEOUT if patience is None else patience
    async with online(service, environment.relay()):
        waited = await settle(service, status, wait, seconds, held_is_enough=not explicit)
    if waited.status is MessageStatus.FAILED:
        because = reason() or "The contact was deleted."
        raise CommandFailed(ExitStatus.REFUSED, because, "`smpchat status` shows the contact's connection.")
    if waited.trouble is not None:
        raise CommandFailed(
            ExitStatus.NETWORK,
            sentence(waited.trouble or "the relay cannot be reached"),
            "The message is kept, and sent by the next command that goes online.",
        )
    if not waited.enough:
        raise CommandFailed(
            ExitStatus.TIMEOUT, f"The message is {waited.status}.", "It goes on by itself; `smpchat history` shows it."
        )


async def _show_news(
    environment: Environment, service: WritingProfile, handler: MessageHandler | None, limit: int | None
) -> int:
    """Print what nobody was shown, but at most ``limit`` new messages; how many those were.

    A message counts as shown once its handler is done with it and its line is flushed: what fails in between, or a
    crash, repeats it, and none is ever skipped.
    """
    for request in service.unshown_requests():
        views.show_request(environment, request)
        service.mark_request_shown(request.id)
    for contact in service.unshown_contacts():
        views.show_view(environment, service.contact(contact.alias))
        service.mark_profile_shown(contact.id)
    shown = 0
    for message in service.unshown_messages():
        if handler is not None:
            now = service.message(message.id)
            if now is None or now.shown:
                continue  # while the handler was busy, another process showed it, or its contact was deleted
            message = now
            await handler.handle(message)
        views.show_message(environment, message)
        service.mark_shown(message.id, message.changes)
        shown += 1
        if shown == limit:
            return shown
    for message in service.unshown_changes():
        views.show_message(environment, message)
        service.mark_shown(message.id, message.changes)
    return shown


async def listen(
    environment: Environment, patience: float | None, count: int | None, command_line: str | None = None
) -> int:
    """Print what nobody was shown, then what comes, each message after a program has handled it if one is given."""
    handler = None if command_line is None else MessageHandler.parse(command_line, environment)
    service = environment.open_as(WritingProfile)
    try:
        after = service.last_event()
        seen = 0
        loop = asyncio.get_running_loop()
        deadline = None if patience is None else loop.time() + patience
        async with AsyncExitStack() as stack:
            if handler is not None:
                stack.enter_context(handler.alone())
            await stack.enter_async_context(online(service, environment.relay()))
            while True:
                for number, event in service.events_after(after):
                    after = number
                    _show_event(environment, event)
                seen += await _show_news(environment, service, handler, None if count is None else count - seen)
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
        case events.ContactChanged() | events.MessageAdded() | events.MessageChanged() | events.RequestReceived():
            pass  # printed from the store, which knows what was shown before
