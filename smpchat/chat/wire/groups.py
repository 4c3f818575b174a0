"""Reads the events of groups from the envelopes of `smpchat.chat.wire.bodies` (group-wire 2 to 7 and 12).

The same envelope means one thing between two contacts and another between members of a group. This module reads the
messages of members; `smpchat.chat.wire.message` reads the messages of contacts. Group events are written by
`smpchat.chat.wire.group_encoding`. Events that exist only in channels (group-wire 10) are not supported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from smpchat.agent.wire.user_data import read_user_json
from smpchat.chat.wire.bodies import (
    Envelope,
    LeftOut,
    Part,
    Unreadable,
    decode_body,
    read_envelope,
    shared_id,
)
from smpchat.chat.wire.content import short_name, whole
from smpchat.chat.wire.group_events import (
    PROBES,
    Agreed,
    Deletion,
    DirectInvitation,
    Edit,
    FileDescribed,
    FileWithdrawn,
    Forward,
    Forwarded,
    GroupChanged,
    GroupDeleted,
    GroupEvent,
    HostProfile,
    Invitation,
    InvitationAccepted,
    JoinRequest,
    LinkAccepted,
    LinkForMember,
    LinkInvitation,
    LinkOfMember,
    LinkRejection,
    MemberAnnounced,
    MemberIntroduced,
    MemberLeft,
    MemberPresents,
    MemberProfile,
    MemberRemoved,
    MemberRestricted,
    MembersConnected,
    Post,
    PreferencesChanged,
    Probe,
    Reaction,
    RoleChanged,
    Unusable,
)
from smpchat.chat.wire.group_values import (
    MAX_NAME,
    MAX_REASON,
    Acceptance,
    GroupProfile,
    GroupQuote,
    JsonObject,
    Malformed,
    kept,
    maybe_member,
    read_business,
    read_group_profile,
    read_link,
    read_member,
    read_member_info,
    read_member_role,
    read_mentions,
    read_object,
    read_profile,
    read_restriction,
    read_role,
    read_scope,
    read_size,
    read_time,
)
from smpchat.chat.wire.message import REACTIONS
from smpchat.chat.wire.preferences import read_ttl
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, replace
from smpchat.protocol.version import VersionRange

_MAX_EVENT = 100
"""How many characters of an ignored event's name are kept for the log."""
_MAX_PROBE = 255
"""Longest value of a `Probe`, in characters. In apps, a probe has 60 characters, and the hash of a probe has 44."""


class GroupMessage(Record):
    """One event in the body of a member's message.

    Attributes:
        shared_id: The id of the event, the same for all members and in forwarded copies. Without an id, we cannot tell
            whether the event has arrived before (group-wire 11, traps 5 and 7).
        versions: The chat versions of the sender's app; None if the app does not state them.
    """

    event: GroupEvent
    shared_id: str | None = None
    versions: VersionRange | None = None


# -- reading ----------------------------------------------------------------------------------------------------------


def decode_group_messages(body: bytes) -> list[GroupMessage]:
    """The events in a member's message body or connection info, in order. If one event is malformed, the others are
    read all the same.

    Raises:
        DecodeError: The body has an unknown form, or is a single malformed message.
    """
    return [said for said, _ in decode_with_envelopes(body)]


def decode_with_envelopes(body: bytes) -> list[tuple[GroupMessage, Envelope | None]]:
    """Like `decode_group_messages`, but returns each event with its complete envelope, so that the event can be passed
    on unchanged. The envelope is None for a part of the body that cannot be read."""
    return [(_message(part), part if isinstance(part, Envelope) else None) for part in decode_body(body)]


def read_group_event(envelope: Envelope) -> GroupEvent:
    """The group event in an envelope; `Unusable` if the event is unknown or malformed."""
    read = _READERS.get(envelope.event)
    name = whole(envelope.event[:_MAX_EVENT])
    if read is None:
        return Unusable(name, "not a group event that smpchat knows")
    try:
        return read(envelope.params)
    except Malformed as error:
        return Unusable(name, error.what)


def read_group_link(user_data: bytes) -> GroupProfile | None:
    """The group's profile in the data of a short link; None if the link is not a group's."""
    value = read_user_json(user_data)
    try:
        return read_group_profile(value) if value is not None else None
    except Malformed:
        return None


def _message(part: Part) -> GroupMessage:
    match part:
        case Unreadable(what):
            return GroupMessage(Unusable("", what))
        case LeftOut():
            return GroupMessage(part)
    return GroupMessage(read_group_event(part), part.shared_id, part.versions)


def _invitation(params: JsonObject) -> GroupEvent:
    value = read_object(params, "groupInvitation")
    return Invitation(
        read_member_role(value, "fromMember"),
        read_member_role(value, "invitedMember"),
        read_link(value.get("connRequest")),
        read_group_profile(value),
        read_business(value.get("business")),
        shared_id(value.get("groupLinkId")),
        read_size(value.get("groupSize")),
    )


def _link_invitation(params: JsonObject) -> GroupEvent:
    value = read_object(params, "groupLinkInvitation")
    accepted = value.get("accepted")
    return LinkInvitation(
        read_member_role(value, "fromMember"),
        short_name(value.get("fromMemberName")),
        read_member_role(value, "invitedMember"),
        read_group_profile(value),
        None if accepted is None else _read_acceptance(accepted),
        read_business(value.get("business")),
        read_size(value.get("groupSize")),
    )


def _read_acceptance(value: object) -> Acceptance:
    # An unknown word, from a newer app, counts as pending, so that messages go only to the host.
    if not isinstance(value, str):
        raise Malformed("not an acceptance")
    return Acceptance(value) if value in list(Acceptance) else Acceptance.PENDING


def _link_rejection(params: JsonObject) -> GroupEvent:
    value = read_object(params, "groupLinkRejection")
    return LinkRejection(
        read_member_role(value, "fromMember"),
        read_member_role(value, "invitedMember"),
        read_group_profile(value),
        short_name(value.get("rejectionReason"))[:MAX_REASON],
    )


def _link_accepted(params: JsonObject) -> GroupEvent:
    return LinkAccepted(
        _read_acceptance(params.get("acceptance")), read_role(params.get("role")), read_member(params.get("memberId"))
    )


def _introduced(params: JsonObject) -> GroupEvent:
    said = params.get("memberRestrictions")
    return MemberIntroduced(read_member_info(params), None if said is None else read_restriction(said))


def _links(params: JsonObject) -> tuple[str, str | None]:
    value = read_object(params, "memberIntro")
    direct = value.get("directConnReq")
    return read_link(value.get("groupConnReq")), None if direct is None else read_link(direct)


def _member(params: JsonObject) -> Any:
    return read_member(params.get("memberId"))


def _prefs(params: JsonObject) -> GroupEvent:
    return PreferencesChanged(kept(read_object(params, "groupPreferences")))


def _direct(params: JsonObject) -> GroupEvent:
    content = params.get("content")
    return DirectInvitation(
        read_link(params.get("connReq")), None if content is None else _content(params), read_scope(params)
    )


def _probe(kind: str) -> Callable[[JsonObject], GroupEvent]:
    def read(params: JsonObject) -> GroupEvent:
        value = params.get("probeHash" if kind == "check" else "probe")
        if not isinstance(value, str) or len(value) > _MAX_PROBE or not value.isascii():
            raise Malformed("not a probe")
        return Probe(kind, value)

    return read


def _content(params: JsonObject) -> JsonObject:
    content = read_object(params, "content")
    if not isinstance(content.get("type"), str):
        raise Malformed("content without a type")
    return kept(content)


def _original(params: JsonObject) -> str:
    original = shared_id(params.get("msgId"))
    if original is None:
        raise Malformed("the id of a message is missing")
    return original


def _post(params: JsonObject) -> GroupEvent:
    file = params.get("file")
    return Post(
        _content(params),
        kept(file) if isinstance(file, dict) else None,
        _read_quote(params.get("quote")),
        read_ttl(params.get("ttl")),
        params.get("live") is True,
        params.get("forward") is True,
        read_mentions(params.get("mentions")),
        read_scope(params),
    )


def _read_quote(value: object) -> GroupQuote | None:
    """The quote in a reply; None if the quote is malformed. The reply is then shown without a quote."""
    if not isinstance(value, dict) or not isinstance(value.get("content"), dict):
        return None
    reference = value.get("msgRef")
    if not isinstance(reference, dict):
        return None
    return GroupQuote(
        maybe_member(reference.get("memberId")),
        shared_id(reference.get("msgId")),
        read_time(reference.get("sentAt")),
        reference.get("sent") is True,
        kept(value["content"]),
    )


def _edit(params: JsonObject) -> GroupEvent:
    return Edit(
        _original(params),
        _content(params),
        read_ttl(params.get("ttl")),
        params.get("live") is True,
        read_mentions(params.get("mentions")),
        read_scope(params),
    )


def _deletion(params: JsonObject) -> GroupEvent:
    author = params.get("memberId")
    return Deletion(_original(params), None if author is None else read_member(author), read_scope(params))


def _reaction(params: JsonObject) -> GroupEvent:
    author, reaction, add = params.get("memberId"), params.get("reaction"), params.get("add")
    emoji = reaction.get("emoji") if isinstance(reaction, dict) else None
    # Only the eight emoji that apps accept: otherwise one peer could add thousands of emoji, or texts, to a message.
    if emoji not in REACTIONS or not isinstance(add, bool):
        raise Malformed("not a reaction")
    return Reaction(_original(params), None if author is None else read_member(author), emoji, add, read_scope(params))


def _forward(params: JsonObject) -> GroupEvent:
    """An event that a host passes on. An ``x.grp.msg.forward`` inside another one is not read (group-wire 6)."""
    author, name = params.get("memberId"), params.get("memberName")
    try:
        message = read_envelope(params.get("msg"))
    except DecodeError as error:
        raise Malformed(error.what) from None
    event = read_group_event(message) if message.event != "x.grp.msg.forward" else None
    return Forward(
        None if author is None else read_member(author),
        replace(message, event=whole(message.event[:_MAX_EVENT]), params=kept(message.params)),
        event if isinstance(event, _FORWARDED) else None,
        read_time(params.get("msgTs")),
        whole(name[:MAX_NAME]) if isinstance(name, str) and name else None,
    )


_FORWARDED = get_args(Forwarded)
_READERS: dict[str, Callable[[JsonObject], GroupEvent]] = {
    "x.grp.inv": _invitation,
    "x.grp.acpt": lambda params: InvitationAccepted(_member(params)),
    "x.ok": lambda _: Agreed(),
    "x.contact": lambda params: JoinRequest(read_profile(params.get("profile")), shared_id(params.get("contactReqId"))),
    "x.grp.link.inv": _link_invitation,
    "x.grp.link.reject": _link_rejection,
    "x.grp.link.mem": lambda params: HostProfile(read_profile(params.get("profile"))),
    "x.grp.link.acpt": _link_accepted,
    "x.grp.mem.new": lambda params: MemberAnnounced(read_member_info(params), read_scope(params)),
    "x.grp.mem.intro": _introduced,
    "x.grp.mem.inv": lambda params: LinkForMember(_member(params), *_links(params)),
    "x.grp.mem.fwd": lambda params: LinkOfMember(read_member_info(params), *_links(params)),
    "x.grp.mem.info": lambda params: MemberPresents(_member(params), read_profile(params.get("profile"))),
    "x.grp.mem.con": lambda params: MembersConnected(_member(params)),
    "x.grp.mem.role": lambda params: RoleChanged(_member(params), read_role(params.get("role"))),
    "x.grp.mem.restrict": lambda params: MemberRestricted(
        _member(params), read_restriction(params.get("memberRestrictions"))
    ),
    "x.grp.mem.del": lambda params: MemberRemoved(_member(params), params.get("messages") is True),
    "x.grp.leave": lambda _: MemberLeft(),
    "x.grp.del": lambda _: GroupDeleted(),
    "x.grp.info": lambda params: GroupChanged(read_group_profile(params)),
    "x.grp.prefs": _prefs,
    "x.grp.direct.inv": _direct,
    "x.grp.msg.forward": _forward,
    "x.info": lambda params: MemberProfile(read_profile(params.get("profile"))),
    **{name: _probe(kind) for name, kind in PROBES.items()},
    "x.msg.new": _post,
    "x.msg.update": _edit,
    "x.msg.del": _deletion,
    "x.msg.react": _reaction,
    "x.msg.file.descr": lambda params: FileDescribed(_original(params), kept(read_object(params, "fileDescr"))),
    "x.file.cancel": lambda params: FileWithdrawn(_original(params)),
}
KNOWN_EVENTS = frozenset(_READERS)
"""The group events that smpchat understands. Other events whose names begin with x are ignored, and their sender is not
told."""
