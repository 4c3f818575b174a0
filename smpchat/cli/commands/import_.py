"""``import``: creates a profile from an exported file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from smpchat.chat.errors import ImportDeclined, InputError
from smpchat.cli.arguments import PASSPHRASE_FILE
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.questions import agrees, can_ask
from smpchat.cli.running import run
from smpchat.encoding.record import replace

if TYPE_CHECKING:
    from smpchat.chat.service.choices import OwnChoices

app = Program()


@app.command("import", epilog=examples("smpchat import alice.smpchat"))
def import_(
    context: typer.Context,
    file: Path = typer.Argument(metavar="FILE", help="A file that `smpchat export` made."),
    passphrase_file: Path | None = PASSPHRASE_FILE,
    yes: bool = typer.Option(
        False,
        "--yes",
        help="Accept the file's settings without asking. Without a terminal, they are always accepted.",
    ),
) -> None:
    """Create a profile from an exported file.

    The profile keeps the name stored in the file, unless you give another with -p. If the file contains settings
    for relays, a proxy or private routing, smpchat shows them. On a terminal it also asks whether to accept them, and
    imports nothing if you do not. Import a file once, and use the profile nowhere else: two copies in use break each
    other's encryption, and messages are lost. smpchat asks for the file's passphrase, or reads it from
    --passphrase-file or the variable SMPCHAT_PASSPHRASE.
    """
    # The name that was typed with -p; None: use the name stored in the exported file. `environment.profile` does not
    # help, because without -p it is the profile that `profile switch` chose.
    name = context.find_root().params["profile"]
    run(context, lambda environment: _import(environment, file, passphrase_file, name, sure=yes))


def _import(environment: Environment, file: Path, passphrase_file: Path | None, name: str | None, *, sure: bool) -> int:
    """Make a profile from an exported file. At a terminal, first ask whether to accept the file's settings for relays
    and the network, unless ``sure``."""
    from smpchat.cli.leftovers import tell_leftovers
    from smpchat.cli.passphrases import ONE_ONLY, exported_file, passphrase
    from smpchat.cli.views.choices import choice_fields, choice_lines
    from smpchat.cli.views.profiles import display_name, show_profile
    from smpchat.home import Home
    from smpchat.moving import import_profile

    found: list[OwnChoices] = []

    def approve(choices: OwnChoices) -> bool:
        found.append(choices)
        return sure or not choices.says_something or _agrees(environment, choices)

    home = Home(environment.home)
    if not file.exists():
        raise InputError(f"There is no file {str(file)!r}.", "Give a file that `smpchat export` made.")
    tell_leftovers(environment)
    try:
        secret = passphrase(exported_file(passphrase_file), new=False)
        imported = import_profile(home, file, secret, name, approve=approve)
    except ImportDeclined as error:
        environment.notice(str(error))
        return ExitStatus.OK
    except OSError as error:
        raise InputError(f"Cannot import {str(file)!r}: {error.strerror}.", "Check the file and the disk.") from None
    [choices] = found
    told = display_name(replace(environment, profile=imported))
    show_profile(environment, imported, told, brought=choice_fields(choices))
    if choices.says_something and not environment.json and not environment.attended:
        environment.notice("The file contains its own settings:\n" + choice_lines(choices))
    environment.notice(f"Use this profile only here, and no longer where you exported it: {ONE_ONLY}.")
    environment.notice("The imported profile is not encrypted on this computer. `smpchat key set` encrypts it.")
    return ExitStatus.OK


def _agrees(environment: Environment, choices: OwnChoices) -> bool:
    """Ask whether to accept the settings in the exported file; True if there is no terminal to ask on."""
    from smpchat.cli.views.choices import choice_lines

    if not can_ask(environment):
        return True
    environment.notice("The file contains its own settings:\n" + choice_lines(choices))
    return agrees("Import the profile with these settings?")
