"""Configured relays: which of them are used for new queues, and how each is reached."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from smpchat.chat.errors import InputError
from smpchat.client.routes import Route
from smpchat.crypto.entropy import Entropy
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record
from smpchat.protocol.address import FileServerAddress, SMPServer, SMPServerAddress
from smpchat.protocol.server_text import read_file_server, read_server

A = TypeVar("A")


class ConfiguredServer(Record):
    """A relay in a profile's list of relays. ``preferred``: smpchat makes new queues at this relay."""

    address: SMPServerAddress
    preferred: bool
    route: Route


class ConfiguredFileServer(Record):
    """A file relay in a profile's list of file relays. ``preferred``: smpchat uploads files to this relay."""

    address: FileServerAddress
    preferred: bool


_ADVICE = "Copy the whole address from the relay's operator. For the public relays: `smpchat server use simplex`."


def relay_address(address: str) -> SMPServerAddress:
    """Reads the address of a relay from a text that the user gave. Raises `InputError`."""
    try:
        return read_server(address)
    except DecodeError as error:
        raise InputError(f"This is not the address of a relay: {error.what}.", _ADVICE) from None


def file_relay_address(address: str) -> FileServerAddress:
    """Reads the address of a file relay from a text that the user gave. Raises `InputError`."""
    try:
        return read_file_server(address)
    except DecodeError as error:
        raise InputError(f"This is not the address of a file relay: {error.what}.", _ADVICE) from None


def choose_file_servers(
    configured: Sequence[ConfiguredFileServer], in_trouble: Collection[str], entropy: Entropy
) -> list[FileServerAddress]:
    """The preferred file relays in random order; empty if there are none. File relays at which something has just
    failed (``in_trouble``) come last."""
    drawn = _shuffled([entry.address for entry in configured if entry.preferred], entropy)
    return sorted(drawn, key=lambda address: str(address.server) in in_trouble)


def route_to(configured: Sequence[ConfiguredServer], server: SMPServer) -> Route:
    """How the relay ``server`` is reached. If the relay is in the list ``configured``, its entry says how. Other relays
    are reached directly over TLS.

    An entry is for this relay if both have the same fingerprint and at least one host in common. The whole addresses
    are not compared: a link may name more or fewer of a relay's hosts than the entry does, or leave out the port.
    """
    for entry in configured:
        known = entry.address.server
        if known.key_hash == server.key_hash and not set(known.hosts).isdisjoint(server.hosts):
            return entry.route
    return Route()


def choose_servers(
    configured: Sequence[ConfiguredServer], peer: SMPServer | None, in_trouble: Collection[str], entropy: Entropy
) -> list[SMPServerAddress]:
    """The preferred relays, in the order in which they are tried for a new queue; empty if there are none.

    The order is random, with two exceptions. The relay ``peer`` comes after the others, so that, if possible, no relay
    sees both directions of a conversation. Relays that have just failed (``in_trouble``) come last of all, so that the
    user need not wait for them.

    Args:
        peer: The relay at which the contact has its queue; None if no such queue is known yet.
        in_trouble: Addresses of relays that could not be used at the last try.
    """
    drawn = _shuffled([entry.address for entry in configured if entry.preferred], entropy)

    def rank(address: SMPServerAddress) -> tuple[bool, bool]:
        of_peer = peer is not None and address.server.key_hash == peer.key_hash
        return str(address.server) in in_trouble, of_peer

    # Python's sort is stable, so relays of equal rank stay in random order.
    return sorted(drawn, key=rank)


def _shuffled(waiting: list[A], entropy: Entropy) -> list[A]:
    drawn = []
    while waiting:
        drawn.append(waiting.pop(int.from_bytes(entropy.random(4), "big") % len(waiting)))
    return drawn
