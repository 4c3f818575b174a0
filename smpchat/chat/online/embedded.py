"""What the chat layer needs of the embedded relay, which comes with smpchat. `smpchat.home` provides the
implementation."""

from __future__ import annotations

from typing import Protocol

from smpchat.protocol.address import FileServer, FileServerAddress, SMPServer, SMPServerAddress


class EmbeddedRelay(Protocol):
    """The embedded relay, which comes with smpchat: what its addresses are, and how it is started."""

    def owns(self, server: SMPServer) -> bool:
        """Whether this is the embedded relay's address."""
        ...

    async def start(self) -> SMPServerAddress:
        """Starts the relay if necessary, and returns its address. Raises `TransportError` if the user stopped the
        relay, or the relay fails."""
        ...

    def owns_files(self, server: FileServer) -> bool:
        """Whether this is the embedded relay's address for files."""
        ...

    async def start_files(self) -> FileServerAddress:
        """Starts the relay if necessary, and returns its address for files. Raises `TransportError` as `start`
        does, and also if the relay stores no files."""
        ...
