from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from smpchat.chat import troubles
from smpchat.client.diagnosis import trouble_of
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import replace
from smpchat.home import Home
from smpchat.own_relay import BackgroundRelay
from smpchat.protocol.address import FileServer, FileServerAddress, SMPServer
from smpchat.relay import background
from smpchat.relay.folder import STATE, FolderLock, RelayInfo, prepare_folder, turn_off, write_state
from smpchat.relay.options import OFF
from smpchat.transport.base import ConnectFailed, OwnRelayFailed, OwnRelayFolderRefused, OwnRelayStopped


def test_whoever_knows_the_relays_fingerprint_cannot_pass_for_it(tmp_path: Path) -> None:
    """The relay of this computer is connected to by no proxy: a contact's address must not be taken for it."""
    folder, key_hash = prepare_folder(tmp_path / "relay"), b"k" * 32
    relay = BackgroundRelay(folder)
    at_home = SMPServer(("127.0.0.1",), "5223", key_hash)
    assert not relay.owns(at_home), "it was never started"
    write_state(folder, RelayInfo("running", f"{SMPServer(('me.example',), '5223', key_hash)}", None, 5223))
    assert relay.owns(SMPServer(("me.example",), "5223", key_hash))
    assert relay.owns(at_home), "it was started for this computer only before"
    for hosts in (("elsewhere.example",), ("elsewhere.example", "me.example"), ("127.0.0.1", "elsewhere.example")):
        assert not relay.owns(SMPServer(hosts, "5223", key_hash))
    assert not relay.owns(SMPServer(("me.example",), "5223", b"x" * 32))
    (tmp_path / "relay" / STATE).write_text("damaged")
    assert not relay.owns(at_home), "whoever starts it is told"


def test_nor_for_where_it_keeps_files(tmp_path: Path) -> None:
    folder, key_hash = prepare_folder(tmp_path / "relay"), b"k" * 32
    relay = BackgroundRelay(folder)
    at_home = FileServer(("127.0.0.1",), "5224", key_hash)
    assert not relay.owns_files(at_home), "it was never started"
    info = RelayInfo("running", f"{SMPServer(('me.example',), '5223', key_hash)}", None, 5223, files_port=5224)
    write_state(folder, info)
    assert relay.owns_files(FileServer(("me.example",), "5224", key_hash)) and relay.owns_files(at_home)
    assert not relay.owns_files(FileServer(("elsewhere.example",), "5224", key_hash))
    assert not relay.owns_files(FileServer(("me.example",), "5224", b"x" * 32))
    write_state(folder, replace(info, files_port=OFF))
    assert not relay.owns_files(at_home)


def test_where_the_relay_of_this_computer_keeps_files_and_why_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_hash = b"k" * 32
    info = RelayInfo("running", f"{SMPServer(('127.0.0.1',), '5223', key_hash)}", 1, 5223, files_port=5224)

    def found(info: RelayInfo) -> FileServerAddress:
        monkeypatch.setattr(background, "start_background", lambda *_, **__: info)
        return asyncio.run(BackgroundRelay(tmp_path).start_files())

    assert found(info) == FileServerAddress(FileServer(("127.0.0.1",), "5224", key_hash))
    with pytest.raises(OwnRelayFailed, match=r"does not store files\. Port 5224 is used by another program\."):
        found(replace(info, files_trouble="Port 5224 is used by another program."))
    with pytest.raises(OwnRelayFailed, match="`--files-port off`"):
        found(replace(info, files_port=OFF))
    with pytest.raises(OwnRelayFailed, match="`smpchat relay stop`, then"):
        found(replace(info, files_port=None))


def test_a_relay_that_runs_is_asked_once_whether_it_answers_and_one_that_does_not_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, server = prepare_folder(tmp_path / "relay"), SMPServer(("127.0.0.1",), "5223", b"k" * 32)
    lock, listener, started = FolderLock(folder), socket.create_server(("127.0.0.1", 0)), []
    listener.setblocking(False)
    running = RelayInfo("running", str(server), 1, listener.getsockname()[1])

    def asked() -> int:
        """How often since the last time."""
        for count in range(10):
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                return count
        raise AssertionError

    def start(*_: object, on_demand: bool) -> RelayInfo:
        assert on_demand
        started.append(1)
        return running

    async def main() -> None:
        relay = BackgroundRelay(folder)
        for pid, times in ((1, 1), (1, 0), (3, 1)):
            write_state(folder, replace(running, pid=pid))
            assert (await relay.start()).server == server
            assert (len(started), asked()) == (0, times), "each process is asked once"
        listener.close()
        await relay.start()
        assert not started, "whoever connects finds it out"
        await BackgroundRelay(folder).start()
        assert len(started) == 1, "it does not answer"
        lock.release()
        await relay.start()
        assert len(started) == 2, "it has ended"

    monkeypatch.setattr(background, "start_background", start)
    assert lock.acquire()
    asyncio.run(main())


@pytest.mark.parametrize(
    ("stopped", "error", "kind"),
    [
        (True, OwnRelayStopped, Trouble.OWN_RELAY_STOPPED),
        (False, OwnRelayFailed, Trouble.OWN_RELAY_FAILED),
    ],
)
def test_what_keeps_the_relay_of_this_computer_from_running_is_no_question_of_the_network(
    tmp_path: Path, stopped: bool, error: type[ConnectFailed], kind: Trouble
) -> None:
    folder = tmp_path / "relay"
    if stopped:
        turn_off(folder)
    else:
        folder.write_text("a file in the folder's place")
    with pytest.raises(error) as failed:
        asyncio.run(BackgroundRelay(folder).start())
    assert trouble_of(failed.value) is kind
    assert "`smpchat relay start`" in troubles.HINTS[kind] and "online" not in troubles.HINTS[kind]


def test_a_folder_of_the_relay_that_cannot_be_used_is_not_the_relays_fault(tmp_path: Path) -> None:
    (tmp_path / "relay").write_text("not a folder")
    with pytest.raises(OwnRelayFolderRefused, match="cannot be used: "):
        asyncio.run(Home(tmp_path).relay().start())
