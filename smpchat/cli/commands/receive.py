"""``receive``: a file that a contact sent comes to this computer."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from smpchat.cli.arguments import FILE_TIMEOUT, aliases
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.running import run

if TYPE_CHECKING:
    from smpchat.chat.service.writing import WritingProfile

app = Program()


@app.command(epilog=examples("smpchat receive 12", "smpchat receive bob --to ~/Pictures"))
def receive(
    context: typer.Context,
    message: str = typer.Argument(
        metavar="MESSAGE",
        help="Number of the message, or a contact's alias: their last file.",
        autocompletion=aliases,
    ),
    to: Path | None = typer.Option(None, "--to", metavar="PATH", help="Save in this folder, or as this new file."),
    approve: bool = typer.Option(
        False, "--approve", help="Allow file relays that you do not use; they see your IP address."
    ),
    timeout: float | None = FILE_TIMEOUT,
) -> None:
    """Receive a file.

    The file is saved in the folder of the setting files-folder, under its own name, or with a number added: nothing is
    overwritten. It appears when it is complete and every check has passed.
    """
    run(context, lambda environment: _receive(environment, message, to, timeout, approve=approve))


async def _receive(
    environment: Environment, which: str, to: Path | None, patience: float | None, *, approve: bool
) -> int:
    """Ask for the file, and be online until it is here."""
    from smpchat.chat.online.presence import online
    from smpchat.chat.service.writing import WritingProfile
    from smpchat.cli.transferring import bar, until_moved
    from smpchat.cli.views.files import show_file

    with closing(environment.open_as(WritingProfile)) as service:
        number = message_number(service, which)
        own = environment.relay().owns_files
        relays = () if approve else service.relays_to_approve(number, own)
        if relays:
            _ask(environment, number, relays)
        asked = service.receive_file(number, to, approved=approve or bool(relays), own=own)
        assert asked.file is not None
        with bar(environment, asked.file.name, asked.file.size) as tell:
            async with online(service, environment.relay()):
                message = await until_moved(environment, service, number, patience, tell)
        show_file(environment, message)
        return ExitStatus.OK


def message_number(service: WritingProfile, which: str) -> int:
    """The message that a number or an alias names. Raises `InputError`."""
    number = which.removeprefix("#")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 16 else service.offered_by(which)


def _ask(environment: Environment, number: int, relays: tuple[str, ...]) -> None:
    """Raises `CommandFailed` unless a person agrees."""
    what = (
        f"The sender put the file at {', '.join(relays)}, which you do not use. These relays would see your IP address."
    )
    if environment.attended and sys.stdin.isatty():
        print(f"{what}\nFetch it? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise CommandFailed(
        ExitStatus.INPUT,
        what,
        f"If you agree: `smpchat receive {number} --approve`. `--socks` hides your IP address.",
    )
