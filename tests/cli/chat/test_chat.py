"""`chat`: who is written to, what is shown when, slash commands; then keys and history through a pretended terminal."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.plain_text import PlainTextOutput
from rich.console import Console, RenderableType

from smpchat.chat.errors import InputError, UnknownContact
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.events import MessageAdded
from smpchat.chat.store.feed import publish
from smpchat.chat.store.records import Direction, insert_message, save_setting
from smpchat.chat.wire.message import REACTIONS
from smpchat.chat.wire.profile import Profile
from smpchat.cli.chat.arrivals import Arrivals
from smpchat.cli.chat.below import PromptBelow
from smpchat.cli.chat.completion import SlashCompleter
from smpchat.cli.chat.conversation import Conversation, choose
from smpchat.cli.chat.screen import Screen as ChatScreen
from smpchat.cli.chat.slash import COMMANDS, Edit, Leave, Lines
from smpchat.cli.environment import Environment
from tests.cli.terminal import FakeTerminal, Terminal, normal

Screen = Callable[[str, str], None]


def _unnumbered(line: str) -> str:
    """The line without a message's number in front."""
    return re.sub(r"^ *\d+  (?=\d\d:\d\d  )", "", line)


class Talk:
    """Bob's end of a conversation; what it printed is text."""

    def __init__(self, smpchat: Terminal, service: ChatService, who: str | None, *, plain: bool = False) -> None:
        self.environment = Environment(smpchat.home, "bob", plain=plain, color=False, now=smpchat.now)
        self.service = service
        self.numbers = False
        self.editors: list[object] = []
        self._shown: list[str] = []
        self.conversation = Conversation(self.environment, service, choose(service, who), self._show)
        self.lines, self.arrivals = Lines(self.conversation), Arrivals(self.conversation)
        self.conversation.begin()

    def _show(self, renderable: RenderableType) -> None:
        console = Console(width=80, no_color=True, highlight=False, markup=False, color_system=None)
        with console.capture() as capture:
            console.print(renderable, soft_wrap=True)
        self._shown.append(normal(capture.get()))

    def enter(self, line: str) -> list[str]:
        self.lines.enter(line)
        return self.news()

    def news(self) -> list[str]:
        """What was printed since the last call, after a look at the feed."""
        self.arrivals.follow()
        shown, self._shown = self._shown, []
        lines = [line for text in shown for line in text.splitlines()]
        return lines if self.numbers else [_unnumbered(line) for line in lines]

    @property
    def who(self) -> str | None:
        view = self.conversation.current
        return view.alias if view else None

    def tail(self) -> list[str]:
        return [_unnumbered(text.plain) for text in self.conversation.transcript.tail()]

    def toolbar(self) -> str:
        return self.conversation.toolbar(80)


@pytest.fixture
def people(smpchat: Terminal) -> Terminal:
    """Bob knows alice and carol."""
    smpchat.connected("alice", "bob")
    smpchat.connected("carol", "bob")
    return smpchat


@pytest.fixture
def talk(people: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Talk]]:
    """Begins a conversation of bob's, on a terminal."""
    with ExitStack() as stack:

        def begin(who: str | None = "alice", *, plain: bool = False) -> Talk:
            monkeypatch.setattr(sys, "stdout", FakeTerminal())  # here, or pytest's own comes back before the test
            return Talk(people, stack.enter_context(people.service("bob")), who, plain=plain)

        yield begin


def hear(smpchat: Terminal, sender: str, text: str) -> None:
    """A message for bob, at bob's: taken from the relay by a process of bob's that shows nothing."""
    assert smpchat("-p", sender, "send", "bob", text).code == 0
    assert (
        smpchat("-p", "bob", "send", sender, "(online for a moment)", "--wait", "delivered", "--timeout", "2").code == 6
    )


# -- who is written to ------------------------------------------------------------------------------------------------


def test_an_incoming_message_is_shown_and_marked(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "alice", "hello bob")
    assert [line for line in bob.news() if "alice:" in line] == ["22:13  alice: hello bob"]
    assert not bob.service.unshown_messages()


def test_a_message_of_another_contact_is_only_counted(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "carol", "psst")
    assert not [line for line in bob.news() if "psst" in line]
    assert bob.who == "alice"
    assert "unread: carol 1 (Alt-A)" in bob.toolbar()
    assert [message.text for message in bob.service.unshown_messages()] == ["psst"]


def test_an_incoming_message_never_changes_who_is_written_to(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "carol", "write to me")
    bob.news()
    bob.enter("for alice only")
    assert [m.text for m in bob.service.history("alice", 1)] == ["for alice only"]


def test_next_goes_to_whoever_wrote(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "carol", "psst")
    bob.news()
    shown = bob.enter("/next")
    assert bob.who == "carol"
    assert shown[0] == "You write to carol now."
    assert any("carol: psst" in line for line in shown)
    assert not bob.service.unshown_messages()
    assert bob.enter("/next") == ["Nothing unread."]


def test_to_changes_who_is_written_to(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("/to carol")
    assert bob.who == "carol"
    assert bob.conversation.prompt() == "carol> "
    assert bob.enter("/to nobody")[0].startswith("! There is no contact 'nobody'. /contacts")
    assert bob.who == "carol"


def test_one_message_to_another_contact(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    assert bob.enter("@carol only for you") == ["to carol: sent separately"]
    assert bob.who == "alice"
    assert [m.text for m in bob.service.history("carol")] == ["only for you"]
    assert not bob.tail()
    assert bob.enter("@carol")[0].startswith("! A text is missing.")


def test_a_rename_elsewhere_keeps_the_conversation(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    people("-p", "bob", "rename", "alice", "ally")
    bob.news()
    assert bob.who == "ally"
    bob.enter("still you")
    assert [m.text for m in bob.service.history("ally", 1)] == ["still you"]


def test_a_contact_deleted_elsewhere_ends_the_writing(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    people("-p", "bob", "delete", "alice")
    assert bob.enter("anybody?")[0].startswith("! There is nobody to write to.")
    assert bob.toolbar().startswith("nobody to write to")


def test_the_first_contact_is_whoever_is_unread_else_who_spoke_last(
    people: Terminal, talk: Callable[..., Talk]
) -> None:
    with people.service("bob") as service:
        service.send("carol", "hi")
        assert choose(service, None) == service.contact("carol").contact.id
    hear(people, "alice", "hello")
    with people.service("bob") as service:
        assert choose(service, None) == service.contact("alice").contact.id


def test_nobody_to_write_to(smpchat: Terminal) -> None:
    with smpchat.service("bob") as service:
        with pytest.raises(InputError, match="nobody to write to"):
            choose(service, None)
        with pytest.raises(UnknownContact):
            choose(service, "alice")
    smpchat.invite("bob", "--note", "alice")
    with smpchat.service("bob") as service:
        assert choose(service, None) is None
        with pytest.raises(InputError, match="Nobody has used your invitation for 'alice' yet"):
            choose(service, "alice")


def test_who_answers_an_invitation_is_not_written_to_by_itself(
    smpchat: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", FakeTerminal())
    link = smpchat.invite("bob")
    with smpchat.service("bob") as service:
        bob = Talk(smpchat, service, None)
        assert bob.news()[0].startswith("Nobody to write to yet")
        smpchat("-p", "alice", "connect", link, "--alias", "bob", "-m", "hi")
        smpchat("-p", "bob", "invite", "--no-wait")  # online for a moment
        shown = bob.news()
        assert "* alice is connected. Write to them with /to alice." in shown
        assert bob.enter("hello?") == ["! There is nobody to write to. Choose somebody with /to WHO."]
        bob.enter("/to alice")
        bob.enter("hello!")
        assert [m.text for m in service.history("alice")] == ["hi", "hello!"]


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_ticks_change_beside_the_prompt(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    assert bob.enter("hello") == []
    assert bob.tail()[-1] == "22:13  you: hello  ·"
    assert "last message pending ·" in bob.toolbar()
    people("-p", "bob", "send", "carol", "(online)")
    assert bob.news() == []
    assert bob.tail()[-1] == "22:13  you: hello  ✓"
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    assert bob.news()[-1] == "22:13  you: hello  ✓✓"
    assert bob.tail() == []
    assert "last message delivered ✓✓" in bob.toolbar()


def test_ticks_of_what_was_written_before_change_too(people: Terminal, talk: Callable[..., Talk]) -> None:
    people("-p", "bob", "send", "alice", "earlier")
    bob = talk("alice")
    assert bob.tail()[-1] == "22:13  you: earlier  ✓"
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    assert bob.news()[-1] == "22:13  you: earlier  ✓✓"
    assert bob.tail() == []


def test_what_was_printed_with_one_tick_is_said_to_be_delivered_later(
    people: Terminal, talk: Callable[..., Talk]
) -> None:
    bob = talk("alice")
    for number in range(5):
        bob.enter(f"message {number}")
    people("-p", "bob", "send", "carol", "(online)")
    assert not [line for line in bob.news() if "delivered" in line]
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    first, second = [message.id for message in bob.service.history("alice") if "message" in message.text][:2]
    assert f"* delivered: {first}, {second}" in bob.news()
    assert not [line for line in bob.news() if "delivered" in line]


def test_what_is_delivered_in_another_conversation_is_not_said(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    for number in range(5):
        bob.enter(f"message {number}")
    bob.enter("/to carol")
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    assert not [line for line in bob.news() if "delivered" in line]


def test_own_messages_leave_the_prompt_before_an_incoming_one(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("mine")
    hear(people, "alice", "yours")
    shown = [line[7:] for line in bob.news() if "mine" in line or "yours" in line]
    assert shown[0].startswith("you: mine")
    assert shown[1] == "alice: yours"


def test_few_messages_stay_beside_the_prompt(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    shown = [line for number in range(6) for line in bob.enter(f"message {number}")]
    assert [line.split()[3] for line in shown if "you:" in line] == ["0", "1", "2"]
    assert [line.split()[3] for line in bob.tail() if "you:" in line] == ["3", "4", "5"]
    bob.conversation.transcript.finish()
    assert bob.tail() == []


def test_plain_says_it_in_words(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice", plain=True)
    assert bob.enter("hello")[-1] == "22:13  you: hello  (pending)"
    assert bob.tail() == []
    people("-p", "bob", "send", "carol", "(online)")
    assert bob.news() == []
    people("-p", "alice", "listen", "--timeout", "3")
    people("-p", "bob", "listen", "--timeout", "3")
    assert bob.news() == ["* delivered: 1"]
    assert "✓" not in bob.toolbar()


def test_plain_says_who_wrote_meanwhile(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice", plain=True)
    hear(people, "carol", "psst")
    assert bob.news() == ["* unread: carol 1 (/next goes there)"]
    people("-p", "alice", "send", "bob", "hello")
    hear(people, "alice", "hello again")
    assert not [line for line in bob.news() if "unread" in line]
    assert "* unread: carol 1 (/next goes there)" in talk("alice", plain=True).news()


def test_a_message_that_was_delivered_before_we_looked_is_confirmed_once(
    people: Terminal, talk: Callable[..., Talk]
) -> None:
    bob = talk("alice", plain=True)
    bob.enter("hello")
    for profile in ("bob", "alice", "bob"):  # sent and delivered are both in the feed
        people("-p", profile, "listen", "--timeout", "3")
    assert bob.news() == ["* delivered: 1"]


def test_a_new_day_gets_a_separator(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    people.wait(-3600)
    hear(people, "alice", "late")
    assert "─── Tuesday 14 November 2023 ───" in bob.news()
    people.wait(86_400)
    hear(people, "alice", "next day")
    shown = bob.news()
    assert shown.index("─── Wednesday 15 November 2023 ───") < len(shown) - 1
    assert "alice: next day" in shown[-1]


def test_a_contact_that_is_only_ready_can_be_written_to(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", FakeTerminal())
    smpchat("-p", "bob", "connect", smpchat.invite("alice"), "--alias", "ally")
    with smpchat.service("bob") as service:
        bob = Talk(smpchat, service, "ally")
        assert bob.news() == ["* You can write to ally already; waiting for their first message since 22:13."]
        assert bob.toolbar().startswith("ready: waiting for their first message")
        bob.enter("hello")
        assert len(bob.tail()) == 2  # the day, the message
        smpchat("-p", "bob", "send", "ally", "(online)")
        smpchat("-p", "alice", "listen", "--timeout", "3")
        smpchat("-p", "bob", "send", "ally", "(online again)", "--wait", "delivered", "--timeout", "2")
        shown = bob.news()
        assert "* ally is connected." in shown
        assert "* ally calls themselves alice." in shown
        assert bob.who == "ally"


def test_a_failed_connection_is_announced(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", FakeTerminal())
    link = smpchat.invite("alice")
    smpchat("-p", "carol", "connect", link, "--alias", "alice")
    with smpchat.service("bob") as service:
        service.connect(link, "alice", ["hello"])
        bob = Talk(smpchat, service, "alice")
        bob.news()
        smpchat("-p", "bob", "listen", "--timeout", "3")
        shown = bob.news()
        assert any(line.startswith("* This invitation was already used") for line in shown)
        assert any("you: hello  ✗ This invitation was already used" in line for line in shown)
        assert bob.enter("more")[0].startswith("! This invitation was already used")


# -- contact requests -------------------------------------------------------------------------------------------------


def ask(smpchat: Terminal, *names: str) -> None:
    """Requests to bob's address, at bob's: the first asks with a text."""
    if not smpchat("--json", "-p", "bob", "status").objects("address"):
        assert smpchat("-p", "bob", "address", "create").code == 0
    [address] = smpchat("--json", "-p", "bob", "address", "show").objects()
    for number, name in enumerate(names):
        profile = f"asking{number}"
        with smpchat.service(profile) as service, service.database.transaction() as tx:
            save_setting(tx, "profile", Profile(name).to_json())
        text = ["-m", "hello bob"] if number == 0 else []
        assert smpchat("-p", profile, "connect", address["short_link"], "--alias", "bob", *text).code == 0
    smpchat("-p", "bob", "send", "carol", "(online for a moment)", "--wait", "delivered", "--timeout", "2")


def test_a_request_is_shown_and_accepted_while_one_writes_to_somebody_else(
    people: Terminal, talk: Callable[..., Talk]
) -> None:
    bob = talk("alice")
    assert bob.enter("/accept") == ["! Nobody asks to be a contact. Requests come through your address."]
    assert bob.enter("/requests") == ["Nobody asks to be a contact."]
    ask(people, "Dave")
    line = "request 1: Dave asks to be a contact: hello bob  (/accept 1 or /reject 1)"
    assert bob.news().count(line) == 1
    assert not bob.service.unshown_requests()
    assert bob.enter("/requests") == [line]
    assert "* Dave is a contact now. Write to them with /to Dave." in bob.enter("/accept")
    assert bob.who == "alice" and bob.conversation.prompt() == "alice> "
    assert "unread: Dave 1" in bob.toolbar()
    assert bob.service.requests() == []
    bob.enter("still for alice")
    assert [m.text for m in bob.service.history("alice", 1)] == ["still for alice"]
    bob.enter("/to Dave")
    assert [m.text for m in bob.service.history("Dave")] == ["hello bob"]


def test_a_request_that_came_before_is_shown_at_the_beginning(people: Terminal, talk: Callable[..., Talk]) -> None:
    ask(people, "Dave")
    assert "request 1: Dave asks to be a contact: hello bob  (/accept 1 or /reject 1)" in talk("alice").news()
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
    assert bob.enter("/accept") == ["! 2 requests wait. Write /accept N; /requests shows their numbers."]
    assert f"* {alias} is a contact now. Write to them with /to {alias}." in bob.enter(line)
    assert bob.service.contact(alias).contact.profile is not None
    [left] = bob.service.requests()
    assert left.name == ("Dave" if "Miller" in line or "2" in line else "Dave Miller")


def test_a_request_is_rejected_or_the_reason_why_not_shown(people: Terminal, talk: Callable[..., Talk]) -> None:
    ask(people, "Dave", "Eve")
    bob = talk("alice")
    bob.news()
    assert bob.enter("/reject Dave") == ["* The request of Dave is rejected; they are told nothing."]
    assert [request.name for request in bob.service.requests()] == ["Eve"]
    assert bob.enter("/reject")[0].startswith("! Whose request to reject is missing.")
    for line in ("/reject Dave", "/accept Dave", "/accept 1"):
        [shown] = bob.enter(line)
        assert shown.startswith("! There is no contact request") and shown.endswith("/requests shows their numbers.")
    assert bob.enter("/accept Eve alice")[0].startswith("! You already have a contact 'alice'.")
    assert [request.name for request in bob.service.requests()] == ["Eve"]
    assert bob.enter("/reject 2") == ["* The request of Eve is rejected; they are told nothing."]


def test_one_can_wait_for_the_first_request(smpchat: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", FakeTerminal())
    assert smpchat("-p", "bob", "address", "create").code == 0
    with smpchat.service("bob") as service:
        bob = Talk(smpchat, service, None)
        assert " ".join(bob.news()).startswith("Nobody to write to yet: your address waits for requests. /help lists")
        [address] = smpchat("--json", "-p", "bob", "address", "show").objects()
        smpchat("-p", "alice", "connect", address["short_link"], "--alias", "bob")
        smpchat("-p", "bob", "listen", "--timeout", "1")
        bob.news()
        bob.enter("/accept alice")
        assert bob.who is None


# -- changes of messages ----------------------------------------------------------------------------------------------


def test_replies_edits_deletions_and_reactions(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "alice", "question")
    bob.news()
    question = bob.service.history("alice")[-1].id
    bob.enter(f"/reply {question} an answer")
    answer = bob.service.history("alice", 1)[0]
    assert (answer.text, answer.reply_to and answer.reply_to.id) == ("an answer", question)
    assert bob.tail()[-1] == "22:13  you: > they: question\n             an answer  ·"
    bob.enter(f"/edit {answer.id} a better answer")
    assert "a better answer  (edited)  ·" in bob.tail()[-1]
    assert bob.enter(f"/react {question} 👍")[-1] == "22:13  alice: question  (👍 from you)"
    assert bob.enter(f"/react #{question} -👍")[-1] == "22:13  alice: question"
    bob.enter(f"/delete {answer.id}")
    assert bob.service.history("alice", 1)[0].deleted


def test_what_a_contact_changes_is_shown_again(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "alice", "first")
    bob.news()
    with people.service("alice") as alice:
        number = next(m.id for m in alice.history("bob") if m.text == "first")
    assert people("-p", "alice", "edit", str(number), "second").code == 0
    people("-p", "bob", "send", "carol", "(online)", "--wait", "delivered", "--timeout", "2")
    shown = bob.news()
    at = next(n for n, line in enumerate(shown) if "changed or reacted to message" in line)
    assert shown[at + 1].endswith("alice: second  (edited)")
    assert not bob.service.unshown_changes()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/reply", "Write /reply N TEXT."),
        ("/reply x hello", "Write /reply N TEXT."),
        ("/reply 1", "Write /reply N TEXT."),
        ("/edit first text", "Write /edit N TEXT."),
        ("/delete", "Write /delete N."),
        ("/delete 1 2", "Write /delete N."),
        ("/react 1", "Write /react N EMOJI."),
        ("/react 99 👍", "There is no message 99."),
        ("/react 1 👍", "Message 1 is of your conversation with 'carol'."),
    ],
)
def test_a_change_that_cannot_be_made_says_why(talk: Callable[..., Talk], line: str, sentence: str) -> None:
    bob = talk("alice")
    bob.service.send("carol", "hello")
    assert bob.enter(line)[0].startswith(f"! {sentence}")


# -- slash commands ---------------------------------------------------------------------------------------------------


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
        bob.lines.enter("/edit")


def test_a_line_that_cannot_be_used_is_given_back(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    assert not bob.lines.enter("x" * 16_000)
    assert bob.news()[0].startswith("! The text is ")
    assert bob.lines.enter("short enough")
    assert bob.lines.enter("   ")


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


# -- the terminal around it -------------------------------------------------------------------------------------------


def type_into(bob: Talk, keys: str) -> None:
    """Run the screen on keys; they end it, or the end of the input does."""

    async def run() -> None:
        with create_pipe_input() as source:
            source.send_text(keys)
            await ChatScreen(bob.environment, bob.conversation, source=source, sink=DummyOutput()).run()

    asyncio.run(run())


def test_typed_lines_are_sent(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    type_into(bob, "hello\rsecond\r/quit\r")
    assert [m.text for m in bob.service.history("alice", 2)] == ["hello", "second"]


def test_alt_enter_begins_a_new_line(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    type_into(bob, "one\x1b\rtwo\r\x04")
    assert [m.text for m in bob.service.history("alice", 1)] == ["one\ntwo"]


def test_alt_a_goes_to_the_next_unread(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "carol", "psst")
    bob.news()
    type_into(bob, "\x1bafor carol\r/quit\r")
    assert [m.text for m in bob.service.history("carol", 1)] == ["for carol"]


def test_ctrl_c_discards_the_line_and_then_leaves(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    before = bob.service.history("alice")
    type_into(bob, "not this\x03\x03never read")
    assert bob.service.history("alice") == before


def test_the_input_history_survives_and_is_private(talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    type_into(bob, "remember me\r\x04")
    path = bob.environment.profile_folder() / "input-history"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    type_into(bob, "\x1b[A\r\x04")
    assert [m.text for m in bob.service.history("alice", 2)] == ["remember me", "remember me"]


def test_the_editor_fills_the_line(talk: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch) -> None:
    bob = talk("alice")
    script = bob.environment.home / "editor"
    script.write_text("#!/bin/sh\nprintf 'from the\\neditor' > \"$1\"\n")
    script.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)

    async def run() -> None:
        with create_pipe_input() as source:
            screen = ChatScreen(bob.environment, bob.conversation, source=source, sink=DummyOutput())
            running = asyncio.create_task(screen.run())
            source.send_text("/edit\r")
            async with asyncio.timeout(30):
                while not screen.text.startswith("from the"):  # noqa: ASYNC110 - the editor is another process
                    await asyncio.sleep(0.01)
            source.send_text("\r/quit\r")
            await running

    asyncio.run(run())
    assert [m.text for m in bob.service.history("alice", 1)] == ["from the\neditor"]


def test_leaving_the_editor_by_its_key_sends_nothing(
    talk: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = talk("alice")
    before = bob.service.history("alice")
    monkeypatch.setenv("EDITOR", "true")  # left without a change
    monkeypatch.delenv("VISUAL", raising=False)

    async def run() -> None:
        with create_pipe_input() as source:
            screen = ChatScreen(bob.environment, bob.conversation, source=source, sink=DummyOutput())
            running = asyncio.create_task(screen.run())
            source.send_text("a draft\x18\x05")
            async with asyncio.timeout(30):
                while not bob.editors:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            source.send_text("\x03\x03")
            await running

    opened = Buffer.open_in_editor

    def open_in_editor(buffer: Buffer, validate_and_handle: bool = False) -> asyncio.Task[None]:
        editing = opened(buffer, validate_and_handle)
        editing.add_done_callback(bob.editors.append)
        return editing

    monkeypatch.setattr(Buffer, "open_in_editor", open_in_editor)
    asyncio.run(run())
    assert bob.service.history("alice") == before


def test_a_terminal_that_moves_no_cursor_gets_the_prompt_again_below_what_came(
    people: Terminal, talk: Callable[..., Talk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    bob = talk("alice")
    hear(people, "alice", "before")
    written = FakeTerminal()
    monkeypatch.setattr(sys, "stdout", written)
    lines = PromptBelow(bob.environment)
    conversation = Conversation(bob.environment, bob.service, choose(bob.service, "alice"), lines.show)

    async def run() -> None:
        with create_pipe_input() as source, create_app_session(input=source, output=PlainTextOutput(written)):
            running = asyncio.create_task(ChatScreen(bob.environment, conversation, below=lines).run())
            source.send_text("half")
            async with asyncio.timeout(30):
                while "half" not in written.getvalue():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                with bob.service.database.transaction() as tx:
                    alice = bob.service.contact("alice").contact
                    number = insert_message(tx, alice.id, Direction.RECEIVED, "meanwhile", people.now(), None)
                    publish(tx, MessageAdded(number))
                while not written.getvalue().endswith("meanwhile\nalice> half"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            source.send_text(" a line\r\x04")
            await running

    asyncio.run(run())
    shown = written.getvalue().replace("\r", "").splitlines()
    at = shown.index("alice> half")
    assert shown[at - 1].endswith("alice: before")
    assert shown[at + 1].endswith("alice: meanwhile") and shown[at + 2] == "alice> half a line"


# -- the bell ---------------------------------------------------------------------------------------------------------


def test_the_bell_is_off_at_first_and_remembered(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    hear(people, "alice", "hello")
    bob.news()
    assert not bob.conversation.bell.take()
    assert bob.enter("/bell") == ["The bell is off."]
    assert bob.enter("/bell on") == ["The bell is on: it rings when somebody writes."]
    assert talk("carol").enter("/bell") == ["The bell is on: it rings when somebody writes."]
    assert bob.enter("/bell loud") == ["! The bell cannot be 'loud'. Write /bell on or /bell off."]
    bob.enter("/bell off")
    assert not bob.service.rings()


@pytest.mark.parametrize("sender", ["alice", "carol"])
def test_the_bell_rings_once_for_a_burst_of_whoever_writes(
    people: Terminal, talk: Callable[..., Talk], sender: str
) -> None:
    bob = talk("alice")
    bob.enter("/bell on")
    for number in range(3):
        people("-p", sender, "send", "bob", f"message {number}")
    hear(people, sender, "one more")
    bob.news()
    assert [bob.conversation.bell.take() for _ in range(3)] == [True, False, False]
    publish_message(bob, sender)
    bob.news()
    assert not bob.conversation.bell.take()  # too soon
    people.wait(5)
    publish_message(bob, sender)
    bob.news()
    assert bob.conversation.bell.take()


def publish_message(bob: Talk, sender: str) -> None:
    with bob.service.database.transaction() as tx:
        contact = bob.service.contact(sender).contact
        text = insert_message(tx, contact.id, Direction.RECEIVED, "text", bob.environment.now(), None)
        publish(tx, MessageAdded(text))


def test_what_we_write_ourselves_does_not_ring(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("/bell on")
    bob.enter("hello")
    people("-p", "bob", "send", "carol", "from another terminal")
    bob.news()
    assert not bob.conversation.bell.take()


def test_a_request_rings(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("/bell on")
    ask(people, "Dave")
    bob.news()
    assert bob.conversation.bell.take()


def test_the_terminal_gets_the_bell(people: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("/bell on")

    async def run() -> None:
        rang = asyncio.Event()

        class Bell(DummyOutput):
            def bell(self) -> None:
                rang.set()

        with create_pipe_input() as source:
            running = asyncio.create_task(
                ChatScreen(bob.environment, bob.conversation, source=source, sink=Bell()).run()
            )
            publish_message(bob, "alice")
            await asyncio.wait_for(rang.wait(), 30)
            source.send_text("/quit\r")
            await running

    asyncio.run(run())
