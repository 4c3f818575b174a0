"""What a person can do with a profile: each command is one transaction; the online process carries it out."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Sequence

from smpchat.agent.errors import LinkJoinedError
from smpchat.agent.machines import handshake_states as states
from smpchat.agent.machines.handshake_events import JoinReleased
from smpchat.agent.machines.handshake_states import Terms, Variant
from smpchat.agent.store import connections, outgoing
from smpchat.agent.transactions import connection as agent
from smpchat.agent.transactions import contact_address, outbox, requesting
from smpchat.agent.wire import links
from smpchat.agent.wire.short_links import ShortContact, ShortInvitation
from smpchat.chat.errors import AliasInUse, AmbiguousContact, InputError, UnknownContact
from smpchat.chat.service.given_links import check_link, joined, made_by
from smpchat.chat.service.own_groups import OwnGroupsProfile
from smpchat.chat.service.reading import DEFAULT_PROFILE
from smpchat.chat.service.views import Invitation
from smpchat.chat.store import conditions, events, invitations, lines, memberships, names, profiles, records, settings
from smpchat.chat.store import incognito as incognito_names
from smpchat.chat.store.feed import publish
from smpchat.chat.store.records import Contact
from smpchat.chat.store.servers import relay_address
from smpchat.chat.transactions import conversation, naming, requests
from smpchat.chat.transactions.incoming import contact_from_request
from smpchat.chat.transactions.moves import move_errors
from smpchat.chat.wire.alias import check_alias, fold
from smpchat.encoding.record import Record

_BELL = "bell"
_TERMS = {
    Variant.INSTANT: Terms(sender_securable=True, reply_key=True),
    Variant.THREE_STEP: Terms(sender_securable=False, reply_key=True),
    Variant.STANDARD: Terms(sender_securable=False, reply_key=False),
}
"""What `invite --handshake` accepts; the fourth variant arises when other software answers an *instant* link."""


class UnchosenName(Record):
    """A name that others see and nobody chose.

    Attributes:
        is_login: It is the user's at the operating system.
        is_first: Only one link was made or used so far.
    """

    name: str
    is_login: bool
    is_first: bool


class ChatService(OwnGroupsProfile):
    """An opened profile with all that a person can do; here connections are made, answered, changed and ended."""

    # -- settings -----------------------------------------------------------------------------------------------------

    def rings(self) -> bool:
        """Whether `chat` rings the terminal's bell when somebody writes."""
        return settings.in_force(self.database.connection, _BELL) == "on"

    def set_rings(self, on: bool) -> None:
        """Change that, for later runs too."""
        with self.database.transaction() as tx:
            settings.save_setting(tx, _BELL, "on" if on else "off")

    # -- connections --------------------------------------------------------------------------------------------------

    def invite(
        self,
        note: str | None = None,
        variant: Variant = Variant.INSTANT,
        *,
        server: str | None = None,
        incognito: bool = False,
    ) -> int:
        """A new invitation's connection id; its link exists once the online process has made the queue.

        Args:
            server: The relay of this invitation alone; one of the configured ones if None.
            incognito: Whoever uses the link is told a made-up name, and never anything else of our profile.
        Raises:
            InputError: The note cannot be an alias, or belongs to a contact; or ``server`` is no relay's address.
        """
        terms = _TERMS[variant]
        relay = None if server is None else relay_address(server)
        if note is not None:
            note = check_alias(note)
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            if note is not None and records.find_contact(tx, note):
                raise AliasInUse(note)
            if note is not None:
                naming.check_unlike(tx, note)
            connection_id = agent.invite(tx, self.context, terms, relay)
            invitations.insert(tx, connection_id, note)
            if incognito:
                self._hide(tx, connection_id)
        return connection_id

    def _hide(self, tx: sqlite3.Connection, connection_id: int) -> None:
        incognito_names.make(tx, connection_id, self.entropy.random)

    def connect(
        self,
        link_text: str,
        alias: str | None,
        texts: Sequence[str] = (),
        *,
        hold: bool = False,
        incognito: bool = False,
    ) -> Contact:
        """Join an invitation or use an address: link, alias and texts are stored together before anything is sent.

        A join that is held is taken up again by the same link; texts that it has already are not sent twice.

        Args:
            alias: How to address the contact. If None it is made up, and once a short link was read made from the name
                in it.
            texts: The first one travels with the request to an address; the others wait until its owner accepts.
            hold: With a short link, and no alias or that of a group, our profile does not go out before `name_contact`.
            incognito: The contact is told a made-up name, and never anything else of our profile.
        Raises:
            InputError: The alias cannot be used, or a text is too long.
            LinkError: The text is no link that can be used; names the part that is wrong.
            LinkJoinedError, OwnLinkError: Nothing is left to join.
        """
        link = check_link(link_text, (entry.address.server for entry in self.servers()))
        alias = check_alias(alias) if alias is not None else None
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            before = joined(tx, link)
            if before is not None:
                contact = records.contact_of(tx, before)
                if contact is not None and states.is_held(connections.load(tx, before).state):
                    if incognito:
                        self._hide(tx, before)
                        requests.reintroduce(tx, contact, self.own_profile(tx))
                    return self._take_up(tx, contact, alias, texts, hold=hold)
                whom = f"your contact {contact.alias!r}" if contact else "a contact that you deleted"
                raise LinkJoinedError(f"You have already used this link, for {whom}.")
            made_up = alias is None
            if alias is None:
                alias = naming.free_alias(tx, "contact")
            else:
                self._free_alias(tx, alias)
            if isinstance(link, ShortInvitation):
                connection_id = agent.join_short(tx, self.context, link, held=hold and made_up)
            elif isinstance(link, links.InvitationLink):
                connection_id = agent.join(tx, self.context, link)
            else:
                held = hold and isinstance(link, ShortContact) and (made_up or requesting.is_group(link))
                if requesting.is_group(link):
                    connection_id = self._request_group(tx, link, texts, held=held, hidden=incognito)
                else:
                    connection_id = requesting.begin(tx, self.context, link, held=held)
            if incognito:
                self._hide(tx, connection_id)  # before anything says who we are
            records.insert_contact(tx, connection_id, alias, provisional=made_up, confirmed=not made_up)
            contact = records.contact(tx, alias)
            if isinstance(link, links.ContactLink | ShortContact) and not requesting.is_group(link):
                texts = requests.introduce(tx, self.context, contact, self.own_profile(tx), texts)
            for text in texts:
                conversation.send_text(tx, self.context, contact, text)
            publish(tx, self._describe(tx, connections.load(tx, connection_id)))
        return contact

    def find_contact(self, who: str) -> Contact | None:
        """The contact with this alias, if there is one."""
        return records.find_contact(self._tx, who)

    def unchosen_name(self, connection_id: int) -> UnchosenName | None:
        """The name that others see, if the user never chose one.

        Args:
            connection_id: Of a link that was just made or used.
        """
        if profiles.own(self._tx) is not None:
            return None
        is_first = {connection.id for connection in connections.load_all(self._tx)} == {connection_id}
        return UnchosenName(self.own_profile().display_name, self.name == DEFAULT_PROFILE, is_first)

    def free_alias(self, text: str) -> str:
        """``text`` as an alias that a new contact may have. Raises `InputError`; changes nothing."""
        alias = check_alias(text)
        holder = records.find_contact(self._tx, alias)
        if holder and not self._has_failed(self._tx, holder):
            raise AliasInUse(alias)
        naming.check_unlike(self._tx, alias)
        return alias

    def _has_failed(self, tx: sqlite3.Connection, contact: Contact) -> bool:
        if contact.is_group:
            return False
        return isinstance(connections.load(tx, contact.connection_id).state, states.Failed)

    def _take_up(
        self, tx: sqlite3.Connection, contact: Contact, alias: str | None, texts: Sequence[str], *, hold: bool
    ) -> Contact:
        """Go on with a join that is held."""
        stored = lines.texts(tx, contact.id)
        for text in texts:
            if text not in stored:
                conversation.send_text(tx, self.context, contact, text)
        if alias is None and hold:
            return contact
        if alias is not None:
            names.confirm(tx, contact.id)
        return self._name(tx, contact, alias or contact.alias)

    def name_contact(self, connection_id: int, alias: str) -> Contact:
        """Choose the alias of a contact just joined; if the join is held, our profile may go out now.

        Raises:
            InputError: The alias cannot be used.
            UnknownContact: It was deleted meanwhile.
        """
        alias = check_alias(alias)
        with self.database.transaction() as tx:
            contact = records.contact_of(tx, connection_id)
            if contact is None:
                raise UnknownContact(alias)
            names.confirm(tx, contact.id)
            return self._name(tx, contact, alias)

    def _name(self, tx: sqlite3.Connection, contact: Contact, alias: str) -> Contact:
        if alias != contact.alias:
            holder = records.find_contact(tx, alias)
            if holder is None or holder.id != contact.id:
                self._free_alias(tx, alias, contact.id)
            publish(tx, events.ContactChanged(alias))
        # The alias that it has, too: from now on the name in the link does not replace it.
        names.rename(tx, contact.id, alias)
        self._release(tx, contact)
        return records.contact(tx, alias)

    def _release(self, tx: sqlite3.Connection, contact: Contact) -> None:
        if not contact.is_group and states.is_held(connections.load(tx, contact.connection_id).state):
            agent.apply(tx, self.context, contact.connection_id, JoinReleased())

    def _free_alias(self, tx: sqlite3.Connection, alias: str, contact_id: int | None = None) -> None:
        """The alias of a failed contact may be used again; that contact goes."""
        holder = records.find_contact(tx, alias)
        if holder is not None:
            if not self._has_failed(tx, holder):
                raise AliasInUse(alias)
            self._delete(tx, holder)
        naming.check_unlike(tx, alias, [] if contact_id is None else [contact_id])

    def rename(self, who: str, alias: str) -> Contact:
        """Give a contact another alias, or confirm the one that it has; only this profile knows it.

        Raises:
            InputError: No contact under that name, or the alias cannot be used.
        """
        alias = check_alias(alias)
        with self.database.transaction() as tx:
            contact = records.contact(tx, who)
            holder = records.find_contact(tx, alias)
            if holder and holder.id != contact.id:
                raise AliasInUse(alias)
            if alias != contact.alias:
                naming.check_unlike(tx, alias, [contact.id])
            names.rename(tx, contact.id, alias)
            names.confirm(tx, contact.id)
            self._release(tx, contact)  # its name is what a held join waits for
            publish(tx, events.ContactChanged(alias))
            return records.contact(tx, alias)

    def rotate(self, who: str, server: str | None = None) -> Contact:
        """Receive from a contact at another relay: the online process makes the queue and tells the contact's app.

        Nothing is lost meanwhile: both queues are read until the contact uses the new one.

        Args:
            server: The relay of the new queue; one of the configured ones, if possible another one, if None.
        Raises:
            UnknownContact: No contact under that name.
            InputError: The contact cannot follow now, or not any more; or ``server`` is no relay's address.
        """
        relay = None if server is None else relay_address(server)
        with self.database.transaction() as tx:
            self.check_not_moved(tx)
            contact = records.contact(tx, who)
            _check_person(contact)
            if contact.gone:
                raise InputError(
                    f"{contact.alias} removed you; messages no longer reach them.", "Ask them for a new link."
                )
            with move_errors(tx, contact):
                agent.move(tx, self.context, contact.connection_id, relay)
            return contact

    def stay(self, who: str) -> Contact:
        """Cancel a move that `rotate` began, unless the contact was already told to use the new queue.

        Raises:
            UnknownContact: No contact under that name.
            InputError: There is no move, or it cannot be given up any more.
        """
        with self.database.transaction() as tx:
            contact = records.contact(tx, who)
            _check_person(contact)
            with move_errors(tx, contact):
                agent.stay(tx, self.context, contact.connection_id)
            return contact

    def delete(self, who: str) -> int:
        """Delete a contact with its messages, or cancel an invitation by its note, number or link.

        Returns:
            The connection, whose queue whoever is online removes from the relay.
        Raises:
            UnknownContact: Neither exists, or several contacts may be meant.
        """
        with self.database.transaction() as tx:
            try:
                contact = records.contact(tx, who)
            except AmbiguousContact:
                raise
            except UnknownContact:
                invitation = self._named_invitation(who)
                if invitation is None:
                    raise
                invitations.delete(tx, invitation.connection)
                conditions.forget(tx, invitation.connection)
                agent.delete(tx, self.context, invitation.connection)
                return invitation.connection
            self._delete(tx, contact)
            return contact.connection_id

    def _named_invitation(self, who: str) -> Invitation | None:
        """The invitation with this note, number or link."""
        noted = fold(who.removeprefix("@"))
        for invitation in self.invitations():
            if noted == fold(invitation.note or "") or who == str(invitation.connection) or made_by(who, invitation):
                return invitation
        return None

    def _delete(self, tx: sqlite3.Connection, contact: Contact) -> None:
        """Tell the contact, if possible, and delete it here."""
        if contact.is_group:
            self._leave_for_good(tx, contact)
        else:
            agent.delete(tx, self.context, contact.connection_id, conversation.farewell(self.context, contact))
        records.delete_contact(tx, contact.id)
        conditions.forget(tx, contact.connection_id)

    def forget_server(self, address: str) -> int:
        """Give up what a relay was still to be told of deleted contacts, and what was wrong with it.

        Returns:
            How many queues are left to it.
        Raises:
            InputError: This is not a relay's address; or contacts or invitations that you have are at this relay.
        """
        server = str(relay_address(address).server)
        with self.database.transaction() as tx:
            # First, as what is given up needs the relay no more; the error below takes it back.
            given_up = outbox.give_up_deletions(tx, server, self.now()) + outbox.give_up_left(tx, server)
            if outgoing.is_relay_needed(tx, server):
                at_it = [
                    view.alias
                    for view in self.contacts()
                    if server in memberships.relays_of(tx, view.contact.connection_id)
                ]
                if not at_it:
                    raise InputError(
                        "An invitation, your address or a connection in progress still uses this relay.",
                        "Delete the invitation or address first.",
                    )
                who = at_it[0]
                if records.contact(tx, who).is_group:
                    said = f"The group {who!r} still uses this relay."
                    raise InputError(said, f"Leave it and delete it first: `smpchat delete {shlex.quote(who)}`.")
                raise InputError(
                    f"The contact {who!r} still uses this relay.",
                    f"Move {who} to another relay with `smpchat rotate {shlex.quote(who)}`, or delete the contact.",
                )
            outgoing.clear_relay_trouble(tx, server)
        return given_up

    def accept(
        self, who: str, alias: str | None = None, *, incognito: bool = False, any_relay: bool = False
    ) -> Contact:
        """Accept a request by its number or name: it becomes a contact, and its text the first message.

        Args:
            alias: How to address the contact; made from the name in the request if None.
            incognito: The contact is told a made-up name, and never anything else of our profile.
            any_relay: Connect wherever the contact's relay is, now or later, also on this computer or its network.
        Raises:
            InputError: There is no such request, or the alias cannot be used.
            RelayNotPublic: Its relay needs ``any_relay``.
            AgentError: The request cannot be accepted.
        """
        alias = check_alias(alias) if alias is not None else None
        with self.database.transaction() as tx:
            request = requests.find(tx, who)
            if alias is not None:
                self._free_alias(tx, alias)
            connection_id = contact_address.accept(tx, self.context, request, any_relay=any_relay)
            if incognito:
                self._hide(tx, connection_id)
            self._has_room(tx)
            contact = contact_from_request(tx, self.context, connection_id, request, alias)
            publish(tx, self._describe(tx, connections.load(tx, connection_id)))
        return contact


def _check_person(contact: Contact) -> None:
    """Raises `InputError` for a group, which has a queue for each member."""
    if contact.is_group:
        raise InputError(f"{contact.alias} is a group.", "`smpchat rotate` moves the queue of one person.")
