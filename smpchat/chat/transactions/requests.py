"""Requests to our contact address, as users see them; and our own requests to the addresses of others."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from smpchat.agent.context import Context
from smpchat.agent.store import addresses, connections, sent_requests
from smpchat.agent.store.addresses import ReceivedRequest
from smpchat.chat.errors import UnknownRequest
from smpchat.chat.store import events, incognito, records
from smpchat.chat.store.address import RequestView
from smpchat.chat.store.feed import publish
from smpchat.chat.store.records import Contact, Direction
from smpchat.chat.transactions import naming
from smpchat.chat.wire.bodies import new_shared_id, pack_info
from smpchat.chat.wire.content import whole
from smpchat.chat.wire.message import ContactRequest, decode_contact_request, encode_contact_request
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace
from smpchat.encoding.text import to_base64url


def view(tx: sqlite3.Connection, request: ReceivedRequest) -> RequestView:
    """A request as the user sees it. Requests were checked before they were stored, so each has a profile."""
    from smpchat.agent.transactions import contact_address  # imports the handshake; few commands show requests

    asked, _ = decode_contact_request(request.info)
    assert asked.profile is not None
    name = asked.profile.display_name
    return RequestView(
        request.id,
        name,
        asked.text or None,
        request.received_at,
        contact_address.reason_against(tx, request),
        request.in_turn,
        naming.like(tx, name),
    )


def _name(request: ReceivedRequest) -> str:
    asked, _ = decode_contact_request(request.info)
    return asked.profile.display_name if asked.profile else ""


def find(tx: sqlite3.Connection, who: str) -> ReceivedRequest:
    """The request with this number, or the only request with this name. Raises `UnknownRequest`."""
    waiting = addresses.requests(tx)
    # The number comes first, because a person may call themselves "3".
    by_number = [request for request in waiting if str(request.id) == who]
    found = by_number or [request for request in waiting if _name(request) == who]
    if len(found) != 1:
        raise UnknownRequest(who, len(found))
    return found[0]


# -- our own profile ---------------------------------------------------------------------------------------------------


def introduce(
    tx: sqlite3.Connection, context: Context, contact: Contact, profile: Profile, texts: Sequence[str]
) -> Sequence[str]:
    """Prepares our request to an address, with our profile.

    The first text is sent with the request, if it fits, so that the owner of the address reads it before deciding.

    Returns:
        The texts that must wait until the request is accepted.
    """
    profile = incognito.profile_for(tx, profile, contact.connection_id)
    bare = ContactRequest(profile, to_base64url(context.entropy.random(16)))
    for text in map(whole, filter(None, texts[:1])):
        asked = replace(bare, text=text, shared_id=new_shared_id(context.entropy.random(12)))
        info = _packed(asked)
        if info is not None:
            message_id = records.insert_message(tx, contact.id, Direction.SENT, text, context.now(), asked.shared_id)
            sent_requests.save_info(tx, contact.connection_id, info, message_id)
            publish(tx, events.MessageAdded(message_id))
            return texts[1:]
    sent_requests.save_info(tx, contact.connection_id, _packed(bare) or b"", None)
    return texts


def reintroduce(tx: sqlite3.Connection, contact: Contact, profile: Profile) -> None:
    """Puts our current profile into a request that has not been sent yet."""
    profile = incognito.profile_for(tx, profile, contact.connection_id)
    if connections.is_plain(tx, contact.connection_id):
        _reintroduce_to_group(tx, contact, profile)
    else:
        _rewrite(tx, contact, lambda asked: replace(asked, profile=profile))


def _reintroduce_to_group(tx: sqlite3.Connection, contact: Contact, profile: Profile) -> None:
    from smpchat.chat.wire.group_encoding import encode_group_event
    from smpchat.chat.wire.group_events import JoinRequest

    saved = sent_requests.load(tx, contact.connection_id)
    if saved is not None and saved.info:
        asked, _ = decode_contact_request(saved.info)
        info = encode_group_event(JoinRequest(profile, asked.request_id))
        sent_requests.save_info(tx, contact.connection_id, info, None)


def read_welcome(tx: sqlite3.Connection, contact: Contact, welcome_id: str) -> None:
    """Called when we have stored the welcome text from a link as a message, with the id ``welcome_id``. If our request
    has not been sent yet, the id is added to it.

    The app of the link's owner then sends the welcome text as an edit of the message with this id, so that our user
    does not see the text twice.
    """
    _rewrite(tx, contact, lambda asked: replace(asked, welcome_id=welcome_id))


def _rewrite(tx: sqlite3.Connection, contact: Contact, change: Callable[[ContactRequest], ContactRequest]) -> None:
    saved = sent_requests.load(tx, contact.connection_id)
    if saved is None or not saved.info or connections.is_plain(tx, contact.connection_id):
        return  # there is no request; or it is encrypted already; or it goes to a group, in another form
    asked, _ = decode_contact_request(saved.info)
    info = _packed(change(asked))
    if info is not None:
        sent_requests.save_info(tx, contact.connection_id, info, saved.reference)


def _packed(asked: ContactRequest) -> bytes | None:
    """A request as connection info, without our picture if there is no room for it; None if its text is too long."""
    assert asked.profile is not None
    bare = encode_contact_request(replace(asked, profile=replace(asked.profile, picture=None)))
    if len(bare) > sent_requests.MAX_INFO:
        return None
    return pack_info(encode_contact_request(asked), sent_requests.MAX_INFO) or bare
