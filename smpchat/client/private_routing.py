"""The client's side of private routing (smp-wire 5.6): encrypts commands for a relay, so that a proxy can pass them on
without reading them.

The relay sees the proxy's network address instead of the client's. The proxy sees which relay is used, but neither the
queue nor the message. This module does no I/O: `smpchat.client.routed_session` sends the encrypted commands.
"""

from __future__ import annotations

from datetime import datetime

from smpchat.client.errors import UnexpectedResponse
from smpchat.client.identity import check_identity
from smpchat.client.request import CORR_ID_SIZE, Request, encode_requests
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError, PaddingError
from smpchat.crypto.keys import X25519PrivateKey, X25519PublicKey
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.encoding.record import Record, field, replace
from smpchat.protocol.block import decode_batch
from smpchat.protocol.command_codec import decode_broker
from smpchat.protocol.commands import BrokerMessage, Err, LGet, LKey, PFwd, PKey, PRes, Send, SKey
from smpchat.protocol.errors import ErrorCode, LocalProtocolError, VersionError
from smpchat.protocol.forwarding import open_answer, seal_forwarded
from smpchat.protocol.session import SMPSession, verify_session_key
from smpchat.protocol.transmission import decode_transmission
from smpchat.protocol.version import PROXIED_VERSIONS
from smpchat.transport.base import TransportError

_FORWARDABLE = (Send, SKey, LKey, LGet)


class PrivateRoutingFailed(TransportError):
    """There is no proxy, or the proxy answered with an error. The relay may still have executed the command: the proxy
    may have forwarded the command and then lost the relay's answer.

    smpchat does not connect directly instead, because this would show the relay the user's network address.

    Attributes:
        code: The error in the proxy's answer; None if no proxy was asked.
    """

    def __init__(self, message: str, code: ErrorCode | None = None, *, temporary: bool = True) -> None:
        super().__init__(message, temporary=temporary)
        self.code = code


class Destination(Record):
    """What the client needs to know about a proxy's session with a relay.

    Attributes:
        session_id: By this id, the proxy recognises its session with the relay. Signatures of commands include the id.
        version: SMP version of the forwarded transmissions.
        key: The relay's session key.
    """

    session_id: bytes
    version: int
    key: X25519PublicKey


class Forwarding(Record):
    """A command that is sent through a proxy.

    Attributes:
        request: The PFWD command for the proxy.
        entity_id: The entity id that the relay's answer must contain.
        secret: The key that encrypts the command and the relay's answer; 32 bytes.
    """

    request: Request
    entity_id: bytes
    corr_id: bytes
    secret: bytes = field(repr=False)


def open_pkey(pkey: PKey, key_hash: bytes, now: datetime) -> Destination:
    """Check PKEY, in which a proxy passes on a relay's session key. The relay must have the
    fingerprint ``key_hash``. The same rules hold as for a hello that comes from the relay itself.

    Raises:
        IdentityError: The certificates in PKEY are invalid, or belong to another relay.
        VersionError: Proxy, relay and client have no version in common.
    """
    # A proxy could send a key of its own, and read the commands that we encrypt with it. So check that the key is
    # signed by the relay with the right fingerprint (smp-wire 5.6, step 1).
    key = verify_session_key(pkey.chain, pkey.signed_key, key_hash)
    check_identity(pkey.chain, key_hash, now)
    version = PROXIED_VERSIONS.agree(pkey.versions)
    if version is None:
        raise VersionError(
            f"The relay supports SMP versions {pkey.versions}; private routing needs {PROXIED_VERSIONS}."
        )
    return Destination(pkey.session_id, version, key)


def may_forward(request: Request) -> bool:
    """Whether proxies forward the command in ``request``: they forward only the commands that senders need."""
    return isinstance(request.command, _FORWARDABLE)


def forward(request: Request, destination: Destination, entropy: Entropy) -> Forwarding:
    """Encrypt ``request`` for ``destination``, and wrap it into a request for the proxy.

    Raises:
        LocalProtocolError: Proxies do not forward commands of this kind (see `may_forward`).
        EncodeError: The command does not exist in the version of ``destination``, or is too long.
    """
    if not may_forward(request):
        raise LocalProtocolError(f"{type(request.command).__name__.upper()} cannot be sent through a proxy")
    corr_id = entropy.random(CORR_ID_SIZE) if request.corr_id is None else request.corr_id
    inner = SMPSession(
        destination.version,
        destination.session_id,
        own_key=None,
        peer_key=destination.key,
        is_server=False,
        encrypts=False,
    )
    _, [content] = encode_requests([replace(request, corr_id=corr_id)], inner, entropy, batch=False)
    # Each command gets a new key. With one key per session, the relay could tell which commands come from the same
    # client, and hiding this is what the proxy is for.
    ephemeral = X25519PrivateKey.generate(entropy)
    secret = ephemeral.exchange(destination.key)
    try:
        sealed = seal_forwarded(secret, corr_id, content)
    except PaddingError as error:
        raise EncodeError(f"{len(content)} bytes are too long to be sent through a proxy") from error
    outer = Request(PFwd(destination.version, ephemeral.public(), sealed), destination.session_id, corr_id=corr_id)
    return Forwarding(outer, request.entity_id, corr_id, secret)


def open_pres(answer: PRes, forwarding: Forwarding, destination: Destination) -> BrokerMessage:
    """The relay's answer inside PRES; an ERR is returned like any other answer.

    Raises:
        UnexpectedResponse: The answer cannot be decrypted, or answers another command.
    """
    try:
        content = open_answer(forwarding.secret, forwarding.corr_id, answer.body)
        transmissions = decode_batch(content)
        inner = decode_transmission(transmissions[0], destination.version, destination.session_id)
        message = decode_broker(inner.body, destination.version)
    except (CryptoError, DecodeError) as error:
        raise UnexpectedResponse(f"the relay's answer through the proxy cannot be read: {error}") from error
    # An ERR may have an empty entity id: the relay could not read which queue the command was for (smp-wire 4.3).
    unnamed = isinstance(message, Err) and not inner.entity_id
    if len(transmissions) != 1 or inner.corr_id != forwarding.corr_id:
        raise UnexpectedResponse("the relay's answer through the proxy is for another command")
    if inner.entity_id != forwarding.entity_id and not unnamed:
        raise UnexpectedResponse("the relay's answer is for another queue than the command")
    return message


def proxy_error(code: ErrorCode, proxy: str, relay: str) -> PrivateRoutingFailed:
    """Turn the proxy's ERR into an exception, whose text names both relays."""
    match code.words:
        case ("PROXY", "BASIC_AUTH"):
            text, temporary = f"{proxy} does not forward for you: it needs a password, or forwarding is off", False
        case ("PROXY", "BROKER", *reason):
            text, temporary = f"{proxy} cannot reach relay {relay} ({' '.join(reason)})", True
        case ("PROXY", "PROTOCOL", *reason):
            text, temporary = f"relay {relay} refused {proxy} as proxy ({' '.join(reason)})", True
        case _:
            text, temporary = f"{proxy} did not forward to relay {relay} ({code})", True
    return PrivateRoutingFailed(f"private routing: {text}", code, temporary=temporary)
