"""The double ratchet with header encryption, as pure functions: one step per message.

`encrypt` and `decrypt` return the new ratchet, and the caller saves it together with the message. If `encrypt` or
`decrypt` raises an error, the caller still has the old ratchet. `smpchat.crypto.ratchet_errors` shows the errors, and
`smpchat.crypto.ratchet_wire` the sizes and layouts of ratchet messages.

Source: Double Ratchet, section 4 (header encryption); agent-wire 4.3 to 4.9.
"""

from __future__ import annotations

from collections.abc import Iterable

from smpchat.crypto.aead import aead_decrypt, aead_encrypt
from smpchat.crypto.agreement import E2E_VERSION_KEM
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError, PaddingError, VerificationError
from smpchat.crypto.kdf import chain_step, root_step
from smpchat.crypto.kem import KEMProvider
from smpchat.crypto.keys import X448PrivateKey
from smpchat.crypto.padding import pad, unpad
from smpchat.crypto.ratchet_errors import (
    RatchetBodyError,
    RatchetDuplicate,
    RatchetEarlier,
    RatchetError,
    RatchetFinished,
    RatchetHeaderError,
    RatchetKEMError,
    RatchetRolledBack,
    RatchetStateError,
    RatchetTooManySkipped,
)
from smpchat.crypto.ratchet_kem import SNTRUP761, KEMAnswer, KEMState, kem_step
from smpchat.crypto.ratchet_skipped import (
    MAX_STORED_SKIPPED,
    SkippedDiff,
    SkippedId,
    SkippedKey,
    SkippedKeys,
    set_aside,
)
from smpchat.crypto.ratchet_state import Ratchet, ReceivingChain, SendingChain
from smpchat.crypto.ratchet_wire import (
    Header,
    SealedHeader,
    SealedMessage,
    decode_header,
    encode_envelope,
    encode_header,
    header_size,
    parse_message,
    with_length,
)
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field, replace

__all__ = [
    "MAX_SKIP",
    "MAX_STORED_SKIPPED",
    "Decrypted",
    "KEMAnswer",
    "KEMState",
    "MessageKey",
    "Ratchet",
    "RatchetBodyError",
    "RatchetDuplicate",
    "RatchetEarlier",
    "RatchetError",
    "RatchetFinished",
    "RatchetHeaderError",
    "RatchetKEMError",
    "RatchetRolledBack",
    "RatchetStateError",
    "RatchetTooManySkipped",
    "ReceivingChain",
    "SendingChain",
    "SkippedDiff",
    "SkippedId",
    "SkippedKey",
    "SkippedKeys",
    "decrypt",
    "encrypt",
    "encrypt_body",
    "encrypt_header",
]

MAX_SKIP = 512
"""At most this many messages of one chain may be missing before the message that is decrypted."""


class MessageKey(Record):
    """What `encrypt_body` needs for one message. First the message's ratchet step is made and saved; the body may be
    encrypted much later.

    Attributes:
        key: The AES key of the body; 32 bytes.
        iv: The IV of the body; 16 bytes, never sent.
        header: The header envelope, with the encrypted header.
        associated_data: The associated data of the ratchet.
        version: The version of end-to-end encryption in which the header is written.
    """

    key: bytes = field(repr=False)
    iv: bytes = field(repr=False)
    header: bytes = field(repr=False)
    associated_data: bytes = field(repr=False)
    version: int


class Decrypted(Record):
    """A decrypted message, and the changes to save with it."""

    plaintext: bytes = field(repr=False)
    ratchet: Ratchet
    diff: SkippedDiff


def encrypt(ratchet: Ratchet, plaintext: bytes, padded_length: int) -> tuple[Ratchet, bytes]:
    """Encrypt one message. Returns the new ratchet, and the encrypted message.

    Args:
        ratchet: A ratchet with a sending chain.
        plaintext: At most ``padded_length - 2`` bytes.
        padded_length: Size in bytes to which the body is padded; agent-wire 3.5 lists the usual sizes.
    Raises:
        RatchetStateError: The ratchet cannot send before it has received a message.
        PaddingError: The plaintext is too long for ``padded_length``.
    """
    after, key = encrypt_header(ratchet)
    return after, encrypt_body(key, plaintext, padded_length)


def encrypt_header(ratchet: Ratchet) -> tuple[Ratchet, MessageKey]:
    """Make the ratchet step for one message. Returns the new ratchet, and the key for `encrypt_body`.

    Raises:
        RatchetStateError: The ratchet has no sending chain yet.
    """
    if ratchet.sending is None:
        raise RatchetStateError("cannot send before the first message of the peer has arrived")
    step = chain_step(ratchet.sending.chain_key)
    header = Header(
        max_version=ratchet.max_version,
        ratchet_key=ratchet.own_public,
        previous_sent=ratchet.previous_sent,
        index=ratchet.sent,
        # Every message of the chain contains the KEM key, because the first message may be lost (agent-wire 4.5, trap
        # 30).
        kem=None if ratchet.kem is None else ratchet.kem.params,
    )
    padded = pad(encode_header(header, ratchet.version), header_size(ratchet.version, ratchet.large_headers))
    tag, sealed = aead_encrypt(ratchet.sending.header_key, step.header_iv, ratchet.associated_data, padded)
    after = replace(ratchet, sending=replace(ratchet.sending, chain_key=step.chain_key), sent=ratchet.sent + 1)
    envelope = encode_envelope(ratchet.version, step.header_iv, tag, sealed)
    return after, MessageKey(step.message_key, step.body_iv, envelope, ratchet.associated_data, ratchet.version)


def encrypt_body(key: MessageKey, plaintext: bytes, padded_length: int) -> bytes:
    """Encrypt the body of the message that ``key`` was made for. Raises `PaddingError` if the plaintext is too long."""
    # The tag of the body also authenticates the header envelope, but not the length field before the envelope
    # (agent-wire 4.5). The body is padded before it is encrypted (agent-wire trap 4).
    tag, body = aead_encrypt(key.key, key.iv, key.associated_data + key.header, pad(plaintext, padded_length))
    return with_length(key.header, key.version) + tag + body


def decrypt(
    ratchet: Ratchet, skipped: SkippedKeys, message: bytes, entropy: Entropy, *, kem: KEMProvider = SNTRUP761
) -> Decrypted:
    """Decrypt one message (agent-wire 4.7).

    Args:
        ratchet: The ratchet that was saved last.
        skipped: The keys that are stored for messages that have not arrived yet.
        message: The encrypted message; it may come from anyone.
        entropy: Gives 56 random bytes for our new ratchet key, if the peer has changed its ratchet key.
        kem: Makes KEM keys and secrets, if the ratchet uses a KEM.
    Returns:
        The plaintext, the new ratchet, and the change of the skipped keys. If a skipped key decrypted the message, the
        ratchet is unchanged.
    Raises:
        RatchetError: The message cannot be decrypted; the subclass of `RatchetError` says why. The caller keeps the
            old ratchet. (If a message fails halfway, the reference saves the ratchet steps that it has made by then. We
            save none: if someone sends an altered copy of a message, the true message can still be decrypted later.)
        KEMUnavailable: The ratchet uses a KEM, but no implementation is installed.
    """
    try:
        sealed = parse_message(message)
    except DecodeError as error:
        raise RatchetHeaderError(f"not a ratchet message: {error}") from None
    header_key, header = _open_header(ratchet, skipped, sealed.header)
    number = SkippedId(header_key, header.index)
    if number in skipped:
        stored = skipped[number]
        # Return the ratchet unchanged: a late message must not set it back to an old chain (agent-wire 4.7, step 1).
        plaintext = _open_body(ratchet, sealed, stored.message_key, stored.iv)
        return Decrypted(plaintext, ratchet, SkippedDiff(removed=(number,)))
    # Raise the version only after the header was decrypted: the version in the header is then really the peer's.
    ratchet = _raise_version(ratchet, header.max_version)
    added: dict[SkippedId, SkippedKey] = {}
    if ratchet.receiving is None or header_key != ratchet.receiving.header_key:
        if header_key != ratchet.next_receiving_header_key:
            raise RatchetFinished("the message belongs to a finished chain, and its key is not kept")
        if ratchet.receiving is not None:
            if header.previous_sent < ratchet.received:
                raise RatchetRolledBack(ratchet.received - header.previous_sent)
            # First derive the keys of the old chain's missing messages: after `_advance`, the old chain key is gone.
            _, passed = _skip(ratchet.receiving, ratchet.received, header.previous_sent)
            added |= passed
        ratchet, receiving = _advance(ratchet, header, entropy, kem)
    else:
        receiving = ratchet.receiving
    receiving, passed = _skip(receiving, ratchet.received, header.index)
    added |= passed
    step = chain_step(receiving.chain_key)
    plaintext = _open_body(ratchet, sealed, step.message_key, step.body_iv)
    after = replace(ratchet, receiving=replace(receiving, chain_key=step.chain_key), received=header.index + 1)
    return Decrypted(plaintext, after, set_aside(skipped, added))


def _open_header(ratchet: Ratchet, skipped: SkippedKeys, sealed: SealedHeader) -> tuple[bytes, Header]:
    """Find the header key that decrypts the header. Returns the header key and the decrypted header.

    The current keys are tried before those of old chains, so a usual message needs one attempt. The order does not
    change the result, because only one key can decrypt a header.
    """
    in_use = [ratchet.next_receiving_header_key]
    if ratchet.receiving is not None:
        in_use.insert(0, ratchet.receiving.header_key)
    opened = _try_keys(in_use, ratchet, sealed) or _try_keys(skipped.header_keys(), ratchet, sealed)
    if opened is None:
        raise RatchetHeaderError("no header key of this connection opens the message")
    key, padded = opened
    try:
        return key, decode_header(unpad(padded), sealed.version)
    except (DecodeError, PaddingError) as error:
        raise RatchetHeaderError(f"malformed ratchet header: {error}") from None


def _try_keys(keys: Iterable[bytes], ratchet: Ratchet, sealed: SealedHeader) -> tuple[bytes, bytes] | None:
    for key in keys:
        try:
            return key, aead_decrypt(key, sealed.iv, ratchet.associated_data, sealed.tag, sealed.sealed)
        except VerificationError:
            continue
    return None


def _open_body(ratchet: Ratchet, sealed: SealedMessage, key: bytes, iv: bytes) -> bytes:
    try:
        return unpad(aead_decrypt(key, iv, ratchet.associated_data + sealed.header.raw, sealed.tag, sealed.body))
    except VerificationError:
        raise RatchetBodyError("the body of the message does not verify") from None
    except PaddingError as error:
        raise RatchetBodyError(str(error)) from None


def _raise_version(ratchet: Ratchet, peer_maximum: int) -> Ratchet:
    version = max(ratchet.version, min(peer_maximum, ratchet.max_version))
    return ratchet if version == ratchet.version else replace(ratchet, version=version)


def _skip(chain: ReceivingChain, received: int, until: int) -> tuple[ReceivingChain, dict[SkippedId, SkippedKey]]:
    """Derive the keys of the messages with an index below ``until`` that have not arrived yet.

    Args:
        chain: The receiving chain.
        received: How many messages of the chain were received or skipped so far.
        until: For the current chain, the index of the message that has arrived. For the peer's old chain, how many
            messages that chain had.
    Returns:
        The chain after the skipped messages, and one key for each skipped message.
    Raises:
        RatchetEarlier, RatchetDuplicate, RatchetTooManySkipped: See these classes.
    """
    if received > until + 1:
        raise RatchetEarlier(received - until - 1)
    if received == until + 1:
        raise RatchetDuplicate("the message has the same number as the last one received")
    # Each skipped message costs one HKDF and one row in the store, and a header may claim the index 4,294,967,295.
    if received + MAX_SKIP < until:
        raise RatchetTooManySkipped(until + 1 - received)
    passed: dict[SkippedId, SkippedKey] = {}
    chain_key = chain.chain_key
    for index in range(received, until):
        step = chain_step(chain_key)
        passed[SkippedId(chain.header_key, index)] = SkippedKey(step.message_key, step.body_iv)
        chain_key = step.chain_key
    return replace(chain, chain_key=chain_key), passed


def _advance(ratchet: Ratchet, header: Header, entropy: Entropy, kem: KEMProvider) -> tuple[Ratchet, ReceivingChain]:
    """Make the Diffie-Hellman step for the peer's new ratchet key: two root steps, which give new chains in both
    directions."""
    enabled = ratchet.kem_enabled and ratchet.version >= E2E_VERSION_KEM
    secrets = kem_step(ratchet.kem, header.kem, enabled, kem)
    own_key = X448PrivateKey.generate(entropy)
    try:
        receiving_secret = ratchet.own_key.exchange(header.ratchet_key)
        sending_secret = own_key.exchange(header.ratchet_key)
    except CryptoError as error:
        raise RatchetHeaderError(f"the ratchet key in the header cannot be used: {error}") from None
    # The first root step uses our old ratchet key, because the peer made its new chain with it. The second root step
    # uses our new ratchet key (agent-wire 4.7, step 4). The first root step also uses the KEM secret for receiving, and
    # the second root step the KEM secret for sending.
    receive = root_step(ratchet.root_key, receiving_secret, secrets.receiving_secret)
    send = root_step(receive.root_key, sending_secret, secrets.sending_secret)
    receiving = ReceivingChain(receive.chain_key, ratchet.next_receiving_header_key)
    after = replace(
        ratchet,
        own_key=own_key,
        own_public=own_key.public(),
        root_key=send.root_key,
        sending=SendingChain(header.ratchet_key, send.chain_key, ratchet.next_sending_header_key),
        receiving=receiving,
        sent=0,
        received=0,
        # PN: tells the peer how many messages our old chain had, so that the peer can find out which of them are
        # missing.
        previous_sent=ratchet.sent,
        next_sending_header_key=send.next_header_key,
        next_receiving_header_key=receive.next_header_key,
        kem=secrets.state,
        kem_sending=bool(secrets.sending_secret),
        kem_receiving=bool(secrets.receiving_secret),
    )
    return after, receiving
