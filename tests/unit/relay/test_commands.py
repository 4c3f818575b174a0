from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from smpchat.crypto.keys import AuthPrivateKey, Ed25519PrivateKey, X25519PrivateKey
from smpchat.protocol.address import SMPServer
from smpchat.protocol.command_codec import encode_command
from smpchat.protocol.commands import (
    Ack,
    BrokerMessage,
    Command,
    Del,
    Err,
    Get,
    Ids,
    Key,
    LKey,
    Msg,
    New,
    Nid,
    NKey,
    NMsg,
    NSub,
    Off,
    Ok,
    PFwd,
    Prxy,
    QueueRequest,
    Send,
    SKey,
    Sok,
    Sub,
)
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.transmission import Transmission, authorise, signed_bytes
from smpchat.relay import commands as relay_commands
from smpchat.relay import notifications
from smpchat.relay.authorisation import authorised
from smpchat.relay.commands import QueueService, max_body
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.outgoing import Outgoing
from smpchat.relay.records import Queue, StoredMessage
from smpchat.relay.store import SQLiteStore
from smpchat.relay.subscriptions import MAX_UNSENT_PUSHES, Client
from smpchat.testing.entropy import SeededEntropy

KEY = Ed25519PrivateKey(b"\x01" * 32)
SENDER = Ed25519PrivateKey(b"\x02" * 32)
DH = X25519PrivateKey(b"\x03" * 32)
AUTH = Err(ErrorCode.AUTH)


class Desk:
    """A queue service, and the command line to it."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store
        self.service = QueueService(store, entropy=SeededEntropy("queues"), clock=lambda: 1_700_000_000)
        self._number = 0

    def client(self, version: int = 18) -> Client:
        self._number += 1
        return Client(version, b"session %d" % self._number, X25519PrivateKey(b"\x05" * 32))

    def run(
        self, client: Client, command: Command | bytes, entity: bytes = b"", key: AuthPrivateKey | None = None
    ) -> list[Outgoing]:
        self._number += 1
        body = command if isinstance(command, bytes) else encode_command(command, client.version)
        corr = b"%d" % self._number
        data = signed_bytes(client.session_id, corr, entity, body)
        auth = b"" if key is None else authorise(key, data, corr, X25519PrivateKey(b"\x05" * 32).public())
        out = self.service.execute(client, Transmission(corr, entity, body, auth))
        assert (out[0].client, out[0].corr_id, out[0].push) == (client, corr, False)
        return out

    def ask(
        self, client: Client, command: Command | bytes, entity: bytes = b"", key: AuthPrivateKey | None = None
    ) -> BrokerMessage:
        """The answer, which is all there is."""
        [only] = self.run(client, command, entity, key)
        return only.message

    def create(self, client: Client, mode: QueueMode | None = QueueMode.MESSAGING, *, subscribe: bool = True) -> Ids:
        request = None if mode is None else QueueRequest(mode)
        ids = self.ask(client, New(KEY.public(), DH.public(), None, subscribe, request), b"", KEY)
        assert isinstance(ids, Ids)
        return ids


@pytest.fixture
def desk() -> Iterator[Desk]:
    with closing(SQLiteStore(":memory:")) as store:
        yield Desk(store)


def ack(out: Outgoing) -> Ack:
    assert isinstance(out.message, Msg)
    return Ack(out.message.msg_id)


def test_the_longest_bodies() -> None:
    assert [max_body(version) for version in (6, 7, 8, 10, 11, 18)] == [16088, 16088, 16064, 16064, 16048, 16048]


def test_a_message_is_pushed_with_the_answer_to_its_sender(desk: Desk) -> None:
    recipient, sender = desk.client(), desk.client()
    ids = desk.create(recipient)
    answer, push = desk.run(sender, Send(False, b"hello"), ids.snd_id)
    assert answer.message == Ok()
    assert (push.client, push.corr_id, push.entity_id, push.push) == (recipient, b"", ids.rcv_id, True)
    assert desk.ask(sender, Send(False, b"waits"), ids.snd_id) == Ok()
    [following] = desk.run(recipient, ack(push), ids.rcv_id, KEY)
    assert desk.ask(recipient, ack(following), ids.rcv_id, KEY) == Ok()


def test_nothing_is_pushed_to_who_ended(desk: Desk) -> None:
    recipient, sender = desk.client(), desk.client()
    ids = desk.create(recipient)
    desk.service.disconnect(recipient)
    assert desk.ask(sender, Send(False, b"hello"), ids.snd_id) == Ok()
    answer, push = desk.run(desk.client(), Sub(), ids.rcv_id, KEY)
    assert answer.message == Sok()
    assert isinstance(push.message, Msg)


def test_pushes_to_who_does_not_read_are_held_back(desk: Desk) -> None:
    recipient, sender = desk.client(), desk.client()
    ids = [desk.create(recipient) for _ in range(MAX_UNSENT_PUSHES + 3)]
    pushed = sum(len(desk.run(sender, Send(False, b"m"), one.snd_id)) - 1 for one in ids)
    assert pushed == recipient.unsent == MAX_UNSENT_PUSHES
    assert desk.service.resume(recipient) == []
    assert desk.ask(recipient, Del(), ids[-1].rcv_id, KEY) == Ok()
    recipient.unsent -= 1
    [push] = desk.service.resume(recipient)
    assert push.entity_id == ids[-3].rcv_id
    recipient.unsent = 0
    [push] = desk.service.resume(recipient)
    assert push.entity_id == ids[-2].rcv_id
    assert desk.service.resume(recipient) == []


def test_notifications_take_their_turn_too(desk: Desk) -> None:
    recipient, sender, notifier = desk.client(), desk.client(), desk.client()
    ids = desk.create(recipient, subscribe=False)
    nid = desk.ask(recipient, NKey(SENDER.public(), DH.public()), ids.rcv_id, KEY)
    assert isinstance(nid, Nid)
    assert desk.ask(notifier, NSub(), nid.notifier_id, SENDER) == Sok()
    notifier.unsent = MAX_UNSENT_PUSHES - 1
    for _ in range(3):
        assert desk.ask(sender, Send(True, b"m"), ids.snd_id) == Ok()
    assert desk.service.notifications_due
    [first] = desk.service.notify()
    assert (first.client, first.entity_id, first.push) == (notifier, nid.notifier_id, True)
    assert isinstance(first.message, NMsg)
    assert not desk.service.notifications_due
    assert desk.service.notify() == []
    notifier.unsent = 0
    assert len(desk.service.resume(notifier)) == notifier.unsent == 2
    assert desk.service.resume(notifier) == []


def test_notifications_for_who_ended_wait(desk: Desk) -> None:
    recipient, notifier = desk.client(), desk.client()
    ids = desk.create(recipient, subscribe=False)
    nid = desk.ask(recipient, NKey(SENDER.public(), DH.public()), ids.rcv_id, KEY)
    assert isinstance(nid, Nid)
    assert desk.ask(notifier, NSub(), nid.notifier_id, SENDER) == Sok()
    assert desk.ask(recipient, Send(True, b"m"), ids.snd_id) == Ok()
    desk.service.disconnect(notifier)
    assert desk.service.notify() == []
    assert desk.ask(recipient, NSub(), nid.notifier_id, SENDER) == Sok()
    assert [one.client for one in desk.service.notify()] == [recipient]


def test_a_connection_that_ended_got_nothing(desk: Desk) -> None:
    getter = desk.client()
    ids = desk.create(desk.client(), subscribe=False)
    assert desk.ask(getter, Send(False, b"m"), ids.snd_id) == Ok()
    [got] = desk.run(getter, Get(), ids.rcv_id, KEY)
    desk.service.disconnect(getter)
    assert desk.ask(getter, ack(got), ids.rcv_id, KEY) == Err(ErrorCode.NO_MSG)


def test_a_service_that_is_no_proxy_says_so(desk: Desk) -> None:
    client = desk.client()
    request = Prxy(SMPServer(("relay.test",), "", bytes(32)), None)
    assert desk.ask(client, request) == Err(ErrorCode.proxy("BASIC_AUTH"))
    assert desk.ask(client, PFwd(17, DH.public(), b"x"), b"session") == Err(ErrorCode.proxy("NO_SESSION"))


def test_a_message_that_the_store_lost(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    client = desk.client()
    ids = desk.create(client, subscribe=False)
    assert desk.ask(client, Send(False, b"m"), ids.snd_id) == Ok()

    def lost(queue: Queue) -> StoredMessage | None:
        return None

    monkeypatch.setattr(desk.store, "head", lost)
    with pytest.raises(RelayStoreError, match="lost"):
        desk.run(client, Sub(), ids.rcv_id, KEY)


@pytest.mark.parametrize(
    "command",
    [Sub(), Key(KEY.public()), Get(), Ack(b"m"), Off(), Del(), NSub(), SKey(KEY.public()), LKey(KEY.public())],
    ids=lambda command: type(command).__name__,
)
def test_a_refusal_verifies_whether_the_id_exists_or_not(
    desk: Desk, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal must not tell by its time which ids exist (smp-wire 7.6): recipient, sender, link and notifier ids."""
    calls = 0

    def counted(client: Client, t: Transmission, keys: tuple[object, ...]) -> bool:
        nonlocal calls
        calls += 1
        return authorised(client, t, keys)  # type: ignore[arg-type]

    recipient = desk.client()
    ids = desk.create(recipient)
    nid = desk.ask(recipient, NKey(SENDER.public(), DH.public()), ids.rcv_id, KEY)
    assert isinstance(nid, Nid)
    for module in (relay_commands, notifications):
        monkeypatch.setattr(module, "authorised", counted)
    for entity in (ids.rcv_id, ids.snd_id, nid.notifier_id, b"unknown"):
        calls = 0
        assert desk.ask(desk.client(), command, entity, Ed25519PrivateKey(b"\x09" * 32)) == AUTH
        assert calls == 1
