"""What the official file server answered to some sixty odd requests, and what ours answers to them."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.events
import pytest

from smpchat.crypto.keys import X25519PrivateKey
from smpchat.protocol.block import BLOCK_SIZE, pad_block, unpad_block
from smpchat.protocol.xftp.command_codec import encode_command
from smpchat.protocol.xftp.commands import Err, FAck, FAdd, FDel, FGet, FNew, FPut, Ping
from smpchat.protocol.xftp.errors import file_error
from smpchat.protocol.xftp.hello import FileClientHello, FileServerHello
from smpchat.protocol.xftp.transmission import decode_block
from smpchat.relay.files.server import FileRelay
from tests.unit.relay.files.serving import (
    RECIPIENT,
    SENDER,
    SIZE,
    Asker,
    a_client,
    a_file_relay,
    connect,
    on_loop,
)
from tests.unit.relay.support import an_identity

DATA = Path(__file__).parents[3] / "vectors" / "data" / "xftp"
PROBES: dict[str, Any] = {
    probe["probe"]: probe["result"]
    for name in ("xftp-server-probes.json", "xftp-server-probes2.json")
    for probe in json.loads((DATA / name).read_text(encoding="utf-8"))
}
UNKNOWN = b"a" * 16
CONTENT = bytes(range(256)) * (SIZE // 256)
OTHER_KEY = X25519PrivateKey(b"k" * 32).public()

Answer = tuple[str, str, str]
"""Correlation and entity id in hexadecimal, and the command without what is drawn at random."""


def recorded(result: Any) -> Any:
    """What was recorded, without what differs from server to server and from run to run."""
    match result:
        case ["tx", {"auth": "", "sidOK": True, "corr": corr, "ent": ent, "cmd": command}]:
            return corr, ent, _words(command)
        case str() if "'tx'" in result:  # one was recorded as Python writes it
            return "", "", "SIDS" if "SIDS" in result else result
        case str() if result.startswith("b'"):
            return _words(result.partition("\\x00\\x00")[2] or result)
        case str() if "HANDSHAKE" in result:
            return "HANDSHAKE"
        case [str(), str() as second] if "HANDSHAKE".startswith(bytes.fromhex(second)[2:].decode()):
            return "hello", "HANDSHAKE"  # of each answer eight bytes were written down
        case {"selected": selected, "hello_len": length, "hello2": answer}:
            return selected, length, answer
    return result


def _words(command: str) -> str:
    """``SIDS``, ``ERR CMD SYNTAX``: letters and blanks up to the first id."""
    if command.startswith(("SIDS", "RIDS")):
        return command[:4]
    return command.partition("#")[0]


def answered(asker: Asker, body: bytes) -> Answer:
    transmission, _ = decode_block(body, asker.link.session_id)
    assert transmission.auth == b""
    return (
        transmission.corr_id.hex(),
        transmission.entity_id.hex(),
        _words(transmission.body.decode("latin-1")),
    )


Probe = Callable[[Asker], Awaitable[Any]]


def asking(command: Any, entity: bytes = b"", key: Any = None, **how: Any) -> Probe:
    async def probe(asker: Asker) -> Answer:
        return answered(asker, await asker.body(asker.block(command, entity, key, **how)))

    return probe


def sending(*parts: bytes) -> Probe:
    """A body after the hellos that is answered with a bare block."""

    async def probe(asker: Asker) -> str:
        return answered(asker, await asker.body(*parts))[2]

    return probe


NEW = FNew(SENDER.public(), SIZE, hashlib.sha256(CONTENT).digest(), (RECIPIENT.public(),))
GET = FGet(OTHER_KEY)


async def two_transmissions(asker: Asker) -> Answer:
    one = unpad_block(asker.block(Ping()))[1:]
    return answered(asker, await asker.body(pad_block(b"\x02" + one + one)))


async def refused_get(asker: Asker, entity: bytes, key: Any) -> str:
    got = await asker.get(entity, key)
    assert isinstance(got, Err)
    return f"ERR {got.error}"


SIMPLE: dict[str, Probe] = {
    "PING": asking(Ping()),
    "PING with corrId abc": asking(Ping(), corr_id=b"abc"),
    "PING with 24-byte corrId": asking(Ping(), corr_id=b"a" * 24),
    "wrong session id": asking(Ping(), session_id=bytes(32)),
    "unknown command": asking(b"WHAT"),
    "empty request body after hello": sending(),
    "short body 100 bytes": sending(bytes(100)),
    "FNEW size 1000": asking(FNew(NEW.sender_key, 1000, NEW.digest, NEW.recipient_keys), key=SENDER),
    "FNEW wrong signature": asking(NEW, auth=bytes(range(64))),
    "FNEW no signature": asking(NEW),
    "FNEW with password": asking(FNew(NEW.sender_key, SIZE, NEW.digest, NEW.recipient_keys, b"not needed"), key=SENDER),
    "FGET unsigned": asking(GET, UNKNOWN),
    "FGET unknown id": asking(GET, UNKNOWN, RECIPIENT),
    "FGET no entity": asking(GET, b"", RECIPIENT),
    "PING signed": asking(Ping(), key=SENDER),
    "PING with entity": asking(Ping(), UNKNOWN),
    "FNEW without the Maybe password byte": asking(encode_command(NEW)[:-1], key=SENDER),
    "FNEW ok": asking(NEW, key=SENDER),
    "two transmissions in a block": two_transmissions,
    "FNEW 255 recipients": asking(FNew(NEW.sender_key, SIZE, NEW.digest, (RECIPIENT.public(),) * 255), key=SENDER),
}


@on_loop
async def test_single_requests(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay:
        for name, probe in SIMPLE.items():
            async with a_client(relay) as asker:
                assert await probe(asker) == recorded(PROBES[name]), name


IN_ORDER = (
    "FGET before FPUT",
    "FPUT wrong digest",
    "FPUT again right after DIGEST on the same connection",
    "FPUT second time",
    "FGET own chunk equal",
    "FADD",
    "FGET with wrong recipient key",
    "FGET with sender id",
    "FACK",
    "FGET after FACK",
    "FDEL",
    "FDEL again",
    "FPUT body too short",
    "PING afterwards",
    "FPUT body too long (new connection)",
    "FPUT unknown id with 64k body",
)


@on_loop
async def test_a_chunk_from_its_registration_to_its_end(tmp_path: Path) -> None:
    """On one connection, which goes on after each refusal."""
    async with a_file_relay(tmp_path) as relay, a_client(relay) as asker:
        ids = await asker.register(CONTENT)
        [recipient_id] = ids.recipient_ids
        other = await asker.register(CONTENT)

        async def put(sender_id: bytes, content: bytes) -> Answer:
            return answered(asker, await asker.body(asker.block(FPut(), sender_id, SENDER), content))

        async def ask(command: Any, entity: bytes, key: Any = SENDER) -> Answer:
            return answered(asker, await asker.body(asker.block(command, entity, key)))

        found = [
            await refused_get(asker, recipient_id, RECIPIENT),
            await put(ids.sender_id, bytes(SIZE)),
            await put(ids.sender_id, CONTENT),
            await put(ids.sender_id, CONTENT),
            await asker.get(recipient_id) == CONTENT,
            await ask(FAdd((RECIPIENT.public(),)), ids.sender_id),
            await refused_get(asker, recipient_id, SENDER),
            await refused_get(asker, ids.sender_id, SENDER),
            await ask(FAck(), recipient_id, RECIPIENT),
            await refused_get(asker, recipient_id, RECIPIENT),
            await ask(FDel(), ids.sender_id),
            await ask(FDel(), ids.sender_id),
            await put(other.sender_id, CONTENT[:-1]),
            await ask(Ping(), b"", None),
            await put(other.sender_id, CONTENT + b"1"),
            await put(b"z" * 16, CONTENT),
        ]
    for name, ours in zip(IN_ORDER, found, strict=True):
        theirs = recorded(PROBES[name])
        if isinstance(theirs, tuple):  # ids are drawn at random
            assert isinstance(ours, tuple)
            theirs, ours = (theirs[0], len(theirs[1]), theirs[2]), (ours[0], len(ours[1]), ours[2])
        assert ours == theirs, name


# --- hellos -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def raw(relay: FileRelay, **how: Any) -> AsyncIterator[Asker]:
    asker = await connect(relay, **how)
    try:
        yield asker
    finally:
        await asker.close()


def bare(body: bytes) -> str:
    return str(file_error.decode(unpad_block(body)))


HELLOS: dict[str, tuple[int, bytes | None]] = {
    "wrong keyHash": (3, bytes(32)),
    "version 4": (4, None),
    "version 0": (0, None),
    "version 1": (1, None),
}


@on_loop
async def test_hellos(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay:
        for name, (version, key_hash) in HELLOS.items():
            async with raw(relay) as asker:
                said = await asker.shake_hands(version, key_hash)
                assert (bare(said) if said else "") == recorded(PROBES[name]), name
        async with raw(relay) as asker:
            assert bare(await asker.body(bytes(BLOCK_SIZE))) == recorded(PROBES["non-empty first body"])
        async with raw(relay) as asker:
            assert bare(await asker.body(asker.block(Ping()))) == recorded(PROBES["command before hello"])
        async with raw(relay) as asker:
            FileServerHello.decode(unpad_block(await asker.body()))
            again = bare(await asker.body())
            assert ("hello", again) == recorded(PROBES["hello twice (empty body before client hello)"])
        async with raw(relay) as asker:
            link = asker.link
            stream = link.h2.get_next_available_stream_id()
            headers = [(":method", "GET"), (":scheme", "https"), (":authority", "127.0.0.1"), (":path", "/")]
            link.h2.send_headers(stream, headers, end_stream=True)
            link.flush()
            body, ended = b"", False
            while not ended:
                for event in await link.receive():
                    if isinstance(event, h2.events.DataReceived):
                        body += event.data
                    ended = ended or isinstance(event, h2.events.StreamEnded)
            # The method is not looked at: theirs answered with its hello as well.
            hello = FileServerHello.decode(unpad_block(body))
            assert PROBES["GET"].startswith("b'\\x000\\x01") and hello.session_id == link.session_id


@on_loop
async def test_the_first_connection(tmp_path: Path) -> None:
    theirs = PROBES["ALPN xftp/1 no SNI"]
    async with a_file_relay(tmp_path) as relay, raw(relay) as asker:
        assert (await asker.shake_hands()).decode() == theirs["hello2"]
        hello = asker.server_hello
        assert hello is not None
        ours = {
            "selected": asker.link.alpn,
            "tls": asker.link.tls_version,
            "range": [hello.versions.minimum, hello.versions.maximum],
            "sessionIdIsTlsUnique": hello.session_id == asker.link.session_id,
            "sidLen": len(hello.session_id),
            "ncerts": len(hello.chain),
            "leafIsTLS": hello.chain[0] == asker.link.peer_leaf,
            "fpIsCert1": hashlib.sha256(hello.chain[1]).digest() == an_identity().fingerprint,
            "tail": hello.proof.hex() or "00",
            "signedKeyLen": len(hello.signed_key),
            "leafSig": "ed25519",
        }
        sizes = {"sidLen": (32, 48)}  # of the cipher suite that the client's OpenSSL prefers
        for name, value in ours.items():
            assert value in sizes.get(name, (theirs[name],)), name


async def first_words(asker: Asker) -> tuple[str | None, int, Any]:
    """The protocol name, and the sizes of the first answer and of the second."""
    first = await asker.body()
    answer = await asker.body(pad_block(FileClientHello(3, an_identity().fingerprint).encode()))
    return asker.link.alpn, len(first), answer.decode("latin-1")


class Named:
    """TLS settings with a server name, which our clients never send."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, server_side: bool) -> ssl.SSLObject:
        return self._context.wrap_bio(incoming, outgoing, server_side=server_side, server_hostname="localhost")


@pytest.mark.parametrize("name", [None, "localhost"])
@pytest.mark.parametrize("alpn", [("xftp/1",), ("http/1.1",)])
@on_loop
async def test_protocol_names(tmp_path: Path, alpn: Sequence[str], name: str | None) -> None:
    async with a_file_relay(tmp_path) as relay:
        settings = (lambda context: context) if name is None else Named
        async with raw(relay, alpn=alpn, settings=settings) as asker:
            assert await first_words(asker) == recorded(PROBES[f"ALPN {tuple(alpn)!r} SNI {name}"])


@on_loop
async def test_without_a_protocol_name_commands_come_at_once(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay, raw(relay, alpn=()) as asker:
        assert await asking(Ping())(asker) == recorded(PROBES["no ALPN: PING without hello"])
        for name in ("None", "localhost"):  # where their hello was read as an answer: ERR BLOCK to an empty body
            theirs = PROBES[f"ALPN () SNI {name}"]
            assert theirs["selected"] is None and "ERR BLOCK" in theirs["hello2"]
        assert (await sending()(asker)) == "ERR BLOCK"


@on_loop
async def test_tls_1_2(tmp_path: Path) -> None:
    def old(context: ssl.SSLContext) -> ssl.SSLContext:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    version, _, length, name = PROBES["TLS 1.2 with legacy renegotiation allowed"]
    async with a_file_relay(tmp_path) as relay, raw(relay, settings=old) as asker:
        assert await asker.shake_hands() == b""
        assert (asker.link.tls_version, len(asker.link.session_id), asker.link.alpn) == (version, length, name)


BETTER = {
    "FPUT unknown id 4 times more, connection window": "theirs never reads these bytes, and its window is lost",
    "FPUT 1 MiB to an unknown id, repeated on one connection: answer and remaining connection send window": "the same",
    "ALPN ('h2',) SNI None": "theirs takes the name and answers nothing; ours does not know it",
    "ALPN ('h2',) SNI localhost": "the same",
    "ALPN ('h2', 'xftp/1') SNI None": "ours chooses the name by which it answers",
    "ALPN ('h2', 'xftp/1') SNI localhost": "the same",
    "ALPN ('smp/1',) SNI None": "Python's TLS cannot refuse a name; such a client gets no hello",
    "ALPN ('smp/1',) SNI localhost": "the same",
    "TLS 1.2": "theirs lacks secure renegotiation, which clients then refuse",
}
"""Where ours answers otherwise, and why."""


@on_loop
async def test_where_ours_does_better(tmp_path: Path) -> None:
    async with a_file_relay(tmp_path) as relay:
        async with a_client(relay) as asker:
            for _ in range(6):
                body = await asker.body(asker.block(FPut(), UNKNOWN, SENDER), bytes(1024 * 1024))
                assert answered(asker, body)[2] == "ERR AUTH"
        async with raw(relay, alpn=("h2", "xftp/1")) as asker:
            assert await first_words(asker) == ("xftp/1", BLOCK_SIZE, "")
        for alpn in (("h2",), ("smp/1",)):
            async with raw(relay, alpn=alpn) as asker:
                assert asker.link.alpn is None and await sending()(asker) == "ERR BLOCK"


def test_every_probe_is_tried() -> None:
    named = {*SIMPLE, *IN_ORDER, *HELLOS, *BETTER}
    named |= {"non-empty first body", "command before hello", "hello twice (empty body before client hello)", "GET"}
    named |= {"ALPN xftp/1 no SNI", "no ALPN: PING without hello", "TLS 1.2 with legacy renegotiation allowed"}
    named |= {f"ALPN {alpn!r} SNI {name}" for alpn in (("xftp/1",), ("http/1.1",), ()) for name in (None, "localhost")}
    assert named == PROBES.keys()
