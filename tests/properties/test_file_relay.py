"""Whatever bytes a client sends, the relay of files answers with one block, and changes nothing for who has no key."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.protocol.block import BLOCK_SIZE, pad_block
from smpchat.protocol.transmission import Transmission, signed_bytes
from smpchat.protocol.xftp.command_codec import decode_answer, encode_command
from smpchat.protocol.xftp.commands import (
    Err,
    FAck,
    FAdd,
    FDel,
    FGet,
    File,
    FileAnswer,
    FileCommand,
    FNew,
    FPut,
    Ok,
    Ping,
    SIds,
)
from smpchat.protocol.xftp.hello import FileClientHello
from smpchat.protocol.xftp.transmission import decode_block, encode_block
from smpchat.relay.files.commands import FileService
from smpchat.relay.files.connection import FileConnection
from smpchat.relay.files.counters import ConnectionCounts
from smpchat.relay.files.shares import Shares
from smpchat.relay.files.store import FileStore
from smpchat.testing.entropy import SeededEntropy
from tests.unit.relay.files.support import LIMITS, RECIPIENT_KEY, SENDER_KEY, SIZE, content, new_chunk, stored
from tests.unit.relay.support import NOW, an_identity

STRANGER = Ed25519PrivateKey(b"x" * 32)
SESSION = bytes(range(32))
GET = FGet(X25519PrivateKey(b"g" * 32).public())
TAGS = b"FNEW FADD FPUT FDEL FGET FACK PING".split()


class Body:
    """What comes with a request, in pieces."""

    def __init__(self, data: bytes, piece: int) -> None:
        self._data, self._piece = memoryview(data), piece

    async def take(self, size: int) -> bytes:
        taken, self._data = bytes(self._data[:size]), self._data[size:]
        return taken

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        while self._data:
            piece, self._data = self._data[: self._piece], self._data[self._piece :]
            yield piece


class Asking:
    """A request, and the answer to it."""

    def __init__(self, data: bytes, piece: int = 50_000) -> None:
        self.body, self.answered = Body(data, piece), b""

    async def answer(self, parts: Any) -> None:
        if isinstance(parts, Iterable):
            self.answered = b"".join(parts)
        else:
            self.answered = b"".join([bytes(part) async for part in parts])


class Relay:
    """One chunk, and a connection behind its hellos."""

    def __init__(self, folder: str, workers: ThreadPoolExecutor) -> None:
        self.store = FileStore(Path(folder, "files"), LIMITS)
        stored(self.store, 1)
        service = FileService(
            self.store,
            entropy=SeededEntropy("files"),
            clock=lambda: NOW,
            password=None,
            new_files=True,
            transfer=20,
            shares=Shares(LIMITS, lambda: NOW),
            index=workers,
            workers=workers,
        )
        self.counts = ConnectionCounts()
        self.connection = FileConnection(
            service,
            an_identity(),
            SESSION,
            "xftp/1",
            entropy=SeededEntropy("connection"),
            limits=LIMITS,
            clock=lambda: 0.0,
            counts=self.counts,
        )

    async def ask(self, data: bytes) -> bytes:
        asking = Asking(data)
        await self.connection.serve(asking)  # type: ignore[arg-type]
        return asking.answered

    async def shake_hands(self) -> None:
        await self.ask(b"")
        assert await self.ask(pad_block(FileClientHello(3, an_identity().fingerprint).encode())) == b""


def answers_to(bodies: Iterable[bytes], *, greeted: bool = True) -> list[bytes]:
    """What a relay says to each; its chunk is then as it was."""

    async def within(folder: str, workers: ThreadPoolExecutor) -> list[bytes]:
        relay = Relay(folder, workers)
        try:
            if greeted:
                await relay.shake_hands()
            said = [await relay.ask(body) for body in bodies]
            chunk = new_chunk(1)
            kept = relay.store.by_sender(chunk.sender_id)
            assert kept is not None and relay.store.is_there(kept) and relay.store.measure().reserved == 0
            assert relay.store.by_recipient(chunk.recipients[0].recipient_id) is not None
            with relay.store.open_chunk(kept) as file:
                assert file.read() == content(1)
            return said
        finally:
            relay.store.close()

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as workers:
        return asyncio.run(within(folder, workers))


def block(body: bytes, entity: bytes, key: Ed25519PrivateKey | None) -> bytes:
    auth = b"" if key is None else key.sign(signed_bytes(SESSION, b"", entity, body))
    return encode_block(Transmission(b"", entity, body, auth), SESSION)


def answer_in(block: bytes) -> FileAnswer:
    return decode_answer(decode_block(block, SESSION)[0].body)


def filled(body: bytes) -> bytes:
    """A block again of what was cut off, so that what fails can be read."""
    return body.ljust(BLOCK_SIZE, b"#")


ids = st.sampled_from([b"", new_chunk(1).sender_id, new_chunk(1).recipients[0].recipient_id, b"u" * 16])
bytes_of_commands = st.one_of(
    st.builds(lambda tag, rest: tag + rest, st.sampled_from(TAGS), st.binary(max_size=80)),
    st.sampled_from([encode_command(one) for one in (GET, FPut(), FDel(), FAck(), Ping(), FAdd((STRANGER.public(),)))]),
    st.binary(max_size=200),
)
blocks = st.builds(block, bytes_of_commands, ids, st.sampled_from([None, STRANGER])).map(
    lambda whole: whole.rstrip(b"#")
)
damaged = st.builds(
    lambda whole, at, byte: whole[:at] + bytes([byte]) + whole[at + 1 :],
    blocks,
    st.integers(0, 400),
    st.integers(0, 255),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.one_of(st.binary(max_size=300), blocks, damaged), st.booleans()), max_size=12))
def test_who_has_no_key_gets_one_block_and_changes_nothing(bodies: list[tuple[bytes, bool]]) -> None:
    for said in answers_to(filled(body) if whole else body for body, whole in bodies):
        assert len(said) == BLOCK_SIZE
        assert not isinstance(answer_in(said), Ok | File)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.one_of(st.binary(max_size=100), st.just(b"")), st.booleans()), max_size=6))
def test_hellos_of_any_bytes(bodies: list[tuple[bytes, bool]]) -> None:
    sent = (pad_block(body) if whole else body for body, whole in bodies)
    assert all(len(said) in (0, BLOCK_SIZE) for said in answers_to(sent, greeted=False))


owned = st.one_of(
    st.tuples(st.just(FPut()), st.just("s"), st.integers(0, SIZE + 1)),
    st.tuples(st.just(FAdd((STRANGER.public(),))), st.just("s"), st.just(0)),
    st.tuples(st.just(GET), st.just("r"), st.just(0)),
    st.tuples(st.just(FDel()), st.just("s"), st.just(0)),
    st.tuples(st.just(FAck()), st.just("r"), st.just(0)),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(owned, max_size=10))
def test_what_the_owners_of_a_chunk_do_in_any_order(steps: list[tuple[FileCommand, str, int]]) -> None:
    """A model of one chunk: registered, there or gone, its recipient with it."""

    async def within(folder: str, workers: ThreadPoolExecutor) -> None:
        relay = Relay(folder, workers)
        await relay.shake_hands()
        chunk = new_chunk(2)
        fields = FNew(SENDER_KEY.public(), SIZE, chunk.digest, (RECIPIENT_KEY.public(),))
        said = decode_answer(
            decode_block(await relay.ask(block(encode_command(fields), b"", SENDER_KEY)), SESSION)[0].body
        )
        assert isinstance(said, SIds)
        is_known, is_there, has_recipient = True, False, True
        for command, who, size in steps:
            entity, key = (said.sender_id, SENDER_KEY) if who == "s" else (said.recipient_ids[0], RECIPIENT_KEY)
            body = block(encode_command(command), entity, key) + content(2, SIZE + 1)[:size]
            whole = await relay.ask(body)
            answer = answer_in(whole[:BLOCK_SIZE])
            wrong = str(answer.error) if isinstance(answer, Err) else None
            match command:
                case _ if not is_known or (who == "r" and not has_recipient):
                    assert wrong == "AUTH"
                case FPut():
                    fits = size <= SIZE if is_there else size == SIZE
                    assert wrong == (None if fits else "SIZE")
                    is_there = is_there or fits
                case FGet():
                    assert wrong == (None if is_there else "NO_FILE")
                    assert len(whole) == BLOCK_SIZE + (SIZE + 16 if is_there else 0)
                case FDel():
                    assert wrong is None
                    is_known = is_there = False
                case FAck():
                    assert wrong is None
                    has_recipient = False
                case _:
                    assert wrong is None
        assert relay.store.measure().chunks == 1 + is_there and relay.store.measure().reserved == 0
        relay.store.close()

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as workers:
        asyncio.run(within(folder, workers))
