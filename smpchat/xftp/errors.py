"""The error for a wrong chunk. The docstring of `smpchat.xftp` lists all errors of this package."""

from __future__ import annotations

from smpchat.protocol.xftp.errors import DIGEST, XFTPError


class ChunkDamaged(XFTPError):
    """A relay sent bytes that are not the requested chunk. Downloading the chunk again, or from another relay, may
    succeed."""

    def __init__(self, reason: str) -> None:
        super().__init__(DIGEST)
        self.args = (f"the file relay sent wrong data: {reason}",)
