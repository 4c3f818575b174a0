from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from smpchat.crypto.keys import Ed448PrivateKey, Ed25519PrivateKey, X25519PrivateKey, X25519PublicKey
from smpchat.protocol.block import BLOCK_SIZE, unpad_block
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.xftp import errors
from smpchat.protocol.xftp.commands import (
    CHUNK_SIZES,
    Err,
    FAck,
    FAdd,
    FDel,
    FGet,
    FNew,
    FPut,
    Ok,
    Ping,
    Pong,
    RIds,
    SIds,
)
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.files import server as module
from smpchat.relay.files.store import CHUNKS, INCOMING, FileStore
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.base import ConnectionClosed
from tests.unit.relay.files.serving import (
    RECIPIENT,
    SENDER,
    SIZE,
    a_client,
    a_file_relay,
    connect,
    limits,
    on_loop,
    until,
)
from tests.unit.relay.support import an_identity

CONTENT = bytes(range(256)) * 256
AUTH, NO_AUTH, HAS_AUTH = Err(errors.AUTH), Err(ErrorCode.cmd("NO_AUTH")), Err(ErrorCode.cmd("HAS_AUTH"))
UNKNOWN_ID = b"a" * 16


def names(folder: Path) -> list[str]:
    return sorted(path.name for part in (CHUNKS, INCOMING) for path in (folder / "files" / part).iterdir())


@pytest.mark.parametrize("size", CHUNK_SIZES)
@on_loop
async def test_a_chunk_comes_back_as_it_was_sent(tmp_path: Path, size: int) -> None:
    content = SeededEntropy("chunk").random(1024) * (size // 1024)
    async with a_file_relay(tmp_path) as relay, a_client(relay) as sender, a_client(relay) as recipient:
        ids = await sender.register(content, recipients=2)
        assert await recipient.get(ids.recipient_ids[0]) == Err(errors.NO_FILE)
        assert await sender.put(ids, content) == Ok()
        assert await sender.put(ids, content) == Ok()  # the answer to the first was lost
        for recipient_id in ids.recipient_ids:
            assert await recipient.get(recipient_id) == content
        assert (tmp_path / "files" / CHUNKS / ids.sender_id.hex()).read_bytes() == content
        figures = relay.figures()
        assert (figures["files_uploads"], figures["files_downloads"]) == (1, 2)
        assert (figures["files_chunks"], figures["files_bytes"]) == (1, size)
        assert (figures["files_connections"], figures["files_accepted"]) == (2, 2)


@on_loop
async def test_what_each_may_do(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        ids = await asker.upload(CONTENT)
        [recipient_id] = ids.recipient_ids
        assert await asker.get(ids.sender_id, SENDER) == AUTH
        assert await asker.get(recipient_id, SENDER) == AUTH
        for command in (FPut(), FDel(), FAdd((RECIPIENT.public(),))):
            assert await asker.ask(command, recipient_id, RECIPIENT) == AUTH
            assert await asker.ask(command, ids.sender_id, RECIPIENT) == AUTH
        assert await asker.ask(FAck(), ids.sender_id, SENDER) == AUTH
        added = await asker.ask(FAdd((RECIPIENT.public(), SENDER.public())), ids.sender_id, SENDER)
        assert isinstance(added, RIds) and len(added.recipient_ids) == 2
        assert await asker.get(added.recipient_ids[1], SENDER) == CONTENT
        assert await asker.ask(FAck(), added.recipient_ids[1], SENDER) == Ok()
        assert await asker.get(added.recipient_ids[1], SENDER) == AUTH
        assert await asker.get(added.recipient_ids[0]) == await asker.get(recipient_id) == CONTENT
        assert await asker.ask(FDel(), ids.sender_id, SENDER) == Ok()
        assert await asker.ask(FDel(), ids.sender_id, SENDER) == AUTH
        assert await asker.get(recipient_id) == await asker.get(added.recipient_ids[0]) == AUTH
        assert names(tmp_path) == []


@pytest.mark.parametrize("key", [Ed448PrivateKey(b"4" * 57), X25519PrivateKey(b"x" * 32)])
@on_loop
async def test_keys_of_other_kinds(tmp_path: Path, key: Ed448PrivateKey | X25519PrivateKey) -> None:
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        ids = await asker.register(CONTENT, sender=key, recipient=key)
        assert await asker.ask(FPut(), ids.sender_id, key, [CONTENT]) == Ok()
        assert await asker.get(ids.recipient_ids[0], key) == CONTENT
        assert await asker.get(ids.recipient_ids[0]) == AUTH


@on_loop
async def test_more_recipients_than_one_command_usually_names(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path, limits=limits(recipients=300)) as relay, a_client(relay) as asker:
        ids = await asker.register(CONTENT, recipients=255)
        assert len(set(ids.recipient_ids)) == 255
        more = FAdd((RECIPIENT.public(),) * 46)
        assert await asker.ask(more, ids.sender_id, SENDER) == Err(errors.QUOTA)
        assert isinstance(await asker.ask(FAdd(more.recipient_keys[:45]), ids.sender_id, SENDER), RIds)


@on_loop
async def test_a_password_and_no_new_files(tmp_path: Path) -> None:
    new = FNew(SENDER.public(), SIZE, hashlib.sha256(CONTENT).digest(), (RECIPIENT.public(),), b"secret")
    async with a_file_relay(tmp_path / "1", password="secret") as relay, a_client(relay) as asker:
        assert isinstance(await asker.ask(new, key=SENDER), SIds)
        for wrong in (None, b"", b"secrets"):
            without = FNew(new.sender_key, new.size, new.digest, new.recipient_keys, wrong)
            assert await asker.ask(without, key=SENDER) == AUTH
    async with a_file_relay(tmp_path / "2") as relay, a_client(relay) as asker:
        assert isinstance(await asker.ask(new, key=SENDER), SIds)  # not needed, so not looked at
        ids = await asker.upload(CONTENT)
    async with a_file_relay(tmp_path / "2", new_files=False) as relay, a_client(relay) as asker:
        assert await asker.ask(new, key=SENDER) == AUTH
        assert await asker.get(ids.recipient_ids[0]) == CONTENT


@on_loop
async def test_a_key_of_low_order_gets_nothing(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        ids = await asker.upload(CONTENT)
        answer = await asker.ask(FGet(X25519PublicKey(bytes(32))), ids.recipient_ids[0], RECIPIENT)
        assert answer == Err(errors.CRYPTO)


# --- bytes that are wrong -----------------------------------------------------------------------------------------


@on_loop
async def test_bytes_that_are_not_those_announced(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        ids = await asker.register(CONTENT)
        assert await asker.put(ids, bytes(SIZE)) == Err(errors.DIGEST)
        assert await asker.put(ids, CONTENT[:-1]) == Err(errors.SIZE)
        assert await asker.put(ids, b"") == Err(errors.SIZE)
        assert await asker.get(ids.recipient_ids[0]) == Err(errors.NO_FILE)
        await until(lambda: names(tmp_path) == [])
        assert await asker.put(ids, CONTENT) == Ok()
        assert relay.figures()["files_refused"] == {"DIGEST": 1, "SIZE": 2, "NO_FILE": 1}
        async with a_client(relay) as other:
            longer = await other.register(CONTENT)
            assert await other.put(longer, CONTENT + b"1") == Err(errors.SIZE)
        await until(lambda: names(tmp_path) == [ids.sender_id.hex()])


@on_loop
async def test_a_refused_upload_costs_the_next_request_nothing(tmp_path: Path) -> None:
    """The reference loses the window of the bytes that it does not read, and the next request hangs (trap 12)."""
    big = bytes(4 * 1024 * 1024)
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        for _ in range(4):
            assert await asker.ask(FPut(), UNKNOWN_ID, SENDER, [big]) == AUTH
        ids = await asker.register(big)
        assert await asker.put(ids, big) == Ok()


@on_loop
async def test_the_quota_is_told_and_one_that_is_deleted_makes_room(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path, limits=limits(quota=SIZE)) as relay, a_client(relay) as asker:
        first, second = await asker.upload(CONTENT), await asker.register(CONTENT)
        assert await asker.put(second, CONTENT) == Err(errors.QUOTA)
        assert await asker.get(first.recipient_ids[0]) == CONTENT
        assert await asker.ask(FDel(), first.sender_id, SENDER) == Ok()
        assert await asker.put(second, CONTENT) == Ok()
        assert relay.figures()["files_refused"] == {"QUOTA": 1}


@on_loop
async def test_a_sender_that_goes_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path, limits=limits(quota=SIZE)) as relay, a_client(relay) as bystander:
        asker = await connect(relay)
        assert await asker.shake_hands() == b""
        ids = await asker.register(CONTENT)
        going = asyncio.Event()

        async def half() -> object:
            yield asker.block(FPut(), ids.sender_id, SENDER)
            yield CONTENT[: SIZE // 2]
            going.set()
            await asyncio.Event().wait()

        sending = asyncio.create_task(asker.link.request(half()))  # type: ignore[arg-type]
        await going.wait()
        await until(lambda: names(tmp_path) != [])
        mine = await bystander.register(CONTENT)
        assert await bystander.put(mine, CONTENT) == Err(errors.QUOTA)  # what comes counts too
        sending.cancel()
        await asker.close()
        await until(lambda: names(tmp_path) == [])
        assert await bystander.put(mine, CONTENT) == Ok()


@on_loop
async def test_a_slow_sender_is_given_up_and_holds_up_nobody(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path, limits=limits(transfer=0.2)) as relay, a_client(relay) as asker:
        ids = await asker.register(CONTENT)

        async def slowly() -> object:
            yield asker.block(FPut(), ids.sender_id, SENDER)
            yield CONTENT[: SIZE // 2]
            await asyncio.Event().wait()

        sending = asyncio.create_task(asker.link.request(slowly()))  # type: ignore[arg-type]
        async with a_client(relay) as bystander:
            assert await bystander.get((await bystander.upload(CONTENT)).recipient_ids[0]) == CONTENT
            await until(lambda: relay.figures()["files_refused"] == {"TIMEOUT": 1})
            assert len(names(tmp_path)) == 1
        sending.cancel()
        await asyncio.wait([sending])


@on_loop
async def test_a_recipient_that_takes_nothing_is_left(tmp_path: Path) -> None:
    content = bytes(4 * 1024 * 1024)
    async with a_file_relay(tmp_path, limits=limits(stalled=0.2)) as relay, a_client(relay) as asker:
        ids = await asker.upload(content)
        key = X25519PrivateKey(b"k" * 32).public()
        answer = await asker.link.request([asker.block(FGet(key), ids.recipient_ids[0], RECIPIENT)])
        async with a_client(relay) as bystander:
            assert await bystander.get(ids.recipient_ids[0]) == content
            await until(lambda: relay.figures()["files_connections"] == 1)
        with pytest.raises(ConnectionClosed):
            async for _ in answer.body:
                pass


@on_loop
async def test_a_disk_that_fails_is_answered_and_does_not_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise RelayStoreError("A file cannot be stored: the disk is full.")

    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        ids = await asker.register(CONTENT)
        with monkeypatch.context() as patch:
            patch.setattr(FileStore, "make_durable", full)
            for _ in range(20):
                assert await asker.put(ids, CONTENT) == Err(errors.FILE_IO)
            patch.setattr(FileStore, "delete", full)
            assert await asker.ask(FDel(), ids.sender_id, SENDER) == Err(errors.INTERNAL)
        assert caplog.text.count("the disk is full") == 10 and names(tmp_path) == []
        assert await asker.put(ids, CONTENT) == Ok()


@on_loop
async def test_a_file_that_is_cut_short_on_the_disk_is_never_taken_for_whole(tmp_path: Path) -> None:
    content = bytes(1024 * 1024)
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        ids = await asker.upload(content)
        (tmp_path / "files" / CHUNKS / ids.sender_id.hex()).write_bytes(content[:-1])
        with pytest.raises(ConnectionClosed):
            await asker.get(ids.recipient_ids[0])


# --- hellos and blocks --------------------------------------------------------------------------------------------

HANDSHAKE = b"HANDSHAKE"


@on_loop
async def test_the_hellos(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay:
        for version in (1, 2, 3):
            async with a_client(relay, version) as asker:
                hello = asker.server_hello
                assert hello is not None and str(hello.versions) == "1-3"
                assert hello.session_id == asker.link.session_id and hello.chain == an_identity().chain
                assert await asker.ask(Ping()) == Pong()
        for version, key_hash in ((0, None), (4, None), (3, bytes(32))):
            asker = await connect(relay)
            assert unpad_block(await asker.shake_hands(version, key_hash)) == HANDSHAKE
            await asker.close()
        for first in (bytes(100), bytes(BLOCK_SIZE)):
            asker = await connect(relay)
            assert unpad_block(await asker.body(first)) == HANDSHAKE
            await asker.close()
        asker = await connect(relay)
        await asker.body()
        assert unpad_block(await asker.body()) == HANDSHAKE  # a second time (xftp-wire 10.1)
        await asker.close()


@on_loop
async def test_alpn(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay:
        asker = await connect(relay, alpn=("h2", "xftp/1"))
        assert asker.link.alpn == "xftp/1" and await asker.shake_hands() == b""
        await asker.close()
        asker = await connect(relay, alpn=("http/1.1",))
        assert asker.link.alpn == "http/1.1" and await asker.shake_hands() == b""
        await asker.close()
        asker = await connect(relay, alpn=())  # clients of before there were hellos
        assert await asker.ask(Ping()) == Pong()
        await asker.close()


@on_loop
async def test_blocks_that_hold_no_command(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        for block in (b"", b"short", bytes(BLOCK_SIZE), b"\xff" * BLOCK_SIZE):
            assert asker.read(await asker.body(block)) == (b"", b"", Err(errors.BLOCK))
        stranger = asker.block(Ping(), session_id=bytes(32))
        assert asker.read(await asker.body(stranger))[2] == Err(errors.SESSION)
        assert asker.read(await asker.body(asker.block(Ping(), corr_id=b"abc"))) == (b"abc", b"", Pong())
        assert await asker.ask(b"NONE") == Err(ErrorCode.cmd("UNKNOWN"))
        assert await asker.ask(b"FNEW x", key=SENDER) == Err(ErrorCode.cmd("SYNTAX"))


@on_loop
async def test_credentials(tmp_path: Path) -> None:
    new = FNew(SENDER.public(), SIZE, bytes(32), (RECIPIENT.public(),))
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        assert await asker.ask(Ping(), key=SENDER) == HAS_AUTH
        assert await asker.ask(Ping(), UNKNOWN_ID) == HAS_AUTH
        assert await asker.ask(new) == NO_AUTH
        assert await asker.ask(new, key=RECIPIENT) == AUTH
        assert await asker.ask(new, auth=bytes(64)) == AUTH
        odd = FNew(new.sender_key, 1000, new.digest, new.recipient_keys)
        assert await asker.ask(odd, key=SENDER) == Err(errors.SIZE)
        for command in (FPut(), FDel(), FAck(), FGet(X25519PrivateKey(b"k" * 32).public())):
            assert await asker.ask(command, UNKNOWN_ID) == NO_AUTH
            assert await asker.ask(command, b"", SENDER) == NO_AUTH
            assert await asker.ask(command, UNKNOWN_ID, SENDER) == AUTH


# --- limits -------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_flood_of_new_chunks_is_refused_to_the_connection_that_sends_it(tmp_path: Path) -> None:
    new = FNew(SENDER.public(), SIZE, bytes(32), (RECIPIENT.public(),))
    async with a_file_relay(tmp_path, limits=limits(new_chunks=2)) as relay:
        async with a_client(relay) as asker, a_client(relay) as bystander:
            answers = [await asker.ask(new, key=SENDER) for _ in range(3)]
            assert [isinstance(answer, SIds) for answer in answers] == [True, True, False]
            assert answers[2] == Err(errors.QUOTA)
            assert isinstance(await bystander.ask(new, key=SENDER), SIds)


@on_loop
async def test_a_full_index_takes_no_more_chunks_and_recipients(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        ids = await asker.upload(CONTENT)
    new = FNew(SENDER.public(), SIZE, bytes(32), (RECIPIENT.public(),))
    async with a_file_relay(tmp_path, limits=limits(index=1)) as relay, a_client(relay) as asker:
        assert await asker.ask(new, key=SENDER) == Err(errors.QUOTA)
        assert await asker.ask(FAdd(new.recipient_keys), ids.sender_id, SENDER) == Err(errors.QUOTA)
        assert await asker.get(ids.recipient_ids[0]) == CONTENT


@on_loop
async def test_one_address_takes_a_part_where_no_password_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "origin_of", lambda _: "192.0.2.1")
    few = limits(quota=8 * SIZE)
    async with a_file_relay(tmp_path, limits=few) as relay, a_client(relay) as asker, a_client(relay) as again:
        first, second, third = [await asker.register(CONTENT) for _ in range(3)]
        assert await asker.put(first, bytes(SIZE)) == Err(errors.DIGEST)  # which takes nothing
        assert await asker.put(first, CONTENT) == await again.put(second, CONTENT) == Ok()
        assert await again.put(third, CONTENT) == Err(errors.QUOTA)
        assert await again.put(first, CONTENT) == Ok()  # it is there
        monkeypatch.setattr(module, "origin_of", lambda _: "198.51.100.1")
        async with a_client(relay) as bystander:
            assert await bystander.put(third, CONTENT) == Ok()
        fourth = await asker.register(CONTENT)
        assert await asker.ask(FDel(), first.sender_id, SENDER) == Ok()
        assert await asker.put(fourth, CONTENT) == Ok()
    monkeypatch.setattr(module, "origin_of", lambda _: "192.0.2.1")
    async with a_file_relay(tmp_path / "own", limits=few, password="own") as relay, a_client(relay) as asker:
        for _ in range(8):
            assert await asker.put(await asker.register(CONTENT, password=b"own"), CONTENT) == Ok()


@on_loop
async def test_too_many_connections_are_turned_away(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path, limits=limits(connections=1)) as relay, a_client(relay) as first:
        with pytest.raises((ConnectionClosed, OSError)):
            await (await connect(relay)).shake_hands()
        assert await first.ask(Ping()) == Pong()
        assert relay.figures()["files_turned_away"] == 1


@on_loop
async def test_files_take_a_share_of_the_descriptors_and_leave_the_rest_to_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "descriptors_for", lambda wanted: min(wanted, 36))
    async with a_file_relay(tmp_path, limits=limits(connections=100)) as relay:
        assert relay.descriptors == 9  # three connections, each with a socket and two files
        async with a_client(relay), a_client(relay), a_client(relay) as third:
            with pytest.raises((ConnectionClosed, OSError)):
                await (await connect(relay)).shake_hands()
            assert await third.ask(Ping()) == Pong()


@on_loop
async def test_who_says_no_hello_or_nothing_is_left(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path, limits=limits(handshake=0.2, idle=0.4)) as relay:
        silent = await connect(relay)
        async with a_client(relay) as asker:
            with pytest.raises(ConnectionClosed):
                async with asyncio.timeout(20):
                    while True:
                        await silent.link.receive()
            assert await asker.ask(Ping()) == Pong()
            with pytest.raises(ConnectionClosed):
                async with asyncio.timeout(20):
                    while True:
                        await asker.link.receive()
        assert relay.figures()["files_handshakes_failed"] == 1


@on_loop
async def test_requests_beyond_what_one_connection_may_have_wait(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path, limits=limits(requests=1)) as relay, a_client(relay) as asker:
        ids = await asker.register(CONTENT)
        assert await asker.put(ids, CONTENT) == Ok()
        assert [await asker.ask(Ping()) for _ in range(3)] == [Pong()] * 3


# --- starts -------------------------------------------------------------------------------------------------------


@on_loop
async def test_what_was_confirmed_is_there_after_a_restart(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        ids = await asker.upload(CONTENT)
        waiting = await asker.register(CONTENT)
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        assert await asker.get(ids.recipient_ids[0]) == CONTENT
        assert await asker.put(waiting, CONTENT) == Ok()


@on_loop
async def test_what_is_old_goes_at_the_start(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        ids = await asker.upload(CONTENT)
    later = 1_700_000_000.0
    for day in range(1, 4):
        later = 1_700_000_000.0 + day * 86_000
        async with a_file_relay(tmp_path, now=later) as relay, a_client(relay) as asker:
            got = await asker.get(ids.recipient_ids[0])
            assert got == (AUTH if day == 3 else CONTENT)


@on_loop
async def test_the_log_and_the_figures_tell_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "smpchat")
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        ids = await asker.upload(CONTENT)
        await asker.get(ids.recipient_ids[0])
        await asker.put(ids, b"short")
        told = caplog.text + repr(relay.figures())
    for secret in (ids.sender_id, ids.recipient_ids[0], Ed25519PrivateKey(b"s" * 32).public().raw):
        assert secret.hex() not in told and repr(secret) not in told
