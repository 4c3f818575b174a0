"""Authorises and encodes outgoing commands, and distributes them over blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.keys import AuthPrivateKey
from smpchat.encoding.record import Record, field
from smpchat.protocol.block import encode_batches
from smpchat.protocol.command_codec import encode_command
from smpchat.protocol.commands import Command, Send
from smpchat.protocol.errors import LocalProtocolError
from smpchat.protocol.session import SMPSession
from smpchat.protocol.transmission import Transmission, authorise, encode_transmission, signed_bytes

CORR_ID_SIZE = 24
"""Size of a correlation id in bytes. A correlation id is also the nonce of authenticators, and of the encryption
of the relay's answer (smp-wire 4.3)."""


class Request(Record):
    """One command for a relay.

    Attributes:
        command: The command itself.
        entity_id: The queue or link that the command concerns; empty if there is none.
        key: Authorises the command; None for commands without authorisation.
        corr_id: 24 bytes never used before; random if None. For NEW with link data, the caller must know it in advance,
            because the sender id of the new queue is derived from it.
    """

    command: Command
    entity_id: bytes = b""
    key: AuthPrivateKey | None = field(default=None, repr=False)
    corr_id: bytes | None = None


class Encoded(Record):
    """An encoded request: its correlation id, the entity id that its answer must contain, and the index of its block in
    the list of block contents that `encode_requests` returns."""

    corr_id: bytes
    entity_id: bytes
    content: int


def encode_requests(
    requests: Sequence[Request], smp: SMPSession, entropy: Entropy, *, batch: bool
) -> tuple[list[Encoded], list[bytes]]:
    """Encode ``requests`` as blocks that are not encrypted yet. Returns an `Encoded` for each request, and the contents
    of the blocks.

    Every request gets a block of its own, unless ``batch`` is set. The reference executes the commands of one block
    from the last to the first (smp-wire 7.3), so only commands whose order does not matter may share a block.

    Args:
        requests: Commands, in the order in which the relay must execute them.
        smp: The session; the version, the session id and the keys are taken from it.
        entropy: For correlation ids.
        batch: Put as many requests as fit into each block. Each request must then be for a different queue, and none
            may be SEND.
    Raises:
        LocalProtocolError: ``batch`` is set, and a request is SEND or two requests are for one queue. Or a correlation
            id has the wrong size. Or a request's key is an X25519 key, but the relay sent no session key.
        EncodeError: A command does not exist in this session's version, or does not fit into a block.
    """
    if batch:
        _check_batch(requests)
    encoded: list[Encoded] = []
    contents: list[bytes] = []
    transmissions: list[bytes] = []
    for request in requests:
        corr_id = entropy.random(CORR_ID_SIZE) if request.corr_id is None else request.corr_id
        if len(corr_id) != CORR_ID_SIZE:
            raise LocalProtocolError(f"a correlation id has {CORR_ID_SIZE} bytes, not {len(corr_id)}")
        body = encode_command(request.command, smp.version, keyed_new=smp.keyed_new)
        auth = b""
        if request.key is not None:
            # The signed bytes include the session id and the correlation id. So a command that is repeated in another
            # session must be authorised anew, although its body stays the same.
            signed = signed_bytes(smp.session_id, corr_id, request.entity_id, body)
            auth = authorise(request.key, signed, corr_id, smp.peer_session_key)
        transmission = Transmission(corr_id, request.entity_id, body, auth)
        data = encode_transmission(transmission, smp.version, smp.session_id)
        encoded.append(Encoded(corr_id, request.entity_id, len(contents)))
        if batch:
            transmissions.append(data)
        else:
            contents.extend(encode_batches([data], encrypted=smp.encrypts))
    if batch and transmissions:
        contents = encode_batches(transmissions, encrypted=smp.encrypts)
        in_order = iter(encoded)
        encoded = [  # the first byte of a block's content is the number of its transmissions (smp-wire 4.1)
            Encoded(one.corr_id, one.entity_id, index)
            for index, content in enumerate(contents)
            for one in islice(in_order, content[0])
        ]
    return encoded, contents


def _check_batch(requests: Sequence[Request]) -> None:
    entities = [request.entity_id for request in requests if request.entity_id]
    if len(entities) != len(set(entities)):
        raise LocalProtocolError("commands for one queue must not share a block: they run in reverse order")
    if any(isinstance(request.command, Send) for request in requests):
        raise LocalProtocolError("SEND must not share a block: several SENDs in a block run in reverse order")
