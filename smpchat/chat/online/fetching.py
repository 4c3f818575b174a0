"""Receives a file by its link, without a message: this process fetches, checks, decrypts and saves it."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from smpchat.agent.online.file_relays import CONNECT_TIMEOUT, failure_of
from smpchat.agent.store import file_folder
from smpchat.agent.store.obstacles import Obstacle
from smpchat.chat.errors import FileDamaged, FileUnavailable
from smpchat.chat.online.connectivity import file_network_of
from smpchat.chat.online.embedded import EmbeddedRelay
from smpchat.chat.online.patience import RelayDown
from smpchat.chat.service.writing import WritingProfile
from smpchat.chat.wire.file_names import safe_name
from smpchat.client.trouble import Trouble
from smpchat.crypto.errors import CryptoError
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.address import FileServer
from smpchat.xftp.description import MAX_TEXT, FileDescription
from smpchat.xftp.encryption import decrypt_file
from smpchat.xftp.fetching import NotFetched, fetch, has_chunk
from smpchat.xftp.links import follow
from smpchat.xftp.session import FileSession
from smpchat.xftp.session import connect as open_session

Tell = Callable[[str, int, int], object]
"""Called with the current activity (such as "Receiving"), the number of bytes done, and the total number of bytes."""
_MAX_DESCRIPTION = 2 * MAX_TEXT
"""The largest size, in bytes, of an encrypted file that contains a description."""
_ASK_AGAIN = "Ask for a new link."


class LinkFetcher:
    """Fetches the file of one link.

    Args:
        agreed: The user agrees that the relays in the link see this computer's address.
        patience: How many seconds it may take to fetch the file. After that, `TimeoutError` is raised. If the file's
            description must be fetched first, that may take as long again. None: no limit.
    """

    def __init__(
        self, service: WritingProfile, relay: EmbeddedRelay, *, agreed: bool, patience: float | None = None
    ) -> None:
        self._service, self._relay, self._patience = service, relay, patience
        self._routes = file_network_of(service, relay, anywhere=agreed)

    async def description(self, first: FileDescription) -> FileDescription:
        """The description of the file. ``first``: the description in the link. Raises the same errors as `file`.

        A long description does not fit into a link. The sender then uploads it as an encrypted file of its own, and
        ``first`` describes that file. In this case, the long description is fetched and decrypted here.
        """
        if first.redirect is None:
            return first
        if first.size > _MAX_DESCRIPTION:
            raise FileDamaged("This link leads to a description that is too long.", _ASK_AGAIN)
        sealed, plain = io.BytesIO(), io.BytesIO()
        await self._fetch(first, sealed)
        try:
            decrypt_file(sealed, plain, first.key, first.nonce, first.digest)
            return follow(first.redirect, plain.getvalue())
        except (CryptoError, DecodeError) as error:
            raise FileDamaged("This link does not lead to the description of a file.", _ASK_AGAIN) from error

    async def file(self, described: FileDescription, place: Path, tell: Tell) -> Path:
        """Fetches the file and saves it. Returns the path. If the call is interrupted, the next call for this file
        continues the download.

        Args:
            place: A folder, or the path of the file; nothing is overwritten.
        Raises:
            FileUnavailable: The relays no longer have the file.
            FileDamaged: What arrived is not the file that the link describes. Nothing is saved.
            RelayDown: A relay cannot be used now.
            OSError: The disk is full, or the folder cannot be written.
        """
        folder, name = self._service.folder, file_folder.new_name(described.digest[:16])
        kept = file_folder.open_by_link(folder, name)
        keep = False
        try:
            # If another process is receiving the same file by this link, `open_by_link` has returned None. This process
            # then downloads into a temporary file.
            with kept or tempfile.TemporaryFile(dir=file_folder.made(folder)) as sealed:
                try:
                    file_folder.check_room(folder, described.size - sealed.seek(0, os.SEEK_END))
                    await self._fetch(described, sealed, lambda done: tell("Receiving", done, described.size))
                    return await asyncio.to_thread(_decrypt, sealed, described, place, tell)
                except FileUnavailable:  # another try cannot help; `FileDamaged` is a subclass
                    raise
                except BaseException:  # interrupted, or a relay or the disk may work later
                    keep = has_chunk(sealed, described.chunks[0], 0)
                    raise
        finally:
            if kept is not None and not keep:
                file_folder.discard_by_link(folder, name)

    async def _fetch(
        self, described: FileDescription, target: BinaryIO, progress: Callable[[int], object] = lambda done: None
    ) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await fetch(described, target, self._connect, progress)
        except NotFetched as failed:
            failure = failure_of(failed.server, failed.error)
            if failure.kind in (Trouble.GONE, Trouble.NOT_UPLOADED):
                raise FileUnavailable(
                    "The file is no longer available: it has expired, or was deleted.", _ASK_AGAIN
                ) from failed
            if failure.kind is Trouble.BLOCKED:
                raise FileUnavailable("The operator of the relay has blocked this file.", _ASK_AGAIN) from failed
            raise RelayDown(Obstacle(failure.kind, failure.error, 0)) from failed

    async def _connect(self, server: FileServer) -> FileSession:
        if self._relay.owns_files(server):
            await self._relay.start()
        entropy = self._service.entropy
        return await open_session(server, network=self._routes, entropy=entropy, timeout=CONNECT_TIMEOUT)


def _decrypt(sealed: BinaryIO, described: FileDescription, place: Path, tell: Tell) -> Path:
    """Decrypts and saves the file, in a thread. If ``place`` is a folder, the file is saved there under the name that
    the encrypted file contains."""
    folder = place if place.is_dir() else place.parent
    file_folder.check_room(folder, described.size)
    # A killed process may have left an unfinished file. Each try for the same file uses the same name, so that it can
    # remove this leftover first.
    part = file_folder.part_path(folder / "file", file_folder.new_name(described.digest[:16]))
    file_folder.unpublished(part)
    names: list[bytes] = []
    try:
        with file_folder.create_part(part) as plain:
            decrypt_file(
                sealed,
                plain,
                described.key,
                described.nonce,
                described.digest,
                lambda done: tell("Checking", done, described.size),
                named=names.append,
            )
        target = place / safe_name(names[0].decode("utf-8", "replace")) if place.is_dir() else place
        return file_folder.publish(part, target)
    except (CryptoError, DecodeError) as error:
        raise FileDamaged(
            "What arrived is not the file that the link names, so nothing was saved.", _ASK_AGAIN
        ) from error
    finally:
        file_folder.unpublished(part)
