"""Addresses of queues as peers send them to each other: in links, in confirmations, and in messages about moving a
queue.

Source: agent-wire 2.2 and 2.6.
"""

from __future__ import annotations

from smpchat.crypto.keys import X25519PublicKey, key_from_text, key_to_text, x25519_key
from smpchat.encoding.codec import Codec, mapped, non_empty, record, short_bytes, word16
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.record import Record
from smpchat.encoding.text import from_base64url, read_query, to_base64url, write_query
from smpchat.protocol.address import (
    FINGERPRINT_SIZE,
    SMPServer,
    checked_server,
    format_server,
    parse_server,
    smp_server,
)
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange, version_range

CLIENT_VERSIONS = VersionRange(1, 4)
"""The SMP client versions that smpchat supports (agent-wire 1.2). Version 2 added relay addresses with several
hosts, version 3 ``sndSecure``, and version 4 the queue mode and short links."""


class QueueAddress(Record):
    """Relay and sender id of a queue."""

    server: SMPServer
    sender_id: bytes


class QueueInfo(Record):
    """The address and the key of a queue, for one SMP client version, as sent in confirmations and QKEY messages.

    Attributes:
        version: The SMP client version that was agreed for the queue through which this record is sent.
        dh_key: The recipient's public key for the per-queue box.
        mode: A messaging queue may be secured by its sender, a contact queue may not. None if the mode is unknown.
    """

    version: int
    server: SMPServer
    sender_id: bytes
    dh_key: X25519PublicKey
    mode: QueueMode | None


class QueueURI(Record):
    """The address and the key of a queue, with the range of SMP client versions that the queue's owner supports, as
    sent in links and QADD messages."""

    versions: VersionRange
    server: SMPServer
    sender_id: bytes
    dh_key: X25519PublicKey
    mode: QueueMode | None

    def at(self, version: int) -> QueueInfo:
        """The address and the key of this queue, for the SMP client version ``version``."""
        return QueueInfo(version, self.server, self.sender_id, self.dh_key, self.mode)


_MODE_LETTERS = {
    b"M": QueueMode.MESSAGING,
    b"T": QueueMode.MESSAGING,
    b"C": QueueMode.CONTACT,
    b"F": QueueMode.CONTACT,
}


def _read_mode(reader: Reader) -> QueueMode | None:
    # The letter of the mode may be missing. In a confirmation, the connection info follows the mode. Connection info
    # begins with { or X, so it cannot be taken for the letter of a mode (agent-wire 2.6, trap 22). The connection info
    # that we send must begin with { or X for the same reason.
    for letter, mode in _MODE_LETTERS.items():
        if reader.starts_with(letter):
            reader.take(1)
            return mode
    return None


def _write_mode(version: int, mode: QueueMode | None) -> bytes:
    if version >= 4:
        return mode.value if mode else b""
    return b"T" if version == 3 and mode is QueueMode.MESSAGING else b""


def _write_info(info: QueueInfo) -> bytes:
    server = smp_server.write(info.server)
    if info.version < 2:  # a single host without a count
        server = smp_server.write(SMPServer(info.server.hosts[:1], info.server.port, info.server.key_hash))[1:]
    return (
        word16.write(info.version)
        + server
        + short_bytes.write(info.sender_id)
        + x25519_key.write(info.dh_key)
        + _write_mode(info.version, info.mode)
    )


def _named(server: SMPServer) -> SMPServer:
    """Returns ``server``, or raises `DecodeError` if the fingerprint of this relay is incomplete.

    A short link may leave the fingerprint out, but the address of a queue must contain it: without the whole
    fingerprint, we could never connect to the relay, and would try forever.
    """
    if len(server.key_hash) != FINGERPRINT_SIZE:
        raise DecodeError("queue at a relay without a whole fingerprint")
    return server


def _identified(sender_id: bytes) -> bytes:
    if not sender_id:
        raise DecodeError("queue without a sender id")
    return sender_id


_server: Codec[SMPServer] = mapped(smp_server, _named, lambda server: server)
_sender_id: Codec[bytes] = mapped(short_bytes, _identified, lambda sender_id: sender_id)


def _read_info(reader: Reader) -> QueueInfo:
    offset = reader.offset
    version = word16.read(reader)
    if version < 1:
        raise DecodeError("queue information with version 0", offset)
    if version == 1:
        host, port, key_hash = (short_bytes.read(reader) for _ in range(3))
        server = _server.decode(b"\x01" + b"".join(map(short_bytes.write, (host, port, key_hash))), "server")
    else:
        server = _server.read(reader)
    sender_id, dh_key = _sender_id.read(reader), x25519_key.read(reader)
    return QueueInfo(version, server, sender_id, dh_key, _read_mode(reader) if version >= 3 else None)


def _write_uri_binary(uri: QueueURI) -> bytes:
    if uri.versions.minimum >= 4:
        mode = uri.mode.value if uri.mode else b""
    elif uri.versions.minimum >= 3:
        mode = b"T" if uri.mode is QueueMode.MESSAGING else b"F"
    else:
        # If the version range begins below 3, no letter is written for a contact queue (agent-wire 2.6, trap 23).
        mode = b"T" if uri.versions.maximum >= 3 and uri.mode is QueueMode.MESSAGING else b""
    head = version_range.write(uri.versions) + smp_server.write(uri.server)
    return head + short_bytes.write(uri.sender_id) + x25519_key.write(uri.dh_key) + mode


def _read_uri_binary(reader: Reader) -> QueueURI:
    versions, server = version_range.read(reader), _server.read(reader)
    sender_id, dh_key = _sender_id.read(reader), x25519_key.read(reader)
    return QueueURI(versions, server, sender_id, dh_key, _read_mode(reader))


queue_address: Codec[QueueAddress] = record(QueueAddress, server=_server, sender_id=_sender_id)
queue_info = Codec(_write_info, _read_info)
queue_uri = Codec(_write_uri_binary, _read_uri_binary)
queue_infos = non_empty(queue_info)


def queue_uri_to_text(uri: QueueURI) -> str:
    """The text form of a queue inside links, ``smp://…`` (agent-wire 2.2)."""
    # Software with SMP client version 1 can read only one host. So if the version range begins at 1, the address
    # contains only the relay's first host, and the parameter `srv` contains the other hosts (agent-wire 2.2).
    single_host = uri.versions.minimum < 2
    server, others = uri.server, uri.server.hosts[1:]
    if single_host:
        server = SMPServer(server.hosts[:1], server.port, server.key_hash)
    parameters = [("v", str(uri.versions)), ("dh", key_to_text(uri.dh_key))]
    if uri.mode:
        parameters.append(("q", uri.mode.value.decode().lower()))
    if uri.mode is QueueMode.MESSAGING and uri.versions.minimum < 4:
        parameters.append(("k", "s"))
    if single_host and others:
        parameters.append(("srv", ",".join(others)))
    return f"{format_server(server)}/{to_base64url(uri.sender_id)}#/?{write_query(parameters)}"


def queue_uri_from_text(text: str) -> QueueURI:
    """Parses the text form ``smp://…``. Raises `DecodeError`.

    Old software writes the recipient's key directly after ``#``; such a text is valid, too.
    """
    authority, separator, rest = text.partition("#")
    address, slash, sender_id = authority.rpartition("/")
    if not separator or not slash:
        raise DecodeError("queue address without a sender id")
    legacy_key, question, query = rest.partition("?")
    parameters = read_query(query) if question else {}
    legacy_key = legacy_key.strip("/")
    key_text = legacy_key or parameters.get("dh", "")
    if not key_text:
        raise DecodeError("queue address without the recipient's key")
    server = parse_server(address)
    if server.password is not None:
        raise DecodeError("queue address with a password")
    hosts = server.server.hosts + tuple(filter(None, parameters.get("srv", "").split(",")))
    match parameters.get("q"), parameters.get("k"):
        case "m", _:
            mode: QueueMode | None = QueueMode.MESSAGING
        case "c", _:
            mode = QueueMode.CONTACT
        case _, "s":
            mode = QueueMode.MESSAGING
        case _:
            mode = None
    return QueueURI(
        versions=VersionRange.parse(parameters.get("v", "1")),
        server=checked_server(hosts, server.server.port, server.server.key_hash),
        sender_id=from_base64url(sender_id, "sender id"),
        dh_key=key_from_text(X25519PublicKey, key_text, "queue key"),
        mode=mode,
    )
