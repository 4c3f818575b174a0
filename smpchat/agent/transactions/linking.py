"""Makes links from an invitation's keys, and makes a joiner's ratchet and send queue from a link."""

from __future__ import annotations

import logging
import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.errors import IncompatibleVersion, LinkDataError, LinkError
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake_events import LinkRead, LinkUnusable, SendQueueRefused
from smpchat.agent.machines.handshake_states import Failure
from smpchat.agent.store import connections, links, moves, ratchets
from smpchat.agent.store.connections import Connection, ReceiveQueue
from smpchat.agent.transactions.sending import new_send_queue
from smpchat.agent.wire.envelope import AGENT_VERSIONS
from smpchat.agent.wire.link_data import OpenedLink, SealedLink, open_link, seal_link, sender_id_for
from smpchat.agent.wire.links import InvitationLink, agree_versions, format_link, parse_link
from smpchat.agent.wire.queue import CLIENT_VERSIONS, QueueURI
from smpchat.agent.wire.short_links import LINK_ID_SIZE, ShortInvitation, published
from smpchat.client.request import CORR_ID_SIZE
from smpchat.crypto.agreement import X3DHKeys, agree_joiner
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.kem import KEMParams, KEMProposed
from smpchat.crypto.keys import Ed25519PrivateKey, X448PrivateKey, X25519PublicKey
from smpchat.crypto.ratchet import KEMState, Ratchet
from smpchat.encoding.record import Record, field, replace
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import BrokerMessage, Ids, LinkData, Lnk, QueueRequest
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import SHORT_LINKS

log = logging.getLogger("smpchat.agent")

SEND_EARLY_SINCE = 7
"""Software reads messages that follow the confirmation only since this agent version."""
SND_SECURE_SINCE = 3
"""The first SMP client version in which we can tell the peer whether it may secure our queue (agent-wire 1.2)."""


# -- making -----------------------------------------------------------------------------------------------------------


def full_link(connection: Connection, queue: ReceiveQueue) -> str:
    """The full link to an invitation's queue."""
    return format_link(_request(connection, queue.server, queue.snd_id, queue.link_key.public(), queue.mode))


def _request(
    connection: Connection,
    server: SMPServer,
    sender_id: bytes,
    e2e_key: X25519PublicKey,
    mode: QueueMode | None,
    kem: KEMParams | None = None,
) -> InvitationLink:
    """The connection request that a link to this queue contains. ``kem`` is given only for the short link: the full
    link has no KEM key (agent-wire 2.9)."""
    # only a queue that its sender may secure has its mode in the link (q=m); an invitation never has q=c
    shown = mode if mode is QueueMode.MESSAGING else None
    uri = QueueURI(CLIENT_VERSIONS, server, sender_id, e2e_key, shown)
    return InvitationLink(
        agent_versions=AGENT_VERSIONS,
        queues=(uri,),
        e2e=connection.agreement_keys.params_range(kem=kem),
        reply_key=connection.reply_key.public() if connection.reply_key else None,
    )


class Publication(Record):
    """The data for one try of a NEW that makes a short link or an address.

    Attributes:
        corr_id: Correlation id of the NEW; if there is a short link, the queue's sender id is derived from it.
        queue: The queue's mode, and the link's data; None if the relay's SMP version has neither.
        sealed: The sealed data of the short link; None if there is none.
        user_data: The part of the link's data that may be changed later.
    """

    corr_id: bytes
    queue: QueueRequest | None
    sealed: SealedLink | None
    user_data: bytes = field(repr=False)


def prepare(
    tx: sqlite3.Connection,
    context: Context,
    connection: Connection,
    server: SMPServer,
    version: int,
    e2e_key: X25519PublicKey,
) -> Publication | None:
    """Prepare the NEW that makes an invitation's queue and its short link at this relay: everything that NEW contains
    but the queue's keys. Returns None if the invitation gets no short link. ``version`` is the relay's SMP version."""
    state = connection.state
    if not isinstance(state, states.Inviting) or not state.terms.sender_securable or version < SHORT_LINKS:
        return None
    if connection.plain:
        return None
    kem = links.kem(tx, connection.id) if context.has_kem else None
    proposed = KEMProposed(kem.public) if kem else None
    corr_id = context.entropy.random(CORR_ID_SIZE)
    sender_id, user_data = sender_id_for(corr_id), context.application.link_info(tx, connection.id)
    request = _request(connection, server, sender_id, e2e_key, QueueMode.MESSAGING, proposed)
    try:
        # The root key signs the link's data and is then forgotten, because an invitation's data never changes.
        sealed = seal_link(Ed25519PrivateKey.generate(context.entropy), request, user_data, context.entropy)
    except LinkDataError as error:  # many or long host names; the full link has room for them
        log.warning("no short link: %s", error)
        return None
    queue = QueueRequest(QueueMode.MESSAGING, LinkData(sender_id, sealed.fixed, sealed.user))
    return Publication(corr_id, queue, sealed, user_data)


def queue_created(tx: sqlite3.Connection, queue: ReceiveQueue, publication: Publication | None, ids: Ids) -> None:
    """IDS arrived. Save the short link, if the relay made one; otherwise forget the invitation's KEM key, which only a
    short link could have offered."""
    if publication is None or publication.sealed is None or not _leads_here(publication, ids):
        links.forget_kem(tx, queue.connection_id)
    elif ids.link_id is not None:
        text = published(ShortInvitation(queue.server, ids.link_id, publication.sealed.link_key))
        links.save_made(tx, queue.connection_id, text, ids.link_id)


def _leads_here(publication: Publication, ids: Ids) -> bool:
    # Check the ids that the relay gave (IDS), not those that we asked for: the short link's data names the sender id
    # that follows from the correlation id (smp-wire 5.1, trap 22). If the relay gave another sender id, the short link
    # would lead to nothing.
    known = ids.link_id is not None and len(ids.link_id) == LINK_ID_SIZE
    return known and ids.snd_id == sender_id_for(publication.corr_id) and ids.queue_mode is QueueMode.MESSAGING


# -- using ------------------------------------------------------------------------------------------------------------


def may_send_early(link: InvitationLink) -> bool:
    """Whether the initiator's software reads messages that follow the confirmation.

    Software with an SMP client version below `SND_SECURE_SINCE` cannot be told that it may secure the reply queue, so
    it waits for HELLO.
    """
    reads = link.agent_versions.maximum >= SEND_EARLY_SINCE
    return reads and link.queues[0].versions.maximum >= SND_SECURE_SINCE


def take_up(
    tx: sqlite3.Connection, context: Context, connection_id: int, link: InvitationLink, auth_key: Ed25519PrivateKey
) -> None:
    """The joiner's side of the key agreement: versions, ratchet and send queue are stored. If an error is raised, the
    connection does not change.

    Raises:
        IncompatibleVersion: In one of the protocol layers, we support no version that the link names.
        CryptoError: A key in the link is bad.
    """
    connection, entropy, queue = connections.load(tx, connection_id), context.entropy, link.queues[0]
    versions = agree_versions(link)
    # the KEM may be turned off here, but never on: with a KEM, waiting texts could be too long for one SEND
    pq = connection.pq_support and context.wants_pq_in(connection, versions.e2e, versions.agent)
    offered = link.e2e.kem if pq else None
    # A full link has no KEM key, even if the short one has (agent-wire 2.9, trap 24). So a link without a KEM key does
    # not mean that its maker wants no KEM, and we propose a KEM key of our own in the confirmation.
    kem = KEMState.accept(offered.key, context.kem_in(tx)) if isinstance(offered, KEMProposed) else None
    kem_secret = kem.answer.secret if kem and kem.answer else b""
    # Our X3DH keys are made and used here, and never stored. If they were stored, a thief who has recorded our messages
    # and steals the profile later could decrypt the confirmation, and the texts after it.
    keys = X3DHKeys.generate(entropy)
    secret = agree_joiner(keys, link.e2e.key1, link.e2e.key2, kem_secret)
    first_key = X448PrivateKey.generate(entropy)
    ratchet = Ratchet.joiner(secret, link.e2e.key2, first_key, versions.e2e, kem_enabled=pq, kem=kem)
    send_queue = new_send_queue(connection_id, entropy, queue.at(versions.client), auth_key)
    connections.save_agreed(tx, connection_id, versions.agent, versions.client, versions.e2e, pq_support=pq)
    connections.save_x3dh_public(tx, connection_id, keys.key1.public().raw + keys.key2.public().raw)
    ratchets.save(tx, connection_id, ratchet)
    connections.save_send_queue(tx, send_queue)


def read_link(
    tx: sqlite3.Connection, context: Context, connection_id: int, answer: BrokerMessage | None
) -> tuple[LinkRead | LinkUnusable, str | None]:
    """Use the relay's answer to LKEY: store what follows from the link, and give its user data to the application.

    Returns:
        The event that follows, and the full link; None instead of the link if the answer cannot be used.
    """
    stored = links.joined(tx, connection_id)
    try:
        if not isinstance(answer, Lnk):
            raise LinkDataError("The relay did not answer with the link's data.")
        opened = open_link(stored.link, answer)
        request = opened.request
        assert isinstance(request, InvitationLink)  # `open_link` checks that the data are of the link's kind
        _check_queue(tx, request)
        # Use the key that LKEY carried: the relay has secured the queue with it, and would answer AUTH to any other key
        # (agent-wire 2.8, trap 12).
        take_up(tx, context, connection_id, request, stored.auth_key)
    except LinkDataError as error:
        return LinkUnusable(Failure.LINK_DATA, str(error)), None
    except IncompatibleVersion as error:
        return LinkUnusable(Failure.LINK_VERSIONS, str(error)), None
    except CryptoError:
        return LinkUnusable(Failure.LINK_DATA, "The link contains a key that cannot be used."), None
    context.application.link_info_received(tx, connection_id, opened.user_data)
    event = LinkRead(reply_key=request.reply_key is not None, send_early=may_send_early(request))
    return event, _full_link(opened)


def _check_queue(tx: sqlite3.Connection, request: InvitationLink) -> None:
    """Raises `LinkDataError` if the link leads to a queue that another connection of ours already uses."""
    queue = request.queues[0]
    if moves.uses_id(tx, queue.server, queue.sender_id):
        raise LinkDataError("This is your own link.")
    used = connections.find_send_queue(tx, queue.server, queue.sender_id)
    # A connection that is still joining through the full form of this link can no longer succeed, because LKEY gave the
    # queue another key. The short link itself can still be used. A connection that is no longer joining has secured the
    # queue with its key, so an honest relay would have refused LKEY.
    if used is not None and not isinstance(connections.load(tx, used.connection_id).state, states.Joining):
        raise LinkDataError("The link leads to a contact that you already have.")


def link_refused(tx: sqlite3.Connection, connection_id: int) -> SendQueueRefused | LinkUnusable:
    """The event that follows if the relay answers LKEY with AUTH. Usually, somebody else has used the link. But the
    user may also have joined the same invitation before, through its full link: a full link does not show which short
    link belongs to it."""
    relay = links.joined(tx, connection_id).link.server.key_hash
    short = links.texts(tx)
    in_full = (c.link for c in connections.load_all(tx) if c.id not in short and _was_joined(c.state))
    # The relay refused to show what the short link leads to, so we can only compare the relays of the short and the
    # full link.
    if any(_is_at(relay, link) for link in in_full if link is not None):
        return LinkUnusable(Failure.LINK_USED_OR_JOINED)
    return SendQueueRefused()


def _was_joined(state: states.State) -> bool:
    over = isinstance(state, states.Failed | states.Deleted)
    asked = state.terms is not None and state.terms.requested
    return states.role(state) is states.Role.JOINER and not over and not asked


def _is_at(relay: bytes, text: str) -> bool:
    """Whether a full link leads to the relay with this fingerprint, and may have a short form."""
    try:
        link = parse_link(text)
    except LinkError:  # stored by an earlier version, which accepted more hosts and ports
        return False
    return isinstance(link, InvitationLink) and link.sender_securable and link.queues[0].server.key_hash == relay


def _full_link(opened: OpenedLink) -> str:
    """The full link that the maker gives to people who cannot use the short one; it has no KEM key."""
    request, made = opened.request, opened.fixed.request
    assert isinstance(request, InvitationLink) and isinstance(made, InvitationLink)
    return format_link(replace(made, e2e=replace(made.e2e, kem=None), reply_key=request.reply_key))
