"""The complete profile (`ChatService`), with the methods that make, change and end connections.

Each action is stored in one transaction; the online process then does what needs a relay.
"""

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
"""For each value of `invite --handshake`: the terms of the new link. Users cannot choose the fourth `Variant`: it
arises if other software answers an *instant* link."""


class UnchosenName(Record):
    """A name that the user has not chosen, but that others see.

    Attributes:
        is_login: Whether the name is the user's login name.
        is_first: Whether the profile has only one connection: that of the link that was just made or used.
    """

    name: str
    is_login: bool
    is_first: bool


class ChatService(OwnGroupsProfile):
    """An opened profile with everything that a user can do. This class adds to `OwnGroupsProfile` the actions that
    make, accept, change and end connections."""

    # -- settings -----------------------------------------------------------------------------------------------------

    def rings(self) -> bool:
        """Whether `chat` rings the terminal's bell when somebody writes."""
        return settings.in_force(self.database.connection, _BELL) == "on"

    def set_rings(self, on: bool) -> None:
        """Turns the bell on or off, also for later runs."""
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
        """Creates an invitation, and returns its connection id. The invitation's link exists as soon as the online
        process has made the invitation's queue.

        Args:
            note: The alias for the person who will use the link; None if the user has not noted one.
            server: The relay for this invitation; None: one of the configured relays.
            incognito: The person who uses the link is told a made-up name, and nothing else of our profile.
        Raises:
            InputError: The note is not a valid alias, or is a contact's alias; or ``server`` is not the address of a
                relay.
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

        If the link was used before, and our profile is still held back until the user names the contact, `connect`
        continues with the same contact. A text that is already stored for this contact is then not sent again.

        Args:
            alias: The contact's alias. If None, the contact gets a substitute; if the link is a short one, the name in
                the link's data later replaces the substitute.
            texts: Messages to send. If the link is an address, the first message is sent with the request; the others
                wait until the address's owner accepts.
            hold: Send our profile only after `name_contact` was called. ``hold`` has no effect for a full link. If an
                alias is given, ``hold`` has an effect only if the link leads to a group.
            incognito: The contact is told a made-up name, and never anything else of our profile.
        Raises:
            InputError: The alias cannot be used, or a text is too long.
            LinkError: The text is not a link that can be used. The error says which part of the link is wrong.
            LinkJoinedError, OwnLinkError: The link was already used, or is our own.
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
                self._hide(tx, connection_id)  # before anything with our name is prepared
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
        """The name that others see as long as the user has not chosen one; None if the user has chosen a name.

        Args:
            connection_id: The connection of a link that was just made or used.
        """
        if profiles.own(self._tx) is not None:
            return None
        is_first = {connection.id for connection in connections.load_all(self._tx)} == {connection_id}
        return UnchosenName(self.own_profile().display_name, self.name == DEFAULT_PROFILE, is_first)

    def free_alias(self, text: str) -> str:
        """Checks that a new contact can have this alias, and returns the alias in the form in which it is stored.
        Raises `InputError`."""
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
        """Continues with a link that was used before, but whose contact the user has not named yet: stores the new
        texts. Our profile is sent now, unless ``hold`` is set and no alias is given."""
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
        """Chooses the alias of a contact whose link was just used. If our profile was held back until now, it is
        sent.

        Raises:
            InputError: The alias cannot be used.
            UnknownContact: The contact was deleted meanwhile.
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
        # `names.rename` is called even if the alias stays the same: otherwise, the name in the link's data would later
        # replace the alias.
        names.rename(tx, contact.id, alias)
        self._release(tx, contact)
        return records.contact(tx, alias)

    def _release(self, tx: sqlite3.Connection, contact: Contact) -> None:
        if not contact.is_group and states.is_held(connections.load(tx, contact.connection_id).state):
            agent.apply(tx, self.context, contact.connection_id, JoinReleased())

    def _free_alias(self, tx: sqlite3.Connection, alias: str, contact_id: int | None = None) -> None:
        """Checks that an alias is free. A contact that has this alias, but whose connection has failed, is deleted to
        make the alias free."""
        holder = records.find_contact(tx, alias)
        if holder is not None:
            if not self._has_failed(tx, holder):
                raise AliasInUse(alias)
            self._delete(tx, holder)
        naming.check_unlike(tx, alias, [] if contact_id is None else [contact_id])

    def rename(self, who: str, alias: str) -> Contact:
        """Gives a contact another alias, or confirms its present one. The contact is not told.

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
            self._release(tx, contact)  # a held join waits until the contact is named
            publish(tx, events.ContactChanged(alias))
            return records.contact(tx, alias)

    def rotate(self, who: str, server: str | None = None) -> Contact:
        """Moves our queue for a contact to another relay: the online process makes the new queue and tells the
        contact's app.

        Nothing is lost meanwhile: both queues are read until the contact uses the new one.

        Args:
            server: The relay of the new queue. If None, one of the configured relays is used, but if possible not the
                present one.
        Raises:
            UnknownContact: No contact under that name.
            InputError: Our queue for the contact cannot be moved now; the contact has deleted us; or ``server`` is not
                the address of a relay.
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
        """Cancels the move of our queue that `rotate` began, unless the contact was already told to use the new queue.

        Raises:
            UnknownContact: No contact under that name.
            InputError: Our queue is not being moved, or the move cannot be cancelled any more.
        """
        with self.database.transaction() as tx:
            contact = records.contact(tx, who)
            _check_person(contact)
            with move_errors(tx, contact):
                agent.stay(tx, self.context, contact.connection_id)
            return contact

    def delete(self, who: str) -> int:
        """Delete a contact with its messages, or cancel an invitation. ``who`` is the contact's alias, or the
        invitation's note, number or link.

        Returns:
            The id of the deleted connection; the online process deletes the connection's queue at the relay.
        Raises:
            UnknownContact: There is no such contact or invitation, or several contacts match.
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
        """Deletes a contact or group from the store. If possible, the contact is told that we deleted it, or the
        group's members are told that we left."""
        if contact.is_group:
            self._leave_for_good(tx, contact)
        else:
            agent.delete(tx, self.context, contact.connection_id, conversation.farewell(self.context, contact))
        records.delete_contact(tx, contact.id)
        conditions.forget(tx, contact.connection_id)

    def forget_server(self, address: str) -> int:
        """Forgets a relay that is no longer needed. If the relay has not confirmed the deletion of some queues, smpchat
        stops trying to delete them.

        Returns:
            The number of queues that may still exist at the relay.
        Raises:
            InputError: ``address`` is not the address of a relay; or contacts or invitations still use the relay.
        """
        server = str(relay_address(address).server)
        with self.database.transaction() as tx:
            # The deletions of queues are given up first, because a relay counts as needed while a deletion waits for
            # its confirmation. If an error is raised below, the transaction is rolled back, so that smpchat keeps
            # trying to delete the queues.
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
        """Accepts a request by its number or name. The sender of the request becomes a contact, and the request's text
        becomes the first message.

        Args:
            alias: The contact's alias. If None, the alias is made from the name in the request.
            incognito: The contact is told a made-up name, and never anything else of our profile.
            any_relay: Connect to the contact's relay, now and later, even if that relay is on this computer or in this
                computer's network.
        Raises:
            InputError: There is no such request, or the alias cannot be used.
            RelayNotPublic: The contact's relay is not public, and ``any_relay`` is not set.
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
    """Raises `InputError` for a group, because a group has a queue for each member."""
    if contact.is_group:
        raise InputError(f"{contact.alias} is a group.", "`smpchat rotate` moves the queue of one person.")
