"""Waiting for a file to be sent or received, while this process or another one is online."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from smpchat.agent.online.changes import Changes
from smpchat.chat import troubles
from smpchat.chat.errors import (
    DeliveryFailed,
    FileDamaged,
    FileNotSaved,
    FileStalled,
    FileUnavailable,
    InputError,
    NoFileOffered,
)
from smpchat.chat.online.patience import RELAY_TIMEOUT, Patience
from smpchat.chat.online.waiting import until
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.service.writing import WritingProfile
from smpchat.chat.store import records
from smpchat.chat.store.files import FileState, FileView
from smpchat.chat.store.records import Direction, Message
from smpchat.client.trouble import Trouble

AFTER_FAILURE = 8.0
"""If the user gave no time for a wait, and a relay has failed, the wait ends after this many seconds without progress.
If another relay has the file too, smpchat tries that relay before the wait ends."""
ARRIVES_WITHIN = 5.0
"""Seconds to wait for a message that may be at the relay already."""
_LOOK = 0.5
"""The progress of a file is read from the store at least once in this many seconds, even if no change is announced."""


async def until_offered(service: WritingProfile, who: str) -> int:
    """Waits a few seconds for a message with a file from a contact or group, because this message may be at the relay
    already. Returns the number of the message.

    Raises:
        NoFileOffered: No such message has arrived.
        RelayDown: The relay at which we receive messages from this contact or group cannot be used.
        InputError: There is no such contact.
    """

    def look() -> int | None:
        try:
            return service.offered_by(who)
        except NoFileOffered:
            return None

    connection_id = records.contact(service.database.connection, who).connection_id
    found = await until(service, look, Patience(ARRIVES_WITHIN), connection_id, receiving=True)
    return service.offered_by(who) if found is None else found


async def until_moved(
    service: StoredProfile, number: int, patience: float | None, look: Callable[[Message], object]
) -> Message:
    """Waits until a contact's file was received, or until our own file was uploaded and its description is queued for
    the contact. Returns the message with the file.

    Args:
        patience: How many seconds to wait at most; None: as long as the transfer makes progress.
        look: Called with the message whenever more of the file was transferred.
    Raises:
        FileUnavailable, FileDamaged, FileNotSaved, DeliveryFailed: The transfer has failed for good.
        FileStalled: The transfer stands still now; it continues automatically later.
    """
    loop = asyncio.get_running_loop()
    began = moved_at = loop.time()
    last: tuple[int, bool] | None = None
    with Changes(service.database) as changes:
        while True:
            message = service.message(number)
            if message is None or message.file is None:
                raise FileUnavailable("The message with the file was deleted.", "The file is gone too.")
            file, now = message.file, loop.time()
            if not file.is_moving:
                _check(message, file)
                return message
            if (file.bytes, file.checking) != last:
                last = (file.bytes, file.checking)
                moved_at = now
                look(message)
            if file.checking:  # during the check no bytes are transferred, and 1 GiB takes long on a slow disk
                moved_at = now
            if file.described:
                return message
            usual = AFTER_FAILURE if file.rests else RELAY_TIMEOUT
            if now - began >= patience if patience is not None else now - moved_at >= usual:
                raise _stalled(message, file)
            await changes.next(_LOOK)


def _check(message: Message, file: FileView) -> None:
    """Raises the matching error if a transfer has ended without success."""
    if file.state in (FileState.SENT, FileState.RECEIVED):
        return
    reason = file.reason or f"The file is {file.state}."
    hint = troubles.HINTS.get(Trouble(file.trouble)) if file.trouble else None
    if file.state is FileState.OFFERED:  # its relays must be approved, or too many files are being received
        raise InputError(reason, f"Ask for it again: `smpchat receive {message.id}`")
    if file.trouble == Trouble.DAMAGED:
        raise FileDamaged(reason, hint)
    if file.trouble in (Trouble.CANNOT_WRITE, Trouble.FILE_LOST):
        raise FileNotSaved(reason, hint)
    if message.direction is Direction.SENT:
        raise DeliveryFailed(reason, hint or "Send the file again.")
    raise FileUnavailable(reason, hint)


def _stalled(message: Message, file: FileView) -> FileStalled:
    if file.reason:
        kind = Trouble(file.trouble) if file.trouble else None
        hint = "" if kind is None else troubles.HINTS.get(kind, "")
        happened = f"{file.reason[:1].upper()}{file.reason[1:].rstrip('.')}."
        return FileStalled(happened, f"{hint} {FileStalled.hint}".strip(), kind)
    if file.awaited:
        return FileStalled(f"{message.contact} has not finished uploading the file yet.")
    return FileStalled("The file has not been transferred completely yet.")
