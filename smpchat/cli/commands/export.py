"""``export``: writes the whole profile into one encrypted file."""

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
    move: bool = typer.Option(False, "--move", help="Never go online with the profile here again."),
) -> None:
    """Save the whole profile in an encrypted file.

    smpchat asks for the file's passphrase, or reads it from --passphrase-file or the variable SMPCHAT_PASSPHRASE. A
    lost passphrase cannot be recovered. Use the profile in one place only: two copies in use break each other's
    encryption and lose messages. With --move the profile never goes online here again.
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
        raise InputError(f"Cannot write {str(file)!r}: {error.strerror}.", "Choose another place.") from None
    environment.emit(
        "export",
        {"profile": environment.profile, "file": str(file), "bytes": size, "moved": move},
        f"{printable(environment.profile)} exported to {printable(str(file))} ({size:,} bytes)",
    )
    if move:
        environment.notice("The profile never goes online here again. Import the file where you want to use it.")
    else:
        environment.notice(f"Use either this profile or the file, never both: {ONE_ONLY}.")
    with closing(environment.open_as(StoredProfile)) as service:
        if any(environment.relay().owns(queue) for queue in service.own_relays()):
            environment.notice(
                "Some contacts write to the embedded relay on this computer, which is not in the file: they"
                " cannot reach you on another computer."
            )
    return ExitStatus.OK
