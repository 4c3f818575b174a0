"""What the keys Up and Ctrl-R bring back in `chat`: the user's own messages to the current contact, and recent
commands.

Messages are read from the profile's store when they are needed. Copies of the messages in a history file would not be
encrypted, and would stay when a message is deleted or disappears. Commands are remembered only while `chat` runs: what
they contain (a link, a searched word, a security code) is never written to a file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator

from prompt_toolkit.history import History

from smpchat.cli.chat.conversation import Conversation
from smpchat.encoding.record import Record

KEPT = 100
"""Up brings back at most this many messages, and at most as many commands."""


class _Command(Record):
    """A line of the user that is not a message to the current contact.

    Attributes:
        contact: Number of the contact that was current when the line was entered; None if there was none.
        after: Number of the last message that the user had sent to this contact when the line was entered; 0 if there
            was none.
    """

    contact: int | None
    after: int
    line: str


class Typed(History):
    """The history of the input line, for prompt_toolkit; the store is read again for each prompt."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__()
        self._conversation = conversation
        self._commands: deque[_Command] = deque(maxlen=KEPT)

    async def load(self) -> AsyncGenerator[str, None]:
        """Yield the lines of `load_history_strings`; see `History`."""
        for line in self.load_history_strings():
            yield line

    def load_history_strings(self) -> Iterable[str]:
        """The user's lines, the last one first; see `History`."""
        contact = self._conversation.contact_id
        commands = [command for command in self._commands if command.contact == contact]
        last: str | None = None
        for line in _newest_first(self._conversation.own_texts(KEPT), commands):
            if line != last:  # a text that was sent twice in a row is offered once
                yield line
            last = line

    def get_strings(self) -> list[str]:
        """The lines that `History` itself has loaded: none, because the store is read for each prompt."""
        return []

    def append_string(self, string: str) -> None:
        """Called by prompt_toolkit for each line that was entered; `store_string` decides whether to remember it."""
        self.store_string(string)

    def store_string(self, string: str) -> None:
        """Keep a line in memory, unless it is a message to the current contact, or `Conversation.lasts` forbids it."""
        if not is_command(string) or not self._conversation.lasts(string):
            return
        texts = self._conversation.own_texts(1)
        self._commands.append(_Command(self._conversation.contact_id, texts[0][0] if texts else 0, string))


def is_command(line: str) -> bool:
    """Whether a line is not a message to the current contact."""
    return line.startswith(("/", "@")) and not line.startswith("//")


def as_typed(text: str) -> str | None:
    """The line that the user must enter to send this text to the current contact; None if no line does that."""
    if text.startswith("@"):
        return None
    return f"/{text}" if text.startswith("/") else text


def _newest_first(texts: list[tuple[int, str]], commands: list[_Command]) -> Iterator[str]:
    """The user's messages and commands, the last one first; each command is between the messages that were sent before
    and after it."""
    waiting = list(commands)
    for number, text in texts:
        while waiting and waiting[-1].after >= number:
            yield waiting.pop().line
        typed = as_typed(text)
        if typed is not None:
            yield typed
    yield from (command.line for command in reversed(waiting))
