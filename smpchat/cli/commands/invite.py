"""``invite``: makes a one-time link, and waits until somebody has used it."""

from __future__ import annotations

import contextlib
import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from smpchat.cli import running
from smpchat.cli.arguments import INCOGNITO, QR, QR_FILE, SERVER, Shown, seconds
from smpchat.cli.clipboard import copy as copy_to_clipboard
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.questions import can_ask
from smpchat.cli.running import run
from smpchat.cli.text import plural, shortened

if TYPE_CHECKING:
    from smpchat.agent.machines.handshake_states import Variant
    from smpchat.chat.online.embedded import EmbeddedRelay
    from smpchat.chat.online.patience import Patience, RelayDown
    from smpchat.chat.service.connecting import ChatService
    from smpchat.chat.service.views import Invitation
    from smpchat.chat.store import events

_FOR_EVER = float("inf")
_LEAST = 5.0
"""A relay gets at least this many seconds to make the queue of a link, even if --timeout is shorter."""
app = Program()


class Handshake(Enum):
    """The values of `invite --handshake`."""

    INSTANT = "instant"
    THREE_STEP = "three-step"
    STANDARD = "standard"


@app.command(epilog=examples("smpchat invite --note bob"))
def invite(
    context: typer.Context,
    note: str | None = typer.Option(
        None,
        "--note",
        metavar="ALIAS",
        help="Your name for the person who uses the link; only you see it (default: their own name).",
    ),
    server: str | None = SERVER,
    handshake: Handshake = typer.Option(
        Handshake.INSTANT.value,
        "--handshake",
        show_default=False,
        help=(
            "How to connect. With instant, the person who opens the link can write at once. The values three-step and"
            " standard are names of older handshakes, for tests: with them, messages of the person who opens the link"
            " wait until you are online. A link for standard has no reply key (see README). The default is"
            " instant."
        ),
    ),
    wait: bool | None = typer.Option(None, "--wait/--no-wait", help="Wait until connected (default on a terminal)."),
    timeout: float | None = typer.Option(
        None, "--timeout", parser=seconds, metavar="SECONDS", help="How long to wait (default: no limit)."
    ),
    qr: bool | None = QR,
    qr_file: Path | None = QR_FILE,
    incognito: bool = INCOGNITO,
    copy: bool = typer.Option(False, "--copy", help="Copy the command for the other person to the clipboard."),
) -> None:
    """Make a one-time link for one person.

    On a terminal you see the three steps of connecting. Ctrl-C stops waiting; the link stays valid.
    """
    from smpchat.agent.machines.handshake_states import Variant

    variant = Variant(handshake.value)
    shown = Shown(qr, qr_file, copy)

    def invite_and_talk(environment: Environment) -> int:
        connected: list[str] = []
        asked = _invite(environment, note, server, variant, wait, timeout, shown, incognito, connected)
        status = running.run_loop(asked)
        if connected and _wants_to_talk(environment):
            from smpchat.cli.commands.chat import talk

            return running.run_loop(talk(environment, connected[0]))
        return status

    run(context, invite_and_talk)


def _wants_to_talk(environment: Environment) -> bool:
    """Ask whether to open the chat. Do not call this in an event loop: there, Ctrl-C does not end the question."""
    if not can_ask(environment):
        return False
    print("Open the chat now? [Y/n] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    return answer.strip().lower() in ("", "y", "yes") if answer else False


async def _invite(
    environment: Environment,
    note: str | None,
    server: str | None,
    variant: Variant,
    wait: bool | None,
    patience: float | None,
    shown: Shown,
    incognito: bool,
    connected: list[str],
) -> int:
    """Make a link, print it, and perhaps wait until it is used. After the wait, add the contact's alias to
    ``connected``."""
    from smpchat.cli.connecting import start_relay
    from smpchat.cli.qr import check_free

    check_free(shown.qr_file)
    with contextlib.closing(environment.open()) as service:
        embedded, relay = server is None and not service.servers(), environment.relay()
        if embedded:
            await start_relay(relay)
        after = service.last_event()
        connection = service.invite(note, variant, server=server, incognito=incognito)
        waiting = environment.attended if wait is None else wait
        inviting = _Inviting(environment, service, relay, connection, variant, after, embedded=embedded)
        connected += await inviting.run(waiting, patience, shown)
        return ExitStatus.OK


def _until_made(seconds: float | None) -> Patience:
    """How long to wait until the link is made. A ``--timeout`` below `_LEAST` does not limit this wait, but only the
    wait until somebody uses the link."""
    from smpchat.chat.online.patience import Patience

    return Patience() if seconds is None or seconds < _LEAST else Patience(seconds, chosen=True)


class _Inviting:
    """One run of `invite`: waits until the link is made, prints it, and perhaps waits until somebody has used it."""

    def __init__(
        self,
        environment: Environment,
        service: ChatService,
        relay: EmbeddedRelay,
        connection: int,
        variant: Variant,
        after: int,
        *,
        embedded: bool,
    ) -> None:
        self._environment, self._service, self._relay = environment, service, relay
        self._connection, self._variant, self._after, self._embedded = connection, variant, after, embedded

    async def run(self, wait: bool, patience: float | None, shown: Shown) -> list[str]:
        """Run the command. Returns a list with the alias of the person who used the link; an empty list if the command
        did not wait."""
        from smpchat.chat.online.patience import Patience, RelayDown
        from smpchat.chat.online.presence import online
        from smpchat.chat.online.waiting import flush, until
        from smpchat.cli.connecting import interrupted, unreachable

        down, ended, connection = None, None, self._connection
        invitation: Invitation | None = None
        with interrupted("Interrupted.", self._how_to_go_on):
            async with online(self._service, self._relay):
                try:
                    invitation = await until(self._service, self._made, _until_made(patience), connection)
                    if invitation is not None:
                        self._show(invitation, shown)
                        if wait:
                            ended = await self._wait(invitation, Patience.of(patience, usual=_FOR_EVER))
                except RelayDown as error:
                    down = error
                await flush(self._service)
        if invitation is None:
            # No link was made. Delete the invitation; otherwise the next process that goes online would make a link,
            # and nobody would see the link.
            self._service.delete(str(self._connection))
            raise unreachable(down, self._or_another())
        return [self._explain(ended, down)] if wait else []

    def _or_another(self) -> str:
        return "It is the embedded relay: `smpchat relay start` starts it." if self._embedded else ""

    def _made(self) -> Invitation | None:
        invitation = self._service.invitation(self._connection)
        return invitation if invitation is not None and invitation.link else None

    def _show(self, invitation: Invitation, shown: Shown) -> None:
        from smpchat.chat.store.leftovers import picture_of
        from smpchat.cli.connecting import tell_own_name, warn_if_local
        from smpchat.cli.qr import save_qr, show_qr
        from smpchat.cli.views.links import command_for_them, own_alias, show_invitation

        environment = self._environment
        suggested = own_alias(self._service, invitation)
        # On a terminal only the short link is printed: a screen has no room for both links and a QR code.
        show_invitation(environment, invitation, suggested, in_full=not environment.attended)
        if invitation.short_link is None:
            environment.notice(self._why_full())
        link = invitation.short_link or invitation.link or ""
        if environment.attended if shown.qr is None else shown.qr:
            show_qr(environment, link, picture_of(self._service.folder, invitation.connection))
        if shown.qr_file is not None:
            save_qr(environment, link, shown.qr_file)
        if shown.copy:
            copy_to_clipboard(environment, command_for_them(invitation, suggested), "command for them")
        warn_if_local(environment, self._service, invitation.connection, "link")
        if invitation.incognito is None:
            tell_own_name(environment, self._service, invitation.connection)

    def _why_full(self) -> str:
        from smpchat.agent.machines.handshake_states import Variant

        if self._variant is not Variant.INSTANT:
            return f"This is the full link: the {self._variant} handshake does not support short links."
        return "This is the full link: the relay does not support short links."

    async def _wait(self, invitation: Invitation, patience: Patience) -> events.StateChanged | None:
        from smpchat.chat.online.waiting import until
        from smpchat.cli.connecting import Feed, gap
        from smpchat.cli.steps import StepView

        self._environment.notice(f"Ctrl-C stops waiting; the link stays valid.{gap(self._environment)}")
        title = shortened(invitation.note) if invitation.note else f"Invitation {self._connection}"
        with StepView(self._environment, title) as view:
            feed = Feed(self._service, view, self._connection, self._after)

            def ended() -> events.StateChanged | None:
                state = feed.look()
                return state if state is not None and state.is_final else None

            return await until(self._service, ended, patience, self._connection, receiving=True)

    def _explain(self, ended: events.StateChanged | None, down: RelayDown | None) -> str:
        """Print how the wait ended, and return the alias of the person who used the link.

        Raises:
            CommandFailed: Nobody has used the link, or the connection failed.
        """
        from smpchat.agent.machines.handshake_states import ConnectionState
        from smpchat.cli.connecting import failed, gap, unreachable

        still_valid = "The invitation stays valid. To continue waiting: `smpchat listen`."
        if ended is None and down is not None:
            raise unreachable(down, still_valid)
        if ended is None:
            raise CommandFailed(ExitStatus.TIMEOUT, "Nobody has used the link yet.", still_valid)
        self._service.remove_leftovers()
        if ended.state != ConnectionState.CONNECTED:
            raise failed(ended, "Make a new invitation with `smpchat invite`.")
        alias = ended.alias or ""
        unread = self._service.contact(alias).contact.unread
        came = f" They have already sent {plural(unread, 'message')}." if unread else ""
        talk = f"Chat: `smpchat chat {shlex.quote(alias)}`"
        self._environment.notice(f"{gap(self._environment)}Connected with {shortened(alias)}.{came} {talk}")
        return alias

    def _how_to_go_on(self) -> str:
        number = self._connection
        return (
            "The invitation stays valid. Continue waiting with `smpchat listen`, see the link again with `smpchat"
            f" status`, or cancel it with `smpchat delete {number}`."
        )
