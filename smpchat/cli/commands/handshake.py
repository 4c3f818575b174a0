"""``invite`` and ``connect``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smpchat.agent.handshake import Variant
from smpchat.chat import events
from smpchat.chat.errors import InputError
from smpchat.chat.online import online
from smpchat.chat.service import ChatService, Invitation
from smpchat.chat.store import MessageStatus
from smpchat.cli import views
from smpchat.cli.environment import Environment, is_terminal
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.waiting import RELAY_TIMEOUT, RelayDown, flush, until
from smpchat.transport.base import TransportError

_FOR_EVER = float("inf")
_VARIANTS = {v.value: v for v in (Variant.INSTANT, Variant.THREE_STEP, Variant.STANDARD)}


class Steps:
    """Prints the state lines of one connection as they come."""

    def __init__(self, environment: Environment, service: ChatService, connection: int) -> None:
        self._environment, self._service, self._connection = environment, service, connection
        self._shown: tuple[str, int] | None = None

    def show(self) -> events.StateChanged:
        """The state now; printed if it is another than the one before."""
        state = self._service.state(self._connection)
        if (state.state, state.step) != self._shown:
            self._shown = (state.state, state.step)
            views.show_state(self._environment, state)
        return state


def _until_state(
    steps: Steps, enough: Callable[[events.StateChanged], bool]
) -> Callable[[], events.StateChanged | None]:
    def look() -> events.StateChanged | None:
        state = steps.show()
        return state if enough(state) or state.is_final else None

    return look


def _unreachable(error: RelayDown | None, kept: str) -> CommandFailed:
    because = f": {error}" if error else ""
    return CommandFailed(ExitStatus.NETWORK, f"The relay cannot be reached{because.rstrip('.')}.", kept)


async def invite(
    environment: Environment,
    note: str | None,
    server: str | None,
    variant: str,
    wait: bool | None,
    patience: float | None,
    qr: bool | None,
) -> int:
    """Make a link, print it, and perhaps wait until it was used."""
    if variant not in _VARIANTS:
        raise InputError(f"There is no handshake {variant!r}.", f"Choose one of: {', '.join(_VARIANTS)}.")
    wait = is_terminal() and not environment.json if wait is None else wait
    service = environment.open()
    if server is not None:
        service.use_servers([server])
    try:
        if not service.servers():
            await _start_relay(environment)
        connection = service.invite(note, _VARIANTS[variant])
        async with online(service, environment.relay()):
            invitation, down = None, None
            try:
                invitation = await until(service, lambda: _with_link(service, connection), RELAY_TIMEOUT)
            except RelayDown as error:
                down = error
            ended = None
            if invitation is not None:
                views.show_invitation(environment, invitation)
                if qr if qr is not None else is_terminal() and not environment.json:
                    _show_qr(environment, invitation.link or "")
                if not service.servers():
                    environment.notice(
                        "Only this computer can reach the relay of this link; to reach others: `server use simplex`"
                    )
                if wait:
                    environment.notice("Waiting for the link to be used. Ctrl-C leaves it valid.")
                    steps = Steps(environment, service, connection)
                    try:
                        ended = await until(
                            service, _until_state(steps, lambda s: False), _FOR_EVER if patience is None else patience
                        )
                    except RelayDown as error:
                        down = error
                await flush(service)
        if invitation is None:
            service.delete(str(connection))
            raise _unreachable(down, "Start it with `smpchat relay start`, or choose another: `smpchat server use`.")
        if wait and ended is None:
            if down is not None:
                raise _unreachable(down, "The invitation stays valid: run `smpchat listen` to go on waiting.")
            raise CommandFailed(
                ExitStatus.TIMEOUT,
                "Nobody used the link yet.",
                "The invitation stays valid: run `smpchat listen` to go on waiting.",
            )
        if ended is not None and ended.state == "failed":
            raise CommandFailed(ExitStatus.REFUSED, ended.reason or "The connection failed.", "Make a new invitation.")
        return ExitStatus.OK
    finally:
        service.close()


async def _start_relay(environment: Environment) -> None:
    try:
        await environment.relay().start()
    except TransportError as error:
        raise CommandFailed(
            ExitStatus.NETWORK,
            str(error),
            "Start it with `smpchat relay start`, or choose another: `smpchat server use simplex`.",
        ) from error


def _with_link(service: ChatService, connection: int) -> Invitation | None:
    invitation = service.invitation(connection)
    return invitation if invitation is not None and invitation.link else None


def _show_qr(environment: Environment, link: str) -> None:
    import shutil

    import segno

    code = segno.make(link, error="l")
    width, height = code.symbol_size(border=2)
    columns, rows = shutil.get_terminal_size()
    if width <= columns and height // 2 < rows:
        code.terminal(border=2, compact=True)
        return
    path = environment.profile_folder() / "invitation.png"
    path.touch(mode=0o600)
    code.save(str(path), scale=4)
    environment.notice(f"The QR code does not fit this terminal; it is in {path}")


async def connect(
    environment: Environment, link: str, alias: str | None, texts: Sequence[str], wait: bool, patience: float
) -> int:
    """Join a link; ends when texts may be sent, or with ``wait`` when the other side has answered."""
    service = environment.open()
    try:
        contact = service.connect(link, alias, texts)
        if alias is None:
            environment.notice(f"The contact is called {contact.alias}; `smpchat rename` changes that.")
        unsent = [m.id for m in service.history(contact.alias, max(len(texts), 1))][-len(texts) :] if texts else []
        steps = Steps(environment, service, contact.connection_id)

        def sent(state: events.StateChanged) -> bool:
            if state.state not in ("ready", "connected") or (wait and state.state != "connected"):
                return False
            if state.variant in ("three-step", "standard") and state.state == "ready":
                return True
            return all(m is None or m.status is not MessageStatus.PENDING for m in map(service.message, unsent))

        def look() -> events.StateChanged | None:
            state = steps.show()
            return state if sent(state) or state.state in ("failed", "deleted") else None

        ended, down = None, None
        async with online(service, environment.relay()):
            try:
                ended = await until(service, look, patience)
            except RelayDown as error:
                down = error
            if ended is not None:
                await flush(service)
        for number in unsent:
            message = service.message(number)
            if message is not None:
                views.show_message(environment, message)
        if ended is not None and ended.state == "failed":
            raise CommandFailed(
                ExitStatus.REFUSED,
                ended.reason or "The connection failed.",
                "Ask for a new link, then delete this one.",
            )
        if ended is None:
            state = service.state(contact.connection_id).state
            if wait and down is None and state in ("ready", "connected"):
                raise CommandFailed(
                    ExitStatus.TIMEOUT,
                    f"{contact.alias} has not answered yet.",
                    "You can write already; run `smpchat listen` to see the answer.",
                )
            raise _unreachable(
                down, "The join and its texts are kept, and tried again by the next command that goes online."
            )
        return ExitStatus.OK
    finally:
        service.close()
