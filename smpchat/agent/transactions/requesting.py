"""Requests for a connection through the contact address of another person (agent-wire 5.5).

The request contains our profile, and an invitation made for this request only. Like our other invitations, this one has
a reply key. Until the owner of the address answers, the connection's send queue is the queue of the address. The answer
is a confirmation. It names a queue that the owner made for us, and this queue becomes the send queue. If the OK to a
request is lost, the same bytes are sent again; the owner of the address recognises copies by the invitation in them.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.context import Context
from smpchat.agent.errors import (
    IncompatibleVersion,
    LinkDataError,
    LinkError,
    LinkJoinedError,
    MissingRecord,
    OwnLinkError,
)
from smpchat.agent.machines import handshake
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake_events import AddressRead, AddressRefused
from smpchat.agent.machines.handshake_states import Failure, Role, Terms
from smpchat.agent.store import addresses, connections, consents, sent_requests
from smpchat.agent.store.sent_requests import SentRequest
from smpchat.agent.transactions import connection
from smpchat.agent.transactions.sending import new_send_queue
from smpchat.agent.wire.envelope import AGENT_VERSIONS
from smpchat.agent.wire.link_data import ContactLinkData, contact_keys, open_link
from smpchat.agent.wire.links import E2E_VERSIONS, ContactLink, agree_address_versions, format_link, parse_link
from smpchat.agent.wire.queue import CLIENT_VERSIONS
from smpchat.agent.wire.short_links import ContactType, ShortContact, format_short_link, is_short_link, resolve
from smpchat.client.request import Request
from smpchat.crypto.agreement import X3DHKeys
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.json_text import parse_json
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import BrokerMessage, LGet, Lnk

ContactAddress = ContactLink | ShortContact


def begin(
    tx: sqlite3.Connection, context: Context, address: ContactAddress, *, held: bool = False, plain: bool = False
) -> int:
    """Make a connection through the address of another person. Keys are stored before anything is sent.

    The content of the request must be stored in the same transaction (`sent_requests.save_info`).

    Args:
        held: The request is not sent until the user has answered a question; the answer causes the event
            `JoinReleased`.
        plain: The address is the link of a group, and the connection is to the group's host: see `Connection`.
    Raises:
        OwnLinkError: The address is ours.
        LinkJoinedError: The address was used before.
        LinkError: The address leads to a channel; or it leads to a group although ``plain`` is false, or to no group
            although ``plain`` is true; or its relay is not known.
        IncompatibleVersion: We and the address have no version of a protocol layer in common.
    """
    _check(tx, address, plain=plain)
    terms = Terms(sender_securable=True, reply_key=True)
    state, effects = handshake.request(terms, address_known=isinstance(address, ContactLink), held=held)
    connection_id = connections.insert(
        tx,
        state=state,
        link=_text(address),
        agent_version=AGENT_VERSIONS.maximum,
        client_version=CLIENT_VERSIONS.maximum,
        e2e_version=E2E_VERSIONS.maximum,
        x3dh_keys=X3DHKeys.generate(context.entropy),
        reply_key=Ed25519PrivateKey.generate(context.entropy),
        pq_support=not plain and context.wants_pq(AGENT_VERSIONS.maximum, E2E_VERSIONS.maximum),
        now=context.now(),
        plain=plain,
    )
    sent_requests.insert(tx, SentRequest(connection_id, None, b"", None))
    used = address.queues[0] if isinstance(address, ContactLink) else resolve(address)
    consents.add(tx, connection_id, used.server)
    if isinstance(address, ContactLink):
        try:
            _save_queue(tx, context, connection_id, address)
        except CryptoError:
            raise LinkError("The link is damaged: the key of its queue cannot be used.") from None
    connection.perform(tx, context, connection_id, effects)
    return connection_id


def find(tx: sqlite3.Connection, address: ContactAddress) -> int | None:
    """Number of the connection that we requested through this address; None if there is none. Raises `LinkError`."""
    text = _text(address)
    if isinstance(address, ShortContact):  # the table of known relays may change, and with it the hosts in the text
        by_text = connections.find_by_link_start(tx, text.partition("?")[0])
    else:
        by_text = connections.find_by_link(tx, text)
    if by_text is not None and states.role(by_text.state) is not Role.OWNER:
        return by_text.id
    if isinstance(address, ContactLink):
        return sent_requests.find_by_address(tx, address.queues[0].sender_id)
    return None


def check_kind(address: ContactAddress) -> None:
    """Raises `LinkError` for the link of a channel or relay."""
    known = (ContactType.CONTACT, ContactType.GROUP)
    if isinstance(address, ShortContact) and address.kind not in known:
        raise LinkError(
            "This link leads to a channel, which smpchat does not support.",
            "To write to a member, ask that person for their own link.",
        )


def is_group(address: ContactAddress) -> bool:
    """Whether a link says that it leads to a group. A channel does not count: its members are not connected to each
    other."""
    return _is_group(address) if isinstance(address, ContactLink) else address.kind is ContactType.GROUP


def _check(tx: sqlite3.Connection, address: ContactAddress, *, plain: bool) -> None:
    check_kind(address)
    if is_group(address) and not plain:
        raise LinkError("This link leads to a group, not to a person.", "Ask that person for their own link.")
    if plain and not is_group(address):
        raise LinkError("This link does not lead to a group.", "Ask a member of the group for its link.")
    if isinstance(address, ShortContact):
        own = any(_is_short_link_of(one, address) for one in addresses.load_all(tx))
    else:
        own = connections.find_receive_queue_by_sender_id(tx, address.queues[0].sender_id) is not None
    if own:
        raise OwnLinkError("This is your own address.")
    if find(tx, address) is not None:
        raise LinkJoinedError("You have already used this address.")


def _is_short_link_of(own: addresses.Address, link: ShortContact) -> bool:
    short = parse_link(own.short_link) if own.short_link else None
    return isinstance(short, ShortContact) and short.link_key == link.link_key


def _is_group(address: ContactLink) -> bool:
    """Whether the link's client data says that it leads to a group. Current apps write only the group's id there
    (agent-wire 2.1).

    Software that takes a group's link for a link to a person would send profile and texts to everyone in the group.
    """
    try:
        data = parse_json((address.client_data or "null").encode())
    except DecodeError:
        return False
    return isinstance(data, dict) and (data.get("type") == "group" or "groupLinkId" in data)


def _text(address: ContactAddress) -> str:
    """The address as text, which is the same whether the link was typed with ``simplex:`` or as a web address.

    Raises `LinkError` for an unknown relay.
    """
    if isinstance(address, ContactLink):
        return format_link(address)
    return format_short_link(replace(resolve(address), web=False))


def _save_queue(tx: sqlite3.Connection, context: Context, connection_id: int, address: ContactLink) -> None:
    """Save the address's queue as our send queue. Raises `IncompatibleVersion`, or `CryptoError` for a bad key."""
    agent, client = agree_address_versions(address)
    queue = address.queues[0]
    unused = Ed25519PrivateKey.generate(context.entropy)  # nothing that goes to an address is signed
    connections.save_send_queue(tx, new_send_queue(connection_id, context.entropy, queue.at(client), unused))
    connections.save_versions(tx, connection_id, agent, E2E_VERSIONS.maximum)
    sent_requests.save_address(tx, connection_id, queue.sender_id)


# -- short links ------------------------------------------------------------------------------------------------------


def _short_link(tx: sqlite3.Connection, connection_id: int) -> ShortContact:
    link = parse_link(connections.load(tx, connection_id).link or "")
    if not isinstance(link, ShortContact):
        raise MissingRecord("The address's short link is missing.")
    return link


def address_server(tx: sqlite3.Connection, connection_id: int) -> SMPServer:
    """The relay that the short link leads to. Raises `MissingRecord`."""
    return _short_link(tx, connection_id).server


def short_link_server(tx: sqlite3.Connection, connection_id: int) -> SMPServer | None:
    """The relay of the short link with which a connection began; None if it did not begin with a short link."""
    link = connections.load(tx, connection_id).link
    return address_server(tx, connection_id) if link is not None and is_short_link(link) else None


def reading(tx: sqlite3.Connection, connection_id: int) -> Request:
    """The command that reads the data of the short link. Raises `MissingRecord`."""
    link_id, _ = contact_keys(_short_link(tx, connection_id).link_key)
    return Request(LGet(), link_id)


def address_read(tx: sqlite3.Connection, context: Context, connection_id: int, answer: BrokerMessage | None) -> None:
    """The relay answered LGET. If the answer holds the data of an address, store the address's queue and what the data
    say about the owner; if not, the connection fails."""
    link = _short_link(tx, connection_id)
    try:
        if not isinstance(answer, Lnk):
            raise LinkDataError("The relay gave a wrong answer.")
        address, user_data = _opened(link, answer, group=connections.load(tx, connection_id).plain)
        used = sent_requests.find_by_address(tx, address.queues[0].sender_id) is not None
        if not used:
            _save_queue(tx, context, connection_id, address)
            context.application.link_info_received(tx, connection_id, user_data)
    except (LinkError, LinkDataError, IncompatibleVersion, CryptoError):
        connection.apply(tx, context, connection_id, AddressRefused(Failure.ADDRESS_UNUSABLE))
        return
    event = AddressRefused(Failure.ADDRESS_USED) if used else AddressRead()
    connection.apply(tx, context, connection_id, event)


def _opened(link: ShortContact, answer: Lnk, *, group: bool) -> tuple[ContactLink, bytes]:
    """The address, and what its owner says about themselves or, with ``group``, about the group."""
    opened = open_link(link, answer)
    if not isinstance(opened.request, ContactLink) or not isinstance(opened.data, ContactLinkData):
        raise LinkDataError("The link does not lead to an address.")
    # Nobody reads what is sent to the queue of a channel's link: people connect to the relays in the link's data
    # instead (group-wire 10).
    if not opened.data.direct or (_is_group(opened.request) and not group):
        raise LinkDataError("The link leads to a group or channel.")
    return opened.request, opened.user_data
