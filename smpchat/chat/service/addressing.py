"""A profile with a contact address: creating, changing and deleting the address, and rejecting requests."""

from __future__ import annotations

import sqlite3

from smpchat.agent.machines.notices import NoticeKind
from smpchat.agent.store import addresses
from smpchat.agent.transactions import contact_address
from smpchat.chat.errors import InputError, NoAddress
from smpchat.chat.service.introducing import IntroducingProfile
from smpchat.chat.store import address as address_store
from smpchat.chat.store import conditions
from smpchat.chat.store.address import AddressTexts, RequestView
from smpchat.chat.store.servers import relay_address
from smpchat.chat.transactions import requests
from smpchat.chat.wire.content import whole
from smpchat.chat.wire.message import MAX_WELCOME, packed_link_info


class AddressProfile(IntroducingProfile):
    """A profile with a contact address, through which people can ask to connect. Each change is one transaction in the
    store; later the online process sends the change to the relay."""

    def create_address(
        self, *, auto_accept: bool = False, server: str | None = None, welcome: str = "", auto_reply: str = ""
    ) -> int:
        """Creates a contact address, and returns the id of its connection. The address gets its links later, when the
        online process has made a queue for it at a relay.

        Args:
            server: The relay for this address; None: one of the configured relays.
            welcome, auto_reply: See `set_address`.
        Raises:
            InputError: The profile already has an address; ``server`` is not the address of a relay; or a text is too
                long.
        """
        relay = None if server is None else relay_address(server)
        with self.database.transaction() as tx:
            if addresses.current(tx) is not None:
                raise InputError("You already have a contact address.", "`smpchat address show` prints it.")
            data = self._save_texts(tx, welcome, auto_reply)
            return contact_address.publish(tx, self.context, data, relay, auto_accept=auto_accept)

    def set_address(
        self, *, auto_accept: bool | None = None, welcome: str | None = None, auto_reply: str | None = None
    ) -> None:
        """Change the given parts of our address.

        Args:
            auto_accept: Whether requests that arrive later are accepted automatically.
            welcome: The text that people read before they send a request. When we accept a person's request, that
                person sees this text again, as our first message.
            auto_reply: A message that is sent to each person whose request we accept. If this text is empty, no such
                message is sent.
        Raises:
            NoAddress: There is no address.
            InputError: A text is too long; nothing changed.
        """
        with self.database.transaction() as tx:
            address, texts = _address(tx), address_store.texts(tx)
            if auto_accept is not None:
                addresses.save_auto_accept(tx, address.connection_id, auto_accept)
            welcome = texts.welcome if welcome is None else welcome
            data = self._save_texts(tx, welcome, texts.auto_reply if auto_reply is None else auto_reply)
            contact_address.update(tx, self.context, data)

    def _save_texts(self, tx: sqlite3.Connection, welcome: str, auto_reply: str) -> bytes:
        """Saves the welcome text and the automatic reply, and returns the new data of the address's short link.
        Raises `InputError`."""
        texts = AddressTexts(whole(welcome).strip(), whole(auto_reply).strip())
        if len(texts.auto_reply) > MAX_WELCOME:
            raise InputError("The automatic reply is too long.", f"Use at most {MAX_WELCOME:,} characters.")
        data = packed_link_info(self.own_profile(tx), texts.welcome)
        address_store.save_texts(tx, texts)
        return data

    def accept_automatically(self, auto_accept: bool) -> None:
        """Sets whether requests that arrive later are accepted automatically. Raises `NoAddress`."""
        self.set_address(auto_accept=auto_accept)

    def delete_address(self) -> int:
        """Delete the contact address with its requests; contacts made through it stay. Raises `NoAddress`.

        Returns:
            The id of the address's connection; the online process deletes the address's queue at the relay.
        """
        with self.database.transaction() as tx:
            address = _address(tx)
            contact_address.delete(tx, self.context, address)
            address_store.save_texts(tx, AddressTexts())
        return address.connection_id

    @staticmethod
    def _has_room(tx: sqlite3.Connection) -> None:
        """Ends the condition ``REQUESTS_FULL``. Called when a request was accepted or rejected: another request can be
        received then."""
        address = addresses.current(tx)
        if address is not None:
            conditions.end(tx, address.connection_id, NoticeKind.REQUESTS_FULL)

    def reject(self, who: str) -> RequestView:
        """Reject a request by its number or name; the sender is not told. Raises `UnknownRequest`."""
        with self.database.transaction() as tx:
            request = requests.find(tx, who)
            view = requests.view(tx, request)
            contact_address.reject(tx, request)
            self._has_room(tx)
        return view

    def reject_all(self) -> int:
        """Reject all requests; the senders are not told. Returns how many requests were rejected."""
        with self.database.transaction() as tx:
            address = addresses.current(tx)
            if address is None:
                return 0
            self._has_room(tx)
            conditions.end(tx, address.connection_id, NoticeKind.REQUESTS_WAIT)
            return contact_address.reject_all(tx, address)


def _address(tx: sqlite3.Connection) -> addresses.Address:
    address = addresses.current(tx)
    if address is None:
        raise NoAddress
    return address
