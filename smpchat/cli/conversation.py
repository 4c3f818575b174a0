"""What `chat` does, without its terminal: who is written to, what is shown and when, slash commands, unread counts.

An incoming message never changes who is written to. Only `Conversation.enter` and `Conversation.next_unread` do, and
both are the user's own acts. Messages of other contacts are neither shown nor marked as shown: they are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from smpchat.agent.errors import AgentError
from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.chat.errors import ChatError, InputError, UnknownContact, UnknownRequest
from smpchat.chat.service.connecting import ChatService
from smpchat.chat.service.reading import ContactView
from smpchat.chat.store import events
from smpchat.chat.store.address import RequestView
from smpchat.chat.store.records import Direction, Message, MessageStatus
from smpchat.chat.transactions.changes import SentChange
from smpchat.cli.environment import Environment
from smpchat.cli.steps import Progress, draw, steps_table
from smpchat.cli.text import narrowed, plural, printable, shortened
from smpchat.cli.times import since
from smpchat.cli.views.connections import waits_for
from smpchat.cli.views.contacts import contacts_table, verification_lines
from smpchat.cli.views.layout import in_words, indented
from smpchat.cli.views.links import request_text
from smpchat.cli.views.messages import TICKS, conversation, pending_line, spoken, unread_summary

HISTORY = 20
"""Messages shown when a conversation begins."""
_QUIET = 3.0
"""Seconds in which the bell rings once, whatever comes."""
_TAIL = 3
"""Own messages at most that stay next to the prompt until they are delivered."""
_SETTLED = (MessageStatus.DELIVERED, MessageStatus.FAILED)


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command: how it is written, and what it does."""

    usage: str
    does: str


COMMANDS = {
    "/to": Command("/to WHO", "write to another contact"),
    "/next": Command("/next", "go to the next contact with unread messages (Alt-A)"),
    "/contacts": Command("/contacts", "who there is"),
    "/history": Command("/history [N]", "the last N messages"),
    "/search": Command("/search TEXT", "messages that contain a text"),
    "/status": Command("/status", "where the connection is"),
    "/verify": Command("/verify [CODE]", "the security code, or compare it"),
    "/reply": Command("/reply N TEXT", "answer message N"),
    "/edit": Command("/edit N TEXT", "give your message N another text; /edit alone: write in $EDITOR (Ctrl-X Ctrl-E)"),
    "/delete": Command("/delete N", "take your message N back, within 78 hours"),
    "/react": Command("/react N EMOJI", "react to message N; -EMOJI takes it away"),
    "/requests": Command("/requests", "who asks through your address to be a contact"),
    "/accept": Command("/accept [WHO] [ALIAS]", "accept a request, by its number or the name in it"),
    "/reject": Command("/reject WHO", "forget a request; its sender is told nothing"),
    "/bell": Command("/bell [on|off]", "ring when somebody writes; it is remembered, and off at first"),
    "/help": Command("/help", "this list"),
    "/quit": Command("/quit", "leave (Ctrl-D)"),
}
_ELSEWHERE = (
    Command("@WHO TEXT", "one message to another contact"),
    Command("//TEXT", "a text that begins with /"),
    Command("Alt-Enter", "a new line in the message"),
)


_HINTS: dict[type[Exception], str] = {
    UnknownContact: "/contacts lists who there is.",
    UnknownRequest: "/requests shows their numbers.",
}
"""What to do about an error, where the command line's own hint would lead out of the conversation."""


class Leave(Exception):
    """The user wants to go."""


class Edit(Exception):
    """The user wants to write in an editor."""


class Conversation:
    """One run of `chat`.

    Args:
        show: Prints something above the prompt.
    """

    def __init__(
        self,
        environment: Environment,
        service: ChatService,
        contact_id: int | None,
        show: Callable[[RenderableType], object],
    ) -> None:
        self._environment, self._service, self._show_above = environment, service, show
        self._contact_id = contact_id
        self._views: dict[int, ContactView] = {}
        self._after = service.last_event()
        self._last: Message | None = None  # shown last: decides about day separators
        self._mine: Message | None = None  # written last: its status is in the toolbar
        self._tail: list[Message] = []
        self._open: set[int] = set()  # printed with ticks that were not the last ones
        self._confirmed: list[int] = []  # of those, delivered since the last look
        self._counted: dict[str, int] = {}  # unread messages that were told of
        self._rings = service.rings()
        self._bell, self._rang = False, float("-inf")
        self._refresh()

    # -- who ----------------------------------------------------------------------------------------------------------

    @property
    def current(self) -> ContactView | None:
        """Who is written to; None if there is nobody yet, or the contact was deleted."""
        return self._views.get(self._contact_id) if self._contact_id is not None else None

    def aliases(self) -> list[str]:
        """For completion."""
        return [view.alias for view in self._views.values()]

    def requests(self) -> list[RequestView]:
        """Who waits for an answer: for completion."""
        return self._service.requests()

    def unread(self) -> dict[str, int]:
        """Unread messages of the other contacts, by alias."""
        return {v.alias: v.contact.unread for n, v in self._views.items() if n != self._contact_id and v.contact.unread}

    def _refresh(self) -> None:
        self._views = {view.contact.id: view for view in self._service.contacts()}

    def _need_contact(self) -> ContactView:
        view = self.current
        if view is None:
            raise InputError("There is nobody to write to.", "Choose somebody with /to WHO.")
        return view

    def begin(self) -> None:
        """Show the end of the conversation, and what this contact wrote since."""
        view = self.current
        self._last, self._mine = None, None
        self._open, self._confirmed = set(), []
        if view is None:
            waits = "invitation waits for its answer" if self._service.invitations() else "address waits for requests"
            self._tell(f"Nobody to write to yet: your {waits}. /help lists what there is.")
            self._show_requests()
            return
        messages = self._service.history(view.alias, max(HISTORY, view.contact.unread))
        self._mine = next((m for m in reversed(messages) if m.direction is Direction.SENT), None)
        changing = self._unsettled_end(messages)
        self._say(messages[: len(messages) - len(changing)])
        for message in messages:
            self._service.mark_shown(message.id, message.changes)
        if view.state.state != ConnectionState.CONNECTED:
            self._tell(f"* {self._connection(view)}")
        self._show_requests()
        self._tail = changing
        self._refresh()
        self._count_unread()

    def _unsettled_end(self, messages: list[Message]) -> list[Message]:
        """Own messages at the end whose ticks will change, where they can be drawn again."""
        end = messages[-_TAIL:] if self._environment.redraws else []
        while end and any(m.direction is not Direction.SENT or m.status in _SETTLED for m in end):
            end = end[1:]
        return end

    # -- the user's lines ---------------------------------------------------------------------------------------------

    def enter(self, line: str) -> bool:
        """One line of the user's: a command or a text. False if it could not be used; the reason was shown.

        Raises:
            Leave, Edit: What the terminal has to do.
        """
        self._refresh()  # who was deleted elsewhere is nobody to write to
        try:
            self._enter(line)
        except (ChatError, AgentError) as error:
            hint = _HINTS.get(type(error)) or self._environment.as_typed(error.hint)
            self._tell(Text.assemble(("! ", "bold red"), printable(str(error), lines=True), " ", (hint, "dim")))
            return False
        finally:
            self._refresh()
        return True

    def _enter(self, line: str) -> None:
        word, _, argument = line.strip().partition(" ")
        argument = argument.strip()
        if line.startswith("//"):
            self._send(self._need_contact().alias, line[1:])
        elif line.startswith("/"):
            self._command(word, argument)
        elif line.startswith("@"):
            if not argument:
                raise InputError("A text is missing.", "Write @WHO TEXT; /to WHO changes whom you write to.")
            self._send(word[1:], argument)
        elif line.strip():
            self._send(self._need_contact().alias, line)

    def _command(self, word: str, argument: str) -> None:
        match word:
            case "/quit" | "/q":
                raise Leave
            case "/edit" if not argument:
                raise Edit
            case "/edit":
                number, text = self._numbered(argument, "/edit N TEXT")
                self._changed(self._service.edit(number, text))
            case "/reply":
                number, text = self._numbered(argument, "/reply N TEXT")
                self._send(self._need_contact().alias, text, reply_to=number)
            case "/delete":
                self._changed(self._service.retract(self._numbered(argument, "/delete N", alone=True)[0]))
            case "/react":
                number, emoji = self._numbered(argument, "/react N EMOJI")
                add = not emoji.startswith("-")
                self._changed(self._service.react(number, emoji.removeprefix("-"), add=add))
            case "/to":
                if not argument:
                    raise InputError("Whom to write to is missing.", "Write /to WHO.")
                self._go_to(self._service.contact(argument.removeprefix("@")))
            case "/next":
                if not self.next_unread():
                    self._tell("Nothing unread.")
            case "/contacts":
                self._show(contacts_table(self._environment, self._service.contacts()))
            case "/history":
                self._history(argument)
            case "/search":
                self._search(argument)
            case "/status":
                self._status()
            case "/verify":
                self._verify(argument)
            case "/requests":
                self._requests()
            case "/accept":
                self._accept(argument)
            case "/reject":
                self._reject(argument)
            case "/bell":
                self._set_bell(argument)
            case "/help":
                self._help()
            case _:
                raise InputError(f"There is no command {word!r}.", "/help lists them; //TEXT sends a text with a /.")

    def _numbered(self, argument: str, usage: str, *, alone: bool = False) -> tuple[int, str]:
        """A message's number and what follows it; the message must be of this conversation."""
        word, _, rest = argument.partition(" ")
        number, rest = word.removeprefix("#"), rest.strip()
        if not (number.isascii() and number.isdigit()) or bool(rest) is alone:
            raise InputError(f"Write {usage}.", "The number stands in front of each message.")
        message = self._service.required_message(int(number))
        if message.contact != self._need_contact().alias:
            raise InputError(
                f"Message {number} is of your conversation with {message.contact!r}.", "Go there with /to."
            )
        return message.id, rest

    def _changed(self, change: SentChange) -> None:
        """Show a message of either side as the user has just changed it."""
        message = self._service.required_message(change.message_id)
        if any(own.id == message.id for own in self._tail):
            self._tail = [message if own.id == message.id else own for own in self._tail]
        else:
            self._show(spoken(self._environment, message))

    def _send(self, who: str, text: str, reply_to: int | None = None) -> None:
        message = self._service.send(who, text, reply_to)
        view = self.current
        if view is not None and message.contact == view.alias:
            self._mine = message
            if self._environment.redraws:
                self._tail.append(message)
                self._drain(_TAIL)
            else:
                self._say([message])
        else:
            self._tell(f"to {shortened(message.contact)}: sent separately")

    def _go_to(self, view: ContactView) -> None:
        self._contact_id = view.contact.id
        self._refresh()
        self._show(Text(f"You write to {shortened(view.alias)} now.", "bold"))
        self.begin()

    def next_unread(self) -> bool:
        """Go to the next contact that wrote something unread, in the order of the list; False if none did."""
        order = list(self._views)
        at = order.index(self._contact_id) + 1 if self._contact_id in self._views else 0
        for contact_id in order[at:] + order[:at]:
            if contact_id != self._contact_id and self._views[contact_id].contact.unread:
                self._go_to(self._views[contact_id])
                return True
        return False

    def _history(self, argument: str) -> None:
        if argument and not (argument.isascii() and argument.isdigit() and int(argument)):
            raise InputError(f"{argument!r} is no number of messages.", "Write /history 50.")
        messages = self._service.history(self._need_contact().alias, int(argument or 50))
        if not messages:
            self._tell("No messages yet.")
        self._last = None
        self._say(messages)

    def _search(self, argument: str) -> None:
        if not argument:
            raise InputError("What to search for is missing.", "Write /search TEXT.")
        found = self._service.history(self._need_contact().alias, 50, argument)
        if not found:
            self._tell(f"No message contains {argument!r}.")
            return
        self._tell(f"{plural(len(found), 'message')} with {argument!r}:")
        for line in conversation(self._environment, found):
            self._show(line)

    def _status(self) -> None:
        view = self._need_contact()
        self._show(steps_table(draw(Progress(view.state), view.alias, self._environment)))
        if view.pending:
            self._show(Text(pending_line(view.alias, view.pending)))

    def _verify(self, code: str) -> None:
        who = self._need_contact().alias
        found = self._service.verify(who, code) if code else self._service.verification(who)
        self._show(Text(verification_lines(found, asked=not code, command="/verify CODE")))

    def _requests(self) -> None:
        waiting = self._service.requests()
        if not waiting:
            self._tell("Nobody asks to be a contact.")
        for request in waiting:
            self._show_request(request)

    def _accept(self, argument: str) -> None:
        """Who is written to stays the same."""
        who, alias = self._asking(argument)
        name = shortened(self._service.accept(who, alias or None).alias)
        self._tell(f"* {name} is a contact now. Write to them with /to {name}.")

    def _asking(self, argument: str) -> tuple[str, str]:
        """Whose request is meant, and the alias behind it; names may have blanks."""
        waiting = self._service.requests()
        if not argument:
            if not waiting:
                raise InputError("Nobody asks to be a contact.", "Requests come through your address.")
            if len(waiting) > 1:
                raise InputError(f"{len(waiting)} requests wait.", "Write /accept N; /requests shows their numbers.")
            return str(waiting[0].id), ""
        number, _, rest = argument.removeprefix("#").partition(" ")
        if number.isascii() and number.isdigit():
            return number, rest.strip()
        begun = [request.name for request in waiting if f"{argument} ".startswith(f"{request.name} ")]
        who = max(begun, key=len, default=argument.partition(" ")[0])
        return who, argument[len(who) :].strip()

    def _reject(self, argument: str) -> None:
        if not argument:
            raise InputError("Whose request to reject is missing.", "Write /reject N; /requests shows their numbers.")
        request = self._service.reject(argument.removeprefix("#"))
        self._tell(f"* The request of {shortened(request.name)} is rejected; they are told nothing.")

    def _set_bell(self, argument: str) -> None:
        if argument not in ("", "on", "off"):
            raise InputError(f"The bell cannot be {argument!r}.", "Write /bell on or /bell off.")
        if argument:
            self._rings = argument == "on"
            self._service.set_rings(self._rings)
        self._tell(f"The bell is {'on: it rings when somebody writes' if self._rings else 'off'}.")

    def _help(self) -> None:
        commands = [*COMMANDS.values(), *_ELSEWHERE]
        width = max(len(command.usage) for command in commands) + 2
        for command in commands:
            does = indented(self._environment, command.does, width, width)
            self._show(Text(f"{command.usage:{width}}{does}"))

    # -- what happens -------------------------------------------------------------------------------------------------

    def follow(self) -> bool:
        """Take in what happened since the last call; whether anything did."""
        news = self._service.events_after(self._after)
        if not news:
            return False
        self._refresh()
        for number, event in news:
            self._after = number
            self._take(event)
        self._receive()
        self._drain(_TAIL)
        if self._confirmed:
            numbers = ", ".join(map(str, self._confirmed))
            self._show_above(Text(f"* delivered: {numbers}", "dim"))
            self._confirmed = []
        self._count_unread()
        return True

    def _count_unread(self) -> None:
        """Say who wrote meanwhile, where no toolbar does."""
        unread = self.unread()
        more = any(count > self._counted.get(alias, 0) for alias, count in unread.items())
        if more and not self._environment.redraws:
            self._tell(f"* unread: {unread_summary(unread)} (/next goes there)")
        self._counted = unread

    def _receive(self) -> None:
        view = self.current
        if view is None:
            return
        for message in self._service.unshown_messages():
            if message.contact == view.alias:
                self._say([message])
                self._service.mark_shown(message.id, message.changes)
        for message in self._service.unshown_changes():
            if message.contact == view.alias:
                self._tell(f"* {shortened(view.alias)} changed or reacted to message {message.id}:")
                self._show_above(spoken(self._environment, message))
                self._service.mark_shown(message.id, message.changes)
        self._refresh()

    def _take(self, event: events.ChatEvent) -> None:
        match event:
            case events.StateChanged(alias=str()):
                self._state_changed(event)
            case events.ContactChanged(alias):
                self._contact_changed(alias)
            case events.StatusChanged():
                self._status_changed(event)
            case events.Notice():
                self._tell(Text(f"* {printable(event.sentence)}"))
            case events.RequestReceived():
                self._bell = True
                self._show_requests()
            case events.MessageAdded(number):  # shown from the store
                message = self._service.message(number)
                self._bell |= message is not None and message.direction is Direction.RECEIVED
            case events.StateChanged() | events.MessageChanged():
                pass  # an invitation's own step; changes come from the store

    def take_bell(self) -> bool:
        """Whether the bell is to ring now: once for all that came since the last call, and not too often."""
        due, self._bell = self._bell and self._rings, False
        now = self._environment.now()
        if not due or now - self._rang < _QUIET:
            return False
        self._rang = now
        return True

    def _show_requests(self) -> None:
        for request in self._service.unshown_requests():
            self._show_request(request)

    def _show_request(self, request: RequestView) -> None:
        self._show(
            request_text(self._environment, request).append(f"  (/accept {request.id} or /reject {request.id})", "dim")
        )
        self._service.mark_request_shown(request.id)

    def _state_changed(self, event: events.StateChanged) -> None:
        view = next((v for v in self._views.values() if v.contact.connection_id == event.connection), None)
        if view is None or event.state != view.state.state:
            return  # deleted, or overtaken by a later event
        if view.contact.id == self._contact_id or event.state in (ConnectionState.CONNECTED, ConnectionState.FAILED):
            where = "" if self.current else f" Write to them with /to {shortened(view.alias)}."
            style = "bold red" if event.state == ConnectionState.FAILED else "dim"
            self._tell(Text(f"* {self._connection(view)}{where}", style))

    def _connection(self, view: ContactView) -> str:
        """Where a connection is, in a sentence."""
        alias, state = shortened(view.alias), view.state
        match state.state:
            case ConnectionState.CONNECTED:
                return f"{alias} is connected."
            case ConnectionState.FAILED:
                return printable(state.reason or f"The connection with {alias} failed.")
            case ConnectionState.READY if state.since is not None:
                moment = since(state.since, self._environment.now())
                return f"You can write to {alias} already; {waits_for(state)} since {moment}."
        return f"You can write to {alias} already; {waits_for(state)}."

    def _contact_changed(self, alias: str) -> None:
        view = next((view for view in self._views.values() if view.alias == alias), None)
        if view is not None and view.contact.profile is not None:
            name = shortened(view.contact.profile.display_name)
            self._tell(f"* {shortened(alias)} calls themselves {name}.")

    def _status_changed(self, event: events.StatusChanged) -> None:
        """New ticks are drawn beside the prompt; only what went wrong gets a line of its own."""
        message = self._service.message(event.id)
        if message is None or message.status != event.status:
            return  # deleted, or overtaken by a later event
        beside_prompt = any(own.id == message.id for own in self._tail)
        self._tail = [message if own.id == message.id else own for own in self._tail]
        if self._mine is not None and self._mine.id == message.id:
            self._mine = message
        if message.status is MessageStatus.FAILED and not beside_prompt:
            self._show(spoken(self._environment, message))
        elif message.status is MessageStatus.DELIVERED and message.id in self._open:
            self._open.discard(message.id)
            self._confirmed.append(message.id)

    # -- the screen ---------------------------------------------------------------------------------------------------

    def _show(self, renderable: RenderableType) -> None:
        self._drain(0)
        self._show_above(renderable)

    def _tell(self, sentence: str | Text) -> None:
        """A sentence of ours, in lines that end between words."""
        text = Text(sentence, "dim") if isinstance(sentence, str) else sentence
        self._show(in_words(self._environment, text))

    def _say(self, messages: list[Message]) -> None:
        if messages:
            self._drain(0)
            self._print(messages)

    def _print(self, messages: list[Message]) -> None:
        for line in conversation(self._environment, messages, self._last):
            self._show_above(line)
        self._open |= {m.id for m in messages if m.direction is Direction.SENT and m.status not in _SETTLED}
        self._last = messages[-1]

    def _drain(self, keep: int) -> None:
        """Let own messages leave the prompt's side: all but the last ``keep``, and those whose status is final."""
        while self._tail and (len(self._tail) > keep or self._tail[0].status in _SETTLED):
            self._print([self._tail.pop(0)])

    def finish(self) -> None:
        """Leave nothing beside a prompt that goes."""
        self._drain(0)

    def tail(self) -> list[Text]:
        """Own messages whose ticks still change: drawn between what was printed and the prompt."""
        return conversation(self._environment, self._tail, self._last) if self._tail else []

    def prompt(self) -> str:
        """What stands before the line to write on."""
        view = self.current
        return f"{narrowed(view.alias, 24)}> " if view else "> "

    def toolbar(self, columns: int) -> str:
        """One line: the connection if it is not made yet, the last message's status, and who wrote meanwhile."""
        view, unread = self.current, unread_summary(self.unread())
        parts = []
        if view is None:
            parts.append("nobody to write to")
        elif view.state.state != ConnectionState.CONNECTED:
            parts.append(f"{view.state.state}: {waits_for(view.state)}".rstrip(": "))
        if self._mine is not None and view is not None:
            mark = TICKS.get(self._mine.status, "") if self._environment.symbols else ""
            parts.append(f"last message {self._mine.status} {mark}".rstrip())
        if view is not None and view.pending > 1:
            parts.append(f"{view.pending} pending")
        parts.append(f"unread: {unread} (Alt-A)" if unread else "/help")
        line = (" · " if self._environment.symbols else " | ").join(parts)
        return line if len(line) <= columns else line[: max(0, columns - 1)] + "…"
