"""Quick look-ups about groups: which connections lead to members, and which contacts stand for groups.

This module is separate from `smpchat.chat.store.groups`, which loads whole groups and takes longer to import.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.store import connections

COPIES = 1 << 40
"""References above this number stand for copies of messages to groups; each copy is for one member. A *reference* is a
number that the agent keeps with everything that it sends for us. A smaller positive reference is the number of a
message, and a negative reference is the negative number of a change."""


def group_number(connection_id: int) -> int | None:
    """The number of the group for which a contact with this ``connection_id`` stands; None for a person."""
    return -connection_id if connection_id < 0 else None


def is_members(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Whether a connection leads to a member of a group."""
    row = tx.execute("SELECT 1 FROM group_members WHERE connection_id = ?", (connection_id,)).fetchone()
    return row is not None


def is_link(tx: sqlite3.Connection, connection_id: int) -> bool:
    """Whether a connection belongs to a link of ours to a group."""
    return tx.execute("SELECT 1 FROM group_links WHERE connection_id = ?", (connection_id,)).fetchone() is not None


def members_connections(tx: sqlite3.Connection) -> dict[int, int]:
    """The number of the group for each connection that leads to a member of a group."""
    rows = tx.execute("SELECT connection_id, group_id FROM group_members WHERE connection_id IS NOT NULL")
    return {row["connection_id"]: row["group_id"] for row in rows}


def connections_of(tx: sqlite3.Connection, connection_id: int) -> list[int]:
    """The connections over which we write to a contact with this ``connection_id``: for a group, those to all
    members."""
    if connection_id > 0:
        return [connection_id]
    query = "SELECT connection_id FROM group_members WHERE group_id = ? AND connection_id IS NOT NULL ORDER BY place"
    return [row["connection_id"] for row in tx.execute(query, (-connection_id,))]


def relays_of(tx: sqlite3.Connection, connection_id: int) -> set[str]:
    """The addresses of all relays through which we and a contact write to each other. For a group, these are the relays
    for all members to whom we have a connection."""
    found = set()
    for each in connections_of(tx, connection_id):
        queues = (connections.receive_queue(tx, each), connections.send_queue(tx, each))
        found |= {str(queue.server) for queue in queues if queue is not None}
    return found


def connection_of_message(tx: sqlite3.Connection, message_id: int) -> int | None:
    """The connection to the author of a group's message; if there is none, to the member who passed the message on."""
    row = tx.execute(
        "SELECT connection_id FROM group_members JOIN group_messages USING (group_id)"
        " WHERE message_id = ? AND member IN (author, forwarder) AND connection_id IS NOT NULL"
        " ORDER BY member = author DESC",
        (message_id,),
    ).fetchone()
    return None if row is None else int(row["connection_id"])


def contact_number(tx: sqlite3.Connection, connection_id: int) -> int | None:
    """The number of the contact to which a connection belongs. A connection to a member belongs to the contact that
    stands for the group."""
    row = tx.execute(
        "SELECT id FROM contacts WHERE connection_id = :id OR connection_id ="
        " (SELECT -group_id FROM group_members WHERE connection_id = :id)",
        {"id": connection_id},
    ).fetchone()
    return None if row is None else int(row["id"])


def message_gone(tx: sqlite3.Connection, message_id: int) -> None:
    """Prepares the deletion of a message. Must be called before the message is deleted. If the message is in a group,
    the store remembers that the message existed, so that an edit that arrives later does not bring it back."""
    row = tx.execute("SELECT * FROM group_messages WHERE message_id = ?", (message_id,)).fetchone()
    if row is None:
        return
    key = (row["group_id"], row["author"], row["shared_id"])
    tx.execute(
        "INSERT INTO group_heard (group_id, author, shared_id, gone) VALUES (?, ?, ?, 1)"
        " ON CONFLICT DO UPDATE SET gone = 1",
        key,
    )
    for table in ("group_messages", "group_reactions"):  # both names are constants of ours
        tx.execute(f"DELETE FROM {table} WHERE group_id = ? AND author = ? AND shared_id = ?", key)


def become_group(tx: sqlite3.Connection, contact_id: int, group_id: int) -> None:
    """Turns a contact into the contact that stands for a group."""
    tx.execute("UPDATE contacts SET connection_id = ?, chat_version = NULL WHERE id = ?", (-group_id, contact_id))


def waiting(tx: sqlite3.Connection) -> list[tuple[int, float]]:
    """The groups in which we must still connect to some members. In each minute, we connect to only a few of them.

    Returns the number of each group, and when its current minute began (POSIX seconds).
    """
    rows = tx.execute(
        "SELECT id, minute FROM groups WHERE id IN (SELECT group_id FROM group_members"
        " WHERE link IN ('wanted', 'to-join')) AND standing IN ('joining', 'pending', 'review', 'current')"
    )
    return [(row["id"], row["minute"]) for row in rows]


# -- copies of our messages to a group, one for each member ------------------------------------------------------------


def add_copy(tx: sqlite3.Connection, message_id: int, member: bytes) -> int:
    """Adds a copy of a message for one member. Returns the reference by which the agent refers to the copy."""
    query = "INSERT INTO group_copies (message_id, member, status) VALUES (?, ?, 'pending')"
    number = tx.execute(query, (message_id, member)).lastrowid
    assert number is not None
    return COPIES + number


def copy_went_on(tx: sqlite3.Connection, reference: int, status: str) -> int | None:
    """Saves the new status of one member's copy of a message. Returns the number of this message; None if the status
    stays as it was.

    A delivered copy stays delivered, even if the relay's OK, which means *sent*, arrives after the receipt.
    """
    row = tx.execute("SELECT * FROM group_copies WHERE id = ?", (reference - COPIES,)).fetchone()
    if row is None or row["status"] == "delivered" or row["status"] == status:
        return None
    tx.execute("UPDATE group_copies SET status = ? WHERE id = ?", (status, row["id"]))
    return int(row["message_id"])


def copies(tx: sqlite3.Connection, message_id: int) -> dict[str, int]:
    """For each status, how many members' copies of a message have this status."""
    rows = tx.execute("SELECT status, count(*) FROM group_copies WHERE message_id = ? GROUP BY status", (message_id,))
    return {row[0]: row[1] for row in rows}


def delivered(tx: sqlite3.Connection, message_id: int) -> tuple[int, int] | None:
    """How many members have received a message of ours, and to how many it is sent directly; None if the message has no
    copies for members."""
    found = copies(tx, message_id)
    return (found.get("delivered", 0), sum(found.values())) if found else None


def via(tx: sqlite3.Connection, message_id: int) -> str | None:
    """The name of the member who passed a message on, and may have changed it; None if the author's own copy has
    arrived."""
    query = "SELECT group_id, forwarder FROM group_messages WHERE message_id = ? AND forwarder IS NOT NULL"
    found = tx.execute(query, (message_id,)).fetchone()
    if found is None:
        return None
    from smpchat.chat.store import member_names  # imported here: few messages are passed on

    return member_names.name(tx, found["group_id"], found["forwarder"])


def reacted(tx: sqlite3.Connection, message_id: int) -> dict[tuple[str, str], tuple[str, ...]]:
    """The names of the other members who reacted to a message, oldest reaction first. Each key is a pair of
    ``"received"`` and an emoji."""
    rows = tx.execute(
        "SELECT group_id, group_reactions.by, emoji FROM group_messages JOIN group_reactions"
        " USING (group_id, author, shared_id) JOIN groups ON groups.id = group_id"
        " WHERE message_id = ? AND group_reactions.by <> own ORDER BY group_reactions.id",
        (message_id,),
    ).fetchall()
    if not rows:
        return {}
    from smpchat.chat.store import member_names  # imported here: few messages have reactions

    names, found = member_names.all_of(tx, rows[0]["group_id"]), dict[tuple[str, str], tuple[str, ...]]()
    for _, by, emoji in rows:
        if by in names:
            key = ("received", emoji)
            found[key] = (*found.get(key, ()), names[by])
    return found
