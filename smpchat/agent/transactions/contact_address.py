"""A contact address of our own, and the requests that come through it (agent-wire 5.5).

The address is a connection record in a state of its own, so that its queue is created, subscribed and deleted like any
other queue. The queue is never secured, and has no lasting secret: each request brings its own key. To accept a
request, we join the invitation that it contains. The links of the user's own groups are stored as contact addresses,
too; their client data show that they are links of groups.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.errors import (
    EnvelopeRefused,
    IncompatibleVersion,
    LinkDataError,
    LinkError,
    LinkJoinedError,
    MissingRecord,
    OwnLinkError,
)
from smpchat.agent.machines import handshake
from smpchat.agent.machines.handshake_events import GivenUp
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import addresses, clock, connections, consents, outgoing
from smpchat.agent.store.addresses import Address, ReceivedRequest
from smpchat.agent.store.connections import ReceiveQueue
from smpchat.agent.store.outgoing import Kind, Lane, Priority
from smpchat.agent.transactions import admitting, connection, strangers
from smpchat.agent.transactions.admitting import AT_ONCE, MAX_REQUESTS, PER_HOUR
from smpchat.agent.transactions.linking import Publication
from smpchat.agent.wire.envelope import AGENT_VERSIONS, InvitationEnvelope
from smpchat.agent.wire.link_data import (
    ContactLinkData,
    SealedLink,
    contact_keys,
    seal_link,
    seal_user_data,
    sender_id_for,
)
from smpchat.agent.wire.links import E2E_VERSIONS, ContactLink, InvitationLink, agree_versions, format_link, parse_link
from smpchat.agent.wire.queue import CLIENT_VERSIONS, QueueURI
from smpchat.agent.wire.short_links import ContactType, ShortContact, published
from smpchat.client.request import CORR_ID_SIZE, Request
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PublicKey
from smpchat.encoding.record import replace
from smpchat.protocol.address import FINGERPRINT_SIZE, SMPServer, SMPServerAddress
from smpchat.protocol.commands import Ids, LinkData, LSet, QueueRequest
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import SHORT_LINKS, SND_AUTH_KEY

TOO_MANY_REQUESTS = (
    f"{MAX_REQUESTS:,} requests are waiting for your answer. Until you accept or reject some, more are turned away,"
    " first those that use the same relay as most others. `smpchat requests --reject-all` rejects them all."
)
TAKING_TURNS = (
    f"More people are asking than smpchat accepts automatically: {PER_HOUR} an hour, and at most {AT_ONCE}"
    " whose relays were not reached yet. The others wait for their turn; `smpchat requests` lists them."
)
TOO_MANY_JOIN = (
    f"{MAX_REQUESTS:,} people are waiting to join with your group's link. Others are turned away until some"
    " of these have joined."
)
JOINING_IN_TURN = (
    f"More people use your group's link than smpchat lets in: {PER_HOUR} an hour, and at most {AT_ONCE} whose"
    " relays were not reached yet. The others wait for their turn."
)


# -- beginning and end ------------------------------------------------------------------------------------------------


def publish(
    tx: sqlite3.Connection,
    context: Context,
    user_data: bytes,
    relay: SMPServerAddress | None = None,
    *,
    auto_accept: bool,
    client_data: str | None = None,
) -> int:
    """Make an address: insert its record, and put NEW for its queue into the outbox. The links to the queue are made
    when the relay has made the queue.

    Args:
        user_data: The part of the short link's data that people see before they send a request.
        relay: The relay for the address's queue; None: the online process chooses one.
        auto_accept: Accept requests automatically.
        client_data: The data that marks the link of a group; None for the user's own address.
    """
    state, effects = handshake.publish()
    connection_id = connections.insert(
        tx,
        state=state,
        link=None,
        agent_version=AGENT_VERSIONS.maximum,
        client_version=CLIENT_VERSIONS.maximum,
        e2e_version=E2E_VERSIONS.maximum,
        x3dh_keys=None,
        reply_key=None,
        pq_support=False,
        now=context.now(),
    )
    root_key = Ed25519PrivateKey.generate(context.entropy)
    addresses.insert(tx, Address(connection_id, auto_accept, root_key, user_data, client_data=client_data))
    if relay is not None:
        connections.save_wanted_relay(tx, connection_id, relay)
    connection.perform(tx, context, connection_id, effects)
    return connection_id


def update(tx: sqlite3.Connection, context: Context, user_data: bytes) -> None:
    """Change the user data (see `publish`) in the short link of the user's contact address, if there is one."""
    update_at(tx, context, addresses.current(tx), user_data)


def update_at(tx: sqlite3.Connection, context: Context, address: Address | None, user_data: bytes) -> None:
    """Change the user data of one address: the user's contact address, or the link of a group."""
    if address is not None and address.user_data != user_data:
        addresses.save_user_data(tx, address.connection_id, user_data)
        if address.short_link is not None:
            _enqueue_update(tx, context.entropy, replace(address, user_data=user_data))


def delete(tx: sqlite3.Connection, context: Context, address: Address) -> None:
    """Delete the address and the requests that wait; contacts made through it stay."""
    addresses.delete_requests(tx, address.connection_id)
    connection.delete(tx, context, address.connection_id)


# -- the queue and its links ------------------------------------------------------------------------------------------


def prepare(
    tx: sqlite3.Connection,
    entropy: Entropy,
    connection_id: int,
    server: SMPServer,
    version: int,
    dh_key: X25519PublicKey,
) -> Publication | None:
    """What NEW must contain, besides keys, to make the queue of a contact address at this relay. ``version`` is the
    relay's SMP version. None if the connection is not a contact address, or if the address is being deleted."""
    address = addresses.load(tx, connection_id)
    if address is None or address.root_key is None:
        return None
    corr_id = entropy.random(CORR_ID_SIZE)
    sealed = None
    if version >= SHORT_LINKS:
        sealed = _seal(entropy, address, server, sender_id_for(corr_id), dh_key)
    link = LinkData(sender_id_for(corr_id), sealed.fixed, sealed.user, sealed.link_id) if sealed else None
    queue = QueueRequest(QueueMode.CONTACT, link) if version >= SND_AUTH_KEY else None
    return Publication(corr_id, queue, sealed, address.user_data)


def _seal(
    entropy: Entropy, address: Address, server: SMPServer, sender_id: bytes, dh_key: X25519PublicKey
) -> SealedLink | None:
    if address.root_key is None:
        return None
    try:
        link = _full_link(server, sender_id, dh_key, QueueMode.CONTACT, address.client_data)
        return seal_link(address.root_key, link, address.user_data, entropy)
    except LinkDataError:  # the relay has too many hosts: there is only a full link
        return None


def _full_link(
    server: SMPServer, sender_id: bytes, dh_key: X25519PublicKey, mode: QueueMode | None, client_data: str | None
) -> ContactLink:
    return ContactLink(AGENT_VERSIONS, (QueueURI(CLIENT_VERSIONS, server, sender_id, dh_key, mode),), client_data)


def queue_created(
    tx: sqlite3.Connection, context: Context, queue: ReceiveQueue, publication: Publication, ids: Ids
) -> None:
    """The relay answered NEW with IDS: store the links that the address has now."""
    address = addresses.load(tx, queue.connection_id)
    client_data = None if address is None else address.client_data
    full = _full_link(queue.server, queue.snd_id, queue.link_key.public(), queue.mode, client_data)
    connections.save_link(tx, queue.connection_id, format_link(full))
    if publication.sealed is None:
        return
    if (ids.snd_id, ids.link_id) != (sender_id_for(publication.corr_id), publication.sealed.link_id):
        return  # the relay's ids do not match the short link, so only the full link works
    kind = ContactType.CONTACT if client_data is None else ContactType.GROUP
    short = published(ShortContact(queue.server, publication.sealed.link_key, kind))
    addresses.save_short_link(tx, queue.connection_id, short, publication.sealed.fixed)
    address = addresses.load(tx, queue.connection_id)
    if address is not None and address.user_data != publication.user_data:  # changed while NEW was on its way
        _enqueue_update(tx, context.entropy, address)


def _enqueue_update(tx: sqlite3.Connection, entropy: Entropy, address: Address) -> None:
    if address.root_key is None:
        raise MissingRecord("The address is being deleted.")
    _, box_key = contact_keys(_link_key(address))
    body = seal_user_data(address.root_key, box_key, ContactLinkData(AGENT_VERSIONS, address.user_data), entropy)
    outgoing.enqueue(tx, address.connection_id, Lane.RECEIVE, Kind.UPDATE_ADDRESS, Priority.MESSAGE, body=body)


def updating(tx: sqlite3.Connection, queue: ReceiveQueue, user_data: bytes) -> Request:
    """The command that replaces the sealed user data of the short link. Raises `MissingRecord`."""
    address = addresses.load(tx, queue.connection_id)
    if address is None or address.fixed_data is None:
        raise MissingRecord("The address's link data is missing.")
    link_id, _ = contact_keys(_link_key(address))
    return Request(LSet(link_id, address.fixed_data, user_data), queue.rcv_id, queue.auth_key)


def _link_key(address: Address) -> bytes:
    link = parse_link(address.short_link or "")
    if not isinstance(link, ShortContact):
        raise MissingRecord("The address's short link is missing.")
    return link.link_key


# -- requests ---------------------------------------------------------------------------------------------------------


def request_received(
    tx: sqlite3.Connection, context: Context, connection_id: int, envelope: InvitationEnvelope, received_at: float
) -> None:
    """Keep a request, or accept it if the address accepts requests automatically.

    A request that arrives again replaces its earlier copy. If the earlier copy was already accepted, the new copy is
    ignored: it contains the same invitation.

    Raises:
        EnvelopeRefused: The message is not a request, or is a request that cannot be accepted.
    """
    address = addresses.load(tx, connection_id)
    if address is None:
        raise MissingRecord("The address is missing.")
    if not AGENT_VERSIONS.contains(envelope.agent_version):
        raise EnvelopeRefused(f"agent version {envelope.agent_version} is not supported")
    link = _invitation(envelope.link)
    request_id = context.application.request_id(envelope.conn_info)
    snd_id = link.queues[0].sender_id
    # A request with our own invitation would make us connect to ourselves.
    if connections.find_receive_queue_by_sender_id(tx, snd_id):
        raise EnvelopeRefused("the request offers a queue of ours")
    # A copy of an accepted request: a requester that did not get the relay's OK sends the same bytes again.
    if _is_joined(tx, link):
        return
    server = link.queues[0].server
    refused = strangers.reason_against_request(tx, server, connection_id)
    by_itself = address.auto_accept and refused is None
    same = addresses.same_requests(tx, connection_id, request_id, snd_id)
    request = ReceivedRequest(
        0,
        connection_id,
        request_id,
        snd_id,
        format_link(link),
        envelope.conn_info,
        received_at,
        relay=admitting.relay_text(server),
        in_turn=by_itself,
    )
    for earlier in same[1:]:
        addresses.delete_request(tx, earlier.id)
    if same:
        request = replace(request, id=same[0].id, shown=same[0].shown and same[0].info == request.info)
        addresses.replace_request(tx, request)
    else:
        full = addresses.count_requests(tx) + 1 >= MAX_REQUESTS
        if addresses.count_requests(tx) >= MAX_REQUESTS:
            addresses.count_turned_away(tx, connection_id, context.now())
        if not admitting.has_place(tx, request.relay):
            return
        request = replace(request, id=addresses.insert_request(tx, request))
        if full:
            sentence = TOO_MANY_JOIN if address.group else TOO_MANY_REQUESTS
            context.application.notice(tx, connection_id, sentence, NoticeKind.REQUESTS_FULL)
    if not by_itself:
        if address.group:  # the user is not asked about members
            addresses.delete_request(tx, request.id)
        elif not request.shown:
            context.application.request_received(tx, request)
    elif addresses.next_in_turn(tx) == request and _has_room(tx, context):
        _accept_by_itself(tx, context, request)
    else:
        sentence = JOINING_IN_TURN if address.group else TAKING_TURNS
        context.application.notice(tx, connection_id, sentence, NoticeKind.REQUESTS_WAIT)


def _has_room(tx: sqlite3.Connection, context: Context) -> bool:
    return admitting.next_acceptance(tx, context.now()) <= context.now()


def _accept_by_itself(tx: sqlite3.Connection, context: Context, request: ReceivedRequest) -> None:
    """Raises `EnvelopeRefused` for a request that cannot be accepted."""
    try:
        accepted = accept(tx, context, request)
    except (OwnLinkError, LinkJoinedError, IncompatibleVersion, LinkError) as error:
        raise EnvelopeRefused(str(error)) from error
    admitting.note_acceptance(tx, accepted, context.now())
    context.application.request_accepted(tx, context, accepted, request)


def next_turn(tx: sqlite3.Connection, now: float) -> float | None:
    """When the next of the requests that wait for their turn may be accepted, in POSIX seconds; None if none waits.
    Changes nothing."""
    return None if addresses.next_in_turn(tx) is None else admitting.next_acceptance(tx, now)


def accept_next(tx: sqlite3.Connection, context: Context) -> None:
    """Accept the next of the requests that wait for their turn, if the limits allow it.

    Raises:
        AgentError: The request cannot be accepted. Roll back the transaction, and delete the request with `drop_next`.
    """
    request = addresses.next_in_turn(tx)
    if request is None or not _has_room(tx, context):
        return
    _accept_by_itself(tx, context, request)
    if addresses.next_in_turn(tx) is None:
        for address in addresses.in_use(tx):
            kinds = (NoticeKind.REQUESTS_WAIT, NoticeKind.REQUESTS_FULL)
            context.application.mended(tx, address.connection_id, *kinds)


def next_look(tx: sqlite3.Connection, now: float) -> float | None:
    """When `accept_next` or `give_up_next` has something to do, whichever is earlier, in POSIX seconds; None if neither
    has. Changes nothing."""
    given_up, turn = admitting.next_given_up(tx), next_turn(tx, now)
    due = None if given_up is None else given_up[0]
    if due is not None and due <= now and clock.is_held(tx, now):
        due = now + clock.HOLD  # after a leap of the clock, a moment may look like a week
    return min((moment for moment in (due, turn) if moment is not None), default=None)


def give_up_next(tx: sqlite3.Connection, context: Context) -> bool:
    """Give up one automatically accepted contact whose relay was not reached in time. Returns False if there is no such
    contact."""
    found, now = admitting.next_given_up(tx), context.now()
    if found is None or found[0] > now or clock.is_held(tx, now):
        return False
    connection.apply(tx, context, found[1], GivenUp())
    return True


def drop_next(tx: sqlite3.Connection) -> None:
    """Delete the request that `accept_next` would accept, because it cannot be accepted."""
    request = addresses.next_in_turn(tx)
    if request is not None:
        addresses.delete_request(tx, request.id)


def _invitation(text: bytes) -> InvitationLink:
    try:
        link = parse_link(text.decode())
        if not isinstance(link, InvitationLink):
            raise EnvelopeRefused("the link in the request is not a one-time invitation")
        if len(link.queues[0].server.key_hash) != FINGERPRINT_SIZE:
            raise EnvelopeRefused("the relay in the request's invitation has no valid fingerprint")
        agree_versions(link)
    except (UnicodeDecodeError, LinkError, IncompatibleVersion) as error:
        raise EnvelopeRefused("the request's invitation cannot be used") from error
    return link


def _is_joined(tx: sqlite3.Connection, link: InvitationLink) -> bool:
    """Whether a request with this invitation was accepted: whether we have joined its link, or send to its queue. It is
    not enough to look for the queue, because the peer may have moved its queue since."""
    queue = link.queues[0]
    by_text = connections.find_by_link(tx, format_link(link))
    return by_text is not None or connections.find_send_queue(tx, queue.server, queue.sender_id) is not None


def reason_against(tx: sqlite3.Connection, request: ReceivedRequest) -> str | None:
    """Why a request cannot be accepted until the user agrees to the relay that it names; None if the user need not
    agree."""
    link = parse_link(request.link)
    assert isinstance(link, InvitationLink)
    return strangers.reason_against_request(tx, link.queues[0].server, request.connection_id)


def accept(tx: sqlite3.Connection, context: Context, request: ReceivedRequest, *, any_relay: bool = False) -> int:
    """Accept a request: join its invitation. The request then no longer waits.

    Args:
        any_relay: The user agrees to any relay that the new contact names, now or later.
    Raises:
        RelayNotPublic: The request names a relay that needs the user's agreement.
        AgentError: The request's invitation cannot be joined. Roll the transaction back.
    """
    link = parse_link(request.link)
    if not isinstance(link, InvitationLink):
        raise MissingRecord("The request's invitation is missing.")
    if not any_relay:
        strangers.check_request(tx, link.queues[0].server, request.connection_id)
    address = addresses.load(tx, request.connection_id)
    addresses.delete_request(tx, request.id)
    try:
        connection_id = connection.join(tx, context, link, requested=True, plain=address is not None and address.group)
        if any_relay:
            consents.add(tx, connection_id, None)
        return connection_id
    except CryptoError as error:
        raise LinkError("The keys in this request cannot be used.") from error


def reject(tx: sqlite3.Connection, request: ReceivedRequest) -> None:
    """Reject a request; the sender is not told."""
    addresses.delete_request(tx, request.id)


def reject_all(tx: sqlite3.Connection, address: Address) -> int:
    """Delete all waiting requests, and the note that others were turned away. Returns how many waited."""
    waiting = addresses.count_requests_to(tx, address.connection_id)
    addresses.delete_requests(tx, address.connection_id)
    addresses.forget_turned_away(tx, address.connection_id)
    return waiting
