"""``python -m smpchat.relay FOLDER``: one relay in the foreground, stopped by SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from smpchat.encoding.reader import DecodeError
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay import loop
from smpchat.relay.background import EXIT_NEWER, EXIT_RUNNING, EXIT_TURNED_OFF
from smpchat.relay.daemon import run_relay
from smpchat.relay.errors import RelayError, RelayOptionRefused, RelayRunning, RelayStoreNewer, RelayTurnedOff
from smpchat.relay.log import start_log
from smpchat.relay.options import NO_WEBSOCKET, OPTIONS, Options, parse_options
from smpchat.relay.surroundings import PASSWORD_VARIABLE, secret, take_secrets

_log = logging.getLogger("smpchat.relay")


def _versions(text: str) -> VersionRange:
    try:
        versions = VersionRange.parse(text)
    except DecodeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not (SMP_VERSIONS.contains(versions.minimum) and SMP_VERSIONS.contains(versions.maximum)):
        raise argparse.ArgumentTypeError(f"{text}: this relay supports versions {SMP_VERSIONS}")
    return versions


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port number")
    return int(text)


def _port_or_off(text: str) -> int:
    return NO_WEBSOCKET if text == "off" else _port(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a relay. Returns the exit status: 0, 1 after an error, or an ``EXIT_…`` of `smpchat.relay.background`."""
    parser = argparse.ArgumentParser(prog="python -m smpchat.relay", description="Run the smpchat relay.")
    parser.add_argument("folder", type=Path, help="where the relay keeps certificates, queues, messages and files")
    parser.add_argument("--port", type=_port, default=0, help="default: the port used before, or any free port")
    for kind, flag in (("WebSocket", "--ws-port"), ("files", "--files-port")):
        parser.add_argument(
            flag,
            type=_port_or_off,
            help=f"port for {kind}; 0: the last port, or any free port; off: none; default: as at the last start",
        )
    for option in OPTIONS:
        if option.name != "password":
            parser.add_argument(option.flag, metavar=option.metavar, help=option.help)
    parser.add_argument("--keep", action="store_true", help="use these options for later starts too")
    parser.add_argument("--reset", action="store_true", help="use the defaults instead of the saved options")
    parser.add_argument("--unless-stopped", action="store_true", help="do not start after `smpchat relay stop`")
    parser.add_argument("--versions", type=_versions, default=SMP_VERSIONS, help="SMP versions to offer, such as 7-14")
    parser.add_argument("--no-extensions", action="store_true", help="offer only standard SMP")
    parser.add_argument("-v", "--verbose", action="store_true", help="log details that help to find a fault")
    arguments_read = parser.parse_args(arguments)
    typed = {option.name: getattr(arguments_read, option.name, None) for option in OPTIONS}
    typed["password"] = secret(PASSWORD_VARIABLE)
    try:
        options = parse_options(typed)
    except RelayOptionRefused as error:
        parser.error(str(error))
    start_log(verbose=arguments_read.verbose)
    if sys.platform != "win32":
        os.umask(0o077)
    try:
        loop.run(_run(arguments_read, options))
    except RelayRunning as error:
        _log.error("%s", error)
        return EXIT_RUNNING
    except RelayTurnedOff as error:
        _log.info("%s", error)
        return EXIT_TURNED_OFF
    except RelayStoreNewer as error:
        _log.error("%s", error)
        return EXIT_NEWER
    except RelayError as error:
        _log.error("%s", error)
        return 1
    return 0


async def _run(arguments: argparse.Namespace, options: Options) -> None:
    await run_relay(
        arguments.folder,
        options,
        stop=loop.stop_on_signals(),
        port=arguments.port,
        ws_port=arguments.ws_port,
        files_port=arguments.files_port,
        keep=arguments.keep,
        reset=arguments.reset,
        unless_stopped=arguments.unless_stopped,
        versions=arguments.versions,
        extensions=not arguments.no_extensions,
    )


if __name__ == "__main__":
    take_secrets()
    sys.exit(main())
