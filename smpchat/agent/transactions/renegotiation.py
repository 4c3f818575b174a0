"""Re-synchronising the ratchets of a connection: what `smpchat.agent.machines.resync` decides, done in the store.

Everything is one transaction with what caused it: state, keys, new ratchet, skipped keys, what goes into the outbox.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.errors import AgentError, EnvelopeRefused, UnexpectedEvent
from smpchat.agent.machines import delivery, resync, resync_states
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.machines.resync import Notice
from smpchat.agent.store import connections, erasure, outgoing, ratchets, resyncs
from smpchat.agent.store.connections import Connection
from smpchat.agent.store.resyncs import OwnKeys
from smpchat.agent.transactions import sending
from smpchat.agent.wire.envelope import RatchetKeyEnvelope, RatchetReady, sizes
from smpchat.agent.wire.links import E2E_VERSIONS
from smpchat.crypto.agreement import E2EParams, X3DHKeys, agree_initiator, agree_joiner
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.kem import KEMAccepted
from smpchat.crypto.keys import X448PrivateKey, X448PublicKey
from smpchat.crypto.ratchet import KEMState, Ratchet, RatchetBodyError, RatchetDuplicate, RatchetEarlier, RatchetError

log = logging.getLogger("smpchat.agent")

NOTICES = {
    Notice.ALLOWED: (
        NoticeKind.UNREADABLE,
        "A message from {alias} could not be decrypted and is lost. If it happens again, renew the encryption:"
        " `smpchat resync {who}`.",
    ),
    Notice.REQUIRED: (
        NoticeKind.OUT_OF_STEP,
        "Messages from {alias} can no longer be decrypted: one of you may have restored an old copy of the data. What"
        " you write waits until you renew the encryption: `smpchat resync {who}`.",
    ),
    Notice.NEW_CODE: (
        NoticeKind.CODE_CHANGED,
        "The encryption with {alias} was renewed, so the security code has changed. Compare it, over a call or face to"
        " face: `smpchat verify {who}`.",
    ),
}
"""What people read; the security code's change stands until they have compared it."""


def request(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """The user asks for it. Raises `AgentError` if the connection is not made or the peer was asked already."""
    connection = connections.load(tx, connection_id)
    if not _is_made(connection):
        raise AgentError(
            "Only the encryption of a finished connection can be re-synchronised. Wait until `smpchat status` says"
            " connected."
        )
    keys = _fresh_keys(tx, context, connection, E2E_VERSIONS.maximum)
    try:
        _step(tx, context, connection, resync.Requested(_hash(keys)), keys, E2E_VERSIONS.maximum)
    except UnexpectedEvent:
        raise AgentError(
            "Your contact was asked already and has not answered yet. Their app does so by itself once they are online."
        ) from None


def keys_received(
    tx: sqlite3.Connection, context: Context, connection: Connection, envelope: RatchetKeyEnvelope
) -> None:
    """The peer's R envelope. Raises `EnvelopeRefused` for keys that cannot be used."""
    params = envelope.e2e_params
    if not _is_made(connection):
        raise EnvelopeRefused("new ratchet keys came before the connection was made")
    if not E2E_VERSIONS.contains(params.version):
        raise EnvelopeRefused(f"end-to-end encryption version {params.version} is not supported")
    if isinstance(params.kem, KEMAccepted):
        raise EnvelopeRefused("new ratchet keys answer a KEM key, but can only propose one")
    theirs = keys_hash(params.key1, params.key2)
    if resyncs.seen(tx, connection.id, theirs):
        return
    # the R took an id at its sender; counted here, the message after it shows no gap
    connections.save_received(tx, connection.id, delivery.renegotiated(connection.received))
    # At the version that the peer sent, which is 3 even where the connection had 2 (agent-wire 5.8, trap 33).
    keys = resyncs.own_keys(tx, connection.id) or _fresh_keys(tx, context, connection, params.version)
    try:
        _step(tx, context, connection, resync.KeysReceived(theirs, _hash(keys)), keys, params.version, params)
    except UnexpectedEvent as error:
        raise EnvelopeRefused("the new ratchet keys are our own") from error
    # So that a relay that brings an old R again does not start the ratchet anew (agent-wire 5.8).
    resyncs.mark_seen(tx, connection.id, theirs)


def message_failed(tx: sqlite3.Connection, context: Context, connection: Connection, error: RatchetError) -> None:
    """The ratchet could not open a message, which is no copy of one that it has opened (agent-wire 4.7)."""
    log.warning("a message does not open: %s", error)
    # RatchetDuplicate: another message has spent its key. The peer's data was used twice, from an old copy or on two
    # machines, and one of the two texts is lost; the reference drops it without a word.
    required = not isinstance(error, RatchetBodyError | RatchetEarlier | RatchetDuplicate)
    _step(tx, context, connection, resync.MessageFailed(required))


def message_opened(tx: sqlite3.Connection, context: Context, connection: Connection) -> None:
    """The ratchet opened a message."""
    _step(tx, context, connection, resync.MessageOpened())


def ready_received(tx: sqlite3.Connection, context: Context, connection: Connection, *, receiving_only: bool) -> None:
    """EREADY came; ``receiving_only``: on a ratchet that had no sending chain before."""
    _step(tx, context, connection, resync.ReadyReceived(receiving_only))


def keys_hash(key1: X448PublicKey, key2: X448PublicKey) -> bytes:
    """What names a pair of keys, and orders two of them."""
    # Of the raw keys, as in the associated data, and not of their DER (agent-wire 5.8, trap 5).
    return hashlib.sha256(key1.raw + key2.raw).digest()


def _hash(keys: OwnKeys) -> bytes:
    return keys_hash(keys.x3dh.key1.public(), keys.x3dh.key2.public())


def _is_made(connection: Connection) -> bool:
    return isinstance(connection.state, states.Connected | states.AwaitingReady)


def _fresh_keys(tx: sqlite3.Connection, context: Context, connection: Connection, e2e_version: int) -> OwnKeys:
    wants_pq = context.wants_pq(connection.agent_version, e2e_version)
    kem = KEMState.propose(context.kem_in(tx)) if wants_pq else None
    return OwnKeys(X3DHKeys.generate(context.entropy), kem)


def _step(
    tx: sqlite3.Connection,
    context: Context,
    connection: Connection,
    event: resync.Event,
    keys: OwnKeys | None = None,
    e2e_version: int = 0,
    theirs: E2EParams | None = None,
) -> None:
    before = resyncs.load(tx, connection.id)
    after, effects = resync.step(before, event)
    if after != before:
        resyncs.save(tx, connection.id, after, keys)
        if isinstance(after, resync_states.InSync | resync_states.Agreed):
            context.application.mended(tx, connection.id, NoticeKind.OUT_OF_STEP, NoticeKind.UNREADABLE)
    for effect in effects:
        match effect:
            case resync.SendKeys() if keys is not None:
                params = keys.x3dh.params(e2e_version, keys.kem.params if keys.kem else None)
                sending.send_ratchet_keys(tx, context, connection.id, params)
            case resync.StartReceiving() | resync.StartSending() if keys is not None and theirs is not None:
                _start_ratchet(tx, context, connection, keys, theirs, sends=isinstance(effect, resync.StartSending))
            case resync.SendReady():
                ready = RatchetReady(connection.received.last_id)
                sending.send(tx, context, connection.id, ready, notify=True)
            case resync.Release():
                sending.release(tx, context, connection.id)
            case resync.Tell(notice):
                kind, sentence = NOTICES[notice]
                context.application.notice(tx, connection.id, sentence, kind)


def _start_ratchet(
    tx: sqlite3.Connection,
    context: Context,
    connection: Connection,
    keys: OwnKeys,
    theirs: E2EParams,
    *,
    sends: bool,
) -> None:
    version = theirs.version
    pq = connection.pq_support or (
        theirs.kem is not None
        and context.wants_pq(connection.agent_version, version)
        and outgoing.longest_waiting(tx, connection.id) <= sizes(True).user_message
    )
    enabled = pq and context.wants_pq(connection.agent_version, version)
    kem = keys.kem if enabled else None
    try:
        if sends:
            secret = agree_joiner(keys.x3dh, theirs.key1, theirs.key2)
            first_key = X448PrivateKey.generate(context.entropy)
            ratchet = Ratchet.joiner(secret, theirs.key2, first_key, version, kem_enabled=pq, kem=kem)
        else:
            secret = agree_initiator(keys.x3dh, theirs.key1, theirs.key2)
            ratchet = Ratchet.initiator(secret, keys.x3dh.key2, version, kem_enabled=pq, kem=kem)
    except CryptoError as error:
        raise EnvelopeRefused(f"the new ratchet keys cannot be used: {error}") from error
    ratchets.replace(tx, connection.id, ratchet if enabled else ratchet.with_kem(False))
    erasure.empty_log(tx)  # of the old ratchet, and of our keys for the new one
    connections.save_pq_support(tx, connection.id, pq)
    connections.save_versions(tx, connection.id, connection.agent_version, version)
