"""Errors of files at relays; the tree is drawn in the package docstring."""

from __future__ import annotations

from smpchat.protocol.xftp.errors import DIGEST, XFTPError


class ChunkDamaged(XFTPError):
    """A relay sent something that is not the chunk in the description. Another try, or another replica, may be
    right."""

    def __init__(self, reason: str) -> None:
        super().__init__(DIGEST)
        self.args = (f"the file relay sent wrong data: {reason}",)
