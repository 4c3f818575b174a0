"""The exchange of hellos, and the encryption of the blocks after it, for client and relay (smp-wire 3).

A hello may end with smpchat's extension of SMP, which other software ignores. If both sides support the extension, NEW
may contain the key of the queue's sender. A relay offers the extension with ``short("smpchat") ‖ min ‖ max``: the
lowest and the highest version of the extension. A client accepts the extension with ``short("smpchat") ‖ version``, but
never sends these bytes to a relay that did not offer the extension.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import TypeVar

from smpchat.crypto.box import ChainKey, block_chains, cb_decrypt, cb_encrypt
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError, VerificationError
from smpchat.crypto.foreign import ForeignBytesError, foreign_bytes
from smpchat.crypto.keys import (
    Ed448PublicKey,
    Ed25519PublicKey,
    SignaturePublicKey,
    X25519PrivateKey,
    X25519PublicKey,
    x25519_key,
)
from smpchat.encoding.codec import boolean, large_bytes, non_empty, short_bytes, word16
from smpchat.encoding.reader import DecodeError, EncodeError, Reader
from smpchat.encoding.record import Record
from smpchat.protocol.block import BLOCK_SIZE, ENCRYPTED_CONTENT, pad_block, unpad_block
from smpchat.protocol.errors import BlockError, HandshakeError, IdentityError, RemoteProtocolError, VersionError
from smpchat.protocol.version import (
    AUTH_CMDS,
    ENCRYPTED_BLOCK,
    EXTENSION_VERSIONS,
    PROXY_HANDSHAKE,
    SERVICE_CERTS,
    UNENCRYPTED_PROXY_VERSIONS,
    VersionRange,
    version_range,
)

T = TypeVar("T")

_EXTENSION_NAME = b"smpchat"
_chain = non_empty(large_bytes)
# The DER of a signed key is SEQUENCE { SEQUENCE { SPKI }, AlgorithmIdentifier, BIT STRING signature }. There are two
# forms, for Ed25519 and Ed448. Each form lists the bytes before the inner SEQUENCE, the bytes between this SEQUENCE and
# the signature, and the signature's length.
_SPKI_SEQUENCE = b"\x30\x2c"
_SIGNED_KEY_FORMS: tuple[tuple[bytes, bytes, int], ...] = (
    (bytes.fromhex("3078"), bytes.fromhex("300506032b6570034100"), 64),
    (bytes.fromhex("3081aa"), bytes.fromhex("300506032b6571037300"), 114),
)


def encode_signed_key(key: X25519PublicKey, sign: Callable[[bytes], bytes]) -> bytes:
    """Sign a session key with the key of the relay's certificate. Returns the DER of the signed session key. ``sign``
    makes an Ed25519 or Ed448 signature."""
    # A certificate contains the SPKI directly; here, the SPKI is wrapped in another SEQUENCE, which the signature
    # covers. The official software accepts no other form (smp-wire 3.1).
    content = _SPKI_SEQUENCE + key.der
    signature = sign(content)
    for head, algorithm, length in _SIGNED_KEY_FORMS:
        if len(signature) == length:
            return head + content + algorithm + signature
    raise EncodeError("the certificate's key is neither Ed25519 nor Ed448")


def open_signed_key(der: bytes, signer: SignaturePublicKey) -> X25519PublicKey:
    """Verify the signature of a session key, and return the key. Raises `VerificationError`."""
    for head, algorithm, length in _SIGNED_KEY_FORMS:
        content = der[len(head) : len(head) + 46]
        if der == head + content + algorithm + der[-length:] and len(content) == 46:
            signer.verify(der[-length:], content)
            try:
                return X25519PublicKey.from_der(content[2:])
            except CryptoError:
                break
    raise VerificationError("the session key is malformed")


def _certificate_key(der: bytes) -> SignaturePublicKey:
    from cryptography import x509  # takes 15 ms, so it is imported only when needed
    from cryptography.hazmat.primitives.asymmetric import ed448, ed25519

    try:
        with foreign_bytes():
            key = x509.load_der_x509_certificate(der).public_key()
    except ForeignBytesError as error:
        raise IdentityError("The relay's certificate is damaged.") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return Ed25519PublicKey(key.public_bytes_raw())
    if isinstance(key, ed448.Ed448PublicKey):
        return Ed448PublicKey(key.public_bytes_raw())
    raise IdentityError("The relay's certificate has a key that is neither Ed25519 nor Ed448.")


# -- hellos -----------------------------------------------------------------------------------------------------------


class ServerHello(Record):
    """A relay's hello. Below version 7, a hello has no certificate chain and no key. ``extensions`` are the versions of
    smpchat's extension that the relay offers, or None."""

    versions: VersionRange
    session_id: bytes
    chain: tuple[bytes, ...] = ()
    signed_key: bytes | None = None
    extensions: VersionRange | None = None

    def encode(self) -> bytes:
        """Encode this hello as the content of a block."""
        content = version_range.write(self.versions) + short_bytes.write(self.session_id)
        if self.signed_key is not None:
            content += _chain.write(self.chain) + large_bytes.write(self.signed_key)
        if self.extensions is not None:
            content += short_bytes.write(_EXTENSION_NAME) + version_range.write(self.extensions)
        return content

    @staticmethod
    def decode(content: bytes) -> ServerHello:
        """Read a hello; unknown bytes at its end are ignored. Raises `DecodeError`."""
        reader = Reader(content)
        versions, session_id = version_range.read(reader), short_bytes.read(reader)
        # To a client that does not use ALPN, a relay offers only version 6, without certificates (smp-wire trap 7).
        if versions.maximum < AUTH_CMDS or not reader.remaining:
            return ServerHello(versions, session_id)
        chain, signed_key = _chain.read(reader), large_bytes.read(reader)
        return ServerHello(versions, session_id, chain, signed_key, _read_extension(reader, version_range.read))


class ClientHello(Record):
    """A client's hello. ``extension`` is the version of smpchat's extension that the client chose; None if the client
    does not use the extension."""

    version: int
    key_hash: bytes
    key: X25519PublicKey | None
    proxy: bool = False
    service: bool = False
    extension: int | None = None

    def encode(self) -> bytes:
        """Encode this hello as the content of a block. ``service`` is not used: smpchat is never a service."""
        # The reference's documents do not mention the key hash, the proxy flag and the service mark (smp-wire trap 3).
        # If one of these three fields is missing, the relay closes the connection without an error (trap 5).
        content = word16.write(self.version) + short_bytes.write(self.key_hash)
        if self.version >= AUTH_CMDS and self.key is not None:
            content += x25519_key.write(self.key)  # a missing key is encoded as no bytes, not as "0" (trap 4)
        if self.version >= PROXY_HANDSHAKE:
            content += boolean.write(self.proxy)
        if self.version >= SERVICE_CERTS:
            content += b"0"
        if self.extension is not None:
            content += short_bytes.write(_EXTENSION_NAME) + word16.write(self.extension)
        return content

    @staticmethod
    def decode(content: bytes) -> ClientHello:
        """Read a hello; unknown bytes at its end are ignored. Raises `DecodeError`."""
        reader = Reader(content)
        version, key_hash = word16.read(reader), short_bytes.read(reader)
        key, proxy, service = None, False, False
        # No flag says whether the hello contains a key. If it does, the next bytes are the key's length and DER prefix.
        if version >= AUTH_CMDS and reader.starts_with(b"\x2c" + X25519PublicKey.DER_PREFIX):
            key = x25519_key.read(reader)
        if version >= PROXY_HANDSHAKE:
            proxy = boolean.read(reader)
        if version >= SERVICE_CERTS:
            offset = reader.offset
            mark = reader.take(1, "service")
            if mark not in (b"0", b"1"):
                raise DecodeError("service expected", offset)
            service = mark == b"1"
            if service:
                reader.rest()  # the service's role, chain and key; the caller refuses services
        return ClientHello(version, key_hash, key, proxy, service, _read_extension(reader, word16.read))


def _read_extension(reader: Reader, read: Callable[[Reader], T]) -> T | None:
    """Read our extension at the end of a hello. Returns None if the extension is missing or cut off. Other bytes are
    ignored."""
    tail = reader.rest()
    name = short_bytes.write(_EXTENSION_NAME)
    # All software ignores bytes after a hello (smp-wire 1.1, last line), so we may write our extension there. Other
    # software may write extensions after a hello too, so unknown bytes are not an error.
    if not tail.startswith(name):
        return None
    try:
        return read(Reader(tail[len(name) :]))
    except DecodeError:
        return None


# -- session ----------------------------------------------------------------------------------------------------------


class SMPSession:
    """A session after the exchange of hellos: its version, its keys, and the encryption of blocks.

    A session that encrypts blocks has two *chain keys*, one for sending and one for receiving. A chain key changes with
    every block, so blocks must be encrypted and decrypted in the order in which they are sent.

    Attributes:
        version: The SMP version for encoding and decoding.
        session_id: The TLS connection's unique id; the authorisation of every command covers it.
        keyed_new: Whether both sides support smpchat's extension, with which NEW may contain a sender key.
        own_session_key: Our X25519 private key; None below version 7, where hellos contain no keys.
        peer_session_key: The peer's X25519 public key; None if the peer's hello contained no key.
        chain: The certificates in the relay's hello, leaf first, DER.
        signed_key: The signed session key in the relay's hello, DER; None if that hello contained no key.
        versions: All SMP versions that both sides support.
    """

    def __init__(
        self,
        version: int,
        session_id: bytes,
        *,
        own_key: X25519PrivateKey | None,
        peer_key: X25519PublicKey | None,
        is_server: bool,
        encrypts: bool,
        extension: int | None = None,
        chain: tuple[bytes, ...] = (),
        signed_key: bytes | None = None,
        versions: VersionRange | None = None,
    ) -> None:
        self.version = version
        self.session_id = session_id
        self.own_session_key = own_key
        self.peer_session_key = peer_key
        self.keyed_new = extension is not None
        self.chain = chain
        self.signed_key = signed_key
        self.versions = versions or VersionRange(version, version)
        self._send: ChainKey | None = None
        self._receive: ChainKey | None = None
        # No field of a hello says whether blocks are encrypted; both sides conclude this from other fields. If the
        # client is a proxy, or sent no session key, blocks are plain at every version (smp-wire 3.6, trap 14).
        if encrypts and own_key is not None and peer_key is not None:
            to_client, to_server = block_chains(own_key.exchange(peer_key), session_id)
            self._send, self._receive = (to_client, to_server) if is_server else (to_server, to_client)

    @property
    def encrypts(self) -> bool:
        """Whether blocks are encrypted inside TLS (version 11 and later)."""
        return self._send is not None

    def seal_block(self, content: bytes) -> bytes:
        """Turn ``content`` into a block to send: pad it, and encrypt it if this session encrypts its blocks. Raises
        `EncodeError` if ``content`` is too long; the chain key then stays as it is."""
        if self._send is None:
            return pad_block(content)
        # Check the length before the chain key changes. The reference changes its chain key first. If the block is then
        # too long to be sent, the chain keys of the two sides never match again (smp-wire trap 45).
        if len(content) > ENCRYPTED_CONTENT:
            raise EncodeError(f"{len(content)} bytes do not fit a block")
        self._send, key, nonce = self._send.step()
        return cb_encrypt(key, nonce, content, BLOCK_SIZE - 16)

    def open_block(self, block: bytes) -> bytes:
        """Decrypt a received block, if this session encrypts its blocks, and remove its padding. Raises `BlockError`.

        Our chain key changes even if a block cannot be decrypted, because the peer's chain key has changed too.
        """
        if self._receive is None:
            return unpad_block(block)
        if len(block) != BLOCK_SIZE:
            raise BlockError("a block has a wrong size")
        # Change the chain key even if the block cannot be decrypted: the sender's chain key has changed too, and the
        # session continues (smp-wire 3.6, trap 32).
        self._receive, key, nonce = self._receive.step()
        try:
            return cb_decrypt(key, nonce, block)
        except CryptoError:
            raise BlockError("a block does not decrypt") from None


class ClientHandshake:
    """The client's side of the hello exchange.

    Args:
        server_key_hash: Fingerprint from the relay's address.
        tls_session_id: The ``tls-unique`` value of the connection.
        tls_leaf: DER of the certificate that the relay showed in TLS; None if the transport does not know this
            certificate.
        extensions: Whether to use smpchat's extension of SMP with a relay that offers it.
        proxy: Whether we are a proxy: a relay that forwards its clients' transmissions (smp-wire 3.4 and 3.6). A
            proxy's blocks are not encrypted inside TLS, because the transmissions in them are already encrypted. A
            proxy does not use smpchat's extension.
    """

    def __init__(
        self,
        server_key_hash: bytes,
        tls_session_id: bytes,
        tls_leaf: bytes | None,
        versions: VersionRange,
        entropy: Entropy,
        *,
        extensions: bool = True,
        proxy: bool = False,
    ) -> None:
        self._key_hash = server_key_hash
        self._session_id = tls_session_id
        self._leaf = tls_leaf
        self._versions = versions
        self._entropy = entropy
        self._extensions = extensions and not proxy
        self._proxy = proxy

    def receive_hello(self, block: bytes) -> tuple[bytes, SMPSession]:
        """Check the relay's hello. Returns the block with our hello, and the session.

        Before the caller sends the block, it must check the certificates in `SMPSession.chain`: their dates, and that
        each certificate is issued by the next.

        Raises:
            IdentityError: The relay is not the one in the address, or the hello belongs to another TLS connection.
            VersionError: There is no version that both sides support.
            HandshakeError: The hello is malformed.
        """
        try:
            hello = ServerHello.decode(unpad_block(block))
        except (DecodeError, RemoteProtocolError) as error:
            raise HandshakeError("The relay's hello is damaged.") from error
        if not hmac.compare_digest(hello.session_id, self._session_id):
            raise IdentityError(
                "The relay's hello belongs to another TLS session: someone may be intercepting the connection."
            )
        common = self._common_versions(hello.versions)
        version = common.maximum
        peer_key = self._check_identity(hello) if hello.signed_key is not None else None
        if peer_key is None and version >= AUTH_CMDS:
            raise IdentityError("The relay sent no certificates, although its version requires them.")
        own_key = X25519PrivateKey.generate(self._entropy) if version >= AUTH_CMDS else None
        # Accept our extension only if the relay offered it: to other relays, we must look like any other client.
        extension = EXTENSION_VERSIONS.agree(hello.extensions) if self._extensions and hello.extensions else None
        answer = ClientHello(
            version, self._key_hash, own_key.public() if own_key else None, self._proxy, extension=extension
        )
        session = SMPSession(
            version,
            self._session_id,
            own_key=own_key,
            peer_key=peer_key,
            is_server=False,
            encrypts=version >= ENCRYPTED_BLOCK and not self._proxy,
            extension=extension,
            chain=hello.chain,
            signed_key=hello.signed_key,
            versions=common,
        )
        return pad_block(answer.encode()), session

    def _common_versions(self, offered: VersionRange) -> VersionRange:
        common = offered.common(self._versions)
        # Below version 14, our hello has no field that says that we are a proxy. From version 11 on, a relay that does
        # not know that we are a proxy would encrypt its blocks, which a proxy does not expect (smp-wire 3.4 and 3.6).
        if self._proxy and common is not None and offered.maximum < PROXY_HANDSHAKE:
            common = common.common(UNENCRYPTED_PROXY_VERSIONS)
        if common is None:
            side = "the relay" if offered.maximum < self._versions.minimum else "smpchat"
            raise VersionError(
                f"The relay supports SMP versions {offered}, and this smpchat {self._versions}: {side} must upgrade."
            )
        return common

    def _check_identity(self, hello: ServerHello) -> X25519PublicKey:
        assert hello.signed_key is not None
        session_key = verify_session_key(hello.chain, hello.signed_key, self._key_hash)
        # TLS only proved that the relay has the private key of the certificate that it showed in TLS. We check the
        # fingerprint of the certificates in the hello, so the hello must contain the certificate of this connection.
        if self._leaf is not None and not hmac.compare_digest(hello.chain[0], self._leaf):
            raise IdentityError("The relay's hello and its TLS connection show different certificates.")
        return session_key


_ANY_KEY = X25519PrivateKey(bytes([1]) * 32)
"""A private key for testing public keys: with a public key of low order, the X25519 exchange fails for every private
key, so any private key will do."""


def verify_session_key(chain: Sequence[bytes], signed_key: bytes, key_hash: bytes) -> X25519PublicKey:
    """Verify that a session key belongs to the relay with the fingerprint ``key_hash``, and return the key. It comes
    from the relay's hello, or from a proxy's PKEY.

    The caller must check the certificates' dates, and that each certificate is issued by the next.

    Raises:
        IdentityError: The certificates do not belong to that relay, the first of them did not sign the key, or the key
            has low order.
    """
    if not 2 <= len(chain) <= 4:
        raise IdentityError(f"The relay sent {len(chain)} certificates; 2 to 4 are allowed.")
    # The second certificate is the relay's identity certificate, even in a longer chain. The fingerprint is the hash of
    # this whole certificate, not the hash of its public key (smp-wire 2.3, traps 1 and 2).
    if not hmac.compare_digest(hashlib.sha256(chain[1]).digest(), key_hash):
        raise IdentityError("This relay is not the one the address names (its fingerprint differs).")
    try:
        key = open_signed_key(signed_key, _certificate_key(chain[0]))
        # Refuse a key of low order before anything is sent: with such a key, everyone would know the secrets of the
        # session.
        _ANY_KEY.exchange(key)
    except VerificationError as error:
        raise IdentityError("The relay's session key is not signed by its certificate.") from error
    except CryptoError as error:
        raise IdentityError(f"The relay's session key cannot be used: {error}.") from error
    return key


class ServerHandshake:
    """The relay's side of the hello exchange.

    Args:
        chain: The relay's certificates, leaf first, DER. The second certificate is the relay's identity certificate.
        sign: Returns the signature of the given bytes, made with the private key of the leaf certificate.
        extensions: Whether to offer smpchat's extension of SMP.
    """

    def __init__(
        self,
        chain: Sequence[bytes],
        sign: Callable[[bytes], bytes],
        tls_session_id: bytes,
        versions: VersionRange,
        entropy: Entropy,
        *,
        extensions: bool = True,
    ) -> None:
        self._chain = tuple(chain)
        self._sign = sign
        self._session_id = tls_session_id
        self._versions = versions
        self._key = X25519PrivateKey.generate(entropy)
        self._extensions = EXTENSION_VERSIONS if extensions else None

    def hello(self) -> bytes:
        """The relay's hello block."""
        if self._versions.maximum < AUTH_CMDS:
            return pad_block(ServerHello(self._versions, self._session_id).encode())
        signed = encode_signed_key(self._key.public(), self._sign)
        hello = ServerHello(self._versions, self._session_id, self._chain, signed, self._extensions)
        return pad_block(hello.encode())

    def receive_hello(self, block: bytes) -> SMPSession:
        """Check the client's hello.

        Raises:
            IdentityError: The client expects a relay with another fingerprint.
            VersionError: The client chose a version that was not offered.
            HandshakeError: The hello is malformed, or the client is a service, which this relay does not support.
        """
        try:
            hello = ClientHello.decode(unpad_block(block))
        except (DecodeError, RemoteProtocolError) as error:
            raise HandshakeError("The client's hello is malformed.") from error
        if not hmac.compare_digest(hello.key_hash, hashlib.sha256(self._chain[1]).digest()):
            raise IdentityError("The client expects another relay.")
        # We send no error and offer no other version: the client knows our range, so we just close the connection
        # (smp-wire 2.6 and 3.4).
        if not self._versions.contains(hello.version):
            raise VersionError(f"The client chose SMP version {hello.version}; {self._versions} were offered.")
        if hello.service:
            raise HandshakeError("The client says that it is a service, which this relay does not support.")
        extension = hello.extension
        if extension is not None and not (self._extensions and self._extensions.contains(extension)):
            raise VersionError(f"The client chose extension version {extension}, which was not offered.")
        return SMPSession(
            hello.version,
            self._session_id,
            own_key=self._key if hello.version >= AUTH_CMDS else None,
            peer_key=hello.key,
            is_server=True,
            encrypts=hello.version >= ENCRYPTED_BLOCK and not hello.proxy,
            extension=extension,
        )
