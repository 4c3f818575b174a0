"""Collects what needs the user's attention now: problems of contacts and invitations, and relays that cannot be
reached.

Everything here is read from the store; problems of a relay are those that the online process noted last.
"""

from __future__ import annotations

import sqlite3

from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import connections, held, outgoing
from smpchat.agent.store.obstacles import Obstacle
from smpchat.agent.store.outgoing import RelayTrouble
from smpchat.chat import troubles
from smpchat.chat.store import conditions, memberships, notices, records
from smpchat.chat.store.conditions import LOST_STANDS, Condition
from smpchat.client.trouble import Trouble

_PASSING = (NoticeKind.MESSAGES_LOST, NoticeKind.REPEATED)
"""Nothing can fix these conditions, so they are shown only for a while."""
DECISIONS = (NoticeKind.CODE_CHANGED, NoticeKind.NEW_KEYS)
"""Because of these conditions, messages are held until the user decides."""
_NAMED = 3
"""A sentence about a relay names at most this many contacts; further contacts are only counted."""


def of_profile(tx: sqlite3.Connection, now: float) -> list[Condition]:
    """All current conditions, oldest first."""
    aliases = records.aliases(tx)
    found = [
        Condition(aliases.get(connection_id), kind, notices.addressed(text, aliases.get(connection_id)), since)
        for connection_id, kind, text, since in conditions.standing(tx)
        if kind not in _PASSING or now - since < LOST_STANDS
    ]
    for (connection_id, _), reason in held.load_all(tx).items():
        alias = aliases.get(connection_id)
        if alias is not None and not any(c.contact == alias and c.kind == reason.kind for c in found):
            obstacle = Obstacle(reason.kind, reason.error, reason.since)
            text = f"{troubles.sentence(obstacle, alias)} {troubles.hint(obstacle)}"
            found.append(Condition(alias, reason.kind, text, reason.since))
    for trouble in outgoing.troubles_of_needed_relays(tx).values():
        if trouble.kind.ends_sessions:
            found.append(_of_relay(tx, trouble, aliases))
    return sorted(found, key=lambda condition: condition.since)


def _of_relay(tx: sqlite3.Connection, trouble: RelayTrouble, aliases: dict[int, str]) -> Condition:
    here = [
        aliases[queue.connection_id]
        for queue in connections.receive_queues(tx)
        if str(queue.server) == trouble.server and queue.connection_id in aliases
    ]
    obstacle = Obstacle(trouble.kind, trouble.error, trouble.since, server=trouble.server)
    if trouble.kind is Trouble.NOT_PUBLIC:
        named = [aliases[number] for number in connections.senders_to(tx, trouble.server) if number in aliases]
        who = f" It is the relay of {_list(sorted(named))}: nothing can be sent to them." if named else ""
        text = f"{troubles.sentence(obstacle)}{who} {troubles.hint(obstacle)}"
        return Condition(None, trouble.kind, text, trouble.since, trouble.server)
    silent = f" While this lasts, nothing arrives from {_list(sorted(here))}." if here else ""
    text = f"{troubles.sentence(obstacle)}{silent} {troubles.hint(obstacle)}"
    return Condition(None, trouble.kind, text, trouble.since, trouble.server)


def _list(names: list[str]) -> str:
    """The names in one text, such as ``alice, bob and 3 others``."""
    if len(names) > _NAMED:
        more = len(names) - _NAMED + 1
        return f"{', '.join(names[: _NAMED - 1])} and {more} others"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def of_contact(tx: sqlite3.Connection, alias: str, now: float) -> list[Condition]:
    """The current conditions of one contact, and those of the relays through which messages from and to the contact
    pass."""
    contact = records.contact(tx, alias)
    servers = memberships.relays_of(tx, contact.connection_id)
    return [c for c in of_profile(tx, now) if c.contact == contact.alias or c.server in servers]


def blocks_texts(found: list[Condition]) -> Condition | None:
    """Why messages to a contact are not sent: the most important of the conditions in ``found`` that stop them. None if
    no condition does. A relay that cannot be reached does not count here."""
    by_kind = {condition.kind: condition for condition in reversed(found)}
    return next(
        (by_kind[kind] for kind in (*DECISIONS, NoticeKind.OUT_OF_STEP, Trouble.FULL_QUEUE) if kind in by_kind), None
    )
