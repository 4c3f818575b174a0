"""Our contact address, and the requests that come through it, in the form in which commands show them."""

from __future__ import annotations

import sqlite3

from smpchat.agent.store import addresses, connections
from smpchat.chat.store import settings
from smpchat.encoding.record import Record, field

_WELCOME, _REPLY = "address_welcome", "address_reply"


class AddressTexts(Record):
    """The texts that we have written for people who use our address. If one of these texts is empty, it is not sent.

    Attributes:
        welcome: The text that people read before they send a request; part of the short link's data.
        auto_reply: The message that is sent to each person whose request we accept.
    """

    welcome: str = field(default="", repr=False)
    auto_reply: str = field(default="", repr=False)


def texts(tx: sqlite3.Connection) -> AddressTexts:
    """The texts of our address."""
    return AddressTexts(settings.setting(tx, _WELCOME) or "", settings.setting(tx, _REPLY) or "")


def save_texts(tx: sqlite3.Connection, said: AddressTexts) -> None:
    """Change the texts of our address."""
    for name, text in ((_WELCOME, said.welcome), (_REPLY, said.auto_reply)):
        if text:
            settings.save_setting(tx, name, text)
        else:
            settings.delete_setting(tx, name)


class AddressView(Record):
    """Our contact address.

    Attributes:
        connection: Id of the connection record that holds the queue of the address.
        link: The full link; None until the queue of the address exists.
        short_link: The short link; None until the queue of the address exists, or if the relay does not keep link data.
        auto_accept: Whether requests are accepted automatically.
        requests: Number of requests that wait for an answer.
        turned_away: Number of requests that were dropped since `turned_away_since` (POSIX seconds), because too many
            were waiting.
        texts: The texts of the address.
    """

    connection: int
    link: str | None = field(repr=False)
    short_link: str | None = field(repr=False)
    auto_accept: bool
    requests: int
    texts: AddressTexts = AddressTexts()
    turned_away: int = 0
    turned_away_since: float | None = None


class RequestView(Record):
    """A request of someone who wants to connect.

    Attributes:
        name: The name that the sender chose.
        text: The text that the sender wrote with the request; None if there is none.
        received_at: When the request arrived here; POSIX seconds.
        relay_refused: If the sender's relay is not on the internet, a text that says where the relay is; otherwise
            None. Such a request can only be accepted with ``any_relay``.
        in_turn: Whether the request waits for its turn to be accepted automatically.
        looks_like: The alias of one of our contacts, if it looks like ``name``; None if none does.
    """

    id: int
    name: str
    text: str | None = field(repr=False)
    received_at: float
    relay_refused: str | None = None
    in_turn: bool = False
    looks_like: str | None = None


def address_view(tx: sqlite3.Connection, address: addresses.Address) -> AddressView:
    """An address with its links, its texts and the number of its requests."""
    link = connections.load(tx, address.connection_id).link
    waiting = addresses.count_requests_to(tx, address.connection_id)
    away, since = addresses.turned_away(tx, address.connection_id) or (0, None)
    return AddressView(
        address.connection_id, link, address.short_link, address.auto_accept, waiting, texts(tx), away, since
    )
