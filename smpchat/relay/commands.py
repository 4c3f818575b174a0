"""Executes each command: takes a transmission, and returns the answer and *pushes*, which the relay sends to clients
unasked. This module uses no sockets and no SQLite; it gets the clock and the store as arguments.

Source: smp-wire 5.1, 7.2 to 7.4 and 8.1. Commands are executed one after the other in the given order, and each sees
the effects of the previous ones. The caller sends the answers only after the store has committed.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Sequence
from itertools import islice
from operator import attrgetter
from typing import TypeVar

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import AuthPublicKey, X25519PrivateKey
from smpchat.protocol import commands
from smpchat.protocol.command_codec import CommandDecodeError, decode_command
from smpchat.protocol.commands import BrokerMessage, Command
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.messages import QuotaMarker, RcvMessage, seal_message
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.transmission import Transmission, derived_sender_id
from smpchat.protocol.version import ENCRYPTED_BLOCK
from smpchat.relay.authorisation import authorised, refusal
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.forwarding import FORWARDABLE, ForwardRefused, open_request
from smpchat.relay.information import queue_information
from smpchat.relay.limits import QUOTA
from smpchat.relay.notifications import Notifications
from smpchat.relay.outgoing import Outgoing, answer, error
from smpchat.relay.records import Link, NewQueue, Queue, QueueStore, StoredMessage
from smpchat.relay.subscriptions import MAX_UNSENT_PUSHES, Client, Subscriptions

MAX_RECIPIENT_KEYS = 32
"""Maximum number of keys that RKEY may give to a queue. At every command of the recipient, the relay tries these keys,
so without a limit a few bytes could cause much work. The reference (simplexmq) sets no such limit."""

_ID_BYTES = 24
_PROHIBITED = ErrorCode.cmd("PROHIBITED")
_OK = commands.Ok()
_log = logging.getLogger("smpchat.relay")
_C = TypeVar("_C", bound=Command)

Forward = Callable[[Client, Transmission, commands.Prxy | commands.PFwd], ErrorCode | None]
"""Handles PRXY and PFWD. Returns the error with which the relay answers at once, or None if it answers later."""


def forward_nothing(client: Client, t: Transmission, command: commands.Prxy | commands.PFwd) -> ErrorCode:
    """The error with which a relay that is not a proxy answers PRXY and PFWD (smp-wire 5.6)."""
    return ErrorCode.proxy("BASIC_AUTH" if isinstance(command, commands.Prxy) else "NO_SESSION")


def max_body(version: int) -> int:
    """The longest body of SEND in bytes (smp-wire 4.6)."""
    if version >= ENCRYPTED_BLOCK:
        return 16_048
    return 16_064 if version >= 8 else 16_088


_NEED_ROOM = (commands.New, commands.LSet, commands.NKey, commands.Send)


class QueueService:
    """Executes commands on a store, and keeps the subscriptions."""

    def __init__(
        self,
        store: QueueStore,
        *,
        entropy: Entropy,
        clock: Callable[[], float],
        password: str | None = None,
        new_queues: bool = True,
        quota: int = QUOTA,
        forward: Forward = forward_nothing,
    ) -> None:
        """
        Args:
            store: The store of queues and messages. The caller commits the changes.
            clock: Unix time in seconds.
            password: The password that NEW must contain, or None if anyone may create queues.
            new_queues: Whether new queues are allowed.
            quota: Maximum number of messages in a queue.
            forward: Gives PRXY and PFWD to the proxy, see `Forward`.
        """
        self.subscriptions = Subscriptions(attrgetter("subscribed"))
        self._notifications = Notifications(store, entropy)
        self._store = store
        self._entropy = entropy
        self._clock = clock
        self._password = None if password is None else password.encode()
        self._new_queues = new_queues
        self._quota = quota
        self._forward = forward
        self._handlers: dict[type[Command], Callable[[Client, Transmission, Command], list[Outgoing]]] = {
            commands.New: _as(commands.New, self._new),
            commands.Sub: self._recipient(self._sub),
            commands.Key: self._recipient(self._key),
            commands.Get: self._recipient(self._get),
            commands.Ack: self._recipient(self._ack),
            commands.Off: self._recipient(self._off),
            commands.Del: self._recipient(self._del),
            commands.Que: self._recipient(self._que),
            commands.RKey: self._recipient(self._rkey),
            commands.LSet: self._recipient(self._lset),
            commands.LDel: self._recipient(self._ldel),
            commands.NKey: self._recipient(self._notifications.nkey),
            commands.NDel: self._recipient(self._notifications.ndel),
            commands.SKey: _as(commands.SKey, self._skey),
            commands.LKey: _as(commands.LKey, self._lkey),
            commands.Send: _as(commands.Send, self._send),
            commands.LGet: self._lget,
            commands.NSub: _as(commands.NSub, self._notifications.nsub),
            commands.Ping: self._ping,
            commands.RFwd: _as(commands.RFwd, self._rfwd),
            commands.Prxy: _as(commands.Prxy, self._proxied),
            commands.PFwd: _as(commands.PFwd, self._proxied),
        }

    def execute(self, client: Client, transmission: Transmission) -> list[Outgoing]:
        """Executes one command.

        Returns:
            First the answer, and after it the pushes, which may be for this or other connections. An empty list if the
            proxy will answer later.
        Raises:
            RelayStoreError: The store failed. The caller must then roll back all commands since the last commit.
        """
        return self._execute(client, transmission)

    def _execute(
        self, client: Client, transmission: Transmission, allowed: tuple[type[Command], ...] | None = None
    ) -> list[Outgoing]:
        try:
            command = decode_command(transmission.body, client.version, keyed_new=client.keyed_new)
        except CommandDecodeError as failure:
            return [error(client, transmission, failure.code)]
        code = refusal(command, transmission)
        if code is not None:
            return [error(client, transmission, code)]
        if allowed is not None and not isinstance(command, allowed):
            return [error(client, transmission, _PROHIBITED)]
        # If the store is full, commands that need room get QUOTA, because all clients then try again later. After STORE
        # or INTERNAL, reference clients would give up the message.
        if not self._store.has_room and isinstance(command, _NEED_ROOM):
            return [error(client, transmission, ErrorCode.QUOTA)]
        return self._handlers[type(command)](client, transmission, command)

    def disconnect(self, client: Client) -> None:
        """Removes the subscriptions of a connection that has ended."""
        self.subscriptions.drop(client)
        self._notifications.disconnect(client)
        client.getting.clear()

    def resume(self, client: Client) -> list[Outgoing]:
        """Pushes messages that were held back because too many pushes to this connection were unsent. Call this method
        when the connection has fewer unsent pushes again."""
        waiting = tuple(islice(client.deferred, max(0, MAX_UNSENT_PUSHES - client.unsent)))
        pushes: list[Outgoing] = []
        for entity_id in waiting:
            del client.deferred[entity_id]
            queue = self._store.by_recipient(entity_id)
            pushes += self._notifications.resume(entity_id) if queue is None else self.push(queue)
        return pushes

    @property
    def notifications_due(self) -> bool:
        """Whether `notify` has something to push."""
        return self._notifications.due

    def notify(self) -> list[Outgoing]:
        """Pushes the collected notifications. Call this soon after the first notification was collected."""
        return self._notifications.deliver()

    # --- authorisation -----------------------------------------------------------------------------------------

    def _recipient(
        self, handler: Callable[[Client, Transmission, _C, Queue], list[Outgoing]]
    ) -> Callable[[Client, Transmission, Command], list[Outgoing]]:
        """Wraps a handler, so that it runs only if one of the queue's recipient keys authorised the command."""

        def run(client: Client, t: Transmission, command: Command) -> list[Outgoing]:
            queue = self._store.by_recipient(t.entity_id)
            allowed = authorised(client, t, () if queue is None else queue.recipient_keys)
            if queue is None or not allowed:
                return [error(client, t, ErrorCode.AUTH)]
            return handler(client, t, command, queue)  # type: ignore[arg-type]  # right for each type in `_handlers`

        return run

    # --- commands ----------------------------------------------------------------------------------------------

    def _new(self, client: Client, t: Transmission, command: commands.New) -> list[Outgoing]:
        # NEW is authorised with the key inside it: the client must prove that it has the private key (smp-wire 7.2).
        # This proof is checked before the password.
        if not authorised(client, t, (command.rcv_auth_key,)):
            return [error(client, t, ErrorCode.AUTH)]
        if not self._new_queues:
            return [error(client, t, ErrorCode.AUTH)]
        # A wrong password gets AUTH too, so that clients do not learn that the relay has a password.
        if self._password is not None and not hmac.compare_digest(self._password, command.basic_auth or b""):
            return [error(client, t, ErrorCode.AUTH)]
        request = command.queue
        data = None if request is None else request.link
        # Refuse any other sender id: it may be one that another client is about to ask for (smp-wire 5.1, trap 22).
        if data is not None and data.sender_id != derived_sender_id(t.corr_id):
            return [error(client, t, _PROHIBITED)]
        # The client chose the sender id, and perhaps the link id, so the relay cannot replace an id that is taken. So a
        # repeated NEW with link data is refused too (smp-wire 7.2).
        if data is not None and self._is_taken(data):
            return [error(client, t, ErrorCode.AUTH)]
        server_key = X25519PrivateKey.generate(self._entropy)
        try:
            dh_secret = server_key.exchange(command.rcv_dh_key)
            ntf = command.ntf
            notifier, ntf_key = (None, None) if ntf is None else self._notifications.create(ntf.auth_key, ntf.dh_key)
        except CryptoError:
            return [error(client, t, ErrorCode.CRYPTO)]
        link = None
        if data is not None:
            link_id = self._unused(self._store.by_link) if data.link_id is None else data.link_id
            link = Link(link_id, data.fixed, data.user)
        queue = self._store.create(
            NewQueue(
                self._unused(self._store.by_recipient),
                self._unused(self._store.by_sender) if data is None else data.sender_id,
                (command.rcv_auth_key,),
                dh_secret,
                command.sender_key,
                None if request is None else request.mode,
                link,
                notifier,
            )
        )
        if command.subscribe:
            self.subscriptions.subscribe(queue.rcv_id, client)
        _log.debug("queue created")
        ids = commands.Ids(
            queue.rcv_id,
            queue.snd_id,
            server_key.public(),
            queue_mode=queue.mode,
            link_id=queue.link_id,
            ntf=None if notifier is None or ntf_key is None else commands.NtfIds(notifier.notifier_id, ntf_key),
        )
        return [Outgoing(client, t.corr_id, b"", ids)]

    def _is_taken(self, data: commands.LinkData) -> bool:
        """Whether a queue already has the sender id or link id in ``data``. This happens when a client repeats NEW,
        or when two clients choose the same link id."""
        if self._store.by_sender(data.sender_id) is not None:
            return True
        return data.link_id is not None and self._store.by_link(data.link_id) is not None

    def _unused(self, lookup: Callable[[bytes], Queue | None]) -> bytes:
        while True:
            candidate = self._entropy.random(_ID_BYTES)
            if lookup(candidate) is None:
                return candidate

    def _sub(self, client: Client, t: Transmission, command: commands.Sub, queue: Queue) -> list[Outgoing]:
        if queue.rcv_id in client.getting:
            return [error(client, t, _PROHIBITED)]
        # SUB gets its own answer before any MSG, although the reference's documents say that MSG answers SUB (smp-wire
        # 7.3, trap 24). A repeated SUB delivers the unacknowledged message again.
        out = [answer(client, t, commands.Sok())]
        # Subscribe, and send END to the previous subscriber, at once. The reference subscribes after its answer, so it
        # might not push a message sent in between (smp-wire 7.3), and sends END up to 15 s later (trap 29).
        previous = self.subscriptions.subscribe(queue.rcv_id, client)
        if previous is not None:
            out.append(Outgoing(previous, b"", queue.rcv_id, commands.End()))
        return [*out, *self.push(queue)]

    def _key(self, client: Client, t: Transmission, command: commands.Key, queue: Queue) -> list[Outgoing]:
        return [self._secure(client, t, queue, command.sender_key)]

    def _rkey(self, client: Client, t: Transmission, command: commands.RKey, queue: Queue) -> list[Outgoing]:
        if queue.mode is not QueueMode.CONTACT:
            return [error(client, t, ErrorCode.AUTH)]
        if len(command.keys) > MAX_RECIPIENT_KEYS:
            return [error(client, t, _PROHIBITED)]
        self._store.set_recipient_keys(queue, command.keys)
        return [answer(client, t, _OK)]

    def _skey(self, client: Client, t: Transmission, command: commands.SKey) -> list[Outgoing]:
        queue = self._store.by_sender(t.entity_id)
        # SKEY is signed with the key inside it (smp-wire 4.4, trap 26). We verify the signature even if the queue does
        # not exist, so that the time does not tell whether it exists (7.6).
        allowed = authorised(client, t, (command.sender_key,))
        if not allowed or queue is None or queue.mode is not QueueMode.MESSAGING:
            return [error(client, t, ErrorCode.AUTH)]
        return [self._secure(client, t, queue, command.sender_key)]

    def _lkey(self, client: Client, t: Transmission, command: commands.LKey) -> list[Outgoing]:
        queue = self._store.by_link(t.entity_id)
        allowed = authorised(client, t, (command.sender_key,))
        if not allowed or queue is None or queue.mode is not QueueMode.MESSAGING:
            return [error(client, t, ErrorCode.AUTH)]
        return [self._secure(client, t, queue, command.sender_key, self._link(queue))]

    def _secure(
        self, client: Client, t: Transmission, queue: Queue, key: AuthPublicKey, then: BrokerMessage = _OK
    ) -> Outgoing:
        # KEY, SKEY and LKEY store the sender's key if the queue has none, whatever the queue's mode (smp-wire 7.2, trap
        # 25). A command that repeats the stored key succeeds too, because the first answer may have been lost.
        if queue.sender_key is None:
            self._store.secure(queue, key)
        elif not hmac.compare_digest(queue.sender_key.der, key.der):
            return error(client, t, ErrorCode.AUTH)
        return answer(client, t, then)

    def _lget(self, client: Client, t: Transmission, command: Command) -> list[Outgoing]:
        queue = self._store.by_link(t.entity_id)
        if queue is None or not _is_open_to_all(queue):
            return [error(client, t, ErrorCode.AUTH)]
        return [answer(client, t, self._link(queue))]

    def _link(self, queue: Queue) -> commands.Lnk:
        link = self._store.link(queue)
        if link is None:
            raise RelayStoreError("The relay's database lost the link data of a queue.")
        return commands.Lnk(queue.snd_id, link.fixed, link.user)

    def _lset(self, client: Client, t: Transmission, command: commands.LSet, queue: Queue) -> list[Outgoing]:
        new = Link(command.link_id, command.fixed, command.user)
        known = self._store.link(queue)
        if known is None:
            # A queue without a link may get one. The id and the fixed data of an existing link must stay the same: the
            # link's key is a hash of the fixed data (smp-wire 7.2).
            allowed = self._store.by_link(new.link_id) is None
        else:
            allowed = (known.link_id, known.fixed) == (new.link_id, new.fixed)
        if not allowed or (queue.sender_key is not None and queue.mode is not QueueMode.CONTACT):
            return [error(client, t, ErrorCode.AUTH)]
        self._store.set_link(queue, new)
        return [answer(client, t, _OK)]

    def _ldel(self, client: Client, t: Transmission, command: commands.LDel, queue: Queue) -> list[Outgoing]:
        self._store.delete_link(queue)
        return [answer(client, t, _OK)]

    def _send(self, client: Client, t: Transmission, command: commands.Send) -> list[Outgoing]:
        queue = self._store.by_sender(t.entity_id)
        key = None if queue is None else queue.sender_key
        if t.auth:
            # An authorised SEND to an unsecured queue is refused too: its sender believes that the queue is secured,
            # and must learn that it is not (smp-wire 7.2, agent-wire trap 15).
            allowed = authorised(client, t, () if key is None else (key,))
        else:
            allowed = key is None
        if queue is None or not allowed:
            return [error(client, t, ErrorCode.AUTH)]
        # A message's maximum length depends on the SMP version of the session, or of the forwarded transmission. The
        # length is checked before the queue's state (smp-wire 7.2, trap 33).
        if len(command.body) > max_body(client.version):
            return [error(client, t, ErrorCode.LARGE_MSG)]
        # A sender must not be able to tell a suspended queue from a missing one (smp-wire 7.2).
        if not queue.active:
            return [error(client, t, ErrorCode.AUTH)]
        if key is not None and queue.mode is not QueueMode.CONTACT:
            self._store.delete_link(queue)  # the sender no longer needs the link (smp-wire trap 47)
        if queue.full:
            return [error(client, t, ErrorCode.QUOTA)]
        # A full queue gets a quota marker instead of the message, so that the recipient learns that messages are
        # missing. After the marker, SEND is refused until the recipient has acknowledged the marker and all messages
        # before it (smp-wire 7.4).
        within = queue.size < self._quota
        message = StoredMessage(
            self._entropy.random(_ID_BYTES),
            int(self._clock()),
            command.notification and within,
            command.body if within else None,
        )
        self._store.append(queue, message)
        self._notifications.sent(queue, message)
        said: BrokerMessage = _OK if within else commands.Err(ErrorCode.QUOTA)
        return [answer(client, t, said), *self.push(queue, message)]

    def _get(self, client: Client, t: Transmission, command: commands.Get, queue: Queue) -> list[Outgoing]:
        # A connection uses either SUB or GET for a queue. Otherwise it would be unclear whether an ACK is for a
        # delivery by SUB or by GET (smp-wire 7.2).
        if queue.rcv_id in client.subscribed:
            return [error(client, t, _PROHIBITED)]
        message = self._store.head(queue)
        client.getting[queue.rcv_id] = None if message is None else message.msg_id
        return [answer(client, t, _delivery(queue, message))]

    def _ack(self, client: Client, t: Transmission, command: commands.Ack, queue: Queue) -> list[Outgoing]:
        held = client.subscribed if queue.rcv_id in client.subscribed else client.getting
        delivered = held.get(queue.rcv_id)
        # For a wrong message id, the reference answers NO_MSG, although its documents say PROHIBITED (smp-wire trap
        # 27). A client that received a message twice may acknowledge it twice, so NO_MSG can be harmless.
        if delivered is None or command.msg_id not in (b"", delivered):
            return [error(client, t, ErrorCode.NO_MSG)]
        held[queue.rcv_id] = None
        if command.msg_id:  # an empty id removes nothing, as in the reference (smp-wire trap 38)
            self._store.delete_head(queue, delivered)
        message = None
        if held is client.subscribed:
            message = self._store.head(queue)
            held[queue.rcv_id] = None if message is None else message.msg_id
        return [answer(client, t, _delivery(queue, message))]

    def _off(self, client: Client, t: Transmission, command: commands.Off, queue: Queue) -> list[Outgoing]:
        # No command undoes OFF. After OFF, SEND is refused, but messages in the queue can still be received (smp-wire
        # 7.2).
        self._store.suspend(queue)
        return [answer(client, t, _OK)]

    def _del(self, client: Client, t: Transmission, command: commands.Del, queue: Queue) -> list[Outgoing]:
        # End the notifier's subscription before the queue is deleted, because the queue contains the notifier's id.
        notifier_ended = self._notifications.end(client, queue)
        self._store.delete(queue)
        client.getting.pop(queue.rcv_id, None)
        out = [answer(client, t, _OK), *notifier_ended]
        subscriber = self.subscriptions.end(queue.rcv_id)
        if subscriber is not None and subscriber is not client:
            out.append(Outgoing(subscriber, b"", queue.rcv_id, commands.Deld()))
        _log.debug("queue deleted")
        return out

    def _que(self, client: Client, t: Transmission, command: commands.Que, queue: Queue) -> list[Outgoing]:
        return [answer(client, t, queue_information(client, queue, self._store.head(queue)))]

    def _ping(self, client: Client, t: Transmission, command: Command) -> list[Outgoing]:
        # The answer to PING is PONG, not OK, and has an empty entity id (smp-wire trap 23).
        return [Outgoing(client, t.corr_id, b"", commands.Pong())]

    def _rfwd(self, client: Client, t: Transmission, command: commands.RFwd) -> list[Outgoing]:
        try:
            request = open_request(client, t, command.body)
        except ForwardRefused as refused:
            return [error(client, t, refused.code)]
        inner = request.transmission
        if isinstance(inner, ErrorCode):
            said, pushes = Outgoing(request.client, b"", b"", commands.Err(inner)), []
        else:
            # Apps use private routing by default: if this relay refused RFWD, these apps could not reach it (smp-wire
            # 5.6, trap 41).
            said, *pushes = self._execute(request.client, inner, FORWARDABLE)
        try:
            response: BrokerMessage = request.answer(said.corr_id, said.entity_id, said.message)
        except ForwardRefused as refused:
            response = commands.Err(refused.code)
        return [answer(client, t, response), *pushes]

    def _proxied(self, client: Client, t: Transmission, command: commands.Prxy | commands.PFwd) -> list[Outgoing]:
        refused = self._forward(client, t, command)
        return [] if refused is None else [error(client, t, refused)]

    # --- delivery ----------------------------------------------------------------------------------------------

    def push(self, queue: Queue, newest: StoredMessage | None = None) -> Sequence[Outgoing]:
        """Pushes the oldest message to the subscriber, unless the subscriber still has a message to acknowledge.

        Args:
            newest: The message just stored. If it is alone in its queue, it is pushed without reading the store.
        """
        client = self.subscriptions.subscriber(queue.rcv_id)
        # A subscriber gets only one message at a time; the answers to ACK contain the next ones (smp-wire 7.3).
        if client is None or not queue.size or client.subscribed[queue.rcv_id] is not None:
            return ()
        if client.unsent >= MAX_UNSENT_PUSHES:
            client.deferred[queue.rcv_id] = None
            return ()
        # Most messages are pushed as soon as they are stored, so ``newest`` saves a query of the store.
        message = newest if newest is not None and queue.size == 1 else self._store.head(queue)
        if message is None:
            raise RelayStoreError("The relay's database lost a message of a queue.")
        client.subscribed[queue.rcv_id] = message.msg_id
        client.unsent += 1
        return (Outgoing(client, b"", queue.rcv_id, _delivery(queue, message), push=True),)


def _as(
    kind: type[_C], handler: Callable[[Client, Transmission, _C], list[Outgoing]]
) -> Callable[[Client, Transmission, Command], list[Outgoing]]:
    """Returns ``handler`` unchanged. To the type checker, the result is a handler of all commands."""
    return handler  # type: ignore[return-value]


def _is_open_to_all(queue: Queue) -> bool:
    """Whether anyone may read the link data, not only the sender who secures the queue."""
    return queue.mode is QueueMode.CONTACT or (queue.mode is None and queue.sender_key is None)


def _delivery(queue: Queue, message: StoredMessage | None) -> BrokerMessage:
    """MSG for the recipient, or OK if there is no message. The same message always gives the same bytes."""
    if message is None:
        return _OK
    content: RcvMessage | QuotaMarker
    if message.body is None:
        content = QuotaMarker(message.timestamp)
    else:
        content = RcvMessage(message.timestamp, message.notification, message.body)
    return commands.Msg(message.msg_id, seal_message(queue.dh_secret, message.msg_id, content))
