"""The commands of clients and the messages of relays in SMP (smp-wire 5.1 and 5.2).

`smpchat.protocol.command_codec` encodes and decodes commands and messages. `smpchat.relay.authorisation` checks who may
use a command (smp-wire 4.4). `smpchat.relay.commands` executes commands.
"""

from __future__ import annotations

from smpchat.crypto.keys import AuthPublicKey, X25519PublicKey
from smpchat.encoding.record import Record, field
from smpchat.protocol.address import SMPServer
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange


class LinkData(Record):
    """The data of a short link, stored with a queue. ``fixed`` never changes; LSET can replace ``user``. The client
    chooses ``link_id`` only for contact queues."""

    sender_id: bytes
    fixed: bytes
    user: bytes
    link_id: bytes | None = None


class QueueRequest(Record):
    """The mode of a new queue, and the queue's link data."""

    mode: QueueMode
    link: LinkData | None = None


class NtfRequest(Record):
    """The fields of NEW for a queue's notifier: its two keys."""

    auth_key: AuthPublicKey
    dh_key: X25519PublicKey


class NtfIds(Record):
    """The fields of IDS for a queue's notifier: the notifier's id, and the relay's key for notifications."""

    notifier_id: bytes
    server_dh_key: X25519PublicKey


# -- commands ---------------------------------------------------------------------------------------------------------


class New(Record):
    """Create a queue. ``sender_key`` secures the queue at once; this field is an extension of ours, which client and
    relay negotiate in their hellos (`smpchat.protocol.session`)."""

    rcv_auth_key: AuthPublicKey
    rcv_dh_key: X25519PublicKey
    basic_auth: bytes | None = field(default=None, repr=False)
    subscribe: bool = True
    queue: QueueRequest | None = None
    ntf: NtfRequest | None = None
    sender_key: AuthPublicKey | None = None


class Sub(Record):
    """Subscribe to a queue."""


class Key(Record):
    """Secure a queue as its recipient."""

    sender_key: AuthPublicKey


class RKey(Record):
    """Replace the recipient keys of a contact queue."""

    keys: tuple[AuthPublicKey, ...]


class LSet(Record):
    """Set a queue's link data."""

    link_id: bytes
    fixed: bytes
    user: bytes


class LDel(Record):
    """Delete a queue's link data."""


class NKey(Record):
    """Give a queue a notifier."""

    auth_key: AuthPublicKey
    dh_key: X25519PublicKey


class NDel(Record):
    """Remove a queue's notifier."""


class Get(Record):
    """Get a queue's oldest message without subscribing to the queue."""


class Ack(Record):
    """Acknowledge a message; the relay deletes the message, and may answer with the next one."""

    msg_id: bytes


class Off(Record):
    """Suspend a queue, so that it refuses SEND."""


class Del(Record):
    """Delete a queue."""


class Que(Record):
    """Ask for a queue's information."""


class SKey(Record):
    """Secure a messaging queue as its sender."""

    sender_key: AuthPublicKey


class Send(Record):
    """Send a message. ``notification`` asks the relay to notify the queue's notifier, if there is one."""

    notification: bool
    body: bytes = field(repr=False)


class LKey(Record):
    """Secure a messaging queue, as the sender who opened its short link, and read the link data."""

    sender_key: AuthPublicKey


class LGet(Record):
    """Read the link data of a contact queue."""


class NSub(Record):
    """Subscribe to the notifications of a queue."""


class Subs(Record):
    """Subscribe a service to all its queues."""


class NSubs(Record):
    """Subscribe a service to all its notifiers."""


class Ping(Record):
    """Check that the relay still answers."""


class Prxy(Record):
    """Ask a proxy for a session with another relay."""

    server: SMPServer
    basic_auth: bytes | None = field(repr=False)


class PFwd(Record):
    """A client asks a proxy to forward an encrypted transmission to another relay."""

    version: int
    key: X25519PublicKey
    body: bytes = field(repr=False)


class RFwd(Record):
    """A proxy forwards a client's encrypted transmission to a relay."""

    body: bytes = field(repr=False)


Command = (
    New | Sub | Key | RKey | LSet | LDel | NKey | NDel | Get | Ack | Off | Del | Que | SKey | Send
    | LKey | LGet | NSub | Subs | NSubs | Ping | Prxy | PFwd | RFwd
)  # fmt: skip


# -- broker messages --------------------------------------------------------------------------------------------------


class Ids(Record):
    """A queue was created."""

    rcv_id: bytes
    snd_id: bytes
    server_dh_key: X25519PublicKey
    queue_mode: QueueMode | None = None
    link_id: bytes | None = None
    service_id: bytes | None = None
    ntf: NtfIds | None = None


class Lnk(Record):
    """A queue's link data."""

    sender_id: bytes
    fixed: bytes
    user: bytes


class Sok(Record):
    """The client is subscribed to the queue. Up to version 15, relays answer OK instead."""

    service_id: bytes | None = None


class Soks(Record):
    """The service is subscribed to ``count`` queues."""

    count: int


class Msg(Record):
    """A message, encrypted for the recipient."""

    msg_id: bytes
    body: bytes = field(repr=False)


class Nid(Record):
    """A notifier was created."""

    notifier_id: bytes
    server_dh_key: X25519PublicKey


class NMsg(Record):
    """A notification."""

    nonce: bytes
    meta: bytes = field(repr=False)


class PKey(Record):
    """A proxy has a session with another relay. The fields are those of that relay's hello."""

    session_id: bytes
    versions: VersionRange
    chain: tuple[bytes, ...]
    signed_key: bytes


class RRes(Record):
    """A relay sends a proxy the answer to a forwarded transmission."""

    body: bytes = field(repr=False)


class PRes(Record):
    """A proxy sends its client the answer to a forwarded transmission."""

    body: bytes = field(repr=False)


class End(Record):
    """Another connection subscribed to the queue."""


class Ends(Record):
    """Another connection subscribed to ``count`` queues of a service."""

    count: int


class Deld(Record):
    """The queue was deleted. Up to version 9, relays send END instead."""


class Ok(Record):
    """Done."""


class Pong(Record):
    """Answer to PING."""


class Info(Record):
    """Answer to QUE: the queue's information, as the JSON object of smp-wire 5.2."""

    json: bytes


class Err(Record):
    """The command failed."""

    error: ErrorCode


BrokerMessage = (
    Ids | Lnk | Sok | Soks | Msg | Nid | NMsg | PKey | RRes | PRes | End | Ends | Deld | Ok | Pong | Info | Err
)
