"""The kinds of notices about a connection, and which of them remain until someone or something fixes the cause.

In the sentence of a notice, ``{alias}`` stands for the contact's name, and ``{who}`` for the name in the form that a
person types in a command. The layer above the agent replaces these placeholders.
"""

from __future__ import annotations

from enum import StrEnum


class NoticeKind(StrEnum):
    """What a notice reports about a connection."""

    INFORMATION = "information"
    OUT_OF_STEP = "out-of-step"
    """Nothing from the peer can be decrypted any more. Only new keys help, and our texts wait for them."""
    UNREADABLE = "unreadable"
    """A message could not be decrypted, but the next one may be."""
    MESSAGE_LOST = "message-lost"
    """Another message could not be decrypted, after the user was told of the first one."""
    CODE_CHANGED = "code-changed"
    """The security code has changed. If the user had compared the old code, texts wait until the user has decided."""
    NEW_KEYS = "new-keys"
    """The peer sent keys for a new ratchet, and nobody had asked for them. Texts wait until the user has decided."""
    KEYS_DOUBTED = "keys-doubted"
    """The peer sent keys for a new ratchet, and nobody had asked for them. The user's messages are still encrypted with
    the old ratchet: either the peer has used it since it sent those keys, or the user chose to go on with it."""
    NOT_POST_QUANTUM = "not-post-quantum"
    """The conversation was protected by post-quantum keys, and is not any longer."""
    REPEATED = "repeated"
    """Messages that were opened long ago arrived again."""
    SECOND_PERSON = "second-person"
    """Another person used the link too."""
    MESSAGES_LOST = "messages-lost"
    """Messages were lost, changed on the way or out of order, as the hash chain shows; or one came too late to be
    decrypted."""
    QUEUE_LOST = "queue-lost"
    """The relay no longer has our queue, so nothing can arrive."""
    PEER_QUEUE_GONE = "peer-queue-gone"
    """The relay no longer has the peer's queue, so nothing can be sent."""
    NOT_OPENED = "not-opened"
    """A message that needs a KEM waits at the relay, because no KEM is installed here."""
    NOT_PROCESSED = "not-processed"
    """A message waits at the relay because of a bug in this program."""
    TOO_MUCH = "too-much"
    """The peer has sent so many messages that further ones stay at the relay for a while."""
    VERSIONS = "versions"
    """The peer's software uses a version that ours does not support."""
    MOVED = "moved"
    MOVE_FAILED = "move-failed"
    """The peer wants to receive at another relay, but this move has not worked so far."""
    RELAY_LEFT_OUT = "relay-left-out"
    """A new queue was made at another relay than the one tried first."""
    REQUESTS_FULL = "requests-full"
    """So many contact requests are waiting that new ones are turned away."""
    REQUESTS_WAIT = "requests-wait"
    """More people are asking than an address accepts automatically: the others wait for their turn."""


CONDITIONS = frozenset(NoticeKind) - {
    NoticeKind.INFORMATION,
    NoticeKind.MESSAGE_LOST,
    NoticeKind.MOVED,
    NoticeKind.RELAY_LEFT_OUT,
}
"""Kinds that report a lasting problem: people see the notice until the problem is fixed, not only when it occurs."""
