"""Chunks for trying what keeps them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.relay.files.limits import FileLimits
from smpchat.relay.files.records import Chunk, NewChunk, NewRecipient
from smpchat.relay.files.store import FileStore, Upload
from tests.unit.relay.support import NOW

SIZE = 65_536
LIMITS = FileLimits(free=0)
SENDER_KEY, RECIPIENT_KEY = Ed25519PrivateKey(b"s" * 32), Ed25519PrivateKey(b"r" * 32)


def content(number: int, size: int = SIZE) -> bytes:
    return bytes([number]) * size


def sender_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def recipient_id(number: int) -> bytes:
    return bytes([255]) + number.to_bytes(15, "big")


def new_chunk(number: int, size: int = SIZE) -> NewChunk:
    return NewChunk(
        sender_id(number),
        SENDER_KEY.public(),
        size,
        hashlib.sha256(content(number, size)).digest(),
        (NewRecipient(recipient_id(number), RECIPIENT_KEY.public()),),
    )


def a_store(folder: Path, **limits: int) -> FileStore:
    return FileStore(folder / "files", replace(LIMITS, **limits))


def registered(store: FileStore, number: int, size: int = SIZE, now: int = NOW) -> Chunk:
    store.create(new_chunk(number, size), now)
    chunk = store.by_sender(sender_id(number))
    assert chunk is not None
    return chunk


def received(store: FileStore, chunk: Chunk, data: bytes) -> Upload:
    """The bytes of a chunk, durable and not yet in their place."""
    upload = store.begin(chunk)
    assert upload is not None
    upload.write(data)
    store.make_durable(upload)
    return upload


def stored(store: FileStore, number: int, size: int = SIZE, now: int = NOW) -> Chunk:
    chunk = registered(store, number, size, now)
    store.finish(received(store, chunk, content(number, size)))
    found = store.by_sender(sender_id(number))
    assert found is not None and found.there
    return found


def files_in(folder: Path) -> set[str]:
    """Names of all files of chunks, under way or there."""
    return {path.name for part in ("chunks", "incoming") for path in (folder / "files" / part).iterdir()}


def read(store: FileStore, chunk: Chunk) -> bytes:
    with store.open_chunk(chunk) as file:
        return file.read()
