"""What every transport offers: connections that carry blocks, listeners that accept them, and the errors of both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

BLOCK_SIZE = 16384
"""Size of every block in bytes, hellos included (smp-wire 2.6)."""


class TransportError(Exception):
    """Blocks cannot be moved.

    Attributes:
        temporary: Whether the same attempt may succeed later although nothing was changed.
    """

    def __init__(self, message: str, *, temporary: bool = True) -> None:
        super().__init__(message)
        self.temporary = temporary


class ConnectFailed(TransportError):
    """No connection was made, and nothing was sent. Check the address, and that this computer is online."""


class NameNotFound(ConnectFailed):
    """No host name of the relay leads to an address: a typing error, or this computer is offline."""


class ProxyFailed(ConnectFailed):
    """The SOCKS proxy is not running, or does not connect. The relay was not reached."""


class AddressUnusable(ConnectFailed):
    """The relay's address cannot be used in any way: its port does not exist, or it is an onion host without Tor."""


class OwnRelayStopped(ConnectFailed):
    """The relay of this computer was stopped on purpose, so nothing starts it on demand."""


class OwnRelayFailed(ConnectFailed):
    """The relay of this computer does not start, or its folder cannot be used. The message says why."""


class OwnRelayFolderRefused(OwnRelayFailed):
    """Its folder cannot be used. This is not the fault of a relay, and waiting does not help."""


class AddressRefused(ConnectFailed):
    """Another person named this relay, and its addresses are not allowed then. No connection was tried."""

    def __init__(self, message: str) -> None:
        super().__init__(message, temporary=False)


class ConnectionClosed(TransportError):
    """The connection has ended. Blocks sent last may or may not have arrived."""


class ListenFailed(TransportError):
    """The address cannot be listened on: choose another port, or stop the program that uses it."""


class IdentityError(TransportError):
    """Certificate files that are missing, unsafe or do not belong together. The message says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, temporary=False)


class ChainRefused(IdentityError):
    """A certificate chain that is not the expected relay's, or has expired."""


class CertificateNotCurrent(ChainRefused):
    """A certificate that is not valid yet, or has expired. Often the reason is that this computer's clock is wrong."""


class BlockConnection(Protocol):
    """Both directions of one connection. One task may receive at a time; any number may send."""

    @property
    def session_id(self) -> bytes:
        """The same at both ends and never twice: the ``tls-unique`` channel binding (smp-wire 2.4)."""
        ...

    @property
    def peer_leaf(self) -> bytes | None:
        """DER of the certificate whose key the peer proved to hold; None if the peer did not show one."""
        ...

    async def receive(self) -> bytes:
        """The next block, `BLOCK_SIZE` bytes. A cancelled call loses nothing.

        Raises:
            ConnectionClosed: After the last whole block, at either side's end of the connection.
        """
        ...

    async def send(self, blocks: Sequence[bytes]) -> None:
        """Send all ``blocks`` in one write, then wait as long as more is on its way than the peer accepts.

        The blocks are sent before the first suspension, so that calls keep their order, and a cancelled call has sent
        all of them.

        Raises:
            ValueError: A block is not `BLOCK_SIZE` bytes; none was sent.
            ConnectionClosed: The connection ended before or during the call; some of the blocks may have arrived.
        """
        ...

    async def close(self) -> None:
        """Send the remaining data, as far as the peer accepts it within two seconds, and end the connection.

        May be repeated. A waiting `receive` raises `ConnectionClosed`.
        """
        ...


OnConnection = Callable[[BlockConnection], Awaitable[None]]
"""Serves one accepted connection; the listener closes the connection when it returns or raises."""


class Gate(Protocol):
    """Decides who may connect, before the handshake."""

    def enter(self, host: str | None) -> bool:
        """Counts a connection from an IP address; False refuses it, and it is closed at once."""
        ...

    def leave(self, host: str | None) -> None:
        """A connection that was let in has ended."""
        ...

    def failed(self, error: Exception) -> None:
        """A connection that was let in failed: TLS, or the protocol inside it, did not begin."""
        ...


class Listener(Protocol):
    """Accepts connections until closed."""

    @property
    def port(self) -> int:
        """The TCP port in use, also if port 0 was asked for."""
        ...

    async def close(self) -> None:
        """Stop accepting, cancel the calls that serve connections and wait for them to end."""
        ...


def check_blocks(blocks: Iterable[bytes]) -> None:
    """Raises ValueError unless every block is `BLOCK_SIZE` bytes."""
    for block in blocks:
        if len(block) != BLOCK_SIZE:
            raise ValueError(f"a block is {BLOCK_SIZE} bytes, not {len(block)}")
