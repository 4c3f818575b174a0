from __future__ import annotations

import json
import random
import sys

import pytest

from smpchat.chat.wire.bodies import (
    CHAT_VERSIONS,
    MAX_COMPRESSED,
    MAX_EXPANDED,
    MAX_JSON,
    MAX_MESSAGES,
    Envelope,
    LeftOut,
    Room,
    Unreadable,
    compress_body,
    decode_body,
    encode_envelope,
    shared_id,
)
from smpchat.encoding.json_text import MAX_DEPTH
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.version import VersionRange

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OK = b'{"v":"1-16","event":"x.ok","params":{}}'
OK_ENVELOPE = Envelope("x.ok", {}, None, VersionRange(1, 16))


def large(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def listed(*items: bytes) -> bytes:
    return b"X" + bytes([len(items)]) + b"".join(items)


def frame(data: bytes) -> bytes:
    return b"1" + large(zstd.compress(data))


def plain(data: bytes) -> bytes:
    return b"0" + bytes([len(data)]) + data


class TestWriting:
    def test_keys_are_in_the_apps_order_and_text_is_utf8(self) -> None:
        envelope = Envelope("x.msg.new", {"b": {"z": 1, "a": "é"}, "a": []}, "aWQ=", CHAT_VERSIONS)
        expected = '{"v":"1-16","msgId":"aWQ=","event":"x.msg.new","params":{"a":[],"b":{"a":"é","z":1}}}'
        assert encode_envelope(envelope) == expected.encode()

    def test_connection_info_has_no_id(self) -> None:
        assert encode_envelope(OK_ENVELOPE) == OK

    def test_a_surrogate_becomes_a_question_mark(self) -> None:
        assert b'"?"' in encode_envelope(Envelope("x.ok", {"a": "\ud800"}))


class TestRoom:
    @pytest.mark.parametrize(
        ("max_body", "version", "data", "limit"),
        [
            (15_795, 16, b"a" * 16_000, MAX_JSON),
            (13_573, 7, b"a" * 16_000, 13_573),
            (13_573, 16, b"a" * 16_000, MAX_JSON),
            (13_573, 16, random.Random(7).randbytes(16_000), MAX_COMPRESSED),
        ],
    )
    def test_the_limit_told_is_the_one_that_counts(self, max_body: int, version: int, data: bytes, limit: int) -> None:
        room = Room.of(max_body, version)
        assert room.pack(data) is None and room.limit(data) == limit

    def test_without_post_quantum_encryption_nothing_is_compressed(self) -> None:
        room = Room.of(15_795, peer_version=16)
        data = b"a" * MAX_JSON
        assert room.pack(data) == data
        assert room.pack(data + b"a") is None

    def test_with_it_what_is_long_is_compressed(self) -> None:
        room = Room.of(13_573, peer_version=8)
        assert room.pack(b"a" * MAX_COMPRESSED) == b"a" * MAX_COMPRESSED
        packed = room.pack(b"a" * MAX_JSON)
        assert packed is not None and packed.startswith(b"X\x011") and len(packed) < 100
        assert room.pack(b"a" * (MAX_JSON + 1)) is None

    def test_what_does_not_get_short_enough_has_no_room(self) -> None:
        noise = random.Random(1).randbytes(MAX_COMPRESSED + 1)
        assert Room.of(13_573, peer_version=16).pack(noise) is None

    def test_a_peer_that_does_not_know_compression_gets_plain_json_that_fits(self) -> None:
        room = Room.of(13_573, peer_version=7)
        assert room.pack(b"a" * 13_573) == b"a" * 13_573
        assert room.pack(b"a" * 13_574) is None


class TestSharedId:
    @pytest.mark.parametrize("text", ["aWQ", "aWQ=", "aWQ=="])
    def test_padding_is_optional(self, text: str) -> None:
        assert shared_id(text) == "aWQ="

    @pytest.mark.parametrize("value", [None, 3, "", "==", "é", "\ud800", "a" * 256, ["a"]])
    def test_anything_else_is_no_id(self, value: object) -> None:
        assert shared_id(value) is None


class TestReading:
    def test_one_message(self) -> None:
        assert decode_body(OK) == [OK_ENVELOPE]

    def test_versions_may_be_absent_or_nonsense(self) -> None:
        assert decode_body(b'{"event":"x.ok","params":{}}') == [Envelope("x.ok", {})]
        assert decode_body(b'{"v":"9-1","event":"x.ok","params":{}}') == [Envelope("x.ok", {})]
        assert decode_body(b'{"v":[],"event":"x.ok","params":{}}') == [Envelope("x.ok", {})]

    def test_an_array_is_read_in_order_and_each_part_by_itself(self) -> None:
        body = b'[{"event":"x.a","params":{}},{"event":"y","params":{}},[],{"event":"x.b","params":{}}]'
        first, second, third, last = decode_body(body)
        assert (first, last) == (Envelope("x.a", {}), Envelope("x.b", {}))
        assert isinstance(second, Unreadable) and isinstance(third, Unreadable)

    def test_an_empty_array_says_nothing(self) -> None:
        assert decode_body(b"[]") == []

    def test_compressed(self) -> None:
        assert decode_body(compress_body(OK)) == [OK_ENVELOPE]
        assert decode_body(listed(frame(OK), plain(OK), frame(b"[" + OK + b"]"))) == [OK_ENVELOPE] * 3

    def test_compressed_once_only(self) -> None:
        [part] = decode_body(compress_body(compress_body(OK)))
        assert isinstance(part, Unreadable)

    def test_a_bad_part_does_not_spoil_the_others(self) -> None:
        bad, good = decode_body(listed(plain(b"{"), plain(OK)))
        assert isinstance(bad, Unreadable) and good == OK_ENVELOPE

    @pytest.mark.parametrize("form", ["array", "compressed", "frames", "batch"])
    def test_so_many_messages_of_one_body_are_read(self, form: str) -> None:
        def body(count: int) -> bytes:
            array = b"[" + b",".join([OK] * count) + b"]"
            match form:
                case "array":
                    return array
                case "compressed":
                    return compress_body(array)
                case "frames":
                    return listed(*[frame(OK)] * count)
            return b"=" + bytes([count]) + large(OK) * count

        assert decode_body(body(MAX_MESSAGES)) == [OK_ENVELOPE] * MAX_MESSAGES
        assert decode_body(body(MAX_MESSAGES + 1)) == [OK_ENVELOPE] * MAX_MESSAGES + [LeftOut()]

    def test_bombs_are_refused(self) -> None:
        with pytest.raises(DecodeError, match="the limit is"):
            decode_body(listed(frame(bytes(MAX_EXPANDED + 1))))
        half = b" " * (MAX_EXPANDED // 2)
        with pytest.raises(DecodeError, match="expands"):
            decode_body(listed(*[frame(half)] * 3))

    @pytest.mark.parametrize(
        "body",
        [
            b"X",
            b"X\x00",
            b"X\x02" + plain(OK),
            listed(b"2" + large(OK)),
            listed(plain(OK)) + b"!",
            listed(b"1\x00\x01a"),
        ],
        ids=["empty", "no item", "missing item", "unknown kind", "trailing", "no frame"],
    )
    def test_bad_framing_is_refused(self, body: bytes) -> None:
        with pytest.raises(DecodeError):
            decode_body(body)

    def test_binary_batch(self) -> None:
        signed = b"/G\x01M\x40" + bytes(64) + OK
        forwarded = b">\x05alice" + bytes(8) + OK
        elements = [OK, signed, forwarded, b"F\x00\x01a\x00data", b"?"]
        body = b"=" + bytes([len(elements)]) + b"".join(map(large, elements))
        first, second, last = decode_body(body)
        assert first == second == OK_ENVELOPE
        assert isinstance(last, Unreadable)

    @pytest.mark.parametrize("body", [b"=", b"=\x01", b"=\x01\x00\x05a", b"=\x00!"])
    def test_a_broken_batch_is_refused(self, body: bytes) -> None:
        with pytest.raises(DecodeError):
            decode_body(body)

    def test_a_chunk_of_a_file_says_nothing(self) -> None:
        assert decode_body(b"F\x00\x05abcde\x01data") == []

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" {}",
            b"hello",
            b"{",
            b"{}",
            b'{"event":3,"params":{}}',
            b'{"event":"y.msg","params":{}}',
            b'{"event":"x.ok"}',
            b'{"event":"x.ok","params":[]}',
            b'{"event":"x.ok","params":{}} ?',
            b'{"event":"x.ok","params":{"a":NaN}}',
            b'{"event":"x.ok","params":{"a":-Infinity}}',
            b'{"event":"x.ok","params":{"a":' + b"9" * 5000 + b"}}",
            b'{"event":"x.ok","params":{"a":"\xff"}}',
        ],
    )
    def test_what_is_malformed_is_refused(self, body: bytes) -> None:
        with pytest.raises(DecodeError):
            decode_body(body)

    def test_nesting_is_bounded(self) -> None:
        deep = b'{"event":"x.ok","params":{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}}"
        with pytest.raises(DecodeError):
            decode_body(deep)
        with pytest.raises(DecodeError):
            decode_body(b"[" * 60_000)

    @pytest.mark.parametrize("depth", [MAX_DEPTH - 2, MAX_DEPTH - 1])
    def test_the_limit_is_a_number_and_not_the_interpreters_stack(self, depth: int) -> None:
        body = b'{"event":"x.ok","params":{"a":' + b"[" * depth + b"]" * depth + b"}}"
        if depth + 2 <= MAX_DEPTH:
            assert len(decode_body(body)) == 1
        else:
            with pytest.raises(DecodeError, match="deeply"):
                decode_body(body)

    def test_size_is_bounded(self) -> None:
        body = json.dumps({"event": "x.ok", "params": {"a": "b" * MAX_EXPANDED}}).encode()
        with pytest.raises(DecodeError, match="at most"):
            decode_body(body)
