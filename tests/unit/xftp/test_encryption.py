"""Encrypted files: what comes back, what is refused, and what is in memory meanwhile."""

from __future__ import annotations

import hashlib
import io
import threading
from typing import Any

import pytest

from smpchat.crypto.box import seal
from smpchat.crypto.errors import VerificationError
from smpchat.encoding.codec import int64
from smpchat.encoding.reader import DecodeError
from smpchat.testing.entropy import SeededEntropy
from smpchat.xftp import encryption
from smpchat.xftp.chunks import MAX_ENCRYPTED, MAX_NAME, encrypted_sizes
from smpchat.xftp.encryption import SourceChanged, decrypt_file, encrypt_file, header_of

BYTES = SeededEntropy("file").random(2_500_000)
KEY, NONCE = bytes(32), bytes(24)


def encrypted(data: bytes, name: str = "name", **options: Any) -> tuple[bytes, tuple[Any, ...]]:
    target = io.BytesIO()
    made = encrypt_file(io.BytesIO(data), target, name, len(data), SeededEntropy("keys"), **options)
    return target.getvalue(), made


def decrypted(sealed: bytes, key: bytes, nonce: bytes, digest: bytes | None = None) -> bytes:
    target = io.BytesIO()
    size = decrypt_file(io.BytesIO(sealed), target, key, nonce, digest or hashlib.sha512(sealed).digest())
    assert size == len(target.getvalue())
    return target.getvalue()


def boxed(inside: bytes) -> bytes:
    box = seal(KEY, NONCE, inside)
    return box[16:] + box[:16]


@pytest.mark.parametrize("size", [0, 1, 12, 65_536, 65_499, 65_500, 300_000, 1_048_576, 1_048_577, 2_500_000])
def test_a_file_comes_back(size: int) -> None:
    data = BYTES[:size]
    sealed, (key, nonce, digest, chunks) = encrypted(data)
    assert decrypted(sealed, key, nonce, digest) == data
    assert digest == hashlib.sha512(sealed).digest()
    assert tuple(chunk for chunk, _ in chunks) == encrypted_sizes(len(header_of("name")), size)
    at = 0
    for chunk, chunk_digest in chunks:
        assert hashlib.sha256(sealed[at : at + chunk]).digest() == chunk_digest
        at += chunk
    assert at == len(sealed)


def test_it_is_the_box_of_length_name_content_and_filler() -> None:
    sealed, (key, nonce, _, _) = encrypted(b"content", "n\u00e4me")
    header = b"\x05n\xc3\xa4me0"
    inside = int64.write(len(header) + 7) + header + b"content"
    box = seal(key, nonce, inside.ljust(65_536 - 16, b"#"))
    assert sealed == box[16:] + box[:16]


@pytest.mark.parametrize("name", ["", "x" * 255, "x" * 256, "\u00e9" * 128, "\U0001f600" * 100, "\ud800", "a/b"])
def test_any_name_fits_its_header(name: str) -> None:
    header = header_of(name)
    assert len(header) - 2 <= MAX_NAME
    header[1:-1].decode("utf-8")
    sealed, (key, nonce, _, _) = encrypted(b"content", name)
    assert decrypted(sealed, key, nonce) == b"content"


def test_what_comes_behind_the_size_is_left_out() -> None:
    target = io.BytesIO()
    key, nonce, _, _ = encrypt_file(io.BytesIO(b"a log that grows"), target, "n", 5, SeededEntropy("k"))
    assert decrypted(target.getvalue(), key, nonce) == b"a log"


def test_a_file_that_became_shorter_is_told() -> None:
    with pytest.raises(SourceChanged):
        encrypt_file(io.BytesIO(b"short"), io.BytesIO(), "n", 6, SeededEntropy("k"))


def test_other_chunks_may_be_asked_for() -> None:
    sealed, (key, nonce, _, chunks) = encrypted(b"x" * 70_000, sizes=[65_536, 65_536])
    assert [size for size, _ in chunks] == [65_536, 65_536]
    assert decrypted(sealed, key, nonce) == b"x" * 70_000
    with pytest.raises(ValueError, match="too small"):
        encrypted(b"x" * 70_000, sizes=[65_536])


@pytest.mark.parametrize("at", [0, 7, 40_000, -17, -16, -1])
def test_a_changed_byte_is_not_what_was_described(at: int) -> None:
    sealed, (key, nonce, digest, _) = encrypted(b"content")
    changed = bytearray(sealed)
    changed[at] ^= 1
    with pytest.raises(VerificationError, match="description"):
        decrypted(bytes(changed), key, nonce, digest)
    with pytest.raises(VerificationError, match="does not open"):
        decrypted(bytes(changed), key, nonce)


def test_another_key_does_not_open() -> None:
    sealed, (key, nonce, digest, _) = encrypted(b"content")
    for other_key, other_nonce in ((bytes(32), nonce), (key, bytes(24))):
        with pytest.raises(VerificationError, match="does not open"):
            decrypted(sealed, other_key, other_nonce, digest)


@pytest.mark.parametrize(
    "inside",
    [
        int64.write(-1) + b"\0" + b"0" + bytes(100),
        int64.write(1) + b"\0" + b"0" + bytes(100),
        int64.write(1_000) + b"\0" + b"0" + bytes(100),
        int64.write(2**62) + b"\0" + b"0" + bytes(100),
        int64.write(50) + b"\0" + b"2" + bytes(100),
        int64.write(50) + b"\xff" + bytes(10),
        int64.write(50) + b"\0" + b"1\xff" + bytes(10),
        b"",
        bytes(9),
    ],
)
def test_a_file_that_is_sealed_and_none_is_refused(inside: bytes) -> None:
    with pytest.raises(DecodeError):
        decrypted(boxed(inside), KEY, NONCE)


def test_more_in_the_header_is_ignored() -> None:
    header = b"\x04name" + b"1\x05extra"
    assert decrypted(boxed(int64.write(len(header) + 3) + header + b"abc" + b"!" * 50), KEY, NONCE) == b"abc"


def test_a_header_in_another_alphabet_is_read_past() -> None:
    """Agents before 6.5.1 cut each letter of a name to a byte (xftp-wire 10, 7)."""
    header = b"\x0ar\xe9sum\xe9.txt" + b"0"
    assert decrypted(boxed(int64.write(len(header) + 3) + header + b"abc"), KEY, NONCE) == b"abc"


@pytest.mark.parametrize("length", [0, 16, 24])
def test_too_few_bytes_are_no_file(length: int) -> None:
    with pytest.raises(DecodeError):
        decrypted(bytes(length), KEY, NONCE)


def test_too_many_bytes_are_not_read() -> None:
    class Huge(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            return MAX_ENCRYPTED + 1 if whence == 2 else 0

        def readinto(self, buffer: Any) -> int:
            raise AssertionError("it was read")

    with pytest.raises(DecodeError):
        decrypt_file(Huge(), io.BytesIO(), KEY, NONCE, bytes(64))


def test_progress_may_stop_it_and_leaves_no_thread() -> None:
    class Stop(Exception):
        pass

    told: list[int] = []

    def progress(done: int) -> None:
        told.append(done)
        if done > 1_500_000:
            raise Stop

    before = threading.active_count()
    with pytest.raises(Stop):
        encrypted(BYTES, progress=progress)
    sealed, (key, nonce, digest, _) = encrypted(BYTES)
    with pytest.raises(Stop):
        decrypt_file(io.BytesIO(sealed), io.BytesIO(), key, nonce, digest, progress)
    assert threading.active_count() == before
    assert told[0] < told[1]


def test_progress_ends_with_all() -> None:
    told: list[int] = []
    sealed, (key, nonce, digest, _) = encrypted(BYTES, progress=told.append)
    assert told[-1] == len(BYTES) and sorted(told) == told
    told.clear()
    decrypt_file(io.BytesIO(sealed), io.BytesIO(), key, nonce, digest, told.append)
    assert told[-1] == len(sealed) and sorted(told) == told


def test_nothing_is_whole_in_memory() -> None:
    largest = 0

    class Watched(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            nonlocal largest
            largest = max(largest, len(data))
            return len(data)

    encrypt_file(io.BytesIO(BYTES), Watched(), "n", len(BYTES), SeededEntropy("k"))
    assert largest <= encryption._PIECE
