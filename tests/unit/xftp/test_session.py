"""What a session asks of a relay of files, and what becomes of it when something goes wrong."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from smpchat.client.errors import NoResponse, ResponseTimeout, SessionClosed, UnexpectedResponse
from smpchat.client.routes import Route
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PublicKey
from smpchat.encoding.reader import Buffer
from smpchat.encoding.record import replace
from smpchat.protocol.errors import CertificateTimeError, ErrorCode, IdentityError, LocalProtocolError, VersionError
from smpchat.protocol.version import VersionRange
from smpchat.protocol.xftp.commands import Err, File, FileAnswer, FNew, FPut, Ok, Pong, RIds, SIds
from smpchat.protocol.xftp.errors import AUTH, DIGEST, NO_FILE, QUOTA, XFTPError
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport import tls
from smpchat.transport.base import AddressRefused, ConnectFailed
from smpchat.transport.scope import Fence
from smpchat.xftp import session as module
from smpchat.xftp.errors import ChunkDamaged
from smpchat.xftp.routes import FileRoutes
from smpchat.xftp.session import FileSession, connect
from tests.unit.transport.support import NOW, an_identity
from tests.unit.xftp.relay import FileRelay, a_file_relay, a_session, in_loop

ENTROPY = SeededEntropy("sender")
SIZE = 262_144
CHUNK = ENTROPY.random(SIZE)
DIGEST_OF_CHUNK = hashlib.sha256(CHUNK).digest()
SENDER = Ed25519PrivateKey.generate(ENTROPY)
RECIPIENTS = [Ed25519PrivateKey.generate(ENTROPY) for _ in range(3)]
KEYS = [key.public() for key in RECIPIENTS]


async def uploaded(session: FileSession) -> tuple[bytes, tuple[bytes, ...]]:
    sender_id, ids = await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, KEYS)
    await session.put(sender_id, SENDER, SIZE, [CHUNK])
    return sender_id, ids


async def downloaded(session: FileSession, recipient_id: bytes, key: Ed25519PrivateKey = RECIPIENTS[0]) -> bytes:
    return b"".join([bytes(piece) async for piece in session.get(recipient_id, key, SIZE, DIGEST_OF_CHUNK)])


@in_loop
async def test_a_chunk_goes_up_comes_down_and_is_deleted() -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        await session.ping()
        sender_id, ids = await uploaded(session)
        for recipient_id, key in zip(ids, RECIPIENTS, strict=True):
            assert await downloaded(session, recipient_id, key) == CHUNK
        await session.acknowledge(ids[0], RECIPIENTS[0])
        with pytest.raises(XFTPError, match="AUTH"):
            await downloaded(session, ids[0])
        await session.delete(sender_id, SENDER)
        with pytest.raises(XFTPError, match="AUTH"):
            await downloaded(session, ids[1], RECIPIENTS[1])
        assert not relay.chunks and not session.closed.is_set() and len(relay.connections) == 1
        assert session.version == 3


@in_loop
async def test_many_recipients_take_several_commands() -> None:
    keys = [Ed25519PrivateKey.generate(ENTROPY).public() for _ in range(450)]
    async with a_file_relay() as relay, a_session(relay) as session:
        sender_id, ids = await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, keys)
        assert relay.commands == ["FNEW", "FADD", "FADD"]
        assert [relay.chunks[sender_id].recipients[one] for one in ids] == keys


@in_loop
async def test_a_body_may_be_any_pieces() -> None:
    async def pieces() -> AsyncIterator[Buffer]:
        yield CHUNK[:1]
        yield b""
        yield CHUNK[1:200_000]
        yield memoryview(CHUNK)[200_000:]

    async with a_file_relay() as relay, a_session(relay) as session:
        sender_id, ids = await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, KEYS)
        await session.put(sender_id, SENDER, SIZE, pieces())
        await session.put(sender_id, SENDER, SIZE, [CHUNK])  # a retry after a lost answer
        assert await downloaded(session, ids[0]) == CHUNK


@pytest.mark.parametrize("data", [CHUNK[:-1], CHUNK + b"\0", b""])
@in_loop
async def test_a_body_of_another_length_is_our_fault(data: bytes) -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        sender_id, _ = await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, KEYS)
        with pytest.raises(LocalProtocolError):
            await session.put(sender_id, SENDER, SIZE, [data])
        assert session.closed.is_set()
        assert relay.chunks[sender_id].data is None


@in_loop
async def test_a_password_goes_with_new_chunks_only() -> None:
    seen: list[bytes | None] = []

    def note(command: object) -> FileAnswer | None:
        seen.extend([command.password] if isinstance(command, FNew) else [])
        return None

    async with a_file_relay() as relay, a_session(relay) as session:
        relay.instead = note
        await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, KEYS, "secret")
        await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, KEYS)
    assert seen == [b"secret", None]


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [AUTH, QUOTA, ErrorCode.cmd("SYNTAX"), ErrorCode(("BLOCKED",), b"reason=spam")])
@in_loop
async def test_an_error_is_told_and_the_session_goes_on(code: ErrorCode) -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        relay.instead = lambda command: Err(code)
        with pytest.raises(XFTPError) as caught:
            await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, KEYS)
        assert caught.value.code == code
        relay.instead = lambda command: None
        await session.ping()


@pytest.mark.parametrize("code", [AUTH, QUOTA, DIGEST])
@in_loop
async def test_a_refused_upload_ends_the_session(code: ErrorCode) -> None:
    """The official server loses its window for good (xftp-wire trap 12)."""
    async with a_file_relay() as relay, a_session(relay) as session:
        sender_id, _ = await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, KEYS)
        relay.instead = lambda command: Err(code)
        with pytest.raises(XFTPError) as caught:
            await session.put(sender_id, SENDER, SIZE, [CHUNK])
        assert caught.value.code == code
        assert session.closed.is_set()
        with pytest.raises(SessionClosed):
            await session.ping()


@in_loop
async def test_what_was_never_uploaded_is_told() -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        _, ids = await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, KEYS)
        with pytest.raises(XFTPError) as caught:
            await downloaded(session, ids[0])
        assert caught.value.code == NO_FILE
        await session.ping()


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "first byte": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "tag": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "short": lambda data: data[:-1],
    "shorter than the chunk": lambda data: data[: SIZE - 1],
    "nothing": lambda data: b"",
    "long": lambda data: data + b"\0",
    "far too long": lambda data: data + bytes(10_000_000),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@in_loop
async def test_another_chunk_than_was_asked_for_is_noticed(change: Callable[[bytes], bytes]) -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        _, ids = await uploaded(session)
        relay.change = change
        with pytest.raises(ChunkDamaged) as caught:
            await downloaded(session, ids[0])
        assert caught.value.code == DIGEST
        assert "sent wrong data" in str(caught.value)
        assert session.closed.is_set()


@in_loop
async def test_a_chunk_with_another_digest_is_noticed() -> None:
    """The relay seals it itself: only the digest tells that it kept something else."""
    async with a_file_relay() as relay, a_session(relay) as session:
        sender_id, ids = await uploaded(session)
        relay.chunks[sender_id].data = bytes(SIZE)
        with pytest.raises(ChunkDamaged, match="digest"):
            await downloaded(session, ids[0])


@in_loop
async def test_a_key_of_low_order_is_noticed() -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        _, ids = await uploaded(session)
        relay.instead = lambda command: File(X25519PublicKey(bytes(32)), bytes(24))
        with pytest.raises(ChunkDamaged):
            await downloaded(session, ids[0])


@pytest.mark.parametrize(
    "answer",
    [
        Ok(),
        Pong(),
        SIds(b"", (b"a", b"b", b"c")),
        SIds(b"s", (b"a", b"b")),
        SIds(b"s", (b"a", b"a", b"b")),
        SIds(b"s", (b"", b"a", b"b")),
        RIds((b"a", b"b", b"c")),
    ],
)
@in_loop
async def test_an_answer_to_something_else_ends_the_session(answer: FileAnswer) -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        relay.instead = lambda command: answer
        with pytest.raises(UnexpectedResponse):
            await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, KEYS)
        assert session.closed.is_set()


# -- the end ----------------------------------------------------------------------------------------------------------


async def forever() -> None:
    await asyncio.Event().wait()


async def ticks() -> AsyncIterator[None]:
    """Nothing tells when the system has told this process that a connection ended."""
    while True:
        await asyncio.sleep(0.001)
        yield


def hurried(session: FileSession, seconds: float) -> None:
    """From now on the relay must answer within this time; what a test needs first takes as long as it takes."""
    session._response_timeout = seconds


@in_loop
async def test_silence_ends_the_session() -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        relay.before = forever
        hurried(session, 0.02)
        with pytest.raises(ResponseTimeout):
            await session.ping()
        assert session.closed.is_set()


@in_loop
async def test_an_upload_that_the_relay_does_not_take_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOWEST", 1e9)
    async with a_file_relay() as relay, a_session(relay) as session:
        sender_id, _ = await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, KEYS)
        relay.before = forever
        hurried(session, 0.02)
        with pytest.raises(ResponseTimeout):
            await session.put(sender_id, SENDER, SIZE, [CHUNK])


@in_loop
async def test_an_upload_that_goes_on_may_take_longer_than_an_answer() -> None:
    async def slowly() -> AsyncIterator[Buffer]:
        for start in range(0, SIZE, SIZE // 16):
            await asyncio.sleep(0.08)
            yield CHUNK[start : start + SIZE // 16]

    async with a_file_relay() as relay, a_session(relay, 1.0) as session:
        sender_id, _ = await session.create(SENDER, SIZE, DIGEST_OF_CHUNK, KEYS)
        await session.put(sender_id, SENDER, SIZE, slowly())
        assert relay.chunks[sender_id].data == CHUNK


@in_loop
async def test_a_download_without_end_in_sight_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something comes in time every time, and would for hours."""
    monkeypatch.setattr(module, "SLOWEST", 1e9)
    async with a_file_relay() as relay, a_session(relay) as session:
        _, ids = await uploaded(session)
        hurried(session, 0.15)
        relay.between = lambda: asyncio.sleep(0.1)
        with pytest.raises(ResponseTimeout):
            await downloaded(session, ids[0])
        assert session.closed.is_set()


@in_loop
async def test_a_download_that_goes_on_may_take_longer_than_an_answer() -> None:
    async with a_file_relay() as relay, a_session(relay, 1.0) as session:
        _, ids = await uploaded(session)
        relay.between = lambda: asyncio.sleep(0.08)
        assert await downloaded(session, ids[0]) == CHUNK


@in_loop
async def test_a_relay_that_has_gone_is_noticed_before_the_next_request() -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        await session.ping()
        await relay.connections[0].close()
        async with asyncio.timeout(5):
            async for _ in ticks():
                if session.closed.is_set():
                    break
        with pytest.raises(NoResponse, match="closed the connection"):
            await session.ping()


@in_loop
async def test_a_relay_that_goes_ends_what_is_under_way() -> None:
    async with a_file_relay() as relay, a_session(relay) as session:

        async def leave() -> None:
            await relay.connections[0].close()

        relay.before = leave
        with pytest.raises(SessionClosed):
            await session.ping()


@in_loop
async def test_one_request_at_a_time() -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        may = asyncio.Event()
        relay.before = may.wait
        first = asyncio.create_task(session.ping())
        await asyncio.sleep(0)
        with pytest.raises(LocalProtocolError, match="one request"):
            await session.ping()
        may.set()
        await first
        await session.ping()


@in_loop
async def test_a_download_that_is_left_ends_the_session() -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        _, ids = await uploaded(session)
        pieces = session.get(ids[0], RECIPIENTS[0], SIZE, DIGEST_OF_CHUNK)
        await anext(pieces)
        await pieces.aclose()
        assert session.closed.is_set()


@in_loop
async def test_a_request_that_is_cancelled_ends_the_session() -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        asked = asyncio.Event()

        async def note() -> None:
            asked.set()
            await forever()

        relay.before = note
        asking = asyncio.create_task(session.ping())
        await asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert session.closed.is_set()


# -- connecting -------------------------------------------------------------------------------------------------------


async def _connect(relay: FileRelay, **options: object) -> FileSession:
    entropy = SeededEntropy("client")
    arguments = {"network": FileRoutes(entropy), "entropy": entropy, "timeout": 10, "now": lambda: NOW, **options}
    return await connect(relay.server, **arguments)  # type: ignore[arg-type]


@in_loop
async def test_another_relay_than_the_address_names_is_left() -> None:
    async with a_file_relay() as relay:
        wrong = replace(relay.server, key_hash=bytes(32))
        entropy = SeededEntropy("client")
        with pytest.raises(IdentityError):
            await connect(wrong, network=FileRoutes(entropy), entropy=entropy, timeout=10, now=lambda: NOW)
        assert relay.commands == []


@in_loop
async def test_certificates_have_to_be_of_this_time() -> None:
    async with a_file_relay() as relay:
        with pytest.raises(CertificateTimeError):
            await _connect(relay, now=lambda: NOW - timedelta(days=40_000))


@in_loop
async def test_versions_have_to_overlap() -> None:
    async with a_file_relay() as relay:
        with pytest.raises(VersionError, match="the file relay must upgrade"):
            await _connect(relay, versions=VersionRange(4, 5))
        session = await _connect(relay, versions=VersionRange(1, 2))
        assert session.version == 2
        await session.ping()
        await session.close()


@in_loop
async def test_a_relay_of_messages_is_none_of_files() -> None:
    async def never(connection: object) -> None:
        raise AssertionError("a connection came about")

    listener = await tls.serve(an_identity("files"), "127.0.0.1", 0, never)
    relay = FileRelay()
    relay.port = listener.port
    try:
        with pytest.raises(ConnectFailed, match="cannot reach relay 127"):
            await _connect(relay)
    finally:
        await listener.close()


@in_loop
async def test_a_relay_that_says_nothing_is_left_in_time() -> None:
    async def silent(connection: object) -> None:
        await asyncio.Event().wait()

    listener = await tls.serve(
        an_identity("files"), "127.0.0.1", 0, silent, context=tls.server_context(an_identity("files"), ("xftp/1",))
    )
    relay = FileRelay()
    relay.port = listener.port
    try:
        with pytest.raises(ConnectFailed, match="no hello within"):
            await _connect(relay, timeout=0.2)
    finally:
        await listener.close()


@in_loop
async def test_a_relay_behind_the_fence_is_not_looked_for() -> None:
    async with a_file_relay() as relay:
        fenced = FileRoutes(SeededEntropy("client"), lambda server: Route(fence=Fence()))
        with pytest.raises(AddressRefused):
            await _connect(relay, network=fenced)
        assert not relay.connections


@in_loop
async def test_a_trace_names_commands_and_not_what_is_in_them(caplog: pytest.LogCaptureFixture) -> None:
    async with a_file_relay() as relay, a_session(relay) as session:
        with caplog.at_level(logging.DEBUG, logger="smpchat.trace"):
            await uploaded(session)
            relay.instead = lambda command: Err(AUTH) if not isinstance(command, FPut) else None
            with pytest.raises(XFTPError):
                await session.ping()
    lines = [line.split() for line in caplog.messages]
    assert [line[:2] for line in lines] == [
        [">", "FNEW"],
        ["<", "SIDS"],
        [">", "FPUT"],
        ["<", "OK"],
        [">", "PING"],
        ["<", "ERR"],
    ]
