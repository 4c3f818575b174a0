"""What is sealed for a relay behind a proxy, against a destination written here from smp-wire 5.6."""

from __future__ import annotations

from datetime import timedelta

import nacl.bindings
import pytest

from smpchat.client.errors import UnexpectedResponse
from smpchat.client.private_routing import (
    Destination,
    PrivateRoutingFailed,
    forward,
    may_forward,
    open_pkey,
    open_pres,
    proxy_error,
)
from smpchat.client.request import Request
from smpchat.crypto.keys import AuthPrivateKey, Ed448PrivateKey, Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.reader import EncodeError
from smpchat.encoding.record import replace
from smpchat.protocol.command_codec import decode_command, encode_broker
from smpchat.protocol.commands import (
    BrokerMessage,
    Command,
    Err,
    LGet,
    LKey,
    New,
    Ok,
    PFwd,
    Ping,
    PKey,
    PRes,
    Send,
    SKey,
    Sub,
)
from smpchat.protocol.errors import ErrorCode, IdentityError, LocalProtocolError, VersionError
from smpchat.protocol.session import encode_signed_key
from smpchat.protocol.transmission import decode_transmission, signed_bytes, verify_authorisation
from smpchat.protocol.version import VersionRange
from smpchat.testing.entropy import SeededEntropy
from tests.unit.transport.support import NOW, an_identity

RELAY_KEY = X25519PrivateKey(b"\x09" * 32)
SESSION_ID = b"\x11" * 32
QUEUE = b"q" * 24


def sbox(key: X25519PrivateKey, public: bytes, nonce: bytes, message: bytes) -> bytes:
    """NaCl's crypto_box, which equals SBOX over an X25519 secret (smp-wire 4.5)."""
    secret = nacl.bindings.crypto_box_beforenm(public, key.raw)
    return nacl.bindings.crypto_box_afternm(message, nonce, secret)


def sbox_open(key: X25519PrivateKey, public: bytes, nonce: bytes, sealed: bytes) -> bytes:
    secret = nacl.bindings.crypto_box_beforenm(public, key.raw)
    return nacl.bindings.crypto_box_open_afternm(sealed, nonce, secret)


def padded(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message + b"#" * (16226 - 2 - len(message))


def unpadded(data: bytes) -> bytes:
    assert len(data) == 16226
    return data[2 : 2 + int.from_bytes(data[:2], "big")]


def destination(version: int = 17) -> Destination:
    return Destination(SESSION_ID, version, RELAY_KEY.public())


def opened_by_relay(request: Request) -> bytes:
    """The transmission that the relay finds in a PFWD."""
    assert isinstance(request.command, PFwd)
    assert request.corr_id is not None
    assert len(request.command.body) == 16242
    content = unpadded(sbox_open(RELAY_KEY, request.command.key.raw, request.corr_id, request.command.body))
    assert content[0] == 1
    assert int.from_bytes(content[1:3], "big") == len(content) - 3
    return content[3:]


def answered_by_relay(request: Request, *transmissions: bytes, nonce: bytes | None = None) -> PRes:
    assert isinstance(request.command, PFwd)
    assert request.corr_id is not None
    content = bytes([len(transmissions)]) + b"".join(len(t).to_bytes(2, "big") + t for t in transmissions)
    reversed_nonce = request.corr_id[::-1] if nonce is None else nonce
    return PRes(sbox(RELAY_KEY, request.command.key.raw, reversed_nonce, padded(content)))


def transmission(corr_id: bytes | None, entity_id: bytes, message: BrokerMessage, version: int = 17) -> bytes:
    assert corr_id is not None
    return (
        b"\0" + bytes([len(corr_id)]) + corr_id + bytes([len(entity_id)]) + entity_id + encode_broker(message, version)
    )


def keys() -> list[AuthPrivateKey]:
    entropy = SeededEntropy("keys")
    return [Ed25519PrivateKey.generate(entropy), Ed448PrivateKey.generate(entropy), X25519PrivateKey.generate(entropy)]


@pytest.mark.parametrize("version", range(8, 18))
@pytest.mark.parametrize("key", keys(), ids=lambda key: type(key).__name__)
def test_the_relay_opens_what_was_sealed_for_it_and_its_answer_comes_back(key: AuthPrivateKey, version: int) -> None:
    body = b"x" * (16048 if version >= 11 else 16064)
    request = Request(Send(True, body), QUEUE, key)
    if version < 11 and isinstance(key, Ed448PrivateKey):
        with pytest.raises(EncodeError, match="too long to be sent through a proxy"):
            forward(request, destination(version), SeededEntropy("e"))
        request = replace(request, command=Send(True, b"short"))
    forwarding = forward(request, destination(version), SeededEntropy("e"))
    outer = forwarding.request
    assert outer.entity_id == SESSION_ID
    assert outer.key is None
    assert isinstance(outer.command, PFwd)
    assert outer.command.version == version

    inner = decode_transmission(opened_by_relay(outer), version, SESSION_ID)
    assert (inner.corr_id, inner.entity_id) == (outer.corr_id, QUEUE)
    assert decode_command(inner.body, version) == request.command
    signed = signed_bytes(SESSION_ID, inner.corr_id, QUEUE, inner.body)
    verify_authorisation(key.public(), inner.auth, signed, inner.corr_id, RELAY_KEY)

    answer = answered_by_relay(outer, transmission(outer.corr_id, QUEUE, Ok(), version))
    assert open_pres(answer, forwarding, destination(version)) == Ok()


def test_every_command_has_its_own_key_and_nonce() -> None:
    entropy = SeededEntropy("e")
    made = [forward(Request(Send(False, b"same"), QUEUE), destination(), entropy).request for _ in range(3)]
    assert len({request.corr_id for request in made}) == 3
    assert len({request.command.key.raw for request in made if isinstance(request.command, PFwd)}) == 3


@pytest.mark.parametrize("command", [LGet(), Send(True, b"x"), LKey(keys()[0].public()), SKey(keys()[0].public())])
def test_what_senders_need_is_forwarded(command: Command) -> None:
    assert may_forward(Request(command, QUEUE))
    inner = decode_transmission(
        opened_by_relay(forward(Request(command, QUEUE), destination(), SeededEntropy("e")).request), 17, SESSION_ID
    )
    assert decode_command(inner.body, 17) == command


@pytest.mark.parametrize("command", [Ping(), Sub(), New(keys()[0].public(), RELAY_KEY.public())])
def test_nothing_else_is(command: Command) -> None:
    assert not may_forward(Request(command, QUEUE))
    with pytest.raises(LocalProtocolError, match="cannot be sent through a proxy"):
        forward(Request(command, QUEUE), destination(), SeededEntropy("e"))


def test_an_error_of_the_relay_is_an_answer_with_or_without_the_queue() -> None:
    forwarding = forward(Request(Send(False, b"x"), QUEUE), destination(), SeededEntropy("e"))
    for entity_id in (QUEUE, b""):
        answer = answered_by_relay(forwarding.request, transmission(forwarding.corr_id, entity_id, Err(ErrorCode.AUTH)))
        assert open_pres(answer, forwarding, destination()) == Err(ErrorCode.AUTH)


def test_answers_that_are_not_the_relays_or_not_to_this_command_are_refused() -> None:
    forwarding = forward(Request(Send(False, b"x"), QUEUE), destination(), SeededEntropy("e"))
    request = forwarding.request
    right = transmission(forwarding.corr_id, QUEUE, Ok())
    good = answered_by_relay(request, right)
    assert open_pres(good, forwarding, destination()) == Ok()
    bad = {
        "nonce not reversed": answered_by_relay(request, right, nonce=request.corr_id),
        "changed on the way": PRes(good.body[:-1] + bytes([good.body[-1] ^ 1])),
        "cut off": PRes(good.body[:10]),
        "empty": PRes(b""),
        "another command": answered_by_relay(request, transmission(bytes(24), QUEUE, Ok())),
        "another queue": answered_by_relay(request, transmission(forwarding.corr_id, b"o" * 24, Ok())),
        "no queue": answered_by_relay(request, transmission(forwarding.corr_id, b"", Ok())),
        "two answers": answered_by_relay(request, right, right),
        "no answer": answered_by_relay(request),
        "no message": answered_by_relay(request, right[:-2] + b"HELLO"),
    }
    for name, answer in bad.items():
        with pytest.raises(UnexpectedResponse):
            open_pres(answer, forwarding, destination())
            pytest.fail(name)


def test_secrets_are_not_shown() -> None:
    forwarding = forward(Request(Send(False, b"hidden text"), QUEUE, keys()[0]), destination(), SeededEntropy("e"))
    assert "secret" not in repr(forwarding)
    assert "hidden" not in repr(forwarding)


# --- PKEY ----------------------------------------------------------------------------------------------------------


def pkey(seed: str = "relay", versions: VersionRange | None = None) -> PKey:
    identity = an_identity(seed)
    signed = encode_signed_key(RELAY_KEY.public(), identity.sign)
    return PKey(SESSION_ID, versions or VersionRange(8, 17), tuple(identity.chain), signed)


def test_the_relay_is_checked_as_if_it_were_connected_to() -> None:
    fingerprint = an_identity().fingerprint
    assert open_pkey(pkey(), fingerprint, NOW) == destination(17)
    assert open_pkey(pkey(versions=VersionRange(8, 11)), fingerprint, NOW) == destination(11)
    assert open_pkey(pkey(versions=VersionRange(8, 30)), fingerprint, NOW) == destination(17)


def test_a_proxy_cannot_put_another_relay_or_key_in_its_place() -> None:
    fingerprint = an_identity().fingerprint
    with pytest.raises(IdentityError, match="fingerprint"):
        open_pkey(pkey("the proxy's own"), fingerprint, NOW)
    with pytest.raises(IdentityError, match="signed"):
        open_pkey(replace(pkey(), signed_key=pkey("the proxy's own").signed_key), fingerprint, NOW)
    mixed = (an_identity("the proxy's own").chain[0], *an_identity().chain[1:])
    with pytest.raises(IdentityError):
        open_pkey(replace(pkey("the proxy's own"), chain=mixed), fingerprint, NOW)
    with pytest.raises(IdentityError, match="1 certificates"):
        open_pkey(replace(pkey(), chain=tuple(an_identity().chain[:1])), fingerprint, NOW)
    with pytest.raises(IdentityError, match="expired"):
        open_pkey(pkey(), fingerprint, NOW + timedelta(days=1_000_000))


def test_no_common_version_is_told() -> None:
    with pytest.raises(VersionError, match="18-20"):
        open_pkey(pkey(versions=VersionRange(18, 20)), an_identity().fingerprint, NOW)


@pytest.mark.parametrize(
    ("words", "temporary", "text"),
    [
        (("PROXY", "BASIC_AUTH"), False, "mine does not forward for you"),
        (("PROXY", "BROKER", "TIMEOUT"), True, r"mine cannot reach relay theirs \(TIMEOUT\)"),
        (("PROXY", "BROKER", "NETWORK", "UNKNOWNCA"), True, r"mine cannot reach relay theirs \(NETWORK UNKNOWNCA\)"),
        (("PROXY", "PROTOCOL", "AUTH"), True, r"relay theirs refused mine as proxy \(AUTH\)"),
        (("PROXY", "NO_SESSION"), True, r"mine did not forward to relay theirs \(PROXY NO_SESSION\)"),
        (("CMD", "UNKNOWN"), True, r"mine did not forward to relay theirs \(CMD UNKNOWN\)"),
    ],
)
def test_what_the_proxy_refuses_is_told_in_words(words: tuple[str, ...], temporary: bool, text: str) -> None:
    error = proxy_error(ErrorCode(words), "mine", "theirs")
    assert isinstance(error, PrivateRoutingFailed)
    assert (error.code, error.temporary) == (ErrorCode(words), temporary)
    with pytest.raises(PrivateRoutingFailed, match=f"^private routing: {text}"):
        raise error
