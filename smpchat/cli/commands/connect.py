"""``connect``: opens a link or an address, and waits until the user can write."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from smpchat.agent.errors import UnknownRelay
from smpchat.chat.errors import ChatError
from smpchat.cli import running
from smpchat.cli.arguments import seconds
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.questions import can_ask
from smpchat.cli.streams import argument_text, read_text
from smpchat.cli.text import printable, quoted, shortened

if TYPE_CHECKING:
    from smpchat.chat.online.patience import Patience
    from smpchat.chat.service.connecting import ChatService
    from smpchat.chat.store import events
    from smpchat.chat.store.records import Contact

T = TypeVar("T")
app = Program()
_ONCE_MORE = "Your join and messages are saved; run the same command to continue."


@app.command(epilog=examples("smpchat connect LINK --alias bob -m hello", "xsel | smpchat connect -"))
def connect(
    context: typer.Context,
    link: str = typer.Argument(
        metavar="LINK", help="A one-time link, an address or a group's link (- reads it from standard input)."
    ),
    alias: str | None = typer.Option(
        None,
        "--alias",
        metavar="ALIAS",
        help=(
            "Your name for the contact or group (asked if omitted; without a terminal: the name in the link, or else a"
            " name such as contact_2)."
        ),
    ),
    incognito: bool = typer.Option(
        False, "--incognito", help="Show the person or group a made-up name instead of your profile's."
    ),
    message: list[str] = typer.Option(
        [], "-m", metavar="TEXT", help="A message to send at once (not possible for groups); may be repeated."
    ),
    wait: bool = typer.Option(
        False,
        "--wait/--no-wait",
        show_default=False,
        help="Wait until the other person's app has answered (default: do not wait).",
    ),
    timeout: float | None = typer.Option(
        None,
        "--timeout",
        parser=seconds,
        metavar="SECONDS",
        show_default=False,
        help="How long to wait for the relay, or with --wait for the answer of the other person's app (default: 20).",
    ),
) -> None:
    """Open a link; you can write at once.

    The person who made the link need not be online. When that person comes online, their app answers automatically. If
    LINK is an address or a group's link, the answer may come later, because a person may first have to accept you.
    """
    from smpchat.chat.online.patience import Patience

    patience = Patience.of(timeout)
    running.run(
        context, lambda environment: _connect(environment, link, alias, message, wait, patience, incognito=incognito)
    )


def _connect(
    environment: Environment,
    link: str,
    alias: str | None,
    texts: Sequence[str],
    wait: bool,
    patience: Patience,
    *,
    incognito: bool,
) -> int | Coroutine[Any, Any, int]:
    """Join by a link. The command ends when the user can write, or with ``wait`` when the other person has answered.

    On a terminal, smpchat asks for the alias if none is given, before it sends our profile. The data of a short link is
    read before that question, so that smpchat can suggest the name in the link. If the link leads to a group, smpchat
    says so before it sends anything.
    """
    from smpchat.agent.transactions.requesting import is_group
    from smpchat.agent.wire.links import ContactLink
    from smpchat.agent.wire.pasted import find_link
    from smpchat.agent.wire.short_links import ShortContact, ShortInvitation
    from smpchat.chat.service.given_links import check_link

    text = read_text() if link == "-" else link
    texts = [argument_text(each) for each in texts]
    try:
        checked = check_link(text)  # before anything is stored or asked
    except UnknownRelay:
        if not environment.is_used():
            raise
        checked = find_link(text)  # the profile may know the relay
    asks = alias is None and link != "-" and can_ask(environment)
    if isinstance(checked, ShortContact | ContactLink) and is_group(checked) and not asks:
        if isinstance(checked, ShortContact):
            return _join_held(environment, text, alias, texts, wait, patience, incognito=incognito, asks=False)
        environment.notice("This link leads to a group.")
    if asks:
        if isinstance(checked, ShortInvitation | ShortContact):
            return _join_held(environment, text, None, texts, wait, patience, incognito=incognito, asks=True)
        what = "group" if isinstance(checked, ContactLink) and is_group(checked) else "contact"
        with contextlib.closing(environment.open()) as service:
            alias = _ask_alias(None, service.free_alias, what)
    return _join(environment, text, alias, texts, wait, patience, incognito=incognito)


def _ask_alias(offered: str | None, accept: Callable[[str], T], what: str) -> T | None:
    """Ask for an alias until ``accept`` raises no error for the answer, and return the result of ``accept``; None at
    the end of input.

    An empty line stands for ``offered``.
    """
    shown = f" [{offered}]" if offered else ""
    while True:
        print(f"Your name for this {what}?{shown} ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            return None
        try:
            return accept(answer.strip() or offered or "")
        except ChatError as error:
            print(f"{printable(str(error))} {error.hint}", file=sys.stderr)


async def _join(
    environment: Environment,
    link: str,
    alias: str | None,
    texts: Sequence[str],
    wait: bool,
    patience: Patience,
    *,
    incognito: bool,
) -> int:
    from smpchat.cli.connecting import tell_own_name

    with contextlib.closing(environment.open()) as service:
        after = service.last_event()
        contact = service.connect(link, alias, texts, incognito=incognito)
        if not incognito:
            tell_own_name(environment, service, contact.connection_id)
        return await _Joining(environment, service, contact, len(texts), after).run(wait, patience)


def _join_held(
    environment: Environment,
    link: str,
    alias: str | None,
    texts: Sequence[str],
    wait: bool,
    patience: Patience,
    *,
    incognito: bool,
    asks: bool,
) -> int:
    """Join by a short link, but read the link first, and say where it leads before anything is sent.

    Args:
        asks: Whether the user chooses the alias, after the link was read.
    """
    from smpchat.cli.connecting import tell_own_name

    with contextlib.closing(environment.open()) as service:
        after = service.last_event()
        contact = service.connect(link, alias, texts, hold=True, incognito=incognito)
        # the question for the alias is asked between two event loops, because Ctrl-C could not end the question inside
        # an event loop
        running.run_loop(_read(environment, service, contact, patience))
        if not incognito:
            tell_own_name(environment, service, contact.connection_id)
        if service.is_held(contact.connection_id):
            contact = service.contact_of(contact.connection_id) or contact
            _introduce(environment, service, contact)
            _welcome(environment, service, contact)
            name = _name if asks else _take_name
            contact = name(environment, service, contact)
        return running.run_loop(_Joining(environment, service, contact, len(texts), after).run(wait, patience))


def _take_name(_: Environment, service: ChatService, contact: Contact) -> Contact:
    """Give the contact the alias from the command line; if there is none, the alias made from the name in the link."""
    return service.name_contact(contact.connection_id, contact.alias)


async def _read(environment: Environment, service: ChatService, contact: Contact, patience: Patience) -> int:
    """Read the data of a short link. Raises `CommandFailed` if the link's relay is not reached in time."""
    from smpchat.chat.online.patience import RelayDown
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import until
    from smpchat.cli.connecting import interrupted, unreachable

    down, read = None, service.is_link_read(contact.connection_id)
    if not read:
        with interrupted("Interrupted.", lambda: _ONCE_MORE):
            async with online(service, environment.relay()):
                try:
                    look = partial(service.is_link_read, contact.connection_id)
                    read = bool(await until(service, lambda: look() or None, patience, contact.connection_id))
                except RelayDown as error:
                    down = error
    if not read:
        raise unreachable(down, _ONCE_MORE)
    return ExitStatus.OK


def _name(environment: Environment, service: ChatService, contact: Contact) -> Contact:
    """Let the user choose the alias; if the input ends, keep the alias made from the name in the link."""
    from smpchat.agent.machines.handshake_states import Role

    what = "group" if service.leads_to_group(contact.connection_id) else "contact"
    if service.state(contact.connection_id).role == Role.INITIATOR:
        environment.notice(f"Nothing is sent until you give this {what} a name.")
    else:
        environment.notice("The link is reserved for you. Your profile is sent once you have named this contact.")
    offered = contact.alias if contact.link_name is not None else None
    accept = partial(service.name_contact, contact.connection_id)
    try:
        return _ask_alias(offered, accept, what) or accept(contact.alias)
    except KeyboardInterrupt:
        raise CommandFailed(ExitStatus.INTERRUPTED, "Interrupted.", _ONCE_MORE) from None


def _introduce(environment: Environment, service: ChatService, contact: Contact) -> None:
    from smpchat.cli.views.contacts import business_sentence, looks_like

    if contact.link_name is not None:
        if service.leads_to_group(contact.connection_id):
            environment.notice(f"This link leads to the group {quoted(contact.link_name)}.")
        else:
            environment.notice(f"The person who made this link uses the name {quoted(contact.link_name)}.")
        like = service.contact(contact.alias).looks_like
        if like is not None:
            environment.notice(looks_like(like))
    if contact.business:
        environment.notice(business_sentence(shortened(contact.link_name or contact.alias)))


def _welcome(environment: Environment, service: ChatService, contact: Contact) -> None:
    """Print the welcome text that the link contains, and mark this text as shown."""
    from smpchat.cli.views.messages import show_message

    for message in service.unshown_messages():
        if message.contact == contact.alias:
            show_message(environment, message)
            service.mark_shown(message.id, message.changes)


class _Joining:
    """The second half of `connect`, after the new contact is stored: goes online, and waits until the user can write or
    the contact has answered."""

    def __init__(
        self, environment: Environment, service: ChatService, contact: Contact, texts: int, after: int
    ) -> None:
        from smpchat.chat.store.records import Direction

        self._environment, self._service, self._contact, self._after = environment, service, contact, after
        # Read one message more than ``texts``, because one may be the welcome text that the link contains.
        ours = [m.id for m in service.history(contact.alias, texts + 1) if m.direction is Direction.SENT]
        self._unsent = ours[-texts:] if texts else []

    async def run(self, wait: bool, patience: Patience) -> int:
        from smpchat.agent.machines.handshake_states import ConnectionState
        from smpchat.chat.online.patience import RelayDown
        from smpchat.chat.online.presence import online
        from smpchat.chat.online.waiting import flush, until
        from smpchat.cli.connecting import Feed, failed, gap, interrupted, unreachable, warn_if_no_answer
        from smpchat.cli.steps import StepView
        from smpchat.cli.views.messages import show_message

        environment, service, connection = self._environment, self._service, self._contact.connection_id
        reads = not service.is_link_read(connection)
        if self._contact.provisional and not reads:
            self._tell_alias()
        ended, down = None, None
        with interrupted("Interrupted.", lambda: "Your join and messages are saved; `smpchat listen` continues."):
            async with online(service, environment.relay()):
                with StepView(environment, self._contact.alias) as view:
                    feed = Feed(service, view, connection, self._after)

                    def look() -> events.StateChanged | None:
                        state = feed.look()
                        return state if state is not None and (state.is_final or self._enough(state, wait)) else None

                    try:
                        ended = await until(service, look, patience, connection, receiving=wait)
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
        warn_if_no_answer(environment, service, self._contact)
        if ended is not None:
            _tell_name(environment, service, self._contact.alias)
            if service.leads_to_group(connection):
                _what_next_in_group(environment, service, self._contact.alias, gap(environment))
            else:
                _what_next(environment, self._contact.alias, ended, "" if messages else gap(environment))
            return ExitStatus.OK
        if wait and down is None and reached is not None and reached.state == ConnectionState.READY:
            if service.leads_to_group(connection):
                raise CommandFailed(
                    ExitStatus.TIMEOUT,
                    f"{self._contact.alias} has not let you in yet.",
                    "The member who made the link needs to come online. `smpchat listen` shows when you are in.",
                )
            raise CommandFailed(
                ExitStatus.TIMEOUT,
                f"{self._contact.alias} has not answered yet.",
                "They need to come online. You can write now; `smpchat listen` shows the answer.",
            )
        raise unreachable(down, "Your join and messages are saved; the next command that goes online tries again.")

    def _enough(self, state: events.StateChanged, wait: bool) -> bool:
        from smpchat.agent.machines.handshake_states import ConnectionState
        from smpchat.chat.store.records import MessageStatus

        if state.state not in (ConnectionState.READY, ConnectionState.CONNECTED):
            return False
        if wait:
            return state.state == ConnectionState.CONNECTED
        if state.holds_texts:
            return True
        return all(m is None or m.status is not MessageStatus.PENDING for m in map(self._service.message, self._unsent))

    def _tell_who(self) -> None:
        """After a short link was read: say which alias was made from the name in the link.

        If the user chose the alias, say the name in the link instead.
        """
        provisional = self._contact.provisional
        self._contact = self._service.contact_of(self._contact.connection_id) or self._contact
        if provisional:
            self._tell_alias()
        else:
            _introduce(self._environment, self._service, self._contact)
        _welcome(self._environment, self._service, self._contact)

    def _tell_alias(self) -> None:
        alias = self._contact.alias
        self._environment.notice(
            f"The contact's alias is {alias}. `smpchat rename {shlex.quote(alias)} ALIAS` changes it."
        )


def _tell_name(environment: Environment, service: ChatService, alias: str) -> None:
    """If the contact sees a made-up name instead of ours, print that name."""
    made_up = service.contact(alias).incognito
    if made_up is not None:
        environment.notice(f"{shortened(alias)} sees you as {made_up}.")


def _what_next(environment: Environment, alias: str, state: events.StateChanged, gap: str) -> None:
    """After a join, print what the user can do now, and what happens automatically."""
    from smpchat.agent.machines.handshake_states import ConnectionState

    name = shortened(alias)
    if state.state == ConnectionState.CONNECTED:
        then = f"Connected: you and {name} have each other's profile."
    elif state.holds_texts:
        then = f"Ready: your messages to {name} are saved, and sent when {name} answers."
    else:
        then = f"Ready: you can write to {name} now. Replies arrive when {name} comes online."
    environment.notice(f"{gap}{then} Chat: `smpchat chat {shlex.quote(alias)}`")


def _what_next_in_group(environment: Environment, service: ChatService, alias: str, gap: str) -> None:
    """After a join by a group's link, say whether the user is in the group already."""
    name, chat = shortened(alias), f"Chat: `smpchat chat {shlex.quote(alias)}`"
    if service.contact(alias).group is not None:
        environment.notice(f"{gap}You are in the group {name}. {chat}")
    else:
        environment.notice(
            f"{gap}You have asked to join {name}. You will be let in when the member who made the link comes online."
            f" {chat}"
        )
