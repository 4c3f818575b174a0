"""Format of ``agent.json``: queue addresses, links and their data, agent messages and envelopes, client messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from smpchat.agent.wire.envelope import (
    PLAIN_SIZES,
    PQ_SIZES,
    Confirmation,
    ConnInfo,
    ConnInfoReply,
    Hello,
    InvitationEnvelope,
    MessageEnvelope,
    NumberedMessage,
    QueueAdd,
    QueueContinue,
    QueueKey,
    QueueTest,
    QueueUse,
    RatchetInfo,
    RatchetKeyEnvelope,
    RatchetReady,
    Receipts,
    UserMessage,
    agent_envelope,
    agent_message,
)
from smpchat.agent.wire.link_data import (
    FIXED_PADDING,
    USER_PADDING,
    conn_link_data,
    connection_request,
    contact_keys,
    fixed_link_data,
    invitation_box_key,
    link_key_of,
    open_blob,
    open_link,
    seal_blob,
    signed,
)
from smpchat.agent.wire.queue import (
    QueueInfo,
    QueueURI,
    queue_info,
    queue_uri,
    queue_uri_from_text,
    queue_uri_to_text,
)
from smpchat.agent.wire.short_links import (
    ShortContact,
    ShortInvitation,
    ShortLink,
    format_short_link,
    short_link,
)
from smpchat.crypto.box import NONCE_SIZE
from smpchat.crypto.keys import Ed25519PrivateKey, Ed25519PublicKey, X25519PrivateKey, X25519PublicKey
from smpchat.encoding.codec import Codec, short_bytes
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer, parse_server
from smpchat.protocol.commands import Lnk
from smpchat.protocol.envelope import (
    CONFIRMATION_PADDING,
    MESSAGE_PADDING,
    PHConfirmation,
    PHEmpty,
    client_message,
    client_msg_envelope,
)
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange
from tests.vectors.check import Check, Document, Mismatch, equals, hexadecimal, same
from tests.vectors.formats import x3dh
from tests.vectors.formats.links import any_short_link, full_link, link_checks, with_modes
from tests.vectors.formats.smp import known_fields
from tests.vectors.reference import key_checks, public_key_checks

Case = dict[str, Any]
Section = Callable[[Document, str], Iterator[Check]]


def recognises(document: Document) -> bool:
    """A mapping with at least one section that only this format has."""
    return isinstance(document, dict) and any(name in document for name in _SECTIONS.keys() - _SHARED)


def checks(document: Document) -> Iterator[Check]:
    """Every answer of every section; a section that we do not know is a failure, not a gap."""
    for name, section in document.items():
        if name in _SECTIONS:
            yield from _SECTIONS[name](document, name)
        elif x3dh.is_case(section):
            yield from x3dh.case_checks(section, f"{name}: ")
        else:
            yield Check(name, _unknown)


def _unknown() -> None:
    raise Mismatch("unknown section")


# -- name and bytes ---------------------------------------------------------------------------------------------------

_KINDS: dict[str, type[object]] = {
    "AgentConnInfo": ConnInfo,
    "AgentConnInfoReply": ConnInfoReply,
    "AgentRatchetInfo": RatchetInfo,
    "AgentConfirmation": Confirmation,
    "AgentMsgEnvelope": MessageEnvelope,
    "AgentInvitation": InvitationEnvelope,
    "AgentRatchetKey": RatchetKeyEnvelope,
    "HELLO": Hello,
    "A_MSG": UserMessage,
    "A_RCVD": Receipts,
    "A_QCONT": QueueContinue,
    "QADD": QueueAdd,
    "QKEY": QueueKey,
    "QUSE": QueueUse,
    "QTEST": QueueTest,
    "EREADY": RatchetReady,
    "PHEmpty": PHEmpty,
    "PHConfirmation": PHConfirmation,
}
"""Types by the reference's names, with which the names of cases begin."""


def _coded(codec: Codec[Any], kind: Callable[[Any], object]) -> Section:
    """Cases of a name and bytes: they decode to what the name says, and encode to the same bytes."""

    def section(document: Document, section_name: str) -> Iterator[Check]:
        for index, case in enumerate(document[section_name]):
            name = f"{section_name}[{index}] {case['name']}"
            yield from known_fields(case, name, {"name", "smp", "nonce"})
            data = hexadecimal(case["smp"])
            yield equals(f"{name}: again", partial(_again, codec, data), data)
            expected = _KINDS.get(case["name"].split()[0].rstrip(","))
            if expected is not None:
                yield Check(f"{name}: type", partial(_is_kind, codec, data, kind, expected))
            version = re.search(r"\bv(\d+)\b", case["name"])
            if version and section_name != "agent_messages":  # there it is the version of a queue inside
                yield equals(f"{name}: version", partial(_version, data), int(version[1]))
            yield Check(f"{name}: keys", partial(_known_keys, codec, data, kind, document.get("keys")))
            if "nonce" in case:
                yield equals(f"{name}: nonce", partial(_nonce, data), hexadecimal(case["nonce"]))

    return section


def _again(codec: Codec[Any], data: bytes) -> bytes:
    return codec.encode(codec.decode(data))


def _is_kind(codec: Codec[Any], data: bytes, kind: Callable[[Any], object], expected: type[object]) -> None:
    same("type", type(kind(codec.decode(data))), expected)


def _version(data: bytes) -> int:
    return int.from_bytes(data[:2], "big")


def _known_keys(codec: Codec[Any], data: bytes, kind: Callable[[Any], object], keys: Case | None) -> None:
    """A key in a header is one of the file's."""
    key = getattr(kind(codec.decode(data)), "sender_key", None)
    if key is None or keys is None:
        return
    if key.der.hex() not in {record.get("public", record)["der"] for record in keys.values()}:
        raise Mismatch("a key that is not in this file")


def _nonce(data: bytes) -> bytes:
    return client_msg_envelope.decode(data).nonce


def _inner(message: Any) -> object:
    return message.message if isinstance(message, NumberedMessage) else message


# -- keys, ids, lengths -----------------------------------------------------------------------------------------------


def _keys(document: Document, section_name: str) -> Iterator[Check]:
    for name, record in document[section_name].items():
        public = record.get("public", record)
        x25519 = hexadecimal(public["der"]).startswith(X25519PublicKey.DER_PREFIX)
        if "private" not in record:
            yield from public_key_checks(f"keys: {name}", public, X25519PublicKey if x25519 else Ed25519PublicKey)
        elif x25519:
            yield from key_checks(f"keys: {name}", record, X25519PrivateKey, X25519PublicKey)
        else:
            yield from key_checks(f"keys: {name}", record, Ed25519PrivateKey, Ed25519PublicKey)


def _ids(document: Document, section_name: str) -> Iterator[Check]:
    """``snd_id`` is in every queue address, ``link_id`` in every invitation's short link."""
    for name, text in document[section_name].items():
        wire = short_bytes.encode(hexadecimal(text)).hex()
        sections = {"snd_id": ("queue_info", "queue_uri"), "link_id": ("short_links",)}.get(name)
        if sections is None:
            yield Check(f"ids: {name}", _unknown)
            continue
        for section in sections:
            if section in document:
                yield Check(f"ids: {name} in {section}", partial(_occurs, wire, document[section]))


def _occurs(text: str, section: object) -> None:
    if text not in str(section):
        raise Mismatch("does not occur")


_LENGTHS = {
    "e2eEncAgentMsgLength_v7_nopq": PLAIN_SIZES.message,
    "e2eEncAgentMsgLength_v7_pq": PQ_SIZES.message,
    "e2eEncConnInfoLength_v7_nopq": PLAIN_SIZES.confirmation,
    "e2eEncConnInfoLength_v7_pq": PQ_SIZES.confirmation,
    "e2eEncConfirmationLength": CONFIRMATION_PADDING,
    "e2eEncMessageLength": MESSAGE_PADDING,
    "maxMessageLength_v18": 16048,
    "paddedProxiedTLength": 16226,
}
"""Padded lengths in bytes (agent-wire 3.5, smp-wire 4.6); those of what smpchat does not send stand here as numbers."""


def _lengths(document: Document, section_name: str) -> Iterator[Check]:
    for name, value in document[section_name].items():
        yield equals(f"{section_name}: {name}", partial(_LENGTHS.get, name), value)


# -- queues -----------------------------------------------------------------------------------------------------------

_MODES = {"none": None, "messaging": QueueMode.MESSAGING, "contact": QueueMode.CONTACT}


def _queue_parts(document: Document, case: Case) -> tuple[SMPServer, bytes, X25519PublicKey, QueueMode | None]:
    key = X25519PublicKey(hexadecimal(document["keys"]["queue_dh_public"]["raw"]))
    return parse_server(case["server"]).server, hexadecimal(document["ids"]["snd_id"]), key, _MODES[case["queue_mode"]]


def _queue_info(document: Document, section_name: str) -> Iterator[Check]:
    for index, case in enumerate(document[section_name]):
        name = f"{section_name}[{index}] v{case['client_version']} {case['queue_mode']}"
        yield from known_fields(case, name, {"client_version", "queue_mode", "server", "smp"})
        version, wire = case["client_version"], hexadecimal(case["smp"])
        server, sender_id, key, mode = _queue_parts(document, case)
        info = QueueInfo(version, server, sender_id, key, mode)
        yield equals(f"{name}: encoded", partial(queue_info.encode, info), wire)
        # what the older forms leave out
        if version < 2:
            server = SMPServer(server.hosts[:1], server.port, server.key_hash)
        if version < 4 and (version < 3 or mode is not QueueMode.MESSAGING):
            mode = None
        expected = QueueInfo(version, server, sender_id, key, mode)
        yield equals(f"{name}: decodes", partial(queue_info.decode, wire), expected)
        yield equals(f"{name}: again", partial(_again, queue_info, wire), wire)


def _queue_uri(document: Document, section_name: str) -> Iterator[Check]:
    for index, case in enumerate(document[section_name]):
        versions = VersionRange(*case["client_range"])
        name = f"{section_name}[{index}] v{versions} {case['queue_mode']}"
        yield from known_fields(case, name, {"client_range", "queue_mode", "server", "smp", "str"})
        wire, text = hexadecimal(case["smp"]), case["str"]
        server, sender_id, key, mode = _queue_parts(document, case)
        uri = QueueURI(versions, server, sender_id, key, mode)
        yield equals(f"{name}: to bytes", partial(queue_uri.encode, uri), wire)
        yield equals(f"{name}: from bytes, again", partial(_again, queue_uri, wire), wire)
        yield equals(f"{name}: from bytes", partial(_without_mode, wire), replace(uri, mode=None))
        yield equals(f"{name}: to text", partial(queue_uri_to_text, uri), text)
        yield equals(f"{name}: from text", partial(queue_uri_from_text, text), uri)


def _without_mode(wire: bytes) -> QueueURI:
    """The queue, without the mode that ranges of older versions do not tell."""
    return replace(queue_uri.decode(wire), mode=None)


# -- links ------------------------------------------------------------------------------------------------------------


def _conn_requests(document: Document, section_name: str) -> Iterator[Check]:
    for index, case in enumerate(document[section_name]):
        name = f"{section_name}[{index}] {case['name']}"
        yield from known_fields(case, name, {"name", "smp", "str"})
        wire, text = hexadecimal(case["smp"]), case["str"]
        yield from link_checks(text, name)
        yield equals(f"{name}: to bytes", partial(_request_bytes, text), wire)
        yield equals(f"{name}: from bytes", partial(connection_request.decode, wire), with_modes(full_link(text)))
        yield equals(f"{name}: again", partial(_again, connection_request, wire), wire)


def _request_bytes(text: str) -> bytes:
    return connection_request.encode(full_link(text))


def _short_links(document: Document, section_name: str) -> Iterator[Check]:
    section = document[section_name]
    yield from known_fields(section, section_name, {"link_key", "links"})
    link_key = hexadecimal(section["link_key"])
    for index, case in enumerate(section["links"]):
        name = f"{section_name}[{index}] {case['name']}"
        yield from known_fields(case, name, {"name", "smp", "str"})
        wire, text = hexadecimal(case["smp"]), case["str"]
        yield equals(f"{name}: from bytes to text", partial(_short_text, wire, text), text)
        yield equals(f"{name}: from text to bytes", partial(_short_bytes, text), wire)
        yield equals(f"{name}: link key", partial(_link_key, text), link_key)
        yield Check(f"{name}: link id", partial(_link_id, text, document))


def _short_text(wire: bytes, like: str) -> str:
    return format_short_link(replace(short_link.decode(wire), web=like.startswith("https:")))


def _short_bytes(text: str) -> bytes:
    return short_link.encode(any_short_link(text))


def _link_key(text: str) -> bytes:
    return any_short_link(text).link_key


def _link_id(text: str, document: Document) -> None:
    link = any_short_link(text)
    if isinstance(link, ShortInvitation):
        same("link id", link.link_id.hex(), document["ids"]["link_id"])


_LINK_DATA_FIELDS = set(
    "conn_req_str enc_fixed_data enc_user_data link_id link_key mode sb_key signed_fixed_data signed_user_data".split()
)


def _link_data(document: Document, section_name: str) -> Iterator[Check]:
    root = Ed25519PrivateKey(hexadecimal(document["keys"]["link_root_ed25519"]["private"]["raw"]))
    for index, case in enumerate(document[section_name]):
        name = f"{section_name}[{index}] {case['mode']}"
        yield from known_fields(case, name, _LINK_DATA_FIELDS)
        link_key, box_key = hexadecimal(case["link_key"]), hexadecimal(case["sb_key"])
        if case["mode"] == "invitation":
            yield equals(f"{name}: box key", partial(invitation_box_key, link_key), box_key)
            yield equals(f"{name}: link id", partial(case.get, "link_id"), None)
        elif case["mode"] == "contact":
            yield equals(
                f"{name}: link id and box key",
                partial(contact_keys, link_key),
                (hexadecimal(case["link_id"]), box_key),
            )
        else:
            yield Check(f"{name}: mode", _unknown)
        yield from link_checks(case["conn_req_str"], name)
        for part, codec, length in (
            ("fixed", fixed_link_data, FIXED_PADDING),
            ("user", conn_link_data, USER_PADDING),
        ):
            content, blob = hexadecimal(case[f"signed_{part}_data"]), hexadecimal(case[f"enc_{part}_data"])
            data = content[1 + content[0] :]
            yield equals(f"{name}: {part} data again", partial(_again, codec, data), data)
            yield equals(f"{name}: {part} data signed", partial(signed, root, data), content)
            yield equals(
                f"{name}: {part} data sealed", partial(seal_blob, box_key, blob[:NONCE_SIZE], content, length), blob
            )
            yield equals(f"{name}: {part} data opens", partial(open_blob, box_key, blob), content)
            if part == "fixed":
                yield equals(f"{name}: link key", partial(link_key_of, data), link_key)
        yield Check(f"{name}: opens", partial(_opens, case))


def _opens(case: Case) -> None:
    request = full_link(case["conn_req_str"])
    queue = request.queues[0]
    key = hexadecimal(case["link_key"])
    link: ShortLink = (
        ShortInvitation(queue.server, bytes(24), key)
        if case["mode"] == "invitation"
        else ShortContact(queue.server, key)
    )
    answer = Lnk(queue.sender_id, hexadecimal(case["enc_fixed_data"]), hexadecimal(case["enc_user_data"]))
    same("request", open_link(link, answer).request, with_modes(request))


_SECTIONS: dict[str, Section] = {
    "agent_envelopes": _coded(agent_envelope, lambda envelope: envelope),
    "agent_messages": _coded(agent_message, _inner),
    "client_messages": _coded(client_message, lambda message: message.header),
    "client_msg_envelopes": _coded(client_msg_envelope, lambda envelope: envelope),
    "conn_requests": _conn_requests,
    "ids": _ids,
    "keys": _keys,
    "lengths": _lengths,
    "link_data": _link_data,
    "queue_info": _queue_info,
    "queue_uri": _queue_uri,
    "short_links": _short_links,
}
_SHARED = {"ids", "keys", "lengths"}
