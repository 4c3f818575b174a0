"""Every command of the program, with its panel and its line in the help.

The arguments and the work of a command are in ``commands/NAME.py``, which is imported when the command is run or its
own help is printed; the help of the program needs only this table. A test compares each line of this table with the
help that the command itself prints.
"""

from __future__ import annotations

import keyword
from importlib import import_module
from typing import Any, NamedTuple

PANELS = ("Connect", "Talk", "People", "Settings and relays", "Look inside")
"""The titles of the panels in which the help lists the commands, in the order of the panels."""
_CONNECT, _TALK, _PEOPLE, _SETTINGS, _INSIDE = PANELS


class Entry(NamedTuple):
    """What the program's help says about a command or a group of commands: its panel, and one line."""

    panel: str
    help: str


COMMANDS = {
    "invite": Entry(_CONNECT, "Make a one-time link for one person."),
    "connect": Entry(_CONNECT, "Open a link; you can write at once."),
    "requests": Entry(_CONNECT, "List people who want to connect."),
    "accept": Entry(_CONNECT, "Accept a request: the sender becomes a contact."),
    "reject": Entry(_CONNECT, "Reject a request; the sender is not told."),
    "chat": Entry(_TALK, "Chat in this terminal."),
    "send": Entry(_TALK, "Send a message or files."),
    "receive": Entry(_TALK, "Receive a file."),
    "files": Entry(_TALK, "List files that you sent, received or can receive."),
    "cancel": Entry(_TALK, "Stop a transfer; a file you sent is deleted from its relays."),
    "view": Entry(_TALK, "Open a file that you received."),
    "reply": Entry(_TALK, "Reply to a message."),
    "forward": Entry(_TALK, "Forward a message to a contact or group."),
    "edit": Entry(_TALK, "Edit one of your messages."),
    "retract": Entry(_TALK, "Delete messages for everybody, up to 78 hours after sending."),
    "react": Entry(_TALK, "React to a message with an emoji."),
    "listen": Entry(_TALK, "Stay online and print what arrives."),
    "history": Entry(_TALK, "Print a conversation, or the last messages everywhere."),
    "search": Entry(_TALK, "Search all conversations."),
    "contacts": Entry(_PEOPLE, "List contacts, latest conversation first."),
    "groups": Entry(_PEOPLE, "List groups and invitations to groups."),
    "status": Entry(_PEOPLE, "Show invitations, connections and relays."),
    "rename": Entry(_PEOPLE, "Change the alias of a contact or group."),
    "mute": Entry(_PEOPLE, "Mute a contact or group: no bell and no notifications."),
    "verify": Entry(_PEOPLE, "Show or compare the security code with a contact."),
    "resync": Entry(_PEOPLE, "Renew the encryption with a contact."),
    "rotate": Entry(_PEOPLE, "Receive a contact's messages at another relay."),
    "delete": Entry(_PEOPLE, "Delete a contact or group, or cancel an invitation."),
    "export": Entry(_SETTINGS, "Save the whole profile in an encrypted file."),
    "import": Entry(_SETTINGS, "Create a profile from an exported file."),
    "demo": Entry(_INSIDE, "Watch two people connect, without a network."),
    "doctor": Entry(_INSIDE, "Check the installation, profile and relays."),
    "explain": Entry(_INSIDE, "Explain an exit code or state, and what to do."),
    "man": Entry(_INSIDE, "Show the manual page."),
    "contact": Entry(_PEOPLE, "A contact's details, and your settings for this contact."),
    "group": Entry(_PEOPLE, "Make, join, change and leave groups."),
    "address": Entry(_CONNECT, "Your address: a link that many people can use."),
    "profile": Entry(_SETTINGS, "Your name, and your profiles."),
    "key": Entry(_SETTINGS, "The passphrase that encrypts your profile."),
    "server": Entry(_SETTINGS, "The relays (servers) that new invitations use."),
    "config": Entry(_SETTINGS, "Settings in a config file."),
    "relay": Entry(_SETTINGS, "The embedded relay, which comes with smpchat."),
}
"""All commands by name, in the order in which the manual page lists them."""


def declared(name: str) -> Any:
    """The Typer app in the module of a command."""
    module = f"{name}_" if keyword.iskeyword(name) else name
    return import_module(f"smpchat.cli.commands.{module}").app
