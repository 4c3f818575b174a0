"""The relay that comes with smpchat, as the chat layer sees it: `smpchat.home` joins the two."""

from __future__ import annotations

from typing import Protocol

from smpchat.protocol.address import FileServer, FileServerAddress, SMPServer, SMPServerAddress


class EmbeddedRelay(Protocol):
    """The relay that comes with smpchat, as the chat layer sees it."""

    def owns(self, server: SMPServer) -> bool:
        """Whether this is the embedded relay's address."""
        ...

    async def start(self) -> SMPServerAddress:
        """Its address, once it runs. Raises `TransportError` if it was stopped on purpose or does not start."""
        ...

    def owns_files(self, server: FileServer) -> bool:
        """Whether this is the embedded relay's address for files."""
        ...

    async def start_files(self) -> FileServerAddress:
        """Its address for files, once it runs. Raises as `start`, and also if it does not store files."""
        ...
