"""Link data of queues: NEW with it, LSET, LDEL, LKEY and LGET (smp-wire 5.1, 7.2, 8.1 and trap 47)."""

from __future__ import annotations

import pytest

from smpchat.crypto.keys import AuthPrivateKey, Ed448PrivateKey, Ed25519PrivateKey, X25519PrivateKey
from smpchat.protocol.commands import Del, Key, LDel, LGet, LinkData, LKey, Lnk, LSet, New, Ok, QueueRequest, Send, SKey
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.transmission import derived_sender_id
from smpchat.relay.limits import Limits
from smpchat.testing.entropy import SeededEntropy
from tests.contract.relay.stage import DH, KINDS, OTHER_KEY, SOME_KEY, UNKNOWN_ID, Kind, Stage, body, every_version, on
from tests.unit.relay.support import (
    AUTH,
    HAS_AUTH,
    NO_AUTH,
    NO_ENTITY,
    PROHIBITED,
    QUOTA,
    WRONG_SIGNATURE,
    Created,
)

FIXED, USER = bytes(range(248)) * 8 + bytes(64), b"\xfe" * 13824
"""As long as the reference's agents make them: 2,048 and 13,824 bytes."""
LINK_ID = b"\x0c" * 24
with_links = pytest.mark.parametrize("kind", [k for k in KINDS if k.version >= 15], ids=lambda kind: f"v{kind.version}")
secure = LKey(SOME_KEY.public())


def data_of(queue: Created, user: bytes = USER) -> Lnk:
    return Lnk(queue.snd_id, FIXED, user)


def link_of(queue: Created) -> bytes:
    assert queue.ids.link_id is not None
    return queue.ids.link_id


def test_the_sender_id_is_known_before_the_answer() -> None:
    assert derived_sender_id(bytes(range(24))).hex() == "3ae1a7e6f8e0007f53167b85c478203b8445ac2b7b092da2"


@with_links
def test_an_invitation_is_secured_and_read_by_its_link(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create(mode=QueueMode.MESSAGING, link=(FIXED, USER))
        assert queue.ids.queue_mode is QueueMode.MESSAGING
        link = link_of(queue)
        assert len(link) == 24
        assert await sender.ask(LGet(), link) == AUTH
        assert await sender.ask(secure, link) == NO_AUTH
        assert await sender.ask(secure, b"", SOME_KEY) == NO_AUTH
        assert await sender.ask(secure, link, auth=WRONG_SIGNATURE) == AUTH
        assert await sender.ask(secure, link, OTHER_KEY) == AUTH
        assert await sender.ask(secure, queue.rcv_id, SOME_KEY) == AUTH
        assert await sender.ask(secure, queue.snd_id, SOME_KEY) == AUTH
        assert await sender.ask(secure, UNKNOWN_ID, SOME_KEY) == AUTH
        for _ in range(2):
            assert await sender.ask(secure, link, SOME_KEY) == data_of(queue)
        assert await sender.ask(LKey(OTHER_KEY.public()), link, OTHER_KEY) == AUTH
        assert await sender.ask(SKey(SOME_KEY.public()), queue.snd_id, SOME_KEY) == Ok()
        assert await recipient.ask(Key(SOME_KEY.public()), queue.rcv_id, queue.key) == Ok()
        assert await recipient.ask(Key(OTHER_KEY.public()), queue.rcv_id, queue.key) == AUTH
        assert await recipient.ask(LSet(link, FIXED, b"after securing"), queue.rcv_id, queue.key) == AUTH
        assert await sender.ask(secure, link, SOME_KEY) == data_of(queue)
        assert await recipient.ask(LDel(), queue.rcv_id, queue.key) == Ok()
        assert await sender.ask(secure, link, SOME_KEY) == AUTH
        assert await sender.ask(Send(False, b"signed"), queue.snd_id, SOME_KEY) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == b"signed"

    on(kind, check)


@with_links
def test_an_address_is_read_by_anyone_with_its_link(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, reader = await stage.peer(), await stage.peer()
        queue = await recipient.create(mode=QueueMode.CONTACT, link=(FIXED, USER), link_id=LINK_ID)
        assert (queue.ids.queue_mode, queue.ids.link_id) == (QueueMode.CONTACT, LINK_ID)
        assert await reader.ask(secure, LINK_ID, SOME_KEY) == AUTH
        assert await reader.ask(LGet()) == NO_ENTITY
        assert await reader.ask(LGet(), LINK_ID, auth=WRONG_SIGNATURE) == HAS_AUTH
        assert await reader.ask(LGet(), queue.snd_id) == AUTH
        for _ in range(2):
            assert await reader.ask(LGet(), LINK_ID) == data_of(queue)
        for wrong in (LSet(UNKNOWN_ID, FIXED, USER), LSet(LINK_ID, b"other", USER)):
            assert await recipient.ask(wrong, queue.rcv_id, queue.key) == AUTH
        assert await reader.ask(LGet(), LINK_ID) == data_of(queue)
        assert await recipient.ask(LSet(LINK_ID, FIXED, b"new"), queue.rcv_id, queue.key) == Ok()
        assert await reader.ask(LGet(), LINK_ID) == data_of(queue, b"new")
        for _ in range(2):
            assert await recipient.ask(LDel(), queue.rcv_id, queue.key) == Ok()
        assert await reader.ask(LGet(), LINK_ID) == AUTH

    on(kind, check)


@with_links
def test_ids_that_the_client_may_not_choose(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        await peer.create(mode=QueueMode.CONTACT, link=(FIXED, USER), link_id=LINK_ID)
        corr = b"c" * 24
        derived = derived_sender_id(corr)

        def new(mode: QueueMode, sender_id: bytes, link_id: bytes | None = None) -> New:
            data = LinkData(sender_id, FIXED, USER, link_id)
            return New(SOME_KEY.public(), DH.public(), queue=QueueRequest(mode, data))

        for wrong in (UNKNOWN_ID, b"", derived[:-1], derived + b"x"):
            assert await peer.ask(new(QueueMode.MESSAGING, wrong), b"", SOME_KEY, corr_id=corr) == PROHIBITED
            assert await peer.ask(new(QueueMode.CONTACT, wrong, UNKNOWN_ID), b"", SOME_KEY, corr_id=corr) == PROHIBITED
        assert await peer.ask(new(QueueMode.MESSAGING, UNKNOWN_ID), auth=WRONG_SIGNATURE, corr_id=corr) == AUTH
        assert await peer.ask(new(QueueMode.CONTACT, derived, LINK_ID), b"", SOME_KEY, corr_id=corr) == AUTH
        assert stage.relay.store.queue_count == 1
        first = await peer.ask(new(QueueMode.MESSAGING, derived), b"", SOME_KEY, corr_id=corr)
        assert getattr(first, "snd_id", None) == derived
        assert await peer.ask(new(QueueMode.MESSAGING, derived), b"", SOME_KEY, corr_id=corr) == AUTH
        assert stage.relay.store.queue_count == 2

    on(kind, check)


@every_version
def test_a_link_given_later(kind: Kind) -> None:
    """No version of the session is needed for LSET; the queue's mode says who may read."""

    async def check(stage: Stage) -> None:
        peer, newer = await stage.peer(), await stage.relay.connect(version=18)
        queue = await newer.create(mode=QueueMode.CONTACT)
        assert await peer.ask(LDel(), queue.rcv_id, queue.key) == Ok()
        assert await peer.ask(LSet(LINK_ID, FIXED, USER), queue.rcv_id) == NO_AUTH
        assert await peer.ask(LSet(LINK_ID, FIXED, USER), b"", queue.key) == NO_AUTH
        assert await peer.ask(LSet(LINK_ID, FIXED, USER), queue.rcv_id, auth=WRONG_SIGNATURE) == AUTH
        assert await peer.ask(LSet(LINK_ID, FIXED, USER), queue.snd_id, queue.key) == AUTH
        assert await peer.ask(LSet(LINK_ID, FIXED, USER), queue.rcv_id, queue.key) == Ok()
        assert await peer.ask(LGet(), LINK_ID) == data_of(queue)

        other = await peer.create()
        assert await peer.ask(LSet(LINK_ID, FIXED, USER), other.rcv_id, other.key) == AUTH
        assert await peer.ask(LSet(UNKNOWN_ID, FIXED, USER), other.rcv_id, other.key) == Ok()
        assert await peer.ask(LGet(), UNKNOWN_ID) == data_of(other)  # without a mode: until it is secured
        assert await peer.ask(secure, UNKNOWN_ID, SOME_KEY) == AUTH
        assert await peer.ask(Del(), queue.rcv_id, queue.key) == Ok()
        assert await peer.ask(LGet(), LINK_ID) == AUTH
        assert await peer.ask(LDel(), other.rcv_id, other.key) == Ok()
        assert await peer.ask(LSet(LINK_ID, FIXED, USER), other.rcv_id, other.key) == Ok()

    on(kind, check)


@every_version
def test_a_secured_queue_without_a_mode_shows_its_link_to_nobody(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        old = await stage.relay.connect(version=6)
        peer = await stage.peer()
        queue = await old.create()
        assert await peer.ask(LSet(LINK_ID, FIXED, USER), queue.rcv_id, queue.key) == Ok()
        assert await peer.ask(LGet(), LINK_ID) == data_of(queue)
        assert await peer.ask(Key(SOME_KEY.public()), queue.rcv_id, queue.key) == Ok()
        assert await peer.ask(LGet(), LINK_ID) == AUTH
        assert await peer.ask(secure, LINK_ID, SOME_KEY) == AUTH

    on(kind, check)


@with_links
def test_link_data_vanishes_with_the_first_message_to_a_secured_queue(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create(mode=QueueMode.MESSAGING, link=(FIXED, USER), subscribe=False)
        link = link_of(queue)
        assert await peer.ask(Send(False, b"before it is secured"), queue.snd_id) == Ok()
        assert await peer.ask(secure, link, SOME_KEY) == data_of(queue)
        assert await peer.ask(Send(False, b"unsigned"), queue.snd_id) == AUTH
        assert await peer.ask(secure, link, SOME_KEY) == data_of(queue)
        assert await peer.ask(Send(False, b"refused for the quota"), queue.snd_id, SOME_KEY) == QUOTA
        assert await peer.ask(secure, link, SOME_KEY) == AUTH

        address = await peer.create(mode=QueueMode.CONTACT, link=(FIXED, USER), link_id=LINK_ID)
        assert await peer.ask(Key(SOME_KEY.public()), address.rcv_id, address.key) == Ok()
        assert await peer.ask(Send(False, b"request"), address.snd_id, SOME_KEY) == Ok()
        await peer.event(address.rcv_id)
        assert await peer.ask(LGet(), LINK_ID) == data_of(address)

    on(kind, check, limits=Limits(quota=1))


@pytest.mark.parametrize("version", [15, 18])
def test_a_queue_created_secured_may_have_a_link(version: int) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.relay.connect(version=version, extension=1)
        queue = await peer.create(mode=QueueMode.MESSAGING, link=(FIXED, USER), sender_key=SOME_KEY)
        assert await peer.ask(LKey(OTHER_KEY.public()), link_of(queue), OTHER_KEY) == AUTH
        assert await peer.ask(secure, link_of(queue), SOME_KEY) == data_of(queue)

    on(Kind(version), check)


def test_lkey_with_keys_of_every_kind() -> None:
    async def check(stage: Stage) -> None:
        peer, entropy = await stage.peer(), SeededEntropy("kinds")
        keys: list[AuthPrivateKey] = [kind.generate(entropy) for kind in (Ed25519PrivateKey, Ed448PrivateKey)]
        for key in [*keys, X25519PrivateKey.generate(entropy)]:
            queue = await peer.create(mode=QueueMode.MESSAGING, link=(FIXED, USER))
            assert await peer.ask(LKey(key.public()), link_of(queue), auth=bytes(80)) == AUTH
            assert await peer.ask(LKey(key.public()), link_of(queue), key) == data_of(queue)

    on(Kind(18), check)
