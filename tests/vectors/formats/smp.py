"""Format of ``smp.json``: commands and messages at every version, transmissions, batches, hellos, MSG bodies."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from smpchat.crypto.box import cb_decrypt
from smpchat.crypto.errors import VerificationError
from smpchat.crypto.keys import (
    AuthPrivateKey,
    Ed25519PrivateKey,
    Ed25519PublicKey,
    X25519PrivateKey,
    X25519PublicKey,
)
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.address import format_server, parse_server, smp_server
from smpchat.protocol.block import decode_batch, encode_batches, pad_block, unpad_block
from smpchat.protocol.command_codec import decode_broker, decode_command, encode_broker, encode_command
from smpchat.protocol.messages import QuotaMarker, RcvMessage, encode_rcv_message, open_message, seal_message
from smpchat.protocol.session import ClientHello
from smpchat.protocol.transmission import (
    Transmission,
    authorise,
    decode_transmission,
    encode_transmission,
    signed_bytes,
    verify_authorisation,
)
from smpchat.protocol.version import VersionRange, version_range
from tests.vectors.check import Check, Document, Mismatch, equals, hexadecimal, same
from tests.vectors.reference import key_checks

Case = dict[str, Any]
Section = Callable[[Document, str], Iterator[Check]]

_RANGE_SECTION = re.compile(r"version_range_(\d+)_(\d+)")


def recognises(document: Document) -> bool:
    """A mapping with at least one section that only this format has."""
    return isinstance(document, dict) and any(name in document for name in _SECTIONS.keys() - _SHARED)


def checks(document: Document) -> Iterator[Check]:
    """Every answer of every section; a section that we do not know is a failure, not a gap."""
    for name in document:
        match = _RANGE_SECTION.fullmatch(name)
        if match:
            yield from _range(VersionRange(int(match[1]), int(match[2])), hexadecimal(document[name]), name)
        elif name in _SECTIONS:
            yield from _SECTIONS[name](document, name)
        else:
            yield Check(name, partial(_unknown, name))


def _unknown(name: str) -> None:
    raise Mismatch(f"unknown section or field {name!r}")


def known_fields(case: Case, name: str, fields: set[str]) -> Iterator[Check]:
    """A failing check for each field of ``case`` that no other check looks at."""
    for field in sorted(case.keys() - fields):
        yield Check(f"{name}: {field}", partial(_unknown, field))


# -- commands and messages --------------------------------------------------------------------------------------------


def _versions(encoded: dict[str, str]) -> dict[int, bytes]:
    return {int(version.removeprefix("v")): hexadecimal(text) for version, text in encoded.items()}


def _coded(encode: Callable[[Any, int], bytes], decode: Callable[[bytes, int], Any], fields: set[str]) -> Section:
    """One case: bytes at some versions. They decode and encode at each, and follow from the newest version's value."""

    def section(document: Document, section_name: str) -> Iterator[Check]:
        for index, case in enumerate(document[section_name]):
            name = f"{section_name}[{index}] {case['name']}"
            yield from known_fields(case, name, fields)
            versions = _versions(case["encoded"])
            newest = max(versions)
            for version, data in versions.items():
                yield Check(f"{name} v{version}: tag", partial(_same_tag, data, case["name"], version))
                yield equals(f"{name} v{version}: decodes", partial(_again, encode, decode, data, version), data)
                yield equals(
                    f"{name} v{version}: from v{newest}",
                    partial(_from_newest, encode, decode, versions[newest], newest, version),
                    data,
                )

    return section


def _again(
    encode: Callable[[Any, int], bytes], decode: Callable[[bytes, int], Any], data: bytes, version: int
) -> bytes:
    return encode(decode(data, version), version)


def _from_newest(
    encode: Callable[[Any, int], bytes],
    decode: Callable[[bytes, int], Any],
    data: bytes,
    newest: int,
    version: int,
) -> bytes:
    return encode(decode(data, newest), version)


_OLDER_TAGS = {b"SOK": b"OK", b"DELD": b"END"}
"""What older clients get instead."""


def _same_tag(data: bytes, name: str, version: int) -> None:
    tag, expected = data.split(b" ")[0], name.split()[0].encode()
    if tag != expected and tag != _OLDER_TAGS.get(expected):
        raise Mismatch(f"v{version} has another tag than its name says")


# -- keys and ids -----------------------------------------------------------------------------------------------------


def _is_kind(record: Case, kind: type[Ed25519PublicKey] | type[X25519PublicKey]) -> bool:
    return hexadecimal(record["public"]["der"]).startswith(kind.DER_PREFIX)


def _private(record: Case) -> AuthPrivateKey:
    raw = hexadecimal(record["private"]["raw"])
    return X25519PrivateKey(raw) if _is_kind(record, X25519PublicKey) else Ed25519PrivateKey(raw)


def _keys(document: Document, section_name: str) -> Iterator[Check]:
    for name, record in document[section_name].items():
        if _is_kind(record, X25519PublicKey):
            yield from key_checks(f"keys: {name}", record, X25519PrivateKey, X25519PublicKey)
        else:
            yield from key_checks(f"keys: {name}", record, Ed25519PrivateKey, Ed25519PublicKey)


def _ids(document: Document, section_name: str) -> Iterator[Check]:
    """Each id stands in something else of the file, behind its length."""
    rest = json.dumps({name: section for name, section in document.items() if name != section_name})
    for name, text in document[section_name].items():
        wire = f"{len(text) // 2:02x}{text}"
        yield Check(f"ids: {name}", partial(_occurs, wire, rest))


def _occurs(text: str, rest: str) -> None:
    if text not in rest:
        raise Mismatch("stands in no command, message or transmission")


# -- transmissions ----------------------------------------------------------------------------------------------------


def _session_id(document: Document) -> bytes:
    return hexadecimal(document["ids"]["session_id"])


_CLIENT_FIELDS = set(
    "auth batch1 batch1_padded_block_sha256 corr_id encoded entity_id name t_for_auth t_to_send version".split()
)


def _client_transmissions(document: Document, section_name: str) -> Iterator[Check]:
    session_id = _session_id(document)
    for index, case in enumerate(document[section_name]):
        version = case["version"]
        name = f"{section_name}[{index}] {case['name']} v{version}"
        yield from known_fields(case, name, _CLIENT_FIELDS)
        encoded, auth = hexadecimal(case["encoded"]), hexadecimal(case["auth"])
        corr_id, entity_id = hexadecimal(case["corr_id"]), hexadecimal(case["entity_id"])
        body = decode_transmission(encoded, version, session_id).body
        expected = Transmission(corr_id, entity_id, body, auth)
        yield equals(f"{name}: decodes", partial(decode_transmission, encoded, version, session_id), expected)
        yield equals(f"{name}: encoded", partial(encode_transmission, expected, version, session_id), encoded)
        yield equals(f"{name}: command", partial(_again, encode_command, decode_command, body, version), body)
        signed = signed_bytes(session_id, corr_id, entity_id, body)
        yield equals(f"{name}: t_for_auth", partial(bytes, signed), hexadecimal(case["t_for_auth"]))
        unsigned = encode_transmission(Transmission(corr_id, entity_id, body), version, session_id)
        yield equals(f"{name}: t_to_send", partial(bytes, unsigned[1:]), hexadecimal(case["t_to_send"]))
        if auth:
            yield Check(f"{name}: auth", partial(_authorised, document, auth, signed, corr_id))
        batch = hexadecimal(case["batch1"])
        yield from _batch_checks(name, (encoded,), batch)
        yield equals(
            f"{name}: padded block",
            partial(_block_hash, batch),
            hexadecimal(case["batch1_padded_block_sha256"]),
        )


def _block_hash(content: bytes) -> bytes:
    block = pad_block(content)
    same("content", unpad_block(block), content)
    return hashlib.sha256(block).digest()


def _authorised(document: Document, auth: bytes, signed: bytes, corr_id: bytes) -> None:
    """One of the file's keys makes exactly this authorisation, and it verifies with its public half."""
    relay = X25519PrivateKey(hexadecimal(document["keys"]["server_session_key"]["private"]["raw"]))
    for record in document["keys"].values():
        private = _private(record)
        if authorise(private, signed, corr_id, relay.public()) != auth:
            continue
        verify_authorisation(private.public(), auth, signed, corr_id, relay)
        return
    raise VerificationError("no key of the file makes this authorisation")


def _batch_checks(name: str, transmissions: tuple[bytes, ...], batch: bytes) -> Iterator[Check]:
    yield equals(f"{name}: batch", partial(encode_batches, transmissions), [batch])
    yield equals(f"{name}: batch decodes", partial(decode_batch, batch), transmissions)


_SERVER_FIELDS = set("batch1 corr_id encoded entity_id name version".split())


def _server_transmissions(document: Document, section_name: str) -> Iterator[Check]:
    session_id = _session_id(document)
    for index, case in enumerate(document[section_name]):
        version = case["version"]
        name = f"{section_name}[{index}] {case['name']} v{version}"
        yield from known_fields(case, name, _SERVER_FIELDS)
        encoded = hexadecimal(case["encoded"])
        body = decode_transmission(encoded, version, session_id).body
        expected = Transmission(hexadecimal(case["corr_id"]), hexadecimal(case["entity_id"]), body)
        yield equals(f"{name}: decodes", partial(decode_transmission, encoded, version, session_id), expected)
        yield equals(f"{name}: encoded", partial(encode_transmission, expected, version, session_id), encoded)
        yield equals(f"{name}: message", partial(_again, encode_broker, decode_broker, body, version), body)
        yield from _batch_checks(name, (encoded,), hexadecimal(case["batch1"]))


def _batches(document: Document, section_name: str) -> Iterator[Check]:
    session_id = _session_id(document)
    for version_name, contents in document[section_name].items():
        version = int(version_name.removeprefix("v"))
        name = f"{section_name} {version_name}"
        decoded = [decode_batch(hexadecimal(content)) for content in contents]
        every = tuple(transmission for batch in decoded for transmission in batch)
        yield equals(f"{name}: batches", partial(encode_batches, every), [hexadecimal(item) for item in contents])
        for index, data in enumerate(every):
            yield Check(f"{name}[{index}]", partial(_signed_command, document, data, version, session_id))


def _signed_command(document: Document, data: bytes, version: int, session_id: bytes) -> None:
    transmission = decode_transmission(data, version, session_id)
    same("transmission", encode_transmission(transmission, version, session_id), data)
    body, corr_id = transmission.body, transmission.corr_id
    same("command", _again(encode_command, decode_command, body, version), body)
    _authorised(document, transmission.auth, signed_bytes(session_id, corr_id, transmission.entity_id, body), corr_id)


# -- the rest ---------------------------------------------------------------------------------------------------------


def _client_handshake(document: Document, section_name: str) -> Iterator[Check]:
    case = document[section_name]
    yield from known_fields(case, section_name, {"encoded", "key_hash"})
    key = X25519PublicKey(hexadecimal(document["keys"]["client_session_key"]["public"]["raw"]))
    for version, data in _versions(case["encoded"]).items():
        hello = ClientHello(version, hexadecimal(case["key_hash"]), key if version >= 7 else None)
        name = f"{section_name} v{version}"
        yield equals(f"{name}: encoded", hello.encode, data)
        yield equals(f"{name}: decodes", partial(ClientHello.decode, data), hello)


_MSG_FIELDS = set(
    "dh_secret encrypted flags_notification msg_ts nonce note plaintext_rcv_msg_body quota_encrypted sent_body".split()
)


def _msg_body(document: Document, section_name: str) -> Iterator[Check]:
    case = document[section_name]
    yield from known_fields(case, section_name, _MSG_FIELDS)
    secret, nonce = hexadecimal(case["dh_secret"]), hexadecimal(case["nonce"])
    message = RcvMessage(case["msg_ts"], case["flags_notification"], hexadecimal(case["sent_body"]))
    sealed = hexadecimal(case["encrypted"])
    yield equals(f"{section_name}: secret", partial(_msg_secret, document), secret)
    yield equals(
        f"{section_name}: plaintext",
        partial(encode_rcv_message, message),
        hexadecimal(case["plaintext_rcv_msg_body"]),
    )
    yield equals(f"{section_name}: sealed", partial(seal_message, secret, nonce, message), sealed)
    yield equals(f"{section_name}: opens", partial(open_message, secret, nonce, sealed), message)
    quota, sealed_quota = QuotaMarker(case["msg_ts"]), hexadecimal(case["quota_encrypted"])
    yield equals(f"{section_name}: quota sealed", partial(seal_message, secret, nonce, quota), sealed_quota)
    yield equals(f"{section_name}: quota opens", partial(open_message, secret, nonce, sealed_quota), quota)
    yield equals(
        f"{section_name}: unpadded",
        partial(cb_decrypt, secret, nonce, sealed),
        hexadecimal(case["plaintext_rcv_msg_body"]),
    )


def _msg_secret(document: Document) -> bytes:
    recipient, relay = (_private(document["keys"][name]) for name in ("rcv_dh", "srv_dh"))
    public = relay.public()
    if not isinstance(recipient, X25519PrivateKey) or not isinstance(public, X25519PublicKey):
        raise DecodeError("the keys of the box are not X25519 keys")
    return recipient.exchange(public)


def _server(document: Document, _: str) -> Iterator[Check]:
    wire = hexadecimal(document["server_smp"])
    yield equals("server_smp: again", lambda: smp_server.encode(smp_server.decode(wire)), wire)


def _server_text(document: Document, _: str) -> Iterator[Check]:
    text = document["server_str"]
    yield equals("server_str: again", lambda: format_server(parse_server(text)), text)
    if "server_smp" in document:
        wire = hexadecimal(document["server_smp"])
        yield equals("server_str: from bytes", lambda: format_server(smp_server.decode(wire)), text)


def _range(expected: VersionRange, data: bytes, name: str) -> Iterator[Check]:
    yield equals(f"{name}: encoded", partial(version_range.encode, expected), data)
    yield equals(f"{name}: decodes", partial(version_range.decode, data), expected)


_SECTIONS: dict[str, Section] = {
    "batch_2_signed": _batches,
    "broker_messages": _coded(encode_broker, decode_broker, {"encoded", "name"}),
    "client_handshake": _client_handshake,
    "client_transmissions": _client_transmissions,
    "commands": _coded(encode_command, decode_command, {"encoded", "name", "show"}),
    "ids": _ids,
    "keys": _keys,
    "msg_body": _msg_body,
    "server_smp": _server,
    "server_str": _server_text,
    "server_transmissions": _server_transmissions,
}
_SHARED = {"ids", "keys"}
