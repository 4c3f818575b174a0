"""Format of ``handshake_*.json``: a conversation layer by layer, from the agent message to the body of SEND."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from smpchat.agent.machines.chain import message_hash
from smpchat.agent.wire.envelope import Confirmation, MessageEnvelope, agent_envelope, agent_message
from smpchat.agent.wire.links import InvitationLink
from smpchat.agent.wire.queue import CLIENT_VERSIONS
from smpchat.crypto.agreement import e2e_params
from smpchat.crypto.keys import X25519PrivateKey, X25519PublicKey
from smpchat.protocol.envelope import (
    PHEmpty,
    client_message,
    client_msg_envelope,
    open_client_message,
    seal_client_message,
)
from tests.vectors.check import Check, Document, Mismatch, equals, hexadecimal, same
from tests.vectors.formats import ratchet, x3dh
from tests.vectors.formats.links import full_link, link_checks
from tests.vectors.formats.smp import known_fields
from tests.vectors.reference import key_checks

Case = dict[str, Any]

_QUEUE_KEY = re.compile(r"(\w+)_queue_e2e_dh")
_SENDER_KEY = re.compile(r"(\w+)_snd_e2e_dh_for_(\w+)_queue")
_STEP_FIELDS = set(
    "agent_envelope agent_message agent_message_sha256 client_message name outer_nonce outer_padded_len"
    " ratchet_decrypt ratchet_encrypt smp_send_body".split()
)
_TOP_FIELDS = {"dh", "link", "name", "note", "pq", "rcv", "rcv_ratchet", "snd", "snd_ratchet", "steps", "version"}


def recognises(document: Document) -> bool:
    """Steps that end in the body of a SEND."""
    steps = document.get("steps") if isinstance(document, dict) else None
    return (
        isinstance(steps, list)
        and bool(steps)
        and all(isinstance(step, dict) and "smp_send_body" in step for step in steps)
    )


def checks(document: Document) -> Iterator[Check]:
    """The agreement, the keys of both queues, the link, and every layer of every step."""
    keys = {name for name in document if _QUEUE_KEY.fullmatch(name) or _SENDER_KEY.fullmatch(name)}
    yield from known_fields(document, "document", _TOP_FIELDS | keys)
    if x3dh.is_case(document):
        yield from x3dh.case_checks(document, "agreement: ")
    for name in sorted(keys):
        yield from key_checks(name, document[name], X25519PrivateKey, X25519PublicKey)
    if "link" in document:
        yield from link_checks(document["link"], "link")
        yield Check("link: keys", partial(_link_keys, document))
    parties = ratchet.parties_of(document)
    for index, step in enumerate(document["steps"]):
        name = f"steps[{index}] {step['name']}"
        yield from _step_checks(document, step, name)
        for part in ("ratchet_encrypt", "ratchet_decrypt"):
            recorded = step[part]
            yield equals(f"{name}: {part} operation", partial(recorded.get, "op"), part.removeprefix("ratchet_"))
            yield from ratchet.party_step_checks(parties[recorded["by"]], recorded, f"{name}: {part}")


def _link_keys(document: Case) -> None:
    """The link offers the initiator's X3DH keys and the key of a queue in this file."""
    link = full_link(document["link"])
    if not isinstance(link, InvitationLink):
        raise Mismatch("no invitation")
    own = x3dh.keys_of(document["rcv"])
    same("first X3DH key", link.e2e.key1, own.key1.public())
    same("second X3DH key", link.e2e.key2, own.key2.public())
    queues = [_public(document[name]) for name in document if _QUEUE_KEY.fullmatch(name)]
    if link.queues[0].dh_key not in queues:
        raise Mismatch("the link's queue has a key that is not in this file")


def _public(record: Case) -> X25519PublicKey:
    return X25519PublicKey(hexadecimal(record["public"]["raw"]))


def _private(record: Case) -> X25519PrivateKey:
    return X25519PrivateKey(hexadecimal(record["private"]["raw"]))


def _step_checks(document: Case, step: Case, name: str) -> Iterator[Check]:
    yield from known_fields(step, name, _STEP_FIELDS)
    message, envelope, client = (
        hexadecimal(step[layer]) for layer in ("agent_message", "agent_envelope", "client_message")
    )
    yield equals(f"{name}: agent message", lambda: agent_message.encode(agent_message.decode(message)), message)
    yield equals(f"{name}: hash", partial(message_hash, message), hexadecimal(step["agent_message_sha256"]))
    for part in ("ratchet_encrypt", "ratchet_decrypt"):
        yield equals(f"{name}: {part} plaintext", partial(hexadecimal, step[part]["plaintext"]), message)
    ciphertext = hexadecimal(step["ratchet_encrypt"]["ciphertext"])
    yield equals(f"{name}: received", partial(hexadecimal, step["ratchet_decrypt"]["ciphertext"]), ciphertext)
    yield equals(f"{name}: sides", lambda: step["ratchet_decrypt"]["by"], _other(step["ratchet_encrypt"]["by"]))
    yield Check(f"{name}: agent envelope", partial(_envelope, document, step, envelope, ciphertext))
    yield Check(f"{name}: client message", partial(_client_message, client, envelope))
    yield Check(f"{name}: SEND", partial(_send, document, step, client))


def _other(side: str) -> str:
    return {"snd": "rcv", "rcv": "snd"}[side]


def _envelope(document: Case, step: Case, data: bytes, ciphertext: bytes) -> None:
    envelope = agent_envelope.decode(data)
    same("bytes", agent_envelope.encode(envelope), data)
    if not isinstance(envelope, Confirmation | MessageEnvelope):
        raise Mismatch("an envelope without a ratchet message")
    same("ratchet message", envelope.ratchet_message, ciphertext)
    if isinstance(envelope, Confirmation) and envelope.e2e_params is not None:
        same("e2e parameters", e2e_params.encode(envelope.e2e_params).hex(), document["snd"]["params_smp"])


def _client_message(data: bytes, envelope: bytes) -> None:
    message = client_message.decode(data)
    same("bytes", client_message.encode(message), data)
    same("header", type(message.header), PHEmpty)
    same("agent envelope", message.body, envelope)


def _send(document: Case, step: Case, client: bytes) -> None:
    """The body is sealed with one queue's key and the key of the other side for that queue, and opens with both."""
    body = hexadecimal(step["smp_send_body"])
    envelope = client_msg_envelope.decode(body)
    same("envelope", client_msg_envelope.encode(envelope), body)
    if not CLIENT_VERSIONS.contains(envelope.version):
        raise Mismatch("a client version that does not exist")
    same("nonce", envelope.nonce, hexadecimal(step["outer_nonce"]))
    confirms = isinstance(agent_envelope.decode(hexadecimal(step["agent_envelope"])), Confirmation)
    if confirms != (envelope.sender_key is not None):
        raise Mismatch("a confirmation carries the sender's key, and nothing else does")
    sender, queue = _keys_of(document, step)
    if envelope.sender_key is not None:
        same("sender's key", envelope.sender_key, sender.public())
    message = client_message.decode(client)
    secret = sender.exchange(queue.public())
    same("opens", open_client_message(queue.exchange(sender.public()), envelope), message)
    sealed = seal_client_message(
        envelope.version, envelope.sender_key, secret, envelope.nonce, message, step["outer_padded_len"]
    )
    same("sealed", sealed, body)


def _keys_of(document: Case, step: Case) -> tuple[X25519PrivateKey, X25519PrivateKey]:
    """The sender's key and the queue's, by the names in the step: ``1. bob->alice SEND …``."""
    match = re.search(r"(\w+)->(\w+)", step["name"])
    if not match:
        raise Mismatch("the step's name does not tell who sends to whom")
    sender, recipient = match[1], match[2]
    return (
        _private(document[f"{sender}_snd_e2e_dh_for_{recipient}_queue"]),
        _private(document[f"{recipient}_queue_e2e_dh"]),
    )
