"""Groups in `chat`: conversations like others, with members to mention, invite and leave."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from smpchat.cli.chat.completion import SlashCompleter
from smpchat.cli.chat.conversation import HISTORY
from tests.cli.chat.talk import Talk
from tests.cli.team import settle, team
from tests.cli.terminal import FakeTerminal, Terminal

Begin = Callable[..., Talk]


@pytest.fixture
def begin(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Begins a conversation of bob's, on a terminal."""
    with ExitStack() as stack:

        def talk(who: str = "team", *, plain: bool = False) -> Talk:
            monkeypatch.setattr(sys, "stdout", FakeTerminal())
            return Talk(smpchat, stack.enter_context(smpchat.service("bob")), who, plain=plain)

        yield talk


def online(smpchat: Terminal, *others: str) -> None:
    """Bob and others are online in turn, by processes of bob's that show nothing."""
    for _ in range(3):
        for name in others:
            assert smpchat("-p", name, "listen", "--timeout", "2").code == 0
        assert smpchat("-p", "bob", "verify", "alice", "--confirm").code == 0
        waits = ("--wait", "delivered", "--timeout", "2")
        assert smpchat("-p", "bob", "send", "alice", "(online for a moment)", *waits).code == 6


def offered(bob: Talk, line: str) -> list[str]:
    completer = SlashCompleter(bob.conversation)
    return [found.text for found in completer.get_completions(Document(line, len(line)), CompleteEvent())]


def test_a_group_is_a_conversation_like_any_other(smpchat: Terminal, begin: Begin) -> None:
    team(smpchat, "bob", "cath")
    bob = begin("alice")
    assert "/to team" not in bob.news()
    online(smpchat, "alice", "cath")
    assert smpchat("-p", "cath", "send", "team", "hello all").code == 0
    online(smpchat, "alice", "cath")
    bob.news()
    assert "unread: team 1" in bob.toolbar()
    shown = bob.enter("/next")
    assert "Now writing to team." in shown and shown[-1].endswith("cath: hello all")
    assert bob.conversation.prompt() == "team> "
    assert bob.toolbar().startswith("member, 3 members, all connected")

    bob.enter("hi both")
    assert bob.tail() == ["22:15  you: hi both  ·"]
    online(smpchat, "cath")
    bob.news()
    assert bob.tail() == ["22:15  you: hi both  ✓✓ 1 of 2"]
    assert "last message ✓✓ 1 of 2" in bob.toolbar()
    online(smpchat, "alice")
    assert bob.news() == ["22:15  you: hi both  ✓✓ 2 of 2"] and bob.tail() == []
    assert [m.text for m in bob.service.history("team", 1)] == ["hi both"]

    assert [line.split()[:2] for line in bob.enter("/members")] == [
        ["Name", "Role"],
        ["you", "member"],
        ["alice", "owner"],
        ["cath", "member"],
    ]
    assert "Off: direct, fulldelete." in " ".join(bob.enter("/set"))
    assert "Group: member, 3 members, all connected." in " ".join(bob.enter("/status"))
    assert bob.enter("/verify")[0].startswith("! team is a group: it has no security code.")
    assert bob.enter("/groups") == ["team: member, 3 members, all connected"]
    assert bob.enter("/invite alice")[0].startswith("! Only admins and owners can invite somebody")


def test_what_members_do_to_messages_names_who_did_it(smpchat: Terminal, begin: Begin) -> None:
    team(smpchat, "bob", "cath")
    assert smpchat("-p", "cath", "send", "team", "helo").code == 0
    online(smpchat, "alice", "cath")
    bob = begin("team")
    bob.numbers = True
    number = bob.service.history("team", 1)[0].id
    bob.news()
    [theirs] = [m["id"] for m in smpchat("--json", "-p", "cath", "search", "helo").objects("message")]
    assert smpchat("-p", "cath", "edit", str(theirs), "hello").code == 0
    online(smpchat, "alice", "cath")
    shown = bob.news()
    assert shown[0] == f"* cath edited message {number}:" and shown[1].endswith("cath: hello")
    found = smpchat("--json", "-p", "alice", "search", "hello").objects("message")
    assert smpchat("-p", "alice", "react", str(found[-1]["id"]), "👍").code == 0
    online(smpchat, "alice", "cath")
    shown = bob.news()
    assert shown[0] == f"* alice reacted 👍 to message {number}:" and shown[2].endswith("(edited, 👍 alice)")
    assert smpchat("-p", "alice", "react", str(found[-1]["id"]), "👍", "--remove").code == 0
    online(smpchat, "alice", "cath")
    assert f"* alice removed a reaction from message {number}:" in bob.news()
    assert smpchat("-p", "alice", "retract", str(found[-1]["id"])).code == 0
    online(smpchat, "alice", "cath")
    shown = bob.news()
    assert shown[0] == f"* alice deleted message {number}:" and shown[1].endswith("cath * [deleted by alice]")


def test_a_message_that_is_gone_names_who_deleted_it(smpchat: Terminal, begin: Begin) -> None:
    team(smpchat, "bob", "cath")
    assert smpchat("-p", "alice", "group", "set", "team", "--allow", "fulldelete=on").code == 0
    for name in ("cath", "bob"):
        assert smpchat("-p", name, "send", "team", "hello").code == 0
    online(smpchat, "alice", "cath")
    bob = begin("team")
    numbers = {message.sender: message.id for message in bob.service.history("team") if message.text == "hello"}
    bob.news()
    for found in smpchat("--json", "-p", "alice", "search", "hello").objects("message"):
        assert smpchat("-p", "alice", "retract", str(found["id"])).code == 0
    online(smpchat, "alice", "cath")
    assert bob.news() == [
        f"* alice deleted message {numbers[None]}.",
        f"* alice deleted message {numbers['cath']}:",
        "22:15  cath * [deleted by alice]",
    ]


def test_what_happened_before_is_not_laid_to_anybody(smpchat: Terminal, begin: Begin) -> None:
    """The events of changes are over when the conversation is opened: only what the messages show is said."""
    team(smpchat, "bob", "cath")
    texts = ("edited", "liked", "both", "deleted", *map(str, range(HISTORY)))
    for text in texts:
        assert smpchat("-p", "cath", "send", "team", "--", text).code == 0
    online(smpchat, "alice", "cath")
    assert smpchat("-p", "bob", "listen", "--timeout", "2").code == 0
    numbers = {m["text"]: str(m["id"]) for m in smpchat("--json", "-p", "cath", "history", "team").objects("message")}
    owners = {m["text"]: str(m["id"]) for m in smpchat("--json", "-p", "alice", "history", "team").objects("message")}
    for text in ("edited", "both"):
        assert smpchat("-p", "cath", "edit", numbers[text], f"{text}!").code == 0
    for text in ("liked", "both"):
        assert smpchat("-p", "alice", "react", owners[text], "👍").code == 0
    assert smpchat("-p", "alice", "retract", owners["deleted"]).code == 0
    online(smpchat, "alice", "cath")
    bob = begin("team")
    assert smpchat("-p", "cath", "send", "team", "news").code == 0
    online(smpchat, "alice", "cath")
    told = [line for line in bob.news() if line.startswith("* ")]
    first = next(int(line.split()[-1][:-1]) for line in told)
    assert told == [
        f"* cath edited message {first}:",
        f"* Message {first + 1} changed:",
        f"* Message {first + 2} changed:",
        f"* alice deleted message {first + 3}:",
    ]


def test_a_name_behind_an_at_sign(smpchat: Terminal, begin: Begin) -> None:
    team(smpchat, "bob", "cath")
    bob = begin("team")
    assert offered(bob, "@c") == ["cath "] and offered(bob, "see @ca") == ["cath "]
    assert offered(bob, "@a") == ["alice "]  # a contact as well: it is offered once
    assert offered(bob, "/invite al") == ["alice"]
    bob.enter("@cath, look")  # no contact of bob's, but a member: for all
    assert [m.text for m in bob.service.history("team", 1)] == ["@cath, look"]
    shown = bob.enter("@alice hello")  # a contact: for her alone
    assert "to alice: pending" in shown
    assert [m.text for m in bob.service.history("alice", 1)] == ["hello"]
    assert bob.enter("@nobody hi")[0].startswith("! There is no contact 'nobody'.")
    bob.enter("/to alice")
    assert offered(bob, "see @ca") == []
    assert bob.enter("@team hello team") and bob.service.history("team", 1)[0].text == "hello team"


def test_invited_joined_and_left_in_chat(smpchat: Terminal, begin: Begin) -> None:
    smpchat.connected("alice", "bob")
    for name in ("team", "crew"):
        assert smpchat("-p", "alice", "group", "create", name).code == 0
        assert smpchat("-p", "alice", "group", "invite", name, "bob").code == 0
    bob = begin("alice")
    bob.news()
    online(smpchat, "alice")
    shown = bob.news()
    assert '* /join 1 joins the group "team".' in shown
    assert offered(bob, "/join ") == ["1", "2"]
    assert bob.enter("/groups")[-1] == "/join 1 accepts the invitation."
    assert bob.enter("/join")[0] == "! The invitation is missing. Type /join N; /groups shows the numbers."
    shown = bob.enter("/join 1 hike")
    assert shown[0] == "Now writing to hike."
    assert "* You will be in hike when the person who invited you comes online." in shown
    assert bob.toolbar().startswith("joining")
    assert bob.enter("hello")[0].startswith("! You are not in this group yet.")
    online(smpchat, "alice")
    assert any("[you joined the group]" in line for line in bob.news())
    assert bob.enter("/leave")[0].startswith("! Everybody in hike sees that you leave it. Type /leave hike")
    assert bob.enter("/leave @HIKE") == ["* You left hike. The conversation stays here."]
    assert bob.toolbar().startswith("you left")
    bob.enter("/to alice")
    assert any(line.startswith("! alice is not a group.") for line in bob.enter("/leave alice"))
    assert bob.enter("/members")[0].startswith("! alice is not a group.")
    settle(smpchat, "alice")


def test_a_group_of_ones_own_in_chat(smpchat: Terminal, begin: Begin) -> None:
    smpchat.connected("alice", "bob")
    with smpchat.service("bob") as service:
        service.create_group("team")
    bob = begin("team")
    assert "nobody else yet" in bob.toolbar()
    assert bob.enter("/invite")[0] == "! The contact is missing. Type /invite WHO."
    assert bob.enter("/invite @alice") == ["* alice is invited as member."]
    assert "1 invited" in bob.toolbar()
    bob.enter("/to alice")
    assert bob.enter("/invite carol") == ["* Making a link…"]  # a link, as outside of groups


def test_the_only_owner_is_told_what_leaving_means(smpchat: Terminal, begin: Begin) -> None:
    team(smpchat, "alice", owner="bob")
    bob = begin("team")
    bob.news()
    assert " ".join(" ".join(bob.enter("/leave")).split()) == (
        "! Everybody in team sees that you leave it. You are the only owner of team. After you leave, nobody can change"
        " the group, invite people or remove members. Type /leave team if that is what you want."
    )
    assert bob.enter("/leave team") == ["* You left team. The conversation stays here."]


def test_plain_lines_without_a_toolbar(smpchat: Terminal, begin: Begin) -> None:
    team(smpchat, "bob", "cath")
    bob = begin("team", plain=True)
    bob.news()
    shown = bob.enter("hi both")
    assert shown == ["22:15  you: hi both  (pending)"]
    online(smpchat, "cath")
    assert bob.news() == []  # alice has it not yet
    online(smpchat, "alice")
    assert any(line.startswith("* delivered: ") for line in bob.news())
