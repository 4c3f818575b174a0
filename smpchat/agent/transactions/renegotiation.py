"""Re-synchronises a connection's ratchet: `smpchat.agent.machines.resync` decides what to do, and this module does it.

Each step of this re-synchronisation stores all its changes (state, keys, new ratchet, skipped keys, entries for the
outbox) in one transaction, which also processes the message or the user's command that caused the step.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import time

from smpchat.agent.context import Context
from smpchat.agent.errors import AgentError, EnvelopeRefused, NotNow, UnexpectedEvent
from smpchat.agent.machines import delivery, resync, resync_states
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.machines.resync import Notice
from smpchat.agent.store import connections, erasure, outgoing, ratchets, resyncs
from smpchat.agent.store.connections import Connection
from smpchat.agent.store.resyncs import OwnKeys
from smpchat.agent.transactions import sending
from smpchat.agent.wire.envelope import USER_MESSAGE, RatchetKeyEnvelope, RatchetReady, sizes
from smpchat.agent.wire.links import E2E_VERSIONS
from smpchat.crypto.agreement import E2E_VERSION_KEM, E2EParams, X3DHKeys, agree_initiator, agree_joiner
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.kem import KEMAccepted
from smpchat.crypto.keys import X448PrivateKey, X448PublicKey
from smpchat.crypto.ratchet import (
    KEMState,
    Ratchet,
    RatchetBodyError,
    RatchetDuplicate,
    RatchetEarlier,
    RatchetError,
    RatchetFinished,
)

log = logging.getLogger("smpchat.agent")

NOTICES = {
    Notice.LOST: (NoticeKind.MESSAGE_LOST, "A message from {alias}, sent {sent}, could not be decrypted and is lost."),
    Notice.ALLOWED: (
        NoticeKind.UNREADABLE,
        "A message from {alias}, sent {sent}, could not be decrypted and is lost. If it happens again, renew the"
        " encryption: `smpchat resync {who}`.",
    ),
    Notice.REQUIRED: (
        NoticeKind.OUT_OF_STEP,
        (
            "Messages from {alias} can no longer be decrypted: one of you may have restored an old backup. The"
            " message sent {sent} is lost. Your own messages wait until you renew the encryption: `smpchat resync"
            " {who}`."
        ),
    ),
    Notice.ASKED: (
        NoticeKind.NEW_KEYS,
        (
            "New encryption keys came from {alias}, or from someone posing as {alias}. Your messages wait for your"
            " decision. Ask {alias}, over a call or face to face, whether they restored an old backup. If yes, accept"
            " the keys: `smpchat resync {who}`. If not, refuse them: `smpchat resync {who} --refuse`."
        ),
    ),
    Notice.STILL_WORKS: (
        NoticeKind.KEYS_DOUBTED,
        (
            "New encryption keys came from {alias}, or from someone posing as {alias}. {alias} still writes with the"
            " old keys, so your messages use the old keys too. Ask {alias}, over a call or face to face, whether they"
            " want new keys. If yes: `smpchat resync {who}`. If not: `smpchat resync {who} --refuse`."
        ),
    ),
    Notice.OVERRULED: (
        NoticeKind.KEYS_DOUBTED,
        (
            "New encryption keys came from {alias}, or from someone posing as {alias}. You chose to write with the"
            " old keys. If {alias} has lost those, {alias} cannot read your messages. Accept the new keys: `smpchat"
            " resync {who}`. Refuse them: `smpchat resync {who} --refuse`."
        ),
    ),
    Notice.NEW_CODE: (
        NoticeKind.CODE_CHANGED,
        (
            "The encryption with {alias} was renewed, so the security code has changed. Compare the new code, over a"
            " call or face to face: `smpchat verify {who}`."
        ),
    ),
}
"""The kind and the sentence of each notice. ``{sent}`` stands for the time at which a message was sent. The notice of a
changed security code stays until the user has compared the new code."""
EARLIER = (
    "A message from {alias}, sent {sent}, could not be decrypted: newer messages arrived first, or {alias} has restored"
    " an old backup. The message is lost, unless you already have it."
)
REPEATED = (
    "{number} from {alias} came again; the latest copy is dated {sent}. This changed nothing, and nothing is lost: the"
    " relay was restored from a backup, or repeats old messages on purpose."
)
NOT_POST_QUANTUM = (
    "Post-quantum encryption with {alias} is off: {alias}'s app has turned it off, or is too old for it. It comes"
    " back automatically once both apps support it."
)
TOO_MANY = "New encryption keys for {alias} came {number} times within a day. More are ignored until tomorrow."


def at(sentence: str, sent_at: int) -> str:
    """The sentence with its ``{sent}`` replaced by a time, such as ``2023-11-14 22:13 UTC``."""
    return sentence.replace("{sent}", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(sent_at)))


def request(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """The user asks the peer for new ratchet keys, or accepts new keys that the peer has sent.

    Raises:
        AgentError: The connection is not complete, the peer was already asked, or the peer's keys cannot be used.
    """
    connection = connections.load(tx, connection_id)
    if not _is_made(connection):
        raise NotNow(
            "This contact is not connected yet, so there are no keys to replace. Wait until `smpchat status`"
            " shows connected."
        )
    theirs, before = resyncs.asked(tx, connection_id), resyncs.load(tx, connection_id)
    # Use the end-to-end version that the peer's keys name. Apps send keys of version 3 even if the connection had
    # version 2 (agent-wire 5.8, trap 33).
    version = theirs.version if theirs is not None else E2E_VERSIONS.maximum
    keys = _fresh_keys(tx, context, connection, version)
    if isinstance(before, resync_states.Asked) and not before.proven:
        # The peer's R envelope used up a message id. Count this id now, so that the next message shows no gap. But if
        # newer messages may have come since (`proven`), the chain may already end with one of them. So the id is not
        # counted then, and `receiving` accepts a gap of one id.
        connections.save_received(tx, connection.id, delivery.renegotiated(connection.received))
        connection = connections.load(tx, connection_id)
    try:
        _step(tx, context, connection, resync.Requested(_hash(keys)), keys, version, theirs)
    except EnvelopeRefused:
        raise AgentError(
            "The new encryption keys cannot be used. Refuse them, and ask your contact to send new ones."
        ) from None
    except UnexpectedEvent:
        raise NotNow(
            "You have already asked your contact for new keys. Their app answers automatically when they come online."
        ) from None


def refuse(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """The user refuses the peer's new keys, or cancels our own request for new keys. Raises `AgentError` if there are
    neither new keys of the peer nor a request of ours."""
    connection = connections.load(tx, connection_id)
    try:
        _step(tx, context, connection, resync.Refused())
    except UnexpectedEvent:
        raise NotNow(
            "No new encryption keys are waiting for your answer. `smpchat status` shows what is waiting."
        ) from None


def overrule(tx: sqlite3.Connection, context: Context, connection_id: int) -> None:
    """The user chooses to go on writing with the ratchet in use, and decides about the peer's new keys later."""
    _step(tx, context, connections.load(tx, connection_id), resync.Overruled())


def keys_received(
    tx: sqlite3.Connection, context: Context, connection: Connection, envelope: RatchetKeyEnvelope, sent_at: int
) -> None:
    """Process the peer's R envelope (new ratchet keys). Raises `EnvelopeRefused` for keys that cannot be used."""
    params = envelope.e2e_params
    if not _is_made(connection):
        raise EnvelopeRefused("new ratchet keys came before the connection was made")
    if not E2E_VERSIONS.contains(params.version):
        raise EnvelopeRefused(f"end-to-end encryption version {params.version} is not supported")
    if isinstance(params.kem, KEMAccepted):
        raise EnvelopeRefused("new ratchet keys answer a KEM key, but can only propose one")
    theirs, now = keys_hash(params.key1, params.key2), context.now()
    if resyncs.seen(tx, connection.id, theirs):
        return
    keys = resyncs.own_keys(tx, connection.id)
    if keys is None:
        lately = resyncs.seen_lately(tx, connection.id, now)
        if lately >= resyncs.MAX_ASKED:
            log.warning("new ratchet keys are ignored: %d came within a day", lately)
            if lately == resyncs.MAX_ASKED:
                context.application.notice(tx, connection.id, TOO_MANY.replace("{number}", str(lately)))
                resyncs.mark_seen(tx, connection.id, theirs, now)
            return
    else:
        # the peer's R envelope used up a message id; count this id, so that the next message shows no gap
        connections.save_received(tx, connection.id, delivery.renegotiated(connection.received))
    try:
        _step(tx, context, connection, resync.KeysReceived(theirs, sent_at), keys, params.version, params)
    except UnexpectedEvent as error:
        raise EnvelopeRefused("the new ratchet keys are our own") from error
    # These keys are remembered, so that an old R envelope with the same keys, which a relay delivers again, does not
    # restart the ratchet (agent-wire 5.8).
    resyncs.mark_seen(tx, connection.id, theirs, now)


def message_failed(
    tx: sqlite3.Connection, context: Context, connection: Connection, error: RatchetError, sent_at: int, copy: bool
) -> None:
    """The ratchet could not open a message (agent-wire 4.7).

    Args:
        copy: Whether a message with the same hash was opened before.
    """
    log.warning("a message does not open: %s", error)
    if copy:
        number = ratchets.count_copy(tx, connection.id)
        if number == 10 ** (len(str(number)) - 1):  # the user is told of copy 1, 10, 100 and so on
            many = "An old message" if number == 1 else f"{number} old messages"
            said = at(REPEATED, sent_at).replace("{number}", many)
            context.application.notice(tx, connection.id, said, NoticeKind.REPEATED)
        return
    if isinstance(error, RatchetEarlier | RatchetFinished):
        # This message was sent before another one that the ratchet has decrypted. Later messages can still be
        # decrypted, so new keys would not help.
        context.application.notice(tx, connection.id, at(EARLIER, sent_at), NoticeKind.MESSAGES_LOST)
        return
    # RatchetDuplicate: another message has used the same key. The peer's app must be working from an old copy of its
    # data, or two computers use the same data. One of the two messages with this key is lost. The reference drops the
    # second one silently.
    required = not isinstance(error, RatchetBodyError | RatchetDuplicate)
    _step(tx, context, connection, resync.MessageFailed(required), sent_at=sent_at)


def message_opened(
    tx: sqlite3.Connection, context: Context, connection: Connection, sent_at: int, *, late: bool
) -> None:
    """The ratchet opened a message. ``late``: newer messages were opened first, and this one with the key that was kept
    for it."""
    _step(tx, context, connection, resync.MessageOpened(sent_at, late), sent_at=sent_at)


def kem_changed(tx: sqlite3.Connection, context: Context, connection_id: int, before: Ratchet, after: Ratchet) -> None:
    """A message was opened, or the ratchet was replaced: tell the user if post-quantum keys no longer protect the
    connection, and end this notice if they protect it again."""
    if after.kem_sending and after.kem_receiving:
        if not (before.kem_sending and before.kem_receiving):
            context.application.mended(tx, connection_id, NoticeKind.NOT_POST_QUANTUM)
        return
    # No notice during the first turns of a new ratchet: post-quantum keys are offered then, but not used yet, so their
    # protection cannot have ended.
    if (before.kem_sending or before.kem_receiving) and not (after.kem_sending or after.kem_receiving):
        context.application.notice(tx, connection_id, NOT_POST_QUANTUM, NoticeKind.NOT_POST_QUANTUM)


def ready_received(tx: sqlite3.Connection, context: Context, connection: Connection, *, receiving_only: bool) -> None:
    """EREADY came. ``receiving_only``: before EREADY was opened, we could only receive with this ratchet, not send."""
    _step(tx, context, connection, resync.ReadyReceived(receiving_only))


def keys_hash(key1: X448PublicKey, key2: X448PublicKey) -> bytes:
    """The hash that identifies a pair of keys. The side whose keys have the smaller hash receives first in the new
    ratchet."""
    # The hash is over the raw keys, as in the associated data, not over their DER (agent-wire 5.8, trap 5).
    return hashlib.sha256(key1.raw + key2.raw).digest()


def _hash(keys: OwnKeys) -> bytes:
    return keys_hash(keys.x3dh.key1.public(), keys.x3dh.key2.public())


def _is_made(connection: Connection) -> bool:
    return isinstance(connection.state, states.Connected | states.AwaitingReady)


def _fresh_keys(tx: sqlite3.Connection, context: Context, connection: Connection, e2e_version: int) -> OwnKeys:
    wants_pq = context.wants_pq_in(connection, e2e_version)
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
    *,
    sent_at: int = 0,
) -> None:
    before = resyncs.load(tx, connection.id)
    after, effects = resync.step(before, event)
    if after != before:
        resyncs.save(tx, connection.id, after, keys)
        _end_conditions(tx, context, connection.id, after)
    if isinstance(after, resync_states.Asked) and isinstance(event, resync.KeysReceived) and theirs is not None:
        resyncs.save_asked(tx, connection.id, theirs)
        outgoing.park(tx, connection.id, USER_MESSAGE)
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
                context.application.notice(tx, connection.id, at(sentence, sent_at), kind)


def _end_conditions(tx: sqlite3.Connection, context: Context, connection_id: int, after: resync_states.State) -> None:
    over: list[NoticeKind] = []
    if not isinstance(after, resync_states.Asked):
        over += [NoticeKind.NEW_KEYS, NoticeKind.KEYS_DOUBTED]
    elif after.proven:
        over.append(NoticeKind.NEW_KEYS)
    else:
        over.append(NoticeKind.KEYS_DOUBTED)
    under = after.under if isinstance(after, resync_states.Asked) else after
    if isinstance(under, resync_states.InSync | resync_states.Agreed):
        over += [NoticeKind.OUT_OF_STEP, NoticeKind.UNREADABLE]
    context.application.mended(tx, connection_id, *over)


def _start_ratchet(
    tx: sqlite3.Connection,
    context: Context,
    connection: Connection,
    keys: OwnKeys,
    theirs: E2EParams,
    *,
    sends: bool,
) -> None:
    version, before = theirs.version, ratchets.load(tx, connection.id)
    # What waits in the outbox is sealed with the old ratchet, and the peer could not open it with the new one.
    outgoing.take_back(tx, connection.id)
    pq = connection.pq_support or (
        theirs.kem is not None
        and context.wants_pq_in(connection, version)
        and outgoing.longest_waiting(tx, connection.id) <= sizes(True).user_message
    )
    # If the version of the peer's keys is too old for a KEM, no KEM is used yet: it is added at the ratchet's first
    # turn in a newer version.
    enabled = pq and context.wants_pq_in(connection, E2E_VERSIONS.maximum)
    kem = keys.kem if enabled and version >= E2E_VERSION_KEM else None
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
    erasure.empty_log(tx)  # else the old ratchet, and our keys for the new one, would stay in the write-ahead log
    connections.save_pq_support(tx, connection.id, pq)
    if kem is None or theirs.kem is None:  # else the first turns of the new ratchet bring post-quantum keys back
        kem_changed(tx, context, connection.id, before, ratchet)
