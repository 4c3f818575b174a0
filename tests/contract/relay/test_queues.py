"""Queues and their messages, as the reference's tests have them (smp-wire 8.1)."""

from __future__ import annotations

import base64
import json

from smpchat.protocol.commands import Ack, Del, Deld, End, Get, Info, Key, Msg, Nid, NKey, Off, Ok, Que, Send, Sub
from smpchat.protocol.messages import QuotaMarker, RcvMessage
from smpchat.relay.limits import Limits
from tests.contract.relay.stage import DH, OTHER_KEY, SOME_KEY, Kind, Stage, ack, body, every_version, on
from tests.unit.relay.support import (
    AUTH,
    BLOCK,
    LARGE_MSG,
    NO_AUTH,
    NO_MSG,
    NOW,
    PROHIBITED,
    QUOTA,
    WRONG_SIGNATURE,
    Peer,
)


@every_version
def test_a_queue_from_creation_to_secured(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create()
        assert len(queue.rcv_id) == len(queue.snd_id) == 24
        assert await sender.ask(Send(True, b"hello"), queue.snd_id) == Ok()
        first = await recipient.event(queue.rcv_id)
        assert queue.open(first) == RcvMessage(NOW, True, b"hello")
        assert isinstance(first, Msg)
        assert len(first.msg_id) == 24
        assert len(first.body) == 16122
        assert await recipient.ask(ack(first), queue.rcv_id, queue.key) == Ok()
        assert await recipient.ask(ack(first), queue.rcv_id, queue.key) == NO_MSG
        assert await recipient.ask(Ack(b"never"), queue.rcv_id, queue.key) == NO_MSG

        assert await sender.ask(Send(False, b"early"), queue.snd_id, SOME_KEY) == AUTH
        secure = Key(SOME_KEY.public())
        assert await recipient.ask(secure, queue.rcv_id, auth=WRONG_SIGNATURE) == AUTH
        assert await recipient.ask(secure, queue.snd_id, queue.key) == AUTH
        assert await recipient.ask(secure, queue.rcv_id, queue.key) == Ok()
        assert await recipient.ask(secure, queue.rcv_id, queue.key) == Ok()
        assert await recipient.ask(Key(OTHER_KEY.public()), queue.rcv_id, queue.key) == AUTH

        assert await sender.ask(Send(False, b"unsigned"), queue.snd_id) == AUTH
        assert await sender.ask(Send(False, b"wrong"), queue.snd_id, OTHER_KEY) == AUTH
        assert await sender.ask(Send(False, b"to the recipient id"), queue.rcv_id, SOME_KEY) == AUTH
        assert await sender.ask(Send(False, b"signed"), queue.snd_id, SOME_KEY) == Ok()
        second = await recipient.event(queue.rcv_id)
        assert queue.open(second) == RcvMessage(NOW, False, b"signed")
        assert await recipient.ask(ack(second), queue.snd_id, queue.key) == AUTH
        assert await recipient.ask(ack(second), queue.rcv_id, queue.key) == Ok()

    on(kind, check)


@every_version
def test_the_longest_body(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create()
        assert await recipient.ask(Key(SOME_KEY.public()), queue.rcv_id, queue.key) == Ok()
        longest = bytes(range(251)) * 65
        assert await sender.ask(Send(False, longest[: kind.largest + 1]), queue.snd_id, SOME_KEY) == LARGE_MSG
        assert await sender.ask(Send(False, longest[: kind.largest + 1]), queue.snd_id) == AUTH
        assert await sender.ask(Send(False, longest[: kind.largest]), queue.snd_id, SOME_KEY) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == longest[: kind.largest]

    on(kind, check)


@every_version
def test_one_message_under_way_until_acknowledged(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create()
        for number in range(4):
            assert await sender.ask(Send(False, b"%d" % number), queue.snd_id) == Ok()
        message = await recipient.event(queue.rcv_id)
        for number in range(3):
            assert await recipient.is_quiet()
            assert body(queue, message) == b"%d" % number
            message = await recipient.ask(ack(message), queue.rcv_id, queue.key)
        assert body(queue, message) == b"3"
        assert await recipient.ask(ack(message), queue.rcv_id, queue.key) == Ok()
        assert await sender.ask(Send(False, b"4"), queue.snd_id) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == b"4"

    on(kind, check)


@every_version
def test_an_acknowledgement_without_an_id_removes_nothing(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create()
        assert await peer.ask(Ack(b""), queue.rcv_id, queue.key) == NO_MSG
        assert await peer.ask(Send(False, b"stays"), queue.snd_id) == Ok()
        first = await peer.event(queue.rcv_id)
        assert await peer.ask(Ack(b""), queue.rcv_id, queue.key) == first
        assert await peer.ask(ack(first), queue.rcv_id, queue.key) == Ok()

    on(kind, check)


@every_version
def test_an_answer_that_fits_no_block(kind: Kind) -> None:
    """A correlation id of 255 bytes leaves no room for the next message, which comes again with SUB."""

    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create()
        for text in (b"1", b"2"):
            assert await peer.ask(Send(False, text), queue.snd_id) == Ok()
            if text == b"1":
                first = await peer.event(queue.rcv_id)
        assert await peer.ask(ack(first), queue.rcv_id, queue.key, corr_id=b"c" * 255) == BLOCK
        assert await peer.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
        assert body(queue, await peer.event(queue.rcv_id)) == b"2"

    on(kind, check)


@every_version
def test_what_was_not_acknowledged_comes_again_the_same(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create()
        assert await sender.ask(Send(False, b"once"), queue.snd_id) == Ok()
        first = await recipient.event(queue.rcv_id)
        for _ in range(2):
            assert await recipient.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
            assert await recipient.event(queue.rcv_id) == first
        await recipient.connection.close()
        again = await stage.peer()
        assert await again.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
        assert await again.event(queue.rcv_id) == first
        assert await again.ask(ack(first), queue.rcv_id, queue.key) == Ok()

    on(kind, check)


@every_version
def test_created_without_subscription(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create(subscribe=False)
        assert await peer.ask(Send(False, b"waits"), queue.snd_id) == Ok()
        assert await peer.is_quiet()
        assert await peer.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
        assert body(queue, await peer.event(queue.rcv_id)) == b"waits"

    on(kind, check)


@every_version
def test_suspended_and_deleted(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create()
        assert await peer.ask(Send(False, b"kept"), queue.snd_id) == Ok()
        first = await peer.event(queue.rcv_id)
        assert await peer.ask(Off(), queue.snd_id, queue.key) == AUTH
        for _ in range(2):
            assert await peer.ask(Off(), queue.rcv_id, queue.key) == Ok()
        assert await peer.ask(Send(False, b"late"), queue.snd_id) == AUTH
        assert await peer.ask(Send(False, bytes(16089)), queue.snd_id) == LARGE_MSG
        assert await peer.ask(Key(SOME_KEY.public()), queue.rcv_id, queue.key) == Ok()
        assert await peer.ask(Send(False, b"late"), queue.snd_id, SOME_KEY) == AUTH
        assert await peer.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
        assert await peer.event(queue.rcv_id) == first
        assert await peer.ask(Del(), queue.snd_id, queue.key) == AUTH
        assert await peer.ask(Del(), queue.rcv_id, queue.key) == Ok()
        for command, entity in (
            (Send(False, b"x"), queue.snd_id),
            (ack(first), queue.rcv_id),
            (Off(), queue.rcv_id),
            (Sub(), queue.rcv_id),
            (Del(), queue.rcv_id),
        ):
            assert await peer.ask(command, entity, queue.key) == AUTH
        assert await peer.is_quiet()

    on(kind, check)


@every_version
def test_the_last_to_subscribe_has_the_queue(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        one, two, sender = await stage.peer(), await stage.peer(), await stage.peer()
        queue = await one.create()
        assert await sender.ask(Send(False, b"first"), queue.snd_id) == Ok()
        first = await one.event(queue.rcv_id)
        assert await two.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
        assert await two.event(queue.rcv_id) == first
        assert await one.event(queue.rcv_id) == End()
        assert await one.ask(ack(first), queue.rcv_id, queue.key) == NO_MSG
        assert await two.ask(ack(first), queue.rcv_id, queue.key) == Ok()
        assert await sender.ask(Send(False, b"second"), queue.snd_id) == Ok()
        assert body(queue, await two.event(queue.rcv_id)) == b"second"
        assert await one.ask(Del(), queue.rcv_id, queue.key) == Ok()
        assert await two.event(queue.rcv_id) == (Deld() if kind.version >= 10 else End())
        assert await one.is_quiet()

    on(kind, check)


@every_version
def test_get_and_sub_do_not_mix_on_one_connection(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        subscriber, getter, sender = await stage.peer(), await stage.peer(), await stage.peer()
        queue = await subscriber.create()
        assert await getter.ask(Get(), queue.rcv_id, queue.key) == Ok()
        assert await sender.ask(Send(False, b"both see it"), queue.snd_id) == Ok()
        assert await sender.ask(Send(False, b"next"), queue.snd_id) == Ok()
        pushed = await subscriber.event(queue.rcv_id)
        assert await getter.is_quiet()
        assert await subscriber.ask(Get(), queue.rcv_id, queue.key) == PROHIBITED
        assert await getter.ask(Sub(), queue.rcv_id, queue.key) == PROHIBITED
        assert await getter.ask(Get(), queue.rcv_id, queue.key) == pushed
        following = await subscriber.ask(ack(pushed), queue.rcv_id, queue.key)
        assert body(queue, following) == b"next"
        assert await getter.ask(ack(pushed), queue.rcv_id, queue.key) == Ok()
        assert await getter.ask(ack(pushed), queue.rcv_id, queue.key) == NO_MSG
        assert await getter.is_quiet()
        assert await getter.ask(Get(), queue.rcv_id, queue.key) == following
        assert await getter.ask(ack(following), queue.rcv_id, queue.key) == Ok()
        assert await getter.ask(Get(), queue.rcv_id, queue.key) == Ok()
        assert await subscriber.ask(ack(following), queue.rcv_id, queue.key) == Ok()

    on(kind, check)


@every_version
def test_what_a_queue_says_about_itself(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender, getter = await stage.peer(), await stage.peer(), await stage.peer()
        queue = await recipient.create()

        async def told(peer: Peer = recipient) -> dict[str, object]:
            answer = await peer.ask(Que(), queue.rcv_id, queue.key)
            assert isinstance(answer, Info), answer
            said: dict[str, object] = json.loads(answer.json)
            return said

        def text(msg_id: bytes) -> str:
            return base64.b64encode(msg_id).decode()

        assert await recipient.ask(Que(), queue.rcv_id) == NO_AUTH
        assert await recipient.ask(Que(), queue.rcv_id, auth=WRONG_SIGNATURE) == AUTH
        assert await recipient.ask(Que(), queue.snd_id, queue.key) == AUTH
        assert await told() == {"qiSnd": False, "qiNtf": False, "qiSub": {"qSubThread": "noSub"}, "qiSize": 0}
        assert await told(getter) == {"qiSnd": False, "qiNtf": False, "qiSize": 0}
        assert await getter.ask(Get(), queue.rcv_id, queue.key) == Ok()
        assert (await told(getter))["qiSub"] == {"qSubThread": "prohibitSub"}

        assert await sender.ask(Send(True, b"m"), queue.snd_id) == Ok()
        message = await recipient.event(queue.rcv_id)
        msg_id = text(ack(message).msg_id)
        assert await getter.ask(Get(), queue.rcv_id, queue.key) == message
        assert (await told(getter))["qiSub"] == {"qSubThread": "prohibitSub", "qDelivered": msg_id}
        nid = await recipient.ask(NKey(OTHER_KEY.public(), DH.public()), queue.rcv_id, queue.key)
        assert isinstance(nid, Nid)
        assert await recipient.ask(Key(SOME_KEY.public()), queue.rcv_id, queue.key) == Ok()
        assert await told() == {
            "qiSnd": True,
            "qiNtf": True,
            "qiSub": {"qSubThread": "noSub", "qDelivered": msg_id},
            "qiSize": 1,
            "qiMsg": {"msgId": msg_id, "msgTs": "2023-11-14T22:13:20Z", "msgType": "message"},
        }
        assert await sender.ask(Send(True, b"m"), queue.snd_id, SOME_KEY) == QUOTA
        marker = await recipient.ask(ack(message), queue.rcv_id, queue.key)
        at_marker = await told()
        assert at_marker["qiMsg"] == {
            "msgId": text(ack(marker).msg_id),
            "msgTs": "2023-11-14T22:13:20Z",
            "msgType": "quota",
        }

    on(kind, check, limits=Limits(quota=1))


@every_version
def test_quota(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create()
        assert await sender.ask(Send(True, b"1"), queue.snd_id) == Ok()
        assert await sender.ask(Send(True, b"2"), queue.snd_id) == Ok()
        for _ in range(2):
            assert await sender.ask(Send(True, b"3"), queue.snd_id) == QUOTA
        message = await recipient.event(queue.rcv_id)
        assert body(queue, message) == b"1"
        message = await recipient.ask(ack(message), queue.rcv_id, queue.key)
        assert body(queue, message) == b"2"
        assert await sender.ask(Send(True, b"3"), queue.snd_id) == QUOTA
        message = await recipient.ask(ack(message), queue.rcv_id, queue.key)
        assert queue.open(message) == QuotaMarker(NOW)
        assert await sender.ask(Send(True, b"3"), queue.snd_id) == QUOTA
        assert await recipient.ask(ack(message), queue.rcv_id, queue.key) == Ok()
        assert await sender.ask(Send(True, b"3"), queue.snd_id) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == b"3"

    on(kind, check, limits=Limits(quota=2))


def test_the_quota_is_128_messages() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create(subscribe=False)
        for _ in range(128):
            assert await peer.ask(Send(False, b"m"), queue.snd_id) == Ok()
        assert await peer.ask(Send(False, b"m"), queue.snd_id) == QUOTA

    on(Kind(18), check)
