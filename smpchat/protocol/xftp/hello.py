"""The exchange of hellos on a connection, for client and relay (xftp-wire 1.3)."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.keys import X25519PrivateKey
from smpchat.encoding.codec import large_bytes, non_empty, short_bytes, word16
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.record import Record
from smpchat.protocol.block import pad_block, unpad_block
from smpchat.protocol.errors import BlockError, HandshakeError, IdentityError, RemoteProtocolError, VersionError
from smpchat.protocol.session import encode_signed_key, verify_session_key
from smpchat.protocol.version import VersionRange, version_range
from smpchat.protocol.xftp.errors import XFTPError, file_error

XFTP_VERSIONS = VersionRange(1, 3)
"""The XFTP versions that we support. We do not support version 4, in which the hello, FNEW and SIDS have more fields
(xftp-wire trap 25)."""
_CHAIN_LENGTH = 2

_chain = non_empty(large_bytes)


class FileServerHello(Record):
    """A relay's hello. ``proof`` is a signature for browsers; empty for other clients."""

    versions: VersionRange
    session_id: bytes
    chain: tuple[bytes, ...]
    signed_key: bytes
    proof: bytes = b""

    def encode(self) -> bytes:
        """The content of the hello's block."""
        return (
            version_range.write(self.versions)
            + short_bytes.write(self.session_id)
            + _chain.write(self.chain)
            + large_bytes.write(self.signed_key)
            + short_bytes.write(self.proof)
        )

    @staticmethod
    def decode(content: bytes) -> FileServerHello:
        """Read a hello; unknown bytes at its end are ignored. Raises `DecodeError`."""
        reader = Reader(content)
        versions, session_id = version_range.read(reader), short_bytes.read(reader)
        chain, signed_key = _chain.read(reader), large_bytes.read(reader)
        return FileServerHello(versions, session_id, chain, signed_key, short_bytes.read(reader))


class FileClientHello(Record):
    """A client's hello: the version it chose, and the relay that it expects."""

    version: int
    key_hash: bytes

    def encode(self) -> bytes:
        """The content of the hello's block."""
        return word16.write(self.version) + short_bytes.write(self.key_hash)

    @staticmethod
    def decode(content: bytes) -> FileClientHello:
        """Read a hello; unknown bytes at its end are ignored. Raises `DecodeError`."""
        reader = Reader(content)
        return FileClientHello(word16.read(reader), short_bytes.read(reader))


class Agreed(Record):
    """The result of `receive_server_hello`: what the client and the relay agreed on.

    Attributes:
        answer: The block with our hello, which the caller must send to the relay.
        version: XFTP version of the session.
        chain: The relay's certificates. Before the caller sends ``answer``, it must check the dates of these
            certificates, and that each certificate is signed by the next one.
    """

    answer: bytes
    version: int
    chain: tuple[bytes, ...]


def receive_server_hello(
    block: bytes,
    key_hash: bytes,
    session_id: bytes,
    leaf: bytes | None,
    versions: VersionRange = XFTP_VERSIONS,
) -> Agreed:
    """Check a relay's hello.

    Args:
        key_hash: Fingerprint from the relay's address.
        session_id: The ``tls-unique`` value of the connection.
        leaf: The certificate that the relay showed in TLS, in DER; None if the transport does not know this
            certificate.
    Raises:
        IdentityError: The relay is not the one in the address, or the hello belongs to another connection.
        VersionError: There is no version that both sides support.
        XFTPError: The relay refuses the connection with an error.
        HandshakeError: The hello is malformed.
    """
    content = _content(block)
    try:
        hello = FileServerHello.decode(content)
    except DecodeError as error:
        _raise_refusal(content)
        raise HandshakeError("The file relay's hello is damaged.") from error
    if not hmac.compare_digest(hello.session_id, session_id):
        raise IdentityError(
            "The file relay's hello belongs to another TLS session: someone may be intercepting the connection."
        )
    # Check the identity before the version: an error about the versions of a wrong relay would be misleading. In XFTP,
    # a hello must contain exactly two certificates; SMP allows up to four (xftp-wire trap 13).
    if len(hello.chain) != _CHAIN_LENGTH:
        raise IdentityError(f"The file relay sent {len(hello.chain)} certificates; exactly two are allowed.")
    verify_session_key(hello.chain, hello.signed_key, key_hash)
    if leaf is not None and not hmac.compare_digest(hello.chain[0], leaf):
        raise IdentityError("The file relay shows one certificate in TLS, and another one in its first answer.")
    version = hello.versions.agree(versions)
    if version is None:
        side = "the file relay" if hello.versions.maximum < versions.minimum else "smpchat"
        raise VersionError(
            f"The file relay supports XFTP versions {hello.versions}, and this smpchat {versions}: {side} must upgrade."
        )
    return Agreed(pad_block(FileClientHello(version, key_hash).encode()), version, hello.chain)


def check_acceptance(body: bytes) -> None:
    """Check a relay's answer to a client's hello. An empty answer means that the relay accepts the hello.

    Raises:
        XFTPError: The relay refuses the connection.
        HandshakeError: The answer is malformed.
    """
    if not body:
        return
    _raise_refusal(_content(body))
    raise HandshakeError("The file relay's answer to the hello is damaged.")


def _content(block: bytes) -> bytes:
    try:
        return unpad_block(block)
    except BlockError as error:
        raise HandshakeError("The file relay's hello is damaged.") from error


def _raise_refusal(content: bytes) -> None:
    # An error that refuses a hello is not inside a transmission, unlike the error of a command (xftp-wire trap 4).
    try:
        code = file_error.decode(content)
    except DecodeError:
        return
    raise XFTPError(code)


def server_hello(
    chain: tuple[bytes, ...],
    sign: Callable[[bytes], bytes],
    session_id: bytes,
    entropy: Entropy,
    versions: VersionRange = XFTP_VERSIONS,
) -> tuple[bytes, X25519PrivateKey]:
    """Make a relay's hello block. Returns the block, and the private key that belongs to the session key in the block.

    Args:
        chain: The relay's leaf and identity certificates, DER.
        sign: Signs bytes with the private key of the leaf certificate.
    """
    key = X25519PrivateKey.generate(entropy)
    hello = FileServerHello(versions, session_id, chain[:_CHAIN_LENGTH], encode_signed_key(key.public(), sign))
    return pad_block(hello.encode()), key


def receive_client_hello(block: bytes, key_hash: bytes, versions: VersionRange = XFTP_VERSIONS) -> int:
    """Check a client's hello. Returns the version that the client chose.

    Args:
        key_hash: Fingerprint of the relay's identity.
    Raises:
        HandshakeError: The hello is malformed, or is meant for another relay, or chooses a version that was not
            offered. The caller must answer such a hello with the error `HANDSHAKE`.
    """
    try:
        hello = FileClientHello.decode(unpad_block(block))
    except (DecodeError, RemoteProtocolError) as error:
        raise HandshakeError("The client's hello is malformed.") from error
    if not hmac.compare_digest(hello.key_hash, key_hash):
        raise IdentityError("The client expects another relay.")
    if not versions.contains(hello.version):
        raise VersionError(f"The client chose XFTP version {hello.version}; {versions} were offered.")
    return hello.version


def refusal_block(error: XFTPError) -> bytes:
    """The block with which a relay answers a hello that it refuses."""
    return pad_block(file_error.encode(error.code))
