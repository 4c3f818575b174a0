"""Everything of the relay protocol that travels: round trips at every version, and any bytes decode or are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smpchat.crypto.box import KEY_SIZE
from smpchat.crypto.errors import CryptoError, VerificationError
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.codec import short_bytes
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.address import SMPServerAddress, format_server, parse_server, smp_server
from smpchat.protocol.block import (
    BATCH_CONTENT,
    BLOCK_SIZE,
    ENCRYPTED_CONTENT,
    MAX_BATCH,
    decode_batch,
    encode_batches,
    pad_block,
    unpad_block,
)
from smpchat.protocol.command_codec import (
    CommandDecodeError,
    decode_broker,
    decode_command,
    encode_broker,
    encode_command,
)
from smpchat.protocol.commands import BrokerMessage, Command, New
from smpchat.protocol.envelope import ClientMessage, PHConfirmation, PHEmpty, client_message, client_msg_envelope
from smpchat.protocol.errors import BlockError, ErrorCode, HandshakeError, error_code
from smpchat.protocol.messages import QuotaMarker, RcvMessage, decode_rcv_message, encode_rcv_message, open_message
from smpchat.protocol.session import (
    ClientHandshake,
    ClientHello,
    ServerHandshake,
    ServerHello,
    SMPSession,
    encode_signed_key,
    open_signed_key,
)
from smpchat.protocol.transmission import Transmission, decode_transmission, encode_transmission
from smpchat.protocol.version import SMP_VERSIONS, VersionRange, version_range
from smpchat.testing.entropy import SeededEntropy
from tests.properties import wire

versions = st.integers(SMP_VERSIONS.minimum, SMP_VERSIONS.maximum)
NEWEST = SMP_VERSIONS.maximum
SESSION_ID = b"\x11" * 32
ROOT = Ed25519PrivateKey(bytes(32))
X25519 = X25519PrivateKey(bytes(range(32)))


class TestCommands:
    @given(wire.commands)
    def test_newest_version_holds_everything(self, command: Command) -> None:
        assert decode_command(encode_command(command, NEWEST), NEWEST) == command

    @given(wire.commands, versions)
    def test_every_version_is_read_as_it_is_written(self, command: Command, version: int) -> None:
        data = encode_command(command, version)
        assert encode_command(decode_command(data, version), version) == data

    @given(wire.new, wire.auth_keys, versions)
    def test_keyed_new(self, new: New, key: Any, version: int) -> None:
        keyed = New(new.rcv_auth_key, new.rcv_dh_key, new.basic_auth, new.subscribe, new.queue, None, key)
        data = encode_command(keyed, version, keyed_new=True)
        decoded = decode_command(data, version, keyed_new=True)
        assert isinstance(decoded, New)
        assert decoded.sender_key == key
        with pytest.raises(CommandDecodeError):
            decode_command(data, version)

    @given(wire.damaged(wire.commands.map(lambda command: encode_command(command, NEWEST))), versions, st.booleans())
    def test_any_bytes_are_a_command_or_have_an_answer(self, data: bytes, version: int, keyed: bool) -> None:
        try:
            command = decode_command(data, version, keyed_new=keyed)
        except CommandDecodeError as error:
            assert error.code in (ErrorCode.cmd("UNKNOWN"), ErrorCode.cmd("SYNTAX"))
        else:
            encode_command(command, version, keyed_new=keyed)


class TestMessages:
    @given(wire.broker_messages)
    def test_newest_version_holds_everything(self, message: BrokerMessage) -> None:
        assert decode_broker(encode_broker(message, NEWEST), NEWEST) == message

    @given(wire.broker_messages, versions)
    def test_every_version_is_read_as_it_is_written(self, message: BrokerMessage, version: int) -> None:
        data = encode_broker(message, version)
        assert encode_broker(decode_broker(data, version), version) == data

    @given(wire.damaged(wire.broker_messages.map(lambda message: encode_broker(message, NEWEST))), versions)
    @example(b"ERR \xff", 18)
    @example(b"ERR BLOCKED reason=spam,notice=" + b"[" * 20_000, 18)
    @example(b"INFO " + b"[" * 20_000, 18)
    @example(b"ERR " + b"PROXY PROTOCOL " * 5_000 + b"AUTH", 18)
    def test_any_bytes_are_a_message_or_refused(self, data: bytes, version: int) -> None:
        try:
            message = decode_broker(data, version)
        except DecodeError:
            return
        assert decode_broker(encode_broker(message, NEWEST), NEWEST) == message

    @given(wire.errors)
    def test_errors(self, code: ErrorCode) -> None:
        assert error_code.decode(error_code.encode(code)) == code


class TestTransmissions:
    transmissions = st.builds(
        Transmission,
        wire.short,
        wire.short,
        wire.body,
        st.sampled_from([0, 64, 80, 114]).flatmap(wire.sized),
    )

    @given(transmissions, versions)
    def test_round_trip(self, transmission: Transmission, version: int) -> None:
        data = encode_transmission(transmission, version, SESSION_ID)
        assert decode_transmission(data, version, SESSION_ID) == transmission

    @given(wire.damaged(transmissions.map(lambda item: encode_transmission(item, NEWEST, SESSION_ID))), versions)
    def test_any_bytes(self, data: bytes, version: int) -> None:
        try:
            transmission = decode_transmission(data, version, SESSION_ID)
        except DecodeError:
            return
        assert encode_transmission(transmission, version, SESSION_ID) == data


class TestBlocks:
    @given(st.lists(st.binary(max_size=3000), max_size=40), st.booleans())
    def test_batches_keep_order_and_fit(self, transmissions: list[bytes], encrypted: bool) -> None:
        contents = encode_batches(transmissions, encrypted=encrypted)
        batches = [decode_batch(content) for content in contents]
        assert [item for batch in batches for item in batch] == transmissions
        for content, batch in zip(contents, batches, strict=True):
            assert len(batch) == 1 or len(content) <= BATCH_CONTENT
            assert len(content) <= ENCRYPTED_CONTENT

    @given(st.integers(1, 700))
    def test_no_more_than_a_count_byte_holds(self, count: int) -> None:
        contents = encode_batches([b"x"] * count)
        assert [len(decode_batch(content)) for content in contents] == [
            min(MAX_BATCH, count - start) for start in range(0, count, MAX_BATCH)
        ]

    @given(wire.damaged(st.lists(wire.body, min_size=1, max_size=4).map(lambda items: encode_batches(items)[0])))
    def test_any_content(self, content: bytes) -> None:
        try:
            batch = decode_batch(content)
        except DecodeError:
            return
        assert encode_batches(batch, encrypted=False) == [content]

    @given(st.binary(max_size=400))
    def test_padding(self, content: bytes) -> None:
        assert unpad_block(pad_block(content)) == content

    @given(st.binary(max_size=20), st.booleans())
    def test_any_block(self, start: bytes, whole: bool) -> None:
        block = start.ljust(BLOCK_SIZE, b"\0") if whole else start
        try:
            assert unpad_block(block) == block[2 : 2 + int.from_bytes(block[:2], "big")]
        except BlockError:
            assert not whole or int.from_bytes(block[:2], "big") > BLOCK_SIZE - 2

    @given(st.binary(max_size=20), st.booleans())
    def test_any_block_in_a_session(self, start: bytes, encrypts: bool) -> None:
        session = SMPSession(
            18,
            SESSION_ID,
            own_key=X25519,
            peer_key=X25519.public(),
            is_server=False,
            encrypts=encrypts,
        )
        try:
            session.open_block(start.ljust(BLOCK_SIZE, b"\0"))
        except BlockError:
            return
        assert not encrypts


class TestHellos:
    server_hellos = st.builds(
        ServerHello,
        wire.version_ranges.filter(lambda versions: versions.maximum >= 7),
        wire.short,
        st.lists(wire.large, min_size=1, max_size=4).map(tuple),
        wire.large,
        st.none() | wire.version_ranges,
    )
    client_hellos = st.builds(
        ClientHello,
        st.integers(7, 18),
        wire.sized(32),
        st.none() | wire.x25519,
        st.just(False),
        st.just(False),
        st.none() | wire.word16,
    )

    @given(server_hellos)
    def test_server(self, hello: ServerHello) -> None:
        assert ServerHello.decode(hello.encode()) == hello

    @given(client_hellos)
    def test_client(self, hello: ClientHello) -> None:
        assert ClientHello.decode(hello.encode()) == hello

    @given(server_hellos, st.binary(max_size=30))
    def test_an_unknown_tail_is_ignored(self, hello: ServerHello, tail: bytes) -> None:
        plain = ServerHello(hello.versions, hello.session_id, hello.chain, hello.signed_key)
        if not tail.startswith(b"\x07smpchat"):
            assert ServerHello.decode(plain.encode() + tail) == plain

    @given(wire.damaged(st.one_of(server_hellos.map(ServerHello.encode), client_hellos.map(ClientHello.encode))))
    def test_any_content(self, content: bytes) -> None:
        for decode in (ServerHello.decode, ClientHello.decode):
            try:
                decode(content)
            except DecodeError:
                continue

    @given(wire.damaged(st.one_of(server_hellos.map(ServerHello.encode), client_hellos.map(ClientHello.encode))))
    def test_any_block_into_both_handshakes(self, content: bytes) -> None:
        client = ClientHandshake(bytes(32), SESSION_ID, None, SMP_VERSIONS, SeededEntropy("c"))
        relay = ServerHandshake([b"leaf", b"identity"], ROOT.sign, SESSION_ID, SMP_VERSIONS, SeededEntropy("s"))
        for receive in (client.receive_hello, relay.receive_hello):
            with pytest.raises(HandshakeError):
                receive(pad_block(content))
            with pytest.raises(HandshakeError):
                receive(content)

    @given(wire.x25519)
    def test_signed_keys(self, key: Any) -> None:
        assert open_signed_key(encode_signed_key(key, ROOT.sign), ROOT.public()) == key

    @given(wire.damaged(wire.x25519.map(lambda key: encode_signed_key(key, ROOT.sign))))
    def test_any_signed_key(self, der: bytes) -> None:
        try:
            key = open_signed_key(der, ROOT.public())
        except VerificationError:
            return
        assert encode_signed_key(key, ROOT.sign) == der


class TestBoxes:
    rcv_messages = st.one_of(
        st.builds(RcvMessage, st.integers(0, 1 << 40), st.booleans(), wire.body),
        st.builds(QuotaMarker, wire.int64),
    )
    client_messages = st.builds(
        ClientMessage, st.one_of(st.just(PHEmpty()), st.builds(PHConfirmation, wire.auth_keys)), wire.body
    )

    @given(rcv_messages)
    def test_message_of_a_relay(self, message: RcvMessage | QuotaMarker) -> None:
        assert decode_rcv_message(encode_rcv_message(message)) == message

    @given(client_messages)
    def test_message_of_a_client(self, message: ClientMessage) -> None:
        assert client_message.decode(client_message.encode(message)) == message

    @given(wire.damaged(st.one_of(rcv_messages.map(encode_rcv_message), client_messages.map(client_message.encode))))
    @pytest.mark.parametrize("decode", [decode_rcv_message, client_message.decode, client_msg_envelope.decode])
    def test_any_bytes(self, decode: Callable[[bytes], object], data: bytes) -> None:
        try:
            decode(data)
        except DecodeError:
            return

    @given(st.binary(max_size=30), st.binary(max_size=60))
    def test_any_sealed_message(self, msg_id: bytes, sealed: bytes) -> None:
        with pytest.raises((CryptoError, DecodeError)):
            open_message(bytes(KEY_SIZE), msg_id, sealed)


class TestAddresses:
    @given(wire.servers)
    def test_both_forms(self, server: Any) -> None:
        assert smp_server.decode(smp_server.encode(server)) == server
        assert parse_server(format_server(server)) == SMPServerAddress(server)

    @given(wire.servers, st.from_regex(r"[!-.0-9;-?A-~]{1,20}", fullmatch=True))
    def test_password(self, server: Any, password: str) -> None:
        address = SMPServerAddress(server, password)
        assert parse_server(format_server(address)) == address

    @given(wire.damaged(wire.servers.map(smp_server.encode)))
    def test_any_bytes(self, data: bytes) -> None:
        try:
            server = smp_server.decode(data)
        except DecodeError:
            return
        assert 0 <= server.port_number <= 65535
        assert smp_server.decode(smp_server.encode(server)) == server

    @given(wire.damaged_text(wire.servers.map(format_server)))
    @example("smp://AA==@[:99999]")
    @example("smp://AA==@host:٣")
    def test_any_text(self, text: str) -> None:
        try:
            address = parse_server(text)
        except DecodeError:
            return
        assert parse_server(format_server(address)) == address

    @given(wire.version_ranges)
    def test_version_ranges(self, versions: VersionRange) -> None:
        assert version_range.decode(version_range.encode(versions)) == versions
        assert VersionRange.parse(str(versions)) == versions

    @given(wire.damaged_text(wire.version_ranges.map(str)), st.binary(max_size=6))
    def test_any_version_range(self, text: str, data: bytes) -> None:
        with contextlib.suppress(DecodeError):
            assert VersionRange.parse(text).minimum <= VersionRange.parse(text).maximum
        with contextlib.suppress(DecodeError):
            assert version_range.encode(version_range.decode(data)) == data

    @given(wire.short)
    def test_short_bytes(self, data: bytes) -> None:
        assert short_bytes.decode(short_bytes.encode(data)) == data
