"""Reads links that users paste, and checks whether a link can be used, and whether it was used before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from smpchat.agent.errors import LinkError
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake_states import Role
from smpchat.agent.store import connections
from smpchat.agent.store import links as short_links
from smpchat.agent.transactions import requesting
from smpchat.agent.wire import links
from smpchat.agent.wire.presets import PRESET_SERVERS
from smpchat.agent.wire.short_links import ShortContact, ShortInvitation, ShortLink, resolve
from smpchat.chat.service.views import Invitation
from smpchat.protocol.address import FINGERPRINT_SIZE, SMPServer


def check_link(text: str, relays: Iterable[SMPServer] = ()) -> links.ConnectionLink | ShortLink:
    """The invitation or contact address in a text that the user pasted. If a short link names its relay only by the
    host, the result has the relay's complete address.

    Args:
        relays: The user's relays. If a short link names its relay only by the host, the relay must be one of these, or
            one of the public relays that apps know.
    Raises:
        LinkError: The text has no link that can be used; the error says why, and what to do.
    """
    from smpchat.agent.wire.pasted import find_link  # its patterns take 4 ms, so they load only if a link is read

    link = find_link(text)
    if isinstance(link, ShortContact | links.ContactLink):
        requesting.check_kind(link)
    if isinstance(link, ShortInvitation | ShortContact):
        return resolve(link, (*PRESET_SERVERS, *relays))
    if len(link.queues[0].server.key_hash) != FINGERPRINT_SIZE:
        raise LinkError("The link is damaged: the fingerprint of its relay is invalid.")
    return link


def made_by(text: str, invitation: Invitation) -> bool:
    """Whether a pasted text contains the invitation's link, in its full or short form."""
    if text in (invitation.link, invitation.short_link):
        return True
    from smpchat.agent.wire.pasted import find_link

    try:
        link = find_link(text) if "#" in text or "%23" in text else None
    except LinkError:
        return False
    if isinstance(link, ShortInvitation):
        made = links.parse_link(invitation.short_link) if invitation.short_link else None
        return isinstance(made, ShortInvitation) and (made.link_id, made.link_key) == (link.link_id, link.link_key)
    return link is not None and invitation.link is not None and links.parse_link(invitation.link) == link


def joined(tx: sqlite3.Connection, link: links.ConnectionLink | ShortLink) -> int | None:
    """The connection that was made when this link was used; None if the link was not used. The connection is found by
    the link's text or id, or by the queue in the link."""
    if isinstance(link, ShortInvitation):
        found = short_links.find(tx, link)
        is_ours = found is not None and states.role(connections.load(tx, found).state) is Role.JOINER
        return found if is_ours else None
    if not isinstance(link, links.InvitationLink):
        return requesting.find(tx, link)
    by_text = connections.find_by_link(tx, links.format_link(link))
    if by_text and states.role(by_text.state) is not states.Role.JOINER:
        return None  # this profile made the link itself
    by_queue = connections.find_send_queue(tx, link.queues[0].server, link.queues[0].sender_id)
    return by_text.id if by_text else by_queue.connection_id if by_queue else None
