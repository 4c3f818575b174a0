"""``chat``: the terminal around a `Conversation`: a line to write on, and what happens above it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app_or_none
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import ANSI, AnyFormattedText
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.utils import is_dumb_terminal
from rich.console import RenderableType

from smpchat.chat.errors import InputError, UnknownContact
from smpchat.chat.online.presence import FOLLOW_INTERVAL, online
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.wire.message import REACTIONS
from smpchat.cli.conversation import COMMANDS, Conversation, Edit, Leave
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.text import shortened
from smpchat.cli.waiting import flush


async def chat(environment: Environment, who: str | None) -> int:
    """Talk until ``/quit`` or the end of input."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or environment.json:
        raise InputError("`chat` needs a terminal.", "In scripts use `smpchat send` and `smpchat listen`.")
    with closing(environment.open()) as service:
        lines = Lines(environment) if is_dumb_terminal() else None
        show = lines.show if lines else environment.show
        conversation = Conversation(environment, service, choose(service, who), show)
        async with online(service, environment.relay()):
            await Screen(environment, conversation, lines=lines).run()
            await flush(service)
        return ExitStatus.OK


def choose(service: ChatService, who: str | None) -> int | None:
    """The contact to begin with: the one named, else whoever wrote something unread, else whoever spoke last.

    Returns:
        None while only unanswered invitations or a contact address exist.
    Raises:
        InputError: There is nobody, or not yet under that name.
    """
    if who is not None:
        try:
            return service.contact(who).contact.id
        except UnknownContact:
            if any(who == invitation.note for invitation in service.invitations()):
                raise InputError(
                    f"Nobody has used your invitation for {who!r} yet.", "`smpchat status` shows its link again."
                ) from None
            raise
    found = service.contacts()
    if found:
        return max(found, key=lambda view: (view.contact.unread > 0, _last_spoken(service, view.alias))).contact.id
    if service.invitations() or service.address() is not None:
        return None
    raise InputError("There is nobody to write to yet.", "Make a link with `smpchat invite`.")


def _last_spoken(service: ChatService, alias: str) -> int:
    return max((message.id for message in service.history(alias, 1)), default=0)


class Lines:
    """A terminal that moves no cursor: what comes while a prompt stands there goes below it, then the prompt again."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._prompt: Callable[[], str] | None = None
        self._stands = False

    def show(self, renderable: RenderableType) -> None:
        """Print something on lines of its own."""
        if self._stands:
            print()
            self._stands = False
        self._environment.show(renderable)

    @contextmanager
    def asking(self, prompt: Callable[[], str]) -> Iterator[None]:
        """While the block runs, a prompt stands there, and what is typed behind it; the block writes it at first."""
        self._prompt, self._stands = prompt, True
        try:
            yield
        finally:
            self._prompt, self._stands = None, False

    def ask_again(self) -> None:
        """Write the prompt once more if something was printed below it."""
        if self._prompt is not None and not self._stands:
            print(self._prompt(), end="", flush=True)
            self._stands = True


class Screen:
    """A line to write on, with history, completion and keys; what is printed meanwhile appears above it.

    Args:
        lines: Of a terminal that moves no cursor.
        source, sink: The terminal's, unless a test brings its own.
    """

    def __init__(
        self,
        environment: Environment,
        conversation: Conversation,
        *,
        lines: Lines | None = None,
        source: Input | None = None,
        sink: Output | None = None,
    ) -> None:
        self._environment, self._conversation, self._lines = environment, conversation, lines
        self._session: PromptSession[str] = PromptSession(
            message=self._prompt,
            completer=_Completer(conversation),
            complete_while_typing=False,
            history=input_history(environment.profile_folder() / "input-history"),
            key_bindings=self._keys(),
            prompt_continuation=lambda width, _line, _wrapped: " " * width,
            tempfile_suffix=".txt",
            erase_when_done=environment.redraws,
            bottom_toolbar=self._toolbar if environment.redraws else None,
            color_depth=None if environment.color else ColorDepth.DEPTH_1_BIT,
            input=source,
            output=sink,
        )

    @property
    def text(self) -> str:
        """What is typed and not entered yet."""
        return self._session.default_buffer.text

    async def run(self) -> None:
        """Talk until the user leaves."""
        self._conversation.begin()
        with patch_stdout(raw=True) if self._lines is None else nullcontext():
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._follow())
                try:
                    await self._talk()
                finally:
                    following.cancel()
                    self._conversation.finish()

    async def _talk(self) -> None:
        text = ""
        before: Callable[[], None] | None = None
        while True:
            try:
                with self._lines.asking(self._typed) if self._lines else nullcontext():
                    line = await self._session.prompt_async(default=text, pre_run=before)
                text, before = "", None
                if not self._conversation.enter(line):
                    text = line  # what was typed is not lost
            except Edit:
                before = self._open_editor
            except (EOFError, KeyboardInterrupt, Leave):
                return

    def _typed(self) -> str:
        return self._conversation.prompt() + self.text

    def _open_editor(self) -> None:
        self._session.default_buffer.open_in_editor()

    async def _follow(self) -> None:
        while True:
            if self._conversation.follow() and (app := get_app_or_none()) is not None:
                app.invalidate()
            if self._conversation.take_bell():
                self._session.output.bell()
            if self._lines is not None:
                self._lines.ask_again()
            await asyncio.sleep(FOLLOW_INTERVAL)

    def _prompt(self) -> AnyFormattedText:
        console = self._environment.console()
        with console.capture() as capture:
            for line in self._conversation.tail():
                console.print(line, soft_wrap=True)
        return [*ANSI(capture.get()).__pt_formatted_text__(), ("bold", self._conversation.prompt())]

    def _toolbar(self) -> str:
        return self._conversation.toolbar(self._session.app.output.get_size().columns)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("escape", "enter")
        def new_line(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-x", "c-e")
        def edit(event: KeyPressEvent) -> None:
            self._open_editor()  # not prompt_toolkit's own, which sends what was typed even if the editor is left

        @keys.add("escape", "a")
        def next_unread(event: KeyPressEvent) -> None:
            self._conversation.next_unread()
            event.app.invalidate()

        @keys.add("c-c")
        def discard(event: KeyPressEvent) -> None:
            if event.current_buffer.text:
                event.current_buffer.reset()
            else:
                event.app.exit(exception=KeyboardInterrupt())

        return keys


class _Completer(Completer):
    """Slash commands at the beginning, and what follows some of them.

    Aliases after ``@`` and ``/to``, the emoji that apps know after ``/react N``, and numbers of requests, found by
    number or name, after ``/accept`` and ``/reject``: a name somebody else chose is not put into the line.
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """See `Completer`."""
        text = document.text_before_cursor
        if text.startswith("/to "):
            yield from self._aliases(text.removeprefix("/to "), "")
        elif text.startswith("@") and " " not in text:
            yield from self._aliases(text[1:], " ")
        elif (reaction := re.fullmatch(r"/react +\d+ +(-?)(\S*)", text)) is not None:
            begun = reaction[2]
            yield from (Completion(emoji, -len(begun)) for emoji in REACTIONS if emoji.startswith(begun))
        elif text.startswith("/bell "):
            begun = text.removeprefix("/bell ")
            yield from (Completion(word, -len(begun)) for word in ("on", "off") if word.startswith(begun))
        elif (answer := re.fullmatch(r"/(?:accept|reject) +(.*)", text)) is not None:
            yield from self._requests(answer[1])
        elif text.startswith("/") and " " not in text:
            for name, command in COMMANDS.items():
                if name.startswith(text):
                    yield Completion(name, -len(text), display_meta=command.does)

    def _aliases(self, begun: str, after: str) -> Iterable[Completion]:
        for alias in self._conversation.aliases():
            if alias.casefold().startswith(begun.casefold()):
                yield Completion(alias + after, -len(begun))

    def _requests(self, begun: str) -> Iterable[Completion]:
        for request in self._conversation.requests():
            number = str(request.id)
            if number.startswith(begun) or request.name.casefold().startswith(begun.casefold()):
                yield Completion(number, -len(begun), display_meta=shortened(request.name))


def input_history(path: Path) -> FileHistory:
    """What was typed in earlier runs; only the user may read it."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return FileHistory(str(path))
