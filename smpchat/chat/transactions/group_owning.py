"""The group actions for which the user needs rights, each in one transaction: create a group, invite, change roles,
remove.

Rights are checked before anything is sent; an action that is not allowed changes nothing and raises `InputError`.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Mapping

from smpchat.agent.errors import EnvelopeRefused
from smpchat.agent.store import addresses, connections
from smpchat.agent.store.addresses import ReceivedRequest
from smpchat.agent.transactions import contact_address
from smpchat.chat.errors import InputError
from smpchat.chat.machines.group_effects import Effect, Refused
from smpchat.chat.machines.group_inputs import (
    Admission,
    Block,
    Change,
    Decision,
    Dissolve,
    Expel,
    Grant,
    Invitee,
    Joiner,
)
from smpchat.chat.machines.group_owning import found, refusal
from smpchat.chat.machines.group_rights import Deed
from smpchat.chat.machines.group_states import Group, Member, Standing
from smpchat.chat.store import group_hosting, groups, incognito, records
from smpchat.chat.store.group_hosting import GroupLink
from smpchat.chat.transactions.group_hosting import packed_group_link
from smpchat.chat.transactions.groups import GroupTransactions
from smpchat.chat.wire.group_events import JoinRequest
from smpchat.chat.wire.group_values import Feature, GroupProfile, JsonObject, MemberId, Role
from smpchat.chat.wire.groups import decode_group_messages
from smpchat.encoding.record import Record, field, replace
from smpchat.encoding.text import to_base64url
from smpchat.protocol.address import SMPServerAddress
from smpchat.protocol.version import VersionRange

JOINS_SINCE = 3
"""Apps of this chat version or a later one can join a group with its link (group-wire, versions)."""
MAX_GROUP_NAME = 100
"""The most characters in the name of a group that we create."""
MAX_PROFILE = 12_000
"""The most bytes in the profile of a group of ours, as JSON with picture and texts. An invitation contains this profile
and a link, and can have at most 13,380 bytes."""


class GroupOwner(Record):
    """The actions of an owner, admin or moderator."""

    groups: GroupTransactions

    # -- groups of our own ---------------------------------------------------------------------------------------------

    def create(self, tx: sqlite3.Connection, profile: GroupProfile) -> int:
        """Creates a group with nobody else in it, and returns its number. Nothing is sent. Raises `InputError`.

        `Conversation.begun` is not called, because the group has no connection to a host.
        """
        _check(profile)
        return groups.insert(tx, found(self._new_member(), profile))

    def _new_member(self) -> MemberId:
        """A new member id in the form that apps use: 16 ASCII bytes."""
        return MemberId(base64.b64encode(self.groups.context.entropy.random(12)))

    # -- new members ---------------------------------------------------------------------------------------------------

    def invite(self, tx: sqlite3.Connection, group_id: int, connection_id: int, role: Role = Role.MEMBER) -> MemberId:
        """Invites a contact. The invitation contains a link to a new queue of ours, so it is sent as soon as this queue
        has been made.

        If the contact was invited before and has not accepted yet, the same invitation is sent again, now for ``role``.

        Args:
            connection_id: The contact's connection.
        Raises:
            InputError: We do not have the right to invite, or the contact cannot be invited.
        """
        group = self._group(tx, group_id)
        _may(group, Deed.INVITE, role)
        contact = records.contact_of(tx, connection_id)
        if contact is None or contact.profile is None or contact.chat_version is None:
            raise InputError("This contact's profile has not arrived yet.", "Invite them once you are connected.")
        if contact.gone or contact.business:
            raise InputError("This contact cannot be invited to a group.", "Invite somebody else.")
        if incognito.name(tx, connection_id) is not None:
            raise InputError(
                f"{contact.alias} knows you by a made-up name, and would see your real one in the group.",
                "Invite somebody else.",
            )
        if groups.incognito(tx, group_id) is not None:
            raise InputError(
                "You are in this group under a made-up name, and a contact whom you invite would learn who you are.",
                "Ask somebody else in the group to invite them.",
            )
        known = self._invited_as(tx, group_id, group, connection_id)
        if known is not None and known.standing is not Standing.INVITED:
            raise InputError(f"{contact.alias} is in this group already.", "Nothing was sent.")
        id = known.id if known is not None else self._new_member()
        group_hosting.invited(tx, group_id, id, connection_id)
        versions = VersionRange(1, contact.chat_version)
        self._decide(tx, group_id, Invitee(id, role, contact.profile.display_name, versions))
        groups.save_profile(tx, group_id, id, contact.profile)
        return id

    def _invited_as(self, tx: sqlite3.Connection, group_id: int, group: Group, connection_id: int) -> Member | None:
        ids = group_hosting.members_of_contact(tx, group_id, connection_id)
        known = (group.members.get(id) for id in ids)
        return next((member for member in known if member is not None and not member.gone), None)

    # -- group links ---------------------------------------------------------------------------------------------------

    def make_link(
        self,
        tx: sqlite3.Connection,
        group_id: int,
        role: Role = Role.MEMBER,
        relay: SMPServerAddress | None = None,
    ) -> int:
        """Makes a link with which anybody can join, and returns the number of its connection. `link_text` returns the
        text of the link as soon as the link's queue has been made.

        Args:
            role: The role of people who join with the link: member or observer.
            relay: The relay for the link's queue; None: the online process chooses one.
        Raises:
            InputError: We do not have the right to invite, or we already have a link to this group.
        """
        group = self._group(tx, group_id)
        _may(group, Deed.INVITE, role)
        _check_link_role(role)
        if group_hosting.link_of(tx, group_id) is not None:
            raise InputError("You have a link to this group already.", "Nothing was changed.")
        context = self.groups.context
        link_id = to_base64url(context.entropy.random(16))
        data = json.dumps({"groupLinkId": link_id}, separators=(",", ":"))
        info = packed_group_link(group.profile)
        connection_id = contact_address.publish(tx, context, info, relay, auto_accept=True, client_data=data)
        group_hosting.save_link(tx, GroupLink(group_id, connection_id, role))
        return connection_id

    def set_link_role(self, tx: sqlite3.Connection, group_id: int, role: Role) -> None:
        """Set the role that people get who join with our link from now on. Raises `InputError`."""
        _may(self._group(tx, group_id), Deed.INVITE, role)
        _check_link_role(role)
        link = _link(tx, group_id)
        group_hosting.save_link(tx, replace(link, role=role))

    def remove_link(self, tx: sqlite3.Connection, group_id: int) -> int:
        """Deletes our link, so that nobody can join with it any more; members stay. Returns the link's connection.
        Raises `InputError`."""
        link = _link(tx, group_id)
        self.groups.host.remove_link(tx, group_id)
        return link.connection

    @staticmethod
    def link_text(tx: sqlite3.Connection, group_id: int) -> GroupLinkText | None:
        """Our link to a group, in its full and its short form; None if we have no link to this group."""
        link = group_hosting.link_of(tx, group_id)
        if link is None:
            return None
        address = addresses.load(tx, link.connection)
        full = connections.load(tx, link.connection).link
        return GroupLinkText(full, None if address is None else address.short_link, link.role)

    def joined(self, tx: sqlite3.Connection, connection_id: int, request: ReceivedRequest) -> bool:
        """Called when a request that came through a link of ours was accepted. If the link leads to a group, the sender
        of the request becomes a member. Returns whether the link leads to a group.

        Raises:
            EnvelopeRefused: The sender of the request cannot become a member.
        """
        link = group_hosting.link_at(tx, request.connection_id)
        if link is None:
            return False
        said = next(iter(decode_group_messages(request.info)), None)
        if said is None or not isinstance(said.event, JoinRequest):
            raise EnvelopeRefused("the request to join a group contains no profile")
        if said.versions is None or said.versions.maximum < JOINS_SINCE:
            raise EnvelopeRefused("the app of the person who asks to join a group is too old")
        id, profile = self._new_member(), said.event.profile
        joiner = Joiner(id, link.role, profile.display_name, said.versions)
        done = self.groups.happened(tx, link.group, joiner)
        if any(isinstance(effect, Refused) for effect in done):
            raise EnvelopeRefused("the group is full, or we may not let anybody in")
        groups.connect(tx, link.group, id, connection_id)
        groups.save_profile(tx, link.group, id, profile)
        return True

    def admit(self, tx: sqlite3.Connection, group_id: int, member: MemberId, role: Role = Role.MEMBER) -> None:
        """Admit a newcomer who waits for moderators. Raises `InputError`."""
        _may(self._group(tx, group_id), Deed.ACCEPT, role)
        self._decide(tx, group_id, Admission(member, role))

    # -- members ------------------------------------------------------------------------------------------------------

    def set_role(self, tx: sqlite3.Connection, group_id: int, member: MemberId, role: Role) -> None:
        """Gives a member another role. If the member has not accepted the invitation, the invitation is sent again.
        Raises `InputError`."""
        group = self._group(tx, group_id)
        _may(group, Deed.ROLE, _known(group, member).role, role)
        self._decide(tx, group_id, Grant(member, role))

    def remove_member(self, tx: sqlite3.Connection, group_id: int, member: MemberId, *, messages: bool = False) -> None:
        """Remove a member and tell everybody, or take back an invitation. Raises `InputError`.

        Args:
            messages: Whether to delete the member's messages, too.
        """
        group = self._group(tx, group_id)
        _may(group, Deed.REMOVE, _known(group, member).role)
        self._decide(tx, group_id, Expel(member, messages))

    def block(self, tx: sqlite3.Connection, group_id: int, member: MemberId, *, blocked: bool = True) -> None:
        """Block a member for everybody, or unblock it; the member is not told. Raises `InputError`."""
        group = self._group(tx, group_id)
        target = _known(group, member)
        _may(group, Deed.RESTRICT, target.role)
        if target.standing is Standing.INVITED:
            raise InputError("This person is not in the group yet.", "To withdraw the invitation, remove them.")
        self._decide(tx, group_id, Block(member, blocked))

    # -- the group ----------------------------------------------------------------------------------------------------

    def change_profile(self, tx: sqlite3.Connection, group_id: int, changes: Mapping[str, object]) -> None:
        """Changes the group's profile. ``changes``: new values for keys of the profile's JSON; None deletes a key. All
        other keys stay.

        Raises:
            InputError: We do not have the right to change the profile, or the new profile is not valid or too long.
        """
        group = self._group(tx, group_id)
        # The new profile begins as a copy of the stored JSON object, so that keys that only newer apps know are kept
        # (group-wire 11, trap 27).
        value = {key: kept for key, kept in group.profile.value.items() if changes.get(key, kept) is not None}
        profile = GroupProfile(value | {key: new for key, new in changes.items() if new is not None})
        _may(group, Deed.CHANGE)
        _check(profile)
        self._decide(tx, group_id, Change(profile))

    def set_feature(
        self,
        tx: sqlite3.Connection,
        group_id: int,
        feature: Feature,
        on: bool,
        *,
        role: Role | None = None,
        ttl: int | None = None,
    ) -> None:
        """Turns a feature of the group on or off. Raises as `change_profile`.

        Args:
            role: The lowest role that may use the feature; None: the role does not change.
            ttl: How many seconds messages stay; None: this time does not change.
        """
        preferences = self._group(tx, group_id).profile.preferences
        known = preferences.get(feature)
        said: JsonObject = (known if isinstance(known, dict) else {}) | {"enable": "on" if on else "off"}
        if role is not None:
            said["role"] = role.word
        if ttl is not None:
            said["ttl"] = ttl
        self.change_profile(tx, group_id, {"groupPreferences": preferences | {str(feature): said}})

    def delete(self, tx: sqlite3.Connection, group_id: int) -> None:
        """Deletes the group for everybody. Everybody keeps the messages. Raises `InputError`."""
        _may(self._group(tx, group_id), Deed.DELETE)
        self._decide(tx, group_id, Dissolve())

    # -- helpers -------------------------------------------------------------------------------------------------------

    @staticmethod
    def _group(tx: sqlite3.Connection, group_id: int) -> Group:
        group = groups.load(tx, group_id)
        if group is None:
            raise InputError("You have deleted this group here.", "Ask somebody in it to invite you again.")
        return group

    def _decide(self, tx: sqlite3.Connection, group_id: int, decision: Decision) -> tuple[Effect, ...]:
        done = self.groups.happened(tx, group_id, decision)
        if any(isinstance(effect, Refused) for effect in done):
            raise InputError("You cannot do this to this member.", "Nothing was changed.")
        return done


def new_group_profile(name: str, description: str = "", welcome: str = "") -> GroupProfile:
    """The profile of a new group. As in apps, new members get the latest messages (the feature *history*). Raises
    `InputError`."""
    value: JsonObject = {"displayName": name.strip(), "fullName": ""}
    if description:
        value["shortDescr"] = description
    if welcome:
        value["description"] = welcome  # the JSON key of the welcome text (group-wire 11, trap 19)
    profile = GroupProfile(value | {"groupPreferences": {str(Feature.HISTORY): {"enable": "on"}}})
    _check(profile)
    return profile


def _check(profile: GroupProfile) -> None:
    name = profile.value.get("displayName")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > MAX_GROUP_NAME:
        raise InputError(
            f"The name of a group must have 1 to {MAX_GROUP_NAME} printable characters.", "Choose another name."
        )
    size = len(json.dumps(profile.value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
    if size > MAX_PROFILE:
        raise InputError(
            f"Name, texts and picture of a group can have at most {MAX_PROFILE:,} bytes together; these have {size:,}.",
            "Shorten the texts, or use a smaller picture.",
        )


class GroupLinkText(Record):
    """A link of ours to a group.

    Attributes:
        full: The full link; None until the link's queue exists.
        short: The short link; None until the link's queue exists, or if the relay keeps no link data.
        role: The role that people get who join with the link.
    """

    full: str | None = field(repr=False)
    short: str | None = field(repr=False)
    role: Role


def _link(tx: sqlite3.Connection, group_id: int) -> GroupLink:
    link = group_hosting.link_of(tx, group_id)
    if link is None:
        raise InputError("You have no link to this group.", "Nothing was changed.")
    return link


def _check_link_role(role: Role) -> None:
    if role not in (Role.MEMBER, Role.OBSERVER):
        raise InputError("People who join with a link are members or observers.", "Give them another role later.")


def _may(group: Group, deed: Deed, *roles: Role) -> None:
    reason = refusal(group, deed, *roles)
    if reason is not None:
        raise InputError(reason, "Ask an owner of the group.")


def _known(group: Group, member: MemberId) -> Member:
    found = group.members.get(member)
    if member == group.own.id:
        raise InputError("You cannot do this to yourself.", "`smpchat group leave` leaves a group.")
    if found is None or found.gone or found.standing is Standing.UNKNOWN:
        raise InputError("This person is not in the group.", "Nothing was changed.")
    return found
