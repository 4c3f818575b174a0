"""``invite`` and ``connect``."""

from __future__ import annotations

import contextlib
import shlex
import sys
from asyncio import CancelledError
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from smpchat.agent.machines.handshake_states import ConnectionState, Failure, Role, Variant
from smpchat.agent.wire.short_links import ShortContact, ShortInvitation
from smpchat.chat.errors import ChatError
from smpchat.chat.online.presence import online
from smpchat.chat.service.connecting import ChatService, check_link
from smpchat.chat.service.reading import Invitation
from smpchat.chat.store import events
from smpchat.chat.store.records import Contact, MessageStatus
from smpchat.chat.transactions.incoming import business_sentence
from smpchat.cli.clipboard import copy
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.qr import qr_image, show_qr
from smpchat.cli.steps import StepView
from smpchat.cli.streams import argument_text, read_text
from smpchat.cli.text import happened_and_advice, plural, printable, sentence, shortened
from smpchat.cli.views.links import command_for_them, own_alias, show_invitation
from smpchat.cli.views.messages import show_message
from smpchat.cli.waiting import RELAY_TIMEOUT, RelayDown, flush, until
from smpchat.encoding.record import replace
from smpchat.transport.base import TransportError

_FOR_EVER = float("inf")
T = TypeVar("T")


class _Feed:
    """Brings the events of one connection to its view, and tells the state reached."""

    def __init__(self, service: ChatService, view: StepView, connection: int, after: int) -> None:
        self._service, self._view = service, view
        self._connection, self._after = connection, after
        self.state: events.StateChanged | None = None

    def look(self, *, unnamed: bool = False) -> events.StateChanged | None:
        """The state now, once anything is known of the connection; what is new was shown.

        While a contact waits for the name in its short link it is not shown, unless ``unnamed`` ones are.
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
def _interrupted(message: str, hint: Callable[[], str]) -> Iterator[None]:
    """What Ctrl-C means while the block waits."""
    try:
        yield
    except CancelledError:  # by asyncio.run, which leaves the meaning to us
        raise CommandFailed(ExitStatus.INTERRUPTED, message, hint()) from None


def _gap(environment: Environment) -> str:
    """An empty line around the steps, where they are drawn."""
    return "\n" if environment.redraws else ""


def unreachable(error: RelayDown | None, hint: str) -> CommandFailed:
    """What a command ends with if no relay was reached in time."""
    return CommandFailed(ExitStatus.NETWORK, sentence(str(error or "the relay cannot be reached")), hint)


def failed(state: events.StateChanged, hint: str) -> CommandFailed:
    """The sentences of a failed handshake: what happened, and what to do about it."""
    happened, advice = happened_and_advice(state.reason or "The connection failed.")
    status = ExitStatus.VERIFICATION if state.failure == Failure.LINK_DATA else ExitStatus.REFUSED
    return CommandFailed(status, happened, advice or hint)


# -- invite -----------------------------------------------------------------------------------------------------------


async def invite(
    environment: Environment,
    note: str | None,
    server: str | None,
    variant: str,
    wait: bool | None,
    patience: float | None,
    qr: bool | None,
    to_clipboard: bool,
) -> int:
    """Make a link, print it, and perhaps wait until it was used."""
    with contextlib.closing(environment.open()) as service:
        embedded = server is None and not service.servers()
        if embedded:
            await start_relay(environment)
        after = service.last_event()
        connection = service.invite(note, Variant(variant), server=server)
        waiting = environment.attended if wait is None else wait
        inviting = _Inviting(environment, service, connection, Variant(variant), after, embedded=embedded)
        await inviting.run(waiting, patience, qr, to_clipboard)
        return ExitStatus.OK


class _Inviting:
    """One run of `invite`, from the queue at the relay to the end of the waiting."""

    def __init__(
        self,
        environment: Environment,
        service: ChatService,
        connection: int,
        variant: Variant,
        after: int,
        *,
        embedded: bool,
    ) -> None:
        self._environment, self._service = environment, service
        self._connection, self._variant, self._after, self._embedded = connection, variant, after, embedded

    async def run(self, wait: bool, patience: float | None, qr: bool | None, to_clipboard: bool) -> None:
        down, ended = None, None
        invitation: Invitation | None = None
        with _interrupted("Interrupted.", self._how_to_go_on):
            async with online(self._service, self._environment.relay()):
                try:
                    invitation = await until(self._service, self._made, RELAY_TIMEOUT)
                    if invitation is not None:
                        self._show(invitation, qr, to_clipboard)
                        if wait:
                            ended = await self._wait(invitation, _FOR_EVER if patience is None else patience)
                except RelayDown as error:
                    down = error
                await flush(self._service)
        if invitation is None:
            self._service.delete(str(self._connection))
            raise unreachable(down, self._how_to_reach_one())
        if wait:
            self._explain(ended, down)

    def _how_to_reach_one(self) -> str:
        who = "Start it with `smpchat relay start`" if self._embedded else "Only whoever runs that relay can start it"
        return f"{who}; or choose another: `smpchat server use simplex`."

    def _made(self) -> Invitation | None:
        invitation = self._service.invitation(self._connection)
        return invitation if invitation is not None and invitation.link else None

    def _show(self, invitation: Invitation, qr: bool | None, to_clipboard: bool) -> None:
        environment = self._environment
        suggested = own_alias(self._service)  # a screen has no room for both links and a QR code
        show_invitation(environment, invitation, suggested, in_full=not environment.attended)
        if invitation.short_link is None:
            environment.notice(self._why_full())
        if environment.attended if qr is None else qr:
            link = invitation.short_link or invitation.link or ""
            show_qr(environment, link, qr_image(environment, invitation.connection))
        if to_clipboard:
            copy(environment, command_for_them(invitation, suggested), "command for them")
        warn_if_local(environment, self._service, invitation.connection, "link")

    def _why_full(self) -> str:
        if self._variant is not Variant.INSTANT:
            return f"This is the full link: the handshake {self._variant} has no short ones."
        return "This is the full link: its relay has no short ones."

    async def _wait(self, invitation: Invitation, patience: float) -> events.StateChanged | None:
        self._environment.notice(f"Ctrl-C stops waiting; the link stays valid.{_gap(self._environment)}")
        title = shortened(invitation.note) if invitation.note else f"Invitation {self._connection}"
        with StepView(self._environment, title) as view:
            feed = _Feed(self._service, view, self._connection, self._after)

            def ended() -> events.StateChanged | None:
                state = feed.look()
                return state if state is not None and state.is_final else None

            return await until(self._service, ended, patience)

    def _explain(self, ended: events.StateChanged | None, down: RelayDown | None) -> None:
        """What came of the waiting."""
        still_valid = "The invitation stays valid: run `smpchat listen` to go on waiting."
        if ended is None and down is not None:
            raise unreachable(down, still_valid)
        if ended is None:
            raise CommandFailed(ExitStatus.TIMEOUT, "Nobody used the link yet.", still_valid)
        qr_image(self._environment, self._connection).unlink(missing_ok=True)
        if ended.state != ConnectionState.CONNECTED:
            raise failed(ended, "Make a new invitation with `smpchat invite`.")
        alias = ended.alias or ""
        unread = self._service.contact(alias).contact.unread
        came = f" {plural(unread, 'message')} came with it." if unread else ""
        talk = f"Talk: `smpchat chat {shlex.quote(alias)}`"
        self._environment.notice(f"{_gap(self._environment)}Connected with {shortened(alias)}.{came} {talk}")

    def _how_to_go_on(self) -> str:
        number = self._connection
        return (
            "The invitation stays valid. Go on waiting with `smpchat listen`, see its link again with"
            f" `smpchat status`, or cancel it with `smpchat delete {number}`."
        )


async def start_relay(environment: Environment) -> None:
    """Start the embedded relay. Raises `CommandFailed`."""
    try:
        await environment.relay().start()
    except TransportError as error:
        raise CommandFailed(
            ExitStatus.NETWORK,
            str(error),
            "Start it with `smpchat relay start`, or choose another: `smpchat server use simplex`.",
        ) from error


def warn_if_local(environment: Environment, service: ChatService, connection: int, what: str) -> None:
    """Say so if a link that is given away leads to a relay on this computer."""
    if service.is_local(connection):
        environment.notice(
            f"Only this computer can reach the relay of this {what}; to reach others: `smpchat server use simplex`."
        )


# -- connect ----------------------------------------------------------------------------------------------------------


def connect(
    environment: Environment, link: str, alias: str | None, texts: Sequence[str], wait: bool, patience: float
) -> int | Coroutine[Any, Any, int]:
    """Join a link; ends when texts may be sent, or with ``wait`` when the other side has answered.

    On a terminal the alias is asked for if none is given. With a short link that is after it was read, so that the name
    in it can be offered, and before our profile goes out.
    """
    text = read_text() if link == "-" else link
    texts = [argument_text(each) for each in texts]
    checked = check_link(text)  # before anything is made or asked for
    if alias is None and link != "-" and environment.attended and sys.stdin.isatty():
        if isinstance(checked, ShortInvitation | ShortContact):
            return _connect_asking(environment, text, texts, wait, patience)
        with contextlib.closing(environment.open()) as service:
            alias = _ask_alias(None, service.free_alias)
    return _connect(environment, text, alias, texts, wait, patience)


def _ask_alias(offered: str | None, accept: Callable[[str], T]) -> T | None:
    """Ask until an answer is accepted; None at the end of input. An empty line takes what is offered."""
    shown = f" [{offered}]" if offered else ""
    while True:
        print(f"What do you call them?{shown} ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            return None
        try:
            return accept(answer.strip() or offered or "")
        except ChatError as error:
            print(f"{printable(str(error))} {error.hint}", file=sys.stderr)


async def _connect(
    environment: Environment, link: str, alias: str | None, texts: Sequence[str], wait: bool, patience: float
) -> int:
    with contextlib.closing(environment.open()) as service:
        after = service.last_event()
        contact = service.connect(link, alias, texts)
        return await _Joining(environment, service, contact, len(texts), after).run(wait, patience)


def _connect_asking(environment: Environment, link: str, texts: Sequence[str], wait: bool, patience: float) -> int:
    from smpchat.cli.app import run_loop  # two loops: Ctrl-C could not end a question asked inside of one

    with contextlib.closing(environment.open()) as service:
        after = service.last_event()
        contact = service.connect(link, None, texts, hold=True)
        run_loop(_read(environment, service, contact, patience))
        if service.is_held(contact.connection_id):
            contact = _name(environment, service, contact)
        return run_loop(_Joining(environment, service, contact, len(texts), after).run(wait, patience))


_ONCE_MORE = "The join and its texts are kept: run the same command again to go on with them."


async def _read(environment: Environment, service: ChatService, contact: Contact, patience: float) -> int:
    """Read a short link. Raises `CommandFailed` if its relay is not reached in time."""
    down, read = None, service.is_link_read(contact.connection_id)
    if not read:
        with _interrupted("Interrupted.", lambda: _ONCE_MORE):
            async with online(service, environment.relay()):
                try:
                    look = partial(service.is_link_read, contact.connection_id)
                    read = bool(await until(service, lambda: look() or None, patience))
                except RelayDown as error:
                    down = error
    if not read:
        raise unreachable(down, _ONCE_MORE)
    return ExitStatus.OK


def _name(environment: Environment, service: ChatService, contact: Contact) -> Contact:
    """Let the person choose the alias; at the end of input it is the name in the link."""
    contact = service.contact_of(contact.connection_id) or contact
    _introduce(environment, contact)
    if service.state(contact.connection_id).role == Role.INITIATOR:
        environment.notice("They get your request, with your profile, once they have a name.")
    else:
        environment.notice(
            "The link is yours now: nobody else can use it. They get your profile once they have a name."
        )
    offered = contact.alias if contact.link_name is not None else None
    accept = partial(service.name_contact, contact.connection_id)
    try:
        return _ask_alias(offered, accept) or accept(contact.alias)
    except KeyboardInterrupt:
        raise CommandFailed(ExitStatus.INTERRUPTED, "Interrupted.", _ONCE_MORE) from None


def _introduce(environment: Environment, contact: Contact) -> None:
    if contact.link_name is not None:
        environment.notice(f"Whoever made this link calls themselves {shortened(contact.link_name)}.")
    if contact.business:
        environment.notice(business_sentence(shortened(contact.link_name or contact.alias)))


class _Joining:
    """One run of `connect`, from the stored join to the end of the waiting."""

    def __init__(
        self, environment: Environment, service: ChatService, contact: Contact, texts: int, after: int
    ) -> None:
        self._environment, self._service, self._contact, self._after = environment, service, contact, after
        self._unsent = [m.id for m in service.history(contact.alias, max(texts, 1))][-texts:] if texts else []

    async def run(self, wait: bool, patience: float) -> int:
        environment, service, connection = self._environment, self._service, self._contact.connection_id
        reads = not service.is_link_read(connection)
        if self._contact.provisional and not reads:
            self._tell_alias()
        ended, down = None, None
        with _interrupted(
            "Interrupted.", lambda: "The join and its texts are kept: `smpchat listen` goes on with them."
        ):
            async with online(service, environment.relay()):
                with StepView(environment, self._contact.alias) as view:
                    feed = _Feed(service, view, connection, self._after)

                    def look() -> events.StateChanged | None:
                        state = feed.look()
                        return state if state is not None and (state.is_final or self._enough(state, wait)) else None

                    try:
                        ended = await until(service, look, patience)
                    except RelayDown as error:
                        down = error
                    feed.look(unnamed=True)
                if ended is not None:
                    await flush(service)
        if reads:
            self._tell_who()
        messages = [message for message in map(service.message, self._unsent) if message is not None]
        if messages and environment.redraws:
            environment.notice("")
        for message in messages:
            show_message(environment, message)
        reached = ended or feed.state
        if reached is not None and reached.state in (ConnectionState.FAILED, ConnectionState.DELETED):
            raise failed(reached, "Ask for a new link.")
        if ended is not None:
            _what_next(environment, self._contact.alias, ended, "" if messages else _gap(environment))
            return ExitStatus.OK
        if wait and down is None and reached is not None and reached.state == ConnectionState.READY:
            raise CommandFailed(
                ExitStatus.TIMEOUT,
                f"{self._contact.alias} has not answered yet.",
                "They have to come online. You can write already; `smpchat listen` shows the answer.",
            )
        raise unreachable(
            down, "The join and its texts are kept, and tried again by the next command that goes online."
        )

    def _enough(self, state: events.StateChanged, wait: bool) -> bool:
        if state.state not in (ConnectionState.READY, ConnectionState.CONNECTED):
            return False
        if wait:
            return state.state == ConnectionState.CONNECTED
        if state.holds_texts:
            return True
        return all(m is None or m.status is not MessageStatus.PENDING for m in map(self._service.message, self._unsent))

    def _tell_who(self) -> None:
        """The short link was read, unless its relay was not reached: who made it, and what they are called here."""
        provisional = self._contact.provisional
        self._contact = self._service.contact_of(self._contact.connection_id) or self._contact
        if provisional:
            self._tell_alias()
        else:
            _introduce(self._environment, self._contact)

    def _tell_alias(self) -> None:
        self._environment.notice(f"The contact is called {self._contact.alias}; `smpchat rename` changes that.")


def _what_next(environment: Environment, alias: str, state: events.StateChanged, gap: str) -> None:
    """The sentences after a join: *ready* comes first, then what will happen by itself."""
    name = shortened(alias)
    if state.state == ConnectionState.CONNECTED:
        then = f"Connected: you and {name} have each other's profile."
    elif state.holds_texts:
        then = f"Ready: what you write to {name} is kept, and sent as soon as they have answered."
    else:
        then = f"Ready: you can write to {name} now. Their name and answers come once they are online."
    environment.notice(f"{gap}{then} Talk: `smpchat chat {shlex.quote(alias)}`")
