"""Arguments and options that several commands share: their names and help texts, and how their values are checked and
completed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from smpchat.cli.environment import make_environment
from smpchat.cli.exit_status import CommandFailed
from smpchat.cli.streams import argument_text, read_text

if TYPE_CHECKING:
    from smpchat.chat.service.reading import StoredProfile


def number(
    least: int, most: float = math.inf, *, kind: Callable[[str], float] = int, called: str = "a whole number"
) -> Callable[[str], float]:
    """Returns a parser for options whose value is a number from ``least`` to ``most``. For a number out of this range,
    the parser's error names the range, because the help does not show it.

    Args:
        kind: Converts the text of the option to a number; for example `int`.
        called: What an error calls such a number.
    """

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not {called}.") from None
        # Written like this, the check refuses nan too: every comparison with nan is false.
        if not least <= value <= most:
            limits = f"{least} or more" if most == math.inf else f"from {least} to {most}"
            raise typer.BadParameter(f"{text} is not {limits}.")
        return value

    return parse


seconds = number(0, kind=float, called="a number of seconds")
port = number(1, 65535)


def aliases(context: typer.Context, incomplete: str) -> list[str]:
    """For completion in the shell: the aliases of contacts, with @ if the user typed @. The aliases are from the
    profile that the unfinished command line names."""
    at = "@" if incomplete.startswith("@") else ""
    return [at + alias for alias in _begun(_aliases(context), incomplete.removeprefix("@"))]


def groups(context: typer.Context, incomplete: str) -> list[str]:
    """For completion: aliases of groups, and numbers of invitations to groups, but no names that strangers chose."""
    from smpchat.chat.service import group_views

    found = _look(
        context, lambda service: [g.alias or str(g.id) for g in group_views.all_views(service.database.connection)]
    )
    return _begun(found, incomplete)


def members(context: typer.Context, incomplete: str) -> list[str]:
    """For completion: the members of the group whose alias is already on the command line."""
    group = context.params.get("who")

    def listed(service: StoredProfile) -> list[str]:
        from smpchat.chat.service import group_views

        tx = service.database.connection
        found = group_views.view(tx, group_views.find(tx, str(group)), None)
        return [] if found is None else [member.name for member in found.members if member.current]

    return [] if not group else _begun(_look(context, listed), incomplete)


def who_can_go(context: typer.Context, incomplete: str) -> list[str]:
    """For completion of `delete`: the aliases of contacts, and the aliases that the user gave to unused invitations."""
    notes = _look(context, lambda service: [invitation.note or "" for invitation in service.invitations()])
    return aliases(context, incomplete) + _begun(notes, incomplete)


def requests(context: typer.Context, incomplete: str) -> list[str]:
    """For completion: the numbers of requests that wait for an answer, but not their names, which strangers chose."""
    from smpchat.agent.store import addresses

    return _begun(
        _look(context, lambda service: [str(r.id) for r in addresses.requests(service.database.connection)]), incomplete
    )


def relays(context: typer.Context, incomplete: str) -> list[str]:
    """For completion: the relay addresses in the profile's list, except those with a password. A password must not be
    put into a command line unasked."""
    from smpchat.protocol.address import format_server

    def listed(service: StoredProfile) -> list[str]:
        known = [entry.address for entry in service.servers()]
        return [format_server(address.server) for address in known if address.password is None]

    return _begun(_look(context, listed), incomplete)


def profiles(context: typer.Context, incomplete: str) -> list[str]:
    """For completion: the profiles in the data folder. If the unfinished command line contains ``--home``, that names
    the folder."""
    home = context.find_root().params.get("home")
    try:
        folder = make_environment(Path(home) if home else None, "").home / "profiles"
        return _begun(sorted(path.name for path in folder.iterdir() if _is_profile(path)), incomplete)
    except (CommandFailed, OSError):
        return []


def _is_profile(path: Path) -> bool:
    """Whether the path is a profile, and not a folder left behind by a `profile delete` that was killed."""
    return path.is_dir() and not path.name.startswith(".")


def _aliases(context: typer.Context) -> list[str]:
    return _look(context, lambda service: [view.alias for view in service.contacts()])


def _look(context: typer.Context, read: Callable[[StoredProfile], list[str]]) -> list[str]:
    """Opens the profile that the unfinished command line names, and returns what ``read`` finds in it. The list is
    empty if the profile has a passphrase or cannot be read."""
    from smpchat.agent.errors import AgentError
    from smpchat.chat.errors import ChatError
    from smpchat.chat.service.reading import StoredProfile

    named = context.find_root().params
    home = named.get("home")  # still a text: values are not converted during completion
    try:
        environment = make_environment(Path(home) if home else None, named.get("profile"))
        if not environment.is_used() or environment.is_encrypted():
            return []  # completion does not ask for a passphrase
        with closing(environment.open_as(StoredProfile)) as service:
            return read(service)
    except (CommandFailed, AgentError, ChatError):
        return []


def _begun(known: Sequence[str], incomplete: str) -> list[str]:
    """The words that begin with what was typed, and that contain no character with a special meaning in a shell."""
    return [text for text in known if text and text.startswith(incomplete) and _is_inert(text)]


def _is_inert(alias: str) -> bool:
    """Whether an alias contains no character with a special meaning in a shell.

    Shells put completed words into the line without quotes, and zsh even evaluates them first. An alias can be a name
    that another person chose, so completion must not offer an alias such as ``bob;reboot``.
    """
    return all(c > "\x7f" or c.isalnum() or c in "@+:,./_-=" for c in alias)


class WaitChange(Enum):
    """What a command waits for after it has changed a message. A command cannot wait until a change is delivered,
    because apps send no receipts for changes."""

    SENT = "sent"
    NONE = "none"


WHO = typer.Argument(metavar="WHO", help="The contact's alias.", autocompletion=aliases)
CHAT = typer.Argument(metavar="WHO", help="Alias of a contact or group.", autocompletion=aliases)
GROUP = typer.Argument(
    metavar="GROUP", help="The group's alias, or an invitation's number in `smpchat groups`.", autocompletion=groups
)
JOINED_GROUP = typer.Argument(metavar="GROUP", help="The group's alias.", autocompletion=groups)
MEMBER = typer.Argument(
    metavar="MEMBER", help="The member's name, as `smpchat group members` prints it.", autocompletion=members
)
YES = typer.Option(False, "--yes", help="Do not ask for confirmation. Without a terminal, smpchat never asks.")
YES_NEEDED = typer.Option(False, "--yes", help="Do not ask for confirmation. Without a terminal, --yes is required.")
INCOGNITO = typer.Option(False, "--incognito", help="Show the other person a made-up name instead of your profile's.")
SERVER = typer.Option(
    None,
    "--server",
    metavar="ADDRESS",
    help="Relay for this link only (default: one of your relays; see `server`).",
    autocompletion=relays,
)
QR = typer.Option(None, "--qr/--no-qr", help="Show a QR code (default on a terminal).")
QR_FILE = typer.Option(None, "--qr-file", metavar="FILE", help="Save the QR code as a new PNG file.")
LAST = typer.Option(
    None,
    "-n",
    parser=number(1),
    metavar="N",
    show_default=False,
    help="Print at most N entries, the newest ones (default: 50).",
)
SINCE = typer.Option(
    None,
    "--since",
    metavar="TIME",
    help=(
        "Only messages sent since TIME, such as 2026-11-30, '2026-11-30 09:14', yesterday, 2h for two hours ago, or 3d"
        " for three days ago."
    ),
)
UNTIL = typer.Option(
    None,
    "--until",
    metavar="TIME",
    help="Only messages sent until TIME, written as for --since. A date includes the whole day.",
)
BEFORE = typer.Option(
    None, "--before", parser=number(1), metavar="N", help="Only messages before number N, to page back."
)
REQUEST = typer.Argument(
    metavar="WHO", help="Number or name of the request; `requests` shows both.", autocompletion=requests
)
MESSAGE = typer.Argument(metavar="MESSAGE", help="Number of the message; `history` shows it.")
WAIT = typer.Option(
    None,
    "--wait",
    help=(
        "What to wait for. sent: the contact's relay has the message. delivered: the contact's app has it. In a group,"
        " one member's relay or app is enough. none: the message is only saved; the next command that goes online sends"
        " it (default: sent)."
    ),
)
WAIT_CHANGE = typer.Option(
    None,
    "--wait",
    help=(
        "What to wait for. sent: the contact's relay has the change; in a group, one member's relay is enough. none:"
        " the change is only saved; the next command that goes online sends it (default: sent)."
    ),
)
FILE_TIMEOUT = typer.Option(
    None,
    "--timeout",
    parser=seconds,
    metavar="SECONDS",
    help="Seconds for the whole transfer (default: no limit, but a transfer stops after 20 seconds without progress).",
)
TIMEOUT = typer.Option(None, "--timeout", parser=seconds, metavar="SECONDS", help="How long to wait (default: 20).")
PASSPHRASE_FILE = typer.Option(
    None, "--passphrase-file", metavar="FILE", help="File with the passphrase in its first line (asked if omitted)."
)


class Shown(NamedTuple):
    """How a link is shown, besides being printed: see the options ``--qr``, ``--qr-file`` and ``--copy``."""

    qr: bool | None
    qr_file: Path | None
    copy: bool


def body(words: list[str]) -> str:
    """The text of a message; ``-`` reads it from standard input. Raises `CommandFailed`."""
    return read_text() if words == ["-"] else argument_text(" ".join(words))
