"""``address``: the address that many people may use; each of them sends a request."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import typer

from smpchat.chat.errors import NoAddress
from smpchat.chat.online.presence import online
from smpchat.chat.online.waiting import Patience, RelayDown, flush, until
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.address import AddressView
from smpchat.cli.clipboard import copy as copy_to_clipboard
from smpchat.cli.command_line import group
from smpchat.cli.connecting import start_relay, unreachable, warn_if_local
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.qr import show_qr
from smpchat.cli.running import run
from smpchat.cli.views.links import own_alias, show_address

_PATIENCE = Patience(5.0)
_KEPT = "The address is kept, and made by the next command that goes online; `smpchat address show` prints it."

app = group("Your address, for many people to use: each sends a request.", "smpchat address create")
QR = typer.Option(None, "--qr/--no-qr", help="Show a QR code; on a terminal: yes.")
COPY = typer.Option(False, "--copy", help="Put the link on the terminal's clipboard.")


@app.command("create")
def create(
    context: typer.Context,
    auto_accept: bool | None = typer.Option(
        None, "--auto-accept/--no-auto-accept", help="Accept each request at once; of an existing address, changes it."
    ),
    server: str | None = typer.Option(None, "--server", metavar="ADDRESS", help="Relay for this address alone."),
    qr: bool | None = QR,
    copy: bool = COPY,
) -> None:
    """Make your address. Example: smpchat address create"""
    run(context, lambda environment: _create(environment, auto_accept, server, qr, copy))


async def _create(
    environment: Environment, auto_accept: bool | None, server: str | None, qr: bool | None, to_clipboard: bool
) -> int:
    """Make the profile's address and print it; of one that exists, change whether requests are accepted at once."""
    with closing(environment.open()) as service:
        if auto_accept is not None and service.address() is not None:
            service.accept_automatically(auto_accept)
        else:
            if server is None and not service.servers():
                await start_relay(environment)
            service.create_address(auto_accept=bool(auto_accept), server=server)
        await _show_once_made(environment, service, qr, to_clipboard)
        return ExitStatus.OK


@app.command("show")
def show(context: typer.Context, qr: bool | None = QR, copy: bool = COPY) -> None:
    """Show your address. Example: smpchat address show"""
    run(context, lambda environment: _show(environment, qr, copy))


async def _show(environment: Environment, qr: bool | None, to_clipboard: bool) -> int:
    """Print the profile's address."""
    with closing(environment.open()) as service:
        if service.address() is None:
            raise NoAddress
        await _show_once_made(environment, service, qr, to_clipboard)
        return ExitStatus.OK


async def _show_once_made(environment: Environment, service: ChatService, qr: bool | None, to_clipboard: bool) -> None:
    """Print the address, after making its queue if that was not possible before. Raises `CommandFailed`."""
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
    if environment.attended if qr is None else qr:
        show_qr(environment, address.short_link or address.link or "", _image(environment))
    if to_clipboard:
        copy_to_clipboard(environment, address.short_link or address.link or "", "link")
    warn_if_local(environment, service, address.connection, "address")


def _made(service: ChatService) -> AddressView | None:
    address = service.address()
    return address if address is not None and address.link else None


@app.command("delete")
def delete(context: typer.Context) -> None:
    """Delete your address with its open requests; contacts stay. Example: smpchat address delete"""
    run(context, _delete)


async def _delete(environment: Environment) -> int:
    """Delete the address, here and at its relay."""
    with closing(environment.open()) as service:
        connection = service.delete_address()
        _image(environment).unlink(missing_ok=True)
        async with online(service, environment.relay()):
            try:
                gone = await until(service, lambda: service.is_forgotten(connection) or None, _PATIENCE, connection)
            except RelayDown:
                gone = None
        if gone:
            environment.notice("Deleted. Your contacts stay.")
        else:
            environment.notice("Deleted here; its relay is told by the next command that reaches it.")
        return ExitStatus.OK


def _image(environment: Environment) -> Path:
    """Where the QR code is saved if no terminal can show it."""
    return environment.profile_folder() / "address.png"
