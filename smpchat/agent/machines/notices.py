"""What a person is told about a connection, by kind; and which of it stays so until somebody or something mends it.

Sentences hold ``{alias}`` for the contact and ``{who}`` for what a person types to name it: only the layer above knows.
"""

from __future__ import annotations

from enum import StrEnum


class NoticeKind(StrEnum):
    """What happened to a connection."""

    INFORMATION = "information"
    OUT_OF_STEP = "out-of-step"
    """What the peer sends cannot be decrypted any more; only new keys help, and texts wait for them."""
    UNREADABLE = "unreadable"
    """A message could not be decrypted; the next one may open."""
    MESSAGE_LOST = "message-lost"
    """One more could not, where that was known."""
    CODE_CHANGED = "code-changed"
    """The security code is another one. Where the old one was compared, texts wait until the user has decided."""
    NEW_KEYS = "new-keys"
    """The peer sent keys for a new ratchet without being asked: the user decides, and texts wait for that."""
    KEYS_DOUBTED = "keys-doubted"
    """The same, but the ratchet in use has shown since that it works: texts go on."""
    NOT_POST_QUANTUM = "not-post-quantum"
    """Post-quantum keys protected the conversation, and do so no longer."""
    REPEATED = "repeated"
    """Messages that were opened long ago came again."""
    SECOND_PERSON = "second-person"
    """Somebody else used the link too."""
    MESSAGES_LOST = "messages-lost"
    """The chain of messages has a gap, or was tampered with."""
    QUEUE_LOST = "queue-lost"
    """The relay no longer has our queue: nothing can arrive."""
    PEER_QUEUE_GONE = "peer-queue-gone"
    """The relay no longer has the peer's queue: nothing can be sent."""
    NOT_OPENED = "not-opened"
    """A message waits at the relay for what this installation lacks."""
    NOT_PROCESSED = "not-processed"
    """A message waits at the relay because of a fault in this program."""
    TOO_MUCH = "too-much"
    """The peer has sent so many messages that the others are left at the relay for a while."""
    VERSIONS = "versions"
    """The peer's software speaks a version that ours does not."""
    MOVED = "moved"
    MOVE_FAILED = "move-failed"
    """The peer wants to receive elsewhere, which did not work so far."""
    RELAY_LEFT_OUT = "relay-left-out"
    """A new queue was made at another relay than at first tried."""
    REQUESTS_FULL = "requests-full"
    """So many contact requests wait that others are turned away."""
    REQUESTS_WAIT = "requests-wait"
    """More people ask than an address accepts by itself: they wait for their turn."""


CONDITIONS = frozenset(NoticeKind) - {
    NoticeKind.INFORMATION,
    NoticeKind.MESSAGE_LOST,
    NoticeKind.MOVED,
    NoticeKind.RELAY_LEFT_OUT,
}
"""Kinds that stand until they are mended: people find them wherever they look, not only when they happened."""
