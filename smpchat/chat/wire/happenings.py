"""Events that are not messages, but that the user should know of: calls, invitations to groups, files in an old form,
group events.

Each of these events becomes a line in the conversation. The line says what happened. If smpchat does not support such
an event, for example a call, the line says so too. All events are read from a peer's JSON; malformed ones are ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smpchat.chat.wire.bodies import Envelope, shared_id
from smpchat.chat.wire.content import CALL, GROUP_EVENT, GROUP_INVITATION, Content, file_note, joined, short_name
from smpchat.encoding.record import Record, field

_OLD_FILE = "[cannot be received: sent by an old app]"
_MEDIA = {"video": "video call", "audio": "voice call"}


class Happening(Record):
    """An event that becomes a line in the conversation.

    Attributes:
        text: The text of the line that reports the event, in brackets. The whole text counts as a note by smpchat
            (`Content.note`), so that a peer cannot fake such a line.
        occasion: A value that is the same each time the event is repeated. Only the first event with this value gets a
            line. If the value is None, every event gets a line.
        member: Id of the member that the event is about.
        member_name: The member's name; None if the event does not give a name.
        receipt: Whether to send a receipt: apps show the event as undelivered until they get one (agent-wire 6.2).
    """

    text: str = field(repr=False)
    kind: str
    shared_id: str | None = None
    occasion: str | None = None
    receipt: bool = False
    member: str | None = None
    member_name: str | None = field(default=None, repr=False)

    @property
    def content(self) -> Content:
        """The content of the line that reports this event: the line's kind, and its text as a note."""
        return Content(self.kind, self.text)


class FileCancelled(Record):
    """``x.file.cancel``: the sender of a file has withdrawn it. ``shared_id``: the id of the message with the file."""

    shared_id: str


# -- reading ----------------------------------------------------------------------------------------------------------


def read_call(envelope: Envelope) -> Happening | None:
    """``x.call.inv``: one line for each call, even if it is offered several times. smpchat never answers a call."""
    call, invitation = shared_id(envelope.params.get("callId")), envelope.params.get("invitation")
    if call is None or not isinstance(invitation, dict):
        return None
    call_type = invitation.get("callType")
    media = call_type.get("media") if isinstance(call_type, dict) else None
    what = _MEDIA.get(media, "call") if isinstance(media, str) else "call"
    text = f"[called you ({what}: not supported)]"
    return Happening(text, CALL, envelope.shared_id, f"call {call}", receipt=True)


def read_old_file(envelope: Envelope) -> Happening | None:
    """``x.file``: a file that an old app offers in a form that smpchat does not support, so the file cannot be
    received."""
    file = envelope.params.get("file")
    if not isinstance(file, dict):
        return None
    return Happening(joined(file_note(file), _OLD_FILE), "file", envelope.shared_id)


def read_file_cancel(envelope: Envelope) -> FileCancelled | None:
    """``x.file.cancel``."""
    original = shared_id(envelope.params.get("msgId"))
    return FileCancelled(original) if original else None


def read_group_invitation(envelope: Envelope) -> Happening | None:
    """``x.grp.inv``. A repeated invitation is recognised, because it gives us the same member id (group-wire 12, fact
    10)."""
    invitation = _object(envelope.params, "groupInvitation")
    name = _name(invitation, "groupProfile")
    if not name:
        return None
    member = shared_id(_object(invitation, "invitedMember").get("memberId"))
    what = "business chat" if isinstance(invitation.get("business"), dict) else "group"
    text = f"[invites you to the {what} {name}]"
    occasion = f"group {member}" if member else None
    return Happening(text, GROUP_INVITATION, envelope.shared_id, occasion, receipt=True)


def _new_member(params: dict[str, Any]) -> str | None:
    name = _name(_object(params, "memberInfo"), "profile")
    return f"[{name} joined]" if name else None


def _known_member(params: dict[str, Any]) -> str | None:
    name = _name(_object(params, "memberInfo"), "profile")
    return f"[{name} is a member]" if name else None


def _acceptance(params: dict[str, Any]) -> str | None:
    match params.get("acceptance"):
        case "accepted":
            return "[someone was accepted as a member]"
        case str():
            return "[waiting for approval to join]"
    return None


def _role(params: dict[str, Any]) -> str | None:
    role = short_name(params.get("role"))
    return f"[gave a member the role of {role}]" if role else None


def _info(params: dict[str, Any]) -> str | None:
    name = _name(params, "groupProfile")
    return f"[changed the group's profile: {name}]" if name else None


_GROUP_EVENTS: dict[str, Callable[[dict[str, Any]], str | None]] = {
    "x.grp.link.acpt": _acceptance,
    "x.grp.mem.new": _new_member,
    "x.grp.mem.intro": _known_member,
    "x.grp.mem.role": _role,
    "x.grp.mem.del": lambda _: "[removed a member]",
    "x.grp.leave": lambda _: "[left the group]",
    "x.grp.del": lambda _: "[deleted the group]",
    "x.grp.info": _info,
    "x.grp.direct.inv": lambda _: "[offers a private conversation: not supported yet]",
}
GROUP_EVENTS = frozenset(_GROUP_EVENTS)
"""Names of group events that users see; the others only serve the protocol."""


def read_group_event(envelope: Envelope) -> Happening | None:
    """Reads an event whose name is in `GROUP_EVENTS`; None if the event is malformed."""
    text, info = _GROUP_EVENTS[envelope.event](envelope.params), _object(envelope.params, "memberInfo")
    member = shared_id(info.get("memberId"))
    name = _name(info, "profile") if member else None
    occasion = f"member {member}" if member else None  # one line for each member, from the first event about the member
    if not text:
        return None
    return Happening(text, GROUP_EVENT, envelope.shared_id, occasion, member=member, member_name=name or None)


def _object(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _name(value: dict[str, Any], profile: str) -> str:
    return short_name(_object(value, profile).get("displayName"))
