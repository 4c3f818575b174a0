"""``relay``."""

from __future__ import annotations

import asyncio
import os
import signal

from smpchat.chat.errors import InputError
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay import daemon
from smpchat.relay.folder import status as relay_status


def show_relay(environment: Environment) -> None:
    """Print the embedded relay."""
    info = relay_status(environment.relay_folder)
    line = f"relay: {info.state}" + (f", {info.address}" if info.address else "")
    environment.emit("relay", {"state": info.state, "address": info.address, "pid": info.pid}, line)


def start(environment: Environment) -> int:
    """Start the relay in the background."""
    environment.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    daemon.start_background(environment.relay_folder)
    show_relay(environment)
    return ExitStatus.OK


def stop(environment: Environment) -> int:
    """Stop the relay, and its starting on demand."""
    environment.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    daemon.stop(environment.relay_folder)
    show_relay(environment)
    return ExitStatus.OK


def status(environment: Environment) -> int:
    """Print whether the relay runs."""
    show_relay(environment)
    return ExitStatus.OK


async def run(
    environment: Environment, host: str, port: int, versions: str | None, extensions: bool, password: str | None
) -> int:
    """Run the relay here until interrupted."""
    offered = SMP_VERSIONS
    if versions is not None:
        try:
            offered = VersionRange.parse(versions)
        except DecodeError as error:
            raise InputError(f"{versions!r} is no range of versions: {error.what}.", "Write it as 7-14.") from None
        if not (SMP_VERSIONS.contains(offered.minimum) and SMP_VERSIONS.contains(offered.maximum)):
            raise InputError(f"This relay speaks SMP versions {SMP_VERSIONS}.", "Choose a range within them.")
    environment.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stopping.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))

    def ready(address: str, _: int) -> None:
        environment.emit("relay", {"state": "running", "address": address, "pid": os.getpid()}, address)

    await daemon.run_relay(
        environment.relay_folder,
        host,
        port,
        stop=stopping,
        versions=offered,
        extensions=extensions,
        password=password,
        ready=ready,
    )
    return ExitStatus.OK
