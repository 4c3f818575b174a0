"""Writes the events of groups; `smpchat.chat.wire.groups` reads them."""

from __future__ import annotations

from smpchat.chat.wire.bodies import CHAT_VERSIONS, Envelope, encode_envelope
from smpchat.chat.wire.group_events import (
    PROBES,
    Agreed,
    Deletion,
    DirectInvitation,
    Edit,
    FileDescribed,
    FileWithdrawn,
    Forward,
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
)
from smpchat.chat.wire.group_values import (
    GroupQuote,
    JsonObject,
    MemberId,
    business_params,
    member_info_params,
    member_role_params,
    member_text,
    mentions_params,
    scope_params,
)
from smpchat.encoding.record import replace


def encode_group_event(event: GroupEvent, own_id: str | None = None) -> bytes:
    """A group event as the JSON of one message. ``own_id``: the message's id; None for connection info."""
    return encode_envelope(replace(group_envelope(event), shared_id=own_id, versions=CHAT_VERSIONS))


def batches(messages: list[bytes], room: int) -> list[list[bytes]]:
    """Divides messages into batches, in their order. Each batch has as many messages as fit into one body of ``room``
    bytes (group-wire 5)."""
    found: list[list[bytes]] = []
    length = 0
    for message in messages:
        # 2 bytes for the brackets, 1 for each comma
        if found and length + len(message) + 1 <= room:
            found[-1].append(message)
            length += len(message) + 1
        else:
            found.append([message])
            length = len(message) + 2
    return found


def join_batch(batch: list[bytes]) -> bytes:
    """One message body that contains all messages of a batch."""
    return batch[0] if len(batch) == 1 else b"[" + b",".join(batch) + b"]"


def group_envelope(event: GroupEvent) -> Envelope:
    """A group event as an envelope, from which `read_group_event` makes the same event again."""
    name, params = _params(event)
    return Envelope(name, params)


def _params(event: GroupEvent) -> tuple[str, JsonObject]:
    params: JsonObject
    said: JsonObject
    match event:
        case Invitation():
            return "x.grp.inv", {"groupInvitation": _invitation_params(event)}
        case InvitationAccepted(member):
            return "x.grp.acpt", {"memberId": member_text(member)}
        case Agreed():
            return "x.ok", {}
        case JoinRequest(profile, request_id):
            return "x.contact", {"profile": profile.to_members(), "contactReqId": request_id}
        case LinkInvitation():
            return "x.grp.link.inv", {"groupLinkInvitation": _link_invitation_params(event)}
        case LinkRejection(host, invited, group, reason):
            ids = {"fromMember": member_role_params(host), "invitedMember": member_role_params(invited)}
            rest = {"groupProfile": group.value, "rejectionReason": reason}
            return "x.grp.link.reject", {"groupLinkRejection": ids | rest}
        case HostProfile(profile):
            return "x.grp.link.mem", {"profile": profile.to_members()}
        case LinkAccepted(acceptance, role, member):
            params = {"acceptance": str(acceptance), "role": role.word, "memberId": member_text(member)}
            return "x.grp.link.acpt", params
        case MemberAnnounced(info, scope):
            return "x.grp.mem.new", _scoped({"memberInfo": member_info_params(info)}, scope)
        case MemberIntroduced(info, restriction):
            params = {"memberInfo": member_info_params(info)}
            said = {} if restriction is None else {"memberRestrictions": {"restriction": str(restriction)}}
            return "x.grp.mem.intro", params | said
        case LinkForMember(member, link, direct):
            return "x.grp.mem.inv", {"memberId": member_text(member), "memberIntro": _intro_params(link, direct)}
        case LinkOfMember(info, link, direct):
            return "x.grp.mem.fwd", {"memberInfo": member_info_params(info), "memberIntro": _intro_params(link, direct)}
        case MemberPresents(member, profile):
            return "x.grp.mem.info", {"memberId": member_text(member), "profile": profile.to_members()}
        case MembersConnected(member):
            return "x.grp.mem.con", {"memberId": member_text(member)}
        case RoleChanged(member, role):
            return "x.grp.mem.role", {"memberId": member_text(member), "role": role.word}
        case MemberRestricted(member, restriction):
            said = {"restriction": str(restriction)}
            return "x.grp.mem.restrict", {"memberId": member_text(member), "memberRestrictions": said}
        case MemberRemoved(member, messages):
            gone: JsonObject = {"memberId": member_text(member)}
            return "x.grp.mem.del", gone | ({"messages": True} if messages else {})
        case MemberLeft():
            return "x.grp.leave", {}
        case MemberProfile(profile):
            return "x.info", {"profile": profile.to_members()}
        case GroupDeleted():
            return "x.grp.del", {}
        case GroupChanged(group):
            return "x.grp.info", {"groupProfile": group.value}
        case PreferencesChanged(preferences):
            return "x.grp.prefs", {"groupPreferences": preferences}
        case DirectInvitation(link, content, scope):
            return "x.grp.direct.inv", _scoped({"connReq": link} | _if("content", content), scope)
        case Probe(kind, value):
            name = next(name for name, known in PROBES.items() if known == kind)
            return name, {"probeHash" if kind == "check" else "probe": value}
        case Forward(author, message, _, said_at, name):
            params = _if("memberId", None if author is None else member_text(author)) | _if("memberName", name)
            return "x.grp.msg.forward", params | {"msg": _message_params(message), "msgTs": said_at}
        case Post() | Edit() | Deletion() | Reaction() | FileDescribed() | FileWithdrawn():
            return _content_params(event)
    raise ValueError(f"nothing of ours: {type(event).__name__}")


def _content_params(
    event: Post | Edit | Deletion | Reaction | FileDescribed | FileWithdrawn,
) -> tuple[str, JsonObject]:
    params: JsonObject
    match event:
        case Post():
            params = {"content": event.content} | _if("file", event.file) | _if("ttl", event.ttl)
            params |= _if("live", event.live or None) | _if("forward", event.forwarded or None)
            if event.quote is not None:
                params["quote"] = _quote_params(event.quote)
            return "x.msg.new", _scoped(params | _if("mentions", mentions_params(event.mentions) or None), event.scope)
        case Edit():
            params = {"msgId": event.original, "content": event.content} | _if("ttl", event.ttl)
            params |= _if("live", event.live or None) | _if("mentions", mentions_params(event.mentions) or None)
            return "x.msg.update", _scoped(params, event.scope)
        case Deletion(original, author, scope):
            whose = _if("memberId", None if author is None else member_text(author))
            return "x.msg.del", _scoped({"msgId": original} | whose, scope)
        case Reaction(original, author, emoji, add, scope):
            params = {"msgId": original, "reaction": {"type": "emoji", "emoji": emoji}, "add": add}
            params |= _if("memberId", None if author is None else member_text(author))
            return "x.msg.react", _scoped(params, scope)
        case FileDescribed(original, part):
            return "x.msg.file.descr", {"msgId": original, "fileDescr": part}
        case FileWithdrawn(original):
            return "x.file.cancel", {"msgId": original}


def _invitation_params(event: Invitation) -> JsonObject:
    params: JsonObject = {
        "fromMember": member_role_params(event.host),
        "invitedMember": member_role_params(event.invited),
        "connRequest": event.link,
        "groupProfile": event.profile.value,
    }
    if event.business is not None:
        params["business"] = business_params(event.business)
    return params | _if("groupLinkId", event.link_id) | _if("groupSize", event.size)


def _link_invitation_params(event: LinkInvitation) -> JsonObject:
    params: JsonObject = {
        "fromMember": member_role_params(event.host),
        "fromMemberName": event.host_name,
        "invitedMember": member_role_params(event.invited),
        "groupProfile": event.profile.value,
    }
    if event.business is not None:
        params["business"] = business_params(event.business)
    accepted = None if event.accepted is None else str(event.accepted)
    return params | _if("accepted", accepted) | _if("groupSize", event.size)


def _intro_params(link: str, direct: str | None) -> JsonObject:
    return {"groupConnReq": link} | _if("directConnReq", direct)


def _quote_params(quote: GroupQuote) -> JsonObject:
    reference: JsonObject = {"sentAt": quote.sent_at, "sent": quote.by_sender} | _if("msgId", quote.shared_id)
    if quote.author is not None:
        reference["memberId"] = member_text(quote.author)
    return {"msgRef": reference, "content": quote.content}


def _message_params(message: Envelope) -> JsonObject:
    versions = _if("v", None if message.versions is None else str(message.versions))
    return versions | _if("msgId", message.shared_id) | {"event": message.event, "params": message.params}


def _scoped(params: JsonObject, scope: MemberId | None) -> JsonObject:
    return params if scope is None else params | {"scope": scope_params(scope)}


def _if(name: str, value: object) -> JsonObject:
    return {} if value is None else {name: value}
