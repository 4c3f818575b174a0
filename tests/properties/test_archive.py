"""An exported profile that somebody made up: any bytes open, or fail as documented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.chat.errors import ArchiveDamaged, ArchiveNewer, NoArchive
from smpchat.chat.service.archive import MAGIC, unpack
from smpchat.crypto import passphrase as sealing
from smpchat.crypto.errors import WrongPassphrase
from smpchat.testing.entropy import SeededEntropy

FRONT = MAGIC + b"\1"
CHEAP = sealing.Cost(cost=1, block=1, parallel=1)


@given(st.binary(max_size=300), st.sampled_from([b"", MAGIC, FRONT]))
def test_any_bytes_are_refused(data: bytes, front: bytes) -> None:
    with pytest.raises((NoArchive, ArchiveNewer, ArchiveDamaged)):
        unpack(front + data, "correct horse")


@given(st.binary(max_size=300))
def test_any_sealed_bytes_are_refused(content: bytes) -> None:
    sealed = sealing.seal("correct horse", FRONT, content, SeededEntropy("archive"), CHEAP)
    with pytest.raises(ArchiveDamaged):
        unpack(FRONT + sealed, "correct horse")


@given(st.text(max_size=30), st.text(max_size=30), st.binary(max_size=100))
def test_only_its_passphrase_opens_a_seal(own: str, guess: str, plaintext: bytes) -> None:
    sealed = sealing.seal(own, FRONT, plaintext, SeededEntropy("archive"), CHEAP)
    assert sealing.unseal(own, FRONT, sealed) == plaintext
    try:
        assert sealing.unseal(guess, FRONT, sealed) == plaintext
    except WrongPassphrase:
        assert guess != own
