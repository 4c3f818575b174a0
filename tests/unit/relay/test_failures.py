"""Connections that come to nothing: every one is counted, and a minute has one line."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from smpchat.relay.failures import Failure, FailureLog, failure_of
from smpchat.relay.server import RelayServer
from smpchat.relay.store import SQLiteStore
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.transport.base import ConnectionClosed
from tests.unit.relay.support import NOW, an_identity


def test_a_minute_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        log = FailureLog()
        for _ in range(1000):
            log.note(Failure.NO_TLS)
        log.note(Failure.IN_SMP)
        log.note(Failure.SILENT)
        assert [line.split(":")[1].split()[0] for line in caplog.messages] == ["1"]
        await asyncio.sleep(59)
        assert len(caplog.messages) == 1
        await asyncio.sleep(2)
        assert "999 did not speak TLS" in caplog.messages[1] and "; 1 spoke TLS, but did not" in caplog.messages[1]
        await asyncio.sleep(600)
        assert len(caplog.messages) == 2
        log.note(Failure.IN_TLS)
        assert len(caplog.messages) == 3
        log.note(Failure.IN_TLS)
        log.write()  # the relay stops: nothing is kept back
        assert len(caplog.messages) == 4

    run_jumping(check)


def test_how_it_ended_says_what_it_was() -> None:
    assert failure_of(ConnectionResetError("the peer closed the connection")) is Failure.SILENT
    assert failure_of(TimeoutError()) is Failure.SILENT
    assert failure_of(ConnectionClosed("the client's request was refused")) is Failure.IN_TLS
    assert failure_of(ssl.SSLError(1, "no shared cipher")) is Failure.IN_TLS


@pytest.mark.parametrize(
    "said",
    [b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 5223\r\n", b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n"],
    ids=["PROXY", "HTTP", "SSH"],
)
def test_who_speaks_no_tls_is_counted_and_told(
    said: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        noted: asyncio.Queue[Failure] = asyncio.Queue()
        note = FailureLog.note

        def noting(log: FailureLog, failure: Failure) -> None:
            note(log, failure)
            noted.put_nowait(failure)

        monkeypatch.setattr(FailureLog, "note", noting)
        store = SQLiteStore(":memory:")
        relay = RelayServer(store, an_identity(), entropy=SeededEntropy("relay"), clock=lambda: NOW)
        await relay.start("127.0.0.1")
        try:

            def knock() -> None:
                with socket.create_connection(("127.0.0.1", relay.port), timeout=10) as client:
                    client.sendall(said)
                    while client.recv(1000):
                        continue

            def look() -> None:
                socket.create_connection(("127.0.0.1", relay.port), timeout=10).close()

            for one, told in ((knock, Failure.NO_TLS), (look, Failure.SILENT)):
                await asyncio.to_thread(one)
                assert await asyncio.wait_for(noted.get(), 20) is told
            figures = await relay.statistics()
            assert (figures.accepted, figures.tls_failed, figures.handshakes_failed) == (0, 2, 0)
        finally:
            await relay.close()
            store.close()

    asyncio.run(check())
    [line] = [message for message in caplog.messages if "failed connections" in message]
    assert "1 did not speak TLS" in line and "127.0.0.1" not in line
