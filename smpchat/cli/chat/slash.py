"""The meaning of a line that the user typed in `chat`: a text, a message to another contact, or a slash command."""

from __future__ import annotations

import shlex

from rich.text import Text

from smpchat.agent.errors import AgentError
from smpchat.chat.errors import ChatError, InputError, UnknownContact, UnknownRequest
from smpchat.chat.service.attention import DECISIONS
from smpchat.chat.store.records import Direction
from smpchat.chat.transactions.changes import SentChange
from smpchat.cli.chat.conversation import Conversation
from smpchat.cli.chat.slash_files import FileLines
from smpchat.cli.chat.slash_files import message_number as _number
from smpchat.cli.chat.slash_groups import GroupLines
from smpchat.cli.chat.slash_table import COMMANDS, COMMANDS_OF_SHELL, ELSEWHERE
from smpchat.cli.emoji import BY_NAME, emoji_of
from smpchat.cli.features import SETTINGS, change_for, quiet_for, setting_named
from smpchat.cli.steps import Progress, draw, steps_table
from smpchat.cli.text import plural, printable, shortened
from smpchat.cli.views.contacts import contacts_table, move_sentence, protection, renewal_sentence, verification_lines
from smpchat.cli.views.details import preferences_table, told
from smpchat.cli.views.layout import indented
from smpchat.cli.views.messages import conversation, pending_line

_HINTS: dict[type[Exception], str] = {
    UnknownContact: "/contacts lists your contacts.",
    UnknownRequest: "/requests lists requests with their numbers.",
}
"""Hints that replace an error's own hint in `chat`, because that hint names a command such as `smpchat contacts`."""


MAX_AT_ONCE = 100
"""One `/delete` deletes at most this many messages, so that a typing mistake does not delete everything."""


class Leave(Exception):
    """The user wants to leave."""


class Edit(Exception):
    """The user wants to write the message in an editor."""


class Offer(Exception):
    """Asks the terminal to put a text into the input line, so that the user can change it."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self.line = line


class Lines:
    """Handles the lines that the user enters in `chat`: sends texts, and runs slash commands.

    Attributes:
        refused: Why the last line could not be used; empty if it was used.
    """

    def __init__(self, talk: Conversation) -> None:
        self._talk, self._transcript, self._service = talk, talk.transcript, talk.service
        self._files, self._groups = FileLines(talk), GroupLines(talk)
        self.refused = ""

    def enter(self, line: str) -> bool:
        """Handle one line of the user: a command or a text. Returns False if the line could not be used; the reason is
        then on the screen.

        Raises:
            Leave: The user wants to leave.
            Edit: The caller must open an editor.
            Offer: The caller must put a text into the input line.
        """
        self._talk.refresh()  # another command may have deleted the contact
        try:
            self._enter(line)
        except (ChatError, AgentError) as error:
            self.refused = printable(str(error))
            # `AgentError.hint`, "Run the command again with -v", is left out, because slash commands have no -v.
            advice = "" if error.hint == AgentError.hint else error.hint
            hint = _HINTS.get(type(error)) or self._talk.environment.as_typed(advice)
            self._transcript.tell(
                Text.assemble(("! ", "bold red"), printable(str(error), lines=True), " ", (hint, "dim"))
            )
            return False
        finally:
            self._talk.refresh()
        self.refused = ""
        return True

    def offer_edit(self) -> str | None:
        """An ``/edit`` command with the text of the user's last message, for the input line. None if this message
        cannot be edited, or the user has sent no message."""
        view = self._talk.current
        mine = None if view is None else self._service.last_of(view.alias, Direction.SENT)
        return None if mine is None or mine.note else f"/edit {mine.id} {mine.text}"

    def _enter(self, line: str) -> None:
        line = line.rstrip("\n")  # from pasted text
        word, _, argument = line.strip().partition(" ")
        argument = argument.strip()
        if line.startswith("//"):
            self._talk.send(self._talk.need_contact().alias, line[1:])
        elif line.startswith("/"):
            self._command(word, argument)
        elif line.startswith("@") and not self._groups.is_for_the_group(line):
            if not argument:
                raise InputError("The text is missing.", "Type @WHO TEXT, or change the conversation with /to WHO.")
            self._talk.send(word[1:], argument)
        elif line.strip():
            self._talk.send(self._talk.need_contact().alias, line)

    def _command(self, word: str, argument: str) -> None:
        match COMMANDS_OF_SHELL.get(word, word):
            case "/quit" | "/q":
                raise Leave
            case "/editor":
                raise Edit
            case "/edit":
                self._edit(argument)
            case "/reply":
                number, text = self._numbered(argument, "/reply TEXT, or /reply N TEXT", Direction.RECEIVED)
                self._talk.send(self._talk.need_contact().alias, text, reply_to=number)
            case "/delete":
                numbers = self._numbers(argument) if argument else [self._last(Direction.SENT)]
                for change in self._service.retract_all(numbers):
                    self._changed(change)
            case "/forward":
                number, who = self._numbered(argument, "/forward WHO, or /forward N WHO", Direction.RECEIVED)
                self._talk.forward(number, who.removeprefix("@"))
            case "/file":
                self._files.send(argument)
            case "/get":
                self._files.get(argument)
            case "/files":
                self._files.list()
            case "/cancel":
                self._files.cancel(argument)
            case "/view":
                self._files.view(argument)
            case "/react":
                number, emoji = self._numbered(argument, "/react EMOJI, or /react N EMOJI", Direction.RECEIVED)
                add = emoji in BY_NAME or not emoji.startswith("-")
                meant = emoji_of(emoji if add else emoji.removeprefix("-"))
                self._changed(self._service.react(number, meant, add=add))
            case "/to":
                if not argument:
                    raise InputError("The contact is missing.", "Type /to WHO.")
                self._talk.go_to(self._service.contact(argument.removeprefix("@")))
            case "/next":
                if not self._talk.next_unread():
                    self._transcript.tell("No unread messages.")
            case "/contacts":
                self._transcript.show(contacts_table(self._talk.environment, self._service.contacts()))
            case "/history":
                self._history(argument)
            case "/search":
                self._search(argument)
            case "/status":
                self._status()
            case "/verify":
                self._verify(argument)
            case "/anyway":
                self._anyway()
            case "/resync":
                self._resync(argument)
            case "/switch":
                self._switch(argument)
            case "/invite":
                self._invite(argument)
            case "/groups":
                self._groups.list()
            case "/join":
                self._groups.join(argument)
            case "/members":
                self._groups.members()
            case "/leave":
                self._groups.leave(argument)
            case "/connect":
                self._connect(argument)
            case "/rename":
                self._rename(argument)
            case "/requests":
                self._requests()
            case "/accept":
                self._accept(argument)
            case "/reject":
                self._reject(argument)
            case "/set":
                self._set(argument)
            case "/mute":
                self._mute(argument)
            case "/bell":
                self._set_bell(argument)
            case "/help":
                self._help()
            case _:
                raise InputError(
                    f"{word!r} is not a command.",
                    "/help lists the commands; //TEXT sends a text that begins with /.",
                )

    def _numbers(self, argument: str) -> list[int]:
        """The numbers that the argument lists, such as ``3-5 7``, separated by blanks or commas. Each must be the
        number of a message in the current conversation."""
        found: list[int] = []
        for word in argument.replace(",", " ").split():
            first, dash, last = word.removeprefix("#").partition("-")
            begin, end = _number(first), _number(last.removeprefix("#")) if dash else _number(first)
            if begin is None or end is None:
                raise InputError(f"{word!r} is not a message number.", "For example: /delete 3-5 7.")
            if end < begin:
                raise InputError(f"{word!r} is backwards.", f"Write the smaller number first: {end}-{begin}.")
            # The range is checked before its numbers are listed: 1-999999999999 would fill the memory.
            if end - begin >= MAX_AT_ONCE - len(found):
                raise InputError(
                    f"/delete takes at most {MAX_AT_ONCE} messages at once.", "Delete the rest afterwards."
                )
            found += range(begin, end + 1)
        if not found:
            raise InputError("Type /delete N, or /delete 3-5 7.", "Each message begins with its number.")
        return [self._of_this_conversation(number) for number in found]

    def _numbered(self, argument: str, usage: str, last: Direction) -> tuple[int, str]:
        """Splits an argument into the number of a message and the text after the number.

        If no number was typed, the message is the last one that the user sent or received; ``last`` says which.
        """
        word, _, rest = argument.partition(" ")
        number, rest = _number(word.removeprefix("#")), rest.strip()
        if number is not None and rest:
            return self._of_this_conversation(number), rest
        if not argument or number is not None:
            raise InputError(f"Type {usage}.", "Each message begins with its number.")
        return self._last(last), argument

    def _last(self, side: Direction) -> int:
        """Number of the last message that the user sent or received; ``side`` says which. Raises `InputError` if there
        is no such message."""
        view = self._talk.need_contact()
        message = self._service.last_of(view.alias, side)
        if message is None:
            whose = "of yours" if side is Direction.SENT else f"from {shortened(view.alias)}"
            raise InputError(f"There is no message {whose} yet.", "Each message begins with its number.")
        return message.id

    def _edit(self, argument: str) -> None:
        """Replace the text of a message; without a new text, offer the old one for editing."""
        word, _, text = argument.partition(" ")
        number = _number(word.removeprefix("#"))
        if argument and number is None:
            raise InputError("Type /edit, /edit N, or /edit N TEXT.", "Each message begins with its number.")
        number = self._last(Direction.SENT) if number is None else self._of_this_conversation(number)
        message = self._service.required_message(number)
        text = text.strip()
        if not text and message.direction is Direction.SENT and not message.deleted:
            raise Offer(f"/edit {number} {message.text}")
        if text != message.text or message.direction is Direction.RECEIVED:
            self._changed(self._service.edit(number, text))

    def _of_this_conversation(self, number: int) -> int:
        """Return ``number``. Raises `InputError` if the message with this number is not in the current conversation."""
        message = self._service.required_message(number)
        if message.contact != self._talk.need_contact().alias:
            raise InputError(
                f"Message {number} is in your conversation with {message.contact!r}.", "Go there with /to."
            )
        return message.id

    def _changed(self, change: SentChange) -> None:
        """Show a message that the user has just changed."""
        self._transcript.changed(change.message or self._service.required_message(change.message_id))

    def _history(self, argument: str) -> None:
        if argument in ("", "back", "forward"):
            self._talk.page(back=argument != "forward")
            return
        number = _number(argument)
        if not number:
            raise InputError(f"{argument!r} is not a number.", "For example: /history 50.")
        self._talk.last(number)

    def _search(self, argument: str) -> None:
        if not argument:
            raise InputError("The text to search for is missing.", "Type /search TEXT.")
        alias = self._talk.need_contact().alias
        found = self._service.find(argument, alias)
        if not found.messages:
            self._transcript.tell(f"No message contains {argument!r}.")
            return
        count = plural(len(found.messages), "message")
        self._transcript.tell(f"The last {count} with {argument!r}:" if found.more else f"{count} with {argument!r}:")
        for line in conversation(self._talk.environment, found.messages):
            self._transcript.show(line)
        if found.more:
            before = found.messages[0].id
            command = shlex.join(("smpchat", "search", "--who", alias, "--before", str(before), "--", argument))
            self._transcript.tell(self._talk.environment.as_typed(f"For earlier messages: `{command}`"))

    def _status(self) -> None:
        view = self._talk.need_contact()
        if view.group is None:
            self._transcript.show(steps_table(draw(Progress(view.state), view.alias, self._talk.environment)))
        self._transcript.tell(protection(view))
        if view.pending:
            self._transcript.show(Text(pending_line(view.alias, view.pending)))
        if view.move is not None:
            self._transcript.tell(move_sentence(view.alias, view.move, self._talk.environment.now()))

    def _verify(self, code: str) -> None:
        who = self._talk.need_contact().alias
        found = self._service.verify(who, code) if code else self._service.verification(who)
        self._transcript.show(
            Text(verification_lines(self._talk.environment, found, asked=not code, command="/verify CODE"))
        )

    def _anyway(self) -> None:
        view = self._talk.need_contact()
        if not any(condition.kind in DECISIONS for condition in view.conditions):
            raise InputError(f"No messages to {shortened(view.alias)} are held.", "/status shows what is waiting.")
        self._service.write_anyway(view.alias)
        self._transcript.tell("* Held messages are being sent.")

    def _resync(self, argument: str) -> None:
        who = self._talk.need_contact().alias
        if argument not in ("", "refuse"):
            raise InputError(f"/resync does not take {argument!r}.", "Type /resync, or /resync refuse.")
        before = self._service.contact(who)
        if argument:
            self._service.refuse_keys(who)
            self._transcript.tell(renewal_sentence(before, refused=True))
        else:
            self._service.resync(who)
            self._transcript.tell(f"* {renewal_sentence(before)}")

    def _set(self, argument: str) -> None:
        view = self._talk.need_contact()
        who = view.alias
        if not argument and view.group is not None:
            self._groups.rules(view.group)
            return
        if not argument:
            self._transcript.show(preferences_table(self._service.details(who)))
            return
        name, _, value = argument.partition(" ")
        if not value.strip():
            raise InputError("The value is missing.", "For example: /set disappear 1d, or /set reactions no.")
        setting = setting_named(name)
        details = change_for(setting, value.strip())(self._service, who)
        self._transcript.tell(f"* {told(self._talk.environment, details, setting)}")

    def _switch(self, argument: str) -> None:
        who = self._talk.need_contact().alias
        if argument == "cancel":
            self._service.stay(who)
            self._transcript.tell(f"The move is cancelled. You still receive from {shortened(who)} at the old relay.")
            return
        self._service.rotate(who, argument or None)
        self._talk.refresh()
        move = self._talk.need_contact().move
        if move is not None:
            self._transcript.tell(move_sentence(who, move, self._talk.environment.now()))

    def _invite(self, argument: str) -> None:
        """Make a link; `Arrivals` prints the link once the link's queue exists at the relay. If the current
        conversation is a group, invite a contact to the group instead."""
        view = self._talk.current
        if view is not None and view.group is not None:
            self._groups.invite(argument)
            return
        self._talk.invited.add(self._service.invite(argument.removeprefix("@") or None))
        self._transcript.tell("* Making a link…")

    def _connect(self, argument: str) -> None:
        link, _, alias = argument.rpartition(" ")
        if not link:
            raise InputError("Type /connect LINK ALIAS.", "ALIAS is your name for the contact.")
        view = self._service.contact(self._service.connect(link.strip(), alias.removeprefix("@")).alias)
        self._talk.go_to(view)

    def _rename(self, argument: str) -> None:
        if not argument:
            raise InputError("The new alias is missing.", "Type /rename ALIAS.")
        before = self._talk.need_contact().alias
        contact = self._service.rename(before, argument.removeprefix("@"))
        self._transcript.tell(f"* {shortened(before)} is now called {shortened(contact.alias)}.")

    def _requests(self) -> None:
        waiting = self._service.requests()
        if not waiting:
            self._transcript.tell("No requests waiting.")
        for request in waiting:
            self._talk.show_request(request)

    def _accept(self, argument: str) -> None:
        """Accept a request; the current contact stays the same."""
        who, alias = self._asking(argument)
        name = shortened(self._service.accept(who, alias or None).alias)
        self._transcript.tell(f"* {name} is now a contact. Type /to {name} to write to them.")

    def _asking(self, argument: str) -> tuple[str, str]:
        """Splits an argument into the number or name of a request, and an alias, which may be empty. Names may contain
        blanks."""
        waiting = self._service.requests()
        if not argument:
            if not waiting:
                raise InputError("No requests waiting.", "People send requests through your address.")
            if len(waiting) > 1:
                raise InputError(
                    f"{len(waiting)} requests are waiting.", "Type /accept N; /requests shows the numbers."
                )
            return str(waiting[0].id), ""
        number, _, rest = argument.removeprefix("#").partition(" ")
        if number.isascii() and number.isdigit():
            return number, rest.strip()
        begun = [request.name for request in waiting if f"{argument} ".startswith(f"{request.name} ")]
        # If several names fit, the longest one is meant: for ``/accept ann lee``, both ann and ann lee may have sent a
        # request.
        who = max(begun, key=len, default=argument.partition(" ")[0])
        return who, argument[len(who) :].strip()

    def _reject(self, argument: str) -> None:
        if not argument:
            raise InputError("The request is missing.", "Type /reject N; /requests shows the numbers.")
        request = self._service.reject(argument.removeprefix("#"))
        self._transcript.tell(f"* The request from {shortened(request.name)} is rejected. They are not told.")

    def _mute(self, argument: str) -> None:
        details = self._service.mute(self._talk.need_contact().alias, quiet_for(argument))
        self._transcript.tell(f"* {told(self._talk.environment, details, SETTINGS['mute'])}")

    def _set_bell(self, argument: str) -> None:
        if argument not in ("", "on", "off"):
            raise InputError(f"{argument!r} is not on or off.", "Type /bell on or /bell off.")
        if argument:
            self._talk.bell.turn(argument == "on")
        self._transcript.tell(f"The bell is {'on: it rings when someone writes' if self._talk.bell.rings else 'off'}.")

    def _help(self) -> None:
        commands = [*COMMANDS.values(), *ELSEWHERE]
        width = max(len(command.usage) for command in commands) + 2
        for command in commands:
            does = indented(self._talk.environment, command.does, width, width)
            self._transcript.show(Text(f"{command.usage:{width}}{does}"))
