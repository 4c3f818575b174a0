"""Files between us, the official relay of files and the reference's command for files."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smpchat.client.probe import Check
from smpchat.crypto.entropy import SystemEntropy
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.protocol.address import FileServer, FileServerAddress, parse_file_server
from smpchat.protocol.xftp.errors import AUTH, DIGEST, NO_FILE, QUOTA, SIZE, XFTPError
from smpchat.xftp.description import (
    DescribedChunk,
    DescribedReplica,
    FileDescription,
    Party,
    read_description,
    write_description,
)
from smpchat.xftp.encryption import decrypt_file, encrypt_file
from smpchat.xftp.probe import probe_files
from smpchat.xftp.routes import FileRoutes
from smpchat.xftp.session import FileSession, connect
from tests.interop.peers import official_file_server, xftp
from tests.interop.people import run

ENTROPY = SystemEntropy()
ROUTES = FileRoutes(ENTROPY)
SIZES = [0, 12, 65_536 - 16 - 8 - 8, 300_000, 5_000_000]
"""The third one fills its chunk to the last byte with the name ``a file``."""


@asynccontextmanager
async def session(server: FileServer) -> AsyncIterator[FileSession]:
    opened = await connect(server, network=ROUTES, entropy=ENTROPY, timeout=20)
    try:
        yield opened
    finally:
        await opened.close()


async def upload(content: bytes, *servers: FileServer, recipients: int = 1) -> tuple[str, list[str]]:
    """The sender's description and the recipients'; chunks go to the relays in turn."""
    sealed = io.BytesIO()
    key, nonce, digest, chunks = encrypt_file(io.BytesIO(content), sealed, "a file", len(content), ENTROPY)
    described: list[list[DescribedChunk]] = [[] for _ in range(recipients + 1)]
    at = 0
    for number, (size, chunk_digest) in enumerate(chunks, start=1):
        server = servers[number % len(servers)]
        keys = [Ed25519PrivateKey.generate(ENTROPY) for _ in range(recipients + 1)]
        async with session(server) as relay:
            sender_id, ids = await relay.create(keys[0], size, chunk_digest, [key.public() for key in keys[1:]])
            await relay.put(sender_id, keys[0], size, [sealed.getbuffer()[at : at + size]])
        at += size
        for parts, replica_id, replica_key in zip(described, (sender_id, *ids), keys, strict=True):
            replica = DescribedReplica(server, replica_id, replica_key)
            parts.append(DescribedChunk(number, size, chunk_digest, (replica,)))
    texts = [write_description(FileDescription(at, digest, key, nonce, tuple(parts))) for parts in described]
    return texts[0].replace("party: recipient", "party: sender"), texts[1:]


async def download(text: str) -> bytes:
    description = read_description(text)
    sealed, plain = io.BytesIO(), io.BytesIO()
    for chunk in description.chunks:
        replica = chunk.replicas[0]
        async with session(replica.server) as relay:
            async for piece in relay.get(replica.replica_id, replica.key, chunk.size, chunk.digest):
                sealed.write(piece)
    decrypt_file(sealed, plain, description.key, description.nonce, description.digest)
    return plain.getvalue()


@pytest.mark.parametrize("size", SIZES)
def test_what_the_reference_sends_arrives_here(size: int, tmp_path: Path) -> None:
    async def story(tmp_path: Path) -> None:
        async with official_file_server(tmp_path / "relay") as address:
            content = ENTROPY.random(size)
            (tmp_path / "a file").write_bytes(content)
            status, said = await xftp("send", tmp_path / "a file", tmp_path, "-s", address, "-n", "2")
            assert status == 0, said
            folder = tmp_path / "a file.xftp"
            for number in (1, 2):
                assert await download((folder / f"rcv{number}.xftp").read_text()) == content
            sent = read_description((folder / "snd.xftp.private").read_text(), Party.SENDER)
            for chunk in sent.chunks:
                async with session(chunk.replicas[0].server) as relay:
                    await relay.delete(chunk.replicas[0].replica_id, chunk.replicas[0].key)
            with pytest.raises(XFTPError) as caught:
                await download((folder / "rcv1.xftp").read_text())
            assert caught.value.code == AUTH

    run(story, tmp_path)


@pytest.mark.parametrize("size", SIZES)
def test_what_we_send_arrives_at_the_reference(size: int, tmp_path: Path) -> None:
    async def story(tmp_path: Path) -> None:
        async with official_file_server(tmp_path / "relay") as address:
            content = ENTROPY.random(size)
            sent, received = await upload(content, parse_file_server(address).server, recipients=4)
            for number, text in enumerate(received):
                (tmp_path / "description").write_text(text)
                target = tmp_path / f"to {number}"
                target.mkdir()
                status, said = await xftp("recv", tmp_path / "description", target, "-y")
                assert status == 0, said
                assert (target / "a file").read_bytes() == content
            assert await download_fails(received[0]) == AUTH, "the command gives its access up"
            (tmp_path / "sent").write_text(sent)
            status, said = await xftp("del", tmp_path / "sent", "-y")
            assert status == 0, said
            assert not list((tmp_path / "relay" / "files").iterdir())

    run(story, tmp_path)


async def download_fails(text: str) -> object:
    with pytest.raises(XFTPError) as caught:
        await download(text)
    return caught.value.code


def test_chunks_may_be_at_several_relays(tmp_path: Path) -> None:
    async def story(tmp_path: Path) -> None:
        async with official_file_server(tmp_path / "one") as one, official_file_server(tmp_path / "two") as two:
            content = ENTROPY.random(5_000_000)
            servers = [parse_file_server(address).server for address in (one, two)]
            _, (text,) = await upload(content, *servers)
            assert all(str(server) in text for server in servers)
            (tmp_path / "description").write_text(text)
            status, said = await xftp("recv", tmp_path / "description", tmp_path, "-y")
            assert status == 0, said
            assert (tmp_path / "a file").read_bytes() == content

    run(story, tmp_path)


def test_the_relays_refusals(tmp_path: Path) -> None:
    """Of a wrong digest, a missing upload, a wrong key, a size that does not exist, and a chunk without room."""

    async def story(tmp_path: Path) -> None:
        async with official_file_server(tmp_path / "relay", quota="1mb") as address:
            server = parse_file_server(address).server
            sender, recipient = Ed25519PrivateKey.generate(ENTROPY), Ed25519PrivateKey.generate(ENTROPY)
            keys = [recipient.public()]
            async with session(server) as relay:
                sender_id, (recipient_id,) = await relay.create(sender, 65_536, bytes(32), keys)
                with pytest.raises(XFTPError) as caught:
                    await anext(relay.get(recipient_id, recipient, 65_536, bytes(32)))
                assert caught.value.code == NO_FILE
                with pytest.raises(XFTPError) as caught:
                    await anext(relay.get(recipient_id, sender, 65_536, bytes(32)))
                assert caught.value.code == AUTH
                with pytest.raises(XFTPError) as caught:
                    await relay.create(sender, 65_537, bytes(32), keys)
                assert caught.value.code == SIZE
                await relay.ping()
                with pytest.raises(XFTPError) as caught:
                    await relay.put(sender_id, sender, 65_536, [bytes(65_536)])
                assert caught.value.code == DIGEST and relay.closed.is_set()
            async with session(server) as relay:
                size = 4 * 1024 * 1024
                sender_id, _ = await relay.create(sender, size, bytes(32), keys)
                with pytest.raises(XFTPError) as caught:
                    await relay.put(sender_id, sender, size, [bytes(size)])
                assert caught.value.code == QUOTA and relay.closed.is_set()

    run(story, tmp_path)


def test_a_relay_is_tested(tmp_path: Path) -> None:
    async def probed(address: FileServerAddress) -> list[Check]:
        checks: list[Check] = []
        await probe_files(address, checks.append, network=ROUTES, entropy=ENTROPY, timeout=20)
        return checks

    async def story(tmp_path: Path) -> None:
        async with official_file_server(tmp_path / "relay", password="word") as text:
            address = parse_file_server(text)
            checks = await probed(replace(address, password="word"))
            assert [check.name for check in checks if check.ok] == ["connect", "hello", "FNEW", "FPUT", "FGET", "FDEL"]
            for wrong in (address, replace(address, password="other")):
                *_, last = await probed(wrong)
                assert last.name == "FNEW" and "password" in last.detail

    run(story, tmp_path)
