"""Configured relays: which of them take new queues, and by what way each is reached."""

from __future__ import annotations

from collections.abc import Sequence

from smpchat.chat.errors import InputError
from smpchat.client.routes import Route
from smpchat.crypto.entropy import Entropy
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record
from smpchat.protocol.address import SMPServer, SMPServerAddress
from smpchat.protocol.server_text import read_server


class ConfiguredServer(Record):
    """A relay in a profile's list. ``preferred``: new queues are made there."""

    address: SMPServerAddress
    preferred: bool
    route: Route


_ADVICE = "Copy the whole address from whoever runs the relay; for the public ones: `smpchat server use simplex`."


def relay_address(address: str) -> SMPServerAddress:
    """The address of a relay in a text that a person gave. Raises `InputError`."""
    try:
        return read_server(address)
    except DecodeError as error:
        raise InputError(f"This is not the address of a relay: {error.what}.", _ADVICE) from None


def route_to(configured: Sequence[ConfiguredServer], server: SMPServer) -> Route:
    """The way to ``server``: that of an entry with its fingerprint and one of its hosts, else directly over TLS.

    A link may name a relay with more or fewer hosts than its entry, or without the port.
    """
    for entry in configured:
        known = entry.address.server
        if known.key_hash == server.key_hash and not set(known.hosts).isdisjoint(server.hosts):
            return entry.route
    return Route()


def choose_server(
    configured: Sequence[ConfiguredServer], peer: SMPServer | None, entropy: Entropy
) -> SMPServerAddress | None:
    """A relay for a new queue, at random; None if there is no preferred one.

    Not that of the peer's queue, where there is a choice: then no relay sees both directions of a conversation.
    """
    preferred = [entry.address for entry in configured if entry.preferred]
    if not preferred:
        return None
    elsewhere = [address for address in preferred if peer is None or address.server.key_hash != peer.key_hash]
    candidates = elsewhere or preferred
    return candidates[int.from_bytes(entropy.random(4), "big") % len(candidates)]
