"""Connection links: the texts of invitations and contact addresses, for people to pass on (agent-wire 2.1 to 2.5).

After all standard parameters, an invitation may have a reply key, ``rk``: the joiner then secures its reply queue with
this key. The reply key is our own extension; other software ignores the parameter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from smpchat.agent.errors import IncompatibleVersion, LinkError
from smpchat.agent.wire.envelope import AGENT_VERSIONS
from smpchat.agent.wire.queue import CLIENT_VERSIONS, QueueURI, queue_uri_from_text, queue_uri_to_text
from smpchat.agent.wire.short_links import ShortLink, cut_by_the_shell, is_short_link, parse_short_link
from smpchat.crypto.agreement import E2EParamsRange, e2e_params_from_text, e2e_params_to_text
from smpchat.crypto.errors import KeyFormatError
from smpchat.crypto.keys import Ed25519PublicKey
from smpchat.encoding.patterns import late
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field
from smpchat.encoding.text import from_base64url, read_query, to_base64url, write_query
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import VersionRange

E2E_VERSIONS = VersionRange(2, 3)
"""The versions of end-to-end encryption that smpchat supports (agent-wire 1.3). Version 3 added the optional KEM, and
lengths of two bytes in ratchet messages."""
MAX_LINK_LENGTH = 16_384
"""Longest text that is searched for a link. The longest real link, with two queues and a KEM key, has under 5,000
characters."""

_LINK = late(r"(simplex:|https://[^/#?\s]+)/(invitation|contact)/?#/?\??(.*)", re.DOTALL)
_REPLY_KEY_LENGTH = 59
"""The number of characters of base64url, without padding, for the 44-byte DER of an Ed25519 key."""


class LinkScheme(StrEnum):
    """The beginning of a full link. Apps show links that begin with ``https:``."""

    SIMPLEX = "simplex:"
    WEB = "https://simplex.chat"


class InvitationLink(Record):
    """A one-time invitation.

    Attributes:
        queues: Queues at which the initiator receives; only the first is used.
        e2e: The initiator's X3DH keys.
        reply_key: The key with which the joiner secures its reply queue, if the initiator offers one.
    """

    agent_versions: VersionRange
    queues: tuple[QueueURI, ...]
    e2e: E2EParamsRange
    reply_key: Ed25519PublicKey | None = None
    client_data: str | None = field(default=None, repr=False)

    @property
    def sender_securable(self) -> bool:
        """Whether the joiner may secure the queue itself (SKEY)."""
        return self.queues[0].mode is QueueMode.MESSAGING


class ContactLink(Record):
    """The full link of a contact address: many people may use it, and each of them sends a request."""

    agent_versions: VersionRange
    queues: tuple[QueueURI, ...]
    client_data: str | None = field(default=None, repr=False)


ConnectionLink = InvitationLink | ContactLink
"""A full link: everything needed to connect."""


class AgreedVersions(Record):
    """For each protocol layer, the highest version that both the link and we support."""

    agent: int
    client: int
    e2e: int


def agree_versions(link: InvitationLink) -> AgreedVersions:
    """The protocol versions to use when we join ``link`` (agent-wire 1.5). Raises `IncompatibleVersion`, which names
    the protocol layer that has no common version."""
    agent, client = agree_address_versions(link)
    return AgreedVersions(
        agent, client, _agree("end-to-end encryption", VersionRange(*link.e2e.versions), E2E_VERSIONS)
    )


def agree_address_versions(link: ConnectionLink) -> tuple[int, int]:
    """The agent version and the SMP client version to use with ``link``: all that a request to an address needs. Raises
    `IncompatibleVersion`, which names the protocol layer that has no common version."""
    return (
        _agree("agent protocol", link.agent_versions, AGENT_VERSIONS),
        _agree("SMP client", link.queues[0].versions, CLIENT_VERSIONS),
    )


def _agree(layer: str, theirs: VersionRange, ours: VersionRange) -> int:
    version = theirs.agree(ours)
    if version is None:
        raise IncompatibleVersion(layer, theirs, ours)
    return version


def format_link(link: ConnectionLink, scheme: LinkScheme = LinkScheme.SIMPLEX) -> str:
    """The text of a full link. Its parameters are in the same order as in simplexmq; our own ``rk`` is the last."""
    mode = "invitation" if isinstance(link, InvitationLink) else "contact"
    parameters = [
        ("v", str(link.agent_versions)),
        ("smp", ";".join(map(queue_uri_to_text, link.queues))),
    ]
    if isinstance(link, InvitationLink):
        parameters.append(("e2e", e2e_params_to_text(link.e2e)))
    if link.client_data is not None:
        parameters.append(("data", link.client_data))
    if isinstance(link, InvitationLink) and link.reply_key:
        parameters.append(("rk", _reply_key_text(link.reply_key)))
    return f"{scheme}/{mode}#/?{write_query(parameters)}"


def parse_link(text: str) -> ConnectionLink | ShortLink:
    """Parses the text of a link, full or short. Spaces around the link and unknown parameters are ignored.

    To find a link inside a longer text, use `smpchat.agent.wire.pasted`.

    Raises:
        LinkError: The text is not a valid link; the error is one sentence that names the wrong part.
    """
    text = text.strip()
    if not text:
        raise LinkError("The link is empty.")
    if len(text) > MAX_LINK_LENGTH:
        raise LinkError(f"This text is {len(text):,} characters long, which is too long for a link.")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise LinkError("The link is damaged: it contains characters that are not text.")
    if is_short_link(text):
        return parse_short_link(text)
    # A link may begin with https: and any host, because this is only the host of a web page that shows the link, not of
    # a relay (agent-wire 2.1).
    match = _LINK().match(text)
    if not match:
        raise LinkError("This is not a SimpleX connection link.")
    _, mode, query = match.groups()
    if not query:
        raise LinkError("The link is cut off: everything after # is missing.")
    if re.search(r"\s", query):
        raise LinkError("The link is broken by a space or line break: copy it in one piece.")
    try:
        parameters = read_query(query)
    except DecodeError as error:
        raise LinkError(f"The link is damaged: {error.what}.") from None
    # Unknown parameters are ignored in any position. Apps ignore unknown parameters, too, so they accept links with our
    # own parameter `rk` (agent-wire 2.5).
    versions = _part("v", parameters, _lenient_agent_versions)
    # Every queue address must be valid, although only the first is used (agent-wire 2.1, trap 35).
    queues = _part("smp", parameters, lambda value: tuple(map(queue_uri_from_text, value.split(";"))))
    data = parameters.get("data")
    if mode == "contact":
        return ContactLink(versions, queues, data)
    e2e = _part("e2e", parameters, e2e_params_from_text)
    reply_key = _part("rk", parameters, _reply_key) if "rk" in parameters else None
    return InvitationLink(versions, queues, e2e, reply_key, data)


_T = TypeVar("_T")
_PARTS = {
    "v": ("version range", "is"),
    "smp": ("queue address", "is"),
    "e2e": ("encryption keys", "are"),
    "rk": ("reply key", "is"),
}


def _part(name: str, parameters: dict[str, str], read: Callable[[str], _T]) -> _T:
    value = parameters.get(name)
    part, verb = _PARTS[name]
    if value is None:
        if name == "smp" and not parameters.keys() - {"v"}:
            raise cut_by_the_shell("v=…")
        raise LinkError(f"The link is cut off or damaged: its {part} ({name}) {verb} missing.")
    try:
        return read(value)
    except ValueError:
        raise LinkError(f"The link is cut off or damaged: its {part} ({name}) {verb} invalid.") from None


def _lenient_agent_versions(text: str) -> VersionRange:
    """Reads the range of agent versions. As in simplexmq, agent versions below 2 count as 2 (agent-wire 1.5)."""
    versions = VersionRange.parse(text)
    minimum = max(versions.minimum, AGENT_VERSIONS.minimum)
    return VersionRange(minimum, max(versions.maximum, minimum))


def _reply_key(text: str) -> Ed25519PublicKey:
    """Decodes the reply key. Only the exact form that we write is valid; with any other value of ``rk``, the link is
    malformed. Raises `DecodeError`."""
    if len(text) != _REPLY_KEY_LENGTH:
        raise DecodeError("reply key of a wrong length")
    try:
        key = Ed25519PublicKey.from_der(from_base64url(text, "reply key"))
    except KeyFormatError:
        raise DecodeError("reply key that is not an Ed25519 key") from None
    if _reply_key_text(key) != text:  # only one text is right: the last character has two unused bits
        raise DecodeError("reply key that is not encoded in the usual way")
    return key


def _reply_key_text(key: Ed25519PublicKey) -> str:
    return to_base64url(key.der, padding=False)
