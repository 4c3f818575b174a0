"""``doctor``: checks this installation, this profile and its relays, one thing after another.

The line of a failed check says what is wrong. The exit status changes only if a required check fails. Reaching a relay
is not a required check, so `doctor` can succeed without an Internet connection.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import metadata
from typing import TYPE_CHECKING

import typer

from smpchat.agent.errors import AgentError
from smpchat.chat.errors import ChatError
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.running import run
from smpchat.cli.text import plural, printable, shortened
from smpchat.cli.times import span
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record
from smpchat.relay.errors import RelayError
from smpchat.relay.folder import is_turned_off
from smpchat.relay.folder import status as relay_status
from smpchat.transport.base import TransportError

if TYPE_CHECKING:
    from pathlib import Path

    from smpchat.chat.service.connecting import ChatService
    from smpchat.client.network import Network
    from smpchat.crypto.keys import X448PrivateKey
    from smpchat.crypto.ratchet import Ratchet
    from smpchat.protocol.address import SMPServer, SMPServerAddress

if TYPE_CHECKING:
    from rich.text import Text

app = Program()
MINIMUM_PYTHON = (3, 11)
_LIBRARIES = ("cryptography", "pynacl", "filelock", "platformdirs", "prompt_toolkit", "rich", "segno", "typer")
_CLOCK_TOLERANCE = 300.0
_RELAY_TIMEOUT = 5.0
_PROBE = 65_536
"""Bytes that are written to find out whether the disk has space: about as many as a message takes in the database and
the database's log."""
_FIRST_MESSAGE = "d4a944eb0f78c936953fa836e14db11d89e82e4f153f673bc55f416406a4d703"
"""What the self-test must find: the SHA-256 of "hello", padded to 64 bytes and encrypted with `_ratchet`."""


class Check(Record):
    """The result of one check. ``required``: whether smpchat needs what was checked, so that a failure changes the exit
    status."""

    name: str
    ok: bool
    detail: str
    required: bool = True


@app.command()
def doctor(context: typer.Context) -> None:
    """Check the installation, profile and relays. Example: smpchat doctor"""
    run(context, _doctor, reads_config=False)


async def _doctor(environment: Environment) -> int:
    """Run every check and print its result. Raises `CommandFailed` if a required check failed."""
    checks: list[Check] = []
    for look in (_python, _versions, _libraries, _crypto, _post_quantum, _home, _config, _profile, _terminal):
        for check in look(environment):
            checks.append(check)
            _show(environment, check)
    for check in await _relays(environment):
        checks.append(check)
        _show(environment, check)
    failed = [check.name for check in checks if check.required and not check.ok]
    if failed:
        raise CommandFailed(
            ExitStatus.INPUT,
            f"{plural(len(failed), 'required check')} failed: {', '.join(failed)}.",
            "Fix what they report, then run `smpchat doctor` again.",
        )
    return ExitStatus.OK


def _show(environment: Environment, check: Check) -> None:
    fields = {
        "name": check.name,
        "ok": check.ok,
        "detail": environment.as_typed(check.detail),
        "required": check.required,
    }
    environment.emit("check", fields, lambda: _line(environment, check))


def _line(environment: Environment, check: Check) -> Text:
    from rich.text import Text

    from smpchat.cli.views.layout import indented

    word, style = ("ok", "green") if check.ok else ("failed", "bold red") if check.required else ("note", "bold")
    marks = {"ok": "✓", "failed": "✗", "note": "!"}
    line = Text.assemble((marks[word] if environment.symbols else f"{word:6}", style), f"  {check.name:13} ")
    return line.append(indented(environment, printable(environment.as_typed(check.detail)), len(line), len(line)))


# -- this installation ------------------------------------------------------------------------------------------------


def _python(_: Environment) -> Iterator[Check]:
    yield Check("python", sys.version_info >= MINIMUM_PYTHON, f"{platform.python_version()} on {platform.system()}")


def _versions(_: Environment) -> Iterator[Check]:
    from smpchat.cli import versions

    yield Check("versions", True, versions.listed(versions.software()))
    yield Check("protocols", True, versions.listed(versions.protocols()))


def _libraries(_: Environment) -> Iterator[Check]:
    versions = {name: _version(name) for name in _LIBRARIES}
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    missing = [name for name, version in versions.items() if version is None]
    yield Check("libraries", not missing, f"missing: {', '.join(missing)}" if missing else found)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _crypto(_: Environment) -> Iterator[Check]:
    from smpchat.crypto.ratchet import encrypt

    digest = hashlib.sha256(encrypt(_ratchet(), b"hello", 64)[1]).hexdigest()
    right = digest == _FIRST_MESSAGE
    yield Check("crypto", right, "self-test passed" if right else "self-test failed")


def _ratchet() -> Ratchet:
    """A joiner's first ratchet, made from keys that each repeat one byte. Making it and encrypting with it tests X448,
    HKDF and AES-GCM."""
    from smpchat.crypto.agreement import X3DHKeys, agree_joiner
    from smpchat.crypto.keys import X448PrivateKey
    from smpchat.crypto.ratchet import Ratchet

    def key(byte: int) -> X448PrivateKey:
        return X448PrivateKey(bytes([byte]) * 56)

    secret = agree_joiner(X3DHKeys(key(0x11), key(0x22)), key(0x33).public(), key(0x44).public())
    return Ratchet.joiner(secret, key(0x44).public(), key(0x55), 3)


def _post_quantum(_: Environment) -> Iterator[Check]:
    from smpchat.crypto import kem

    there = kem.available()
    detail = "sntrup761 available" if there else "sntrup761 missing: `pip install pqcrypto` adds it"
    yield Check("post-quantum", there, detail, required=False)


def _terminal(environment: Environment) -> Iterator[Check]:
    columns, rows = shutil.get_terminal_size()
    encoding = sys.stdout.encoding or "unknown"
    kind = "symbols and drawing" if environment.symbols else "plain output"
    detail = f"{encoding}, {columns} by {rows}, TERM={os.environ.get('TERM', '')}: {kind}"
    yield Check("terminal", True, detail, required=False)


# -- this profile -----------------------------------------------------------------------------------------------------


def _home(environment: Environment) -> Iterator[Check]:
    home = environment.home
    made = home.is_dir()
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    problem = _writing_problem(there)
    if problem is not None:
        yield Check("home", False, f"cannot write to {there}: {problem}")
    else:
        yield Check("home", True, f"{home}" if made else f"{home} will be created at first use")
    if not made:
        return
    yield from _leftovers(home)
    mode = stat.S_IMODE(home.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        yield Check(
            "home-mode", False, f"other users can read {home}; `chmod 700` with this path prevents that", required=False
        )


def _leftovers(home: Path) -> Iterator[Check]:
    from smpchat.storage.under_way import left_behind

    left = [str(path) for path in left_behind(home)]
    if left:
        detail = (
            f"left by an interrupted command: {', '.join(left)}; the next export, import, backup or restore cleans up"
        )
        yield Check("leftovers", False, detail, required=False)


def _writing_problem(folder: Path) -> str | None:
    """Why no file can be written into a folder; None if a file can be written. The function tries to write a file,
    because mode bits do not show that a disk is full or read-only."""
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".smpchat-") as file:
            file.write(bytes(_PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None


def _config(environment: Environment) -> Iterator[Check]:
    from smpchat.cli.commands.config import routes_through_nothing

    try:
        environment.check_config()
    except ChatError as error:
        yield Check("config", False, str(error))
    else:
        if routes_through_nothing(environment):
            yield Check(
                "config", False, "private-routing is on, and you have not added a relay: `smpchat server add ADDRESS`"
            )
            return
        there = [str(path) for path in environment.config_files() if path.exists()]
        yield Check("config", True, f"settings from {' and '.join(there)}" if there else "no config file (optional)")


def _profile(environment: Environment) -> Iterator[Check]:
    if not environment.is_used():
        yield Check("profile", True, f"{environment.profile} will be created at first use")
        return
    try:
        with closing(environment.open()) as service:
            people = plural(len(service.contacts()), "contact")
            waiting = plural(len(service.invitations()), "invitation")
            yield Check("profile", True, f"{environment.profile}: {people}, {waiting} not used yet")
            yield _schema(service)
            busy = service.is_online()
            yield Check(
                "online",
                True,
                "another smpchat is online for this profile" if busy else "no smpchat is online for this profile",
            )
            yield _clock(environment, service)
    except (AgentError, ChatError) as error:
        yield Check("profile", False, str(error))


def _schema(service: ChatService) -> Check:
    """Whether the profile's database has the schema that smpchat gave it.

    If another program has changed the schema, that may be harmful: an added trigger could change or copy what smpchat
    stores.
    """
    from smpchat.chat.service.archive import schema_difference

    other = schema_difference(service)
    if other is None:
        return Check("schema", True, "the profile's database is intact")
    return Check("schema", False, f"someone changed the profile's database: {other}")


def _clock(environment: Environment, service: ChatService) -> Check:
    """Whether this computer's clock is behind. Relays date messages, so with a clock that is behind, new messages seem
    to come from the future."""
    newest = max((m.sent_at for view in service.contacts() for m in service.history(view.alias, 1)), default=0.0)
    ahead = newest - environment.now()
    if ahead > _CLOCK_TOLERANCE:
        return Check(
            "clock",
            False,
            f"a message is dated {span(ahead * 1000)} in the future, so this computer's clock is behind",
            required=False,
        )
    return Check("clock", True, "clock is not behind", required=False)


# -- relays -----------------------------------------------------------------------------------------------------------


async def _relays(environment: Environment) -> list[Check]:
    import asyncio

    from smpchat.chat.online.connectivity import network_of
    from smpchat.protocol.address import SMPServerAddress

    if environment.is_used():
        try:
            with closing(environment.open()) as service:
                preferred = [entry.address for entry in service.servers() if entry.preferred]
                network, embedded = network_of(service, environment.relay()), environment.relay()
                waiting = _who_writes_there(service)
                others = [SMPServerAddress(server) for server in waiting if not embedded.owns(server)]
                others = [address for address in others if address.server not in {one.server for one in preferred}]
                # all relays are tried at once, because each may take five seconds to time out
                found = await asyncio.gather(
                    *(_reach(service, network, one, waiting.get(one.server, [])) for one in [*preferred, *others])
                )
                return [*found] if preferred else [*_embedded(environment), *found]
        except (AgentError, ChatError, DecodeError) as error:
            return [Check("relay", False, str(error))]
    return list(_embedded(environment))


def _embedded(environment: Environment) -> Iterator[Check]:
    from smpchat.protocol.address import masked

    try:
        info = relay_status(environment.relay_folder)
        if info.state != "running" and is_turned_off(environment.relay_folder):
            yield Check("relay", False, "the embedded relay is stopped: `smpchat relay start`", required=False)
            return
    except RelayError as error:
        yield Check("relay", False, str(error))
        return
    if info.state != "running":
        yield Check("relay", True, "the embedded relay starts on demand")
        return
    yield Check("relay", True, f"the embedded relay is running at {masked(info.address or '')}")
    if info.files_trouble is not None:
        hint = "Run `smpchat relay stop`, then `smpchat relay start` (for another port: `--files-port PORT`)."
        yield Check("files", False, f"the embedded relay does not store files. {info.files_trouble} {hint}", False)
    elif info.files_address is not None:
        yield Check("files", True, f"the embedded relay stores files at {masked(info.files_address)}")


def _who_writes_there(service: ChatService) -> dict[SMPServer, list[str]]:
    """For each relay with queues of ours, the aliases of the contacts whose messages come through this relay."""
    from smpchat.agent.store.connections import receive_queue
    from smpchat.chat.store.memberships import connections_of

    found: dict[SMPServer, list[str]] = {server: [] for server in service.own_relays()}
    tx = service.database.connection
    for view in service.contacts():
        queues = (receive_queue(tx, each) for each in connections_of(tx, view.contact.connection_id))
        for server in {queue.server for queue in queues if queue is not None}:
            found[server].append(view.alias)
    return found


async def _reach(service: ChatService, network: Network, address: SMPServerAddress, waiting: list[str]) -> Check:
    """Connect to a relay, do the SMP handshake, and disconnect.

    Args:
        waiting: Aliases of contacts whose messages come through this relay.
    """
    import asyncio

    from smpchat.client.connect import connect
    from smpchat.protocol.errors import ProtocolError

    name = shortened(address.server.host)
    loop = asyncio.get_running_loop()
    start = loop.time()
    ignore: Callable[..., None] = lambda *_: None  # noqa: E731
    try:
        session = await connect(
            address.server, entropy=service.entropy, timeout=_RELAY_TIMEOUT, on_event=ignore, network=network
        )
    except (TransportError, ProtocolError) as error:
        silent = f"; until it answers, nothing arrives from {_names(waiting)}" if waiting else ""
        return Check("relay", False, f"{name}: {error}{silent}", required=False)
    took = loop.time() - start
    version = session.version
    await session.close()
    return Check("relay", True, f"{name} answered in {span(took * 1000)}, SMP version {version}", required=False)


def _names(aliases: list[str]) -> str:
    """The first three aliases, and the number of the remaining ones."""
    named = ", ".join(shortened(alias) for alias in aliases[:3])
    return named if len(aliases) <= 3 else f"{named} and {len(aliases) - 3} others"
