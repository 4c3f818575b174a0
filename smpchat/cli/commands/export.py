"""``export``: the whole profile in one encrypted file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import typer

from smpchat.chat.errors import InputError, UnknownProfile
from smpchat.cli.arguments import PASSPHRASE_FILE
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.text import printable

app = Program()


@app.command(
    epilog=examples("smpchat export alice.smpchat", "smpchat -p alice export --move alice.smpchat"),
)
def export(
    context: typer.Context,
    file: Path = typer.Argument(metavar="FILE", help="A new file."),
    passphrase_file: Path | None = PASSPHRASE_FILE,
    move: bool = typer.Option(False, "--move", help="Leave the profile offline here for good."),
) -> None:
    """Write the whole profile to one encrypted file.

    The passphrase is asked for, or read from --passphrase-file or the variable SMPCHAT_PASSPHRASE. It cannot be
    recovered. Use the profile in one place only from now on: two copies in use break each other's encryption, and
    messages are lost. With --move the profile never goes online here again, which makes sure of that.
    """
    run(context, lambda environment: _export(environment, file, passphrase_file, move=move))


def _export(environment: Environment, file: Path, passphrase_file: Path | None, *, move: bool) -> int:
    """Write the profile to an encrypted file."""
    from smpchat.chat.service.reading import StoredProfile
    from smpchat.cli.leftovers import tell_leftovers
    from smpchat.cli.passphrases import ONE_ONLY, exported_file, passphrase
    from smpchat.home import Home
    from smpchat.moving import export_profile

    home, file = Home(environment.home), file.absolute()
    if not home.has(environment.profile):
        raise UnknownProfile(environment.profile)
    tell_leftovers(environment)
    secret = passphrase(exported_file(passphrase_file), new=True)
    try:
        size = export_profile(home, environment.profile, file, secret, move=move, own_passphrase=environment.key)
    except OSError as error:
        raise InputError(f"{str(file)!r} cannot be written: {error.strerror}.", "Choose another place.") from None
    environment.emit(
        "export",
        {"profile": environment.profile, "file": str(file), "bytes": size, "moved": move},
        f"{printable(environment.profile)} is in {printable(str(file))} ({size:,} bytes)",
    )
    if move:
        environment.notice("It stays offline here from now on: import the file where you want to use it.")
    else:
        environment.notice(f"From now on use this profile or the file, never both: {ONE_ONLY}.")
    with closing(environment.open_as(StoredProfile)) as service:
        if any(environment.relay().owns(queue) for queue in service.own_relays()):
            environment.notice(
                "Some contacts write to the relay of this computer, which the file does not hold: on another computer"
                " they cannot reach you."
            )
    return ExitStatus.OK
