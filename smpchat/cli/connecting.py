"""What `invite`, `connect`, `accept` and `address` have in common: they wait for a connection, and tell the user why
it failed, or why people elsewhere cannot use it."""

from __future__ import annotations

import contextlib
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from smpchat.agent.machines.handshake_states import Failure
from smpchat.chat.online.embedded import EmbeddedRelay
from smpchat.chat.online.patience import RelayDown, not_in_time
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store import events
from smpchat.chat.store.records import Contact
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus, status_of
from smpchat.cli.text import happened_and_advice, shortened
from smpchat.encoding.record import replace
from smpchat.transport.base import OwnRelayFolderRefused, TransportError

if TYPE_CHECKING:
    from smpchat.cli.steps import StepView


class Feed:
    """Shows the events of one connection in a `StepView`, and knows the state that the connection has reached."""

    def __init__(self, service: ChatService, view: StepView, connection: int, after: int) -> None:
        self._service, self._view = service, view
        self._connection, self._after = connection, after
        self.state: events.StateChanged | None = None

    def look(self, *, unnamed: bool = False) -> events.StateChanged | None:
        """Show new events, and return the current state; None if nothing is known about the connection yet.

        A contact whose short link was not read yet has no name, and is not shown unless ``unnamed`` is given.
        """
        contact = self._service.contact_of(self._connection)
        if contact is not None and contact.provisional and not unnamed:
            if not self._service.is_link_read(self._connection):
                return None
        for number, event in self._service.events_after(self._after):
            self._after = number
            if isinstance(event, events.StateChanged) and event.connection == self._connection:
                self.state = replace(event, alias=contact.alias) if contact is not None else event
                self._view.observe(self.state)
        self._view.tick()
        return self.state


@contextlib.contextmanager
def interrupted(message: str, hint: Callable[[], str]) -> Iterator[None]:
    """If Ctrl-C is pressed while the ``with`` block waits, end the command with ``message`` and the result of
    ``hint``."""
    try:
        yield
    except CancelledError:  # raised by asyncio.run after Ctrl-C
        raise CommandFailed(ExitStatus.INTERRUPTED, message, hint()) from None


def gap(environment: Environment) -> str:
    """What to print before and after the steps of a connection: a line break if steps are drawn, otherwise nothing."""
    return "\n" if environment.redraws else ""


def unreachable(down: RelayDown | None, kept: str = "") -> CommandFailed:
    """The error for a command that needed a relay, and could not use it in time: what happened, and what to do about
    it.

    Args:
        kept: A sentence that says what is saved, and how the user can continue.
    """
    down = down or not_in_time()
    return CommandFailed(status_of(down.kind), str(down), f"{down.hint} {kept}".rstrip())


def failed(state: events.StateChanged, hint: str) -> CommandFailed:
    """The error for a command that waited for a connection whose handshake failed: what happened, and what to do."""
    happened, advice = happened_and_advice(state.reason or "The connection failed.")
    status = ExitStatus.VERIFICATION if state.failure == Failure.LINK_DATA else ExitStatus.REFUSED
    return CommandFailed(status, happened, advice or hint)


async def start_relay(relay: EmbeddedRelay) -> None:
    """Start the embedded relay. Raises `CommandFailed`."""
    try:
        await relay.start()
    except OwnRelayFolderRefused as error:
        from smpchat.relay.errors import RelayFolderRefused

        raise CommandFailed(ExitStatus.INPUT, str(error), RelayFolderRefused.hint) from error
    except TransportError as error:
        raise CommandFailed(
            ExitStatus.NETWORK,
            str(error),
            "Start the relay with `smpchat relay start`, or choose another relay: `smpchat server use simplex`.",
        ) from error


def tell_own_name(environment: Environment, service: ChatService, connection: int) -> None:
    """If the user has not chosen a name, say which one other people will see.

    The user is told this when the first link is made or used. If the name is the user's login name and standard
    output is a terminal, they are told again with every later link.

    Args:
        connection: The connection whose link was just made or used.
    """
    unchosen = service.unchosen_name(connection)
    if unchosen is None or not (unchosen.is_first or (unchosen.is_login and environment.attended)):
        return
    which = ", your login name" if unchosen.is_login else ""
    name = shortened(unchosen.name)
    environment.notice(f"Your contacts will see you as {name}{which}. To change this name: `smpchat profile set NAME`.")


def warn_if_no_answer(environment: Environment, service: ChatService, contact: Contact) -> None:
    """Warn the user if a contact's answers would go to a relay that can be reached only from this computer, and the
    contact's own relay is elsewhere."""
    if service.answers_stay_here(contact.connection_id):
        name = shortened(contact.alias)
        environment.notice(
            f"{name} can answer only from this computer, because your own relay runs here. If {name} is elsewhere,"
            f" choose a relay that both of you can reach: `smpchat server use simplex`. Then delete {name} and connect"
            " again. A one-time link works only once, so you need a new one."
        )


def warn_if_local(environment: Environment, service: ChatService, connection: int, what: str) -> None:
    """Warn the user if a link for others leads to a relay on this computer: only people on this computer can use such a
    link. ``what``: a word for the link."""
    if service.is_local(connection):
        environment.notice(
            f"Only people on this computer can use this {what}, because its relay runs here. To connect with"
            " people elsewhere: `smpchat server use simplex`."
        )
