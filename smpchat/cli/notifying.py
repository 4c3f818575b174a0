"""Notifications for a person who is not looking at the terminal: someone wrote, or wants to connect.

The terminal itself shows the notification, or a program of the user does. The notification says who wrote, but not
what, because it may appear on a locked or shared screen.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence

from smpchat.chat.errors import InputError
from smpchat.chat.store.address import RequestView
from smpchat.chat.store.records import Direction, Message
from smpchat.cli.environment import Environment
from smpchat.cli.text import shortened
from smpchat.config import NOTIFICATIONS
from smpchat.relay.surroundings import for_programs

QUIET = 3.0
"""The user is notified at most once in this many seconds."""

_running: list[subprocess.Popen[bytes]] = []
"""The process of the user's program for notifications, while it runs. Python would complain if nothing referred to the
process any more."""


class Notifier:
    """Notifies as the setting ``notifications`` says, but not too often. Never runs two notification programs at the
    same time.

    Args:
        rings: Whether to ring if the setting is ``bell``; False in `chat`, which has a bell of its own.
    Raises:
        InputError: The setting ``notifications`` names a program that does not exist.
    """

    def __init__(self, environment: Environment, *, rings: bool = True) -> None:
        self._environment = environment
        self._kind = str(environment.setting("notifications"))
        self._arguments = [] if self._kind in NOTIFICATIONS else shlex.split(self._kind)
        self._by_terminal = environment.redraws and self._kind != "off" and (rings or self._kind != "bell")
        if self._arguments and shutil.which(self._arguments[0]) is None:
            raise InputError(
                f"There is no program {self._arguments[0]!r}, so you get no notifications.",
                "Choose another program with `smpchat config set notifications COMMAND`; off as COMMAND means none.",
            )
        self._heard: Message | RequestView | None = None
        self._told = float("-inf")

    def heard(self, message: Message | None) -> None:
        """Remember a new message for the next `tell`; a message of our own is ignored."""
        if message is not None and message.direction is Direction.RECEIVED:
            self._heard = message

    def asked(self, requests: Sequence[RequestView]) -> None:
        """Remember the last of these contact requests, for the next `tell`."""
        if requests:
            self._heard = requests[-1]

    def tell(self, write: Callable[[str], object]) -> None:
        """Notify of the last message or request since the last call, unless the user was notified less than `QUIET`
        seconds ago.

        Args:
            write: A function that prints on the terminal. It gets the control characters that make the terminal ring
                or show the notification.
        """
        heard, self._heard = self._heard, None
        now = self._environment.now()
        if heard is None or now - self._told < QUIET:
            return
        self._told = now
        if self._arguments:
            self._start(heard)
        elif self._by_terminal:
            write(sequence(self._kind, _who(heard), "message" if isinstance(heard, Message) else "request"))

    def _start(self, heard: Message | RequestView) -> None:
        """Run the user's program for notifications without waiting for its end. If an earlier run has not ended yet, do
        nothing: that run has already notified the user."""
        _running[:] = [process for process in _running if process.poll() is None]
        if _running:
            return
        own = {
            "SMPCHAT_HOME": str(self._environment.home),
            "SMPCHAT_PROFILE": self._environment.profile,
            "SMPCHAT_CONTACT" if isinstance(heard, Message) else "SMPCHAT_REQUEST": os.fsdecode(
                _who(heard).replace("\0", "\ufffd").encode()
            ),
            "SMPCHAT_ID": str(heard.id),
        }
        try:
            _running.append(
                subprocess.Popen(
                    self._arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,  # the screen is ours
                    stderr=subprocess.DEVNULL,
                    env=for_programs() | own,
                    start_new_session=True,  # Ctrl-C is for us
                )
            )
        except OSError as error:
            self._arguments, self._by_terminal = [], False
            self._environment.notice(f"The program for notifications does not start: {error.strerror}.")


def _who(heard: Message | RequestView) -> str:
    """The alias of the contact who wrote; for a request, the name that its sender uses."""
    return heard.contact if isinstance(heard, Message) else heard.name


def sequence(kind: str, who: str, what: str = "message") -> str:
    """The characters that make a terminal ring, or show a notification (OSC 9 of iTerm2, OSC 777 of rxvt)."""
    # A control character in a name could end the escape sequence early; `shortened` leaves none.
    said = f"{what} from {shortened(who)}"
    match kind:
        case "osc9":
            return f"\x1b]9;smpchat: {said}\x1b\\"
        case "osc777":
            return f"\x1b]777;notify;smpchat;{said.replace(';', ',')}\x1b\\"
    return "\a"
