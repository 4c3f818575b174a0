"""The input line of `chat`, with its keys; the conversation is printed above the input line."""

from __future__ import annotations

import asyncio
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application, get_app, get_app_or_none, run_in_terminal
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI, AnyFormattedText
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.patch_stdout import patch_stdout

from smpchat.agent.online.changes import Changes
from smpchat.chat.errors import InputError
from smpchat.cli.chat.arrivals import Arrivals
from smpchat.cli.chat.below import PromptBelow
from smpchat.cli.chat.completion import SlashCompleter
from smpchat.cli.chat.conversation import Conversation
from smpchat.cli.chat.editor import edited, remove_left
from smpchat.cli.chat.slash import Edit, Leave, Lines, Offer
from smpchat.cli.chat.title import Title
from smpchat.cli.chat.typed import Typed
from smpchat.cli.environment import Environment

_ROOM = 6
"""If a line is refused, the reason is printed above the line. If fewer rows than this are free for that, the reason
might not be visible, so the toolbar also says it."""
_LINK = re.compile(r"\x1b\]8;[^\x1b]*\x1b\\")
"""The escape sequences (OSC 8) before and after a text that can be clicked in some terminals."""


_WHILE_ENCRYPTING = 0.25
"""Seconds between two updates of the progress while a file is being encrypted. The store does not change meanwhile, so
nothing else would cause an update."""


class Screen:
    """An input line with history, completion and keys; new lines are printed above it.

    Args:
        below: Prints new lines on a terminal that cannot move the cursor; None: the terminal can move the cursor.
        source: Where keys are read; None: from the terminal. Only tests pass something else.
        sink: Where the screen is drawn; None: on the terminal. Only tests pass something else.
    """

    def __init__(
        self,
        environment: Environment,
        conversation: Conversation,
        *,
        below: PromptBelow | None = None,
        source: Input | None = None,
        sink: Output | None = None,
    ) -> None:
        self._environment, self._conversation, self._below = environment, conversation, below
        self._lines, self._arrivals = Lines(conversation), Arrivals(conversation)
        self._session: PromptSession[str] = _Session(
            message=self._prompt,
            completer=SlashCompleter(conversation),
            complete_while_typing=False,
            history=Typed(conversation),
            key_bindings=self._keys(),
            prompt_continuation=lambda width, _line, _wrapped: " " * width,
            erase_when_done=environment.redraws,
            bottom_toolbar=self._toolbar if environment.redraws else None,
            color_depth=None if environment.colored else ColorDepth.DEPTH_1_BIT,
            input=source,
            output=sink,
        )
        self._title = Title(environment, self._to_terminal)
        self._drafts: dict[int | None, Document] = {}  # texts to other contacts that were not sent
        if hasattr(signal, "SIGWINCH") and threading.current_thread() is threading.main_thread():
            self._session.app.terminal_size_polling_interval = None  # SIGWINCH tells of a new size

    @property
    def text(self) -> str:
        """The text that is typed but not entered yet."""
        return self._session.default_buffer.text

    async def run(self) -> None:
        """Run the chat until the user leaves."""
        remove_left()
        self._conversation.begin()
        # raw=True, because prompt_toolkit would otherwise replace every escape character with ?, even those of our own
        # colours. This is safe: `printable` has removed the escape characters from texts that other people wrote.
        with self._ended_by_signals(), patch_stdout(raw=True) if self._below is None else nullcontext():
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._follow())
                try:
                    await self._talk()
                finally:
                    following.cancel()
                    await self._conversation.outgoing.finish()
                    self._conversation.transcript.finish()
                    self._title.restore()

    async def _talk(self) -> None:
        text: str | Document = ""
        before: Callable[[], None] | None = None
        while True:
            writing_to = self._conversation.contact_id
            try:
                with self._below.asking(self._typed) if self._below else nullcontext():
                    line = await self._session.prompt_async(default=text, pre_run=before)
                writing_to = self._conversation.contact_id  # a key may have changed it
                text, before = "", None
                if not self._lines.enter(line):
                    text = line  # what was typed is not lost
                self._title.show(self._conversation.unseen())
            except Edit:
                before = self._open_editor
            except Offer as offer:
                text = offer.line
            except (EOFError, KeyboardInterrupt, Leave):
                return
            if self._conversation.contact_id != writing_to:
                text = self._drafts.pop(self._conversation.contact_id, "")

    @contextmanager
    def _ended_by_signals(self) -> Iterator[None]:
        """SIGTERM and SIGHUP end the conversation as /quit does. If they ended the process at once, the terminal would
        stay in raw mode, and not show what is typed."""
        loop = asyncio.get_running_loop()
        caught = []
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and threading.current_thread() is threading.main_thread():
                with suppress(NotImplementedError):  # event loops on Windows
                    loop.add_signal_handler(number, self._leave)
                    caught.append(number)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def _leave(self) -> None:
        if self._session.app.is_running and not self._session.app.is_done:
            self._session.app.exit(exception=Leave())

    def _typed(self) -> str:
        return self._conversation.prompt() + self.text

    def _open_editor(self) -> None:
        get_app().create_background_task(self._edit())

    async def _edit(self) -> None:
        buffer, encrypted = self._session.default_buffer, self._environment.is_encrypted()
        try:
            # The editor is waited for in a thread, so that messages still arrive while it is open.
            text = await run_in_terminal(partial(edited, buffer.text, encrypted=encrypted), in_executor=True)
        except InputError as error:
            self._conversation.transcript.tell(f"! {error} {error.hint}")
            return
        if text is not None:
            buffer.document = Document(text, len(text))

    async def _follow(self) -> None:
        with Changes(self._conversation.service.database) as changes:
            while True:
                if self._arrivals.follow() and (app := get_app_or_none()) is not None:
                    app.invalidate()
                if self._conversation.bell.take():
                    self._session.output.bell()
                self._conversation.notifier.tell(self._to_terminal)
                self._title.show(self._conversation.unseen())
                if self._below is not None:
                    self._below.ask_again()
                await changes.next(self._next_look())

    def _next_look(self) -> float | None:
        """`_follow` must look again after this many seconds, even if the store has not changed by then. None: it can
        wait for a change of the store."""
        if self._conversation.outgoing.encrypting():
            return _WHILE_ENCRYPTING
        return self._arrivals.next_look()

    def _to_terminal(self, sequence: str) -> None:
        self._session.output.write_raw(sequence)
        self._session.output.flush()

    def _prompt(self) -> AnyFormattedText:
        console = self._environment.console()
        with console.capture() as capture:
            for line in self._conversation.transcript.tail():
                console.print(line, soft_wrap=True)
        drawn = _LINK.sub("", capture.get())  # prompt_toolkit does not know these, and would print them
        return [*ANSI(drawn).__pt_formatted_text__(), ("bold", self._conversation.prompt())]

    def _toolbar(self) -> str:
        size = self._session.app.output.get_size()
        if self._lines.refused and len(self.text) > (size.rows - _ROOM) * size.columns:
            # the typed text fills the screen, so the reason that was printed above it is no longer visible
            return f"! {self._lines.refused}"[: size.columns]
        return self._conversation.toolbar(size.columns)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        # `"escape"` stands for Alt: terminals send Alt as an Escape before the key.
        @keys.add("escape", "enter")
        def new_line(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-x", "c-e")
        def edit(event: KeyPressEvent) -> None:
            self._open_editor()  # not prompt_toolkit's own, which sends the text when the editor is closed

        @keys.add("escape", "a")
        def next_unread(event: KeyPressEvent) -> None:
            writing_to, draft = self._conversation.contact_id, event.current_buffer.document
            if self._conversation.next_unread():
                # The text typed for the previous contact is kept. The input line now shows what the user had begun to
                # write to the new contact, and Up brings back lines to the new contact.
                self._drafts[writing_to] = draft
                event.current_buffer.reset(self._drafts.pop(self._conversation.contact_id, Document()))
            event.app.invalidate()

        @keys.add("up", filter=Condition(lambda: not self.text))
        def edit_last(event: KeyPressEvent) -> None:
            line = self._lines.offer_edit()
            if line is None:
                event.current_buffer.auto_up()
            else:
                event.current_buffer.document = Document(line)

        @keys.add("c-z", filter=Condition(lambda: hasattr(signal, "SIGTSTP")))
        def suspend(event: KeyPressEvent) -> None:
            event.app.suspend_to_background()

        @keys.add("c-c")
        def discard(event: KeyPressEvent) -> None:
            if event.current_buffer.text:
                event.current_buffer.reset()
            else:
                event.app.exit(exception=KeyboardInterrupt())

        return keys


class _Session(PromptSession[str]):
    """On a terminal that cannot move the cursor, this prompt does not check the terminal's size twice a second, because
    nothing could be drawn again after a change."""

    @contextmanager
    def _dumb_prompt(self, message: AnyFormattedText = "") -> Iterator[Application[str]]:
        with super()._dumb_prompt(message) as application:
            application.terminal_size_polling_interval = None
            yield application
