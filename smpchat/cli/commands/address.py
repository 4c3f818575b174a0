"""``address``, ``requests``, ``accept`` and ``reject``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.chat.errors import NoAddress
from smpchat.chat.online.presence import online
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.address import AddressView, RequestView
from smpchat.chat.store.events import StateChanged
from smpchat.cli.clipboard import copy
from smpchat.cli.commands.handshake import failed, start_relay, unreachable, warn_if_local
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.qr import show_qr
from smpchat.cli.views.connections import show_state
from smpchat.cli.views.contacts import show_view
from smpchat.cli.views.links import own_alias, show_address, show_request
from smpchat.cli.waiting import RELAY_TIMEOUT, RelayDown, flush, until

_DELETE_TIMEOUT = 5.0
_KEPT = "The address is kept, and made by the next command that goes online; `smpchat address show` prints it."


def _image(environment: Environment) -> Path:
    """Where the QR code is saved if no terminal can show it."""
    return environment.profile_folder() / "address.png"


async def create(
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


async def show(environment: Environment, qr: bool | None, to_clipboard: bool) -> int:
    """Print the profile's address."""
    with closing(environment.open()) as service:
        if service.address() is None:
            raise NoAddress
        await _show_once_made(environment, service, qr, to_clipboard)
        return ExitStatus.OK


async def _show_once_made(environment: Environment, service: ChatService, qr: bool | None, to_clipboard: bool) -> None:
    """Print the address, after making its queue if that was not possible before. Raises `CommandFailed`."""
    address = _made(service)
    if address is None:
        down = None
        async with online(service, environment.relay()):
            try:
                address = await until(service, lambda: _made(service), RELAY_TIMEOUT)
            except RelayDown as error:
                down = error
            await flush(service)
        if address is None:
            raise unreachable(down, _KEPT)
    show_address(environment, address, own_alias(service))
    if environment.attended if qr is None else qr:
        show_qr(environment, address.short_link or address.link or "", _image(environment))
    if to_clipboard:
        copy(environment, address.short_link or address.link or "", "link")
    warn_if_local(environment, service, address.connection, "address")


def _made(service: ChatService) -> AddressView | None:
    address = service.address()
    return address if address is not None and address.link else None


async def delete(environment: Environment) -> int:
    """Delete the address, here and at its relay."""
    with closing(environment.open()) as service:
        connection = service.delete_address()
        _image(environment).unlink(missing_ok=True)
        async with online(service, environment.relay()):
            try:
                gone = await until(service, lambda: service.is_forgotten(connection) or None, _DELETE_TIMEOUT)
            except RelayDown:
                gone = None
        if gone:
            environment.notice("Deleted. Your contacts stay.")
        else:
            environment.notice("Deleted here; its relay is told by the next command that reaches it.")
        return ExitStatus.OK


def requests(environment: Environment) -> int:
    """Print the requests that wait for an answer."""
    waiting: list[RequestView] = []
    has_address = False
    if environment.is_used():
        with closing(environment.open()) as service:
            waiting, has_address = service.requests(), service.address() is not None
    for request in waiting:
        show_request(environment, request)
    if not waiting and environment.attended:
        how = "" if has_address else " People ask through an address: `smpchat address create` makes yours."
        environment.notice(f"Nobody asks to be a contact.{how}")
    return ExitStatus.OK


async def accept(environment: Environment, who: str, alias: str | None) -> int:
    """Accept a request, and stay online until its sender can be written to."""
    with closing(environment.open()) as service:
        contact = service.accept(who, alias)
        show_view(environment, service.contact(contact.alias))
        state, down = None, None
        async with online(service, environment.relay()):
            try:
                state = await until(service, lambda: _decided(service, contact.connection_id), RELAY_TIMEOUT)
            except RelayDown as error:
                down = error
            if state is not None:
                await flush(service)
        if state is None:
            raise unreachable(down, "The request is accepted; the next command that goes online tells its sender.")
        show_state(environment, state)
        if state.state == ConnectionState.FAILED:
            raise failed(state, "Delete the contact with `smpchat delete`.")
        return ExitStatus.OK


def _decided(service: ChatService, connection: int) -> StateChanged | None:
    state = service.state(connection)
    return None if state.state == ConnectionState.JOINING else state


def reject(environment: Environment, who: str) -> int:
    """Forget a request; nothing is sent."""
    with closing(environment.open()) as service:
        request = service.reject(who)
        environment.notice(f"Request {request.id} is rejected; its sender is told nothing.")
        return ExitStatus.OK
