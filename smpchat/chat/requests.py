"""The contact address and its requests as people see them; and our own requests to the addresses of others."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from smpchat.agent import requesting
from smpchat.agent.connection import Context
from smpchat.agent.store import addresses, connections
from smpchat.agent.store.addresses import ReceivedRequest
from smpchat.chat import events, store
from smpchat.chat.application import publish
from smpchat.chat.content import whole
from smpchat.chat.errors import UnknownRequest
from smpchat.chat.message import decode_contact_request, encode_contact_request
from smpchat.chat.profile import Profile
from smpchat.chat.store import Contact, Direction
from smpchat.chat.wire import new_shared_id
from smpchat.encoding.text import to_base64url


@dataclass(frozen=True, slots=True)
class AddressView:
    """Our contact address.

    Attributes:
        connection: Id of the connection record that holds its queue.
        link: The full link; None until its queue exists.
        short_link: None where the relay keeps no link data.
        auto_accept: Every request is accepted at once.
        requests: Number of requests that wait for an answer.
    """

    connection: int
    link: str | None
    short_link: str | None
    auto_accept: bool
    requests: int


@dataclass(frozen=True, slots=True)
class RequestView:
    """Somebody asks to be a contact.

    Attributes:
        name: What they call themselves.
        text: What they say; None if nothing.
        received_at: POSIX seconds.
    """

    id: int
    name: str
    text: str | None = field(repr=False)
    received_at: float


def address_view(tx: sqlite3.Connection, address: addresses.Address) -> AddressView:
    """An address with its links."""
    link = connections.load(tx, address.connection_id).link
    waiting = addresses.count_requests(tx)
    return AddressView(address.connection_id, link, address.short_link, address.auto_accept, waiting)


def view(request: ReceivedRequest) -> RequestView:
    """A request; it was looked at before it was kept, so that it says who asks."""
    asked, _ = decode_contact_request(request.info)
    assert asked.profile is not None
    return RequestView(request.id, asked.profile.display_name, asked.text or None, request.received_at)


def find(tx: sqlite3.Connection, who: str) -> ReceivedRequest:
    """The request with this number, or of the only person with this name. Raises `UnknownRequest`."""
    waiting = addresses.requests(tx)
    by_number = [request for request in waiting if str(request.id) == who]
    found = by_number or [request for request in waiting if view(request).name == who]
    if len(found) != 1:
        raise UnknownRequest(who, len(found))
    return found[0]


# -- ours -------------------------------------------------------------------------------------------------------------


def introduce(
    tx: sqlite3.Connection, context: Context, contact: Contact, profile: Profile, texts: Sequence[str]
) -> Sequence[str]:
    """What the request that a new contact begins with says about us.

    The first text travels with the request, if it fits there: the address's owner reads it before deciding.

    Returns:
        The texts that are to wait.
    """
    request_id = to_base64url(context.entropy.random(16))
    for text in map(whole, filter(None, texts[:1])):
        shared_id = new_shared_id(context.entropy.random(12))
        info = encode_contact_request(profile, request_id, text, shared_id)
        if len(info) <= requesting.MAX_INFO:
            message_id = store.insert_message(tx, contact.id, Direction.SENT, text, context.now(), shared_id)
            requesting.introduce(tx, contact.connection_id, info, message_id)
            publish(tx, events.MessageAdded(message_id))
            return texts[1:]
    requesting.introduce(tx, contact.connection_id, encode_contact_request(profile, request_id), None)
    return texts
