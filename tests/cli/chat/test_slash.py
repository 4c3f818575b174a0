"""Slash commands of `chat`: requests, changes of messages, all the others."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from smpchat.chat.wire.message import REACTIONS
from smpchat.cli.chat.completion import SlashCompleter
from smpchat.cli.chat.slash import Edit, Leave
from smpchat.cli.chat.slash_table import COMMANDS, COMMANDS_OF_SHELL
from tests.cli.chat.talk import Talk, ask, hear
from tests.cli.terminal import FakeTerminal, Terminal, normal

Screen = Callable[[str, str], None]


def test_a_request_is_shown_and_accepted_while_one_writes_to_somebody_else(
    people: Terminal, talk: Callable[..., Talk]
) -> None:
    bob = talk("alice")
    assert bob.enter("/accept") == ["! No requests waiting. People send requests through your address."]
    assert bob.enter("/requests") == ["No requests waiting."]
    ask(people, "Dave")
    line = 'request 1: "Dave" wants to connect: hello bob  (/accept 1 or /reject 1)'
    assert bob.news().count(line) == 1
    assert not bob.service.unshown_requests()
    assert bob.enter("/requests") == [line]
    assert "* Dave is now a contact. Type /to Dave to write to them." in bob.enter("/accept")
    assert bob.who == "alice" and bob.conversation.prompt() == "alice> "
    assert "unread: Dave 1" in bob.toolbar()
    assert bob.service.requests() == []
    bob.enter("still for alice")
    assert [m.text for m in bob.service.history("alice", 1)] == ["still for alice"]
    bob.enter("/to Dave")
    assert [m.text for m in bob.service.history("Dave")] == ["hello bob"]


def test_a_request_that_came_before_is_shown_at_the_beginning(people: Terminal, talk: Callable[..., Talk]) -> None:
    ask(people, "Dave")
    assert 'request 1: "Dave" wants to connect: hello bob  (/accept 1 or /reject 1)' in talk("alice").news()
    assert not [line for line in talk("alice").news() if "request" in line]


@pytest.mark.parametrize(
    ("line", "alias"),
    [
        ("/accept Dave Miller", "Dave_Miller"),
        ("/accept Dave Miller dave", "dave"),
        ("/accept Dave dave", "dave"),
        ("/accept 1", "Dave"),
        ("/accept #2 my friend", "my_friend"),
    ],
)
def test_whose_request_is_accepted_under_which_alias(
    people: Terminal, talk: Callable[..., Talk], line: str, alias: str
) -> None:
    ask(people, "Dave", "Dave Miller")
    bob = talk("alice")
    bob.news()
    assert bob.enter("/accept") == ["! 2 requests are waiting. Type /accept N; /requests shows the numbers."]
    assert f"* {alias} is now a contact. Type /to {alias} to write to them." in bob.enter(line)
    assert bob.service.contact(alias).contact.profile is not None
    [left] = bob.service.requests()
    assert left.name == ("Dave" if "Miller" in line or "2" in line else "Dave Miller")


def test_a_request_is_rejected_or_the_reason_why_not_shown(people: Terminal, talk: Callable[..., Talk]) -> None:
    ask(people, "Dave", "Eve")
    bob = talk("alice")
    bob.news()
    assert bob.enter("/reject Dave") == ["* The request from Dave is rejected. They are not told."]
    assert [request.name for request in bob.service.requests()] == ["Eve"]
    assert bob.enter("/reject")[0].startswith("! The request is missing.")
    for line in ("/reject Dave", "/accept Dave", "/accept 1"):
        [shown] = bob.enter(line)
        assert shown.startswith("! There is no request") and shown.endswith(
            "/requests lists requests with their numbers."
        )
    assert bob.enter("/accept Eve alice")[0].startswith("! You already have a contact 'alice'.")
    assert [request.name for request in bob.service.requests()] == ["Eve"]
    assert bob.enter("/reject 2") == ["* The request from Eve is rejected. They are not told."]


def test_one_can_wait_for_the_first_request(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", FakeTerminal())
    assert smpchat("-p", "bob", "address", "create").code == 0
    with smpchat.service("bob") as service:
        bob = Talk(smpchat, service, None)
        assert " ".join(bob.news()).startswith("No contacts yet: nobody has used your address. /help lists")
        [address] = smpchat("--json", "-p", "bob", "address", "show").objects()
        smpchat("-p", "alice", "connect", address["short_link"], "--alias", "bob")
        smpchat("-p", "bob", "listen", "--timeout", "1")
        bob.news()
        bob.enter("/accept alice")
        assert bob.who is None


def test_replies_edits_deletions_and_reactions(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "alice", "question")
    bob.news()
    question = bob.service.history("alice")[-1].id
    bob.enter(f"/reply {question} an answer")
    answer = bob.service.history("alice", 1)[0]
    assert (answer.text, answer.reply_to and answer.reply_to.id) == ("an answer", question)
    assert bob.tail()[-1] == "22:13  you * > alice: question\n             an answer  ·"
    bob.enter(f"/edit {answer.id} a better answer")
    assert "a better answer\n           │ (edited)  ·" in bob.tail()[-1]
    assert bob.enter(f"/react {question} 👍")[-2:] == ["22:13  alice: question", "           │ (👍 you)"]
    assert bob.enter(f"/react #{question} -👍")[-1] == "22:13  alice: question"
    bob.enter(f"/delete {answer.id}")
    assert bob.service.history("alice", 1)[0].deleted


def test_several_are_deleted_at_once_and_one_is_passed_on(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    numbers = [bob.service.send("alice", text).id for text in ("one", "two", "three", "four")]
    bob.news()
    shown = bob.enter(f"/delete {numbers[0]}-{numbers[1]}, #{numbers[3]}")
    assert [m.deleted for m in bob.service.history("alice")] == [True, True, False, True]
    assert sum("[deleted]" in line for line in shown + bob.tail()) == 3
    assert bob.enter(f"/forward {numbers[2]} carol") == ["to carol: forwarded, pending"]
    [passed_on] = bob.service.history("carol")
    assert (passed_on.text, passed_on.forwarded) == ("three", True)
    assert bob.enter(f"/delete {numbers[2]} {numbers[0]}")[0].startswith("! Message")
    assert not bob.service.history("alice")[2].deleted  # all or none


def test_what_a_contact_changes_is_shown_again(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "alice", "first")
    bob.news()
    with people.service("alice") as alice:
        number = next(m.id for m in alice.history("bob") if m.text == "first")
    assert people("-p", "alice", "edit", str(number), "second").code == 0
    people("-p", "bob", "send", "carol", "(online)", "--wait", "delivered", "--timeout", "2")
    shown = bob.news()
    at = next(n for n, line in enumerate(shown) if "* alice edited message" in line)
    assert shown[at + 1].endswith("alice: second") and shown[at + 2].endswith("│ (edited)")
    assert not bob.service.unshown_changes()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/reply", "Type /reply TEXT, or /reply N TEXT."),
        ("/reply x hello", "There is no message from alice yet."),
        ("/reply 1", "Type /reply TEXT, or /reply N TEXT."),
        ("/edit first text", "Type /edit, /edit N, or /edit N TEXT."),
        ("/delete", "There is no message of yours yet."),
        ("/delete x", "'x' is not a message number."),
        ("/delete 3-", "'3-' is not a message number."),
        ("/delete 5-3", "'5-3' is backwards. Write the smaller number first: 3-5."),
        ("/delete 1-999999999", "/delete takes at most 100 messages at once."),
        ("/delete 1 2", "Message 1 is in your conversation with 'carol'."),
        ("/forward", "Type /forward WHO, or /forward N WHO."),
        ("/forward 1 nobody", "Message 1 is in your conversation with 'carol'."),
        ("/react 1", "Type /react EMOJI, or /react N EMOJI."),
        ("/react 99 👍", "There is no message 99."),
        ("/react 1 👍", "Message 1 is in your conversation with 'carol'."),
    ],
)
def test_a_change_that_cannot_be_made_says_why(talk: Callable[..., Talk], line: str, sentence: str) -> None:
    bob = talk("alice")
    bob.service.send("carol", "hello")
    assert bob.enter(line)[0].startswith(f"! {sentence}")


def test_every_command_answers(people: Terminal, talk: Callable[..., Talk], screen: Screen) -> None:
    bob = talk("alice")
    bob.numbers = True
    hear(people, "carol", "psst")
    bob.news()
    lines = [
        "/help", "/contacts", "/status", "/verify", "/verify 12345", "/history", "/history 1", "/history x",
        "/search online", "/search nothing", "/search", "/requests", "/accept", "/reject x",
        "/next", "/to", "/nonsense", "//nonsense", "/to alice",
    ]  # fmt: skip
    said = [text for line in lines for text in (f"{bob.conversation.prompt()}{line}", *bob.enter(line), "")]
    screen("chat", normal("\n".join([*said, *bob.tail(), bob.toolbar()])) + "\n")


def test_leaving_and_editing(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    for line in ("/quit", "/q", " /quit".strip()):
        with pytest.raises(Leave):
            bob.lines.enter(line)
    with pytest.raises(Edit):
        bob.lines.enter("/editor")


def test_a_line_that_cannot_be_used_is_given_back(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    assert not bob.lines.enter("x" * 16_000)
    assert bob.news()[0].startswith("! The text is ")
    assert bob.lines.enter("short enough")
    assert bob.lines.enter("   ")


@pytest.mark.parametrize(("known", "here"), COMMANDS_OF_SHELL.items())
def test_names_of_the_shell_work_too(talk: Callable[..., Talk], known: str, here: str) -> None:
    bob = talk("alice")
    assert here in COMMANDS and known not in COMMANDS
    assert bob.enter(f"{known} 99") == bob.enter(f"{here} 99") != [f"! '{known}' is not a command."]


def test_completion(talk: Callable[..., Talk]) -> None:
    completer = SlashCompleter(talk("alice").conversation)

    def complete(text: str) -> list[str]:
        return [c.text for c in completer.get_completions(Document(text), CompleteEvent(completion_requested=True))]

    assert complete("/") == list(COMMANDS)
    assert complete("/h") == ["/history", "/help"]
    assert complete("/to C") == ["carol"]
    assert complete("@") == ["alice ", "carol "]
    assert complete("@al") == ["alice "]
    assert complete("hello @al") == []
    assert complete("hello") == []
    assert complete("/react 12 ") == list(REACTIONS)
    assert complete("/react 12 -👍") == ["👍"]
    assert complete("/accept ") == []
    assert complete("/bell o") == ["on", "off"]


def test_requests_are_completed_by_their_numbers(people: Terminal, talk: Callable[..., Talk]) -> None:
    ask(people, "Dave", "/to\u202e")
    completer = SlashCompleter(talk("alice").conversation)

    def complete(text: str) -> list[tuple[str, str]]:
        found = completer.get_completions(Document(text), CompleteEvent(completion_requested=True))
        return [(completion.text, completion.display_meta_text) for completion in found]

    assert complete("/accept ") == [("1", "Dave"), ("2", "/to\\u{202e}")]
    assert complete("/reject 2") == complete("/reject /t") == [("2", "/to\\u{202e}")]
    assert complete("/accept da") == [("1", "Dave")]
    assert complete("/accept 1 da") == []
