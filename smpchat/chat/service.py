"""What a person can do with a profile: each command is one transaction; whoever is online carries it out."""

from __future__ import annotations

import getpass
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smpchat.agent import connection as agent
from smpchat.agent import contact_address, handshake, links, requesting
from smpchat.agent import handshake_states as states
from smpchat.agent.connection import Context
from smpchat.agent.errors import LinkJoinedError
from smpchat.agent.handshake_states import ConnectionState, Role, Terms, Variant
from smpchat.agent.short_links import ShortContact, ShortInvitation, ShortLink, resolve
from smpchat.agent.store import addresses, connections, outgoing, ratchets
from smpchat.agent.store import links as short_links
from smpchat.agent.store.connections import Connection
from smpchat.agent.store.database import Database, Migrations
from smpchat.agent.store.outgoing import RelayTrouble
from smpchat.agent.store.schema import AGENT_MIGRATIONS
from smpchat.chat import changes, conversation, events, requests, store
from smpchat.chat.application import ChatApplication, contact_from_request, describe_state, publish
from smpchat.chat.changes import SentChange
from smpchat.chat.contact import alias_from_name, check_alias
from smpchat.chat.errors import AliasInUse, CodeDiffers, InputError, NoAddress, ProfileMoved, UnknownContact
from smpchat.chat.message import encode_link_info
from smpchat.chat.profile import Profile
from smpchat.chat.requests import AddressView, RequestView
from smpchat.chat.schema import CHAT_MIGRATIONS
from smpchat.chat.servers import ConfiguredServer
from smpchat.chat.store import Contact, Message
from smpchat.client.routes import Route, Transport
from smpchat.crypto import kem
from smpchat.crypto.agreement import security_code
from smpchat.crypto.entropy import Entropy, SystemEntropy
from smpchat.crypto.kem import KEMProvider
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.address import SMPServer, SMPServerAddress, format_server, parse_server
from smpchat.transport.socks_address import SocksProxy, parse_proxy

DATABASE_NAME = "smpchat.db"
DEFAULT_PROFILE = "default"
NO_PROXY = "off"
MOVED = "moved"
"""Setting: the profile was moved elsewhere, at this POSIX time."""

_NO_LIMIT = -1
_TERMS = {
    Variant.INSTANT: Terms(sender_securable=True, reply_key=True),
    Variant.THREE_STEP: Terms(sender_securable=False, reply_key=True),
    Variant.STANDARD: Terms(sender_securable=False, reply_key=False),
}
"""What `invite --handshake` may ask for; the fourth variant is what other software makes of *instant*."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that nobody has answered.

    Attributes:
        link: The full link; None until its queue exists.
        short_link: Leads to the same; None where the relay or the handshake has none.
    """

    connection: int
    link: str | None
    note: str | None
    short_link: str | None = None


@dataclass(frozen=True, slots=True)
class ContactView:
    """A contact with its connection: what lists and prompts show.

    Attributes:
        pending: Number of pending messages.
        pq: Post-quantum keys protect both directions now.
        verified: The security code was compared and is still the same.
    """

    contact: Contact
    state: events.StateChanged
    pending: int
    pq: bool = False
    verified: bool = False

    @property
    def alias(self) -> str:
        """The name it is addressed by."""
        return self.contact.alias


@dataclass(frozen=True, slots=True)
class Verification:
    """A contact's security code, and whether it was compared and found equal."""

    contact: str
    code: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Status:
    """What waits, for whom, which relays cannot be reached, and the contact address if there is one."""

    invitations: list[Invitation]
    connections: list[events.StateChanged]
    pending: dict[str, int]
    troubles: dict[str, RelayTrouble]
    address: AddressView | None = None


def _installed_kem() -> KEMProvider | None:
    """The KEM of the ratchet, where it is installed; everything else works without it."""
    return kem if kem.available() else None


@dataclass(slots=True)
class ChatService:
    """One profile's store, opened. Any number of processes may have it open; one at a time is online.

    Args:
        socks: A SOCKS proxy in place of the profile's setting: ``HOST:PORT``, or ``off``. Raises `InputError`.
    Attributes:
        kem: Makes post-quantum keys; None where that cannot be had.
    """

    folder: Path
    name: str
    socks: str | None = None
    entropy: Entropy = field(default_factory=SystemEntropy)
    now: Callable[[], float] = time.time
    open_database: Callable[[Path, Mapping[str, Migrations]], Database] = Database
    kem: KEMProvider | None = field(default_factory=_installed_kem)
    database: Database = field(init=False)
    context: Context = field(init=False)

    def __post_init__(self) -> None:
        if self.socks is not None and self.socks != NO_PROXY:
            _proxy(self.socks)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        components = {"agent": AGENT_MIGRATIONS, "chat": CHAT_MIGRATIONS}
        self.database = self.open_database(self.folder / DATABASE_NAME, components)
        self.context = Context(ChatApplication(self.own_profile, self.now), self.entropy, self.now, self.kem)

    def close(self) -> None:
        """Close the store."""
        self.database.close()

    @property
    def _tx(self) -> sqlite3.Connection:
        return self.database.connection

    # -- profile ------------------------------------------------------------------------------------------------------

    def own_profile(self, tx: sqlite3.Connection | None = None) -> Profile:
        """What contacts are told: the name set, else the profile's own, else the user's at the operating system."""
        saved = Profile.from_json(store.setting(tx or self._tx, "profile"))
        return saved or Profile(_os_user() if self.name == DEFAULT_PROFILE else self.name)

    def set_profile(self, display_name: str) -> Profile:
        """Change the name that new contacts are told. Raises `InputError`."""
        profile = Profile.own(display_name)
        with self.database.transaction() as tx:
            store.save_setting(tx, "profile", profile.to_json())
            contact_address.update(tx, self.context, encode_link_info(profile))
        return profile

    def retire(self) -> None:
        """The profile was moved elsewhere: it never goes online here again, since two copies would break each other."""
        with self.database.transaction() as tx:
            store.save_setting(tx, MOVED, str(self.now()))

    def check_not_moved(self, tx: sqlite3.Connection | None = None) -> None:
        """Raises `ProfileMoved` if the profile was moved elsewhere."""
        if store.setting(tx or self._tx, MOVED) is not None:
            raise ProfileMoved

    # -- connections --------------------------------------------------------------------------------------------------

    def invite(self, note: str | None = None, variant: Variant = Variant.INSTANT, *, server: str | None = None) -> int:
        """A new invitation's connection id; its link exists once the online process has made the queue.

        Args:
            server: The relay of this invitation alone; one of the configured ones if None.
        Raises:
            InputError: The note cannot be an alias, or belongs to a contact; or ``server`` is no relay's address.
        """
        terms = _TERMS[variant]
        relay = None if server is None else _server(server)
        if note is not None:
            note = check_alias(note)
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            if note is not None and store.find_contact(tx, note):
                raise AliasInUse(note)
            connection_id = agent.invite(tx, self.context, terms, relay)
            store.insert_invitation(tx, connection_id, note)
        return connection_id

    def invitation(self, connection_id: int) -> Invitation | None:
        """An invitation that nobody has answered yet."""
        return next((i for i in self.invitations() if i.connection == connection_id), None)

    def invitations(self) -> list[Invitation]:
        """Invitations that nobody has answered yet, oldest first."""
        notes = store.invitation_notes(self._tx)
        by_id = {c.id: c for c in connections.load_all(self._tx)}
        short = short_links.texts(self._tx)
        return [Invitation(cid, by_id[cid].link, note, short.get(cid)) for cid, note in notes.items() if cid in by_id]

    def connect(self, link_text: str, alias: str | None, texts: Sequence[str] = (), *, hold: bool = False) -> Contact:
        """Join an invitation or use an address: link, alias and texts are stored together before anything is sent.

        A join that is held is taken up again by the same link; texts that it has already are not sent twice.

        Args:
            alias: How to address the contact. If None it is made up, and once a short link was read made from the name
                in it.
            texts: The first one travels with the request to an address; the others wait until its owner accepts.
            hold: With a short link and no alias, our profile does not go out before `name_contact`.
        Raises:
            InputError: The alias cannot be used, or a text is too long.
            LinkError: The text is no link that can be used; names the part that is wrong.
            LinkJoinedError, OwnLinkError: Nothing is left to join.
        """
        link = check_link(link_text)
        alias = check_alias(alias) if alias is not None else None
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            joined = _joined(tx, link)
            if joined is not None:
                contact = store.contact_of(tx, joined)
                if contact is not None and states.is_held(connections.load(tx, joined).state):
                    return self._take_up(tx, contact, alias, texts, hold=hold)
                whom = f"your contact {contact.alias!r}" if contact else "a contact that you deleted"
                raise LinkJoinedError(f"You used this link already, for {whom}.")
            made_up = alias is None
            if alias is None:
                alias = alias_from_name("contact", lambda name: store.find_contact(tx, name) is not None)
            self._free_alias(tx, alias)
            if isinstance(link, ShortInvitation):
                connection_id = agent.join_short(tx, self.context, link, held=hold and made_up)
            elif isinstance(link, links.InvitationLink):
                connection_id = agent.join(tx, self.context, link)
            else:
                held = hold and made_up and isinstance(link, ShortContact)
                connection_id = requesting.begin(tx, self.context, link, held=held)
            store.insert_contact(tx, connection_id, alias, provisional=made_up)
            contact = store.contact(tx, alias)
            if not isinstance(link, links.InvitationLink | ShortInvitation):
                texts = requests.introduce(tx, self.context, contact, self.own_profile(tx), texts)
            for text in texts:
                conversation.send_text(tx, self.context, contact, text)
            publish(tx, self._describe(tx, connections.load(tx, connection_id)))
        return contact

    def free_alias(self, text: str) -> str:
        """``text`` as an alias that a new contact may have. Raises `InputError`; changes nothing."""
        alias = check_alias(text)
        holder = store.find_contact(self._tx, alias)
        if holder and not self._has_failed(self._tx, holder):
            raise AliasInUse(alias)
        return alias

    def _has_failed(self, tx: sqlite3.Connection, contact: Contact) -> bool:
        return isinstance(connections.load(tx, contact.connection_id).state, states.Failed)

    def _take_up(
        self, tx: sqlite3.Connection, contact: Contact, alias: str | None, texts: Sequence[str], *, hold: bool
    ) -> Contact:
        """Go on with a join that is held."""
        stored = {message.text for message in store.history(tx, contact.id, _NO_LIMIT, None)}
        for text in texts:
            if text not in stored:
                conversation.send_text(tx, self.context, contact, text)
        if alias is None and hold:
            return contact
        return self._name(tx, contact, alias or contact.alias)

    def name_contact(self, connection_id: int, alias: str) -> Contact:
        """Choose the alias of a contact just joined; if the join is held, our profile may go out now.

        Raises:
            InputError: The alias cannot be used.
            UnknownContact: It was deleted meanwhile.
        """
        alias = check_alias(alias)
        with self.database.transaction() as tx:
            contact = store.contact_of(tx, connection_id)
            if contact is None:
                raise UnknownContact(alias)
            return self._name(tx, contact, alias)

    def _name(self, tx: sqlite3.Connection, contact: Contact, alias: str) -> Contact:
        if alias != contact.alias:
            holder = store.find_contact(tx, alias)
            if holder is None or holder.id != contact.id:
                self._free_alias(tx, alias)
            publish(tx, events.ContactChanged(alias))
        store.rename_contact(tx, contact.id, alias)
        self._release(tx, contact)
        return store.contact(tx, alias)

    def _release(self, tx: sqlite3.Connection, contact: Contact) -> None:
        if states.is_held(connections.load(tx, contact.connection_id).state):
            agent.apply(tx, self.context, contact.connection_id, handshake.JoinReleased())

    def is_held(self, connection_id: int) -> bool:
        """Whether a join waits for `name_contact`."""
        return states.is_held(connections.load(self._tx, connection_id).state)

    def is_link_read(self, connection_id: int) -> bool:
        """Whether all is known that a short link leads to, or never will be."""
        return not states.reads_link(connections.load(self._tx, connection_id).state)

    def contact_of(self, connection_id: int) -> Contact | None:
        """The contact of a connection, whatever it is called now."""
        return store.contact_of(self._tx, connection_id)

    def _free_alias(self, tx: sqlite3.Connection, alias: str) -> None:
        """The alias of a failed contact may be used again; that contact goes."""
        holder = store.find_contact(tx, alias)
        if holder is None:
            return
        if not self._has_failed(tx, holder):
            raise AliasInUse(alias)
        self._delete(tx, holder)

    def _describe(self, tx: sqlite3.Connection, connection: Connection) -> events.StateChanged:
        return describe_state(connection, store.contact_of(tx, connection.id), self.now())

    def state(self, connection_id: int) -> events.StateChanged:
        """Where a connection's handshake is. Raises `UnknownConnection`."""
        return self._describe(self._tx, connections.load(self._tx, connection_id))

    def contacts(self) -> list[ContactView]:
        """All contacts, by alias."""
        pending = store.pending_counts(self._tx)
        by_id = {c.id: c for c in connections.load_all(self._tx)}
        return [
            ContactView(
                contact=contact,
                state=describe_state(by_id[contact.connection_id], contact, self.now()),
                pending=pending.get(contact.id, 0),
                pq=agent.pq_active(self._tx, contact.connection_id),
                verified=contact.verified_code is not None
                and contact.verified_code == self._security_code(contact.connection_id),
            )
            for contact in store.contacts(self._tx)
        ]

    def contact(self, alias: str) -> ContactView:
        """One contact. Raises `UnknownContact`."""
        contact = store.contact(self._tx, alias)
        return next(view for view in self.contacts() if view.contact.id == contact.id)

    def rename(self, who: str, alias: str) -> Contact:
        """Give a contact another alias; only this profile knows it. Raises `InputError`."""
        alias = check_alias(alias)
        with self.database.transaction() as tx:
            contact = store.contact(tx, who)
            holder = store.find_contact(tx, alias)
            if holder and holder.id != contact.id:
                raise AliasInUse(alias)
            store.rename_contact(tx, contact.id, alias)
            self._release(tx, contact)  # its name is what a held join waits for
            publish(tx, events.ContactChanged(alias))
            return store.contact(tx, alias)

    def _security_code(self, connection_id: int) -> str:
        return security_code(ratchets.load(self._tx, connection_id).associated_data)

    def verification(self, who: str) -> Verification:
        """A contact's security code: the same on both sides, unless somebody sits between them.

        Raises:
            UnknownContact: No contact under that name.
            AgentError: The connection has no keys yet.
        """
        contact = store.contact(self._tx, who)
        code = self._security_code(contact.connection_id)
        return Verification(contact.alias, code, contact.verified_code == code)

    def verify(self, who: str, code: str) -> Verification:
        """Compare the code that the contact sees, by its digits, and remember that it is ours.

        It is the code that is remembered: should the keys change, the contact counts as not verified again.

        Raises:
            CodeDiffers: What was remembered is forgotten.
        """
        own = self.verification(who)
        equal = _digits(code) == _digits(own.code)
        with self.database.transaction() as tx:
            store.save_verified_code(tx, store.contact(tx, who).id, own.code if equal else None)
        if not equal:
            raise CodeDiffers(own.contact)
        return Verification(own.contact, own.code, verified=True)

    def resync(self, who: str) -> Contact:
        """Negotiate the encryption with a contact anew: what is written meanwhile waits, and the security code changes.

        Raises:
            UnknownContact: No contact under that name.
            AgentError: The connection is not made yet, or the contact was asked already and has not answered.
        """
        with self.database.transaction() as tx:
            contact = store.contact(tx, who)
            agent.resync(tx, self.context, contact.connection_id)
            return contact

    def delete(self, who: str) -> int:
        """Delete a contact with its messages, or cancel an invitation by its note, number or link.

        Returns:
            The connection, whose queue whoever is online removes from the relay.
        Raises:
            UnknownContact: Neither exists.
        """
        with self.database.transaction() as tx:
            contact = store.find_contact(tx, who)
            if contact is not None:
                self._delete(tx, contact)
                return contact.connection_id
            for invitation in self.invitations():
                if who in (invitation.note, str(invitation.connection), invitation.link, invitation.short_link):
                    store.delete_invitation(tx, invitation.connection)
                    agent.delete(tx, self.context, invitation.connection)
                    return invitation.connection
        raise UnknownContact(who)

    def _delete(self, tx: sqlite3.Connection, contact: Contact) -> None:
        """Tell the contact, if it can be told, and forget it."""
        agent.delete(tx, self.context, contact.connection_id, conversation.farewell(self.context, contact))
        store.delete_contact(tx, contact.id)

    def is_forgotten(self, connection_id: int) -> bool:
        """Whether a deleted connection's queue is gone from the relay, and with it the last trace."""
        try:
            connections.load(self._tx, connection_id)
        except connections.UnknownConnection:
            return True
        return False

    # -- contact address ----------------------------------------------------------------------------------------------

    def address(self) -> AddressView | None:
        """The contact address, if there is one."""
        address = contact_address.current(self._tx)
        return requests.address_view(self._tx, address) if address else None

    def create_address(self, *, auto_accept: bool = False, server: str | None = None) -> None:
        """Make a contact address; its links exist once the online process has made the queue.

        Args:
            server: The relay of the address alone; one of the configured ones if None.
        Raises:
            InputError: There is one; or ``server`` is no relay's address.
        """
        relay = None if server is None else _server(server)
        with self.database.transaction() as tx:
            if contact_address.current(tx) is not None:
                raise InputError("You have a contact address already.", "`smpchat address show` prints it.")
            data = encode_link_info(self.own_profile(tx))
            contact_address.publish(tx, self.context, data, relay, auto_accept=auto_accept)

    def accept_automatically(self, auto_accept: bool) -> None:
        """Whether later requests are accepted at once. Raises `NoAddress`."""
        with self.database.transaction() as tx:
            addresses.save_auto_accept(tx, _address(tx).connection_id, auto_accept)

    def delete_address(self) -> int:
        """Delete the contact address with its requests; contacts made through it stay. Raises `NoAddress`.

        Returns:
            Its connection record, whose queue whoever is online removes from the relay.
        """
        with self.database.transaction() as tx:
            address = _address(tx)
            contact_address.delete(tx, self.context, address)
        return address.connection_id

    def requests(self) -> list[RequestView]:
        """Contact requests that wait for an answer, oldest first."""
        return [requests.view(request) for request in addresses.requests(self._tx)]

    def accept(self, who: str, alias: str | None = None) -> Contact:
        """Accept a request by its number or name: it becomes a contact, and its text the first message.

        Args:
            alias: How to address the contact; made from the name in the request if None.
        Raises:
            InputError: There is no such request, or the alias cannot be used.
            AgentError: The request cannot be accepted.
        """
        alias = check_alias(alias) if alias is not None else None
        with self.database.transaction() as tx:
            request = requests.find(tx, who)
            if alias is not None:
                self._free_alias(tx, alias)
            connection_id = contact_address.accept(tx, self.context, request)
            contact = contact_from_request(tx, connection_id, request, alias)
            publish(tx, self._describe(tx, connections.load(tx, connection_id)))
        return contact

    def reject(self, who: str) -> RequestView:
        """Forget a request by its number or name; whoever sent it is told nothing. Raises `UnknownRequest`."""
        with self.database.transaction() as tx:
            request = requests.find(tx, who)
            contact_address.reject(tx, request)
        return requests.view(request)

    def unshown_requests(self) -> list[RequestView]:
        """Contact requests that no `listen` or `chat` has shown."""
        return [requests.view(request) for request in addresses.unshown_requests(self._tx)]

    def mark_request_shown(self, number: int) -> None:
        """A request was shown, its line flushed."""
        with self.database.transaction() as tx:
            addresses.mark_request_shown(tx, number)

    # -- messages -----------------------------------------------------------------------------------------------------

    def send(self, who: str, text: str, reply_to: int | None = None) -> Message:
        """Store a message; it is sent as soon as the handshake and the relay let it.

        Args:
            reply_to: Number of a message of this conversation, which the new one answers.
        Raises:
            UnknownContact, UnknownMessage, TextTooLong, InputError: Nothing was stored.
            AgentError: The connection failed.
        """
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            contact = store.contact(tx, who)
            original = None if reply_to is None else conversation.message(tx, reply_to)
            if original is not None and original.contact != contact.alias:
                raise InputError(f"Message {original.id} is of another conversation.", "Answer it there.")
            return conversation.send_text(tx, self.context, contact, text, original)

    def edit(self, message_id: int, text: str) -> SentChange:
        """Give a message of ours another text, here and at the contact's. Raises `InputError`, `AgentError`."""
        with self.database.transaction() as tx:
            return conversation.edit(tx, self.context, message_id, text)

    def retract(self, message_id: int) -> SentChange:
        """Take a message of ours back, here and at the contact's. Raises `InputError`, `AgentError`.

        Apps honour that for 78 hours.
        """
        with self.database.transaction() as tx:
            return conversation.retract(tx, self.context, message_id)

    def react(self, message_id: int, emoji: str, *, add: bool = True) -> SentChange:
        """React to a message with one of eight emoji, or take that back. Raises `InputError`, `AgentError`."""
        with self.database.transaction() as tx:
            return conversation.react(tx, self.context, message_id, emoji, add=add)

    def change(self, change_id: int) -> SentChange | None:
        """An edit, deletion or reaction of ours; None once its contact was deleted."""
        return changes.sent(self._tx, change_id)

    def message(self, message_id: int) -> Message | None:
        """One message; None once its contact was deleted."""
        return store.message(self._tx, message_id)

    def required_message(self, message_id: int) -> Message:
        """One message. Raises `UnknownMessage`."""
        return conversation.message(self._tx, message_id)

    def history(self, who: str, limit: int = 50, search: str | None = None) -> list[Message]:
        """The last messages of a conversation, oldest first. Raises `UnknownContact`."""
        return store.history(self._tx, store.contact(self._tx, who).id, limit, search)

    def unshown_messages(self) -> list[Message]:
        """Received messages that no `listen` or `chat` has shown."""
        return store.messages_to_show(self._tx)

    def unshown_changes(self) -> list[Message]:
        """Messages that were shown, and that the contact has edited, deleted or reacted to since."""
        return store.changes_to_show(self._tx)

    def mark_shown(self, message_id: int, changes: int | None = None) -> None:
        """A message was shown, its line flushed: as it is now, or with its first ``changes`` changes."""
        with self.database.transaction() as tx:
            store.mark_shown(tx, message_id, changes)

    def unshown_contacts(self) -> list[Contact]:
        """Contacts whose profile nobody was shown yet."""
        return store.contacts_to_show(self._tx)

    def mark_profile_shown(self, contact_id: int) -> None:
        """A contact's profile was shown."""
        with self.database.transaction() as tx:
            store.mark_profile_shown(tx, contact_id)

    # -- following ----------------------------------------------------------------------------------------------------

    def last_event(self) -> int:
        """Number of the newest event of the feed."""
        return store.last_event(self._tx)

    def events_after(self, seq: int) -> list[tuple[int, events.ChatEvent]]:
        """What happened since event number ``seq``, in this process or another."""
        return [(number, events.from_row(kind, payload)) for number, kind, payload in store.events_after(self._tx, seq)]

    def is_idle(self) -> bool:
        """Whether nothing is left to be sent to a relay; messages held back by a handshake do not count."""
        return not outgoing.lanes(self._tx, self.now())

    def status(self) -> Status:
        """Invitations, handshakes, pending messages and relays."""
        views = self.contacts()
        return Status(
            invitations=self.invitations(),
            connections=[self._describe(self._tx, c) for c in connections.load_all(self._tx) if not _hidden(c)],
            pending={view.alias: view.pending for view in views if view.pending},
            troubles=self.troubles(),
            address=self.address(),
        )

    def troubles(self) -> dict[str, RelayTrouble]:
        """Relays that cannot be reached, by address."""
        return outgoing.relay_troubles(self._tx)

    def relay_of(self, connection_id: int) -> str | None:
        """Address of the relay that a connection sends through, or that holds its own queue."""
        queue = connections.send_queue(self._tx, connection_id) or connections.receive_queue(self._tx, connection_id)
        return str(queue.server) if queue else None

    def own_relays(self) -> list[SMPServer]:
        """Relays that hold queues of ours: where contacts write to."""
        found = (connections.receive_queue(self._tx, connection.id) for connection in connections.load_all(self._tx))
        return [queue.server for queue in found if queue is not None]

    # -- servers ------------------------------------------------------------------------------------------------------

    def servers(self) -> list[ConfiguredServer]:
        """Configured relays. None preferred: the embedded relay takes new queues."""
        return [
            ConfiguredServer(parse_server(row.address), row.preferred, Route(Transport(row.transport), row.ws_port))
            for row in store.servers(self._tx)
        ]

    def add_server(
        self, address: str, transport: Transport | None = None, ws_port: int | None = None
    ) -> SMPServerAddress:
        """Add a relay, or change by what way it is reached; it takes new queues from now on.

        Args:
            transport: TLS, unless it was added with another one before.
            ws_port: Port of its WebSocket; that of before, else `smpchat.client.network.DEFAULT_WS_PORT`.
        Raises:
            InputError: The address or the port is none.
        """
        server = _server(address)
        if ws_port is not None and not 0 < ws_port < 65536:
            raise InputError(f"{ws_port} is no port.", "Give a number from 1 to 65535.")
        with self.database.transaction() as tx:
            store.add_server(tx, _text(server), preferred=True)
            store.set_route(tx, _text(server), transport, ws_port)
        return server

    def remove_server(self, address: str) -> None:
        """Remove a relay from the list; contacts whose queues are there keep them. Raises `InputError`."""
        with self.database.transaction() as tx:
            if not store.remove_server(tx, _text(_server(address))):
                raise InputError("This relay is not in your list.", "`smpchat server list` shows it.")

    def use_servers(self, addresses: Sequence[str]) -> None:
        """New queues are made at these relays only; at the embedded one if none is given. Raises `InputError`."""
        servers = [_server(address) for address in addresses]
        with self.database.transaction() as tx:
            store.prefer_no_server(tx)
            for server in servers:
                store.add_server(tx, _text(server), preferred=True)

    def private_routing(self) -> bool:
        """Whether strangers' relays are sent to through the profile's own."""
        return store.setting(self._tx, "private_routing") == "on"

    def set_private_routing(self, on: bool) -> None:
        """Change that; sessions that exist go on as they are."""
        with self.database.transaction() as tx:
            store.save_setting(tx, "private_routing", "on" if on else "off")

    def is_local(self, connection_id: int) -> bool:
        """Whether only this computer reaches the relay of a connection's queue."""
        queue = connections.receive_queue(self._tx, connection_id)
        return queue is not None and queue.server.is_on_loopback

    def is_own_relay(self, server: SMPServer) -> bool:
        """Whether the profile has queues of its own there, or may come to have some."""
        own = [entry.address.server for entry in self.servers()]
        own += connections.wanted_relays(self._tx)
        own += [queue.server for queue in connections.receive_queues(self._tx)]
        return any(known.key_hash == server.key_hash for known in own)

    def proxy(self) -> SocksProxy | None:
        """The SOCKS proxy for all connections but those to the embedded relay; `socks` wins over the setting."""
        text = self.socks or store.setting(self._tx, "socks") or NO_PROXY
        return None if text == NO_PROXY else _proxy(text)

    def set_proxy(self, text: str) -> None:
        """Save the SOCKS proxy, ``HOST:PORT`` or ``off``. Raises `InputError`."""
        with self.database.transaction() as tx:
            store.save_setting(tx, "socks", text if text == NO_PROXY else str(_proxy(text)))


def check_link(text: str) -> links.ConnectionLink | ShortLink:
    """The invitation or address in a text that a person pasted. Raises `LinkError`, naming the part that is wrong."""
    link = links.parse_link(text)
    if isinstance(link, ShortInvitation):
        return resolve(link)
    if not isinstance(link, links.InvitationLink):
        requesting.check_kind(link)
    return link


def _digits(code: str) -> str:
    return "".join(c for c in code if c in "0123456789")


def _hidden(connection: Connection) -> bool:
    deleted = states.connection_state(connection.state) is ConnectionState.DELETED
    return deleted or states.role(connection.state) is Role.OWNER


def _address(tx: sqlite3.Connection) -> addresses.Address:
    address = contact_address.current(tx)
    if address is None:
        raise NoAddress
    return address


def _joined(tx: sqlite3.Connection, link: links.ConnectionLink | ShortLink) -> int | None:
    """The connection that joined this link: by its text or id, or by its queue, which may have moved since."""
    if isinstance(link, ShortInvitation):
        found = short_links.find(tx, link)
        joined = found is not None and states.role(connections.load(tx, found).state) is Role.JOINER
        return found if joined else None
    if not isinstance(link, links.InvitationLink):
        return requesting.find(tx, link)
    by_text = connections.find_by_link(tx, links.format_link(link))
    if by_text and states.role(by_text.state) is not states.Role.JOINER:
        return None  # it made the link
    by_queue = connections.find_send_queue(tx, link.queues[0].server, link.queues[0].sender_id)
    return by_text.id if by_text else by_queue.connection_id if by_queue else None


def _server(address: str) -> SMPServerAddress:
    try:
        return parse_server(address)
    except DecodeError as error:
        raise InputError(
            f"This is not the address of a relay: {error.what}.",
            "It looks like smp://FINGERPRINT@HOST or smp://FINGERPRINT@HOST:PORT.",
        ) from None


def _proxy(text: str) -> SocksProxy:
    try:
        return parse_proxy(text)
    except DecodeError:
        raise InputError(
            f"{text!r} is not the address of a SOCKS proxy.", "Give HOST:PORT, such as 127.0.0.1:9050 for Tor, or off."
        ) from None


def _text(address: SMPServerAddress) -> str:
    return format_server(address)


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user in a container
        return "me"
