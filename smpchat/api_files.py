"""The part of `smpchat.Client` that sends and receives files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from smpchat.api_profile import ProfileCalls
from smpchat.api_texts import checks_texts
from smpchat.chat.online.embedded import EmbeddedRelay
from smpchat.chat.online.moving import until_moved
from smpchat.chat.online.patience import RELAY_TIMEOUT
from smpchat.chat.online.wait import Wait
from smpchat.chat.service.files import OutgoingFile
from smpchat.chat.store.records import Message

WaitFor = Wait | Literal["none", "sent", "delivered"]
Progress = Callable[[Message], object]
"""Called with the message while its file is transferred: ``message.file.bytes`` of ``message.file.size`` bytes are
done."""


def no_progress(_: object) -> None:
    """A `Progress` that does nothing."""


@checks_texts
class FileCalls(ProfileCalls):
    """What a program can do with files."""

    _relay: EmbeddedRelay

    async def send_file(
        self,
        alias: str,
        path: Path | str,
        text: str = "",
        *,
        wait: WaitFor = Wait.SENT,
        timeout: float | None = None,
        progress: Progress = no_progress,
        anyway: bool = False,
    ) -> Message:
        """Send a file with a text; the file counts as sent when the contact can fetch it.

        Args:
            timeout: Seconds for the upload; None: no limit, as long as the upload makes progress.
            progress: Called with the message each time that more of the file was uploaded.
        Raises:
            InputError: The file or the text cannot be sent. Nothing was stored.
            FileStalled: The upload has not finished; it continues while the profile is online.
            Any error that `Client.send` raises, for the same reasons as there.
        """
        seconds = 0.0 if Wait(wait) is Wait.NONE else timeout
        message = await self._upload(alias, path, text, seconds, progress, anyway=anyway)
        return await self._sent(message, Wait(wait), RELAY_TIMEOUT)

    async def _sent(self, message: Message, wait: Wait, seconds: float) -> Message:
        raise NotImplementedError

    async def _upload(
        self, alias: str, path: Path | str, text: str, seconds: float | None, progress: Progress, *, anyway: bool
    ) -> Message:
        """Encrypt a file and store its message. Then wait until the file is uploaded, unless ``seconds`` is 0."""
        return await self._bring(self._service.look_at_file(alias, path, text), seconds, progress, anyway=anyway)

    async def _forward_file(self, message_id: int, alias: str, wait: Wait, seconds: float) -> Message:
        file = self._service.forwarded_file(message_id, alias)
        moved = await self._bring(file, 0.0 if wait is Wait.NONE else seconds, no_progress, anyway=False)
        return await self._sent(moved, wait, seconds)

    async def _bring(self, file: OutgoingFile, seconds: float | None, progress: Progress, *, anyway: bool) -> Message:
        service, left = self._service, False

        def check(*_: int) -> None:
            if left:
                raise asyncio.CancelledError

        try:
            encrypted = await asyncio.to_thread(service.encrypt_file, file, check)
        except BaseException:
            left = True  # tells the thread to stop at the next piece of the file
            raise
        with encrypted:
            message = service.store_file(file, encrypted, anyway=anyway)
        return message if seconds == 0 else await until_moved(service, message.id, seconds, progress)

    async def receive_file(
        self,
        message_id: int,
        to: Path | str | None = None,
        *,
        approve: bool = False,
        timeout: float | None = None,
        progress: Progress = no_progress,
    ) -> Path:
        """Receive the file of a message. The file appears in its folder when it is complete and every check has passed.

        Args:
            to: An existing folder, or the path of the new file; None: the folder in the settings. If a file with the
                same name exists, it stays, and a number is added to the new name.
            approve: Allow relays that are not in the profile's list; they learn this computer's IP address.
            timeout: Seconds for the whole transfer; None: no limit, as long as the transfer makes progress.
        Returns:
            The path of the file.
        Raises:
            InputError: There is no such file, or it was already received; or the folder cannot be used.
            RelaysNotApproved: Some relays of the file can only be used with ``approve``; the error's ``relays`` lists
                the hosts of these relays.
            FileDamaged: The received file is not the one that its sender announced.
            FileUnavailable: The file cannot be received any more, for another reason.
            FileStalled: The transfer has not finished; it continues while the profile is online.
        """
        service = self._service
        service.receive_file(message_id, to, approved=approve, own=self._relay.owns_files)
        message = await until_moved(service, message_id, timeout, progress)
        assert message.file is not None and message.file.path is not None
        return message.file.path

    def files(self, alias: str | None = None, limit: int = 50) -> list[Message]:
        """The last messages with files, oldest first: of one contact, or of all contacts. Raises `UnknownContact`."""
        return self._service.files(alias, limit)

    def cancel_file(self, message_id: int) -> Message:
        """Stop the transfer of a file. Raises `InputError`.

        If we sent the file, it is also deleted at its relays, and the contact is told.
        """
        return self._service.cancel_file(message_id)
