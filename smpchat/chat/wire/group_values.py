"""The parts of group events: roles, member ids, profiles, mentions, quotes and more (group-wire 1).

The parts are read from JSON that a peer sent. If a necessary part is malformed, `Malformed` is raised, because the
whole event cannot be used. If an optional part is malformed, it counts as missing.
"""

from __future__ import annotations

import json
from enum import IntEnum, StrEnum
from typing import Any, NewType

from smpchat.chat.wire.content import whole
from smpchat.chat.wire.preferences import read_ttl
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field
from smpchat.encoding.text import from_base64url, to_base64url
from smpchat.protocol.version import VersionRange

JsonObject = dict[str, Any]
"""A JSON object, kept as it arrived, with keys that only newer apps understand. It is never changed in place."""
MemberId = NewType("MemberId", bytes)
"""The id of a member within its group, the same for all members; the person who adds the member chooses it. Apps accept
only ids of 16 ASCII bytes."""

MAX_MEMBER_ID = 255
"""Longest member id, in bytes. In signed data, the length of the id is written in one byte (group-wire 10)."""
MAX_LINK = 4_000
"""Longest link in a group event, in characters; such a link connects two members. Without post-quantum keys, links have
about 700."""
MAX_GROUP_SIZE = 1_000_000
"""The largest number of members that a group may state; a larger number is ignored."""
MAX_REASON = 100
"""How many characters are kept of the reason why a group did not admit someone."""
MAX_MENTIONS = 5
"""How many mentions in one message are read; apps send at most 3 (group-wire 5)."""
MAX_NAME = 255
"""Longest name that is kept, in characters: a group's name, a name in a mention, or the name of a member whose message
a host passes on."""
MAX_TIME = 40
"""How many characters the text of a time may have; the times that apps write have 30."""
TTL_DEFAULT = 86_400
"""Seconds after which messages disappear in a group that turns on disappearing messages, but states no time."""


class Malformed(DecodeError):
    """Raised if a necessary part of an event is missing or malformed."""


class Role(IntEnum):
    """The roles of members, from the fewest rights to the most. A role that only newer apps know counts as the
    lowest."""

    OBSERVER = 0
    AUTHOR = 1
    MEMBER = 2
    MODERATOR = 3
    ADMIN = 4
    OWNER = 5

    @property
    def word(self) -> str:
        """The name of the role, in JSON and for users."""
        return self.name.lower()


class Restriction(StrEnum):
    """Whether a member is blocked for everybody."""

    BLOCKED = "blocked"
    UNRESTRICTED = "unrestricted"
    OTHER = "other"
    """A restriction that only newer apps know; the member's messages are shown."""


class Acceptance(StrEnum):
    """Whether a newcomer who used a group link was admitted; if not yet, who must decide."""

    ACCEPTED = "accepted"
    PENDING = "pending"
    """The host, or a program of the host, must decide about the newcomer."""
    REVIEW = "pending_review"
    """The moderators must decide about the newcomer."""


class ChatType(StrEnum):
    """With whom we chat in a business chat: with the business or with its customer."""

    BUSINESS = "business"
    """We are the customer, and chat with the business."""
    CUSTOMER = "customer"
    """We are the business or work for it, and chat with the customer."""


class Feature(StrEnum):
    """A feature that a group may have, by its name in the group's profile."""

    TIMED_MESSAGES = "timedMessages"
    DIRECT_MESSAGES = "directMessages"
    FULL_DELETE = "fullDelete"
    REACTIONS = "reactions"
    VOICE = "voice"
    FILES = "files"
    SIMPLEX_LINKS = "simplexLinks"
    REPORTS = "reports"
    HISTORY = "history"


_ON = frozenset({Feature.REACTIONS, Feature.VOICE, Feature.FILES, Feature.SIMPLEX_LINKS, Feature.REPORTS})
"""Features that a group allows if its profile does not mention them. Any other feature must be mentioned to be allowed
(group-wire 1)."""


class MemberIdRole(Record):
    """The id of a member, and the member's role."""

    member: MemberId
    role: Role


class MemberInfo(Record):
    """What a host says about a member whom it introduces.

    Attributes:
        versions: The chat versions of the member's app; None if the host does not state them.
    """

    member: MemberId
    role: Role
    profile: Profile
    versions: VersionRange | None = None


class Business(Record):
    """Says that a group is the chat of one customer with the people of a business."""

    chat_type: ChatType
    business: MemberId
    customer: MemberId


class GroupProfile(Record):
    """A group's profile: the JSON object that its owners sent.

    A changed copy of the profile keeps the keys that are not changed. If smpchat left out a setting that it does not
    know, the setting would be switched off for everybody (group-wire 11, trap 27).
    """

    value: JsonObject = field(repr=False)

    @property
    def name(self) -> str:
        """The group's name, as smpchat shows it."""
        return whole(self.value["displayName"][:MAX_NAME])

    @property
    def full_name(self) -> str:
        """The group's full name; may be empty."""
        return _text(self.value.get("fullName"), MAX_NAME)

    @property
    def description(self) -> str:
        """One line about the group; may be empty."""
        return _text(self.value.get("shortDescr"), MAX_NAME)

    @property
    def welcome(self) -> str:
        """A greeting for people who join; may be empty. The greeting's key in the JSON is "description" (group-wire 11,
        trap 19)."""
        return _text(self.value.get("description"), None)

    @property
    def reviews(self) -> bool:
        """Whether a person who joins with a link is first reviewed: moderators decide whether to admit the person."""
        admission = self.value.get("memberAdmission")
        return isinstance(admission, dict) and admission.get("review") == "all"

    @property
    def channel(self) -> bool:
        """Whether the group is a channel. Members of a channel are not connected to each other, but only to special
        members, called relays, which pass the messages on (group-wire 10)."""
        return isinstance(self.value.get("publicGroup"), dict)

    def allows(self, feature: Feature, role: Role) -> bool:
        """Whether a member with this role may use a feature."""
        said = self._preference(feature)
        enable = said.get("enable")
        on = enable == "on" if isinstance(enable, str) else feature in _ON
        least = said.get("role")
        return on and (not isinstance(least, str) or role >= _role(least))

    @property
    def disappear_after(self) -> int | None:
        """Seconds after which new messages disappear; None if they stay."""
        if not self.allows(Feature.TIMED_MESSAGES, Role.OWNER):
            return None
        ttl = read_ttl(self._preference(Feature.TIMED_MESSAGES).get("ttl"))
        return ttl if ttl else TTL_DEFAULT

    def with_preferences(self, preferences: JsonObject) -> GroupProfile:
        """A copy of this profile with other preferences."""
        return GroupProfile(self.value | {"groupPreferences": preferences})

    @property
    def preferences(self) -> JsonObject:
        """The group's preferences: the JSON object as it arrived."""
        found = self.value.get("groupPreferences")
        return found if isinstance(found, dict) else {}

    def _preference(self, feature: Feature) -> JsonObject:
        said = self.preferences.get(feature)
        return said if isinstance(said, dict) else {}


class Mention(Record):
    """A member that a text mentions as ``@name``."""

    name: str = field(repr=False)
    member: MemberId


class GroupQuote(Record):
    """The earlier message that a group message answers, as quoted in the answer.

    Attributes:
        author: The author of the quoted message. Do not use ``by_sender`` to find the author: in the history that
            newcomers get, ``by_sender`` is reversed (group-wire 12).
        sent_at: When the quoted message was sent, as ISO 8601 text.
        by_sender: Whether the author of the answer also wrote the quoted message, according to the answer.
        content: The content of the quoted message, as JSON.
    """

    author: MemberId | None
    shared_id: str | None
    sent_at: str
    by_sender: bool
    content: JsonObject = field(repr=False)


# -- reading ----------------------------------------------------------------------------------------------------------


def read_member(value: object) -> MemberId:
    """A member id, from base64url with or without padding. Raises `Malformed`."""
    member = maybe_member(value)
    if member is None:
        raise Malformed("not a member id")
    return member


def maybe_member(value: object) -> MemberId | None:
    """The member id that `read_member` would return; None if ``value`` is not a member id."""
    # The id is kept as bytes, not as text, because one id has several spellings (group-wire 11, trap 2)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_MEMBER_ID * 4 // 3 + 4:
        return None
    try:
        found = from_base64url(value, "member id")
    except DecodeError:
        return None
    return MemberId(found) if 0 < len(found) <= MAX_MEMBER_ID else None


def read_role(value: object) -> Role:
    """A role; a role that smpchat does not know counts as the lowest. Raises `Malformed` if ``value`` is not a
    string."""
    if not isinstance(value, str):
        raise Malformed("not a role")
    return _role(value)


def _role(word: str) -> Role:
    return _ROLES.get(word, Role.OBSERVER)


_ROLES = {role.word: role for role in Role}


def read_object(value: object, name: str) -> JsonObject:
    """The JSON object at the key ``name`` of ``value``. Raises `Malformed` if there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, dict):
        raise Malformed(f"no {name}")
    return found


def kept(value: JsonObject) -> JsonObject:
    """An object as it arrived, but without halves of surrogate pairs, which cannot be stored or passed on."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        whole_value: JsonObject = _whole(value)
        return whole_value
    return value


def _whole(value: Any) -> Any:
    match value:
        case str():
            return whole(value)
        case dict():
            return {whole(name): _whole(item) for name, item in value.items()}
        case list():
            return [_whole(item) for item in value]
    return value


def read_link(value: object) -> str:
    """The text of a link, not parsed yet. Raises `Malformed`."""
    # The link is parsed later. Here, a text is refused if it is too long for a link, or contains a character that no
    # link contains.
    if not isinstance(value, str) or not 0 < len(value) <= MAX_LINK or " " in value:
        raise Malformed("not a link")
    if not value.isascii() or not value.isprintable():
        raise Malformed("not a link")
    return value


def read_profile(value: object) -> Profile:
    """A member's profile. Raises `Malformed` if the profile has no name."""
    profile = Profile.from_wire(value)
    if profile is None:
        raise Malformed("a member without a name")
    return profile


def read_group_profile(params: JsonObject) -> GroupProfile:
    """``groupProfile``. Raises `Malformed` if the group's profile has no name."""
    value = kept(read_object(params, "groupProfile"))
    if not isinstance(value.get("displayName"), str) or not value["displayName"]:
        raise Malformed("a group without a name")
    return GroupProfile(value)


def read_member_role(params: JsonObject, name: str) -> MemberIdRole:
    """``fromMember`` or ``invitedMember``, according to ``name``. Raises `Malformed`."""
    value = read_object(params, name)
    return MemberIdRole(read_member(value.get("memberId")), read_role(value.get("memberRole")))


def read_member_info(params: JsonObject) -> MemberInfo:
    """``memberInfo``. Raises `Malformed`."""
    value = read_object(params, "memberInfo")
    return MemberInfo(
        read_member(value.get("memberId")),
        read_role(value.get("memberRole")),
        read_profile(value.get("profile")),
        read_versions(value.get("v")),
    )


def read_versions(value: object) -> VersionRange | None:
    """``v``, the chat versions of an app; None if ``value`` is not a range of versions."""
    try:
        return VersionRange.parse(value) if isinstance(value, str) else None
    except DecodeError:
        return None


def read_business(value: object) -> Business | None:
    """``business``; None for an ordinary group. Raises `Malformed`."""
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("chatType") not in list(ChatType):
        raise Malformed("a business chat of an unknown kind")
    return Business(
        ChatType(value["chatType"]), read_member(value.get("businessId")), read_member(value.get("customerId"))
    )


def read_size(value: object) -> int | None:
    """``groupSize``; None if it is not a possible number of members."""
    # Not `isinstance`, because in Python True is an int too.
    return value if type(value) is int and 0 <= value <= MAX_GROUP_SIZE else None


def read_restriction(value: object) -> Restriction:
    """``memberRestrictions``. Raises `Malformed`."""
    word = value.get("restriction") if isinstance(value, dict) else None
    if not isinstance(word, str):
        raise Malformed("not a restriction")
    return Restriction(word) if word in (Restriction.BLOCKED, Restriction.UNRESTRICTED) else Restriction.OTHER


def read_scope(params: JsonObject) -> MemberId | None:
    """The member whose support chat an event belongs to; None if the event is for all members.

    Raises:
        Malformed: The event is only for some members, but does not say for whom, so it must not be shown (group-wire
            7.1).
    """
    value = params.get("scope")
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("type") != "member":
        raise Malformed("the scope (the members that the event is for) has an unknown type")
    return read_member(value.get("memberId"))


def read_mentions(value: object) -> tuple[Mention, ...]:
    """``mentions``; malformed mentions are left out."""
    if not isinstance(value, dict):
        return ()
    found = []
    for name in sorted(value)[:MAX_MENTIONS]:
        said = value[name]
        member = maybe_member(said.get("memberId")) if isinstance(said, dict) else None
        if member is not None and 0 < len(name) <= MAX_NAME:
            found.append(Mention(whole(name), member))
    return tuple(found)


def read_time(value: object) -> str:
    """The text of a time, not parsed; empty if ``value`` is not a string, is too long, or contains a character other
    than printable ASCII."""
    fits = isinstance(value, str) and len(value) <= MAX_TIME and value.isascii() and value.isprintable()
    return value if isinstance(value, str) and fits else ""


def _text(value: object, limit: int | None) -> str:
    return whole(value[:limit]) if isinstance(value, str) else ""


# -- writing ----------------------------------------------------------------------------------------------------------


def member_text(member: MemberId) -> str:
    """A member id as it is written in JSON, in base64url."""
    return to_base64url(member)


def member_role_params(value: MemberIdRole) -> JsonObject:
    """``fromMember`` or ``invitedMember``."""
    return {"memberId": member_text(value.member), "memberRole": value.role.word}


def member_info_params(info: MemberInfo) -> JsonObject:
    """``memberInfo``."""
    params: JsonObject = {"memberId": member_text(info.member), "memberRole": info.role.word}
    if info.versions is not None:
        params["v"] = str(info.versions)
    return params | {"profile": info.profile.to_members()}


def business_params(business: Business) -> JsonObject:
    """``business``."""
    return {
        "chatType": str(business.chat_type),
        "businessId": member_text(business.business),
        "customerId": member_text(business.customer),
    }


def scope_params(scope: MemberId) -> JsonObject:
    """``scope``."""
    return {"type": "member", "memberId": member_text(scope)}


def mentions_params(mentions: tuple[Mention, ...]) -> JsonObject:
    """``mentions``."""
    return {mention.name: {"memberId": member_text(mention.member)} for mention in mentions}
