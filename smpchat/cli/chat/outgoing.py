"""Sends files from `chat`. Each file is encrypted in a thread, so that the user can continue to write. Then the
encrypted file and its message are stored in the profile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from smpchat.agent.errors import AgentError
from smpchat.chat.errors import ChatError
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.files import OutgoingFile
from smpchat.chat.store.records import Message
from smpchat.encoding.record import Record, field


class Encrypting(Record):
    """The progress of a file that is being encrypted; a line beside the prompt shows it."""

    name: str = field(repr=False)
    done: int
    size: int


class _Left(Exception):
    """The conversation has ended, so a file that is still being encrypted is not sent."""


class OutgoingFiles:
    """Files that are being encrypted and are not stored yet.

    Args:
        sent: Called with the message of each file, once both are stored.
        failed: Called with the error if a file cannot be sent.
    """

    def __init__(
        self,
        service: ChatService,
        sent: Callable[[Message], object],
        failed: Callable[[ChatError | AgentError], object],
    ) -> None:
        self._service, self._sent, self._failed = service, sent, failed
        self._tasks: dict[asyncio.Task[None], OutgoingFile] = {}
        self._done: dict[int, int] = {}  # bytes that are encrypted, by `id(file)`
        self._left = False

    def begin(self, file: OutgoingFile) -> None:
        """Begin to encrypt a file that `look_at_file` has checked; it is sent once it is encrypted."""
        task = asyncio.get_running_loop().create_task(self._send(file))
        self._tasks[task] = file
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    def encrypting(self) -> list[Encrypting]:
        """The files that are being encrypted now, with their progress."""
        return [Encrypting(file.name, self._done.get(id(file), 0), file.size) for file in self._tasks.values()]

    async def finish(self) -> None:
        """Stop encrypting the files that are not stored yet, and keep nothing of them."""
        self._left = True
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, file: OutgoingFile) -> None:
        def progress(done: int, _: int) -> None:  # called in the thread
            self._done[id(file)] = done
            if self._left:
                raise _Left

        try:
            encrypted = await asyncio.to_thread(self._service.encrypt_file, file, progress)
            with encrypted:
                if not self._left:
                    self._sent(self._service.store_file(file, encrypted))
        except _Left:
            pass
        except (ChatError, AgentError) as error:
            self._failed(error)
        finally:
            self._done.pop(id(file), None)
