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
        """Whether this is where the embedded relay keeps files."""
        ...

    async def start_files(self) -> FileServerAddress:
        """Where it keeps files, once it runs. Raises as `start`, also if it keeps none."""
        ...
