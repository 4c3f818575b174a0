"""A profile as it is stored: what is in it, and its settings.

Each change is stored in one transaction; the online process then does what needs a relay.
`smpchat.chat.service.writing` adds writing to contacts, `smpchat.chat.service.connecting` adds making and ending
connections. Many commands need neither of these modules.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from smpchat.agent.errors import MissingRecord, StoreNotWritable
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake_states import ConnectionState, Role
from smpchat.agent.store import addresses, connections, moves, obstacles, outgoing, ratchets, visits
from smpchat.agent.store import links as short_links
from smpchat.agent.store.connections import Connection
from smpchat.agent.store.database import Database, Scripts, encrypted_path
from smpchat.agent.store.obstacles import Obstacle
from smpchat.agent.store.outgoing import RelayTrouble
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.chat.errors import InputError, PassphraseNeeded, ProfileMoved, TextsHeld
from smpchat.chat.service import attention
from smpchat.chat.service.choices import NO_PROXY, StoredChoices, parsed_proxy
from smpchat.chat.service.views import ContactView, GroupView, Invitation, Status, Verification
from smpchat.chat.store import (
    codes,
    contact_settings,
    events,
    feed_rows,
    incognito,
    invitations,
    lines,
    memberships,
    names,
    profiles,
    records,
    settings,
)
from smpchat.chat.store.address import AddressView, address_view
from smpchat.chat.store.conditions import Condition
from smpchat.chat.store.feed import describe_state
from smpchat.chat.store.lock import online_lock
from smpchat.chat.store.moves import move_views
from smpchat.chat.store.records import Contact
from smpchat.chat.store.schema import CHAT_MIGRATIONS
from smpchat.chat.wire.preferences import OWN_DEFAULTS
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer

DATABASE_NAME = "smpchat.db"
DEFAULT_PROFILE = "default"
_PERSONS_ONLY = "Security codes are between two people."
MOVED = "moved"
"""Setting: the time, in POSIX seconds, at which the profile was moved to another place."""


def is_used(folder: Path) -> bool:
    """Whether a profile's folder has a store already."""
    return (folder / DATABASE_NAME).exists() or is_encrypted(folder)


def is_encrypted(folder: Path) -> bool:
    """Whether a profile is encrypted, so that opening it needs the passphrase."""
    return encrypted_path(folder / DATABASE_NAME).exists()


def no_passphrase() -> str:
    """Always raises `PassphraseNeeded`; used if there is no way to ask for a passphrase."""
    raise PassphraseNeeded


class StoredProfile(StoredChoices):
    """The open store of one profile. Any number of processes may have it open; one at a time is online.

    Args:
        socks: A SOCKS proxy that overrides the profile's setting: ``HOST:PORT``, or ``off``. Any other text raises
            `InputError`.
        passphrase: Called if the store is encrypted; returns the passphrase.
        defaults: Settings from the config files. They apply where the profile has no value of its own
            (`settings.in_force`). If None, the settings that were last read from the config files apply.
        downloads: Called if no setting names a folder for received files; returns the folder. If None, received files
            are saved in a folder beside the store.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        socks: str | None = None,
        *,
        now: Callable[[], float] = time.time,
        open_database: Callable[[Path, Mapping[str, Scripts]], Database] = Database,
        passphrase: Callable[[], str] = no_passphrase,
        defaults: Mapping[str, str] | None = None,
        downloads: Callable[[], Path] | None = None,
    ) -> None:
        self.folder, self.name, self.socks, self.now = folder, name, socks, now
        self._downloads = downloads or (lambda: folder / "downloads")
        if socks is not None and socks != NO_PROXY:
            parsed_proxy(socks)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        components = {"agent": AGENT_MIGRATIONS, "chat": CHAT_MIGRATIONS}
        path = folder / DATABASE_NAME
        if not is_encrypted(folder):
            self.database = open_database(path, components)
        else:
            from smpchat.agent.store.encryption import EncryptedDatabase  # most profiles are not encrypted

            self.database = EncryptedDatabase(path, components, passphrase())
        if names.has_unsettled(self._tx):
            from smpchat.chat.transactions import naming  # needed once for an old profile

            with suppress(StoreNotWritable), self.database.transaction() as tx:
                naming.settle(tx, now())
        if defaults is not None and settings.defaults(self._tx) != dict(defaults):
            with suppress(StoreNotWritable), self.database.transaction() as tx:
                settings.save_defaults(tx, defaults)
        self.expire()
        self.remove_leftovers()

    def close(self) -> None:
        """Close the store."""
        self.database.close()

    # -- profile ------------------------------------------------------------------------------------------------------

    def own_profile(self, tx: sqlite3.Connection | None = None) -> Profile:
        """The profile that contacts see. If the user has not set a name, contacts see the name under which the profile
        is stored; for the default profile, they see the login name."""
        profile = profiles.own(tx or self._tx) or Profile(_os_user() if self.name == DEFAULT_PROFILE else self.name)
        return replace(profile, preferences={**OWN_DEFAULTS, **profile.preferences})

    def retire(self) -> None:
        """Marks the profile as moved to another place. This copy of the profile never goes online again, because two
        copies would break each other's encryption."""
        with self.database.transaction() as tx:
            settings.save_setting(tx, MOVED, str(self.now()))

    def check_not_moved(self, tx: sqlite3.Connection | None = None) -> None:
        """Raises `ProfileMoved` if the profile was moved to another place."""
        if settings.setting(tx or self._tx, MOVED) is not None:
            raise ProfileMoved

    # -- connections --------------------------------------------------------------------------------------------------

    def invitation(self, connection_id: int) -> Invitation | None:
        """The invitation with this connection; None if there is none, or somebody has already answered it."""
        return next((i for i in self.invitations() if i.connection == connection_id), None)

    def invitations(self) -> list[Invitation]:
        """Invitations that nobody has answered yet, oldest first."""
        notes = invitations.notes(self._tx)
        by_id = {c.id: c for c in connections.load_all(self._tx)}
        short, made_up = short_links.texts(self._tx), incognito.names(self._tx)
        return [
            Invitation(cid, by_id[cid].link, note, short.get(cid), made_up.get(cid), self._listened_until(cid))
            for cid, note in notes.items()
            if cid in by_id
        ]

    def _listened_until(self, connection_id: int) -> float | None:
        """The time until which smpchat has read our queue of a connection, in POSIX seconds; None if the time is not
        known. Messages that were sent before this time have arrived."""
        queue = connections.receive_queue(self._tx, connection_id)
        if queue is None:
            return None
        return visits.latest(self._tx, str(queue.server), self.now(), online=self.is_online())

    def is_online(self) -> bool:
        """Whether some process is online for the profile at this moment."""
        lock = online_lock(self.folder)
        try:
            if not lock.take():
                return True
        except OSError:  # the disk cannot be written, so no process is online
            return False
        # The only way to see whether a process holds the lock is to take the lock for a moment. If another process goes
        # online in this moment, it finds the lock taken, and tries again (`smpchat.chat.online.presence`).
        lock.release()
        return False

    def is_held(self, connection_id: int) -> bool:
        """Whether a join (our use of somebody's link) waits until the user names the contact."""
        return connection_id > 0 and states.is_held(connections.load(self._tx, connection_id).state)

    def leads_to_group(self, connection_id: int) -> bool:
        """Whether a link that was used leads to a group, even if the group's host has not let us in yet."""
        return connection_id < 0 or connections.is_plain(self._tx, connection_id)

    def is_link_read(self, connection_id: int) -> bool:
        """Whether the data of the connection's link has been read, or will never be read, for example because the link
        is not a short one."""
        return not states.reads_link(connections.load(self._tx, connection_id).state)

    def contact_of(self, connection_id: int) -> Contact | None:
        """The contact of a connection; None if there is none."""
        return records.addressee(self._tx, connection_id)

    def _describe(self, tx: sqlite3.Connection, connection: Connection) -> events.StateChanged:
        return describe_state(connection, records.addressee(tx, connection.id), self.now())

    def state(self, connection_id: int) -> events.StateChanged:
        """The state of a connection. Raises `UnknownConnection`."""
        if connection_id < 0:
            contact = records.addressee(self._tx, connection_id)
            if contact is None:
                raise connections.UnknownConnection
            return self._state(contact, {})
        return self._describe(self._tx, connections.load(self._tx, connection_id))

    def _state(self, contact: Contact, by_id: Mapping[int, Connection]) -> events.StateChanged:
        if contact.is_group:
            from smpchat.chat.service import group_views  # most profiles have no groups

            return group_views.state(self._tx, contact, self.now())
        return describe_state(by_id[contact.connection_id], contact, self.now())

    def _group(self, contact: Contact) -> GroupView | None:
        if not contact.is_group:
            return None
        from smpchat.chat.service import group_views

        return group_views.of_contact(self._tx, contact)

    def contacts(self) -> list[ContactView]:
        """All contacts, sorted by alias."""
        self.give_up_waiting()
        found = records.contacts(self._tx)
        return self._views(found, {c.id: c for c in connections.load_all(self._tx)})

    def contact(self, alias: str) -> ContactView:
        """One contact. Raises `UnknownContact`."""
        self.give_up_waiting()
        contact = records.contact(self._tx, alias)
        # We do not call `contacts` and pick one view: a caller who asks for each of 500 contacts would make us build
        # 250,000 views.
        own = [] if contact.is_group else [connections.load(self._tx, contact.connection_id)]
        [view] = self._views([contact], {connection.id: connection for connection in own})
        return view

    def is_muted(self, contact_id: int) -> bool:
        """Whether a contact is muted at this moment."""
        return contact_id in contact_settings.muted(self._tx, self.now())

    def _views(self, found: Sequence[Contact], by_id: Mapping[int, Connection]) -> list[ContactView]:
        pending = lines.pending_counts(self._tx)
        under_way, made_up = move_views(self._tx), incognito.names(self._tx)
        receipts = contact_settings.by_contact(self._tx, contact_settings.Setting.RECEIPTS)
        usual = contact_settings.receipts_of_all(self._tx)
        muted = contact_settings.muted(self._tx, self.now())
        aliases, newest = names.by_number(self._tx), names.newest_messages(self._tx)
        standing: dict[str | None, list[Condition]] = {}
        for condition in attention.of_profile(self._tx, self.now()):
            standing.setdefault(condition.contact, []).append(condition)
        return [
            ContactView(
                contact=contact,
                state=self._state(contact, by_id),
                pending=pending.get(contact.id, 0),
                pq=ratchets.pq_active(self._tx, contact.connection_id),
                verified=contact.verified_code is not None
                and contact.verified_code == self._security_code(contact.connection_id),
                move=under_way.get(contact.connection_id),
                incognito=made_up.get(contact.connection_id),
                conditions=tuple(standing.get(contact.alias, ())),
                receipts=receipts.get(contact.id, usual) != contact_settings.OFF,
                muted_until=muted.get(contact.id),
                looks_like=aliases.get(contact.resembles or 0),
                newest=newest.get(contact.id, 0),
                group=self._group(contact),
            )
            for contact in found
        ]

    def _security_code(self, connection_id: int) -> str | None:
        return codes.current(self._tx, connection_id)

    def verification(self, who: str) -> Verification:
        """A contact's security code. The code is the same on both sides, unless somebody intercepts the messages.

        Raises:
            UnknownContact: No contact under that name.
            AgentError: The connection has no keys yet.
            InputError: The contact is a group.
        """
        contact = records.contact(self._tx, who)
        if contact.is_group:
            raise InputError(f"{contact.alias} is a group: it has no security code.", _PERSONS_ONLY)
        code = self._security_code(contact.connection_id)
        if code is None:
            raise MissingRecord("The connection has no ratchet yet.")
        return Verification(contact.alias, code, contact.verified_code == code)

    def is_forgotten(self, connection_id: int) -> bool:
        """Whether a deleted connection is completely gone, its queue at the relay included."""
        try:
            connections.load(self._tx, connection_id)
        except connections.UnknownConnection:
            return True
        return False

    # -- contact address ----------------------------------------------------------------------------------------------

    def address(self) -> AddressView | None:
        """The contact address, if there is one."""
        address = addresses.current(self._tx)
        return address_view(self._tx, address) if address else None

    def mark_requests_shown(self, *numbers: int) -> None:
        """Record that requests were shown."""
        with self.database.transaction() as tx:
            for number in numbers:
                addresses.mark_request_shown(tx, number)

    # -- events and status ---------------------------------------------------------------------------------------------

    def last_event(self) -> int:
        """Number of the newest event of the feed."""
        return feed_rows.last_event(self._tx)

    def events_after(self, seq: int) -> list[tuple[int, events.ChatEvent]]:
        """The events of the feed after number ``seq``, no matter which process caused them."""
        self.give_up_waiting()
        return [
            (number, events.from_row(kind, payload)) for number, kind, payload in feed_rows.events_after(self._tx, seq)
        ]

    def is_idle(self) -> bool:
        """Whether there is nothing to send to a relay now; messages that the handshake holds back do not count."""
        return not outgoing.lanes(self._tx, self.now())

    def status(self) -> Status:
        """The status of the whole profile: invitations, connections, pending messages, problems of relays, and more."""
        views = self.contacts()
        return Status(
            invitations=self.invitations(),
            connections=self._connections(),
            pending={view.alias: view.pending for view in views if view.pending},
            troubles=self.troubles(),
            address=self.address(),
            moves=move_views(self._tx),
            incognito=incognito.names(self._tx),
            receipts={view.contact.connection_id: view.receipts for view in views},
        )

    def _connections(self) -> list[events.StateChanged]:
        """The states of all connections; each group counts as one connection. Deleted connections, and the connections
        of addresses and of group members, are left out."""
        of_members = memberships.members_connections(self._tx)
        own = [c for c in connections.load_all(self._tx) if not _hidden(c) and c.id not in of_members]
        in_groups = [contact for contact in records.contacts(self._tx) if contact.is_group]
        return [self._describe(self._tx, c) for c in own] + [self._state(contact, {}) for contact in in_groups]

    def conditions(self, who: str | None = None) -> list[Condition]:
        """What needs the user's attention now, in the whole profile or about one contact; oldest first.

        Raises:
            UnknownContact: No contact under that name.
        """
        now = self.now()
        return attention.of_profile(self._tx, now) if who is None else attention.of_contact(self._tx, who, now)

    def check_not_held(self, who: str) -> None:
        """Raises `TextsHeld` if messages to a contact are held until the user decides."""
        blocked = attention.blocks_texts(self.conditions(who))
        if blocked is not None and blocked.kind in attention.DECISIONS:
            raise TextsHeld(blocked.text)

    def is_sending(self) -> bool:
        """Whether something waits to be sent to a relay, and no problem delays it. Problems are, for example, a full
        queue and a relay that cannot be reached."""
        return any(
            obstacles.of_connection(self._tx, connection_id, self.now(), receiving=False) is None
            for connection_id in {
                connection for connection, lane in outgoing.lanes(self._tx, self.now()) if lane in outgoing.AWAITED
            }
        )

    def holds_back(self, connection_id: int) -> bool:
        """Whether a connection has nothing in the outbox that may be sent. Its pending messages then wait for an answer
        from the contact, or for a decision of the user."""
        return not any(outgoing.kinds(self._tx, each) for each in memberships.connections_of(self._tx, connection_id))

    def obstacle(self, connection_id: int, *, receiving: bool = False) -> Obstacle | None:
        """The problem that a connection has now; None if there is none. A group has a problem only if all its
        connections have one.

        Args:
            receiving: Whether to look also for problems with the relay of our own queue.
        """
        found = [
            obstacles.of_connection(self._tx, each, self.now(), receiving=receiving)
            for each in memberships.connections_of(self._tx, connection_id)
        ]
        return found[0] if found and all(found) else None

    def move_obstacle(self, connection_id: int) -> Obstacle | None:
        """The problem that stops the move of our queue for a contact to another relay; None if there is none."""
        return obstacles.of_move(self._tx, connection_id)

    def troubles(self) -> dict[str, RelayTrouble]:
        """The problems of relays that this profile needs; the keys are the relays' addresses."""
        return outgoing.troubles_of_needed_relays(self._tx)

    def own_relays(self) -> list[SMPServer]:
        """The relays of our own queues, to which contacts send their messages."""
        return [queue.server for queue in moves.every_queue(self._tx)]


Opened = TypeVar("Opened", bound=StoredProfile)
"""The class with which a profile is opened: one with every action, or one with only a part of them."""


def _hidden(connection: Connection) -> bool:
    deleted = states.connection_state(connection.state) is ConnectionState.DELETED
    return deleted or states.role(connection.state) is Role.OWNER


def _os_user() -> str:
    import getpass  # costs 4 ms, and only profiles without a name need it

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # in a container, the user may have no name
        return "me"
