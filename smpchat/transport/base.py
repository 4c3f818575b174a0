"""The interface of every transport: connections for blocks, listeners that accept connections, and their errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

BLOCK_SIZE = 16384
"""Size of every block, in bytes. The hellos of SMP are blocks too (smp-wire 2.6)."""


class TransportError(Exception):
    """Blocks cannot be sent or received.

    Attributes:
        temporary: Whether it makes sense to try the same operation again later, without changing anything.
    """

    def __init__(self, message: str, *, temporary: bool = True) -> None:
        super().__init__(message)
        self.temporary = temporary


class ConnectFailed(TransportError):
    """No connection was made, and nothing was sent. Check the address, and whether this computer is online."""


class NameNotFound(ConnectFailed):
    """No host name of the relay could be resolved. The name may be mistyped, or this computer is offline."""


class ProxyFailed(ConnectFailed):
    """The SOCKS proxy is not running, or does not connect to the relay. The relay was not reached."""


class AddressUnusable(ConnectFailed):
    """The relay's address cannot be used: its port is not a valid number, or it has only onion hosts, and no Tor proxy
    is set."""


class OwnRelayStopped(ConnectFailed):
    """The user has stopped the relay of this computer, so smpchat does not start it on demand."""


class OwnRelayFailed(ConnectFailed):
    """The relay of this computer does not start, or its folder cannot be used. The message says why."""


class OwnRelayFolderRefused(OwnRelayFailed):
    """The folder of this computer's relay cannot be used. Trying again later does not help."""


class AddressRefused(ConnectFailed):
    """Another person chose this relay, for example in a link, and `smpchat.transport.scope.Fence` does not allow the
    relay's address. So smpchat did not connect."""

    def __init__(self, message: str) -> None:
        super().__init__(message, temporary=False)


class ConnectionClosed(TransportError):
    """The connection has ended. The last blocks sent may or may not have arrived."""


class ListenFailed(TransportError):
    """Listening on this address is not possible: choose another port, or stop the program that uses it."""


class IdentityError(TransportError):
    """Certificate files are missing, unsafe, or do not belong together. The text of the error says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, temporary=False)


class ChainRefused(IdentityError):
    """A certificate chain does not belong to the expected relay, or has expired."""


class CertificateNotCurrent(ChainRefused):
    """A certificate has expired or is not valid yet. A common cause is a wrong clock on this computer."""


class BlockConnection(Protocol):
    """A connection that sends and receives blocks. Only one task may receive at a time; any number of tasks may
    send."""

    @property
    def session_id(self) -> bytes:
        """The ``tls-unique`` channel binding: the same at both ends, and different for every connection (smp-wire
        2.4)."""
        ...

    @property
    def peer_leaf(self) -> bytes | None:
        """DER of the certificate whose private key the peer has proved to have; None if the peer sent no
        certificate."""
        ...

    async def receive(self) -> bytes:
        """The next block, `BLOCK_SIZE` bytes. If a call of this method is cancelled, no block is lost.

        Raises:
            ConnectionClosed: We or the peer have ended the connection, and there is no complete block left to return.
        """
        ...

    async def send(self, blocks: Sequence[bytes]) -> None:
        """Send all ``blocks`` in one write, then wait until the transport can accept more blocks.

        The transport accepts all ``blocks`` before this method waits for anything. So blocks are sent in the order in
        which `send` was called, and a cancelled call still sends all of its blocks.

        Raises:
            ValueError: A block does not have `BLOCK_SIZE` bytes; none of the blocks was sent.
            ConnectionClosed: The connection ended before or during the call; some of the blocks may have arrived.
        """
        ...

    async def close(self) -> None:
        """Send the remaining data, if the peer accepts it within two seconds, and end the connection.

        May be called again. If `receive` is waiting for a block, it raises `ConnectionClosed`.
        """
        ...


OnConnection = Callable[[BlockConnection], Awaitable[None]]
"""Serves one accepted connection; the listener closes the connection when this function returns or raises."""


class Gate(Protocol):
    """Decides before the TLS handshake who may connect."""

    def enter(self, host: str | None) -> bool:
        """Count a connection, and return whether it is let in. If it is not let in, the caller must
        close the connection at once.

        Args:
            host: The client's IP address, or None if this address is not known.
        """
        ...

    def leave(self, host: str | None) -> None:
        """Called when a connection has ended, if it was let in."""
        ...

    def failed(self, error: Exception) -> None:
        """Called when a connection was let in, but then failed before the exchange of blocks began: in TLS, or in the
        protocol inside TLS, such as WebSocket."""
        ...


class Listener(Protocol):
    """Accepts connections until closed."""

    @property
    def port(self) -> int:
        """The TCP port on which connections are accepted. If port 0 was asked for, the system chose this port."""
        ...

    async def close(self) -> None:
        """Stop accepting connections. Cancel the calls that serve connections, and wait until these calls have
        ended."""
        ...


def check_blocks(blocks: Iterable[bytes]) -> None:
    """Raises ValueError unless every block is `BLOCK_SIZE` bytes."""
    for block in blocks:
        if len(block) != BLOCK_SIZE:
            raise ValueError(f"a block is {BLOCK_SIZE} bytes, not {len(block)}")
