"""``chat``: talk in this terminal. The chat itself is implemented in ``smpchat/cli/chat``."""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from contextlib import closing
from typing import TYPE_CHECKING, Any

import typer

from smpchat.chat.errors import InputError
from smpchat.cli.arguments import aliases
from smpchat.cli.command_line import Program
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.text import plural, shortened

if TYPE_CHECKING:
    from smpchat.chat.service.reading import StoredProfile

app = Program()
_NAMED = 3
"""At most this many contacts with unsent messages are named when `chat` ends."""
_FIRST_STEPS = """\
Terminal chat over the SimpleX Messaging Protocol. You have no contacts yet.

  `smpchat invite`         make a link for someone
  `smpchat connect LINK`   open a link from someone
  `smpchat demo`           watch two people connect
  `smpchat --help`         all commands"""


@app.command()
def chat(
    context: typer.Context,
    who: str | None = typer.Argument(
        None,
        metavar="[WHO]",
        help="Alias of a contact or group (default: the latest conversation).",
        autocompletion=aliases,
    ),
) -> None:
    """Chat in this terminal.

    Type a text and press Enter to send it. /help lists the slash commands. Ctrl-D leaves. Example: smpchat chat bob
    """
    run(context, lambda environment: talk(environment, who))


def open_chats(context: typer.Context) -> None:
    """What `smpchat` without a command does on a terminal: open the chat or, if there are no contacts yet, say how to
    begin."""
    run(context, _open_chats)


def _open_chats(environment: Environment) -> int | Coroutine[Any, Any, int]:
    if environment.is_used():
        with closing(environment.open()) as service:
            somebody = service.contacts() or service.invitations() or service.address()
        if somebody:
            return talk(environment, None)
    environment.show(environment.as_typed(_FIRST_STEPS).replace("`", ""))
    return ExitStatus.USAGE


async def talk(environment: Environment, who: str | None) -> int:
    """Run the chat until ``/quit`` or the end of input."""
    # imported here: the terminal toolkit takes longest to import, and help does not need it
    from prompt_toolkit.utils import is_dumb_terminal

    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush
    from smpchat.cli.chat.below import PromptBelow
    from smpchat.cli.chat.conversation import Conversation, choose
    from smpchat.cli.chat.screen import Screen

    if not (sys.stdin.isatty() and sys.stdout.isatty()) or environment.json:
        raise InputError("`chat` needs a terminal.", "In scripts use `smpchat send` and `smpchat listen`.")
    with closing(environment.open()) as service:
        below = PromptBelow(environment) if is_dumb_terminal() else None
        show = below.show if below else environment.show
        conversation = Conversation(environment, service, choose(service, who), show)
        async with online(service, environment.relay()):
            await Screen(environment, conversation, below=below).run()
            await flush(service)
        tell_pending(environment, service)
        return ExitStatus.OK


def tell_pending(environment: Environment, service: StoredProfile) -> None:
    """Say to whom messages are not sent yet, unless another process stays online and will send them."""
    waiting = {view.alias: view.pending for view in service.contacts() if view.pending}
    if not waiting or service.is_online():
        return
    for alias, count in list(waiting.items())[:_NAMED]:
        verb, goes = ("is", "it") if count == 1 else ("are", "them")
        environment.notice(
            f"{plural(count, 'message')} to {shortened(alias)} {verb} not sent yet: the next command that goes"
            f" online sends {goes}."
        )
    if len(waiting) > _NAMED:
        environment.notice(
            f"Messages to {plural(len(waiting) - _NAMED, 'other contact')} are not sent yet either; `smpchat status`"
            " lists them."
        )
