"""Events that are no messages: what line each becomes, and that nothing malformed becomes one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smpchat.chat.wire.happenings import FileCancelled, Happening
from smpchat.chat.wire.message import ChatEvent, UnsupportedEvent, decode_messages

ID, MEMBER = "b25l", "bWVt"
TEAM = {"displayName": "team", "fullName": ""}


def event(name: str, params: dict[str, Any]) -> ChatEvent:
    [message] = decode_messages(json.dumps({"event": name, "msgId": ID, "params": params}).encode())
    return message.event


def invitation(**more: Any) -> dict[str, Any]:
    return {"groupProfile": TEAM, "invitedMember": {"memberId": MEMBER, "memberRole": "member"}} | more


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        ("video", "[called you (video call: not supported)]"),
        ("audio", "[called you (voice call: not supported)]"),
        ("smell", "[called you (call: not supported)]"),
        (["video"], "[called you (call: not supported)]"),
    ],
)
def test_a_call(media: object, expected: str) -> None:
    params = {"callId": "Y2FsbA", "invitation": {"callType": {"media": media}}}
    assert event("x.call.inv", params) == Happening(expected, "call", ID, "call Y2FsbA==", receipt=True)


def test_an_invitation_to_a_group_is_the_same_when_it_is_repeated() -> None:
    found = event("x.grp.inv", {"groupInvitation": invitation()})
    expected = "[invites you to the group team]"
    assert found == Happening(expected, "group-invitation", ID, f"group {MEMBER}", receipt=True)
    found = event("x.grp.inv", {"groupInvitation": invitation(business={"chatType": "customer"}, invitedMember=3)})
    expected = "[invites you to the business chat team]"
    assert found == Happening(expected, "group-invitation", ID, None, receipt=True)


def test_an_old_file() -> None:
    found = event("x.file", {"file": {"fileName": "report.pdf", "fileSize": 12345}})
    expected = "[file report.pdf, 12.1 KiB] [cannot be received: sent by an old app]"
    assert found == Happening(expected, "file", ID)
    assert event("x.file.cancel", {"msgId": ID}) == FileCancelled(ID)


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("x.grp.link.acpt", {"acceptance": "accepted"}, "[someone was accepted as a member]"),
        ("x.grp.link.acpt", {"acceptance": "pending_review"}, "[waiting for approval to join]"),
        ("x.grp.mem.new", {"memberInfo": {"profile": {"displayName": "ben"}}}, "[ben joined]"),
        ("x.grp.mem.intro", {"memberInfo": {"profile": {"displayName": "ben"}}}, "[ben is a member]"),
        ("x.grp.mem.role", {"memberId": MEMBER, "role": "admin"}, "[gave a member the role of admin]"),
        ("x.grp.mem.del", {"memberId": MEMBER}, "[removed a member]"),
        ("x.grp.leave", {}, "[left the group]"),
        ("x.grp.del", {}, "[deleted the group]"),
        ("x.grp.info", {"groupProfile": TEAM}, "[changed the group's profile: team]"),
        ("x.grp.direct.inv", {"connReq": "simplex:/"}, "[offers a private conversation: not supported yet]"),
    ],
)  # fmt: skip
def test_what_goes_on_in_a_group(name: str, params: dict[str, Any], expected: str) -> None:
    assert event(name, params) == Happening(expected, "group-event", ID)


def test_a_member_is_told_of_once_whichever_way() -> None:
    params = {"memberInfo": {"memberId": MEMBER, "profile": {"displayName": "ben"}}}
    new, known = event("x.grp.mem.new", params), event("x.grp.mem.intro", params)
    assert isinstance(new, Happening) and isinstance(known, Happening)
    assert new.occasion == known.occasion == f"member {MEMBER}"


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("x.call.inv", {}),
        ("x.call.inv", {"callId": "AAAA"}),
        ("x.call.inv", {"callId": 3, "invitation": {}}),
        ("x.file", {}),
        ("x.file.cancel", {"msgId": []}),
        ("x.grp.inv", {"groupInvitation": {"groupProfile": {"displayName": ""}}}),
        ("x.grp.inv", {"groupInvitation": [TEAM]}),
        ("x.grp.link.acpt", {"acceptance": 1}),
        ("x.grp.mem.new", {"memberInfo": {"profile": {"displayName": 3}}}),
        ("x.grp.mem.role", {}),
        ("x.grp.info", {"groupProfile": "team"}),
        ("x.grp.mem.fwd", {}),
        ("x.grp.mem.con", {}),
        ("x.grp.prefs", {}),
        ("x.call.end", {"callId": "AAAA"}),
    ],
)
def test_what_reaches_nobody_is_ignored(name: str, params: dict[str, Any]) -> None:
    assert event(name, params) == UnsupportedEvent(name)


def test_a_name_in_a_line_is_short_and_harmless() -> None:
    team = {"displayName": "a\n\x1b[2J\u202e" + "b" * 500}
    found = event("x.grp.inv", {"groupInvitation": {"groupProfile": team}})
    assert isinstance(found, Happening) and len(found.text) < 170
    assert found.text.isprintable()
