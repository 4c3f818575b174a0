"""What the services return about a profile: a contact with its connection, an invitation, and everything that waits."""

from __future__ import annotations

from smpchat.agent.store.outgoing import RelayTrouble
from smpchat.chat.store import events
from smpchat.chat.store.address import AddressView
from smpchat.chat.store.conditions import Condition
from smpchat.chat.store.moves import MoveView
from smpchat.chat.store.records import Contact
from smpchat.encoding.record import Record, field


class Invitation(Record):
    """An invitation that nobody has answered.

    Attributes:
        link: The full link; None until its queue exists.
        short_link: The short link; None if the relay or the handshake does not support it.
        incognito: The made-up name that the person who uses it is told, if there is one.
        as_of: Until when it is known that the link was not used, in POSIX seconds. This is now while a process listens
            at its relay; None if it was not noted.
    """

    connection: int
    link: str | None = field(repr=False)
    note: str | None = field(repr=False)
    short_link: str | None = field(default=None, repr=False)
    incognito: str | None = None
    as_of: float | None = None


class MemberView(Record):
    """A member of a group.

    Attributes:
        name: As this program calls it: unique in the group; no more than a name.
        role: ``member``, ``admin`` and so on.
        standing: ``current``, ``left`` and so on.
        connection: How far it is; ``connected`` proves that it is the one who joined.
        host: It let us in.
        versions: What its app speaks, as ``1-16``; empty if that is not known.
    """

    name: str
    role: str
    standing: str
    connection: str
    blocked: bool = False
    host: bool = False
    versions: str = ""

    @property
    def current(self) -> bool:
        """Whether it is in the group."""
        return self.standing == "current"

    @property
    def connected(self) -> bool:
        """Whether we write to it straight."""
        return self.connection == "connected"


class GroupView(Record):
    """A group that we are in, were in, or are invited to.

    Attributes:
        id: Its number.
        alias: How it is addressed; None before we have joined.
        name: What it calls itself.
        inviter: Alias of the contact that invites us, if one does and is still there.
        role: Ours.
        standing: Ours: ``invited``, ``joining``, ``pending`` or ``review``, ``current``; ``left``, ``removed`` or
            ``deleted`` when it is over.
        members: The others.
        allows: What we may use in it, by the names of `smpchat.chat.service.group_views.FEATURES`.
        disappear_after: Seconds after which what is written goes; None if it stays.
        incognito: The made-up name by which the members know us, if it is one.
    """

    id: int
    alias: str | None
    name: str = field(repr=False)
    inviter: str | None
    role: str
    standing: str
    members: tuple[MemberView, ...] = field(repr=False)
    business: bool = False
    description: str = field(default="", repr=False)
    welcome: str = field(default="", repr=False)
    allows: tuple[str, ...] = ()
    disappear_after: int | None = None
    incognito: str | None = None

    @property
    def current(self) -> tuple[MemberView, ...]:
        """Those who are in it now."""
        return tuple(member for member in self.members if member.current)


class GroupLinkView(Record):
    """A link of ours to a group.

    Attributes:
        connection: Its connection record, as an address has one.
        full: The full link; None until its queue exists.
        short: Leads to the same; None where the relay has none.
        role: What those may do who come by it: ``member`` or ``observer``.
    """

    connection: int
    full: str | None = field(repr=False)
    short: str | None = field(repr=False)
    role: str


class ContactView(Record):
    """A contact with its connection, as lists and prompts show it.

    Attributes:
        group: How the group is, if it is one.
        move: The progress of the move of our queue for this contact, if there is one.
        incognito: The made-up name by which the contact knows us, if it is one.
        pending: Number of pending messages.
        pq: Whether post-quantum keys now protect both directions.
        verified: Whether the security code was compared and is still the same.
        conditions: What is wrong with it now.
        receipts: Whether the contact is told that messages arrived.
        muted_until: Until when it is muted, in POSIX seconds or infinity; None if it is not muted.
        looks_like: The alias of another contact that looks like the name that this one chose.
        newest: Number of the last message of the conversation; 0 if there is none.
    """

    contact: Contact
    state: events.StateChanged
    pending: int
    pq: bool = False
    verified: bool = False
    move: MoveView | None = None
    incognito: str | None = None
    conditions: tuple[Condition, ...] = ()
    receipts: bool = True
    muted_until: float | None = None
    looks_like: str | None = None
    newest: int = 0
    group: GroupView | None = None

    @property
    def alias(self) -> str:
        """The alias of the contact."""
        return self.contact.alias


class Verification(Record):
    """A contact's security code, and whether it was compared and found equal."""

    contact: str
    code: str
    verified: bool


class Status(Record):
    """Everything that waits, and for whom; which relays cannot be reached; and the contact address, if there is one.

    Attributes:
        moves: Moves of our own queues that are in progress, by connection.
        incognito: Made-up names by which contacts know us, by connection.
        receipts: Which contacts are told that their messages arrived, by connection.
    """

    invitations: list[Invitation]
    connections: list[events.StateChanged]
    pending: dict[str, int]
    troubles: dict[str, RelayTrouble]
    address: AddressView | None = None
    moves: dict[int, MoveView] = field(default_factory=dict)
    incognito: dict[int, str] = field(default_factory=dict)
    receipts: dict[int, bool] = field(default_factory=dict)
