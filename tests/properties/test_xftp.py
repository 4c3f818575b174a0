"""Files: what travels is read as written, anything else is refused, and what is sealed opens to the same bytes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpchat.crypto.box import seal
from smpchat.crypto.errors import VerificationError
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.crypto.salsa20 import portable_xor, xor_from
from smpchat.crypto.secretbox import Opener, Sealer
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.address import MAX_HOSTS, FileServer
from smpchat.protocol.block import pad_block
from smpchat.protocol.errors import BlockError, ErrorCode
from smpchat.protocol.transmission import Transmission
from smpchat.protocol.xftp import commands as c
from smpchat.protocol.xftp.command_codec import (
    CommandDecodeError,
    decode_answer,
    decode_command,
    encode_answer,
    encode_command,
)
from smpchat.protocol.xftp.transmission import decode_block, encode_block
from smpchat.testing.entropy import SeededEntropy
from smpchat.xftp.chunks import KIB, MIB
from smpchat.xftp.description import (
    DescribedChunk,
    DescribedReplica,
    FileDescription,
    Party,
    Redirect,
    read_description,
    write_description,
)
from smpchat.xftp.encryption import FileDecryption, decrypt_file, encrypt_file
from smpchat.xftp.links import FileLink, read_file_link, write_file_link
from tests.properties import wire

SESSION = b"\x11" * 32
keys = st.lists(wire.auth_keys, min_size=1, max_size=5).map(tuple)
commands: st.SearchStrategy[c.FileCommand] = st.one_of(
    st.builds(
        c.FNew, wire.auth_keys, st.integers(0, 2**32 - 1), wire.sized(32), keys, st.none() | st.binary(max_size=255)
    ),
    st.builds(c.FAdd, keys),
    st.builds(c.FGet, wire.x25519),
    st.sampled_from([c.FPut(), c.FDel(), c.FAck(), c.Ping()]),
)
ids = st.lists(wire.short, min_size=1, max_size=5).map(tuple)
plain_errors = "AUTH BLOCK CRYPTO DIGEST FILE_IO HANDSHAKE HAS_FILE INTERNAL NO_FILE QUOTA SESSION SIZE TIMEOUT".split()
errors = st.one_of(
    st.sampled_from([ErrorCode((word,)) for word in plain_errors]),
    st.sampled_from("UNKNOWN SYNTAX PROHIBITED NO_AUTH HAS_AUTH NO_ENTITY".split()).map(ErrorCode.cmd),
    st.sampled_from([b"reason=spam", b'reason=content,notice={"ttl":5}']).map(
        lambda text: ErrorCode(("BLOCKED",), text)
    ),
)
answers: st.SearchStrategy[c.FileAnswer] = st.one_of(
    st.builds(c.SIds, wire.short, ids),
    st.builds(c.RIds, ids),
    st.builds(c.File, wire.x25519, wire.sized(24)),
    st.sampled_from([c.Ok(), c.Pong()]),
    st.builds(c.Err, errors),
)


@given(commands)
def test_commands_are_read_as_written(command: c.FileCommand) -> None:
    assert decode_command(encode_command(command)) == command


@given(answers)
def test_answers_are_read_as_written(answer: c.FileAnswer) -> None:
    assert decode_answer(encode_answer(answer, 3)) == answer


@given(wire.damaged(commands.map(encode_command)))
def test_other_bytes_are_a_command_or_refused(data: bytes) -> None:
    with contextlib.suppress(CommandDecodeError):
        assert encode_command(decode_command(data)) == data


@given(wire.damaged(answers.map(lambda answer: encode_answer(answer, 3))))
def test_other_bytes_are_an_answer_or_refused(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert encode_answer(decode_answer(data), 3) == data


@given(
    st.builds(Transmission, wire.short, wire.short, wire.body, st.sampled_from([0, 64, 80, 114]).flatmap(wire.sized))
)
def test_blocks_are_read_as_written(transmission: Transmission) -> None:
    assert decode_block(encode_block(transmission, SESSION), SESSION)[0] == transmission


@given(wire.damaged(st.just(b"\x01\x00\x28\x00\x20" + SESSION + b"\0\0PING")))
def test_other_blocks_are_refused(content: bytes) -> None:
    with contextlib.suppress(BlockError, DecodeError):
        transmission, _ = decode_block(pad_block(content), SESSION)
        assert encode_block(transmission, SESSION) == pad_block(content)


# -- boxes ------------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=700), wire.sized(32), wire.sized(24), st.lists(st.integers(0, 700), max_size=6))
def test_any_pieces_make_the_same_box(message: bytes, key: bytes, nonce: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(message)) for cut in cuts), len(message)]
    whole = seal(key, nonce, message)
    for xor in (xor_from, portable_xor):
        sealer, opener = Sealer(key, nonce, xor), Opener(key, nonce, xor)
        sealed, opened = bytearray(len(message)), bytearray(len(message))
        for start, end in itertools.pairwise(places):
            sealer.update(message[start:end], memoryview(sealed)[start:end])
            opener.update(sealed[start:end], memoryview(opened)[start:end])
        tag = sealer.finish()
        opener.finish(tag)
        assert (tag + sealed, bytes(opened)) == (whole, message)


@settings(max_examples=30)
@given(st.integers(0, 300_000), st.text(max_size=300))
def test_any_file_comes_back(size: int, name: str) -> None:
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    sealed, opened = io.BytesIO(), io.BytesIO()
    key, nonce, digest, chunks = encrypt_file(io.BytesIO(content), sealed, name, size, SeededEntropy("file"))
    assert sum(chunk for chunk, _ in chunks) == len(sealed.getvalue())
    assert decrypt_file(sealed, opened, key, nonce, digest) == size
    assert opened.getvalue() == content


@settings(max_examples=30)
@given(st.integers(0, 2_500_000), st.lists(st.floats(0, 1), max_size=5))
def test_a_file_that_arrives_in_parts_is_the_same_file(size: int, cuts: list[float]) -> None:
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    sealed, opened = io.BytesIO(), io.BytesIO()
    key, nonce, digest, chunks = encrypt_file(io.BytesIO(content), sealed, "x", size, SeededEntropy("file"))
    total, first = len(sealed.getvalue()), chunks[0][0]
    decryption = FileDecryption(opened, total, key, nonce)
    for until in sorted(first + int(cut * (total - first)) for cut in [*cuts, 1.0]):
        arrived = io.BytesIO(sealed.getvalue()[:until])  # nothing that comes later is looked at
        decryption.read(arrived, until)
        assert decryption.done == until
    assert decryption.finish(digest) == size
    assert opened.getvalue() == content


@given(wire.damaged(st.just((20).to_bytes(8, "big") + b"\x09hello.txt0" + b"content##########")))
def test_any_content_of_a_box_is_a_file_or_refused(inside: bytes) -> None:
    box = seal(bytes(32), bytes(24), inside)
    sealed, opened = box[16:] + box[:16], io.BytesIO()
    with contextlib.suppress(DecodeError):
        size = decrypt_file(io.BytesIO(sealed), opened, bytes(32), bytes(24), hashlib.sha512(sealed).digest())
        assert len(opened.getvalue()) == size <= len(inside)


@given(st.binary(min_size=25, max_size=200))
def test_nothing_else_opens(sealed: bytes) -> None:
    with pytest.raises(VerificationError):
        decrypt_file(io.BytesIO(sealed), io.BytesIO(), bytes(32), bytes(24), hashlib.sha512(sealed).digest())


# -- descriptions -----------------------------------------------------------------------------------------------------

servers = st.builds(
    FileServer, st.lists(wire.hosts, min_size=1, max_size=MAX_HOSTS).map(tuple), wire.ports, wire.sized(32)
)
replicas = st.builds(
    DescribedReplica, servers, st.binary(min_size=1, max_size=32), wire.sized(32).map(Ed25519PrivateKey)
)


@st.composite
def descriptions(draw: st.DrawFn) -> FileDescription:
    sizes = draw(st.lists(st.sampled_from([64 * KIB, 256 * KIB, MIB, 4 * MIB]), min_size=1, max_size=6))
    chunks = tuple(
        DescribedChunk(number, size, draw(wire.sized(32)), (draw(replicas),)) for number, size in enumerate(sizes, 1)
    )
    redirect = draw(st.none() | st.builds(Redirect, st.integers(1, MIB), wire.sized(64)))
    party = draw(st.sampled_from(Party))
    parts = draw(wire.sized(64)), draw(wire.sized(32)), draw(wire.sized(24))
    return FileDescription(sum(sizes), *parts, chunks, redirect, party)


@settings(max_examples=40)
@given(descriptions())
def test_descriptions_are_read_as_written(description: FileDescription) -> None:
    assert read_description(write_description(description), description.party) == description


@settings(max_examples=40)
@given(wire.damaged_text(descriptions().map(write_description)))
def test_other_texts_are_descriptions_or_refused(text: str) -> None:
    with contextlib.suppress(DecodeError):
        description = read_description(text)
        assert read_description(write_description(description)) == description


@settings(max_examples=40)
@given(descriptions().filter(lambda one: one.party is Party.RECIPIENT), st.none() | st.text(max_size=30))
def test_links_are_read_as_written(description: FileDescription, data: str | None) -> None:
    link = FileLink(description, data)
    assert read_file_link(write_file_link(link)) == link
