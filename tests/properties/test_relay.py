"""Whatever bytes a client sends, the relay answers, and changes nothing for who has no key."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.reader import DecodeError
from smpchat.protocol import commands
from smpchat.protocol.block import decode_batch
from smpchat.protocol.command_codec import encode_broker, encode_command
from smpchat.protocol.commands import Command, Ids, QueueRequest
from smpchat.protocol.forwarding import Forwarded, seal_for_relay, seal_forwarded
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.transmission import (
    Transmission,
    authorise,
    decode_transmission,
    derived_sender_id,
    encode_transmission,
    signed_bytes,
)
from smpchat.relay.commands import QueueService
from smpchat.relay.records import StoredMessage
from smpchat.relay.store import SQLiteStore
from smpchat.relay.subscriptions import Client
from smpchat.testing.entropy import SeededEntropy

OWNER, SENDER, STRANGER = (Ed25519PrivateKey(bytes([n]) * 32) for n in (1, 2, 3))
DH = X25519PrivateKey(b"\x04" * 32)
SESSION_KEY, PROXY_KEY = X25519PrivateKey(b"\x05" * 32), X25519PrivateKey(b"\x06" * 32)
LINK_ID, UNKNOWN = b"\x0c" * 24, b"\x07" * 24
TAGS = (
    b"NEW SUB KEY RKEY LSET LDEL NKEY NDEL GET ACK OFF DEL QUE SKEY SEND LKEY LGET NSUB SUBS NSUBS PING PRXY PFWD RFWD"
)

versions = st.integers(6, 18)
small = st.binary(max_size=60)


class Relay:
    """A queue with everything a queue can have, and the service before it."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store
        self.service = QueueService(store, entropy=SeededEntropy("relay"), clock=lambda: 1_700_000_000)
        owner = self.client(18)
        corr = b"c" * 24
        link = commands.LinkData(derived_sender_id(corr), b"fixed", b"user", LINK_ID)
        request = QueueRequest(QueueMode.CONTACT, link)
        ntf = commands.NtfRequest(OWNER.public(), DH.public())
        ids = self._as_owner(owner, commands.New(OWNER.public(), DH.public(), None, True, request, ntf), b"", corr)
        assert isinstance(ids, Ids)
        assert ids.ntf is not None
        self.ids = (ids.rcv_id, ids.snd_id, ids.ntf.notifier_id, LINK_ID, UNKNOWN, b"")
        self._as_owner(owner, commands.Key(SENDER.public()), ids.rcv_id, b"k")
        queue = store.by_recipient(ids.rcv_id)
        assert queue is not None
        self.queue = queue
        store.append(queue, StoredMessage(b"m" * 24, 1_700_000_000, True, b"body"))
        store.add_notification(queue, b"m" * 24, 1_700_000_000, keep=9)
        store.commit()

    def client(self, version: int) -> Client:
        return Client(version, b"session", SESSION_KEY, peer_key=PROXY_KEY.public())

    def _as_owner(self, client: Client, command: Command, entity: bytes, corr: bytes) -> object:
        body = encode_command(command, 18)
        auth = authorise(OWNER, signed_bytes(b"session", corr, entity, body), corr, None)
        return self.service.execute(client, Transmission(corr, entity, body, auth))[0].message

    def dump(self) -> list[str]:
        return list(self.store._db.iterdump())

    def feed(self, client: Client, data: bytes) -> None:
        """One transmission as it arrives: every way out is an answer that can be encoded."""
        try:
            t = decode_transmission(data, client.version, client.session_id)
        except DecodeError:
            return  # ERR BLOCK or SESSION, which the connection answers
        out = self.service.execute(client, t)
        assert out[0].client is client
        for one in out:
            encode_broker(one.message, one.client.version)


def parts(tag: bytes, parameters: bytes, *, blank: bool) -> bytes:
    return tag + (b" " if blank else b"") + parameters


bodies = st.one_of(
    small,
    st.builds(parts, st.sampled_from(TAGS.split()), small, blank=st.booleans()),
    st.sampled_from(
        [
            encode_command(command, 18)
            for command in (
                commands.Sub(),
                commands.Key(STRANGER.public()),
                commands.RKey((STRANGER.public(),)),
                commands.LSet(LINK_ID, b"fixed", b"theirs"),
                commands.LDel(),
                commands.NKey(STRANGER.public(), DH.public()),
                commands.NDel(),
                commands.Get(),
                commands.Ack(b"m" * 24),
                commands.Off(),
                commands.Del(),
                commands.Que(),
                commands.SKey(STRANGER.public()),
                commands.LKey(STRANGER.public()),
                commands.Send(True, b"body"),
                commands.LGet(),
                commands.NSub(),
                commands.Ping(),
                commands.PFwd(17, DH.public(), b"x"),
                commands.RFwd(b"x"),
            )
        ]
    ),
)
auths = st.one_of(st.just(b""), st.sampled_from([64, 80, 114]).map(bytes), st.just(b"by a stranger"))


@settings(deadline=None, max_examples=150)
@given(data=st.data(), version=versions)
def test_who_has_no_key_changes_nothing(data: st.DataObject, version: int) -> None:
    with closing(SQLiteStore(":memory:")) as store:
        relay = Relay(store)
        before = relay.dump()
        client = relay.client(version)
        for _ in range(data.draw(st.integers(1, 8))):
            corr, entity = data.draw(st.binary(max_size=30)), data.draw(st.sampled_from(relay.ids))
            body, auth = data.draw(bodies), data.draw(auths)
            if auth == b"by a stranger":
                auth = authorise(STRANGER, signed_bytes(b"session", corr, entity, body), corr, None)
            t = Transmission(corr, entity, body, auth)
            relay.feed(client, encode_transmission(t, version, client.session_id))
        store.commit()
        assert relay.dump() == before


@settings(deadline=None)
@given(datas=st.lists(st.binary(max_size=300), max_size=20), version=versions)
def test_any_bytes_are_answered_and_change_nothing(datas: list[bytes], version: int) -> None:
    with closing(SQLiteStore(":memory:")) as store:
        relay = Relay(store)
        before = relay.dump()
        for data in datas:
            relay.feed(relay.client(version), data)
        assert not store.changed
        assert relay.dump() == before


@settings(deadline=None, max_examples=100)
@given(data=st.data(), version=st.integers(0, 30), proxy_version=st.integers(7, 18))
def test_any_bytes_inside_a_forwarded_transmission(data: st.DataObject, version: int, proxy_version: int) -> None:
    with closing(SQLiteStore(":memory:")) as store:
        relay = Relay(store)
        before = relay.dump()
        client = relay.client(proxy_version)
        corr, inner_corr = b"r" * 24, b"n" * 24
        entity, body, auth = data.draw(st.sampled_from(relay.ids)), data.draw(bodies), data.draw(auths)
        if auth == b"by a stranger":
            auth = authorise(STRANGER, signed_bytes(b"session", inner_corr, entity, body), inner_corr, None)
        inner = encode_transmission(Transmission(inner_corr, entity, body, auth), version, b"session")
        content = data.draw(st.one_of(st.just(b"\x01" + len(inner).to_bytes(2, "big") + inner), small))
        sealed = seal_forwarded(DH.exchange(SESSION_KEY.public()), inner_corr, content)
        forwarded = Forwarded(inner_corr, version, DH.public(), data.draw(st.one_of(st.just(sealed), small)))
        rfwd = commands.RFwd(seal_for_relay(PROXY_KEY.exchange(SESSION_KEY.public()), corr, forwarded))
        t = Transmission(corr, b"", encode_command(rfwd, proxy_version))
        [only] = relay.service.execute(client, t)
        assert isinstance(only.message, commands.RRes | commands.Err)
        store.commit()
        assert relay.dump() == before


def test_the_strangers_commands_are_refused_for_the_key_only() -> None:
    """Or else the properties above would hold of a relay that refuses everything."""
    with closing(SQLiteStore(":memory:")) as store:
        relay = Relay(store)
        before = relay.dump()
        client, body = relay.client(18), encode_command(commands.Del(), 18)
        auth = authorise(OWNER, signed_bytes(b"session", b"c", relay.ids[0], body), b"c", None)
        relay.feed(client, encode_transmission(Transmission(b"c", relay.ids[0], body, auth), 18, b"session"))
        store.commit()
        assert relay.dump() != before
        assert store.queue_count == 0


@given(st.binary(max_size=400))
def test_any_content_of_a_block(content: bytes) -> None:
    try:
        batch = decode_batch(content)
    except DecodeError:
        return
    assert 1 <= len(batch) <= 255
    with pytest.raises(DecodeError):
        decode_batch(content + b"x")
