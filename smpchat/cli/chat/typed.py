"""What the keys Up and Ctrl-R bring back in `chat`: the user's own messages to whom is written to, and recent commands.

Messages are read from the profile's store when they are asked for, so that no second copy of them is kept: they are
encrypted with the store, and go with the message, its contact or its time. Commands last as long as the conversation
runs: what stands in one (a link, a word that was looked for, a security code) is written nowhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator

from prompt_toolkit.history import History

from smpchat.cli.chat.conversation import Conversation
from smpchat.encoding.record import Record

KEPT = 100
"""Messages, and commands, that Up brings back at most; each may be as long as a message."""


class _Command(Record):
    """A line that is no message to the contact that is written to.

    Attributes:
        contact: Number of that contact; None where there was nobody.
        after: Number of the last message of the user's before it.
    """

    contact: int | None
    after: int
    line: str


class Typed(History):
    """Lines of the user's, as the line to write on takes them; the store is asked anew for each prompt."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__()
        self._conversation = conversation
        self._commands: deque[_Command] = deque(maxlen=KEPT)

    async def load(self) -> AsyncGenerator[str, None]:
        """See `History`: the last one first."""
        for line in self.load_history_strings():
            yield line

    def load_history_strings(self) -> Iterable[str]:
        """The same."""
        contact = self._conversation.contact_id
        commands = [command for command in self._commands if command.contact == contact]
        last: str | None = None
        for line in _newest_first(self._conversation.own_texts(KEPT), commands):
            if line != last:  # sent twice, it is typed once
                yield line
            last = line

    def get_strings(self) -> list[str]:
        """See `History`; nothing is kept here that could be looked at."""
        return []

    def append_string(self, string: str) -> None:
        """Remember a line that was entered, unless it is a message: the store has that."""
        self.store_string(string)

    def store_string(self, string: str) -> None:
        """The same."""
        if not is_command(string) or not self._conversation.lasts(string):
            return
        texts = self._conversation.own_texts(1)
        self._commands.append(_Command(self._conversation.contact_id, texts[0][0] if texts else 0, string))


def is_command(line: str) -> bool:
    """Whether a line is something else than a message to the contact that is written to."""
    return line.startswith(("/", "@")) and not line.startswith("//")


def as_typed(text: str) -> str | None:
    """The line that sends a message again; None if no line does."""
    if text.startswith("@"):
        return None
    return f"/{text}" if text.startswith("/") else text


def _newest_first(texts: list[tuple[int, str]], commands: list[_Command]) -> Iterator[str]:
    """Messages with their numbers, the last one first, and between them what was entered after each."""
    waiting = list(commands)
    for number, text in texts:
        while waiting and waiting[-1].after >= number:
            yield waiting.pop().line
        typed = as_typed(text)
        if typed is not None:
            yield typed
    yield from (command.line for command in reversed(waiting))
