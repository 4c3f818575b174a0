"""A profile that tells contacts about us: our name, our picture, and what contacts may do. Receipts and muting are
also set here, but contacts are not told about these two."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from smpchat.agent.transactions import contact_address
from smpchat.chat.errors import InputError
from smpchat.chat.service.views import ContactView
from smpchat.chat.service.writing import WritingProfile
from smpchat.chat.store import address, contact_settings, profiles, records
from smpchat.chat.store.contact_settings import FOR_EVER, ON, Setting
from smpchat.chat.store.records import Contact
from smpchat.chat.transactions import preferences, requests
from smpchat.chat.transactions.preferences import Agreement
from smpchat.chat.wire.bots import BotCommand, own_commands
from smpchat.chat.wire.message import packed_link_info
from smpchat.chat.wire.picture import Picture, picture_of, picture_uri
from smpchat.chat.wire.preferences import MAX_TTL, Allow, Feature, Preference
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.record import Record, replace

_LONG = 3650 * 86_400.0
"""A mute of more than this many seconds lasts for ever, because dates that far in the future cannot be shown."""


class ContactDetails(Record):
    """Details of one contact: its profile, and what the user and the contact allow each other.

    Attributes:
        receipts: Whether the user has turned receipts on or off for this contact alone; None if the setting for all
            contacts applies. ``view.receipts`` says whether the contact really gets receipts.
    """

    view: ContactView
    agreement: Agreement
    receipts: bool | None = None


class IntroducingProfile(WritingProfile):
    """A profile that changes what contacts are told about us. Each change is stored in one transaction; the online
    process then sends the change to the contacts."""

    # -- settings for all contacts -------------------------------------------------------------------------------------

    def set_profile(
        self,
        display_name: str | None = None,
        *,
        description: str | None = None,
        picture: bytes | None = None,
        remove_picture: bool = False,
    ) -> Profile:
        """Changes the given parts of our profile, tells all contacts, and updates the copy of the profile in our
        contact address.

        Args:
            description: A line about us; an empty one removes it.
            picture: Content of a JPEG or PNG file.
        Raises:
            InputError: Contacts' apps could not show a part of the profile; nothing changed.
        """
        with self.database.transaction() as tx:
            profile = self._saved_profile(tx)
            if display_name is not None:
                profile = replace(profile, display_name=Profile.own(display_name).display_name)
            if description is not None:
                profile = profile.described(description)
            if picture is not None:
                profile = replace(profile, picture=picture_uri(picture))
            elif remove_picture:
                profile = replace(profile, picture=None)
            return self._introduce(tx, profile)

    def set_bot(self, commands: Sequence[BotCommand] | None) -> Profile:
        """Tells contacts that this profile is a bot, and which commands it offers; None: this profile is not a bot.

        If a message calls one of these commands, `Message.command` names the command.

        Raises:
            InputError: Contacts' apps could not show one of the commands; nothing changed.
        """
        offered = () if commands is None else own_commands(commands)
        with self.database.transaction() as tx:
            profile = replace(self._saved_profile(tx), bot=commands is not None, commands=offered)
            return self._introduce(tx, profile)

    def set_allowed(self, feature: Feature, allow: Allow | None) -> None:
        """Sets whether contacts may use a feature; if ``allow`` is None, the default applies. What the user has set for
        one contact alone stays as it is."""
        with self.database.transaction() as tx:
            profile = self._saved_profile(tx)
            said = {known: said for known, said in profile.preferences.items() if known is not feature}
            if allow is not None:
                said[feature] = Preference(allow)
            self._introduce(tx, replace(profile, preferences=said))

    def _saved_profile(self, tx: sqlite3.Connection) -> Profile:
        """Our profile with only those preferences that the user has set; the default ones are left out."""
        return replace(self.own_profile(tx), preferences=profiles.own_preferences(tx))

    def _introduce(self, tx: sqlite3.Connection, profile: Profile) -> Profile:
        profiles.save_own(tx, profile)
        own = self.own_profile(tx)
        contact_address.update(tx, self.context, packed_link_info(own, address.texts(tx).welcome))
        for contact in records.contacts(tx):
            preferences.announce(tx, self.context, own, contact)
            requests.reintroduce(tx, contact, own)
        return own

    # -- settings for one contact --------------------------------------------------------------------------------------

    def set_contact_allowed(self, who: str, feature: Feature, allow: Allow | None) -> ContactDetails:
        """Sets whether one contact may use a feature. If ``allow`` is None, the setting for all contacts applies.
        Raises `UnknownContact`."""
        with self.database.transaction() as tx:
            contact = _person(tx, who)
            contact_settings.save(tx, contact.id, feature, allow)
            preferences.announce(tx, self.context, self.own_profile(tx), contact)
        return self.details(who)

    def set_disappearing(self, who: str, seconds: int | None) -> ContactDetails:
        """Lets messages with a contact disappear after some time, if the contact allows it too; None: they stay.

        Raises:
            UnknownContact: No contact under that name.
            InputError: Other apps would not accept this number of seconds.
        """
        if seconds is not None and not 0 < seconds <= MAX_TTL:
            raise InputError(
                "This time is not possible for disappearing messages.", "Give a time such as 30m, 1d or 2w."
            )
        with self.database.transaction() as tx:
            contact = _person(tx, who)
            allow = Allow.NO if seconds is None else Allow.YES
            contact_settings.save(tx, contact.id, Feature.TIMED_MESSAGES, allow)
            if seconds is not None:
                preferences.save_ttl(tx, contact.id, seconds)
            preferences.announce(tx, self.context, self.own_profile(tx), contact)
        return self.details(who)

    def set_receipts(self, on: bool | None) -> None:
        """Sets whether contacts get receipts for their messages; None: the default. What the user has set for one
        contact alone stays as it is."""
        with self.database.transaction() as tx:
            contact_settings.save_receipts(tx, None, on)

    def set_contact_receipts(self, who: str, on: bool | None) -> ContactDetails:
        """Sets whether one contact gets receipts. If ``on`` is None, the setting for all contacts applies. The contact
        is not told. Raises `UnknownContact`."""
        with self.database.transaction() as tx:
            contact_settings.save_receipts(tx, records.contact(tx, who).id, on)
        return self.details(who)

    def mute(self, who: str, seconds: float | None) -> ContactDetails:
        """Mutes a contact for this many seconds, or `FOR_EVER`; None ends the muting. The contact is not told.

        Raises:
            UnknownContact: No contact under that name.
        """
        with self.database.transaction() as tx:
            until = None if seconds is None else self.now() + seconds if seconds < _LONG else FOR_EVER
            contact_settings.save_mute(tx, records.contact(tx, who).id, until)
        return self.details(who)

    def details(self, who: str) -> ContactDetails:
        """The details of one contact. Raises `UnknownContact`."""
        view = self.contact(who)
        tx = self.database.connection
        own = contact_settings.all_of(tx, view.contact.id).get(Setting.RECEIPTS)
        return ContactDetails(view, preferences.agreement(tx, view.contact), None if own is None else own == ON)

    def picture(self, who: str) -> Picture:
        """The picture in a contact's profile.

        Raises:
            UnknownContact: No contact under that name.
            InputError: The profile has no picture, or what it has is not a picture.
        """
        contact = records.contact(self.database.connection, who)
        uri = profiles.picture(self.database.connection, contact.id)
        if uri is None:
            raise InputError(f"{contact.alias}'s profile has no picture.", "Nothing was saved.")
        return picture_of(uri)


def _person(tx: sqlite3.Connection, who: str) -> Contact:
    """The contact with this alias, if it is a person. Raises `InputError` for a group, because a group's owners
    choose what its members may do."""
    contact = records.contact(tx, who)
    if contact.is_group:
        raise InputError(
            f"{contact.alias} is a group: its owners choose what members may do.",
            "An owner changes that with `smpchat group set`. For yourself you can change receipts and muting.",
        )
    return contact
