"""The part of `smpchat.Client` for our profile, contacts, preferences and address. No method here waits for a relay."""

from __future__ import annotations

import math
from collections.abc import Sequence

from smpchat.api_texts import checks_texts
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.introducing import ContactDetails
from smpchat.chat.service.views import ContactView, Verification
from smpchat.chat.store.address import AddressView, RequestView
from smpchat.chat.store.records import Message
from smpchat.chat.wire.bots import BotCommand
from smpchat.chat.wire.picture import Picture
from smpchat.chat.wire.preferences import Allow, Feature
from smpchat.chat.wire.profile import Profile


@checks_texts
class ProfileCalls:
    """What a program can do with profiles and preferences. Contacts get the changes from the process that is online for
    the profile."""

    @property
    def _service(self) -> ChatService:
        raise NotImplementedError

    def profile(self) -> Profile:
        """Our profile as contacts see it."""
        return self._service.own_profile()

    def set_profile(
        self,
        display_name: str | None = None,
        *,
        description: str | None = None,
        picture: bytes | None = None,
        remove_picture: bool = False,
    ) -> Profile:
        """Change the given parts of our profile, and tell all contacts, except those made with ``incognito``.

        Args:
            description: A line about us; an empty one removes it.
            picture: Content of a JPEG or PNG file of at most 9,357 bytes.
        Raises:
            InputError: A value is invalid, for example a name that apps could not show; nothing changed.
        """
        return self._service.set_profile(
            display_name, description=description, picture=picture, remove_picture=remove_picture
        )

    def set_bot(self, commands: Sequence[BotCommand] | None = ()) -> Profile:
        """Mark the profile as a bot that offers commands; None: mark it as a person.

        Apps show the commands as a menu. A message that uses a command has ``command`` and ``arguments``. If no
        commands are offered, any word after a slash is a command. Raises `InputError`.
        """
        return self._service.set_bot(commands)

    def verification(self, alias: str) -> Verification:
        """The security code with a contact, and whether it was compared. Raises `UnknownContact`, `AgentError`."""
        return self._service.verification(alias)

    def verify(self, alias: str, code: str) -> Verification:
        """Compare the code that a contact sees with ours. If they match, the contact counts as verified.

        Messages that were held because of new keys are then sent.

        Raises:
            UnknownContact, AgentError: Nothing changed.
            CodeDiffers: The codes are different. The contact now counts as not verified, and messages that were held
                because of new keys are still not sent.
        """
        return self._service.verify(alias, code)

    def resync(self, alias: str) -> None:
        """Renew the encryption with a contact, or accept new keys that came in the contact's name.

        Raises:
            UnknownContact, AgentError: Nothing changed.
        """
        self._service.resync(alias)

    def refuse_keys(self, alias: str) -> None:
        """Refuse new keys that came in a contact's name.

        Raises:
            UnknownContact: No contact has this alias.
            AgentError: No new keys came in the contact's name.
        """
        self._service.refuse_keys(alias)

    def details(self, alias: str) -> ContactDetails:
        """A contact's details, and which features we and the contact allow each other. Raises `UnknownContact`."""
        return self._service.details(alias)

    def picture(self, alias: str) -> Picture:
        """The picture in a contact's profile; the contact chose it. Raises `InputError` if there is no picture."""
        return self._service.picture(alias)

    def allow(self, feature: Feature | str, allow: Allow | str | None, alias: str | None = None) -> None:
        """Choose whether a contact may use a feature; ``yes`` means: only if the contact allows us the same feature.

        Args:
            feature: A feature by its name in the protocol: ``reactions``, ``fullDelete`` and so on (see `Feature`).
            allow: ``yes``, ``no`` or ``always``. None removes the choice for this contact, so that the choice for all
                contacts counts; without ``alias``, it removes the choice for all contacts, so that the default counts.
            alias: The contact; None: all contacts without a setting of their own.
        Raises:
            UnknownContact: No contact has this alias.
            ValueError: There is no such feature or choice.
        """
        chosen = None if allow is None else Allow(allow)
        if alias is None:
            self._service.set_allowed(Feature(feature), chosen)
        else:
            self._service.set_contact_allowed(alias, Feature(feature), chosen)

    def disappear_after(self, alias: str, seconds: int | None) -> ContactDetails:
        """Let messages with a contact disappear after some time, if the contact allows it, too.

        In the result, ``agreement.ttl`` is the time in effect for messages of ours.

        Args:
            seconds: How long a message stays: ours after it was sent, the contact's after it was shown. None: messages
                do not disappear.
        Raises:
            UnknownContact, InputError: Nothing changed.
        """
        return self._service.set_disappearing(alias, seconds)

    def mute(self, alias: str, seconds: float | None = math.inf) -> ContactDetails:
        """Mute a contact: no bell and no notification in `chat` and `listen`; the contact is not told.

        Args:
            seconds: For how long (default: for ever); None: unmute the contact.
        Returns:
            The contact; ``view.muted_until`` is the time at which the muting ends, in POSIX seconds.
        Raises:
            UnknownContact: No contact has this alias.
            ValueError: ``seconds`` is not more than 0.
        """
        if seconds is not None and not seconds > 0:  # nan is not, either
            raise ValueError(f"{seconds} is not more than 0 seconds")
        return self._service.mute(alias, seconds)

    def give_receipts(self, on: bool | None = True, alias: str | None = None) -> None:
        """Choose whether to send a contact receipts, which say that the contact's messages have arrived.

        The contact is not told of this choice.

        Args:
            on: None removes the choice for this contact, so that the choice for all contacts counts; without ``alias``,
                it removes the choice for all contacts, so that the default (True) counts.
            alias: The contact; None: all contacts without a setting of their own.
        Raises:
            UnknownContact: No contact has this alias.
        """
        if alias is None:
            self._service.set_receipts(on)
        else:
            self._service.set_contact_receipts(alias, on)

    # -- contact address ----------------------------------------------------------------------------------------------

    def address(self) -> AddressView | None:
        """The contact address; None if there is none. The address has no links until its relay has been reached."""
        return self._service.address()

    def accept_automatically(self, auto_accept: bool = True) -> None:
        """Choose whether later requests are accepted at once. Raises `NoAddress`."""
        self._service.accept_automatically(auto_accept)

    def set_address(
        self, *, auto_accept: bool | None = None, welcome: str | None = None, auto_reply: str | None = None
    ) -> None:
        """Change the given parts of the contact address; see `create_address`. Raises `NoAddress`, `InputError`."""
        self._service.set_address(auto_accept=auto_accept, welcome=welcome, auto_reply=auto_reply)

    def requests(self) -> list[RequestView]:
        """Contact requests that wait for an answer, oldest first."""
        return self._service.requests()

    def reject(self, request: int | str) -> RequestView:
        """Reject the request with this number or from this sender; the sender is not told. Raises `UnknownRequest`."""
        return self._service.reject(str(request))

    def reject_all(self) -> int:
        """Reject every request; the senders are not told. Returns the number of requests."""
        return self._service.reject_all()

    def allow_strangers_anywhere(self, allow: bool = True) -> None:
        """Choose whether other people's relays may be on this computer or in its network (default: no)."""
        self._service.set_strangers_anywhere(allow)

    # -- contacts ------------------------------------------------------------------------------------------------------

    def contacts(self) -> list[ContactView]:
        """All contacts, sorted by alias."""
        return self._service.contacts()

    def contact(self, alias: str) -> ContactView:
        """One contact. Raises `UnknownContact`."""
        return self._service.contact(alias)

    def rotate(self, alias: str, server: str | None = None) -> ContactView:
        """Move our queue for a contact to another relay. Raises `InputError`.

        In the result, ``move`` tells how far the queue's move to the new relay has come.

        Args:
            server: Address of the new relay; None: a configured relay.
        """
        return self._service.contact(self._service.rotate(alias, server).alias)

    def cancel_rotation(self, alias: str) -> ContactView:
        """Cancel a move that `rotate` began, unless the contact already knows the new queue. Raises `InputError`."""
        return self._service.contact(self._service.stay(alias).alias)

    def search(
        self,
        text: str,
        alias: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Message]:
        """The last messages that contain every word of a text, oldest first. These messages then count as seen.

        Args:
            text: Words, or parts of them, in any order; capitals and accents do not matter. Empty: all messages.
            alias: The contact or group; None: all conversations.
            since: Only messages sent at this time or later, in POSIX seconds.
            until: Only messages sent before this time, in POSIX seconds.
            before: Only messages with an id smaller than this, to read further back.
        Raises:
            UnknownContact: No contact has this alias.
        """
        found = self._service.find(text, alias, since=since, until=until, before=before, limit=limit).messages
        self._service.were_read(found)
        return found

    def history(self, alias: str, limit: int = 50, search: str | None = None) -> list[Message]:
        """The last messages of a conversation, oldest first. They then count as seen. Raises `UnknownContact`."""
        found = self._service.history(alias, limit, search)
        self._service.were_read(found)
        return found
