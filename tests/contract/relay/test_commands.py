"""Commands that are none, credentials that cannot be right, and what is refused (smp-wire 8.1)."""

from __future__ import annotations

from smpchat.crypto.keys import AuthPrivateKey, Ed448PrivateKey, Ed25519PrivateKey, X25519PrivateKey, X25519PublicKey
from smpchat.protocol.block import BLOCK_SIZE, encode_batches
from smpchat.protocol.commands import (
    Ack,
    Del,
    Get,
    Key,
    New,
    NKey,
    NSubs,
    NtfRequest,
    Off,
    Ok,
    Ping,
    Pong,
    Send,
    SKey,
    Sub,
    Subs,
)
from smpchat.protocol.transmission import encode_transmission
from smpchat.testing.entropy import SeededEntropy
from tests.contract.relay.stage import DH, OTHER_KEY, SOME_KEY, UNKNOWN_ID, Kind, Stage, body, every_version, on
from tests.unit.relay.support import (
    AUTH,
    BLOCK,
    HAS_AUTH,
    NO_AUTH,
    NO_ENTITY,
    SYNTAX,
    UNKNOWN,
    WRONG_SIGNATURE,
    err,
    short,
)

# --- commands that are none, credentials that cannot be right --------------------------------------------------------


@every_version
def test_what_is_no_command(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        assert await peer.ask(b"HELLO", corr_id=b"1234") == UNKNOWN
        assert await peer.ask(b"OK", UNKNOWN_ID, auth=WRONG_SIGNATURE) == UNKNOWN
        assert await peer.ask(b"") == UNKNOWN
        assert await peer.ask(b"NEW", auth=WRONG_SIGNATURE) == SYNTAX
        assert await peer.ask(b"NEW hello", auth=WRONG_SIGNATURE) == SYNTAX
        assert await peer.ask(b"SUB=", UNKNOWN_ID, auth=WRONG_SIGNATURE) == UNKNOWN
        assert await peer.ask(b"SUB ", UNKNOWN_ID, auth=WRONG_SIGNATURE) == SYNTAX
        for bare in (b"KEY", b"ACK", b"SEND", b"SKEY", b"LKEY", b"RKEY", b"NKEY"):
            assert await peer.ask(bare, UNKNOWN_ID, auth=WRONG_SIGNATURE) == SYNTAX, bare

    on(kind, check)


@every_version
def test_credentials_that_are_missing_or_too_many(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        new = New(SOME_KEY.public(), DH.public())
        assert await peer.ask(new) == NO_AUTH
        assert await peer.ask(new, UNKNOWN_ID, SOME_KEY) == HAS_AUTH
        assert await peer.ask(new, auth=WRONG_SIGNATURE) == AUTH
        for command in (Sub(), Key(OTHER_KEY.public()), Ack(b""), Off(), Del(), Get(), SKey(OTHER_KEY.public())):
            assert await peer.ask(command, UNKNOWN_ID, auth=WRONG_SIGNATURE) == AUTH, command
            assert await peer.ask(command, UNKNOWN_ID) == NO_AUTH, command
            assert await peer.ask(command, auth=WRONG_SIGNATURE) == NO_AUTH, command
        assert await peer.ask(Send(True, b"hello"), UNKNOWN_ID) == AUTH
        assert await peer.ask(Send(True, b"hello"), UNKNOWN_ID, auth=WRONG_SIGNATURE) == AUTH
        assert await peer.ask(Send(True, b"hello")) == NO_ENTITY
        assert await peer.ask(Send(True, b"hello"), auth=WRONG_SIGNATURE) == NO_ENTITY
        assert await peer.ask(Ping(), UNKNOWN_ID) == HAS_AUTH
        assert await peer.ask(Ping(), auth=WRONG_SIGNATURE) == HAS_AUTH
        assert await peer.ask(Ping(), corr_id=b"p") == Pong()

    on(kind, check)


@every_version
def test_authorisation_of_every_key_kind(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer, sender = await stage.peer(), await stage.peer()
        entropy = SeededEntropy("kinds")
        keys: list[AuthPrivateKey] = [Ed25519PrivateKey.generate(entropy), Ed448PrivateKey.generate(entropy)]
        if kind.version >= 7 and kind.with_key:
            keys.append(X25519PrivateKey.generate(entropy))
        for key in keys:
            queue = await peer.create(key)
            assert await peer.ask(Sub(), queue.rcv_id, key) == kind.subscribed
            assert await peer.ask(Key(key.public()), queue.rcv_id, key) == Ok()
            for other in keys:
                expected = Ok() if other is key else AUTH
                assert await sender.ask(Send(False, b"hi"), queue.snd_id, other) == expected
            assert body(queue, await peer.event(queue.rcv_id)) == b"hi"
            for wrong in (64, 80, 114):
                assert await peer.ask(Sub(), queue.rcv_id, auth=bytes(wrong)) == AUTH

    on(kind, check)


@every_version
def test_blocks_that_cannot_be_read_are_answered_and_the_session_goes_on(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        good = encode_transmission(peer.transmission(Ping()), kind.version, peer.session.session_id)
        for content in (
            b"",  # no count
            b"\x00",  # no transmissions
            b"\x01\x00\x05ab",  # cut off
            encode_batches([good])[0] + b"x",  # something follows
            encode_batches([b"\x05hello" + good[1:]])[0],  # an authorisation of no known length
        ):
            await peer.send_content(content)
            assert await peer.receive() == (b"", b"", BLOCK)
        if peer.session.encrypts:
            peer.session.seal_block(b"skipped")  # the relay's chain moves on with a block that does not decrypt
            await peer.connection.send([bytes(BLOCK_SIZE)])
            assert await peer.receive() == (b"", b"", BLOCK)
        assert await peer.is_quiet()
        if kind.version == 6:
            t = peer.transmission(Ping())
            other = encode_transmission(t, 6, bytes(32)[:-1] + b"\x99")
            await peer.send_content(encode_batches([other])[0])
            assert await peer.receive() == (b"", b"", err("SESSION"))
        if kind.version >= 16:
            corr = b"s" * 24
            signed_by_a_service = b"\x40" + bytes(64) + b"1" + short(bytes(64)) + short(corr) + short(UNKNOWN_ID)
            await peer.send_content(encode_batches([signed_by_a_service + b"SUB"])[0])
            assert await peer.receive() == (corr, UNKNOWN_ID, err("SERVICE"))
            await peer.send_content(encode_batches([b"\x40" + bytes(64) + b"2" + short(corr) + b"\x00PING"])[0])
            assert await peer.receive() == (b"", b"", BLOCK)

    on(kind, check)


# --- passwords -------------------------------------------------------------------------------------------------------


@every_version
def test_a_password_for_new_queues(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        for wrong in (None, b"", b"secre", b"secrets"):
            assert await peer.ask(New(SOME_KEY.public(), DH.public(), wrong), b"", SOME_KEY) == AUTH
        right = New(SOME_KEY.public(), DH.public(), b"secret")
        assert await peer.ask(right, auth=WRONG_SIGNATURE) == AUTH
        queue = await peer.create(basic_auth=b"secret")
        assert await peer.ask(Send(False, b"no password here"), queue.snd_id) == Ok()

    on(kind, check, password="secret")


# --- what is not offered ---------------------------------------------------------------------------------------------


@every_version
def test_services_are_refused(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        for command in (Subs(), NSubs()):
            assert await peer.ask(command, UNKNOWN_ID, SOME_KEY) == err("SERVICE")
            assert await peer.ask(command) == err("SERVICE")

    on(kind, check)


def test_new_with_a_key_of_low_order() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        low = X25519PublicKey(bytes(32))
        for new in (
            New(SOME_KEY.public(), low),
            New(SOME_KEY.public(), DH.public(), ntf=NtfRequest(OTHER_KEY.public(), low)),
        ):
            assert await peer.ask(new, b"", SOME_KEY) == err("CRYPTO")
        assert stage.relay.store.queue_count == 0
        queue = await peer.create()
        assert await peer.ask(NKey(OTHER_KEY.public(), low), queue.rcv_id, queue.key) == err("CRYPTO")
        assert await peer.is_quiet()

    on(Kind(18), check)


@every_version
def test_no_new_queues(kind: Kind) -> None:
    """``new_queues=off`` (smp-wire 8.1): NEW gives AUTH, and all else goes on."""

    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        assert await peer.ask(New(SOME_KEY.public(), DH.public(), subscribe=True), b"", SOME_KEY) == AUTH
        assert await peer.ask(Ping()) == Pong()

    on(kind, check, new_queues=False)
