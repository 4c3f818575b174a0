"""A link to a file: what it leads to comes, over a real connection to a relay of files, or nothing does."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.store import file_folder
from smpchat.chat.errors import FileDamaged, FileUnavailable, InputError
from smpchat.chat.online import fetching
from smpchat.chat.online.fetching import LinkFetcher
from smpchat.chat.online.patience import RelayDown
from smpchat.chat.service.connecting import ChatService
from smpchat.client.trouble import Trouble
from smpchat.crypto.entropy import SystemEntropy
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.record import replace
from smpchat.protocol.address import FileServer
from smpchat.relay.files.server import FileRelay
from smpchat.xftp import fetching as low
from smpchat.xftp.description import DescribedChunk, DescribedReplica, FileDescription, write_description
from smpchat.xftp.encryption import encrypt_file
from smpchat.xftp.links import FileLink, read_file_link, redirect_to, write_file_link
from smpchat.xftp.session import FileSession, connect
from tests.unit.chat.online.test_connectivity import NoRelay
from tests.unit.relay.files.serving import a_file_relay
from tests.unit.relay.support import NOW, an_identity

ENTROPY = SystemEntropy()
TODAY = partial(connect, now=lambda: datetime.fromtimestamp(NOW, UTC))
"""Connects at the time of the certificates."""
CONTENT = bytes(range(251)) * 1_600  # two chunks of 256 KiB and some of 64


class Uploads:
    """Somebody who puts files at a relay and makes links of them."""

    def __init__(self, relay: FileRelay, service: ChatService) -> None:
        self.server = FileServer(("127.0.0.1",), str(relay.port), an_identity().fingerprint)
        self.fetcher = LinkFetcher(service, NoRelay(), agreed=True, patience=20)
        self.service = service
        self._keys: list[tuple[bytes, Ed25519PrivateKey]] = []

    async def session(self) -> FileSession:
        opened: FileSession = await TODAY(self.server, network=self.fetcher._routes, entropy=ENTROPY, timeout=10)
        return opened

    async def upload(self, content: bytes, name: str = "film.mp4", *, here: bool = True) -> FileDescription:
        sealed = io.BytesIO()
        key, nonce, digest, chunks = encrypt_file(io.BytesIO(content), sealed, name, len(content), ENTROPY)
        session, described, begin = await self.session(), [], 0
        for number, (size, chunk_digest) in enumerate(chunks, 1):
            sender, recipient = Ed25519PrivateKey.generate(ENTROPY), Ed25519PrivateKey.generate(ENTROPY)
            sender_id, (recipient_id,) = await session.create(sender, size, chunk_digest, [recipient.public()])
            if here:
                await session.put(sender_id, sender, size, [sealed.getvalue()[begin : begin + size]])
            replicas = (DescribedReplica(self.server, recipient_id, recipient),)
            described.append(DescribedChunk(number, size, chunk_digest, replicas))
            self._keys.append((sender_id, sender))
            begin += size
        await session.close()
        return FileDescription(begin, digest, key, nonce, tuple(described))

    async def delete(self) -> None:
        session = await self.session()
        for sender_id, key in self._keys:
            await session.delete(sender_id, key)
        await session.close()

    async def redirected(self, described: FileDescription) -> FileDescription:
        first = await self.upload(write_description(described).encode(), "../redirect.yaml")
        return replace(first, redirect=redirect_to(described))

    async def fetched(self, described: FileDescription, place: Path) -> Path:
        first = self.service.read_file_link(write_file_link(FileLink(described)))
        return await self.fetcher.file(await self.fetcher.description(first), place, lambda *_: None)


@asynccontextmanager
async def uploads(tmp_path: Path) -> AsyncIterator[Uploads]:
    service = ChatService(tmp_path / "home" / "alice", "alice")
    try:
        async with a_file_relay(tmp_path / "relay") as relay:
            yield Uploads(relay, service)
    finally:
        service.close()


@pytest.fixture(autouse=True)
def at_the_time_of_the_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "open_session", TODAY)


def run(tmp_path: Path, scenario: Callable[[Uploads], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(60), uploads(tmp_path) as world:
            await scenario(world)

    asyncio.run(whole())
    assert not list((tmp_path / "home").rglob("files/*")), "ciphertext is left"
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("content", [b"hello world\n", CONTENT])
@pytest.mark.parametrize("redirect", [False, True])
def test_a_file_comes_under_the_name_that_is_in_it(tmp_path: Path, content: bytes, *, redirect: bool) -> None:
    async def scenario(world: Uploads) -> None:
        described = await world.upload(content, "../../etc/film.mp4")
        described = await world.redirected(described) if redirect else described
        place = await world.fetched(described, tmp_path)
        assert place == tmp_path / "film.mp4" and place.read_bytes() == content
        assert place.stat().st_mode & 0o777 == 0o600
        assert await world.fetched(described, tmp_path) == tmp_path / "film_1.mp4"  # nothing is overwritten
        assert await world.fetched(described, tmp_path / "mine") == tmp_path / "mine"

    run(tmp_path, scenario)


class Counted:
    """Counts the chunks that were asked for, and fails where it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.fails_at: int | None = None
        get = FileSession.get

        def counted(session: FileSession, *arguments: Any) -> Any:
            self.asked += 1
            if self.asked == self.fails_at:
                raise asyncio.CancelledError
            return get(session, *arguments)

        monkeypatch.setattr(FileSession, "get", counted)


def test_an_interrupted_file_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: Uploads) -> None:
        described = await world.upload(CONTENT)
        counted = Counted(monkeypatch)
        counted.fails_at = 2
        with pytest.raises(asyncio.CancelledError):
            await world.fetched(described, tmp_path)
        [kept] = (tmp_path / "home").rglob("*.link")
        assert kept.stat().st_mode & 0o777 == 0o600
        kept.write_bytes(kept.read_bytes() + b"half of the next one")
        counted.asked, counted.fails_at = 0, None
        place = await world.fetched(described, tmp_path)
        assert place.read_bytes() == CONTENT
        assert counted.asked == len(described.chunks) - 1

    run(tmp_path, scenario)


def test_what_another_process_receives_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: Uploads) -> None:
        described = await world.upload(CONTENT)
        name = file_folder.new_name(described.digest[:16])
        other = file_folder.open_by_link(world.service.folder, name)
        assert other is not None
        with other:
            assert (await world.fetched(described, tmp_path)).read_bytes() == CONTENT
            assert list((tmp_path / "home").rglob("*.link"))
            assert not other.read()
        file_folder.discard_by_link(world.service.folder, name)

    run(tmp_path, scenario)


def test_a_file_that_is_gone_or_was_never_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low, "REST", 0)

    async def scenario(world: Uploads) -> None:
        described = await world.upload(CONTENT)
        await world.delete()
        for one in (described, await world.upload(CONTENT, here=False)):
            with pytest.raises(FileUnavailable, match="no longer available"):
                await world.fetched(one, tmp_path)

    run(tmp_path, scenario)


def test_what_a_link_names_wrongly_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low, "REST", 0)

    async def scenario(world: Uploads) -> None:
        described = await world.upload(b"hello world\n")
        other = await world.upload(b"another one")
        wrong = hashlib.sha512(b"").digest()
        for one in (
            replace(described, digest=wrong),
            replace(described, key=bytes(32)),
            replace(await world.redirected(described), redirect=redirect_to(other)),
            replace(described, redirect=redirect_to(other)),  # no description is in it
            await world.redirected(replace(described, redirect=redirect_to(other))),  # which leads further
        ):
            with pytest.raises(FileDamaged):
                await world.fetched(one, tmp_path)
        bad = replace(described.chunks[0], digest=bytes(32))
        with pytest.raises(RelayDown):
            await world.fetched(replace(described, chunks=(bad,)), tmp_path)

    run(tmp_path, scenario)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "relay"}


def test_a_description_that_is_too_long_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_MAX_DESCRIPTION", 64 * 1024)

    async def scenario(world: Uploads) -> None:
        first = replace(await world.upload(CONTENT, here=False), redirect=redirect_to(await world.upload(b"x")))
        with pytest.raises(FileDamaged, match="too long"):
            await world.fetched(first, tmp_path)

    run(tmp_path, scenario)


def test_a_dead_relay_costs_nothing_where_another_has_the_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(low, "REST", 0)

    async def scenario(world: Uploads) -> None:
        described = await world.upload(b"hello world\n")
        [chunk] = described.chunks
        [place] = chunk.replicas
        dead = replace(place, server=FileServer(("127.0.0.1",), "1", bytes(32)))
        both = replace(described, chunks=(replace(chunk, replicas=(dead, place)),))
        assert (await world.fetched(both, tmp_path)).read_bytes() == b"hello world\n"
        with pytest.raises(RelayDown, match=r"127\.0\.0\.1:1") as down:
            await world.fetched(replace(described, chunks=(replace(chunk, replicas=(dead,)),)), tmp_path)
        assert down.value.kind is Trouble.UNREACHABLE

    run(tmp_path, scenario)


def test_relays_that_a_link_names_are_asked_about(tmp_path: Path) -> None:
    async def scenario(world: Uploads) -> None:
        described = await world.upload(b"x")
        assert world.service.relays_of(described) == ("127.0.0.1",)
        assert world.service.relays_of(described, lambda server: server == world.server) == ()
        refused = LinkFetcher(world.service, NoRelay(), agreed=False)  # a name of our own network, of nobody's asking
        with pytest.raises(RelayDown) as down:
            await refused.file(described, tmp_path, lambda *_: None)
        assert down.value.kind is Trouble.NOT_PUBLIC
        assert read_file_link(write_file_link(FileLink(described))).description == described

    run(tmp_path, scenario)


@pytest.mark.parametrize("link", ["simplex:/file#/?desc=", "simplex:/file", "simplex:/file#/?desc=size%3A+1kb"])
def test_a_link_that_cannot_be_read(tmp_path: Path, link: str) -> None:
    service = ChatService(tmp_path / "alice", "alice")
    with pytest.raises(InputError, match="link to a file cannot be used"):
        service.read_file_link(link)
    service.close()
