"""Options of several `group` commands: a group's name and alias, its texts, and what members may do."""

from __future__ import annotations

from typing import NamedTuple

import typer

from smpchat.chat.errors import InputError
from smpchat.cli.streams import argument_text

NAME = typer.Argument(metavar="NAME", help="The group's name, which members see.")
ALIAS = typer.Option(None, "--alias", metavar="ALIAS", help="Your name for the group (default: the group's own name).")
WELCOME = typer.Option(None, "--welcome", metavar="TEXT", help="A greeting for people who join; '' for none.")
DESCRIPTION = typer.Option(None, "--description", metavar="TEXT", help="One line about the group; '' for none.")


ROLE = typer.Option(
    "member",
    "--role",
    metavar="ROLE",
    show_default=False,
    help=(
        "Role in the group: observer, member, moderator, admin or owner; `group role --help` explains them (default:"
        " member)."
    ),
)
ROLE_HELP = """Change a member's role, which says what the member may do.

\b
observer   read, react, and leave the group
member     also write
moderator  also let in people, block members, delete messages of others
admin      also invite and remove members, give roles
owner      also change the group's name and settings, and end the group
"""


class Said(NamedTuple):
    """The name, description and welcome text of a group, as given on the command line; None for a text that is not
    given."""

    name: str | None
    description: str | None
    welcome: str | None

    def checked(self) -> dict[str, str | None]:
        """The name, description and welcome text as a dictionary, each read as UTF-8. Raises `CommandFailed` if a text
        is not UTF-8."""
        return {key: None if text is None else argument_text(text) for key, text in self._asdict().items()}


def switch(text: str) -> tuple[str, bool]:
    """The name and the value in a text such as ``reactions=off``; the value is True for ``on``. Raises `InputError`."""
    name, _, value = text.partition("=")
    if value.lower() not in ("on", "off"):
        raise InputError(f"{text!r} is not a valid choice here.", "Give on or off, such as `--allow reactions=off`.")
    return name.lower(), value.lower() == "on"
