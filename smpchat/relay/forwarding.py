"""The relay as the destination of private routing: a proxy sends it a client's command in RFWD (smp-wire 5.6).

This module decrypts RFWD, and encrypts the answer to the command in it. If RFWD itself is wrong, the proxy gets an
error. The answer to the client's command, even an error, is encrypted so that the proxy cannot read it.
"""

from __future__ import annotations

from smpchat.crypto.errors import CryptoError
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.encoding.record import Record, field
from smpchat.protocol import commands
from smpchat.protocol.block import decode_batch, encode_batches
from smpchat.protocol.command_codec import encode_broker
from smpchat.protocol.commands import BrokerMessage
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.forwarding import (
    Forwarded,
    ForwardedAnswer,
    open_at_relay,
    open_forwarded,
    seal_answer,
    seal_for_proxy,
)
from smpchat.protocol.transmission import Transmission, decode_transmission, encode_transmission
from smpchat.protocol.version import SENDING_PROXY, SMP_VERSIONS
from smpchat.relay.subscriptions import Client

FORWARDABLE = (commands.Send, commands.SKey, commands.LKey, commands.LGet)
"""The commands that may be in RFWD: those that senders need. With other commands, a proxy could learn or change which
client receives messages."""
_NO_SECRET = ErrorCode.proxy("BROKER", "TRANSPORT", "NO_AUTH")


class ForwardRefused(Exception):
    """No answer for the client can be made: the bytes of RFWD cannot be decrypted or decoded, or the answer does not
    fit into a block. ``code`` is the error that the proxy gets instead of RRES."""

    def __init__(self, code: ErrorCode) -> None:
        self.code = code
        super().__init__(f"a forwarded transmission is refused: {code}")


class ForwardedRequest(Record):
    """A decrypted RFWD.

    Attributes:
        client: A `Client` that stands for the sender of the transmission, who has no connection to this relay.
        transmission: The sender's transmission, or, if it cannot be decoded, the error with which to answer it.
    """

    client: Client
    transmission: Transmission | ErrorCode
    _corr_id: bytes
    _proxy_secret: bytes = field(repr=False)
    _client_secret: bytes = field(repr=False)
    _forwarded: Forwarded

    def answer(self, corr_id: bytes, entity_id: bytes, message: BrokerMessage) -> commands.RRes:
        """Encrypts an answer for the sender, then for the proxy, and returns it as RRES. Raises `ForwardRefused` if the
        answer does not fit into a block."""
        version, session_id = self._forwarded.version, self.client.session_id
        transmission = Transmission(corr_id, entity_id, encode_broker(message, version))
        try:
            [content] = encode_batches([encode_transmission(transmission, version, session_id)])
            sealed = seal_answer(self._client_secret, self._forwarded.corr_id, content)
        except (EncodeError, CryptoError):
            raise ForwardRefused(ErrorCode.BLOCK) from None
        answer = ForwardedAnswer(self._forwarded.corr_id, sealed)
        return commands.RRes(seal_for_proxy(self._proxy_secret, self._corr_id, answer))


def open_request(proxy: Client, t: Transmission, body: bytes) -> ForwardedRequest:
    """Decrypts both layers of RFWD: the proxy's, and inside it the client's.

    Args:
        proxy: The proxy's connection to this relay. The authorisation of the client's command covers the session
            identifier of this connection.
        t: The transmission of RFWD.
        body: The body of RFWD.
    Raises:
        ForwardRefused: Its code is CRYPTO if ``body`` cannot be decrypted, CMD SYNTAX or BLOCK if it is malformed, and
            NO_AUTH if relay and proxy have exchanged no session keys.
    """
    try:
        secret = proxy.session_secret()
        if secret is None or proxy.session_key is None:
            raise ForwardRefused(_NO_SECRET)
        forwarded = open_at_relay(secret, t.corr_id, body)
        if not SENDING_PROXY <= forwarded.version <= SMP_VERSIONS.maximum:
            raise ForwardRefused(ErrorCode.cmd("SYNTAX"))
        # For both layers, the relay uses its key for the session with the proxy. The proxy sent the public part of
        # this key to the client in PKEY (smp-wire 5.6).
        client_secret = proxy.session_key.exchange(forwarded.key)
        content = open_forwarded(client_secret, forwarded.corr_id, forwarded.sealed)
    except CryptoError:
        raise ForwardRefused(ErrorCode.CRYPTO) from None
    except DecodeError:
        raise ForwardRefused(ErrorCode.cmd("SYNTAX")) from None
    client = Client(forwarded.version, proxy.session_id, proxy.session_key)
    transmission = _only_one(content, forwarded.version, proxy.session_id)
    return ForwardedRequest(client, transmission, t.corr_id, secret, client_secret, forwarded)


def _only_one(content: bytes, version: int, session_id: bytes) -> Transmission | ErrorCode:
    try:
        batch = decode_batch(content)
    except DecodeError:
        return ErrorCode.BLOCK
    if len(batch) != 1:
        raise ForwardRefused(ErrorCode.BLOCK)
    try:
        return decode_transmission(batch[0], version, session_id)
    except DecodeError:
        return ErrorCode.BLOCK
