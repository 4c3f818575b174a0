"""``chat``: history, incoming messages above the prompt, and a line to write on."""

from __future__ import annotations

import asyncio
import sys

from smpchat.agent.errors import AgentError
from smpchat.chat import events
from smpchat.chat.errors import ChatError, InputError
from smpchat.chat.online import FOLLOW_INTERVAL, online
from smpchat.chat.service import ChatService
from smpchat.cli import views
from smpchat.cli.environment import Environment, printable
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.waiting import flush

_COMMANDS = {
    "/to": "/to WHO: write to another contact",
    "/contacts": "/contacts: who there is",
    "/history": "/history: the last messages",
    "/status": "/status: where the connection is",
    "/help": "/help: this list",
    "/quit": "/quit: leave",
}


async def chat(environment: Environment, who: str | None) -> int:
    """Talk until ``/quit`` or the end of input."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError("`chat` needs a terminal.", "In scripts use `smpchat send` and `smpchat listen`.")
    service = environment.open()
    try:
        if who is None:
            names = [view.alias for view in service.contacts()]
            if not names:
                raise InputError("There is nobody to write to yet.", "Make a link with `smpchat invite`.")
            who = names[0]
        conversation = _Conversation(environment, service, service.contact(who).alias)
        async with online(service, environment.relay()):
            await conversation.run()
            await flush(service)
        return ExitStatus.OK
    finally:
        service.close()


class _Conversation:
    def __init__(self, environment: Environment, service: ChatService, who: str) -> None:
        self._environment, self._service, self._who = environment, service, who

    async def run(self) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.patch_stdout import patch_stdout

        words = [*_COMMANDS, *(view.alias for view in self._service.contacts())]
        session: PromptSession[str] = PromptSession(completer=WordCompleter(words, WORD=True))
        after = self._service.last_event()
        for message in self._service.history(self._who, 20):
            print(views.message_line(message))
            self._service.mark_shown(message.id)
        with patch_stdout():
            following = asyncio.create_task(self._follow(after))
            try:
                while True:
                    try:
                        line = await session.prompt_async(lambda: f"{printable(self._who)}> ")
                    except (EOFError, KeyboardInterrupt):
                        return
                    if line.strip() == "/quit":
                        return
                    if line.strip():
                        self._enter(line)
            finally:
                following.cancel()

    def _enter(self, line: str) -> None:
        """One line of the user's: a command or a text. The only place that changes who is written to."""
        try:
            command, _, argument = line.strip().partition(" ")
            if not line.startswith("/"):
                self._service.send(self._who, line)
            elif command == "/to":
                self._who = self._service.contact(argument.strip()).alias
            elif command == "/contacts":
                for view in self._service.contacts():
                    print(f"{printable(view.alias)}: {view.state.state}, {view.contact.unread} unread")
            elif command == "/history":
                for message in self._service.history(self._who):
                    print(views.message_line(message))
            elif command == "/status":
                state = self._service.contact(self._who).state
                print(f"{printable(self._who)}: {state.state}, step {state.step} of 3, {state.variant}")
            else:
                print("\n".join(_COMMANDS.values()))
        except (ChatError, AgentError) as error:
            print(f"{printable(str(error))} {error.hint}")

    async def _follow(self, after: int) -> None:
        while True:
            for number, event in self._service.events_after(after):
                after = number
                self._show(event)
            for message in self._service.unshown_messages():
                print(views.message_line(message), flush=True)
                self._service.mark_shown(message.id)
            await asyncio.sleep(FOLLOW_INTERVAL)

    def _show(self, event: events.ChatEvent) -> None:
        match event:
            case events.StateChanged(alias=str() as alias):
                print(f"* {printable(alias)}: {event.state}, step {event.step} of 3")
            case events.ContactChanged(alias):
                profile = self._service.contact(alias).contact.profile
                if profile:
                    print(f"* {printable(alias)} calls themselves {printable(profile.display_name)}")
            case events.StatusChanged():
                print(f"* message {event.id} to {printable(event.contact)}: {event.status}")
            case events.Notice():
                print(f"* {printable(event.sentence)}")
            case events.StateChanged() | events.MessageAdded():
                pass  # an invitation's own step; messages come from the store
