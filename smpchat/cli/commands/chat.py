"""``chat``: talk in this terminal."""

from __future__ import annotations

import sys
from contextlib import closing

from prompt_toolkit.utils import is_dumb_terminal

from smpchat.chat.errors import InputError
from smpchat.chat.online.presence import online
from smpchat.cli.chat.below import PromptBelow
from smpchat.cli.chat.conversation import Conversation, choose
from smpchat.cli.chat.screen import Screen
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.waiting import flush


async def chat(environment: Environment, who: str | None) -> int:
    """Talk until ``/quit`` or the end of input."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or environment.json:
        raise InputError("`chat` needs a terminal.", "In scripts use `smpchat send` and `smpchat listen`.")
    with closing(environment.open()) as service:
        below = PromptBelow(environment) if is_dumb_terminal() else None
        show = below.show if below else environment.show
        conversation = Conversation(environment, service, choose(service, who), show)
        async with online(service, environment.relay()):
            await Screen(environment, conversation, below=below).run()
            await flush(service)
        return ExitStatus.OK
