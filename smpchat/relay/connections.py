"""Keeps the open connections, and sends transmissions to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from smpchat.protocol.command_codec import encode_broker
from smpchat.protocol.commands import Err, Msg
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.transmission import Transmission, encode_transmission
from smpchat.relay.connection import Connection
from smpchat.relay.counters import Counters
from smpchat.relay.outgoing import Outgoing
from smpchat.relay.subscriptions import Client


class Connections:
    """The open connections; each connection is looked up by its `Client`. Transmissions to a connection that has ended
    are dropped."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._open: dict[Client, Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._open.values())

    def add(self, connection: Connection) -> None:
        """Adds a connection: from now on, `send` reaches it."""
        self._open[connection.client] = connection

    def remove(self, connection: Connection) -> None:
        """Removes a connection that has ended."""
        del self._open[connection.client]

    def get(self, client: Client) -> Connection | None:
        """The connection of a client; None if the connection has ended."""
        return self._open.get(client)

    def send(self, outgoing: Iterable[Outgoing]) -> None:
        """Gives each transmission to its connection. Connections that get messages are served first, because a person
        waits for each message; the answers to commands are less urgent."""
        counters = self._counters
        messages: dict[Connection, None] = {}
        others: dict[Connection, None] = {}
        for one in outgoing:
            connection = self._open.get(one.client)
            if connection is None:
                continue  # the connection has ended; messages stay in their queues
            if type(one.message) is Msg:
                counters.deliveries += 1
            elif type(one.message) is Err:
                counters.refused[one.message.error.words[0]] += 1
            data = _encoded(one)
            if len(data) > connection.largest:  # happens only with a very long correlation id
                data = _encoded(one._replace(message=Err(ErrorCode.BLOCK)))
            connection.put(data, push=one.push)
            (messages if one.push else others)[connection] = None
        for connection in (*messages, *others):
            connection.flush()


def _encoded(one: Outgoing) -> bytes:
    version, session_id = one.client.version, one.client.session_id
    transmission = Transmission(one.corr_id, one.entity_id, encode_broker(one.message, version))
    return encode_transmission(transmission, version, session_id)
