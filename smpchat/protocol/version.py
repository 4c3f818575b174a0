"""Version numbers of SMP (smp-wire 3.5), and version ranges of any protocol (agent-wire 1)."""

from __future__ import annotations

import re
from typing import Self

from smpchat.encoding.codec import Codec, word16
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.record import Record

AUTH_CMDS = 7
"""From this SMP version on: hellos contain certificates and keys, transmissions lack the session id, and there are
X25519 authenticators."""
SENDING_PROXY = 8
SND_AUTH_KEY = 9
"""From this SMP version on, SKEY exists, and NEW and IDS contain the queue mode."""
DELETED_EVENT = 10
ENCRYPTED_BLOCK = 11
BLOCKED_ENTITY = 12
PROXY_HANDSHAKE = 14
SHORT_LINKS = 15
SERVICE_CERTS = 16
NEW_NTF_CREDS = 17
CLIENT_NOTICES = 18


class VersionRange(Record):
    """Versions from ``minimum`` to ``maximum``, both included. Raises `DecodeError` if ``minimum`` is greater than
    ``maximum``, or if a number does not fit into 16 bits."""

    minimum: int
    maximum: int

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= self.maximum <= 0xFFFF:
            raise DecodeError(f"{self.minimum}-{self.maximum} is not a version range")

    def agree(self, other: VersionRange) -> int | None:
        """The highest version that both ranges contain; None if they have none in common."""
        common = self.common(other)
        return None if common is None else common.maximum

    def common(self, other: VersionRange) -> VersionRange | None:
        """The versions that both ranges contain; None if there are none."""
        lowest, highest = max(self.minimum, other.minimum), min(self.maximum, other.maximum)
        return VersionRange(lowest, highest) if lowest <= highest else None

    def contains(self, version: int) -> bool:
        """Whether the version lies in the range."""
        return self.minimum <= version <= self.maximum

    def __str__(self) -> str:
        return str(self.minimum) if self.minimum == self.maximum else f"{self.minimum}-{self.maximum}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a text such as ``2-7`` or ``2``. Raises `DecodeError`."""
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
        if not match:
            raise DecodeError("version range expected")
        return cls(int(match[1]), int(match[2] or match[1]))


def _read(reader: Reader) -> VersionRange:
    return VersionRange(word16.read(reader), word16.read(reader))


version_range: Codec[VersionRange] = Codec(lambda v: word16.write(v.minimum) + word16.write(v.maximum), _read)

# Versions 19 and 20 are about services and names, which we do not use. Software that also offers these two versions
# agrees with us on version 18.
SMP_VERSIONS = VersionRange(6, 18)
SMP_CLIENT_VERSIONS = VersionRange(7, 18)
"""The SMP versions that our client offers. It does not offer version 6, which has no signed session key that we could
check."""
PROXIED_VERSIONS = VersionRange(SENDING_PROXY, NEW_NTF_CREDS)
"""Versions that may be used through a proxy (smp-wire 3.5)."""
UNENCRYPTED_PROXY_VERSIONS = VersionRange(6, 10)
"""Versions that a proxy may use with a relay that is too old to know the proxy flag in a hello. At these versions,
blocks are never encrypted inside TLS. A proxy cannot use blocks that are encrypted inside TLS (smp-wire 3.4)."""
EXTENSION_VERSIONS = VersionRange(1, 1)
"""Versions of our own extension, NEW with the key of the queue's sender (`smpchat.protocol.session`)."""
