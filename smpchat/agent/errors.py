"""Errors of the agent layer; the tree is drawn in the package docstring."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from smpchat.protocol.version import VersionRange


class AgentError(Exception):
    """Root of the agent layer's errors.

    Attributes:
        hint: One sentence that tells the user what to do about the error.
    """

    hint = "Run the command again with -v to see details."


class NotNow(AgentError):
    """The state of the connection does not allow the operation now, but may allow it later. Nothing changed."""


class LinkError(AgentError):
    """Text that is not a connection link, or a link with a malformed part. Nothing was stored."""

    hint = "Copy the whole link again, or ask for a new one."

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class UnknownRelay(LinkError):
    """A short link does not contain its relay's fingerprint, and smpchat does not know the relay. Nothing was
    stored."""


class LinkDataError(AgentError):
    """The data that a relay keeps for a short link cannot be used, for example because it does not match the link, or
    is too long."""

    hint = "Ask the person who made the link for a new one, or for the full link."


class OwnLinkError(AgentError):
    """This profile made the link itself."""

    hint = "Send it to the other person. To try smpchat on your own, open the link with another profile: -p NAME."


class LinkJoinedError(AgentError):
    """This profile has joined the link already."""

    hint = "Write to that contact, or delete the contact and ask for a new link."


class IncompatibleVersion(AgentError):
    """We and the person who made the link have no version of a protocol layer in common. Nothing was stored."""

    def __init__(self, layer: str, theirs: VersionRange, ours: VersionRange) -> None:
        theirs_is_older = theirs.maximum < ours.minimum
        older = "your contact" if theirs_is_older else "you"
        super().__init__(
            f"This link needs {layer} version {theirs}, and this smpchat has {ours}: {older} must upgrade."
        )
        self.hint = (
            "Ask your contact to upgrade their app and make a new link."
            if theirs_is_older
            else "Upgrade smpchat, then open the link again."
        )


class MessageTooLarge(AgentError):
    """A message that does not fit into one envelope.

    Attributes:
        limit: The length of the longest body that fits, in bytes.
    """

    hint = "Send it in parts."

    def __init__(self, size: int, limit: int) -> None:
        self.limit = limit
        super().__init__(f"The message is {size:,} bytes long; at most {limit:,} fit.")


class TooManyWait(AgentError):
    """So many messages are waiting for one contact that no more are accepted. Nothing was stored."""

    hint = (
        "Wait until your contact comes online; waiting messages are then sent automatically. `smpchat status` shows"
        " how many are waiting."
    )

    def __init__(self) -> None:
        super().__init__("Too many messages are already waiting for this contact.")


class RelayNotPublic(AgentError):
    """The relay that a request names can only be reached from this computer or its network. The request is kept."""

    hint = "If you know who sent the request and want to connect anyway: `smpchat accept WHO --any-relay`."

    def __init__(self, reason: str) -> None:
        super().__init__(f"smpchat does not connect to the relay that this request names: {reason}.")


class FileGone(AgentError):
    """The encrypted copy of a file to be sent no longer exists. Nothing was stored."""

    hint = "Send the file again."

    def __init__(self) -> None:
        super().__init__("The encrypted copy of the file was removed before it could be sent.")


class NotRegular(AgentError):
    """The path to be sent is not a regular file, but for example a folder, a device or a pipe. Nothing was stored."""

    hint = "Give the path of a file. To send a folder, pack it into an archive first."

    def __init__(self) -> None:
        super().__init__("This is not a regular file.")


class TooManyFiles(AgentError):
    """So many files are being sent and received that no more are accepted. Nothing was stored."""

    hint = "Wait until some files are complete, or cancel one."

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit:,} files are already being sent or received, and that is the limit.")


class FileRefused(AgentError):
    """The description of a file cannot be used. Nothing was stored.

    The error message says why, and never quotes the description, because its sender wrote it.
    """

    hint = "Ask your contact to send the file again."


class RelaysNotApproved(AgentError):
    """A file is at relays that its sender chose and the user has not approved. Nothing was stored.

    Attributes:
        relays: The host names of the relays that the user has not approved.
    """

    hint = "If you accept this, receive the file with approve=True. Or use a SOCKS proxy, which hides your IP address."

    def __init__(self, relays: tuple[str, ...]) -> None:
        self.relays = relays
        super().__init__(
            f"Your contact put this file at {', '.join(relays)}. If you receive it, these relays see your IP address."
        )


class HeldBack(AgentError):
    """A peer has sent more than we accept at the moment. The peer's newest message was not stored, so it must stay at
    the relay."""


class UnexpectedEvent(AgentError):
    """A state machine has no transition for this event in this state. Nothing changed."""

    def __init__(self, state: object, event: object) -> None:
        super().__init__(f"{type(event).__name__} cannot happen in {type(state).__name__}.")


class Refusal(StrEnum):
    """Why our queue cannot be moved, or why a move cannot be cancelled."""

    NOT_CONNECTED = "not connected"
    TOO_OLD = "too old"
    """The peer's agent may be too old to know the messages of a move."""
    IN_USE = "in use"
    """The peer was told to use the new queue, and may already use it."""
    NONE = "none"
    """There is no move to cancel."""


class MoveRefused(AgentError):
    """A queue of ours cannot be moved now, or its move cannot be cancelled. Nothing changed."""

    def __init__(self, refusal: Refusal) -> None:
        sentence, self.hint = _REFUSALS[refusal]
        super().__init__(sentence)
        self.refusal = refusal


_REFUSALS = {
    Refusal.NOT_CONNECTED: ("Your contact is not connected yet.", "Wait until `smpchat status` shows connected."),
    Refusal.TOO_OLD: ("Your contact's app is too old to follow you to another relay.", "Ask your contact to upgrade."),
    Refusal.IN_USE: (
        "It is too late to cancel or change this move: your contact's app may already send to the new relay.",
        "The move ends with the next message from the new relay. `smpchat status` shows the move until then.",
    ),
    Refusal.NONE: ("No move to another relay is in progress for this contact.", "`smpchat rotate WHO` starts a move."),
}
"""The sentence and the hint for each refusal, without the contact's name. Callers that know the contact's name use the
sentences of `smpchat.chat.transactions.moves` instead."""


class EnvelopeRefused(AgentError):
    """A received message that is not allowed at this point, or cannot be decrypted. We acknowledge it, so that
    the relay deletes it, and do not store it.

    Attributes:
        notice: The sentence that tells the user about the message; None if the user is not told.
    """

    notice: str | None = None


class VersionRefused(EnvelopeRefused):
    """A message in a version of a protocol layer that this program does not support."""

    def __init__(self, layer: str, theirs: int, ours: VersionRange) -> None:
        older = "you" if theirs > ours.maximum else "they"
        super().__init__(f"{layer} version {theirs} is not supported")
        self.notice = (
            f"{{alias}}'s app answered with {layer} version {theirs}, and this smpchat supports {ours}: {older}"
            " must upgrade, then connect with a new link."
        )


class NumberRefused(EnvelopeRefused):
    """A message with an impossible number: no program counts that far."""

    def __init__(self, number: int) -> None:
        super().__init__(f"message number {number} is out of range")
        self.notice = (
            "A message from {alias} was refused because its number is impossibly high: the app of {alias} is"
            " faulty, or not a real app. The message is lost."
        )


class StoreError(AgentError):
    """The profile's database cannot be used."""

    hint = "Check that the disk has free space and that the folder belongs to you."


class StoreNotWritable(StoreError):
    """The profile's database can be read, but not written, at the moment. Nothing changed."""


class StoreTampered(StoreError):
    """The profile's database contains an SQL trigger, which could change or copy what is written to the database.
    Nothing was stored."""

    hint = "Someone else added it: use another profile, and tell your contacts over another channel."

    def __init__(self, path: Path, trigger: str) -> None:
        super().__init__(
            f"The profile's database {path} contains a trigger that smpchat did not make: {trigger[:60]!r}."
        )


class StoreReplaced(StoreError):
    """The profile was encrypted, decrypted or deleted while it was open here. Nothing was stored."""

    hint = "Run the command again."

    def __init__(self) -> None:
        super().__init__("The profile's database was replaced or deleted while this command ran.")


class StoreInUse(StoreError):
    """Another process has the profile's database open, so its passphrase cannot be changed."""

    hint = "Wait for the profile's other smpchat commands to end, then try again."

    def __init__(self) -> None:
        super().__init__("Another smpchat command is using the profile.")


class PassphraseRefused(StoreError):
    """The profile's database is encrypted, and this passphrase does not open it."""

    hint = "Try again. If you are sure that the passphrase is right, the file is damaged: restore it from a backup."

    def __init__(self) -> None:
        super().__init__("This passphrase does not open the profile.")


class MissingRecord(AgentError):
    """The record of a connection or file is missing, or lacks something that it must have at this point. Other
    connections and files are not affected."""

    hint = "If this concerns a contact, delete the contact and connect with a new link. Others are not affected."
