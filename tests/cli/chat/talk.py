"""Bob's end of a conversation in `chat`, and what others do to him."""

from __future__ import annotations

import asyncio
import re

from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console, RenderableType

from smpchat.chat.service.connecting import ChatService
from smpchat.chat.store.settings import save_setting
from smpchat.chat.wire.profile import Profile
from smpchat.cli.chat.arrivals import Arrivals
from smpchat.cli.chat.conversation import Conversation, choose
from smpchat.cli.chat.screen import Screen as ChatScreen
from smpchat.cli.chat.slash import Lines
from smpchat.cli.environment import Environment
from tests.cli.terminal import Terminal, normal


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
        self.greeting = [text for text in self._shown if text.startswith("No messages with ")]
        self._shown = [text for text in self._shown if text not in self.greeting]

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


def hear(smpchat: Terminal, sender: str, text: str) -> None:
    """A message for bob, at bob's: taken from the relay by a process of bob's that shows nothing."""
    assert smpchat("-p", sender, "send", "bob", text).code == 0
    assert (
        smpchat("-p", "bob", "send", sender, "(online for a moment)", "--wait", "delivered", "--timeout", "2").code == 6
    )


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


def type_into(bob: Talk, keys: str) -> None:
    """Run the screen on keys; they end it, or the end of the input does."""

    async def run() -> None:
        with create_pipe_input() as source:
            source.send_text(keys)
            await ChatScreen(bob.environment, bob.conversation, source=source, sink=DummyOutput()).run()

    asyncio.run(run())
