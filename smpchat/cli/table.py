"""Every command of the program: where the help lists it, and its line there.

What a command takes and does stands in ``commands/NAME.py``, which is imported when the command is run or its own help
is asked for: the help of the program needs this table only. A test holds each line against the command's own help.
"""

from __future__ import annotations

import keyword
from importlib import import_module
from typing import Any, NamedTuple

PANELS = ("Connect", "Talk", "People", "Settings and relays", "Look inside")
"""Panels of the help, in this order."""
_CONNECT, _TALK, _PEOPLE, _SETTINGS, _INSIDE = PANELS


class Entry(NamedTuple):
    """A command, or a group of commands, in the help of the program."""

    panel: str
    help: str


COMMANDS = {
    "invite": Entry(_CONNECT, "Make a one-time link, and watch it being used."),
    "connect": Entry(_CONNECT, "Use a link; you can write at once."),
    "requests": Entry(_CONNECT, "List who asks to be a contact."),
    "accept": Entry(_CONNECT, "Accept a request."),
    "reject": Entry(_CONNECT, "Forget a request; its sender is told nothing."),
    "chat": Entry(_TALK, "Talk in this terminal."),
    "send": Entry(_TALK, "Send a message."),
    "reply": Entry(_TALK, "Answer a message."),
    "forward": Entry(_TALK, "Pass a message on to another contact."),
    "edit": Entry(_TALK, "Give a message of yours another text."),
    "retract": Entry(_TALK, "Take messages of yours back, within 78 hours."),
    "react": Entry(_TALK, "React to a message with an emoji."),
    "listen": Entry(_TALK, "Stay online and print what comes."),
    "history": Entry(_TALK, "Print a conversation, or the last messages of all."),
    "search": Entry(_TALK, "Find messages in all conversations."),
    "contacts": Entry(_PEOPLE, "List contacts, the latest conversation first."),
    "status": Entry(_PEOPLE, "Show invitations, handshakes and relays."),
    "rename": Entry(_PEOPLE, "Give a contact another alias."),
    "verify": Entry(_PEOPLE, "Show the security code, or compare it with theirs."),
    "resync": Entry(_PEOPLE, "Negotiate encryption anew where messages can't be read."),
    "rotate": Entry(_PEOPLE, "Receive a contact's messages at another relay."),
    "delete": Entry(_PEOPLE, "Delete a contact, or cancel an invitation."),
    "export": Entry(_SETTINGS, "Write the whole profile to one encrypted file."),
    "import": Entry(_SETTINGS, "Make a profile of an exported file."),
    "demo": Entry(_INSIDE, "Watch two people connect on a relay in this process."),
    "doctor": Entry(_INSIDE, "Check this installation, profile and relays."),
    "explain": Entry(_INSIDE, "Say what an exit code or a state means, and whose move is next."),
    "man": Entry(_INSIDE, "Show the manual page."),
    "contact": Entry(_PEOPLE, "All about one contact, and what you allow it."),
    "address": Entry(_CONNECT, "Your address, for many people to use: each sends a request."),
    "profile": Entry(_SETTINGS, "Your name, and your profiles."),
    "key": Entry(_SETTINGS, "The passphrase that your profile is encrypted with."),
    "server": Entry(_SETTINGS, "Relays for new invitations."),
    "config": Entry(_SETTINGS, "Settings in a file."),
    "relay": Entry(_SETTINGS, "The relay that comes with smpchat."),
}
"""By name, in the order of the manual page."""


def declared(name: str) -> Any:
    """The ``app`` of a command's module."""
    module = f"{name}_" if keyword.iskeyword(name) else name
    return import_module(f"smpchat.cli.commands.{module}").app
