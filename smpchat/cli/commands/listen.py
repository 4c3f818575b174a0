"""``listen``: prints everything that was not shown yet, then what arrives; with ``--exec``, a program handles each
message."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import typer

from smpchat.cli.arguments import number, seconds
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.running import run

if TYPE_CHECKING:
    from smpchat.chat.service.listening import Listener
    from smpchat.chat.service.writing import WritingProfile
    from smpchat.chat.store import events
    from smpchat.cli.handler import MessageHandler
    from smpchat.cli.notifying import Notifier

app = Program()


@app.command(
    epilog=examples("smpchat --json listen --count 1", "smpchat listen --exec ./bot.sh"),
)
def listen(
    context: typer.Context,
    timeout: float | None = typer.Option(
        None, "--timeout", parser=seconds, metavar="SECONDS", help="Stop after this time (default: no limit)."
    ),
    count: int | None = typer.Option(
        None, "--count", parser=number(1), metavar="N", help="Stop after N messages (default: no limit)."
    ),
    command: str | None = typer.Option(
        None, "--exec", metavar="CMD", help="Run CMD for each message, as explained above."
    ),
    skip_after: int | None = typer.Option(
        None,
        "--skip-after",
        parser=number(1),
        metavar="N",
        help="With --exec: skip a message when CMD has failed on it N times (default: never).",
    ),
) -> None:
    """Stay online and print what arrives.

    With --exec, CMD runs for each message, one at a time. CMD gets the message as a JSON object on its standard input,
    and in the variables SMPCHAT_TYPE, SMPCHAT_CONTACT, SMPCHAT_CONTACT_ID, SMPCHAT_VERIFIED, SMPCHAT_ID and
    SMPCHAT_TEXT; docs/scripting.md lists more. SMPCHAT_ID is the number of the message. To recognise a contact,
    do not use the alias, but SMPCHAT_CONTACT_ID, which never changes and belongs to one contact only.

    If CMD exits with 0, the message counts as read. If CMD fails, `listen` stops with exit code 1, and the next
    `listen` starts with the same message. With --skip-after N, each failure on a message still stops `listen`,
    until the Nth: then `listen` skips this message and goes on. Failures in earlier runs count too. CMD's output is not
    sent: to answer, CMD must run `smpchat send`.
    """
    if skip_after is not None and command is None:
        raise typer.BadParameter("--skip-after needs --exec.")
    run(context, lambda environment: _listen(environment, timeout, count, command, skip_after))


async def _listen(
    environment: Environment,
    patience: float | None,
    count: int | None,
    command_line: str | None = None,
    skip_after: int | None = None,
) -> int:
    """Print everything that was not shown yet, then what arrives. If a program is given, each message is printed after
    the program has handled it."""
    import asyncio

    from smpchat.agent.online.changes import Changes
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush
    from smpchat.chat.service.listening import Listener
    from smpchat.chat.service.relay_watch import RelayWatch
    from smpchat.chat.service.writing import WritingProfile
    from smpchat.cli.handler import MessageHandler
    from smpchat.cli.notifying import Notifier
    from smpchat.cli.views.conditions import show_conditions, show_relay_back

    handler = None if command_line is None else MessageHandler.parse(command_line, environment)
    notifier = Notifier(environment)
    service = environment.open_as(WritingProfile)
    try:
        if handler is not None and environment.is_encrypted() and environment.key.is_a_variable:
            environment.notice(
                "CMD does not get SMPCHAT_KEY. If CMD runs smpchat, use --key-file or --key-command for it."
            )
        # `listen` prints everything that arrives after the event ``after``, even if another process shows it first.
        after = service.last_event()
        seen = 0
        loop = asyncio.get_running_loop()
        deadline = None if patience is None else loop.time() + patience
        async with AsyncExitStack() as stack:
            if handler is not None:
                stack.enter_context(handler.alone())
            listener = Listener(service, after, is_durable=handler is not None)
            await stack.enter_async_context(online(service, environment.relay()))
            changes = stack.enter_context(Changes(service.database))
            # Stored problems with relays are not printed here, because they may be over. `relays` finds out which
            # relays still cannot be reached.
            show_conditions(environment, (c for c in service.conditions() if c.server is None))
            relays = RelayWatch(service)
            while True:
                for number, event in service.events_after(after):
                    after = number
                    _show_event(environment, service, event)
                _show_people(environment, service, notifier)
                left = None if count is None else count - seen
                seen += await _show_messages(environment, listener, handler, left, skip_after, notifier, service)
                notifier.tell(_to_terminal)
                if handler is not None:
                    _show_people(environment, service, notifier)  # a notice may say that a message was skipped
                away, back = relays.look(loop.time())
                show_conditions(environment, away)
                for server in back:
                    show_relay_back(environment, server)
                if seen == count or (deadline is not None and loop.time() >= deadline):
                    break
                ends_in = None if deadline is None else deadline - loop.time()
                waits = [seconds for seconds in (ends_in, relays.next_look(loop.time())) if seconds is not None]
                await changes.next(min(waits, default=None))
            await flush(service)
        if count is not None and seen < count:
            raise CommandFailed(
                ExitStatus.TIMEOUT,
                f"Only {seen} of {count} messages arrived.",
                "Give a longer --timeout, or leave it out.",
            )
        return ExitStatus.OK
    finally:
        service.close()


def _show_people(environment: Environment, service: WritingProfile, notifier: Notifier) -> None:
    """Print requests, notices and contacts that were not shown yet."""
    from smpchat.cli.views.contacts import show_view
    from smpchat.cli.views.links import how_to_answer, show_request
    from smpchat.cli.views.messages import show_stored_notice

    # All requests are marked as shown in one step, and so are all notices and all contacts: to mark 500 new contacts
    # one by one would delay all messages by 500 writes to the disk.
    requests = service.unshown_requests()
    for request in requests:
        show_request(environment, request)
    how_to_answer(environment, requests)
    notifier.asked(requests)
    if requests:
        service.mark_requests_shown(*(request.id for request in requests))
    notices = service.unshown_notices()
    for notice in notices:
        show_stored_notice(environment, notice)
    if notices:
        service.mark_notices_shown(*(notice.id for notice in notices))
    people = service.unshown_contacts()
    for contact in people:
        show_view(environment, service.contact(contact.alias))
    if people:
        service.mark_profiles_shown(*(contact.id for contact in people))


async def _show_messages(
    environment: Environment,
    listener: Listener,
    handler: MessageHandler | None,
    limit: int | None,
    skip_after: int | None,
    notifier: Notifier,
    service: WritingProfile,
) -> int:
    """Print what was not shown yet, but at most ``limit`` new messages. Returns how many new messages were printed.

    A message counts as shown once the handler (if there is one) has succeeded with it, and its printed line is flushed.
    If the handler fails, or smpchat crashes before the message counts as shown, the next `listen` starts with the same
    message. A message is skipped only if the handler has failed on it ``skip_after`` times.
    """
    from smpchat.cli.handler import HandlerFailed
    from smpchat.cli.views.messages import show_heard

    shown = 0
    for message in listener.messages():
        if handler is not None:
            try:
                await handler.handle(message)
            except HandlerFailed as error:
                if not listener.failed(message, skip_after):
                    raise
                environment.notice(str(error))
                continue
        show_heard(environment, message)
        listener.done(message)
        if not service.is_muted(message.contact_id):
            notifier.heard(message)
        shown += 1
        if shown == limit:
            return shown
    for message in listener.changes():
        show_heard(environment, message)
        listener.done(message)
    return shown


def _to_terminal(sequence: str) -> None:
    print(sequence, end="", flush=True)


def _show_event(environment: Environment, service: WritingProfile, event: events.ChatEvent) -> None:
    from smpchat.chat.store import events
    from smpchat.cli.views.connections import show_state
    from smpchat.cli.views.files import how_to_receive, show_file
    from smpchat.cli.views.messages import show_notice, show_status

    match event:
        case events.StateChanged():
            show_state(environment, event)
        case events.StatusChanged():
            show_status(environment, event)
        case events.FileChanged(number):
            changed = service.message(number)
            if changed is None or changed.file is None or changed.file.state != event.state:
                return  # overtaken by a later event
            if event.state == "offered" and not (environment.json or changed.file.reason):
                how_to_receive(environment, changed)  # the file itself is shown with its message
            else:
                show_file(environment, changed)
        case events.Notice(number=None):
            show_notice(environment, event)
        case (
            events.ContactChanged()
            | events.MessageAdded()
            | events.MessageChanged()
            | events.MessageExpired()
            | events.Notice()
            | events.RequestReceived()
        ):
            pass  # what changed is printed from the store, in its latest state
