"""What a client does to send through a proxy, made of the two layers only (smp-wire 5.6)."""

from __future__ import annotations

from dataclasses import dataclass

from smpchat.crypto.keys import AuthPrivateKey, X25519PrivateKey, X25519PublicKey
from smpchat.protocol.block import decode_batch, encode_batches
from smpchat.protocol.command_codec import decode_broker, encode_command
from smpchat.protocol.commands import BrokerMessage, Command
from smpchat.protocol.forwarding import Forwarded, open_answer, seal_forwarded
from smpchat.protocol.transmission import (
    Transmission,
    authorise,
    decode_transmission,
    encode_transmission,
    signed_bytes,
)
from smpchat.testing.entropy import SeededEntropy


@dataclass(frozen=True, slots=True)
class Sender:
    """A client that sends to a relay it has no connection with.

    Attributes:
        session_id: Of the proxy's session with the relay.
        relay_key: The relay's key of that session.
    """

    version: int
    session_id: bytes
    relay_key: X25519PublicKey
    entropy: SeededEntropy

    def transmission(
        self, command: Command | bytes, entity_id: bytes = b"", key: AuthPrivateKey | None = None, *, auth: bytes = b""
    ) -> Transmission:
        body = command if isinstance(command, bytes) else encode_command(command, self.version)
        corr_id = self.entropy.random(24)
        if key is not None:
            signed = signed_bytes(self.session_id, corr_id, entity_id, body)
            auth = authorise(key, signed, corr_id, self.relay_key)
        return Transmission(corr_id, entity_id, body, auth)

    def seal(self, t: Transmission) -> tuple[Forwarded, bytes]:
        """What the proxy passes on, and the secret for the answer."""
        return self.seal_content(encode_batches([encode_transmission(t, self.version, self.session_id)])[0], t.corr_id)

    def seal_content(self, content: bytes, corr_id: bytes) -> tuple[Forwarded, bytes]:
        key = X25519PrivateKey.generate(self.entropy)
        secret = key.exchange(self.relay_key)
        return Forwarded(corr_id, self.version, key.public(), seal_forwarded(secret, corr_id, content)), secret

    def open(self, secret: bytes, corr_id: bytes, sealed: bytes) -> tuple[bytes, bytes, BrokerMessage]:
        """Correlation id, entity id and message of the relay's answer."""
        assert len(sealed) == 16242
        [data] = decode_batch(open_answer(secret, corr_id, sealed))
        t = decode_transmission(data, self.version, self.session_id)
        return t.corr_id, t.entity_id, decode_broker(t.body, self.version)
