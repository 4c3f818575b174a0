"""``address``: a link that many people can use; each of them sends a request."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from smpchat.chat.errors import NoAddress
from smpchat.cli.arguments import QR, QR_FILE, SERVER, Shown
from smpchat.cli.clipboard import copy as copy_to_clipboard
from smpchat.cli.command_line import examples, group
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.streams import argument_text

if TYPE_CHECKING:
    from smpchat.chat.service.connecting import ChatService
    from smpchat.chat.store.address import AddressView

_PATIENCE = 5.0
_KEPT = "The next command that goes online will create the address; then `smpchat address show` prints it."

app = group("Your address: a link that many people can use.", "smpchat address create")
COPY = typer.Option(False, "--copy", help="Copy the link to the clipboard.")


WELCOME = typer.Option(
    None,
    "--welcome",
    metavar="TEXT",
    help=("Text that people see before they send a request, and again when you accept it; '' for none."),
)
AUTO_REPLY = typer.Option(
    None, "--auto-reply", metavar="TEXT", help="Message to each person whose request you accept; '' for none."
)


@app.command("create")
def create(
    context: typer.Context,
    auto_accept: bool | None = typer.Option(
        None,
        "--auto-accept/--no-auto-accept",
        help="Accept each request at once (default: no).",
    ),
    welcome: str | None = WELCOME,
    auto_reply: str | None = AUTO_REPLY,
    server: str | None = SERVER,
    qr: bool | None = QR,
    qr_file: Path | None = QR_FILE,
    copy: bool = COPY,
) -> None:
    """Create your address.

    A person who opens your address sends you a request; `requests` lists them. A profile can have
    only one address; `address set` changes it.

    Example: smpchat address create
    """
    said = _Said(auto_accept, _text(welcome), _text(auto_reply))
    run(context, lambda environment: _create(environment, said, server, Shown(qr, qr_file, copy)))


class _Said(NamedTuple):
    """The values of the options that change the address. An option that is None changes nothing."""

    auto_accept: bool | None
    welcome: str | None
    auto_reply: str | None


def _text(option: str | None) -> str | None:
    return None if option is None else argument_text(option)


async def _create(environment: Environment, said: _Said, server: str | None, shown: Shown) -> int:
    """Make the profile's address and print it. If there is an address already, and ``--auto-accept`` or
    ``--no-auto-accept`` is given, change that address instead."""
    from smpchat.cli.connecting import start_relay
    from smpchat.cli.qr import check_free

    check_free(shown.qr_file)
    with closing(environment.open()) as service:
        if said.auto_accept is not None and server is None and service.address() is not None:
            service.set_address(**said._asdict())
        else:
            if server is None and not service.servers():
                await start_relay(environment.relay())
            service.create_address(
                auto_accept=bool(said.auto_accept),
                server=server,
                welcome=said.welcome or "",
                auto_reply=said.auto_reply or "",
            )
        await _show_once_made(environment, service, shown)
        return ExitStatus.OK


@app.command("set", epilog=examples("smpchat address set --welcome 'Tell me who you are.'"))
def set_(
    context: typer.Context,
    auto_accept: bool | None = typer.Option(
        None, "--auto-accept/--no-auto-accept", help="Accept each request at once."
    ),
    welcome: str | None = WELCOME,
    auto_reply: str | None = AUTO_REPLY,
) -> None:
    """Change your address's texts, or accept requests automatically.

    What you leave out stays as it is.
    """
    said = _Said(auto_accept, _text(welcome), _text(auto_reply))
    if said == _Said(None, None, None):
        raise typer.BadParameter("say what to change: --auto-accept, --welcome or --auto-reply.")
    run(context, lambda environment: _set(environment, said))


async def _set(environment: Environment, said: _Said) -> int:
    """Change the parts of the address for which the user gave options. If the relay can be reached, change the address
    there too."""
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush

    with closing(environment.open()) as service:
        service.set_address(**said._asdict())
        if not service.is_idle():
            async with online(service, environment.relay()):
                await flush(service)
        await _show_once_made(environment, service, Shown(False, None, False))
        return ExitStatus.OK


@app.command("show")
def show(context: typer.Context, qr: bool | None = QR, qr_file: Path | None = QR_FILE, copy: bool = COPY) -> None:
    """Show your address. Example: smpchat address show"""
    run(context, lambda environment: _show(environment, Shown(qr, qr_file, copy)))


async def _show(environment: Environment, shown: Shown) -> int:
    """Print the profile's address."""
    from smpchat.cli.qr import check_free

    check_free(shown.qr_file)
    with closing(environment.open()) as service:
        if service.address() is None:
            raise NoAddress
        await _show_once_made(environment, service, shown)
        return ExitStatus.OK


async def _show_once_made(environment: Environment, service: ChatService, shown: Shown) -> None:
    """Print the address. If the address has no link yet, first wait until the relay has made the address's queue.
    Raises `CommandFailed` if the relay is not reached in time."""
    from smpchat.chat.online.patience import Patience, RelayDown
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush, until
    from smpchat.chat.store.leftovers import picture_of
    from smpchat.cli.connecting import unreachable, warn_if_local
    from smpchat.cli.qr import save_qr, show_qr
    from smpchat.cli.views.links import own_alias, show_address

    address, asked = _made(service), service.address()
    if address is None and asked is not None:
        down = None
        async with online(service, environment.relay()):
            try:
                address = await until(service, lambda: _made(service), Patience(), asked.connection)
            except RelayDown as error:
                down = error
            await flush(service)
        if address is None:
            raise unreachable(down, _KEPT)
    if address is None:
        raise NoAddress  # deleted by another process meanwhile
    show_address(environment, address, own_alias(service))
    link = address.short_link or address.link or ""
    if environment.attended if shown.qr is None else shown.qr:
        show_qr(environment, link, picture_of(service.folder, None))
    if shown.qr_file is not None:
        save_qr(environment, link, shown.qr_file)
    if shown.copy:
        copy_to_clipboard(environment, link, "link")
    warn_if_local(environment, service, address.connection, "address")


def _made(service: ChatService) -> AddressView | None:
    address = service.address()
    return address if address is not None and address.link else None


@app.command("delete")
def delete(context: typer.Context) -> None:
    """Delete your address and its requests; contacts stay. Example: smpchat address delete"""
    run(context, _delete)


async def _delete(environment: Environment) -> int:
    """Delete the address, here and at its relay."""
    from smpchat.chat.online.patience import Patience, RelayDown
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import until

    with closing(environment.open()) as service:
        connection = service.delete_address()
        service.remove_leftovers()
        async with online(service, environment.relay()):
            try:
                gone = await until(
                    service, lambda: service.is_forgotten(connection) or None, Patience(_PATIENCE), connection
                )
            except RelayDown:
                gone = None
        if gone:
            environment.notice("Deleted. You keep your contacts.")
        else:
            environment.notice("Deleted here. The next command that reaches the relay deletes the address there too.")
        return ExitStatus.OK
