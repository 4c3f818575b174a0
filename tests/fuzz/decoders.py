"""Targets: everything that turns bytes or text of others into values."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, cast

import h2.connection

from smpchat.agent.errors import LinkDataError, LinkError
from smpchat.agent.wire import envelope, link_data, queue
from smpchat.agent.wire.links import ContactLink, InvitationLink, format_link, parse_link
from smpchat.agent.wire.pasted import find_link
from smpchat.agent.wire.short_links import ShortContact, ShortInvitation, format_short_link, short_link
from smpchat.agent.wire.user_data import read_user_json
from smpchat.chat.errors import InputError
from smpchat.chat.wire.alias import alias_from_name, check_alias
from smpchat.chat.wire.bodies import LeftOut
from smpchat.chat.wire.durations import parse_duration
from smpchat.chat.wire.group_encoding import encode_group_event
from smpchat.chat.wire.group_events import Unusable
from smpchat.chat.wire.groups import decode_group_messages, read_group_link
from smpchat.chat.wire.message import UnsupportedEvent, decode_contact_request, decode_link_info, decode_messages
from smpchat.chat.wire.picture import picture_of
from smpchat.chat.wire.profile import Profile
from smpchat.cli.text import filled, printable
from smpchat.crypto.agreement import e2e_params_from_text
from smpchat.crypto.box import seal
from smpchat.crypto.errors import CryptoError, VerificationError
from smpchat.crypto.kem import KEMAccepted, KEMProposed, kem_params
from smpchat.crypto.keys import Ed25519PrivateKey, auth_key
from smpchat.crypto.ratchet_state import Ratchet
from smpchat.crypto.ratchet_wire import decode_header, parse_message
from smpchat.encoding.codec import Codec
from smpchat.encoding.json_text import parse_json
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.zstd import compress, decompress
from smpchat.protocol import address, command_codec, errors, messages, transmission
from smpchat.protocol.block import decode_batch, pad_block, unpad_block
from smpchat.protocol.commands import Lnk
from smpchat.protocol.envelope import client_message, client_msg_envelope
from smpchat.protocol.errors import BlockError, IdentityError
from smpchat.protocol.server_text import read_server
from smpchat.protocol.session import ClientHello, ServerHello, verify_session_key
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.protocol.xftp import command_codec as xftp_codec
from smpchat.protocol.xftp import transmission as xftp_transmission
from smpchat.protocol.xftp.errors import XFTPError, file_error
from smpchat.protocol.xftp.hello import FileClientHello, FileServerHello, receive_server_hello
from smpchat.relay.errors import RelayError
from smpchat.relay.options import options_from_json
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.kem import HashKEM
from smpchat.transport.base import ChainRefused, ConnectionClosed
from smpchat.transport.chain import verify_chain
from smpchat.transport.http2.link import HTTP2Refused
from smpchat.transport.http2.server import HTTP2Server, Request
from smpchat.transport.identity import create_identity
from smpchat.transport.socks_address import parse_proxy
from smpchat.transport.tls_stream import TLSStream
from smpchat.xftp.description import read_description, write_description
from smpchat.xftp.encryption import decrypt_file
from smpchat.xftp.links import read_file_link, write_file_link
from tests.fuzz.mutate import BYTES, JSON, TEXT, Mutate, text_of
from tests.fuzz.receiver import a_request, bodies, group_bodies, world
from tests.fuzz.seeds import DATA, spread, tried
from tests.fuzz.target import Target

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT_KEY = Ed25519PrivateKey(bytes(32))
_PROFILE = b'{"displayName":"ann","fullName":"","preferences":{"calls":{"allow":"yes"},"commands":[]}}'
_PICTURE = b"data:image/png;base64,iVBORw0KGgo="
_OPTIONS = b'{"host":"::","quota":128}'
_ADDRESS = b"smp://" + b"A" * 43 + b"@relay.example.org,[::1]:5223"


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(text_of(data))


def _group_events(data: bytes) -> None:
    """What was read means the same once it is written again."""
    for message in decode_group_messages(data):
        if not isinstance(message.event, Unusable | UnsupportedEvent | LeftOut):
            again = encode_group_event(message.event, message.shared_id)
            assert [other.event for other in decode_group_messages(again)] == [message.event]


def _readable(run: Callable[[bytes], object], mutate: Mutate) -> list[bytes]:
    """Those of the known answers that a decoder takes."""
    found = []
    for data in [
        *(tried(text=True) if mutate is not BYTES else ()),
        *(tried(text=False) if mutate is not TEXT else ()),
    ]:
        with suppress(Exception):  # whether it may raise that shows when it is mutated
            run(data)
            found.append(data)
    return spread(found)


def _decoder(
    name: str,
    run: Callable[[bytes], object],
    *seeds: bytes,
    errors: tuple[type[Exception], ...] = (DecodeError,),
    mutate: Mutate = BYTES,
) -> Target:
    return Target(name, run, errors, lambda: [*seeds, *_readable(run, mutate)], mutate)


def _codec(name: str, codec: Codec[Any], *seeds: bytes) -> Target:
    return _decoder(name, codec.decode, *seeds)


def _json(read: Callable[[object], object]) -> Callable[[bytes], object]:
    return lambda data: read(parse_json(data))


# -- several versions, signatures, certificates -----------------------------------------------------------------------


def _command(data: bytes) -> object:
    version = SMP_VERSIONS.minimum + data[-1] % (SMP_VERSIONS.maximum - SMP_VERSIONS.minimum + 1) if data else 18
    return command_codec.decode_command(data, version, keyed_new=bool(len(data) & 1))


def _block(data: bytes) -> object:
    """What a client does with the content of a block."""
    return [
        command_codec.decode_broker(transmission.decode_transmission(one, 18, b"").body, 18)
        for one in decode_batch(data)
    ]


@cache
def _chain() -> tuple[bytes, bytes]:
    leaf, ca = create_identity(SeededEntropy("fuzz"), NOW, ["relay.example.org", "::1"]).chain
    return leaf, ca


def _certificates(leaf: bytes, ca: bytes) -> None:
    verify_chain((leaf, ca), hashlib.sha256(ca).digest(), NOW)


def _hello_certificate(data: bytes) -> None:
    verify_session_key((data, _chain()[1]), b"key", hashlib.sha256(_chain()[1]).digest())


@cache
def _link(invitation: bool) -> tuple[bytes, bytes, object]:
    """Fixed and user data behind a short link, unsigned, and the full link."""
    request = a_request(invitation=invitation)
    fixed = link_data.fixed_link_data.encode(
        link_data.FixedLinkData(request.agent_versions, ROOT_KEY.public(), request)
    )
    info = b'{"profile":%s}' % _PROFILE
    data: link_data.ConnLinkData = (
        link_data.InvitationLinkData(request.agent_versions, info, None)
        if invitation
        else link_data.ContactLinkData(request.agent_versions, info)
    )
    return fixed, link_data.conn_link_data.encode(data), request


def _opened(fixed: bytes, user: bytes, *, invitation: bool) -> object:
    """Both parts correctly signed and sealed, whatever is in them; then opened as by whoever uses the link."""
    request = _link(invitation)[2]
    assert isinstance(request, InvitationLink | ContactLink)
    key = link_data.link_key_of(fixed)
    _, box = link_data._keys(invitation, key)
    blobs = [
        link_data.seal_blob(box, bytes(24), link_data.signed(ROOT_KEY, part)[: size - 2], size)
        for part, size in ((fixed, link_data.FIXED_PADDING), (user, link_data.USER_PADDING))
    ]
    first = request.queues[0]
    link = ShortInvitation(first.server, bytes(24), key) if invitation else ShortContact(first.server, key)
    opened = link_data.open_link(link, Lnk(first.sender_id, blobs[0], blobs[1]))
    decode_link_info(opened.user_data)
    return format_link(opened.request)


def _is_short(text: str) -> object:
    link = parse_link(text)
    return format_link(link) if isinstance(link, InvitationLink | ContactLink) else format_short_link(link)


def _address(text: str) -> None:
    server = read_server(text)
    again = address.parse_server(address.format_server(server))
    assert again == server, "an address that was read is another one once it is written"


def _terminal(text: str) -> None:
    shown = printable(text, lines=True)
    assert not any(letter < " " and letter != "\n" for letter in shown), "a control character reaches the terminal"
    filled(printable(text), 80)


def _alias(text: str) -> None:
    assert alias_from_name(text, lambda alias: False).isprintable()
    check_alias(text)


def _link_seeds(part: int, invitation: bool) -> Sequence[bytes]:
    found = _link(invitation)[part]
    assert isinstance(found, bytes)
    return [found]


def _other_part(part: int, invitation: bool, data: bytes) -> object:
    fixed, user, _ = _link(invitation)
    return _opened(data, user, invitation=invitation) if part == 0 else _opened(fixed, data, invitation=invitation)


def _server_bytes(hosts: tuple[str, ...], port: str) -> bytes:
    return address.smp_server.encode(address.SMPServer(hosts, port, bytes(32)))


# -- files ------------------------------------------------------------------------------------------------------------

XFTP = DATA / "xftp"


def _xftp(suffix: str) -> list[bytes]:
    """Contents of blocks in the known answers of XFTP."""
    document = json.loads((XFTP / "xftp.json").read_bytes())
    return [bytes.fromhex(value) for name, value in document.items() if name.endswith(suffix)]


def _xftp_block(data: bytes) -> object:
    """A block with mutated content, as both sides read it."""
    transmission, _ = xftp_transmission.decode_block(pad_block(data[:16_000]), b"\x11" * 32)
    return transmission


def _file_hello(data: bytes) -> object:
    hello = unpad_block((XFTP / "real" / "server-hello.bin").read_bytes())
    identity = hashlib.sha256(FileServerHello.decode(hello).chain[1]).digest()
    return receive_server_hello(pad_block(data[:16_000]), identity, data[5:37], None)


def _description(text: str) -> None:
    description = read_description(text)
    assert read_description(write_description(description)) == description


def _file_link(text: str) -> None:
    link = read_file_link(text)
    assert read_file_link(write_file_link(link)) == link


def _descriptions() -> list[bytes]:
    return [path.read_bytes() for path in sorted(XFTP.rglob("*rcv*.yaml"))]


_FILE_INSIDE = (20).to_bytes(8, "big") + b"\x09hello.txt0" + b"content##########"


def _sealed(inside: bytes) -> bytes:
    box = seal(bytes(32), bytes(24), inside)
    return box[16:] + box[:16]


def _opened_file(inside: bytes) -> None:
    """A file that is sealed as it should be, whatever is in it."""
    sealed, plain = _sealed(inside), io.BytesIO()
    digest = hashlib.sha512(sealed).digest()
    assert decrypt_file(io.BytesIO(sealed), plain, bytes(32), bytes(24), digest) == len(plain.getvalue())


def _changed_file(sealed: bytes) -> None:
    decrypt_file(io.BytesIO(sealed), io.BytesIO(), bytes(32), bytes(24), hashlib.sha512(sealed).digest())


class _Frames:
    """A stream that gives some bytes and then ends."""

    peer_host, is_lost = None, False

    def __init__(self, data: bytes) -> None:
        self._data = [data]
        self.ssl_object = self

    session_reused = False

    def get_channel_binding(self, kind: str) -> bytes:
        return bytes(32)

    def getpeercert(self, binary: bool) -> None:
        return None

    async def read_into(self, view: memoryview) -> int:
        if not self._data:
            raise ConnectionClosed("the peer closed the connection")
        data = self._data.pop()[: len(view)]
        view[: len(data)] = data
        return len(data)

    def write(self, parts: Iterable[object]) -> None:
        for _ in parts:
            pass

    async def drain(self) -> None:
        pass


_PREAMBLE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def _frames(data: bytes) -> None:
    """What a client sends, read by the relay's side, with an answer to each request."""

    async def answer(request: Request) -> None:
        await request.answer([await request.body.take(100)])

    async def run() -> None:
        await HTTP2Server(cast(TLSStream, _Frames(_PREAMBLE + data)), 1).serve(answer)

    try:
        asyncio.run(run())
    except HTTP2Refused:
        raise
    except ConnectionClosed:
        pass  # as it has to be behind the last byte


def _frame_seeds() -> list[bytes]:
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.send_headers(1, [(":method", "POST"), (":scheme", "https"), (":authority", "h"), (":path", "/")])
    client.send_data(1, b"hello", end_stream=True)
    client.ping(bytes(8))
    client.increment_flow_control_window(5)
    client.send_headers(3, [(":method", "POST"), (":scheme", "https"), (":authority", "h"), (":path", "/")])
    client.reset_stream(3)
    return [client.data_to_send().removeprefix(_PREAMBLE)]


def _files() -> list[Target]:
    xftp_errors = (DecodeError, errors.RemoteProtocolError, XFTPError)
    return [
        Target(
            "files.command",
            xftp_codec.decode_command,
            (DecodeError,),
            lambda: [decode_block_of(data) for data in _xftp("Content")] + _xftp("Command"),
        ),
        Target(
            "files.answer",
            xftp_codec.decode_answer,
            (DecodeError,),
            lambda: [decode_block_of(data) for data in _xftp("Response")],
        ),
        Target("files.block", _xftp_block, xftp_errors, lambda: _xftp("Content") + _xftp("Response")),
        Target(
            "files.server-hello",
            _file_hello,
            xftp_errors,
            lambda: [unpad_block((XFTP / "real" / "server-hello.bin").read_bytes())],
        ),
        Target("files.client-hello", FileClientHello.decode, (DecodeError,), lambda: [b"\0\3\x20" + bytes(32)]),
        Target(
            "files.error", file_error.decode, (DecodeError,), lambda: [b"AUTH", b"CMD SYNTAX", b"BLOCKED reason=spam"]
        ),
        Target("files.description", _text(_description), (DecodeError,), _descriptions, TEXT),
        Target("files.link", _text(_file_link), (DecodeError,), lambda: [(XFTP / "xftp-uri.txt").read_bytes()], TEXT),
        Target(
            "files.server",
            _text(address.checked_file_server),
            (DecodeError,),
            lambda: [_ADDRESS.replace(b"smp", b"xftp")],
            TEXT,
        ),
        Target("files.content", _opened_file, (DecodeError,), lambda: [_FILE_INSIDE]),
        Target("files.changed-file", _changed_file, (DecodeError, VerificationError), lambda: [_sealed(_FILE_INSIDE)]),
        Target("transport.http2", _frames, (HTTP2Refused,), _frame_seeds),
    ]


def decode_block_of(content: bytes) -> bytes:
    """The command or answer in the content of a block."""
    return xftp_transmission.decode_block(pad_block(content), b"\x11" * 32)[0].body


def _relay_messages() -> list[bytes]:
    found = messages.RcvMessage(1_700_000_000, True, b"body"), messages.QuotaMarker(1_700_000_000)
    return [messages.encode_rcv_message(message) for message in found]


def _ratchets() -> list[bytes]:
    return [world().bobs_ratchet.to_bytes(), world().daves_ratchet.to_bytes()]


def _kem_seeds() -> list[bytes]:
    kem = HashKEM()
    public, _ = kem.generate()
    ciphertext, _ = kem.encapsulate(public)
    return [kem_params.encode(KEMProposed(public)), kem_params.encode(KEMAccepted(ciphertext, public))]


def decoders() -> list[Target]:
    """All of them, by layer."""
    links = (LinkError,)
    found = [
        _decoder("encoding.json", parse_json, _PROFILE, mutate=JSON),
        _decoder("encoding.zstd", decompress, compress(_PROFILE), compress(bytes(60_000)), compress(b"")),
        _codec("crypto.auth-key", auth_key),
        Target("crypto.kem", kem_params.decode, (DecodeError,), _kem_seeds),
        _decoder("crypto.e2e-text", _text(e2e_params_from_text), mutate=TEXT),
        _decoder("crypto.ratchet-message", parse_message),
        _decoder("crypto.ratchet-header", lambda data: decode_header(data, 2 + len(data) % 2)),
        Target("crypto.ratchet-state", Ratchet.from_bytes, (DecodeError,), _ratchets),
        _decoder("protocol.command", _command, errors=(DecodeError, errors.RemoteProtocolError)),
        _decoder("protocol.broker", lambda data: command_codec.decode_broker(data, 6 + len(data) % 13)),
        _decoder("protocol.transmission", lambda data: transmission.decode_transmission(data, 6 + len(data) % 13, b"")),
        _decoder("protocol.block", _block, errors=(DecodeError, BlockError)),
        _decoder("protocol.server-hello", ServerHello.decode),
        _decoder("protocol.client-hello", lambda data: ClientHello.decode(data)),
        _codec("protocol.error-code", errors.error_code, b"AUTH", b"CMD SYNTAX", b"BLOCKED reason=spam"),
        _codec("protocol.server", address.smp_server, _server_bytes(("relay.example.org", "::1"), "443")),
        _decoder("protocol.server-stored", _text(address.parse_server), _ADDRESS, mutate=TEXT),
        _decoder("protocol.server-text", _text(_address), _ADDRESS, mutate=TEXT),
        _decoder("protocol.version-text", _text(VersionRange.parse), b"1-16", mutate=TEXT),
        _decoder("protocol.relay-message", messages.decode_rcv_message, *_relay_messages()),
        _codec("protocol.envelope", client_msg_envelope),
        _codec("protocol.client-message", client_message),
        _decoder("transport.proxy", _text(parse_proxy), b"socks5://127.0.0.1:9050", b"[::1]:1", mutate=TEXT),
        Target(
            "transport.leaf",
            lambda data: _certificates(data, _chain()[1]),
            (ChainRefused,),
            lambda: [_chain()[0]],
        ),
        Target("transport.ca", lambda data: _certificates(_chain()[0], data), (ChainRefused,), lambda: [_chain()[1]]),
        Target("transport.hello-leaf", _hello_certificate, (IdentityError,), lambda: [_chain()[0]]),
        _codec("agent.envelope", envelope.agent_envelope),
        _codec("agent.message", envelope.agent_message),
        _codec("agent.queue-info", queue.queue_info),
        _codec("agent.queue-uri", queue.queue_uri),
        _decoder("agent.queue-text", _text(queue.queue_uri_from_text), mutate=TEXT),
        _decoder("agent.link", _text(_is_short), errors=links, mutate=TEXT),
        _decoder("agent.pasted", _text(find_link), errors=links, mutate=TEXT),
        _codec("agent.short-link", short_link),
        _decoder("agent.user-data", read_user_json, b"X" + compress(_PROFILE), mutate=JSON),
        Target("chat.body", decode_messages, (DecodeError,), bodies, JSON),
        Target("chat.group-body", _group_events, (DecodeError,), group_bodies, JSON),
        _decoder("chat.group-link", read_group_link, b'{"groupProfile":{"displayName":"team"}}', mutate=JSON),
        _decoder("chat.request", decode_contact_request, mutate=JSON, errors=(DecodeError,)),
        _decoder("chat.profile", _json(Profile.from_wire), _PROFILE, mutate=JSON),
        _decoder("chat.picture", _text(picture_of), _PICTURE, errors=(InputError,), mutate=TEXT),
        _decoder("chat.duration", _text(parse_duration), b"5m", errors=(InputError,), mutate=TEXT),
        _decoder("chat.alias", _text(_alias), b"ann", b"Ann B. \xc3\xa9", errors=(InputError,), mutate=TEXT),
        _decoder("cli.terminal", _text(_terminal), b"hello", b"line\nline", mutate=TEXT),
        _decoder("relay.options", _json(options_from_json), _OPTIONS, errors=(DecodeError, RelayError), mutate=JSON),
    ]
    found += _files()
    for invitation in (True, False):
        kind = "invitation" if invitation else "address"
        for part, name in enumerate(("fixed", "user")):
            found.append(
                Target(
                    f"link-data.{kind}-{name}",
                    partial(_other_part, part, invitation),
                    (LinkDataError, LinkError, CryptoError),
                    partial(_link_seeds, part, invitation),
                )
            )
    return found
