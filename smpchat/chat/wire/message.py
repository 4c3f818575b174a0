"""Makes typed events from the JSON envelopes of contacts' messages, and writes such events (agent-wire 6.2 to 6.4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from smpchat.agent.wire.user_data import read_user_json, write_user_json
from smpchat.chat.errors import InputError
from smpchat.chat.wire.bodies import (
    CHAT_VERSIONS,
    Envelope,
    LeftOut,
    Part,
    Unreadable,
    decode_body,
    encode_envelope,
    read_envelope,
    shared_id,
)
from smpchat.chat.wire.content import PLAIN, Content, describe, read_content, short_name, text_content, whole
from smpchat.chat.wire.files import DescriptionPart, FileInvitation, read_description_part, read_invitation
from smpchat.chat.wire.happenings import (
    GROUP_EVENTS,
    FileCancelled,
    Happening,
    read_call,
    read_file_cancel,
    read_group_event,
    read_group_invitation,
    read_old_file,
)
from smpchat.chat.wire.preferences import read_ttl
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field, replace
from smpchat.protocol.version import VersionRange

# The heart is the one code point U+2764: with the variation selector that most keyboards add, apps show an unknown
# reaction (agent-wire 6.2, trap 37).
REACTIONS = ("\U0001f44d", "\U0001f44e", "\U0001f600", "\U0001f602", "\U0001f622", "\u2764", "\U0001f680", "\u2705")
"""Emoji that apps accept as reactions: one code point each, the heart without a variation selector."""
MAX_WELCOME = 5_000
"""Longest welcome text, in characters."""
MAX_LINK_INFO = 13_000
"""Longest user data of our links, in bytes. A link's encrypted data, which contains the user data, has 13,784 bytes."""
_MAX_QUOTE = 500
"""A reply quotes at most so many characters of the original message; apps find the original by its id."""
_UNKNOWN_NAME = 7
"""How many characters of a member's id are shown if the member's name is not known (group-wire 6)."""
_MAX_EVENT = 100
"""How many characters of an ignored event's name are kept for the log."""
_MAX_TIME = 40
"""How many characters the text of a time may have; the times that apps write have 30."""


class Quote(Record):
    """The message that a reply answers, as quoted in the reply.

    Attributes:
        shared_id: The quoted message's id, if it has one.
        by_sender: Whether the author of the reply also wrote the quoted message.
        text: The quoted message's text, as the reply quotes it.
    """

    shared_id: str | None
    by_sender: bool
    text: str = field(repr=False)


class ProfileInfo(Record):
    """``x.info``: the peer's profile, at the handshake or later."""

    profile: Profile | None


class ContactRequest(Record):
    """``x.contact``: the profile of a person who used a contact address, and perhaps a text.

    ``request_id`` stays the same when the request is sent again. ``shared_id`` is the message id of ``text``.
    ``welcome_id`` is the id that the sender's app has given to the welcome text from our link.
    """

    profile: Profile | None
    request_id: str | None
    text: str | None = field(default=None, repr=False)
    shared_id: str | None = None
    welcome_id: str | None = None


class TextMessage(Record):
    """``x.msg.new``: a message. In ``text``, content other than text becomes a note, such as ``[image photo.jpg]``.

    Attributes:
        live: The author is still writing the message.
        ttl: Seconds after which the message must disappear; None if the message stays.
        forwarded: The author forwards the message from another conversation.
        content: The kind of the message, and its content other than text.
        file: The file that comes with the message; None if the message has no file that can be received.
    """

    text: str = field(repr=False)
    shared_id: str | None
    quote: Quote | None = None
    live: bool = False
    ttl: int | None = None
    forwarded: bool = False
    content: Content = PLAIN
    file: FileInvitation | None = None


class MessageUpdate(Record):
    """``x.msg.update``: a new text for the sender's own message."""

    shared_id: str
    text: str = field(repr=False)
    live: bool = False
    ttl: int | None = None
    content: Content = PLAIN


class MessageDeletion(Record):
    """``x.msg.del``: the sender deletes its own message."""

    shared_id: str


class ReactionChange(Record):
    """``x.msg.react``: the sender adds or removes a reaction, to a message of its own or of the receiver."""

    shared_id: str
    emoji: str = field(repr=False)
    add: bool


class GroupJoined(Record):
    """``x.grp.link.inv``: our request was answered by the host of a group, or of a business (agent-wire 6.4).

    Attributes:
        profile: The group's profile, in which a business gives its own name and picture.
        business: The group is a chat of one customer with the people of a business.
        member: Our own member id in the group.
    """

    profile: Profile
    business: bool
    member: str | None = None


class JoinRejected(Record):
    """``x.grp.link.reject``: a group's host does not admit us. ``reason``: the host's reason, in one word."""

    profile: Profile
    reason: str


class ContactDeleted(Record):
    """``x.direct.del``: the peer removed us."""


class Relayed(Record):
    """``x.grp.msg.forward``: an event of another member of a group or business, passed on by our contact.

    Attributes:
        author: The member's name according to the contact, or the beginning of the member's id; nothing proves it.
        said_at: When the event arrived at the contact's relay, according to the contact; POSIX seconds.
        member: The member's id if the contact gives no name: apps before 6.5 name a member only in its introduction.
    """

    author: str
    event: ChatEvent
    said_at: float | None
    member: str | None = None


class UnsupportedEvent(Record):
    """An event that smpchat does not know, or one without useful content; it is ignored."""

    name: str


class LinkInfo(Record):
    """The content of a short link's data, from the person who made the link.

    Attributes:
        welcome: A text for people who open the link; may be empty.
        business: The link belongs to a business, in which several people read messages.
    """

    profile: Profile
    welcome: str = field(default="", repr=False)
    business: bool = False


ChatEvent = (
    ProfileInfo
    | ContactRequest
    | TextMessage
    | MessageUpdate
    | MessageDeletion
    | ReactionChange
    | GroupJoined
    | JoinRejected
    | ContactDeleted
    | Happening
    | FileCancelled
    | DescriptionPart
    | Relayed
    | LeftOut
    | UnsupportedEvent
)


class ChatMessage(Record):
    """An event, and the chat versions of its sender's app; None if the app does not state them."""

    event: ChatEvent
    versions: VersionRange | None = None


# -- writing ----------------------------------------------------------------------------------------------------------


def encode_profile(profile: Profile, shared_id: str | None = None) -> bytes:
    """``x.info``: our profile, as connection info of a handshake or, with an id, as a message."""
    return _encode("x.info", {"profile": profile.to_wire()}, shared_id)


def encode_contact_request(request: ContactRequest) -> bytes:
    """``x.contact``: connection info of a contact request. Its receiver can read the text before accepting."""
    assert request.profile is not None
    params: dict[str, Any] = {"contactReqId": request.request_id, "profile": request.profile.to_wire()}
    if request.text is not None:
        params |= {"content": text_content(request.text), "msgId": request.shared_id}
    if request.welcome_id is not None:
        params["welcomeMsgId"] = request.welcome_id
    return _encode("x.contact", params)


def encode_link_info(profile: Profile, welcome: str = "") -> bytes:
    """User data of our short links (agent-wire 2.9), which people see before they send a request."""
    value: dict[str, Any] = {"profile": profile.to_wire()}
    if welcome:
        value["message"] = text_content(welcome)
    return write_user_json(value | {"business": False})


def packed_link_info(profile: Profile, welcome: str = "") -> bytes:
    """The user data of a short link, without the profile's picture if the picture does not fit. Raises `InputError` if
    the welcome text is too long.

    The user data has at most `MAX_LINK_INFO` bytes: with more, the address would not get a short link (agent-wire 2.9).
    """
    for shown in (profile, replace(profile, picture=None)):
        info = encode_link_info(shown, welcome)
        if len(info) <= MAX_LINK_INFO and len(welcome) <= MAX_WELCOME:
            return info
    raise InputError("The welcome text is too long for a link.", f"Use at most {MAX_WELCOME:,} characters.")


def decode_link_info(info: bytes) -> LinkInfo | None:
    """The user data of a short link; None if the data does not contain a person's profile."""
    value = read_user_json(info)
    profile = Profile.from_wire(value.get("profile")) if value is not None else None
    if value is None or profile is None:
        return None
    return LinkInfo(profile, (describe(value.get("message")) or "")[:MAX_WELCOME], value.get("business") is True)


def encode_text(
    text: str,
    shared_id: str,
    quote: dict[str, Any] | None = None,
    ttl: int | None = None,
    *,
    forwarded: bool = False,
) -> bytes:
    """``x.msg.new`` with a text. `quotation` makes ``quote``. ``ttl``: seconds after which the message disappears."""
    params: dict[str, Any] = {"content": text_content(text)}
    if quote is not None:
        params["quote"] = quote
    if ttl is not None:
        params["ttl"] = ttl
    if forwarded:
        params["forward"] = True
    return _encode("x.msg.new", params, shared_id)


def quotation(quote: Quote, sent_at: float) -> dict[str, Any]:
    """The ``quote`` of a reply to a message sent at ``sent_at`` (POSIX seconds)."""
    text = quote.text if len(quote.text) <= _MAX_QUOTE else quote.text[: _MAX_QUOTE - 1] + "…"
    moment = datetime.fromtimestamp(int(sent_at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    reference: dict[str, Any] = {"sentAt": moment, "sent": quote.by_sender}
    if quote.shared_id is not None:
        reference["msgId"] = quote.shared_id
    return {"content": text_content(text), "msgRef": reference}


def encode_update(update: MessageUpdate, shared_id: str) -> bytes:
    """``x.msg.update``. ``shared_id``: the id of this event, not of the edited message."""
    params: dict[str, Any] = {"msgId": update.shared_id, "content": text_content(update.text)}
    if update.live:
        params["live"] = True
    if update.ttl is not None:
        params["ttl"] = update.ttl
    return _encode("x.msg.update", params, shared_id)


def encode_deletion(deletion: MessageDeletion, shared_id: str) -> bytes:
    """``x.msg.del``."""
    return _encode("x.msg.del", {"msgId": deletion.shared_id}, shared_id)


def encode_reaction(change: ReactionChange, shared_id: str) -> bytes:
    """``x.msg.react``."""
    reaction = {"type": "emoji", "emoji": change.emoji}
    params = {"msgId": change.shared_id, "reaction": reaction, "add": change.add}
    return _encode("x.msg.react", params, shared_id)


def encode_group_left(shared_id: str) -> bytes:
    """``x.grp.leave``: tells a business that its customer has deleted the chat."""
    return _encode("x.grp.leave", {}, shared_id)


def encode_contact_deleted(shared_id: str) -> bytes:
    """``x.direct.del``."""
    return _encode("x.direct.del", {}, shared_id)


def _encode(event: str, params: dict[str, Any], shared_id: str | None = None) -> bytes:
    return encode_envelope(Envelope(event, params, shared_id, CHAT_VERSIONS))


# -- reading ----------------------------------------------------------------------------------------------------------


def decode_messages(body: bytes) -> list[ChatMessage]:
    """The events in a message body or connection info, in order.

    Raises:
        DecodeError: The body has an unknown form, or is a single malformed message.
    """
    return [read_message(part) for part in decode_body(body)]


def decode_contact_request(info: bytes) -> tuple[ContactRequest, VersionRange | None]:
    """A contact request, and the chat versions of its sender's app. An ``x.info`` also counts as a contact request.

    Raises:
        DecodeError: ``info`` is not a contact request, or contains no name of a person.
    """
    for message in decode_messages(info):
        match message.event:
            case ContactRequest(profile=Profile()) as request:
                return request, message.versions
            case ProfileInfo(Profile() as profile):
                return ContactRequest(profile, None), message.versions
    raise DecodeError("this is not a contact request")


def read_message(part: Part) -> ChatMessage:
    """The event in ``part``, which is one of the messages in a body that a contact has sent."""
    if isinstance(part, Unreadable | LeftOut):
        return ChatMessage(part if isinstance(part, LeftOut) else UnsupportedEvent(f"unreadable: {part.what}"))
    read = _EVENTS.get(part.event)
    event = read(part) if read else None
    return ChatMessage(event or UnsupportedEvent(whole(part.event[:_MAX_EVENT])), part.versions)


def _read_profile(envelope: Envelope) -> ChatEvent | None:
    return ProfileInfo(Profile.from_wire(envelope.params.get("profile")))


def _read_contact_request(envelope: Envelope) -> ChatEvent | None:
    params = envelope.params
    profile = Profile.from_wire(params.get("profile"))
    request_id, text_id = shared_id(params.get("contactReqId")), shared_id(params.get("msgId"))
    welcome_id = shared_id(params.get("welcomeMsgId"))
    return ContactRequest(profile, request_id, describe(params.get("content")), text_id, welcome_id)


def _read_text(envelope: Envelope) -> ChatEvent | None:
    params = envelope.params
    read = read_content(params.get("content"), params.get("file"))
    if read is None:
        return None
    text, content = read
    return TextMessage(
        text,
        envelope.shared_id,
        _read_quote(params.get("quote")),
        live=params.get("live") is True,
        ttl=read_ttl(params.get("ttl")),
        forwarded=params.get("forward") is True,
        content=content,
        file=read_invitation(params.get("file"), params["content"]),
    )


def _read_quote(value: object) -> Quote | None:
    if not isinstance(value, dict) or not isinstance(value.get("msgRef"), dict):
        return None
    reference = value["msgRef"]
    text = describe(value.get("content")) or ""
    return Quote(shared_id(reference.get("msgId")), reference.get("sent") is True, text)


def _read_update(envelope: Envelope) -> ChatEvent | None:
    params = envelope.params
    original, read = shared_id(params.get("msgId")), read_content(params.get("content"))
    if original is None or read is None:
        return None
    return MessageUpdate(original, read[0], params.get("live") is True, read_ttl(params.get("ttl")), read[1])


def _read_deletion(envelope: Envelope) -> ChatEvent | None:
    original = shared_id(envelope.params.get("msgId"))
    return MessageDeletion(original) if original else None


def _read_reaction(envelope: Envelope) -> ChatEvent | None:
    params = envelope.params
    original, reaction, add = shared_id(params.get("msgId")), params.get("reaction"), params.get("add")
    emoji = reaction.get("emoji") if isinstance(reaction, dict) else None
    # Only the eight emoji that apps accept: otherwise one peer could add thousands of emoji, or texts, to a message.
    if original is None or emoji not in REACTIONS or not isinstance(add, bool):
        return None
    return ReactionChange(original, emoji, add)


def _read_group_joined(envelope: Envelope) -> ChatEvent | None:
    invitation = envelope.params.get("groupLinkInvitation")
    if not isinstance(invitation, dict):
        return None
    profile = Profile.from_wire(invitation.get("groupProfile")) or Profile("group")
    invited = invitation.get("invitedMember")
    member = shared_id(invited.get("memberId")) if isinstance(invited, dict) else None
    return GroupJoined(profile, isinstance(invitation.get("business"), dict), member)


def _read_join_rejected(envelope: Envelope) -> ChatEvent | None:
    rejection = envelope.params.get("groupLinkRejection")
    if not isinstance(rejection, dict):
        return None
    profile = Profile.from_wire(rejection.get("groupProfile")) or Profile("group")
    return JoinRejected(profile, short_name(rejection.get("rejectionReason")))


def _read_relayed(envelope: Envelope) -> ChatEvent | None:
    """An event that a contact passes on. An ``x.grp.msg.forward`` inside another one is not read (group-wire 6)."""
    params = envelope.params
    try:
        inner = read_envelope(params.get("msg"))
    except DecodeError:
        return None
    read = _EVENTS.get(inner.event)
    if read is None or inner.event == envelope.event:
        return UnsupportedEvent(whole(f"{envelope.event} of {inner.event[:_MAX_EVENT]}"))
    event = read(inner)
    member = shared_id(params.get("memberId"))
    if event is None:
        return None
    name, said_at = short_name(params.get("memberName")), moment_of(params.get("msgTs"))
    if name:
        return Relayed(name, event, said_at)
    return Relayed((member or "")[:_UNKNOWN_NAME] or "the group", event, said_at, member)


def moment_of(value: object) -> float | None:
    """The POSIX seconds of an ISO 8601 time, whose seconds may have any number of decimals; None for other values."""
    if not isinstance(value, str) or len(value) > _MAX_TIME:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


# How each event is read. An event that is not in this table is ignored, and nothing is sent back (agent-wire 6.1).
_EVENTS: dict[str, Callable[[Envelope], ChatEvent | None]] = {
    "x.info": _read_profile,
    "x.contact": _read_contact_request,
    "x.msg.new": _read_text,
    "x.msg.update": _read_update,
    "x.msg.del": _read_deletion,
    "x.msg.react": _read_reaction,
    "x.grp.link.inv": _read_group_joined,
    "x.grp.link.reject": _read_join_rejected,
    "x.direct.del": lambda _: ContactDeleted(),
    "x.call.inv": read_call,
    "x.file": read_old_file,
    "x.file.cancel": read_file_cancel,
    "x.msg.file.descr": read_description_part,
    "x.grp.inv": read_group_invitation,
    "x.grp.msg.forward": _read_relayed,
    **dict.fromkeys(GROUP_EVENTS, read_group_event),
}
