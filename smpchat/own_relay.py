"""Starts the embedded relay when the chat layer needs it.

This module connects `chat` and `relay`, which do not import each other. `BackgroundRelay` implements the interface
`smpchat.chat.online.embedded.EmbeddedRelay`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from smpchat.protocol.address import (
    FileServer,
    FileServerAddress,
    SMPServer,
    SMPServerAddress,
    parse_file_server,
    parse_server,
)
from smpchat.relay.errors import RelayError, RelayFolderRefused, RelayTurnedOff
from smpchat.transport.base import OwnRelayFailed, OwnRelayFolderRefused, OwnRelayStopped

if TYPE_CHECKING:
    from smpchat.relay.folder import RelayInfo


class BackgroundRelay:
    """The relay that comes with smpchat, started on demand in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._answered: int | None = None

    def owns(self, server: SMPServer) -> bool:
        """Whether ``server`` is this relay: the fingerprint is this relay's; and either every host is also a host of
        this relay, or every host is a loopback address. smpchat connects to this relay without a SOCKS proxy."""
        own = self._known()
        return own is not None and own.address is not None and _is_own(server, parse_server(own.address).server)

    def owns_files(self, server: FileServer) -> bool:
        """Whether ``server`` is this relay's address for files."""
        own = self._known()
        if own is None or own.files_address is None:
            return False
        return _is_own(server, parse_file_server(own.files_address).server)

    def _known(self) -> RelayInfo | None:
        from smpchat.relay.folder import status  # imported here: most commands need no relay

        try:
            return status(self._folder)
        except RelayError:  # the relay's state cannot be read: starting the relay reports this error
            return None

    async def start(self) -> SMPServerAddress:
        """Start the relay if needed; returns its address once it accepts connections.

        Raises `OwnRelayStopped`, `OwnRelayFailed`.
        """
        info = await self._started()
        assert info.address is not None
        return parse_server(info.address)

    async def start_files(self) -> FileServerAddress:
        """Start the relay if needed; returns its address for files.

        Raises the errors of `start`, and `OwnRelayFailed` if the relay does not store files.
        """
        info = await self._started()
        if info.files_address is None:
            raise OwnRelayFailed(f"The embedded relay does not store files. {_why_no_files(info)}")
        return parse_file_server(info.files_address)

    async def _started(self) -> RelayInfo:
        import asyncio

        info = self._known()
        if info is not None and info.state == "running" and await self._answers(info):
            return info
        from smpchat.relay.background import start_background  # imported here: most often the relay already runs

        try:
            return await asyncio.to_thread(start_background, self._folder, on_demand=True)
        except RelayTurnedOff as error:
            raise OwnRelayStopped(str(error)) from error
        except RelayFolderRefused as error:
            raise OwnRelayFolderRefused(str(error)) from error
        except RelayError as error:
            raise OwnRelayFailed(str(error)) from error

    async def _answers(self, info: RelayInfo) -> bool:
        """Whether the running relay accepts connections on this computer. Once a connection has succeeded, no further
        connection is tried until another relay process runs."""
        import asyncio
        import socket

        from smpchat.relay.options import LOOPBACK

        if info.pid != self._answered and info.port is not None:
            with socket.socket() as probe:
                probe.setblocking(False)
                try:
                    async with asyncio.timeout(1):
                        await asyncio.get_running_loop().sock_connect(probe, (LOOPBACK, info.port))
                except OSError:  # the relay may listen only on another address, which `start_background` tries
                    return False
            self._answered = info.pid
        return info.pid == self._answered


def _why_no_files(info: RelayInfo) -> str:
    if info.files_trouble is not None:
        return info.files_trouble
    if info.files_port is None:
        return "It was started by an older smpchat. Restart it: `smpchat relay stop`, then `smpchat relay start`."
    return "It was started with `--files-port off`."


S = TypeVar("S", SMPServer, FileServer)


def _is_own(server: S, own: S) -> bool:
    return server.is_within(own) or (server.is_on_loopback and server.key_hash == own.key_hash)
