"""Format of ``*.link.txt``: a full link, and the short one or ``None``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from smpchat.agent.wire.link_data import connection_request
from smpchat.agent.wire.links import ConnectionLink, InvitationLink, LinkScheme, format_link, parse_link
from smpchat.agent.wire.short_links import ShortContact, ShortInvitation, ShortLink, format_short_link, short_link
from smpchat.encoding.record import replace
from smpchat.protocol.queue_mode import QueueMode
from tests.vectors.check import Check, Document, Mismatch, same
from tests.vectors.documents import LinkText


def recognises(document: Document) -> bool:
    """Lines that are links."""
    return isinstance(document, LinkText) and bool(document.links)


def checks(document: Document) -> Iterator[Check]:
    """Every link, and that all lead to the same relay."""
    for index, line in enumerate(document.lines):
        name = f"line {index + 1}"
        if line == "None":
            yield Check(f"{name}: no short link beside a full one", partial(same, "links", len(document.links), 1))
        else:
            yield from link_checks(line, name)
    if len(document.links) > 1:
        yield Check("all links name one relay", partial(same_relay, document.links))


def link_checks(text: str, name: str) -> Iterator[Check]:
    """Text and binary form of one link, full or short."""
    yield Check(f"{name}: text", partial(_text_round_trip, text))
    yield Check(f"{name}: bytes", partial(_binary_round_trip, text))


def full_link(text: str) -> ConnectionLink:
    """The full link in ``text``. Raises `Mismatch` for a short one."""
    link = parse_link(text)
    if isinstance(link, ShortInvitation | ShortContact):
        raise Mismatch("a short link where a full one belongs")
    return link


def any_short_link(text: str) -> ShortLink:
    """The short link in ``text``. Raises `Mismatch` for a full one."""
    link = parse_link(text)
    if not isinstance(link, ShortInvitation | ShortContact):
        raise Mismatch("a full link where a short one belongs")
    return link


def link_text(link: ConnectionLink | ShortLink, like: str) -> str:
    """The text of a link, with the scheme of ``like``."""
    if isinstance(link, ShortInvitation | ShortContact):
        return format_short_link(link)
    scheme = LinkScheme.WEB if like.startswith(LinkScheme.WEB) else LinkScheme.SIMPLEX
    return format_link(link, scheme)


def with_modes(link: ConnectionLink) -> ConnectionLink:
    """The link as its binary form gives it: a queue without a mode is a contact queue."""
    return replace(link, queues=tuple(replace(queue, mode=queue.mode or QueueMode.CONTACT) for queue in link.queues))


def _text_round_trip(text: str) -> None:
    same("text", link_text(parse_link(text), text), text)


def _binary_round_trip(text: str) -> None:
    link = parse_link(text)
    if isinstance(link, ShortInvitation | ShortContact):
        same("link", short_link.decode(short_link.encode(link)), replace(link, web=True))
    else:
        plain = without_reply_key(link)
        same("link", connection_request.decode(connection_request.encode(plain)), with_modes(plain))


def without_reply_key(link: ConnectionLink) -> ConnectionLink:
    """The link without what has no place in its binary form."""
    return replace(link, reply_key=None) if isinstance(link, InvitationLink) else link


def same_relay(texts: tuple[str, ...]) -> None:
    """Raises `Mismatch` unless all links lead to one relay."""
    relays = []
    for text in texts:
        link = parse_link(text)
        relays.append(link.server if isinstance(link, ShortInvitation | ShortContact) else link.queues[0].server)
    for relay in relays[1:]:
        same("relay", relay, relays[0])
