from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from smpchat.crypto.entropy import SystemEntropy
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.protocol.address import parse_server
from smpchat.protocol.commands import Ok, Send
from smpchat.protocol.version import VersionRange
from smpchat.relay import background
from smpchat.relay.__main__ import main
from smpchat.relay.background import EXIT_RUNNING, EXIT_TURNED_OFF, start_background, stop
from smpchat.relay.control import STATISTICS_PATH, ask
from smpchat.relay.daemon import certificate_left, rotate_certificate, run_relay
from smpchat.relay.errors import (
    RelayError,
    RelayNotRunning,
    RelayPortTaken,
    RelayRunning,
    RelayStartFailed,
    RelayStoreError,
    RelayTurnedOff,
)
from smpchat.relay.files.store import INDEX
from smpchat.relay.folder import (
    CONTROL,
    DATABASE,
    FILES,
    LOCK,
    LOG,
    STATE,
    STOPPED,
    FolderLock,
    RelayInfo,
    is_locked,
    is_turned_off,
    read_state,
    status,
    turn_off,
)
from smpchat.relay.options import NO_FILES, NO_WEBSOCKET, NOTHING_CHOSEN, OFF, Options
from smpchat.transport import certificates, tls


async def run_until_ready(
    folder: Path, chosen: Options = NOTHING_CHOSEN, **how: object
) -> tuple[asyncio.Task[None], asyncio.Event, str, int]:
    stopping = asyncio.Event()
    ready: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    relay = asyncio.create_task(
        run_relay(
            folder,
            chosen,
            stop=stopping,
            ready=lambda address, port: ready.set_result((address, port)),
            **how,  # type: ignore[arg-type]
        )
    )
    waiting: set[asyncio.Future[object]] = {relay, ready}  # type: ignore[arg-type]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=20)
    if relay.done():
        relay.result()
    address, port = ready.result()
    return relay, stopping, address, port


def in_foreground(folder: Path, chosen: Options = NOTHING_CHOSEN, **how: object) -> tuple[str, int, RelayInfo]:
    """Runs a relay until it is ready, stops it; address, port and what its status was meanwhile."""

    async def within() -> tuple[str, int, RelayInfo]:
        relay, stopping, address, port = await run_until_ready(folder, chosen, **how)
        info = status(folder)
        stopping.set()
        await relay
        return address, port, info

    return asyncio.run(within())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose relay, if a test leaves one, is stopped."""
    folder = tmp_path / "relay"
    yield folder
    if folder.exists():
        (folder / STATE).exists() and stop(folder)


# --- in the foreground ---------------------------------------------------------------------------------------------


def test_the_first_start_makes_an_identity_and_the_address_stays(folder: Path) -> None:
    address, port, info = in_foreground(folder)
    assert info == RelayInfo("running", address, os.getpid(), port, files_port=info.files_port)
    parsed = parse_server(address)
    assert parsed.server.hosts == ("127.0.0.1",)
    assert parsed.server.port_number == port
    assert status(folder) == RelayInfo("stopped", address, None, port, files_port=info.files_port)
    assert in_foreground(folder)[:2] == (address, port)


def test_websocket_is_served_where_asked_for_and_from_then_on(folder: Path) -> None:
    assert in_foreground(folder)[2].ws_port is None
    info = in_foreground(folder, ws_port=0)[2]
    assert info.ws_port not in (None, 0, info.port)
    assert in_foreground(folder)[2] == in_foreground(folder, ws_port=0)[2] == info
    assert status(folder).ws_port == info.ws_port
    assert in_foreground(folder, ws_port=NO_WEBSOCKET)[2] == replace(info, ws_port=None)
    assert in_foreground(folder)[2].ws_port is None


def test_files_are_kept_from_the_first_start_on_where_they_were_before(folder: Path) -> None:
    address, port, info = in_foreground(folder)
    assert info.files_port not in (None, OFF, port) and info.files_trouble is None
    assert info.files_address == f"xftp{address.removeprefix('smp').rpartition(':')[0]}:{info.files_port}"
    assert in_foreground(folder)[2] == in_foreground(folder, files_port=0)[2] == info
    assert status(folder).files_address == info.files_address
    without = in_foreground(folder, files_port=NO_FILES)[2]
    assert without == replace(info, files_port=OFF) and without.files_address is None
    assert in_foreground(folder)[2] == without  # which is remembered, too
    assert in_foreground(folder, Options(password="secret"), files_port=info.files_port)[2].files_address == (
        info.files_address.replace("@", ":secret@")
    )


def test_a_relay_of_before_it_kept_files_keeps_them_from_its_next_start_on(folder: Path) -> None:
    in_foreground(folder)
    state = json.loads((folder / STATE).read_text())
    del state["files_port"], state["files_trouble"]
    (folder / STATE).write_text(json.dumps(state))
    assert status(folder).files_port is None is status(folder).files_address
    assert in_foreground(folder)[2].files_port


def test_messages_go_on_where_files_cannot_be_kept_and_the_state_says_why(folder: Path) -> None:
    info = in_foreground(folder)[2]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", info.files_port or 0))
        taken.listen()
        without = in_foreground(folder)[2]
        assert without.files_trouble == f"Port {info.files_port} is used by another program."
        assert (without.files_port, without.files_address) == (info.files_port, None)
        assert status(folder).files_trouble == without.files_trouble
        with pytest.raises(RelayPortTaken, match=f"^Port {info.files_port} is used by another program.$"):
            in_foreground(folder, files_port=info.files_port)
    assert in_foreground(folder)[2] == info
    (folder / FILES / INDEX).write_bytes(b"no database")
    damaged = in_foreground(folder)[2]
    assert damaged.files_trouble is not None and "index of files" in damaged.files_trouble
    with pytest.raises(RelayStoreError):
        in_foreground(folder, files_port=0)
    assert status(folder).state == "stopped"


def test_a_websocket_port_in_use_is_named_and_nothing_is_left_open(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(RelayPortTaken, match=f"^Port {number} is used by another program.$"):
            in_foreground(folder, ws_port=number)
    assert in_foreground(folder)[2].ws_port is None


@pytest.mark.skipif(sys.platform == "win32", reason="mode bits")
def test_only_the_owner_can_read_the_files(folder: Path) -> None:
    in_foreground(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in (STATE, DATABASE, LOCK):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_the_password_is_part_of_the_address(folder: Path) -> None:
    address, _, _ = in_foreground(folder, Options(password="secret"))
    assert parse_server(address).password == "secret"


def test_a_wildcard_is_printed_as_an_address_of_this_machine(folder: Path) -> None:
    address, _, _ = in_foreground(folder, Options(host="0.0.0.0"))
    assert parse_server(address).server.hosts[0] not in ("0.0.0.0", "")


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
@pytest.mark.parametrize(
    ("host", "tried"),
    [("::", ["127.0.0.1", "::1"]), ("[::1]", ["::1"]), ("::1", ["::1"]), ("127.0.0.1,[::1]", ["127.0.0.1", "::1"])],
)
def test_an_address_that_is_printed_works(folder: Path, host: str, tried: list[str]) -> None:
    async def within() -> None:
        relay, stopping, address, port = await run_until_ready(folder, Options(host=host))
        server = parse_server(address).server
        assert server.port_number == port and "::" not in server.hosts
        for one in (*server.hosts, *tried):
            _, writer = await asyncio.open_connection(one, port)
            writer.close()
        stopping.set()
        await relay

    asyncio.run(within())


def test_a_second_relay_on_the_folder_is_refused(folder: Path) -> None:
    async def within() -> None:
        relay, stopping, _, _ = await run_until_ready(folder)
        with pytest.raises(RelayRunning):
            await run_relay(folder, stop=asyncio.Event())
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "smpchat.relay", str(folder), stderr=asyncio.subprocess.DEVNULL
        )
        assert await process.wait() == EXIT_RUNNING
        stopping.set()
        await relay

    asyncio.run(within())


def test_a_port_in_use_is_not_replaced_by_another(folder: Path) -> None:
    _, port, _ = in_foreground(folder)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(RelayPortTaken, match=str(port)):
        in_foreground(folder)
    assert in_foreground(folder)[1] == port


def test_an_address_of_another_machine_is_refused_in_words(folder: Path) -> None:
    with pytest.raises(RelayError, match=r"cannot listen on 192\.0\.2\.1"):
        in_foreground(folder, Options(host="192.0.2.1"))


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RelayError):
        in_foreground(tmp_path / "file")
    with pytest.raises(RelayError):
        start_background(tmp_path / "file")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"address": null, "port": 0, "pid": null}', '{"port": "1"}'])
def test_a_damaged_state_file_is_not_taken_for_a_first_start(folder: Path, content: str) -> None:
    in_foreground(folder)
    (folder / STATE).write_text(content)
    with pytest.raises(RelayError, match=r"relay\.json"):
        status(folder)
    with pytest.raises(RelayError, match=r"relay\.json"):
        in_foreground(folder)
    (folder / STATE).unlink()


def test_the_state_of_a_relay_that_was_killed_is_not_believed(folder: Path) -> None:
    info = in_foreground(folder)[2]
    state = json.loads((folder / STATE).read_text())
    (folder / STATE).write_text(json.dumps(state | {"pid": os.getpid()}))
    assert status(folder) == replace(info, state="stopped", pid=None)
    assert stop(folder).state == "stopped"  # and this process was sent no signal


def test_the_lock_is_seen_while_it_is_held(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    lock = FolderLock(tmp_path)
    assert lock.acquire()
    assert is_locked(tmp_path)
    assert not FolderLock(tmp_path).acquire()
    lock.release()
    lock.release()
    assert not is_locked(tmp_path)


def test_a_starting_relay_bears_with_somebody_who_looks_at_the_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`is_locked` holds the lock for a moment; that is not another relay."""
    tries = []
    acquire = FolderLock.acquire

    def busy_at_first(self: FolderLock) -> bool:
        tries.append(self)
        return len(tries) > 2 and acquire(self)

    monkeypatch.setattr(FolderLock, "acquire", busy_at_first)
    in_foreground(folder)
    assert len(tries) == 3


def test_one_that_was_wanted_on_demand_looks_at_the_mark_once_it_has_the_lock(folder: Path) -> None:
    turn_off(folder)
    with pytest.raises(RelayTurnedOff):
        in_foreground(folder, unless_stopped=True)
    assert {path.name for path in folder.iterdir()} == {LOCK, STOPPED}
    assert not is_locked(folder)
    in_foreground(folder)  # as `relay run` does, which nobody does unasked


def test_one_that_runs_after_stop_is_used_by_who_wants_it_on_demand(folder: Path) -> None:
    """`relay stop`, then `relay run`; or `relay stop` was killed after it left the mark."""

    async def within() -> RelayInfo:
        relay, stopping, _, _ = await run_until_ready(folder)
        turn_off(folder)
        used = await asyncio.to_thread(start_background, folder, on_demand=True)
        stopping.set()
        await relay
        return used

    assert asyncio.run(within()).pid == os.getpid()
    assert is_turned_off(folder)


# --- options kept --------------------------------------------------------------------------------------------------


def test_options_hold_for_one_run_unless_they_are_kept(folder: Path) -> None:
    kept = Options(password="secret", quota=7)
    assert parse_server(in_foreground(folder, Options(password="once"))[0]).password == "once"
    assert parse_server(in_foreground(folder)[0]).password is None
    assert in_foreground(folder, kept, keep=True)[2].options == kept
    address, _, info = in_foreground(folder, Options(password="once"))
    assert (parse_server(address).password, info.options) == ("once", kept)
    address, _, info = in_foreground(folder, Options(quota=8), keep=True)
    assert (parse_server(address).password, info.options) == ("secret", Options(password="secret", quota=8))
    assert status(folder).options == info.options  # also once it is stopped


def test_reset_goes_by_the_defaults_and_forgets_only_if_it_keeps(folder: Path) -> None:
    kept = Options(password="secret")
    in_foreground(folder, kept, keep=True)
    address, _, info = in_foreground(folder, reset=True)
    assert (parse_server(address).password, info.options) == (None, kept)
    assert in_foreground(folder, reset=True, keep=True)[2].options == NOTHING_CHOSEN
    assert parse_server(in_foreground(folder)[0]).password is None


def test_options_with_which_it_does_not_start_are_not_kept(folder: Path) -> None:
    in_foreground(folder)
    with pytest.raises(RelayError):
        in_foreground(folder, Options(host="192.0.2.1"), keep=True)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(RelayPortTaken):
        in_foreground(folder, Options(metrics_port=taken.getsockname()[1]), keep=True)
    assert in_foreground(folder)[2].options == NOTHING_CHOSEN


def test_options_kept_hold_for_a_start_on_demand(folder: Path) -> None:
    info = start_background(folder, Options(password="secret", quota=7), keep=True)
    stop(folder)
    later = start_background(folder)
    assert (later.address, later.options) == (info.address, info.options)
    assert later.pid is not None
    os.kill(later.pid, signal.SIGTERM)  # so that it was not stopped on purpose
    deadline = time.monotonic() + 10
    while is_locked(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    again = start_background(folder, on_demand=True)
    assert (again.address, again.options) == (info.address, Options(password="secret", quota=7))


@pytest.mark.parametrize("options", ['{"quota": 0}', '{"unknown": 1}', "[]"])
def test_options_that_cannot_have_been_kept_are_told(folder: Path, options: str) -> None:
    in_foreground(folder)
    state = (folder / STATE).read_text()
    (folder / STATE).write_text(state.replace('"options": {}', f'"options": {options}'))
    with pytest.raises(RelayError, match=r"relay\.json"):
        status(folder)
    (folder / STATE).unlink()


# --- figures -------------------------------------------------------------------------------------------------------


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_it_tells_its_figures_while_it_runs(folder: Path) -> None:
    port = unused_port()

    async def within() -> tuple[dict[str, object], str]:
        relay, stopping, _, _ = await run_until_ready(folder, Options(metrics_port=port))
        figures = await asyncio.to_thread(ask, folder, STATISTICS_PATH)
        with await asyncio.to_thread(urlopen, f"http://127.0.0.1:{port}/metrics") as page:
            text = page.read().decode()
            assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        stopping.set()
        await relay
        return figures, text

    figures, text = asyncio.run(within())
    assert (figures["queues"], figures["accepted"]) == (0, 0)
    assert "\nsmpchat_relay_queues 0\n" in text
    assert not (folder / CONTROL).exists()
    with pytest.raises(RelayNotRunning):
        ask(folder, STATISTICS_PATH)


# --- certificates --------------------------------------------------------------------------------------------------


def test_a_certificate_that_ran_out_is_told_and_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, _, _ = in_foreground(folder)
    left = certificate_left(folder)
    assert left is not None and left.days > 900_000
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "_LIFETIME", timedelta(days=1.5))
        rotate_certificate(folder, clock=lambda: time.time() - 86_400 * 0.9)  # it begins a day earlier
    left = certificate_left(folder)
    assert left is not None and left.days == -1
    with pytest.raises(RelayError, match="rotate-certificate makes a new one"):
        in_foreground(folder)
    expires = rotate_certificate(folder)
    assert expires > datetime.now(UTC)
    assert in_foreground(folder)[0] == address


def test_where_there_are_no_certificates_none_is_replaced(folder: Path) -> None:
    folder.mkdir()
    assert certificate_left(folder) is None
    with pytest.raises(RelayError, match="no relay identity"):
        rotate_certificate(folder)


# --- in the background ---------------------------------------------------------------------------------------------


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_started_stopped_and_started_again(folder: Path) -> None:
    info = start_background(folder)
    assert info.state == "running"
    assert info.pid is not None and info.pid != os.getpid()
    assert info == status(folder) == start_background(folder) == start_background(folder, on_demand=True)
    if sys.platform != "win32":
        assert os.getsid(info.pid) == info.pid

    stopped = stop(folder)
    assert stopped == replace(info, state="stopped", pid=None)
    with pytest.raises(RelayTurnedOff):
        start_background(folder, on_demand=True)
    assert status(folder).state == "stopped"

    again = start_background(folder)
    assert (again.address, again.port) == (info.address, info.port)
    assert stop(folder).state == "stopped"
    deadline = time.monotonic() + 10
    while alive(again.pid or 0) and time.monotonic() < deadline:
        time.sleep(0.01)  # the lock is given back a moment before the process ends
    assert not alive(again.pid or 0)


@pytest.mark.parametrize("on_demand", [True, False])
def test_one_that_is_stopped_before_it_has_the_lock_does_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, on_demand: bool
) -> None:
    spawn, processes = background._spawn, []

    def stopped_before(*how: Any) -> tuple[int, subprocess.Popen[bytes]]:
        assert stop(folder).state == "stopped"
        start, process = spawn(*how)
        processes.append(process)
        assert process.wait(20) == EXIT_TURNED_OFF
        return start, process

    monkeypatch.setattr(background, "_spawn", stopped_before)
    with pytest.raises(RelayTurnedOff):
        start_background(folder, on_demand=on_demand)
    assert len(processes) == 1
    assert is_turned_off(folder) and not is_locked(folder)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_the_background_process_inherits_no_descriptors(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        os.set_inheritable(held.fileno(), True)
        inode = os.readlink(f"/proc/self/fd/{held.fileno()}")
        info = start_background(folder)
        descriptors = Path(f"/proc/{info.pid}/fd")
        links = {os.readlink(entry) for entry in descriptors.iterdir()}
    assert inode not in links
    assert os.readlink(descriptors / "0") == os.readlink(descriptors / "1") == "/dev/null"
    assert os.readlink(descriptors / "2") == str(folder / LOG)


def test_a_killed_relay_is_started_again_at_the_same_port(folder: Path) -> None:
    info = start_background(folder)
    assert info.pid is not None
    os.kill(info.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while status(folder).state == "running" and time.monotonic() < deadline:
        time.sleep(0.01)  # the operating system drops the lock with the process
    again = start_background(folder, on_demand=True)
    assert (again.address, again.port) == (info.address, info.port)
    assert again.pid != info.pid


def test_options_reach_the_background_process(folder: Path) -> None:
    from tests.unit.relay.support import PATIENCE

    info = start_background(folder, Options(password="secret"), versions=VersionRange(7, 14), extensions=False)
    assert parse_server(info.address or "").password == "secret"
    command_line = Path(f"/proc/{info.pid}/cmdline")
    if command_line.exists():  # on Linux
        assert b"secret" not in command_line.read_bytes()

    async def hello() -> bytes:
        connection = await tls.connect(["127.0.0.1"], info.port or 0, timeout=PATIENCE)
        try:
            return await connection.receive()
        finally:
            await connection.close()

    block = asyncio.run(hello())
    assert block[2:6] == b"\x00\x07\x00\x0e"
    assert b"smpchat" not in block


def test_why_it_did_not_start(folder: Path) -> None:
    _, port, _ = in_foreground(folder)
    with socket.create_server(("127.0.0.1", port)) as other:
        other.close()  # only the number was wanted
    blocker = socket.create_server(("127.0.0.1", port))
    blocker.close()
    (folder / DATABASE).write_bytes(b"not a database" * 100)
    with pytest.raises(RelayStartFailed, match="database"):
        start_background(folder)
    (folder / DATABASE).unlink()


def test_one_that_never_becomes_ready_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_accepts", lambda info: False)
    with pytest.raises(RelayStartFailed, match=r"not accept connections after 1\.5 seconds"):
        start_background(folder, timeout=1.5)
    deadline = time.monotonic() + 10
    while read_state(folder).pid is None and time.monotonic() < deadline:
        time.sleep(0.01)


def test_what_was_stored_is_there_after_a_restart(folder: Path) -> None:
    """Queue, key and message outlive the process; the test of crashes does it under load."""
    from smpchat.client.connect import connect
    from smpchat.crypto.keys import X25519PrivateKey
    from smpchat.protocol.commands import Ids, Key, Msg, New, Sok, Sub

    key, sender_key = Ed25519PrivateKey(b"\x01" * 32), Ed25519PrivateKey(b"\x02" * 32)

    async def before(address: str) -> Ids:
        session = await connect(
            parse_server(address).server, entropy=SystemEntropy(), timeout=10, on_event=lambda *_: None
        )
        ids = await session.request(
            New(key.public(), X25519PrivateKey(b"\x03" * 32).public(), subscribe=False), b"", key
        )
        assert isinstance(ids, Ids)
        assert await session.request(Key(sender_key.public()), ids.rcv_id, key) == Ok()
        assert await session.request(Send(False, b"kept"), ids.snd_id, sender_key) == Ok()
        await session.close()
        return ids

    async def after(address: str, ids: Ids) -> None:
        arrived: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        session = await connect(
            parse_server(address).server,
            entropy=SystemEntropy(),
            timeout=10,
            on_event=lambda _, entity, message: arrived.set_result((entity, type(message))),
        )
        assert await session.request(Sub(), ids.rcv_id, key) == Sok()
        async with asyncio.timeout(10):
            assert await arrived == (ids.rcv_id, Msg)
        await session.close()

    info = start_background(folder)
    ids = asyncio.run(before(info.address or ""))
    stop(folder)
    info = start_background(folder)
    asyncio.run(after(info.address or "", ids))


@pytest.mark.parametrize(
    "arguments",
    [["--port", "65536"], ["--port", "x"], ["--versions", "5-18"], ["--versions", "a"], ["--quota", "0"]],
)
def test_wrong_arguments_are_usage_errors(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), *arguments])
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err
