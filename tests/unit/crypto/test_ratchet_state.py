"""How a ratchet is stored."""

from __future__ import annotations

import pytest

from smpchat.crypto.ratchet import Ratchet
from smpchat.encoding.reader import DecodeError
from tests.unit.crypto.ratchets import two_parties, two_ratchets


def ratchets() -> list[Ratchet]:
    joiner, initiator = two_parties()
    found = [joiner.ratchet, initiator.ratchet]
    initiator.receive(joiner.send(b"first"))
    found.append(initiator.ratchet)
    joiner.receive(initiator.send(b"answer"))
    return [*found, joiner.ratchet, two_ratchets(2, 3)[0], two_ratchets(2, 2)[1]]


@pytest.mark.parametrize("number", range(6))
def test_round_trip(number: int) -> None:
    ratchet = ratchets()[number]
    stored = ratchet.to_bytes()
    assert Ratchet.from_bytes(stored) == ratchet
    assert Ratchet.from_bytes(stored).to_bytes() == stored
    assert stored[0] == 1
    assert len(stored) < 700


def test_stored_ratchet_goes_on() -> None:
    joiner, initiator = two_parties()
    for text in (b"one", b"two", b"three"):
        for sender, receiver in ((joiner, initiator), (initiator, joiner)):
            sender.ratchet = Ratchet.from_bytes(sender.ratchet.to_bytes())
            receiver.ratchet = Ratchet.from_bytes(receiver.ratchet.to_bytes())
            assert receiver.receive(sender.send(text)) == text


def test_every_cut_and_any_trailing_byte_is_refused() -> None:
    stored = ratchets()[2].to_bytes()
    for end in range(len(stored)):
        with pytest.raises(DecodeError):
            Ratchet.from_bytes(stored[:end])
    with pytest.raises(DecodeError, match="1 unexpected bytes"):
        Ratchet.from_bytes(stored + b"\0")


@pytest.mark.parametrize("form", [0, 2, 255])
def test_other_forms_are_refused(form: int) -> None:
    stored = ratchets()[0].to_bytes()
    with pytest.raises(DecodeError, match="newer version"):
        Ratchet.from_bytes(bytes([form]) + stored[1:])


@pytest.mark.parametrize(("version", "maximum"), [(1, 3), (3, 2), (2, 4), (0, 0)])
def test_stored_versions_are_checked(version: int, maximum: int) -> None:
    stored = ratchets()[0].to_bytes()
    with pytest.raises(DecodeError, match="version"):
        Ratchet.from_bytes(bytes([stored[0], 0, version, 0, maximum]) + stored[5:])


@pytest.mark.parametrize(
    ("ending", "message"), [(b"\2\0" + b"0" + b"\0\0", "flag"), (b"\0\1" + b"0" + b"\0\0", "large headers")]
)
def test_flags_are_checked(ending: bytes, message: str) -> None:
    stored = ratchets()[0].to_bytes()
    assert stored.endswith(b"\0\0" + b"0" + b"\0\0")
    with pytest.raises(DecodeError, match=message):
        Ratchet.from_bytes(stored[: -len(ending)] + ending)
