"""Short links that we made or joined, and the keys that go with them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from smpchat.agent.errors import MissingRecord
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.record import Record, field
from smpchat.protocol.address import SMPServer

if TYPE_CHECKING:
    from smpchat.agent.wire.short_links import ShortInvitation
    from smpchat.crypto.ratchet_kem import KEMState


class JoinedLink(Record):
    """A short link that another person made.

    Attributes:
        link: The link, with the complete address of its relay.
        auth_key: Our key for the initiator's queue. When we read the link's data (LKEY), the relay secures the queue
            with this key.
    """

    link: ShortInvitation
    auth_key: Ed25519PrivateKey = field(repr=False)


def save_kem(tx: sqlite3.Connection, connection_id: int, kem: KEMState) -> None:
    """Save the KEM key pair whose public half an invitation's short link will offer."""
    values = (connection_id, kem.public.raw, kem.private.raw)
    tx.execute("INSERT INTO short_links (connection_id, kem_public, kem_private) VALUES (?, ?, ?)", values)


def kem(tx: sqlite3.Connection, connection_id: int) -> KEMState | None:
    """The KEM key pair of our unanswered invitation; None if the invitation offers no KEM key."""
    row = tx.execute("SELECT * FROM short_links WHERE connection_id = ?", (connection_id,)).fetchone()
    if row is None or row["kem_public"] is None:
        return None
    from smpchat.crypto.kem import KEMPrivateKey, KEMPublicKey
    from smpchat.crypto.ratchet_kem import KEMState

    return KEMState(KEMPublicKey(row["kem_public"]), KEMPrivateKey(row["kem_private"]))


def forget_kem(tx: sqlite3.Connection, connection_id: int) -> None:
    """Erase the KEM key pair: the invitation was answered, or has no short link."""
    tx.execute("UPDATE short_links SET kem_public = NULL, kem_private = NULL WHERE connection_id = ?", (connection_id,))


def forget_keys(tx: sqlite3.Connection, connection_id: int) -> None:
    """Erase the keys of a link that was used, or will never be used.

    The text of the link is kept, so that we recognise the link by its relay and id. In the text, zeros replace the key
    that opens the link's data at the relay.
    """
    row = tx.execute("SELECT link FROM short_links WHERE connection_id = ?", (connection_id,)).fetchone()
    if row is None:
        return
    text = _without_key(row["link"]) if row["link"] else None
    query = (
        "UPDATE short_links SET link = ?, auth_key = NULL, kem_public = NULL, kem_private = NULL"
        " WHERE connection_id = ?"
    )
    tx.execute(query, (text, connection_id))


def _without_key(text: str) -> str:
    from smpchat.agent.wire.short_links import without_key  # imported here: most commands never erase a link's key

    return without_key(text)


def save_made(tx: sqlite3.Connection, connection_id: int, text: str, link_id: bytes) -> None:
    """Save the short link of an invitation of ours, in the form that people see."""
    tx.execute(
        "INSERT INTO short_links (connection_id, link, link_id) VALUES (?, ?, ?)"
        " ON CONFLICT (connection_id) DO UPDATE SET link = excluded.link, link_id = excluded.link_id",
        (connection_id, text, link_id),
    )


def save_joined(
    tx: sqlite3.Connection, connection_id: int, text: str, link_id: bytes, auth_key: Ed25519PrivateKey
) -> None:
    """Save another person's short link that we use, and whose data we must still read from the relay. ``auth_key``: our
    key for the initiator's queue."""
    tx.execute(
        "INSERT INTO short_links (connection_id, link, link_id, auth_key) VALUES (?, ?, ?, ?)",
        (connection_id, text, link_id, auth_key.raw),
    )


def joined(tx: sqlite3.Connection, connection_id: int) -> JoinedLink:
    """The short link by which we join, as long as we must still read its data from the relay. Raises `MissingRecord` if
    there is no such link."""
    row = tx.execute("SELECT * FROM short_links WHERE connection_id = ?", (connection_id,)).fetchone()
    if row is None or row["auth_key"] is None:
        raise MissingRecord("The short link is missing.")
    return JoinedLink(_parsed(row["link"]), Ed25519PrivateKey(row["auth_key"]))


def texts(tx: sqlite3.Connection) -> dict[int, str]:
    """The text of every short link. The keys of the dict are the ids of the links' connections."""
    rows = tx.execute("SELECT connection_id, link FROM short_links WHERE link IS NOT NULL")
    return {row["connection_id"]: row["link"] for row in rows}


def find(tx: sqlite3.Connection, link: ShortInvitation) -> int | None:
    """The id of the connection that made or joined a short link; None if there is none. The link may be written in any
    form, because only the relay's fingerprint and the link's id are compared."""
    from smpchat.agent.wire.short_links import resolve

    return _find(tx, resolve(link).server, link.link_id)


def uses_id(tx: sqlite3.Connection, server: SMPServer, link_id: bytes) -> bool:
    """Whether one of the short links that we made or joined at this relay has this id."""
    return _find(tx, server, link_id) is not None


def _find(tx: sqlite3.Connection, server: SMPServer, link_id: bytes) -> int | None:
    for row in tx.execute("SELECT connection_id, link FROM short_links WHERE link_id = ?", (link_id,)):
        # Each relay chooses its own ids, so two relays may choose the same.
        if _parsed(row["link"]).server.key_hash == server.key_hash:
            return int(row["connection_id"])
    return None


def _parsed(text: str) -> ShortInvitation:
    from smpchat.agent.wire.short_links import ShortInvitation, parse_short_link, resolve  # imported here, as above

    link = parse_short_link(text)
    assert isinstance(link, ShortInvitation)
    return resolve(link)
