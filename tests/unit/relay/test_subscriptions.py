from __future__ import annotations

from operator import attrgetter

import pytest

from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import X25519PrivateKey, X25519PublicKey
from smpchat.relay.subscriptions import Client, Subscriptions


@pytest.fixture(params=["subscribed", "notified"])
def held(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def a_client() -> Client:
    return Client(18, bytes(32), None)


def test_the_last_to_subscribe_has_it(held: str) -> None:
    subscriptions, one, two = Subscriptions(attrgetter(held)), a_client(), a_client()
    assert subscriptions.subscriber(b"id") is None
    assert subscriptions.subscribe(b"id", one) is None
    getattr(one, held)[b"id"] = b"delivered"
    one.deferred[b"id"] = None
    assert subscriptions.subscribe(b"id", one) is None
    assert getattr(one, held) == {b"id": None}
    assert subscriptions.subscribe(b"id", two) is one
    assert (getattr(one, held), one.deferred) == ({}, {})
    assert subscriptions.subscriber(b"id") is two
    assert len(subscriptions) == 1


def test_an_end(held: str) -> None:
    subscriptions, client = Subscriptions(attrgetter(held)), a_client()
    subscriptions.subscribe(b"id", client)
    client.deferred[b"id"] = None
    assert subscriptions.end(b"id") is client
    assert subscriptions.end(b"id") is None
    assert (getattr(client, held), client.deferred) == ({}, {})


def test_a_connection_that_ended_takes_along_what_is_its_own(held: str) -> None:
    subscriptions, one, two = Subscriptions(attrgetter(held)), a_client(), a_client()
    for entity_id in (b"1", b"2"):
        subscriptions.subscribe(entity_id, one)
        one.deferred[entity_id] = None
    one.deferred[b"of another kind"] = None
    subscriptions.subscribe(b"3", two)
    subscriptions.subscribe(b"2", two)
    subscriptions.drop(one)
    assert (getattr(one, held), one.deferred) == ({}, {b"of another kind": None})
    assert [subscriptions.subscriber(entity_id) for entity_id in (b"1", b"2", b"3")] == [None, two, two]
    subscriptions.drop(one)
    assert len(subscriptions) == 2


def test_both_kinds_of_a_connection_are_apart() -> None:
    queues, notifiers = Subscriptions(attrgetter("subscribed")), Subscriptions(attrgetter("notified"))
    client = a_client()
    queues.subscribe(b"id", client)
    assert notifiers.subscriber(b"id") is None
    notifiers.drop(client)
    assert queues.subscriber(b"id") is client


def test_the_secret_of_a_session() -> None:
    ours, theirs = X25519PrivateKey(b"\x01" * 32), X25519PrivateKey(b"\x02" * 32)
    client = Client(18, bytes(32), ours, peer_key=theirs.public())
    for _ in range(2):
        assert client.session_secret() == theirs.exchange(ours.public())
    assert Client(18, bytes(32), ours).session_secret() is None
    assert Client(6, bytes(32), None, peer_key=theirs.public()).session_secret() is None
    with pytest.raises(CryptoError):
        Client(18, bytes(32), ours, peer_key=X25519PublicKey(bytes(32))).session_secret()
