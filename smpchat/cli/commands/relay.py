"""``relay``: runs, maintains and moves the relay that comes with smpchat."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from smpchat.chat.errors import InputError
from smpchat.cli.arguments import number
from smpchat.cli.command_line import group
from smpchat.cli.environment import Environment, printable
from smpchat.cli.exit_status import CommandFailed, ExitStatus, status_of
from smpchat.cli.running import run
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.address import masked
from smpchat.relay.errors import RelayError
from smpchat.relay.folder import status as relay_status
from smpchat.relay.limits import CERTIFICATE_WARNING, runs_out
from smpchat.relay.options import BY_NAME, NO_FILES, NO_WEBSOCKET, OFF, parse_options
from smpchat.relay.surroundings import PASSWORD_VARIABLE, secret

if TYPE_CHECKING:
    from smpchat.protocol.version import VersionRange
    from smpchat.relay.folder import RelayInfo

app = group("The embedded relay, which comes with smpchat.", "smpchat relay status")


def _option(name: str, envvar: str | None = None) -> Any:
    option = BY_NAME[name]
    return typer.Option(None, option.flag, metavar=option.metavar, envvar=envvar, help=option.help)


HOST = typer.Option(
    [],
    BY_NAME["host"].flag,
    metavar=BY_NAME["host"].metavar,
    help=BY_NAME["host"].help,
    show_default=False,
)
PORT = typer.Option(
    0,
    "--port",
    parser=number(0, 65535),
    metavar="PORT",
    show_default=False,
    help="Port (default: the one used last; at first any free one).",
)
WS_PORT = typer.Option(
    None,
    "--ws-port",
    metavar="PORT|off",
    help="Serve WebSocket on this port too; 0 for any free port, or off (default: the one used last; at first off).",
)
FILES_PORT = typer.Option(
    None,
    "--files-port",
    metavar="PORT|off",
    help="Port for files, or off (default: the one used last; at first any free one).",
)
PASSWORD = _option("password", PASSWORD_VARIABLE)
PROXY = _option("proxy")
NEW_QUEUES = _option("new_queues")
QUOTA = _option("quota")
MAX_STORED = _option("max_stored")
MIN_FREE = _option("min_free")
KEEP_DAYS = _option("keep_days")
MAX_CONNECTIONS = _option("max_connections")
MAX_PER_ADDRESS = _option("max_connections_per_address")
MAX_NEW_QUEUES = _option("max_new_queues")
MAX_UNSENT = _option("max_unsent")
HANDSHAKE_TIME = _option("handshake_time")
WRITE_TIME = _option("write_time")
IDLE_TIME = _option("idle_time")
NEW_FILES = _option("new_files")
FILES_QUOTA = _option("files_quota")
FILES_HOURS = _option("files_hours")
MAX_FILE_CONNECTIONS = _option("max_file_connections")
MAX_FILES_PER_ADDRESS = _option("max_file_connections_per_address")
MAX_NEW_CHUNKS = _option("max_new_chunks")
METRICS_PORT = _option("metrics_port")


@app.command("run")
def run_here(
    context: typer.Context,
    host: list[str] = HOST,
    port: int = PORT,
    ws_port: str | None = WS_PORT,
    files_port: str | None = FILES_PORT,
    versions: str | None = typer.Option(
        None, "--smp-versions", metavar="FIRST-LAST", help="SMP versions to offer, such as 7-14 (default: all)."
    ),
    no_extensions: bool = typer.Option(
        False,
        "--no-extensions",
        help=(
            "Offer only standard SMP, without smpchat's extension. With the extension, one command can create and"
            " secure a queue; without it, clients need two commands."
        ),
    ),
    password: str | None = PASSWORD,
    proxy: str | None = PROXY,
    new_queues: str | None = NEW_QUEUES,
    quota: str | None = QUOTA,
    max_stored: str | None = MAX_STORED,
    min_free: str | None = MIN_FREE,
    keep_days: str | None = KEEP_DAYS,
    max_connections: str | None = MAX_CONNECTIONS,
    max_connections_per_address: str | None = MAX_PER_ADDRESS,
    max_new_queues: str | None = MAX_NEW_QUEUES,
    max_unsent: str | None = MAX_UNSENT,
    handshake_time: str | None = HANDSHAKE_TIME,
    write_time: str | None = WRITE_TIME,
    idle_time: str | None = IDLE_TIME,
    new_files: str | None = NEW_FILES,
    files_quota: str | None = FILES_QUOTA,
    files_hours: str | None = FILES_HOURS,
    max_file_connections: str | None = MAX_FILE_CONNECTIONS,
    max_file_connections_per_address: str | None = MAX_FILES_PER_ADDRESS,
    max_new_chunks: str | None = MAX_NEW_CHUNKS,
    metrics_port: str | None = METRICS_PORT,
    reset: bool = typer.Option(False, "--reset", help="Use the defaults, not the options remembered by `relay start`."),
) -> None:
    """Run the relay in this terminal and print its log.

    An option that you leave out has the value remembered by `relay start`, or else its default. Ctrl-C stops the relay.

    Example: smpchat relay run --host 0.0.0.0
    """
    typed = _typed_options(context)
    run(
        context,
        lambda environment: _run(environment, typed, (port, ws_port, files_port), versions, not no_extensions, reset),
    )


def _run(
    environment: Environment,
    typed: Mapping[str, str | None],
    ports: Ports,
    versions: str | None,
    extensions: bool,
    reset: bool,
) -> int:
    """Run the relay in this process until a signal stops it."""
    from smpchat.cli.views.relay import files_lines, relay_fields
    from smpchat.protocol.version import SMP_VERSIONS
    from smpchat.relay import daemon, loop
    from smpchat.relay.log import start_log

    port, ws_port, files_port = _ports(ports)
    options = parse_options(typed)
    offered = SMP_VERSIONS if versions is None else _offered(versions)
    environment.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    start_log(verbose=environment.verbose, quiet=environment.quiet)

    def ready(address: str, _: int) -> None:
        info = relay_status(environment.relay_folder)
        shown = masked(address)  # without the password, because this line is often kept in a log
        lines = [shown, *([f"WebSocket on port {info.ws_port}"] if info.ws_port else []), *files_lines(info)]
        environment.emit("relay", relay_fields(info) | {"pid": os.getpid()}, "\n".join(lines))

    async def until_stopped() -> None:
        await daemon.run_relay(
            environment.relay_folder,
            options,
            stop=loop.stop_on_signals(),
            port=port,
            ws_port=ws_port,
            files_port=files_port,
            reset=reset,
            versions=offered,
            extensions=extensions,
            ready=ready,
        )

    try:
        loop.run(until_stopped())
    except RelayError as error:
        if error.hint != RelayError.hint:
            raise
        raise CommandFailed(
            status_of(None), str(error), "Fix this and run the command again; -v shows more."
        ) from error
    return ExitStatus.OK


def _offered(versions: str) -> VersionRange:
    """The range of SMP versions that the user typed. Raises `InputError`."""
    from smpchat.protocol.version import SMP_VERSIONS, VersionRange

    try:
        offered = VersionRange.parse(versions)
    except DecodeError as error:
        raise InputError(f"{versions!r} is not a range of versions: {error.what}.", "Write it as 7-14.") from None
    if not (SMP_VERSIONS.contains(offered.minimum) and SMP_VERSIONS.contains(offered.maximum)):
        raise InputError(f"This relay supports SMP versions {SMP_VERSIONS}.", "Choose versions within this range.")
    return offered


@app.command("start")
def start(
    context: typer.Context,
    host: list[str] = HOST,
    port: int = PORT,
    ws_port: str | None = WS_PORT,
    files_port: str | None = FILES_PORT,
    password: str | None = PASSWORD,
    proxy: str | None = PROXY,
    new_queues: str | None = NEW_QUEUES,
    quota: str | None = QUOTA,
    max_stored: str | None = MAX_STORED,
    min_free: str | None = MIN_FREE,
    keep_days: str | None = KEEP_DAYS,
    max_connections: str | None = MAX_CONNECTIONS,
    max_connections_per_address: str | None = MAX_PER_ADDRESS,
    max_new_queues: str | None = MAX_NEW_QUEUES,
    max_unsent: str | None = MAX_UNSENT,
    handshake_time: str | None = HANDSHAKE_TIME,
    write_time: str | None = WRITE_TIME,
    idle_time: str | None = IDLE_TIME,
    new_files: str | None = NEW_FILES,
    files_quota: str | None = FILES_QUOTA,
    files_hours: str | None = FILES_HOURS,
    max_file_connections: str | None = MAX_FILE_CONNECTIONS,
    max_file_connections_per_address: str | None = MAX_FILES_PER_ADDRESS,
    max_new_chunks: str | None = MAX_NEW_CHUNKS,
    metrics_port: str | None = METRICS_PORT,
    reset: bool = typer.Option(False, "--reset", help="Forget the options of earlier starts."),
) -> None:
    """Start the relay in the background.

    The options are remembered for later starts. An option that you leave out keeps its remembered value, or else has
    its default.

    Example: smpchat relay start --quota 500
    """
    typed = _typed_options(context)
    run(context, lambda environment: _start(environment, typed, (port, ws_port, files_port), reset))


def _start(environment: Environment, typed: Mapping[str, str | None], ports: Ports, reset: bool) -> int:
    """Start the relay in the background; the typed options are remembered."""
    from smpchat.cli.views.relay import show_relay
    from smpchat.relay import background

    port, ws_port, files_port = _ports(ports)
    options = parse_options(typed)
    environment.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = background.start_background(
        environment.relay_folder,
        options,
        port=port,
        ws_port=ws_port,
        files_port=files_port,
        keep=True,
        reset=reset,
    )
    show_relay(environment, whole=True)
    _warn_of_files(environment)
    _warn_of_certificate(environment)
    as_kept = options if reset else options.over(info.options)
    served = _is_as_wanted(ws_port, info.ws_port) and _keeps_files_as_wanted(files_port, info)
    if not served or port not in (0, info.port) or info.options != as_kept:
        raise CommandFailed(
            ExitStatus.INPUT,
            "The relay was already running, and keeps its options.",
            "To change its options, run `smpchat relay stop`, then this command again.",
        )
    return ExitStatus.OK


def _typed_options(context: typer.Context) -> dict[str, str | None]:
    """The relay's options as the user typed them, under their names in `smpchat.relay.options`. The password can also
    come from an environment variable."""
    typed = {name: context.params[name] for name in BY_NAME}
    typed["host"] = ",".join(context.params["host"]) if context.params["host"] else None
    if typed["password"] is None:
        typed["password"] = secret(PASSWORD_VARIABLE)
    return typed


Ports = tuple[int, str | None, str | None]
"""Ports for messages, WebSocket and files. The last two are texts, because a user may also type *off*."""


def _ports(ports: Ports) -> tuple[int, int | None, int | None]:
    """The ports as numbers, as `smpchat.relay.daemon.run_relay` takes them. Raises `InputError`."""
    port, ws_port, files_port = ports
    return port, _port_or_off(ws_port), _port_or_off(files_port)


def _port_or_off(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "off":
        return NO_WEBSOCKET
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise InputError(f"{text!r} is not a port.", "Give a number up to 65535, 0 for any free port, or off.")
    return int(text)


def _is_as_wanted(wanted: int | None, served: int | None) -> bool:
    match wanted:
        case None:
            return True
        case _ if wanted == NO_WEBSOCKET:
            return served is None
        case 0:
            return served is not None
    return served == wanted


def _keeps_files_as_wanted(wanted: int | None, info: RelayInfo) -> bool:
    match wanted:
        case None:
            return True
        case _ if wanted == NO_FILES:
            return info.files_port == OFF
    return info.files_address is not None and wanted in (0, info.files_port)


@app.command("stop")
def stop(context: typer.Context) -> None:
    """Stop the relay until `relay start`.

    Until then, smpchat does not start it automatically. Example: smpchat relay stop
    """
    run(context, _stop)


def _stop(environment: Environment) -> int:
    """Stop the relay. smpchat does not start it automatically until the user runs `relay start`."""
    from smpchat.cli.views.relay import show_relay
    from smpchat.relay import background

    environment.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    background.stop(environment.relay_folder)
    show_relay(environment)
    return ExitStatus.OK


@app.command("stats")
def stats(context: typer.Context) -> None:
    """Show the running relay's counters. Example: smpchat --json relay stats"""
    run(context, _stats)


def _stats(environment: Environment) -> int:
    """Print the counters of the running relay."""
    from smpchat.relay import control

    figures = control.ask(environment.relay_folder, control.STATISTICS_PATH)
    environment.emit("stats", figures, "\n".join(f"{name:<28}{printable(value)}" for name, value in _lines(figures)))
    return ExitStatus.OK


def _lines(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        label = name.replace("_", " ")
        match value:
            case dict():
                yield label, ", ".join(f"{key}: {count:,}" for key, count in value.items() if count) or "none"
            case int() if name.endswith("_seconds"):
                yield label.removesuffix(" seconds"), str(timedelta(seconds=value))
            case int():
                yield label, f"{value:,}"


@app.command("rotate-certificate")
def rotate_certificate(context: typer.Context) -> None:
    """Renew the certificate that the relay shows to clients.

    The relay's address does not change. A running relay uses the new certificate after a restart.

    Example: smpchat relay rotate-certificate
    """
    run(context, _rotate_certificate)


def _rotate_certificate(environment: Environment) -> int:
    """Make a new certificate for the relay to show to clients; the relay's own certificate authority signs it."""
    from smpchat.cli.views.relay import relay_fields
    from smpchat.relay import daemon

    folder = environment.relay_folder
    before = relay_status(folder)
    expires = daemon.rotate_certificate(folder)
    environment.emit(
        "relay",
        {**relay_fields(before), "certificate_expires": f"{expires:%Y-%m-%dT%H:%M:%SZ}"},
        f"New certificate, valid until {expires:%Y-%m-%d}. The relay's address does not change.",
    )
    if before.state == "running":
        environment.notice(
            "Restart the relay to use the new certificate: `smpchat relay stop`, then `smpchat relay start`."
        )
    return ExitStatus.OK


@app.command("backup")
def back_up(context: typer.Context, file: Path = typer.Argument(metavar="FILE", help="A new tar file.")) -> None:
    """Back up the relay to a file, even while it runs. Example: smpchat relay backup relay.tar"""
    run(context, lambda environment: _back_up(environment, file))


def _back_up(environment: Environment, file: Path) -> int:
    """Write a backup of the relay to a file."""
    from smpchat.cli.leftovers import tell_leftovers
    from smpchat.relay.backup import back_up as write

    tell_leftovers(environment)
    size = write(environment.relay_folder, file)
    environment.emit("backup", {"file": str(file.absolute()), "bytes": size}, f"{file}: {size:,} bytes")
    environment.notice("Anyone with this file can pose as your relay. Keep it as safe as the relay itself.")
    environment.notice("The backup does not contain files that people send through the relay.")
    return ExitStatus.OK


@app.command("restore")
def restore(
    context: typer.Context, file: Path = typer.Argument(metavar="FILE", help="A file that `relay backup` wrote.")
) -> None:
    """Restore a relay from a backup.

    This works only if this computer has no relay yet. Example: smpchat relay restore relay.tar
    """
    run(context, lambda environment: _restore(environment, file))


def _restore(environment: Environment, file: Path) -> int:
    """Create this computer's relay from a backup."""
    from smpchat.cli.leftovers import tell_leftovers
    from smpchat.cli.views.relay import show_relay
    from smpchat.relay.backup import restore as read

    environment.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    tell_leftovers(environment)
    read(file, environment.relay_folder)
    show_relay(environment)
    return ExitStatus.OK


@app.command("status")
def status(
    context: typer.Context,
    show_password: bool = typer.Option(False, "--show-password", help="Print the address with its password."),
) -> None:
    """Show whether the relay runs, and its address. Example: smpchat relay status"""
    run(context, lambda environment: _status(environment, show_password))


def _status(environment: Environment, whole: bool) -> int:
    """Print whether the relay runs, and its addresses; if ``whole``, with the password in them."""
    from smpchat.cli.views.relay import show_relay

    show_relay(environment, whole=whole)
    _warn_of_files(environment)
    _warn_of_certificate(environment)
    return ExitStatus.OK


def _warn_of_files(environment: Environment) -> None:
    if relay_status(environment.relay_folder).files_trouble is not None:
        environment.notice(
            "Messages still work. To choose another port for files, run `smpchat relay stop`, then `smpchat relay"
            " start --files-port PORT`."
        )


def _warn_of_certificate(environment: Environment) -> None:
    from smpchat.relay import daemon

    left = daemon.certificate_left(environment.relay_folder)
    if left is not None and left < CERTIFICATE_WARNING:
        environment.notice(
            f"The relay's certificate {runs_out(left)}. `smpchat relay rotate-certificate` makes a new one."
        )
