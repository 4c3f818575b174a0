"""The data that a relay keeps for a short link: two signed and sealed blobs (agent-wire 2.6 to 2.9).

The fixed blob holds the connection request. The link's key is the hash of the fixed blob's content, so nobody can
change this content. The user blob holds what people see before they connect. The user blob must be signed with the root
key, or with the key of an owner whom the root key authorised. The end of the user blob may hold a reply key
(`InvitationLink`), which is our own extension; other software ignores it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

from smpchat.agent.errors import LinkDataError
from smpchat.agent.wire.links import ConnectionLink, ContactLink, InvitationLink
from smpchat.agent.wire.queue import QueueURI, queue_uri
from smpchat.agent.wire.short_links import (
    LINK_ID_SIZE,
    ShortInvitation,
    ShortLink,
    resolve,
    short_link,
)
from smpchat.crypto.agreement import e2e_params_range
from smpchat.crypto.box import KEY_SIZE, NONCE_SIZE, cb_decrypt, cb_encrypt
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError, PaddingError, VerificationError
from smpchat.crypto.kdf import hkdf_sha512
from smpchat.crypto.kem import KEMAccepted
from smpchat.crypto.keys import Ed25519PrivateKey, Ed25519PublicKey, ed25519_key
from smpchat.encoding.codec import (
    Codec,
    boolean,
    fixed,
    large_bytes,
    many,
    mapped,
    maybe,
    non_empty,
    record,
    short_bytes,
    tagged,
    within,
)
from smpchat.encoding.reader import DecodeError, EncodeError, Reader
from smpchat.encoding.record import Record, field, replace
from smpchat.protocol.commands import Lnk
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange, version_range

FIXED_PADDING, USER_PADDING = 2008, 13784
"""Padded length of each blob's content, in bytes. The nonce and the authentication tag of a blob add 40 bytes."""

_REPLY_KEY_NAME = short_bytes.write(b"rk")
_LONG = 0xFF
"""First byte of user data that are longer than 254 bytes: their length follows in two more bytes. For shorter data, the
first byte is the length."""


# -- connection request -----------------------------------------------------------------------------------------------


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise DecodeError("client data is not UTF-8") from None


def _with_mode(queues: tuple[QueueURI, ...]) -> tuple[QueueURI, ...]:
    """The queues, with the mode CONTACT where none was given: in older versions, the binary form of a queue cannot name
    this mode."""
    # The reference, too, sets the mode CONTACT when it reads a link (agent-wire 2.6, trap 23).
    return tuple(replace(queue, mode=queue.mode or QueueMode.CONTACT) for queue in queues)


_request_fields: dict[str, Codec[Any]] = {
    "agent_versions": version_range,
    "queues": mapped(non_empty(queue_uri), _with_mode, lambda queues: queues),
    "client_data": maybe(mapped(large_bytes, _text, lambda text: text.encode())),
}
_invitation_request = record(InvitationLink, **_request_fields, e2e=e2e_params_range)


def _read_invitation_request(reader: Reader) -> InvitationLink:
    link = _invitation_request.read(reader)
    if isinstance(link.e2e.kem, KEMAccepted):
        raise DecodeError("a connection request proposes a KEM key; it cannot accept one")
    return link


def _write_invitation_request(link: InvitationLink) -> bytes:
    if link.reply_key is not None:
        raise EncodeError("a connection request has no room for a reply key")
    return _invitation_request.write(link)


connection_request: Codec[ConnectionLink] = tagged(
    "connection request",
    [
        (b"I", InvitationLink, Codec(_write_invitation_request, _read_invitation_request)),
        (b"C", ContactLink, record(ContactLink, **_request_fields)),
    ],
)
"""The binary form of a full link (``ConnectionRequestUri``), without the reply key."""


# -- the two parts ----------------------------------------------------------------------------------------------------


class FixedLinkData(Record):
    """The part of a link's data that never changes.

    Attributes:
        root_key: Public key of the person who made the link. This key verifies the signature of the fixed data, and
            that of the user data unless another owner signed them.
        entity_id: An id that apps put into some kinds of contact links.
    """

    agent_versions: VersionRange
    root_key: Ed25519PublicKey
    request: ConnectionLink
    entity_id: bytes | None = None


class OwnerAuth(Record):
    """A person who, like the maker of a contact link, may sign the link's user data.

    Attributes:
        signature: A signature over owner id and key (DER), made by the root key or by an owner listed earlier.
    """

    owner_id: bytes
    key: Ed25519PublicKey
    signature: bytes


class InvitationLinkData(Record):
    """The content of an invitation's user blob: the user data, and the reply key if the link's maker offers one."""

    agent_versions: VersionRange
    user_data: bytes = field(repr=False)
    reply_key: Ed25519PublicKey | None = None


class ContactLinkData(Record):
    """The content of a contact link's user blob.

    Attributes:
        direct: Whether people connect to the link's queue itself, not through ``relays``.
    """

    agent_versions: VersionRange
    user_data: bytes = field(repr=False)
    direct: bool = True
    owners: tuple[OwnerAuth, ...] = ()
    relays: tuple[ShortLink, ...] = ()


ConnLinkData = InvitationLinkData | ContactLinkData


def _read_entity_id(reader: Reader) -> bytes | None:
    """The entity id, if the fixed data contain one. Anything else that follows the known fields belongs to a future
    version, and is ignored."""
    # We ignore unknown data after the known fields, as simplexmq 6.5.5 does. We write no such data, because apps of
    # 2025 refuse a link that contains them (agent-wire 2.5, trap 42).
    tail = Reader(reader.rest())
    try:
        return short_bytes.read(tail)
    except DecodeError:
        return None


_entity_id: Codec[bytes | None] = Codec(
    lambda value: b"" if value is None else short_bytes.write(value), _read_entity_id
)
fixed_link_data: Codec[FixedLinkData] = record(
    FixedLinkData,
    agent_versions=version_range,
    root_key=ed25519_key,
    request=connection_request,
    entity_id=_entity_id,
)


def _write_user_data(data: bytes) -> bytes:
    return short_bytes.write(data) if len(data) < _LONG else bytes([_LONG]) + large_bytes.write(data)


def _read_user_data(reader: Reader) -> bytes:
    if reader.peek() == _LONG:
        reader.take(1)
        return large_bytes.read(reader)
    return short_bytes.read(reader)


def _read_reply_key(reader: Reader) -> Ed25519PublicKey | None:
    """The reply key at the end of the user blob, if there is one. Other data at the end of the blob belongs to other
    software and is ignored. If the name ``rk`` is followed by anything but a key, the link is malformed."""
    if not reader.starts_with(_REPLY_KEY_NAME):
        reader.rest()
        return None
    reader.take(len(_REPLY_KEY_NAME))
    key = ed25519_key.read(reader)
    reader.rest()
    return key


def _read_owner(reader: Reader) -> OwnerAuth:
    inner = Reader(short_bytes.read(reader))  # like the reference, ignore bytes after the known fields
    return _owner_fields.read(inner)


_user_data: Codec[bytes] = Codec(_write_user_data, _read_user_data)
_reply_key: Codec[Ed25519PublicKey | None] = Codec(
    lambda key: b"" if key is None else _REPLY_KEY_NAME + ed25519_key.write(key), _read_reply_key
)
_owner_fields = record(
    OwnerAuth, owner_id=short_bytes, key=ed25519_key, signature=within(short_bytes, fixed(64, "signature"))
)
_owner: Codec[OwnerAuth] = Codec(lambda owner: short_bytes.write(_owner_fields.write(owner)), _read_owner)
_contact_data = record(
    ContactLinkData,
    agent_versions=version_range,
    direct=boolean,
    owners=many(_owner),
    relays=many(short_link),
    user_data=_user_data,
)


def _read_contact_data(reader: Reader) -> ContactLinkData:
    data = _contact_data.read(reader)
    reader.rest()
    return data


conn_link_data: Codec[ConnLinkData] = tagged(
    "link data",
    [
        (
            b"I",
            InvitationLinkData,
            record(InvitationLinkData, agent_versions=version_range, user_data=_user_data, reply_key=_reply_key),
        ),
        (b"C", ContactLinkData, Codec(_contact_data.write, _read_contact_data)),
    ],
)


# -- keys, signatures, boxes ------------------------------------------------------------------------------------------


def sender_id_for(corr_id: bytes) -> bytes:
    """The sender id that NEW with link data must ask for: it is derived from the command's correlation id.

    The hash is SHA3-384, although the comment in the reference says otherwise (trap 10).
    """
    return hashlib.sha3_384(corr_id).digest()[:24]


def link_key_of(fixed_data: bytes) -> bytes:
    """The link's key: SHA3-256 of the unsigned fixed data."""
    # The signature, which is stored in front of the data, is not hashed (agent-wire trap 11). The hash is SHA3-256
    # here, but SHA3-384 in `sender_id_for`.
    return hashlib.sha3_256(fixed_data).digest()


def invitation_box_key(link_key: bytes) -> bytes:
    """The key that seals and opens both blobs of an invitation."""
    return hkdf_sha512(b"", link_key, b"SimpleXInvLink", KEY_SIZE)


def contact_keys(link_key: bytes) -> tuple[bytes, bytes]:
    """The link id of a contact link, and the key that seals and opens both blobs."""
    output = hkdf_sha512(b"", link_key, b"SimpleXContactLink", LINK_ID_SIZE + KEY_SIZE)
    return output[:LINK_ID_SIZE], output[LINK_ID_SIZE:]


def signed(root_key: Ed25519PrivateKey, data: bytes) -> bytes:
    """The signature of ``data``, followed by ``data``."""
    return short_bytes.write(root_key.sign(data)) + data


def _unsigned(blob: bytes, what: str) -> tuple[bytes, bytes]:
    reader = Reader(blob)
    try:
        return short_bytes.read(reader), reader.rest()
    except DecodeError:
        raise LinkDataError(f"The link's {what} is invalid.") from None


def seal_blob(box_key: bytes, nonce: bytes, content: bytes, padded_length: int) -> bytes:
    """A sealed blob: the nonce and the box. Raises `LinkDataError` for content that does not fit."""
    try:
        return nonce + cb_encrypt(box_key, nonce, content, padded_length)
    except PaddingError:
        raise LinkDataError(
            f"The link's data is {len(content):,} bytes long; at most {padded_length - 2:,} fit."
        ) from None


def open_blob(box_key: bytes, blob: bytes) -> bytes:
    """The decrypted content of a blob. Raises `LinkDataError`."""
    try:
        return cb_decrypt(box_key, blob[:NONCE_SIZE], blob[NONCE_SIZE:])
    except CryptoError:
        raise LinkDataError("The link's key does not decrypt the data at its relay.") from None


# -- making -----------------------------------------------------------------------------------------------------------


class SealedLink(Record):
    """A link's key and the blobs for NEW or LSET.

    Attributes:
        link_id: The id of a contact link. None for an invitation, whose id comes from the relay, in IDS.
        fixed: The sealed fixed blob, 2,048 bytes.
        user: The sealed user blob, 13,824 bytes.
    """

    link_key: bytes = field(repr=False)
    link_id: bytes | None
    fixed: bytes
    user: bytes


def seal_link(
    root_key: Ed25519PrivateKey,
    request: ConnectionLink,
    user_data: bytes,
    entropy: Entropy,
) -> SealedLink:
    """The key, id and blobs of a new short link to ``request``. The request's reply key, if any, is put into the user
    blob.

    If the blobs are to be sent in a NEW, the request's first queue must have the sender id that `sender_id_for` returns
    for the NEW's correlation id.

    Raises:
        LinkDataError: Request or user data are too long.
    """
    data: ConnLinkData
    if isinstance(request, InvitationLink):
        data = InvitationLinkData(request.agent_versions, user_data, request.reply_key)
        request = replace(request, reply_key=None)
    else:
        data = ContactLinkData(request.agent_versions, user_data)
    fixed_bytes = fixed_link_data.encode(FixedLinkData(request.agent_versions, root_key.public(), request))
    link_key = link_key_of(fixed_bytes)
    link_id, box_key = _keys(isinstance(request, InvitationLink), link_key)
    return SealedLink(
        link_key,
        link_id,
        seal_blob(box_key, entropy.random(NONCE_SIZE), signed(root_key, fixed_bytes), FIXED_PADDING),
        seal_user_data(root_key, box_key, data, entropy),
    )


def seal_user_data(root_key: Ed25519PrivateKey, box_key: bytes, data: ConnLinkData, entropy: Entropy) -> bytes:
    """A new user blob for an existing link, to be sent in LSET. Raises `LinkDataError` for data that is too long."""
    content = signed(root_key, conn_link_data.encode(data))
    return seal_blob(box_key, entropy.random(NONCE_SIZE), content, USER_PADDING)


def _keys(is_invitation: bool, link_key: bytes) -> tuple[bytes | None, bytes]:
    return (None, invitation_box_key(link_key)) if is_invitation else contact_keys(link_key)


# -- opening ----------------------------------------------------------------------------------------------------------


class OpenedLink(Record):
    """What a short link leads to, after all checks passed.

    Attributes:
        request: The full link, with the relay's address as in the short link, and with the reply key if there is one.
        user_data: The user data as the link's maker wrote them; see `smpchat.agent.wire.user_data.read_user_json`.
    """

    request: ConnectionLink
    fixed: FixedLinkData
    data: ConnLinkData

    @property
    def user_data(self) -> bytes:
        """What people see before they connect."""
        return self.data.user_data


def open_link(link: ShortLink, answer: Lnk) -> OpenedLink:
    """Open and check what a relay answered to LKEY or LGET. The order of the checks is that of agent-wire 2.7.

    Raises:
        LinkError: The link does not contain the whole address of its relay, and this program does not know that relay.
        LinkDataError: The data does not match this link; the error says which check failed.
    """
    link = resolve(link)
    _, box_key = _keys(isinstance(link, ShortInvitation), link.link_key)
    # The relay may have changed this data, to lead us elsewhere. Only two things prove what the link's maker wrote: the
    # link's key, which is the hash of the fixed part, and the signatures by the root key in the fixed part.
    fixed_blob, user_blob = open_blob(box_key, answer.fixed), open_blob(box_key, answer.user)
    fixed_signature, fixed_bytes = _unsigned(fixed_blob, "data")
    if not hmac.compare_digest(link_key_of(fixed_bytes), link.link_key):
        raise LinkDataError("The relay returned data that was not made for this link.")
    fixed_part = _decode(fixed_link_data, fixed_bytes, "data")
    _verify(fixed_part.root_key, fixed_signature, fixed_bytes, "data")
    user_signature, user_bytes = _unsigned(user_blob, "user data")
    data = _decode(conn_link_data, user_bytes, "user data")
    if not isinstance(data, InvitationLinkData if isinstance(link, ShortInvitation) else ContactLinkData):
        raise LinkDataError("The link's user data does not match the kind of link.")
    _verify_user_data(fixed_part.root_key, data, user_signature, user_bytes)
    request = fixed_part.request
    if not isinstance(request, InvitationLink if isinstance(link, ShortInvitation) else ContactLink):
        raise LinkDataError("The link's data does not match the kind of link.")
    return OpenedLink(_checked_request(link, answer, request, data), fixed_part, data)


def _decode(codec: Codec[Any], data: bytes, what: str) -> Any:
    try:
        return codec.decode(data, what)
    except DecodeError:
        raise LinkDataError(f"The link's {what} is invalid.") from None


def _verify(key: Ed25519PublicKey, signature: bytes, data: bytes, what: str) -> None:
    try:
        key.verify(signature, data)
    except VerificationError:
        raise LinkDataError(f"The link's {what} is not signed by the person who made the link.") from None


def _verify_user_data(root_key: Ed25519PublicKey, data: ConnLinkData, signature: bytes, signed_bytes: bytes) -> None:
    keys = [root_key]
    if isinstance(data, ContactLinkData):
        keys += _owner_keys(root_key, data.owners)
    if not any(_verifies(key, signature, signed_bytes) for key in keys):
        raise LinkDataError("The link's user data is not signed by the person who made the link.")


def _owner_keys(root_key: Ed25519PublicKey, owners: Iterable[OwnerAuth]) -> list[Ed25519PublicKey]:
    """Keys of the owners, each authorised by the root key or by an earlier owner. Raises `LinkDataError`."""
    keys = [root_key]
    for owner in owners:
        if not any(_verifies(key, owner.signature, owner.owner_id + owner.key.der) for key in keys):
            raise LinkDataError("The link names an owner who was not authorised.")
        keys.append(owner.key)
    return keys[1:]


def _verifies(key: Ed25519PublicKey, signature: bytes, data: bytes) -> bool:
    try:
        key.verify(signature, data)
    except VerificationError:
        return False
    return True


def _checked_request(link: ShortLink, answer: Lnk, request: ConnectionLink, data: ConnLinkData) -> ConnectionLink:
    first = request.queues[0]
    if link.server.hosts[0] not in first.server.hosts:
        raise LinkDataError("The link names one relay, and its data at the relay names another.")
    if answer.sender_id != first.sender_id:
        raise LinkDataError("The link leads to one queue, and its data at the relay names another.")
    # As in the reference (agent-wire 2.7), the relay's address comes from the link: we have read the data at this
    # address, and the relay may have got more hosts since the data was made.
    queues = (replace(first, server=link.server), *request.queues[1:])
    if isinstance(request, InvitationLink):
        reply_key = data.reply_key if isinstance(data, InvitationLinkData) else None
        return replace(request, queues=queues, reply_key=reply_key)
    return replace(request, queues=queues)
