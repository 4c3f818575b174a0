"""``server``: chooses the relays for new invitations, sets how relays are reached, and tests relays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import typer

from smpchat.agent.wire.presets import SIMPLEX_SERVERS
from smpchat.chat.errors import InputError
from smpchat.chat.service.choices import public_file_servers
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store.servers import file_relay_address, relay_address
from smpchat.cli.arguments import port, relays
from smpchat.cli.command_line import group
from smpchat.cli.environment import Environment, printable
from smpchat.cli.exit_status import CommandFailed, ExitStatus, status_of
from smpchat.cli.running import run
from smpchat.cli.text import plural
from smpchat.client.routes import Route, Transport
from smpchat.client.trouble import Trouble
from smpchat.protocol.address import FileServerAddress, SMPServerAddress, format_server, masked
from smpchat.protocol.server_text import names_file_server
from smpchat.relay.errors import RelayError
from smpchat.relay.folder import status as relay_status
from smpchat.transport.base import TransportError

if TYPE_CHECKING:
    from smpchat.chat.service.writing import WritingProfile
    from smpchat.client.network import Network
    from smpchat.client.probe import Check

_STEP_TIMEOUT = 15.0  # seconds for each step of a test
_HINTS = {
    "connect": "Check the address and this computer's network. `--transport auto` or `--socks` may help.",
    "hello": "Compare the address with the one that the relay's operator published; it may have changed.",
    "NEW": "Ask the relay's operator for the address with the password: smp://FINGERPRINT:PASSWORD@HOST.",
}

app = group("The relays (servers) that new invitations use.", "smpchat server use simplex")
_HELP = (
    "smp://FINGERPRINT@HOST, or with password and port smp://FINGERPRINT:PASSWORD@HOST:PORT, as the relay's operator"
    " gave it to you. The address of a file relay begins with xftp:// instead."
)
ADDRESS = typer.Argument(metavar="ADDRESS", help=_HELP, autocompletion=relays)
NEW_ADDRESS = typer.Argument(metavar="ADDRESS", help=_HELP)
USED_ADDRESS = typer.Argument(
    metavar="ADDRESS", help=f"simplex (the public relays), embedded, or {_HELP}", autocompletion=relays
)
TRANSPORT = typer.Option(
    None,
    "--transport",
    metavar="tls|websocket|auto",
    help="How to reach the relay; auto tries TLS, then WebSocket (default: tls).",
)
WS_PORT = typer.Option(
    None, "--ws-port", parser=port, metavar="PORT", help="The relay's WebSocket port (default: 443)."
)


@app.command("list")
def list_(
    context: typer.Context,
    show_passwords: bool = typer.Option(False, "--show-passwords", help="Print addresses with their passwords."),
) -> None:
    """List relays; * marks those for new invitations. Example: smpchat server list"""
    run(context, lambda environment: _list(environment, whole=show_passwords))


def _list(environment: Environment, *, whole: bool = False) -> int:
    """Print the relays, also the embedded one if it is used for new queues; if ``whole``, with their passwords."""
    shown = str if whole else masked
    service = environment.open_as(StoredProfile)
    try:
        configured = service.servers()
        for entry in configured:
            _show(environment, shown(format_server(entry.address)), entry.route, entry.preferred, embedded=False)
        for file_entry in service.file_servers():
            address = shown(format_server(file_entry.address))
            _show(environment, address, Route(), file_entry.preferred, embedded=False)
        if not any(entry.preferred for entry in configured):
            try:
                own = relay_status(environment.relay_folder).address
            except RelayError as error:
                raise CommandFailed(ExitStatus.NETWORK, str(error), error.hint) from error
            _show(environment, None if own is None else shown(own), Route(), default=True, embedded=True)
        return ExitStatus.OK
    finally:
        service.close()


def _show(environment: Environment, address: str | None, route: Route, default: bool, *, embedded: bool) -> None:
    fields: dict[str, Any] = {
        "address": address,
        "transport": route.transport,
        "default": default,
        "embedded": embedded,
    }
    name = address or "the embedded relay, not started yet"
    way = ""
    if route.transport is not Transport.TLS:
        fields["ws_port"] = route.ws_port
        way = f" ({route.transport}, WebSocket port {route.ws_port})"
    environment.emit(
        "server", fields, f"{'*' if default else ' '} {name}{way}{' (embedded)' if embedded and address else ''}"
    )


@app.command("add")
def add(
    context: typer.Context,
    address: str = NEW_ADDRESS,
    transport: str | None = TRANSPORT,
    ws_port: int | None = WS_PORT,
) -> None:
    """Add a relay. New invitations then use the added relays, not the embedded one. Example: smpchat server add smp://FINGERPRINT@HOST"""
    run(context, lambda environment: _add(environment, address, transport, ws_port))


def _add(environment: Environment, address: str, transport: str | None, ws_port: int | None) -> int:
    """Add a relay, or change how it is reached."""
    way = _transport(transport)
    service = environment.open_as(StoredProfile)
    try:
        if names_file_server(address):
            if way is not None or ws_port is not None:
                raise InputError("File relays are reached over TLS only.", "Leave out --transport and --ws-port.")
            service.add_file_server(address)
        else:
            service.add_server(address, way, ws_port)
    finally:
        service.close()
    return _list(environment)


def _transport(text: str | None) -> Transport | None:
    """The transport that the user chose with ``--transport``; None if they did not choose. Raises `InputError`."""
    if text is None:
        return None
    try:
        return Transport(text)
    except ValueError:
        raise InputError(f"{text!r} is not a transport.", f"Choose one of: {', '.join(Transport)}.") from None


@app.command("remove")
def remove(context: typer.Context, address: str = ADDRESS) -> None:
    """Remove a relay.

    New invitations no longer use it. Contacts who write to you there still can.

    Example: smpchat server remove smp://FINGERPRINT@HOST
    """
    run(context, lambda environment: _remove(environment, address))


def _remove(environment: Environment, address: str) -> int:
    """Remove a relay."""
    service = environment.open_as(StoredProfile)
    try:
        if names_file_server(address):
            service.remove_file_server(address)
        else:
            service.remove_server(address)
    finally:
        service.close()
    return _list(environment)


@app.command("forget")
def forget(context: typer.Context, address: str = ADDRESS) -> None:
    """Give up on a relay that is gone for good.

    When you delete a contact, smpchat also deletes the contact's queue at the relay, and keeps trying until the relay
    confirms it. After this command, smpchat no longer tries at this relay.

    Example: smpchat server forget smp://FINGERPRINT@HOST
    """
    run(context, lambda environment: _forget(environment, address))


def _forget(environment: Environment, address: str) -> int:
    """Stop trying to delete, at one relay, the queues of contacts that the user has deleted."""
    with closing(environment.open()) as service:
        left = service.forget_server(address)
    stay, them = ("stays", "it") if left == 1 else ("stay", "them")
    environment.notice(
        f"{plural(left, 'queue')} of deleted contacts {stay} at the relay. smpchat no longer tries to delete {them}."
    )
    return ExitStatus.OK


@app.command("use")
def use(
    context: typer.Context,
    address: str = USED_ADDRESS,
    private_routing: bool | None = typer.Option(
        None, "--private-routing/--no-private-routing", help="See `server private-routing` (default: unchanged)."
    ),
) -> None:
    """Use only the relay at ADDRESS, or the public ones.

    An smp:// address replaces your relays for messages, and an xftp:// address your file relays; the other kind stays
    as it is. `server use simplex` and `server use embedded` replace both kinds.

    Example: smpchat server use simplex
    """
    run(context, lambda environment: _use(environment, address, private_routing))


def _use(environment: Environment, address: str, private_routing: bool | None) -> int:
    """Use only the relay at ``address`` for new queues, or for files if it is a file relay. Instead of an address,
    ``simplex`` stands for the public relays, and ``embedded`` for the embedded one."""
    service = environment.open_as(StoredProfile)
    try:
        if private_routing and address == "embedded":
            raise no_relay_of_yours()
        if address == "simplex":
            service.use_servers(list(map(format_server, SIMPLEX_SERVERS)))
            service.use_file_servers(public_file_servers())
        elif names_file_server(address):
            service.use_file_servers([file_relay_address(address)])
        else:
            if address == "embedded":
                service.use_file_servers([])
            service.use_servers([] if address == "embedded" else [address])
        if private_routing is not None:
            service.set_private_routing(private_routing)
    finally:
        service.close()
    return _list(environment)


@app.command("test")
def test(
    context: typer.Context,
    address: str | None = typer.Argument(
        None,
        metavar="[ADDRESS]",
        help="The relay to test (default: all relays for new invitations).",
        autocompletion=relays,
    ),
    transport: str | None = TRANSPORT,
    ws_port: int | None = WS_PORT,
) -> None:
    """Send a message through each relay and time each step.

    A file relay gets a file of 64 KiB. Example: smpchat server test
    """
    run(context, lambda environment: _test(environment, address, transport, ws_port))


async def _test(environment: Environment, address: str | None, transport: str | None, ws_port: int | None) -> int:
    """Test each relay by sending a message through it, or a file if it is a file relay. Print how every step went."""
    from smpchat.chat.online.connectivity import network_of
    from smpchat.chat.service.writing import WritingProfile
    from smpchat.client.network import Network

    way = _transport(transport)
    service = environment.open_as(WritingProfile)
    try:
        if address is not None and names_file_server(address):
            files: list[FileServerAddress] = [_file_target(service, address)]
            targets: list[SMPServerAddress] = []
        else:
            files = [] if address else [entry.address for entry in service.file_servers() if entry.preferred]
            targets = await _targets(environment, service, address)
        network = network_of(service, environment.relay())
        if way is not None or ws_port is not None:
            asked = Route(way or Transport.WEBSOCKET, ws_port or Route().ws_port)
            network = Network(service.entropy, lambda _: asked, service.proxy)
        failed: list[tuple[SMPServerAddress | FileServerAddress, Check]] = []
        for target in targets:
            last = await _test_one(environment, service, network, target)
            if not last.ok:
                failed.append((target, last))
        for file_target in files:
            last = await _test_files(environment, service, file_target)
            if not last.ok:
                failed.append((file_target, last))
    finally:
        service.close()
    if not failed:
        return ExitStatus.OK
    # Only one failure is reported. A wrong certificate comes before other failures, because it can mean that another
    # computer answered in the relay's place.
    worst, check = min(failed, key=lambda each: status_of(each[1].trouble) is not ExitStatus.VERIFICATION)
    more = f" ({plural(len(failed) - 1, 'more relay')} failed too)" if len(failed) > 1 else ""
    raise CommandFailed(
        status_of(check.trouble),
        f"The relay {worst.server.host} failed at {check.name}: {check.detail.rstrip('.')}{more}.",
        _hint(check),
    )


def _hint(check: Check) -> str:
    """What the user can do about a failed test. This depends on the cause of the failure, or, if the cause is not
    clear, on the step that failed."""
    from smpchat.chat import troubles

    if check.trouble not in (None, Trouble.UNREACHABLE, Trouble.FAULTY):
        return troubles.HINTS[check.trouble]
    return _HINTS.get(
        check.name, "Tell the relay's operator, or choose another relay with `smpchat server use ADDRESS`."
    )


async def _targets(environment: Environment, service: StoredProfile, address: str | None) -> list[SMPServerAddress]:
    """The relays to test: the given one, or if none is given, those for new queues. If the user gave an address
    without its password, the password is looked up in the profile's list of relays."""
    configured = [entry.address for entry in service.servers()]
    if address is not None:
        named = relay_address(address)
        same = (known for known in configured if known.server == named.server)
        return [named if named.password else next(same, named)]
    preferred = [entry.address for entry in service.servers() if entry.preferred]
    if preferred:
        return preferred
    try:
        return [await environment.relay().start()]
    except TransportError as error:
        hint = "Start the relay with `smpchat relay start`, or choose another relay: `smpchat server use simplex`."
        raise CommandFailed(ExitStatus.NETWORK, str(error), hint) from error


def _file_target(service: StoredProfile, address: str) -> FileServerAddress:
    """The file relay to test. If the user gave the address without its password, the password is looked up in the
    profile's list of relays."""
    named = file_relay_address(address)
    same = (entry.address for entry in service.file_servers() if entry.address.server == named.server)
    return named if named.password else next(same, named)


async def _test_files(environment: Environment, service: WritingProfile, target: FileServerAddress) -> Check:
    """Test a file relay by uploading, downloading and deleting 64 KiB. Returns the result of the last step that
    was tried."""
    from smpchat.chat.online.connectivity import file_network_of
    from smpchat.xftp.probe import probe_files

    checks, report = _reporter(environment, format_server(target.server))
    network = file_network_of(service, environment.relay())
    await probe_files(target, report, network=network, entropy=service.entropy, timeout=_STEP_TIMEOUT)
    return checks[-1]


async def _test_one(
    environment: Environment, service: WritingProfile, network: Network, target: SMPServerAddress
) -> Check:
    """Test a relay for messages. Returns the result of the last step that was tried."""
    from smpchat.client.probe import probe

    checks, report = _reporter(environment, format_server(target.server))  # without the password
    await probe(target, report, network=network, entropy=service.entropy, timeout=_STEP_TIMEOUT)
    return checks[-1]


def _reporter(environment: Environment, text: str) -> tuple[list[Check], Callable[[Check], None]]:
    """Returns an empty list, and a function to call after each step of a test. The function prints the step's result,
    and adds the result to the list. ``text``: the relay's address."""
    checks: list[Check] = []
    if not environment.json:
        environment.emit("server", {}, text)

    def report(check: Check) -> None:
        checks.append(check)
        took = round(check.seconds * 1000)
        fields = {"name": check.name, "ok": check.ok, "detail": check.detail, "elapsed_ms": took, "server": text}
        verdict = "ok" if check.ok else "failed"
        environment.emit("check", fields, f"  {check.name:8}{verdict:8}{took:5} ms  {printable(check.detail)}")

    return checks, report


@app.command("socks")
def socks(
    context: typer.Context,
    proxy: str | None = typer.Argument(
        None, metavar="[PROXY]", help="HOST:PORT or off (if omitted: print the setting)."
    ),
) -> None:
    """Reach relays through a SOCKS5 proxy. Example: smpchat server socks 127.0.0.1:9050"""
    run(context, lambda environment: _socks(environment, proxy))


def _socks(environment: Environment, proxy: str | None) -> int:
    """Set the SOCKS proxy, or turn it off; print the setting in use."""
    service = environment.open_as(StoredProfile)
    try:
        if proxy is not None:
            service.set_proxy(proxy)
        in_force = service.proxy()
    finally:
        service.close()
    value = None if in_force is None else str(in_force)
    line = (
        f"relays are reached through the SOCKS proxy {value}" if value else "relays are reached without a SOCKS proxy"
    )
    environment.emit("setting", {"name": "socks", "value": value}, line)
    return ExitStatus.OK


@app.command("private-routing")
def private_routing(
    context: typer.Context,
    setting: str | None = typer.Argument(None, metavar="[on|off]", help="on or off (if omitted: print the setting)."),
) -> None:
    """Send messages to other people's relays through yours.

    Their relays then do not see your IP address.

    Example: smpchat server private-routing on
    """
    run(context, lambda environment: _private_routing(environment, setting))


def _private_routing(environment: Environment, setting: str | None) -> int:
    """Turn private routing on or off; print the setting in use."""
    if setting not in (None, "on", "off"):
        raise InputError(f"{setting!r} is not on or off.", "Use on or off.")
    service = environment.open_as(StoredProfile)
    try:
        if setting == "on" and not service.servers():
            raise no_relay_of_yours()
        if setting is not None:
            service.set_private_routing(setting == "on")
        on = service.private_routing()
    finally:
        service.close()
    line = (
        "private routing is on: messages to other relays go through yours"
        if on
        else ("private routing is off: messages to other relays go there directly")
    )
    environment.emit("setting", {"name": "private-routing", "value": "on" if on else "off"}, line)
    return ExitStatus.OK


@app.command("strangers")
def strangers(
    context: typer.Context,
    setting: str | None = typer.Argument(
        None, metavar="[public|any]", help="public or any (if omitted: print the setting)."
    ),
) -> None:
    """Protect your network from other people's relays.

    If you accept a request, for example, smpchat connects to the relay that this request names. With public, this relay
    must be on the public internet, so that strangers cannot reach your network through you. With any, it may also be on
    this computer or in its network.

    Example: smpchat server strangers public
    """
    run(context, lambda environment: _strangers(environment, setting))


def _strangers(environment: Environment, setting: str | None) -> int:
    """Choose whether other people's relays may be on this computer or in its network; print the setting in use."""
    if setting not in (None, "public", "any"):
        raise InputError(f"{setting!r} is not public or any.", "Use public or any.")
    service = environment.open_as(StoredProfile)
    try:
        if setting is not None:
            service.set_strangers_anywhere(setting == "any")
        anywhere = service.strangers_anywhere()
    finally:
        service.close()
    line = "relays named by other people must be on the internet"
    if anywhere:
        line = "relays named by other people may be anywhere, even on this computer and in its network"
    environment.emit("setting", {"name": "strangers", "value": "any" if anywhere else "public"}, line)
    return ExitStatus.OK


def no_relay_of_yours() -> InputError:
    """The error if private routing is being turned on, but the user has no relay that can forward messages."""
    return InputError(
        "Private routing needs a relay of yours, and you have not added one.",
        "Add one with `smpchat server add ADDRESS`. The embedded relay does not count: it hides nothing.",
    )
