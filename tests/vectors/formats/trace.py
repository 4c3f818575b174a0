"""Format of traces: JSON lines, one for each block between an agent and a relay, decrypted and without padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from smpchat.agent.wire.link_data import contact_keys, open_link
from smpchat.agent.wire.links import InvitationLink, parse_link
from smpchat.agent.wire.short_links import ShortContact, ShortInvitation, ShortLink
from smpchat.crypto.errors import VerificationError
from smpchat.crypto.keys import AuthPublicKey, X25519PublicKey
from smpchat.encoding.record import replace
from smpchat.protocol.block import decode_batch, encode_batches, pad_block
from smpchat.protocol.command_codec import decode_broker, decode_command, encode_broker, encode_command
from smpchat.protocol.commands import (
    BrokerMessage,
    Command,
    Ids,
    Key,
    LKey,
    Lnk,
    LSet,
    New,
    Nid,
    NKey,
    RKey,
    Send,
    SKey,
)
from smpchat.protocol.envelope import client_msg_envelope
from smpchat.protocol.session import ClientHandshake, ClientHello, ServerHello
from smpchat.protocol.transmission import (
    Transmission,
    decode_transmission,
    encode_transmission,
    signed_bytes,
    verify_authorisation,
)
from smpchat.protocol.version import ENCRYPTED_BLOCK, VersionRange
from smpchat.testing.entropy import SeededEntropy
from tests.vectors.check import Check, Document, Mismatch, hexadecimal, same
from tests.vectors.documents import Trace
from tests.vectors.formats.links import full_link, with_modes

_TO_RELAY, _TO_CLIENT = ">", "<"
LINK_DATA_SIZES = 2048, 13824


def recognises(document: Document) -> bool:
    """A trace with at least one block."""
    return isinstance(document, Trace) and bool(document.blocks)


# -- sessions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Session:
    server_hello: ServerHello
    client_hello: ClientHello

    @property
    def version(self) -> int:
        return self.client_hello.version

    @property
    def session_id(self) -> bytes:
        return self.server_hello.session_id

    @property
    def keyed_new(self) -> bool:
        return self.client_hello.extension is not None


@dataclass(frozen=True, slots=True)
class _Block:
    """One line of a trace; ``hello`` counts the hellos of its session, 0 and 1, and is None after them."""

    index: int
    record: dict[str, Any]
    hello: int | None

    @property
    def content(self) -> bytes:
        return hexadecimal(self.record["block"])

    @property
    def to_relay(self) -> bool:
        if self.record["dir"] not in (_TO_RELAY, _TO_CLIENT):
            raise Mismatch("unknown direction")
        return bool(self.record["dir"] == _TO_RELAY)


def _blocks(trace: Trace) -> list[_Block]:
    seen: dict[str, int] = {}
    blocks = []
    for index, record in enumerate(trace.blocks):
        count = seen[record["sess"]] = seen.get(record["sess"], -1) + 1
        blocks.append(_Block(index, record, count if count < 2 else None))
    return blocks


def _session(trace: Trace, name: str) -> _Session:
    hellos = [block for block in _blocks(trace) if block.record["sess"] == name and block.hello is not None]
    if len(hellos) != 2 or hellos[0].to_relay or not hellos[1].to_relay:
        raise Mismatch("the session does not begin with the relay's hello and the client's")
    return _Session(ServerHello.decode(hellos[0].content), ClientHello.decode(hellos[1].content))


def _transmissions(session: _Session, block: _Block) -> list[tuple[Transmission, Command | BrokerMessage]]:
    found: list[tuple[Transmission, Command | BrokerMessage]] = []
    for data in decode_batch(block.content):
        transmission = decode_transmission(data, session.version, session.session_id)
        if block.to_relay:
            command = decode_command(transmission.body, session.version, keyed_new=session.keyed_new)
            found.append((transmission, command))
        else:
            found.append((transmission, decode_broker(transmission.body, session.version)))
    return found


# -- what the traces tell ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stored:
    """Link data in a trace: what a relay would answer to LKEY or LGET."""

    where: str
    link_id: bytes
    answer: Lnk


@dataclass(slots=True)
class _Knowledge:
    """Keys of every queue, link and notifier, from the commands that give them and the answers that name the ids."""

    keys: dict[bytes, list[AuthPublicKey]] = field(default_factory=dict)
    sender_of: dict[bytes, bytes] = field(default_factory=dict)
    secured: list[tuple[bytes, AuthPublicKey]] = field(default_factory=list)
    stored: list[_Stored] = field(default_factory=list)

    def learn(self, trace: Trace) -> None:
        """Everything in the trace that decodes; what does not is a failure of its block's own check."""
        asked: dict[tuple[str, bytes], tuple[bytes, Command]] = {}
        for block in _blocks(trace):
            if block.hello is not None:
                continue
            try:
                transmissions = _transmissions(_session(trace, block.record["sess"]), block)
            except (ValueError, Mismatch):
                continue
            for transmission, message in transmissions:
                key = (block.record["sess"], transmission.corr_id)
                if block.to_relay:
                    asked[key] = transmission.entity_id, message  # type: ignore[assignment]
                    self._command(transmission.entity_id, message, f"blocks[{block.index}]")
                elif key in asked:
                    self._answer(*asked[key], message, f"blocks[{block.index}]")
        for recipient_id, sender_key in self.secured:
            self._add(self.sender_of.get(recipient_id, b""), sender_key)

    def _add(self, entity_id: bytes, *keys: AuthPublicKey) -> None:
        self.keys.setdefault(entity_id, []).extend(keys)

    def _command(self, entity_id: bytes, command: object, where: str) -> None:
        match command:
            case Key(key):
                self.secured.append((entity_id, key))
            case SKey(key):
                self._add(entity_id, key)
            case RKey(keys):
                self._add(entity_id, *keys)
            case LSet(link_id, fixed, user):
                sender_id = self.sender_of.get(entity_id, b"")
                self.stored.append(_Stored(where, link_id, Lnk(sender_id, fixed, user)))

    def _answer(self, entity_id: bytes, command: Command, answer: object, where: str) -> None:
        match command, answer:
            case New() as new, Ids() as ids:
                self._add(ids.rcv_id, new.rcv_auth_key)
                self.sender_of[ids.rcv_id] = ids.snd_id
                if new.sender_key is not None:
                    self._add(ids.snd_id, new.sender_key)
                if new.queue is not None and new.queue.link is not None:
                    data = new.queue.link
                    link_id = ids.link_id or data.link_id or b""
                    self.stored.append(_Stored(where, link_id, Lnk(ids.snd_id, data.fixed, data.user)))
            case LKey(key), Lnk() as lnk:
                self._add(lnk.sender_id, key)
                self.stored.append(_Stored(where, entity_id, lnk))
            case _, Lnk() as lnk:
                self.stored.append(_Stored(where, entity_id, lnk))
            case NKey() as nkey, Nid() as nid:
                self._add(nid.notifier_id, nkey.auth_key)


# -- checks -----------------------------------------------------------------------------------------------------------


def checks(document: Document) -> Iterator[Check]:
    """Every block both ways, every authorisation, every answer's command, and the data behind short links."""
    trace: Trace = document
    own, everything = _Knowledge(), _Knowledge()
    own.learn(trace)
    for known in (trace, *trace.others):
        everything.learn(known)
    asked: dict[str, set[bytes]] = {}
    for block in _blocks(trace):
        name = f"blocks[{block.index}] {block.record['dir']}"
        if block.hello is not None:
            yield Check(f"{name} hello", partial(_hello, trace, block))
            continue
        yield Check(name, partial(_block_round_trip, trace, block))
        yield from _transmission_checks(trace, block, everything, asked.setdefault(block.record["sess"], set()), name)
    for stored in own.stored:
        yield _stored_check(stored, trace.links)


def _hello(trace: Trace, block: _Block) -> None:
    same("length", len(block.content), block.record["len"])
    session = _session(trace, block.record["sess"])
    hello: ServerHello | ClientHello = session.client_hello if block.to_relay else session.server_hello
    same("hello", hello.encode(), block.content)
    same("session", session.session_id.hex()[: len(block.record["sess"])], block.record["sess"])
    if not block.to_relay:
        # Our client's side takes this hello for the relay that the recorded client meant, and agrees on its version.
        handshake = ClientHandshake(
            session.client_hello.key_hash,
            session.session_id,
            None,
            VersionRange(session.version, session.version),
            SeededEntropy(b""),
        )
        _, agreed = handshake.receive_hello(pad_block(block.content))
        same("version", agreed.version, session.version)


def _block_round_trip(trace: Trace, block: _Block) -> None:
    same("length", len(block.content), block.record["len"])
    session = _session(trace, block.record["sess"])
    encoded = []
    for transmission, message in _transmissions(session, block):
        if block.to_relay:
            body = encode_command(message, session.version, keyed_new=session.keyed_new)  # type: ignore[arg-type]
        else:
            body = encode_broker(message, session.version)  # type: ignore[arg-type]
        same("body", body, transmission.body)
        encoded.append(encode_transmission(replace(transmission, body=body), session.version, session.session_id))
    encrypts = session.version >= ENCRYPTED_BLOCK and session.client_hello.key is not None
    same("block", encode_batches(encoded, encrypted=encrypts), [block.content])


def _transmission_checks(
    trace: Trace, block: _Block, known: _Knowledge, asked: set[bytes], name: str
) -> Iterator[Check]:
    try:
        session = _session(trace, block.record["sess"])
        transmissions = _transmissions(session, block)
    except (ValueError, Mismatch):
        return  # the block's own check says so
    for transmission, message in transmissions:
        what = f"{name} {type(message).__name__}"
        if not block.to_relay:
            if transmission.corr_id:
                yield Check(f"{what}: answers a command", partial(_answers, transmission.corr_id, set(asked)))
            continue
        asked.add(transmission.corr_id)
        if isinstance(message, Send):
            yield Check(f"{what}: envelope", partial(_envelope_round_trip, message.body))
        if transmission.auth:
            yield Check(f"{what}: authorisation", partial(_authorisation, session, transmission, message, known))


def _answers(corr_id: bytes, asked: set[bytes]) -> None:
    if corr_id not in asked:
        raise Mismatch("an answer to a command that was not sent")


def _envelope_round_trip(body: bytes) -> None:
    same("envelope", client_msg_envelope.encode(client_msg_envelope.decode(body)), body)


def _authorisation(
    session: _Session, transmission: Transmission, message: Command | BrokerMessage, known: _Knowledge
) -> None:
    match message:
        case New() as new:
            keys = [new.rcv_auth_key]
        case SKey(key) | LKey(key):
            keys = [key]
        case _:
            keys = known.keys.get(transmission.entity_id, [])
    if not keys:
        raise Mismatch("no trace here tells the key")
    if all(isinstance(key, X25519PublicKey) for key in keys):
        raise Mismatch("an authenticator, which only the relay's session key can verify")
    signed = signed_bytes(session.session_id, transmission.corr_id, transmission.entity_id, transmission.body)
    for key in keys:
        try:
            verify_authorisation(key, transmission.auth, signed, transmission.corr_id, None)
            return
        except VerificationError:
            continue
    raise Mismatch("the signature does not verify")


def _stored_check(stored: _Stored, texts: tuple[str, ...]) -> Check:
    for text in texts:
        link = parse_link(text)
        if isinstance(link, ShortInvitation | ShortContact) and _link_id(link) == stored.link_id:
            return Check(f"{stored.where} link data opens with its link", partial(_opens, link, stored.answer, texts))
    sizes = len(stored.answer.fixed), len(stored.answer.user)
    return Check(
        f"{stored.where} link data has the agents' sizes (no link beside the trace opens it)",
        partial(same, "sizes", sizes, LINK_DATA_SIZES),
    )


def _link_id(link: ShortLink) -> bytes:
    return link.link_id if isinstance(link, ShortInvitation) else contact_keys(link.link_key)[0]


def _opens(link: ShortLink, answer: Lnk, texts: tuple[str, ...]) -> None:
    request = open_link(link, answer).request
    for text in texts:
        try:
            full = full_link(text)
        except Mismatch:
            continue
        if full.queues[0].sender_id == answer.sender_id:
            if isinstance(request, InvitationLink):
                # the text beside a short link has lost the KEM key (agent-wire 2.9)
                request = replace(request, e2e=replace(request.e2e, kem=None))
            same("request", request, with_modes(full))
