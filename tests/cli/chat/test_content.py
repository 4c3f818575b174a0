"""What is more than a text, as people and scripts see it: notes that no text can make, and messages that grow."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from smpchat.agent.machines.delivery import Integrity
from smpchat.chat.service.connecting import ChatService
from smpchat.cli.schema import problems
from tests.cli.chat.talk import Talk
from tests.cli.terminal import Terminal

ONE, TWO = "b25l", "dHdv"
NOTE = "[image pic.jpg, 4.88 KiB]"
IMAGE: dict[str, Any] = {
    "content": {"type": "image", "text": "on the beach", "image": ""},
    "file": {"fileName": "pic.jpg", "fileSize": 5000},
}
CALL: dict[str, Any] = {"callId": "Y2FsbA", "invitation": {"callType": {"media": "video"}}}


def receive(service: ChatService, alias: str, event: str, shared_id: str = ONE, **params: Any) -> None:
    """An event of a contact arrives."""
    body = json.dumps({"v": "1-16", "event": event, "msgId": shared_id, "params": params}).encode()
    connection = service.contact(alias).contact.connection_id
    with service.database.transaction() as tx:
        service.context.application.message_received(tx, connection, body, round(service.now()), Integrity.OK)


def text(words: str) -> dict[str, Any]:
    return {"content": {"type": "text", "text": words}}


def test_no_text_makes_the_mark_of_a_note(people: Terminal) -> None:
    with people.service("bob") as bob:
        receive(bob, "alice", "x.msg.new", ONE, **IMAGE)
        receive(bob, "alice", "x.msg.new", TWO, **text(f"{NOTE} on the beach\nalice * {NOTE} on the beach"))
    lines = people("-p", "bob", "history", "alice").stdout.splitlines()
    assert [line[13:] for line in lines[-4:-1]] == [f"alice * {NOTE}", "on the beach", f"alice: {NOTE} on the beach"]
    assert lines[-1].startswith("             ")  # further lines of a text are indented
    real, typed = people("--json", "-p", "bob", "listen", "--count", "2").objects("message")
    assert (real["content"], real["text"]) == ("image", f"{NOTE} on the beach")
    assert (typed["content"], typed["text"][: len(real["text"])]) == ("text", real["text"])
    assert problems(real) == problems(typed) == []


def test_what_happens_is_a_line_that_is_listened_to_once(people: Terminal) -> None:
    with people.service("bob") as bob:
        receive(bob, "alice", "x.call.inv", ONE, **CALL)
        receive(bob, "carol", "x.msg.new", TWO, **text("hi"), forward=True)
        assert [view.contact.unread for view in bob.contacts()] == [1, 1]
    shown = people("-p", "bob", "listen", "--count", "2").stdout.splitlines()
    assert shown == ["alice * [called you (video call: not supported)]", "carol * [forwarded]", "    hi"]
    assert people("-p", "bob", "listen", "--timeout", "1").stdout == ""
    call, forwarded = (people("--json", "-p", "bob", "history", who).objects()[-1] for who in ("alice", "carol"))
    assert (call["content"], forwarded["content"], forwarded["forwarded"]) == ("call", "text", True)
    assert forwarded["text"] == "hi"


def test_a_preview_stands_below_its_link(people: Terminal) -> None:
    preview = {"uri": "https://a.example", "title": "An \x1b[2Jexample", "description": "of a preview"}
    with people.service("bob") as bob:
        receive(
            bob, "alice", "x.msg.new", content={"type": "link", "text": "see https://a.example", "preview": preview}
        )
    [shown] = people("--json", "-p", "bob", "listen", "--count", "1").objects("message")
    assert shown["preview"] == preview | {"title": "An  [2Jexample"} and problems(shown) == []
    assert shown["text"] == "see https://a.example"
    lines = people("-p", "bob", "history", "alice").stdout.splitlines()
    assert lines[-2].endswith("alice: see https://a.example")
    assert lines[-1] == "           | [An  (2Jexample: of a preview]"


def test_what_a_business_passes_on_is_not_its_own(people: Terminal) -> None:
    inner = {"event": "x.msg.new", "msgId": TWO, "params": text("the answer is 42")}
    with people.service("bob") as bob:
        receive(bob, "alice", "x.grp.msg.forward", memberId="bWVt", memberName="ca\nrol", msg=inner)
    [shown] = people("--json", "-p", "bob", "listen", "--count", "1").objects("message")
    assert (shown["sender"], shown["text"], problems(shown)) == ("ca rol", "the answer is 42", [])
    assert "alice * [from ca rol]\n             the answer is 42\n" in people("-p", "bob", "history", "alice").stdout


def test_a_verified_contact_is_so_in_words_and_json(people: Terminal) -> None:
    code = people("--json", "-p", "bob", "verify", "alice").objects("verification")[0]["code"]
    people("-p", "bob", "verify", "alice", code)
    alice, carol = people("--json", "-p", "bob", "contacts").objects("contact")
    assert (alice["verified"], carol.get("verified")) == (True, None)
    assert problems(alice) == []


class TestLive:
    def test_only_its_end_is_listened_to(self, people: Terminal) -> None:
        with people.service("bob") as bob:
            receive(bob, "alice", "x.msg.new", ONE, **text("what is"), live=True)
            receive(bob, "carol", "x.msg.new", TWO, **text("hi"))
        first = people("--json", "-p", "bob", "listen", "--count", "1", "--timeout", "5").objects("message")
        assert [message["text"] for message in first] == ["hi"]
        with people.service("bob") as bob:
            receive(bob, "alice", "x.msg.update", "dXA=", msgId=ONE, **text("what is 2+2?"))
        [end] = people("--json", "-p", "bob", "listen", "--count", "1", "--timeout", "5").objects("message")
        assert (end["text"], "live" in end, "edited" in end) == ("what is 2+2?", False, False)
        assert people("-p", "bob", "listen", "--timeout", "1").stdout == ""

    def test_after_silence_it_is_listened_to_as_it_is(self, people: Terminal) -> None:
        with people.service("bob") as bob:
            receive(bob, "alice", "x.msg.new", ONE, **text("what is"), live=True)
        began = people.now()
        [shown] = people("--json", "-p", "bob", "listen", "--count", "1", "--timeout", "60").objects("message")
        assert (shown["text"], shown["live"], problems(shown)) == ("what is", True, [])
        assert 25 < people.now() - began < 35
        assert "alice: what is\n           | (still typing)\n" in people("-p", "bob", "history", "alice").stdout

    def test_in_chat_it_grows_above_the_prompt(self, people: Terminal, talk: Callable[..., Talk]) -> None:
        bob = talk("alice")
        bob.news()
        receive(bob.service, "alice", "x.msg.new", ONE, **text("I am typ"), live=True)
        assert (bob.news(), bob.tail()) == ([], ["alice is typing: I am typ"])
        receive(bob.service, "alice", "x.msg.update", "dXA=", msgId=ONE, **text("I am typing\nmore"), live=True)
        assert (bob.news(), bob.tail()) == ([], ["alice is typing: I am typing more"])
        receive(bob.service, "alice", "x.msg.update", "dXE=", msgId=ONE, **text("I am typing more. done"))
        assert (bob.news()[-1:], bob.tail()) == (["22:13  alice: I am typing more. done"], [])

    def test_of_a_long_one_the_end_is_seen(self, people: Terminal, talk: Callable[..., Talk]) -> None:
        bob = talk("alice")
        receive(bob.service, "alice", "x.msg.new", ONE, **text("word " * 2000 + "end"), live=True)
        bob.news()
        [written] = bob.conversation.transcript.tail()
        assert written.plain.startswith("alice is typing: …") and written.plain.endswith("end")
        assert len(written.plain.splitlines()) <= 3

    def test_one_begun_before_and_one_of_another_contact(self, people: Terminal, talk: Callable[..., Talk]) -> None:
        with people.service("bob") as service:
            receive(service, "alice", "x.msg.new", ONE, **text("I am typ"), live=True)
            receive(service, "carol", "x.msg.new", ONE, **text("so am I"), live=True)
        bob = talk("alice")
        assert not [line for line in bob.news() if "typ" in line]
        assert bob.tail() == ["alice is typing: I am typ"]
        assert "unread" not in bob.toolbar()
        bob.enter("/to carol")
        assert bob.tail() == ["carol is typing: so am I"]

    def test_in_chat_too_silence_ends_it(self, people: Terminal, talk: Callable[..., Talk]) -> None:
        bob = talk("alice")
        receive(bob.service, "alice", "x.msg.new", ONE, **text("I am typ"), live=True)
        bob.news()
        people.wait(31)
        assert bob.news()[-2:] == ["22:13  alice: I am typ", "           │ (still typing)"] and bob.tail() == []

    def test_where_nothing_is_redrawn_a_sentence_says_it_once(
        self, people: Terminal, talk: Callable[..., Talk]
    ) -> None:
        bob = talk("alice", plain=True)
        bob.news()
        receive(bob.service, "alice", "x.msg.new", ONE, **text("I am typ"), live=True)
        assert bob.news() == ["* alice is typing."]
        receive(bob.service, "alice", "x.msg.update", "dXA=", msgId=ONE, **text("I am typing"), live=True)
        assert (bob.news(), bob.tail()) == ([], [])
        receive(bob.service, "alice", "x.msg.update", "dXE=", msgId=ONE, **text("I am typing."))
        assert bob.news()[-1:] == ["22:13  alice: I am typing."]
