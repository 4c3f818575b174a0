"""``key``: sets, changes, tests or removes the passphrase with which a profile is encrypted."""

from __future__ import annotations

from pathlib import Path

import typer

from smpchat.chat.errors import UnknownProfile
from smpchat.cli import passphrases
from smpchat.cli.command_line import examples, group
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.text import printable

app = group("The passphrase that encrypts your profile.", "smpchat key set")


@app.command("set", epilog=examples("smpchat key set", "smpchat -p work --key-command 'pass smpchat' key set"))
def set_(context: typer.Context) -> None:
    """Encrypt the profile with a passphrase.

    smpchat asks for the passphrase, or takes it from --key-file, --key-command or the variable SMPCHAT_KEY. Every later
    command needs the passphrase. A lost passphrase cannot be recovered. Stop other smpchat commands of this profile
    first.
    """
    run(context, _set)


def _set(environment: Environment) -> int:
    """Encrypt the profile; if it does not exist yet, create an encrypted one."""
    from smpchat.chat.service.encryption import check_encrypted, set_passphrase
    from smpchat.chat.service.reading import StoredProfile
    from smpchat.cli.leftovers import tell_leftovers

    folder = environment.profile_folder()
    check_encrypted(folder, False)
    environment.open_as(StoredProfile).close()
    set_passphrase(folder, environment.key.choose())
    tell_leftovers(environment)  # an import that was killed may have left a profile that is not encrypted
    _show(environment, "is now encrypted")
    environment.notice(
        "Every command now asks for the passphrase, unless it comes from --key-file, --key-command or"
        " SMPCHAT_KEY. A lost passphrase cannot be recovered. Traces of the unencrypted file may stay on disk"
        " until overwritten."
    )
    return ExitStatus.OK


@app.command("change")
def change(
    context: typer.Context,
    file: Path | None = typer.Option(
        None, "--new-key-file", metavar="FILE", help="File with the new passphrase in its first line."
    ),
    command: str | None = typer.Option(
        None, "--new-key-command", metavar="CMD", help="Command that prints the new passphrase."
    ),
) -> None:
    """Change the passphrase.

    smpchat asks for the old passphrase, unless --key-file, --key-command or the variable SMPCHAT_KEY gives it. Then it
    asks for the new passphrase, unless --new-key-file, --new-key-command or the variable SMPCHAT_NEW_KEY gives it.

    Example: smpchat key change
    """
    run(context, lambda environment: _change(environment, file, command))


def _change(environment: Environment, file: Path | None, command: str | None) -> int:
    """Encrypt the profile with another passphrase."""
    from smpchat.chat.service.encryption import change_passphrase, check_encrypted
    from smpchat.chat.service.reading import StoredProfile

    source = passphrases.new_key(environment.profile, file, command)
    folder = _used(environment)
    check_encrypted(folder, True)
    environment.open_as(StoredProfile).close()  # checks the old passphrase before asking for a new one
    change_passphrase(folder, environment.key(), passphrases.passphrase(source, new=True))
    _show(environment, "has a new passphrase")
    return ExitStatus.OK


@app.command("remove")
def remove(context: typer.Context) -> None:
    """Remove the passphrase; the profile is then not encrypted. Example: smpchat key remove"""
    run(context, _remove)


def _remove(environment: Environment) -> int:
    """Decrypt the profile."""
    from smpchat.chat.service.encryption import check_encrypted, remove_passphrase

    folder = _used(environment)
    check_encrypted(folder, True)
    remove_passphrase(folder, environment.key())
    _show(environment, "is no longer encrypted")
    return ExitStatus.OK


@app.command("test")
def test(context: typer.Context) -> None:
    """Check whether your passphrase is correct. Example: smpchat key test --key-file secret.txt"""
    run(context, _test)


def _test(environment: Environment) -> int:
    """Test the passphrase by opening the profile with it."""
    from smpchat.chat.service.reading import StoredProfile

    _used(environment)
    environment.open_as(StoredProfile).close()
    _show(
        environment,
        "is encrypted, and this passphrase is correct" if environment.is_encrypted() else "is not encrypted",
    )
    return ExitStatus.OK


def _used(environment: Environment) -> Path:
    if not environment.is_used():
        raise UnknownProfile(environment.profile)
    return environment.profile_folder()


def _show(environment: Environment, what: str) -> None:
    environment.emit(
        "key",
        {"profile": environment.profile, "encrypted": environment.is_encrypted()},
        f"The profile {printable(environment.profile)} {what}.",
    )
