"""Short links: a few dozen characters that lead to the full connection request, which a relay stores encrypted.

A short invitation contains the id and the key of the stored data. A short contact link contains only the key, from
which the id is derived (`smpchat.agent.wire.link_data`). Source: agent-wire 2.7 (the text of links) and 2.10
(shortened links, which name only one host of a public SimpleX relay).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TypeVar

from smpchat.agent.errors import LinkError, UnknownRelay
from smpchat.agent.wire.presets import PRESET_SERVERS
from smpchat.encoding.codec import Codec, fixed, record, short_bytes, tagged, within
from smpchat.encoding.patterns import late
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.record import Record, field, replace
from smpchat.encoding.text import bracketed, from_base64url, read_query, to_base64url, write_query
from smpchat.protocol.address import FINGERPRINT_SIZE, MAX_HOSTS, SMPServer, checked_server, smp_server

LINK_ID_SIZE, LINK_KEY_SIZE = 24, 32
"""Sizes in bytes."""

_SHORT_LINK = late(
    r"(?:simplex:|https://(?P<host>[^/#?\s]+))/(?P<letter>[A-Za-z])/?#(?P<ids>[^?\s]*)(?:\?(?P<query>\S*))?"
)
_START = late(r"(?:simplex:|https://[^/#?\s]+)/[A-Za-z]/?#")
_WEB_PORTS = frozenset({"", "443", "5223"})
"""A link to a preset relay (a public SimpleX relay) may name any of these ports, or no port: it is the same relay."""


class ContactType(Enum):
    """What a contact link leads to. The text of the link contains the enum's value, which is one letter."""

    CONTACT = "a"
    GROUP = "g"
    CHANNEL = "c"
    RELAY = "r"


class ShortInvitation(Record):
    """The short link of a one-time invitation. LKEY, the command that reads the link's data, also secures the queue.

    Attributes:
        server: The relay that has the data; without its fingerprint if the link was shortened, see `resolve`.
        link_id: 24 bytes, chosen by the relay.
        link_key: The key that decrypts the data; 32 bytes.
        web: Whether the link is written ``https://HOST/…``, not ``simplex:/…``.
    """

    server: SMPServer
    link_id: bytes
    link_key: bytes = field(repr=False)
    web: bool = True


class ShortContact(Record):
    """The short link of a contact address, group, channel or relay. Anybody who has the link can read its data
    (LGET)."""

    server: SMPServer
    link_key: bytes = field(repr=False)
    kind: ContactType = ContactType.CONTACT
    web: bool = True


ShortLink = ShortInvitation | ShortContact
_L = TypeVar("_L", bound=ShortLink)


# -- text -------------------------------------------------------------------------------------------------------------


def format_short_link(link: ShortLink) -> str:
    """The text of a short link. Its parameters are in the same order as in simplexmq."""
    server = link.server
    hosts = server.hosts[1:] if link.web else server.hosts
    parameters = [
        ("h", ",".join(hosts)),
        ("p", server.port),
        # Short links have base64 without padding, full links with padding (agent-wire 2.7, trap 25).
        ("c", to_base64url(server.key_hash, padding=False)),
    ]
    query = write_query((name, value) for name, value in parameters if value)
    start = f"https://{bracketed(server.hosts[0])}" if link.web else "simplex:"
    key = to_base64url(link.link_key, padding=False)
    if isinstance(link, ShortInvitation):
        letter, ids = "i", f"{to_base64url(link.link_id, padding=False)}/{key}"
    else:
        letter, ids = link.kind.value, key
    return f"{start}/{letter}#{ids}" + (f"?{query}" if query else "")


def without_key(text: str) -> str:
    """The short link of an invitation, with zeros in place of the key; the relay and the id stay.

    A contact link is returned unchanged.
    """
    link = parse_short_link(text)
    return text if isinstance(link, ShortContact) else format_short_link(replace(link, link_key=bytes(LINK_KEY_SIZE)))


def is_short_link(text: str) -> bool:
    """Whether the text begins like a short link. The rest of the text may be damaged."""
    return _START().match(text) is not None


def parse_short_link(text: str) -> ShortLink:
    """Reads the text of a short link; unknown parameters are ignored.

    Raises:
        LinkError: The text is not a valid short link; the error is one sentence that names the wrong part.
    """
    match = _SHORT_LINK().fullmatch(text)
    if not match:
        raise LinkError("The link is broken by a space or line break: copy it in one piece.")
    letter = match["letter"]
    kind = None if letter == "i" else _contact_type(letter)
    try:
        parameters = read_query(match["query"] or "")
    except DecodeError as error:
        raise LinkError(f"The link is damaged: {error.what}.") from None
    server = _server(match["host"], parameters)
    web = match["host"] is not None
    link_id, slash, link_key = match["ids"].rpartition("/")
    if kind is None:
        if not slash:
            raise LinkError("The link is cut off or damaged: the id or the key after # is missing.")
        return ShortInvitation(server, _sized(link_id, LINK_ID_SIZE), _sized(link_key, LINK_KEY_SIZE), web)
    if slash:
        raise LinkError("The link is damaged: there is one part too many after #.")
    return ShortContact(server, _sized(link_key, LINK_KEY_SIZE), kind, web)


def _contact_type(letter: str) -> ContactType:
    try:
        # All other letters are refused, such as s, which newer software uses for services: we could not use what such
        # a link leads to.
        return ContactType(letter.lower())
    except ValueError:
        what = "leads to a service" if letter.lower() == "s" else "is of an unknown kind"
        raise LinkError(
            f"This link {what} (/{letter}#). smpchat does not support such links.",
            "Ask for a link to a person: it contains /i# or /a#.",
        ) from None


def _sized(text: str, size: int) -> bytes:
    try:
        data = from_base64url(text, "key")
    except DecodeError:
        data = b""
    if len(data) != size:
        raise LinkError("The link is cut off or damaged: its key is invalid.")
    return data


def _server(host: str | None, parameters: dict[str, str]) -> SMPServer:
    listed = parameters.get("h", "")
    hosts = [*([] if host is None else [host]), *(listed.split(",") if listed else [])]
    if not hosts:
        raise LinkError("The link is cut off or damaged: it does not name its relay.")
    if host is not None and ":" in host and not host.startswith("["):
        raise LinkError("The link is damaged: it has a port where only a host is allowed.")
    try:
        key_hash = _key_hash(parameters["c"]) if "c" in parameters else b""
        return checked_server(hosts, parameters.get("p", ""), key_hash)
    except DecodeError as error:
        if hosts[MAX_HOSTS:]:
            raise LinkError(f"The link cannot be used: its relay has {error.what}.", "Ask for a new link.") from None
        raise LinkError("The link is cut off or damaged: the address of its relay is invalid.") from None


def _key_hash(text: str) -> bytes:
    """Decodes the relay's fingerprint. Raises `LinkError` if the fingerprint is incomplete, for example because the end
    of the link is missing."""
    try:
        key_hash = from_base64url(text, "fingerprint")
    except DecodeError:
        key_hash = b""
    if len(key_hash) != FINGERPRINT_SIZE:
        raise LinkError("The link is cut off or damaged: the fingerprint of its relay (c) is invalid.")
    return key_hash


# -- preset relays ----------------------------------------------------------------------------------------------------


def is_shortened(link: ShortLink) -> bool:
    """Whether the link leaves out its relay's fingerprint."""
    return not link.server.key_hash


def shorten(link: _L, presets: Iterable[SMPServer] = PRESET_SERVERS) -> _L:
    """The link with only the first host of its relay's address, if the relay is one of ``presets``; otherwise the link
    unchanged."""
    server = link.server
    for preset in presets:
        if (
            server.key_hash == preset.key_hash
            and set(server.hosts) <= set(preset.hosts)
            and (server.port == preset.port or (not preset.port and server.port in _WEB_PORTS))
        ):
            return replace(link, server=SMPServer(server.hosts[:1], "", b""))
    return link


def published(link: ShortLink) -> str:
    """Our own short link in the form that is given to people: shortened if apps know the relay.

    Only a shortened link begins with ``https:``, because only the relays that apps know have web pages for links.
    """
    link = shorten(link)
    return format_short_link(replace(link, web=is_shortened(link)))


def known_relay(server: SMPServer, presets: Iterable[SMPServer] = PRESET_SERVERS) -> SMPServer | None:
    """The relay in ``presets`` to which the first host of ``server`` belongs; None if there is none.

    Other hosts of ``server`` are not compared, because a shortened link names only the first host of its relay.
    """
    host = server.hosts[0].lower()
    return next((preset for preset in presets if host in map(str.lower, preset.hosts)), None)


def resolve(link: _L, presets: Iterable[SMPServer] = PRESET_SERVERS) -> _L:
    """The link with its relay's whole address, found in ``presets`` if the link was shortened.

    Raises:
        UnknownRelay: The link is shortened, and its relay is not in ``presets``.
    """
    if not is_shortened(link):
        return link
    known = known_relay(link.server, presets)
    # If a link is not quoted, the shell cuts it off at its first &. What is left has a host, but neither a port nor a
    # fingerprint. A shortened web link also has only a host, although it is complete.
    cut = known is not None and known.port and not link.server.port and not link.web
    if known is not None and not cut:
        return replace(link, server=known)
    if not link.web or link.server.hosts[1:] or link.server.port:  # a shortened link has only a host
        raise cut_by_the_shell("h=…", UnknownRelay)
    raise UnknownRelay(
        f"The link names the relay {link.server.host} without its fingerprint, and smpchat does not know that relay.",
        "Ask for the full link, or add its relay with `smpchat server add ADDRESS`.",
    )


def cut_by_the_shell(after: str, kind: type[LinkError] = LinkError) -> LinkError:
    """The error for a link from which everything after the first ``&`` is missing."""
    return kind(f"The link is cut off after {after}.", "The shell cut the link at &: put the link in quotes.")


# -- bytes ------------------------------------------------------------------------------------------------------------

_id: Codec[bytes] = within(short_bytes, fixed(LINK_ID_SIZE, "link id"))
_key: Codec[bytes] = within(short_bytes, fixed(LINK_KEY_SIZE, "link key"))
_contact = record(ShortContact, server=smp_server, link_key=_key)


def _read_contact(reader: Reader) -> ShortContact:
    offset = reader.offset
    letter = reader.take(1, "contact type")
    link = _contact.read(reader)
    for kind in ContactType:
        if letter == kind.value.upper().encode():
            return replace(link, kind=kind)
    raise DecodeError("unknown contact type", offset)


def _write_contact(link: ShortContact) -> bytes:
    return link.kind.value.upper().encode() + _contact.write(link)


short_link: Codec[ShortLink] = tagged(
    "short link",
    [
        (b"I", ShortInvitation, record(ShortInvitation, server=smp_server, link_id=_id, link_key=_key)),
        (b"C", ShortContact, Codec(_write_contact, _read_contact)),
    ],
)
"""The binary form of a short link inside link data. This form does not say whether the link, written as text, begins
with ``https:`` or ``simplex:``."""
