"""The lines above the prompt of `chat`: what was printed, and messages of the user whose ticks still change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.console import RenderableType
from rich.text import Text

from smpchat.chat.store.files import FileState
from smpchat.chat.store.notices import StoredNotice
from smpchat.chat.store.records import Direction, Message, MessageStatus, Reaction
from smpchat.cli.chat.moving import Pace, encrypting_line, moving_line
from smpchat.cli.chat.outgoing import Encrypting
from smpchat.cli.environment import Environment
from smpchat.cli.text import shortened
from smpchat.cli.views.files import state_text
from smpchat.cli.views.layout import in_words
from smpchat.cli.views.messages import being_written, conversation, interleaved, notice_text, spoken
from smpchat.encoding.record import Record, field

_TAIL = 3
"""At most this many of the user's messages stay beside the prompt until they are delivered."""
_TOLD_OF = (FileState.RECEIVED, FileState.FAILED, FileState.CANCELLED, FileState.EXPIRED)
"""If a file gets one of these states, a line says so, unless the file's message is still beside the prompt."""


class _Face(Record):
    """The visible parts of a message except its status. They are compared to find out whether the message has changed.

    The text of a contact's message is not compared, because a live message grows while the contact writes it.
    """

    text: str | None = field(repr=False)
    changes: int
    edited: bool
    deleted: bool
    reactions: tuple[Reaction, ...]


def _face(message: Message) -> _Face:
    text = None if message.direction is Direction.RECEIVED else message.text
    return _Face(text, message.changes, message.edited, message.deleted, message.reactions)


def _is_settled(message: Message) -> bool:
    """Whether the ticks of one of our messages are final. The ticks of a message to a group are final once every member
    has the message."""
    if message.status is MessageStatus.DELIVERED and message.copies is not None:
        return message.copies[0] >= message.copies[1]
    return message.status in (MessageStatus.DELIVERED, MessageStatus.FAILED)


class Transcript:
    """Prints the lines of the current conversation.

    Args:
        show: Prints something above the prompt.

    Attributes:
        mine: The last message of the user; its status is in the toolbar.
    """

    def __init__(self, environment: Environment, show: Callable[[RenderableType], object]) -> None:
        self._environment, self._show_above = environment, show
        self.mine: Message | None = None
        self._last: Message | None = None  # printed last; a day separator follows if the next one is from another day
        self._tail: list[Message] = []
        self._open: set[int] = set()  # printed with ticks that were not final
        self._confirmed: list[int] = []  # those of `_open` that were delivered since the last `settle`
        self._growing: list[Message] = []  # what the contact is writing at this moment
        self._faces: dict[int, _Face] = {}  # of the messages shown here, by number
        self._moving: list[Message] = []  # messages whose files are being transferred
        self._encrypting: list[Encrypting] = []
        self._pace = Pace()

    # -- sentences ----------------------------------------------------------------------------------------------------

    def show(self, renderable: RenderableType) -> None:
        """Print something below everything that was written so far."""
        self._drain(0)
        self._show_above(renderable)

    def raw(self, sequence: str) -> None:
        """Print escape sequences for the terminal, such as a picture, unchanged and above the prompt."""
        self._drain(0)
        print(sequence, flush=True)

    def tell(self, sentence: str | Text) -> None:
        """Print a sentence from smpchat itself; a long sentence is wrapped between words."""
        text = Text(sentence, "dim") if isinstance(sentence, str) else sentence
        self.show(in_words(self._environment, text))

    # -- messages -----------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Forget which messages were shown, because another conversation is opened."""
        self._last, self.mine = None, None
        self._open, self._confirmed, self._growing, self._faces = set(), [], [], {}
        self._moving, self._encrypting = [], []

    def holds(self, message_id: int) -> bool:
        """Whether the message has been printed, or is shown beside the prompt."""
        return message_id in self._faces

    def is_current(self, message: Message) -> bool:
        """Whether the message is shown with all changes that were made to it; a change of its ticks does not count."""
        return self._faces.get(message.id) == _face(message)

    def is_deleted(self, message_id: int) -> bool:
        """Whether the message is shown as deleted."""
        face = self._faces.get(message_id)
        return face is not None and face.deleted

    def _note(self, *messages: Message) -> None:
        self._faces |= {message.id: _face(message) for message in messages}

    def begin(
        self, messages: list[Message], notices: Sequence[StoredNotice] = (), unread: int | None = None
    ) -> list[Message]:
        """Print the end of a conversation, except the user's messages at its end whose ticks still change.

        Args:
            unread: Number of the first unread message.
        Returns:
            The messages that were not printed; the caller must pass them to `keep_beside`.
        """
        self.mine = next((m for m in reversed(messages) if m.direction is Direction.SENT), None)
        changing = self._unsettled_end(messages)
        for said, happened in interleaved(messages[: len(messages) - len(changing)], notices):
            self._say_read_and_unread(said, unread)
            if happened is not None:
                self.show(in_words(self._environment, notice_text(self._environment, happened)))
        return changing

    def _say_read_and_unread(self, messages: list[Message], unread: int | None) -> None:
        first = next((place for place, message in enumerate(messages) if message.id == unread), None)
        if first is not None and (first or self._last is not None):
            self.say(messages[:first])
            self.show(Text("─── unread ───" if self._environment.symbols else "--- unread ---", "bold"))
            messages = messages[first:]
        self.say(messages)

    def _unsettled_end(self, messages: list[Message]) -> list[Message]:
        """The last messages of the list, as far back as all of them are the user's and their ticks can still change.
        None of them if the terminal cannot draw lines again."""
        end = messages[-_TAIL:] if self._environment.redraws else []
        while end and any(m.direction is not Direction.SENT or _is_settled(m) for m in end):
            end = end[1:]
        return end

    def keep_beside(self, messages: list[Message]) -> None:
        """Show messages beside the prompt until their ticks are final."""
        self._tail = messages
        self._note(*messages)

    def again(self, messages: list[Message]) -> None:
        """Print messages that may have been printed before, with the day of the first one above it."""
        self._last = None
        self.say(messages)

    def say(self, messages: list[Message]) -> None:
        """Print messages after everything written so far."""
        if messages:
            self._drain(0)
            self._print(messages)

    def sent(self, message: Message) -> None:
        """Show a message that the user has just written."""
        self.mine = message
        if self._environment.redraws:
            self._note(message)
            self._tail.append(message)
            self._drain(_TAIL)
        else:
            self.say([message])

    def changed(self, message: Message) -> None:
        """Show a message that the user has just changed."""
        self._note(message)
        if any(own.id == message.id for own in self._tail):
            self._tail = [message if own.id == message.id else own for own in self._tail]
        else:
            self.show(spoken(self._environment, message))

    def changed_by(self, sentence: str, message: Message) -> None:
        """Print ``sentence``, which says that a message was changed, and then the changed message."""
        self.tell(sentence)
        self._note(message)
        self._show_above(spoken(self._environment, message))

    def status_changed(self, message: Message) -> None:
        """Show the new status of one of our messages, beside the prompt if the message is there. A printed message that
        has failed is printed again. For a printed message that was delivered, `settle` prints its number."""
        beside_prompt = any(own.id == message.id for own in self._tail)
        self._tail = [message if own.id == message.id else own for own in self._tail]
        if self.mine is not None and self.mine.id == message.id:
            self.mine = message
        if message.status is MessageStatus.FAILED and not beside_prompt:
            self.show(spoken(self._environment, message))
        elif message.status is MessageStatus.DELIVERED and _is_settled(message) and message.id in self._open:
            self._open.discard(message.id)
            self._confirmed.append(message.id)

    def expired(self, message_id: int) -> None:
        """Forget a message that no longer exists. A message beside the prompt disappears from the screen; the lines of
        a printed message stay there."""
        self._tail = [own for own in self._tail if own.id != message_id]
        self._faces.pop(message_id, None)
        self._open.discard(message_id)
        if self.mine is not None and self.mine.id == message_id:
            self.mine = None

    def growing(self, messages: list[Message]) -> None:
        """Show beside the prompt what the contact is writing; if the terminal cannot draw lines again, say only that
        the contact is typing."""
        known = {message.id for message in self._growing}
        self._growing = messages
        if self._environment.redraws:
            return
        for message in messages:
            if message.id not in known:
                self.tell(f"* {shortened(message.sender or message.contact)} is typing.")

    def moving(self, messages: list[Message], encrypting: Sequence[Encrypting], now: float = 0) -> bool:
        """Show the progress of files beside the prompt: in the line of a file's message if that is beside the prompt,
        otherwise in a separate line.

        Args:
            now: The current time in seconds, from any clock.
        Returns:
            Whether something must be drawn again.
        """
        changed = (self._moving, self._encrypting) != (messages, list(encrypting))
        self._moving, self._encrypting = messages, list(encrypting)
        by_id = {message.id: message for message in messages}
        self._tail = [by_id.get(own.id, own) for own in self._tail]
        for message in messages:
            if message.file is not None:
                self._pace.note(message.id, message.file.bytes, now)
        return changed

    def file_changed(self, message: Message) -> None:
        """Show the new state of a file: in the line of its message, if that is beside the prompt, otherwise in a
        sentence."""
        if any(own.id == message.id for own in self._tail):
            self._tail = [message if own.id == message.id else own for own in self._tail]
            return
        file = message.file
        if file is not None and file.state in _TOLD_OF:
            style = "bold red" if file.state is FileState.FAILED else "dim"
            self.tell(Text(f"* {message.id}: {shortened(file.name)}, {state_text(file, message)}", style))

    def settle(self) -> None:
        """Print the messages beside the prompt whose ticks are final. Then print the numbers of earlier messages that
        were delivered since the last call. Call `settle` after handling events."""
        self._drain(_TAIL)
        if self._confirmed:
            numbers = ranges(self._confirmed)
            self._show_above(Text(f"* delivered: {numbers}", "dim"))
            self._confirmed = []

    def finish(self) -> None:
        """Print the messages that are beside the prompt, because they would disappear together with the prompt."""
        self._drain(0)

    def tail(self) -> list[Text]:
        """The lines right above the prompt: the user's messages whose ticks still change, what the contact is writing,
        and the progress of files."""
        own = conversation(self._environment, self._tail, self._last) if self._tail else []
        if not self._environment.redraws:
            return own
        beside = {message.id for message in self._tail}
        lines = [being_written(self._environment, message) for message in self._growing]
        lines += [encrypting_line(file) for file in self._encrypting]
        lines += [moving_line(m, self._pace.of(m.id)) for m in self._moving if m.id not in beside]
        return own + lines

    def _print(self, messages: list[Message]) -> None:
        for line in conversation(self._environment, messages, self._last):
            self._show_above(line)
        self._note(*messages)
        self._open |= {m.id for m in messages if m.direction is Direction.SENT and not _is_settled(m)}
        self._last = messages[-1]

    def _drain(self, keep: int) -> None:
        """Print the oldest of the user's messages beside the prompt, and remove it there. Repeat this while more than
        ``keep`` messages are beside the prompt, or the ticks of the oldest one are final."""
        while self._tail and (len(self._tail) > keep or _is_settled(self._tail[0])):
            self._print([self._tail.pop(0)])


def ranges(numbers: Iterable[int]) -> str:
    """The numbers in order, with consecutive ones joined: ``29-31, 40``."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in found)
