"""Errors of files at relays; the tree is drawn in the package docstring."""

from __future__ import annotations

from smpchat.protocol.xftp.errors import DIGEST, XFTPError


class ChunkDamaged(XFTPError):
    """What a relay sent is not the chunk that the description names. Another try, or another replica, may be right."""

    def __init__(self, reason: str) -> None:
        super().__init__(DIGEST)
        self.args = (f"the file relay sent wrong data: {reason}",)
