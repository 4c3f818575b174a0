"""``import``: a profile made of an exported file."""

from __future__ import annotations

from pathlib import Path

import typer

from smpchat.chat.errors import InputError
from smpchat.cli.arguments import PASSPHRASE_FILE
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.encoding.record import replace

app = Program()


@app.command("import", epilog=examples("smpchat import alice.smpchat"))
def import_(
    context: typer.Context,
    file: Path = typer.Argument(metavar="FILE", help="What `smpchat export` made."),
    passphrase_file: Path | None = PASSPHRASE_FILE,
) -> None:
    """Make a profile of an exported file.

    It gets its own name, or the one of -p. Import a file once, and use the profile nowhere else: two copies in use
    break each other's encryption, and messages are lost. The passphrase is asked for, or read from --passphrase-file or
    the variable SMPCHAT_PASSPHRASE.
    """
    # As it was typed. The environment has the chosen profile in place of none, and a file is to bring its own name.
    name = context.find_root().params["profile"]
    run(context, lambda environment: _import(environment, file, passphrase_file, name))


def _import(environment: Environment, file: Path, passphrase_file: Path | None, name: str | None) -> int:
    """Make a profile of an exported file."""
    from smpchat.cli.passphrases import ONE_ONLY, exported_file, passphrase
    from smpchat.cli.views.profiles import display_name, show_profile
    from smpchat.home import Home
    from smpchat.moving import import_profile

    home = Home(environment.home)
    if not file.exists():
        raise InputError(f"There is no file {str(file)!r}.", "Give the file that `smpchat export` made.")
    try:
        imported = import_profile(home, file, passphrase(exported_file(passphrase_file), new=False), name)
    except OSError as error:
        raise InputError(f"{str(file)!r} cannot be imported: {error.strerror}.", "Check the file and disk.") from None
    show_profile(environment, imported, display_name(replace(environment, profile=imported)))
    environment.notice(f"Use this profile here only from now on, not where it was exported: {ONE_ONLY}.")
    environment.notice("It is not encrypted here: `smpchat key set` does that.")
    return ExitStatus.OK
