"""``key``: the passphrase that a profile is encrypted with."""

from __future__ import annotations

from pathlib import Path

from smpchat.chat.errors import UnknownProfile
from smpchat.chat.service.encryption import change_passphrase, check_encrypted, remove_passphrase, set_passphrase
from smpchat.chat.service.reading import StoredProfile
from smpchat.cli import passphrases
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.text import printable


def set_(environment: Environment) -> int:
    """Encrypt the profile, which is made if it was never used."""
    folder = environment.profile_folder()
    check_encrypted(folder, False)
    environment.open_as(StoredProfile).close()
    set_passphrase(folder, environment.key.choose())
    _show(environment, "is encrypted from now on")
    environment.notice(
        "Every command asks for the passphrase now, unless it gets it from --key-file, --key-command or SMPCHAT_KEY."
        " Nobody can replace a lost one. The disk may keep traces of the file as it was, until it needs the space."
    )
    return ExitStatus.OK


def change(environment: Environment, file: Path | None, command: str | None) -> int:
    """Encrypt the profile with another passphrase."""
    source = passphrases.new_key(environment.profile, file, command)
    folder = _used(environment)
    check_encrypted(folder, True)
    environment.open_as(StoredProfile).close()  # nobody chooses a new one before the old one was found right
    change_passphrase(folder, environment.key(), passphrases.passphrase(source, new=True))
    _show(environment, "has another passphrase from now on")
    return ExitStatus.OK


def remove(environment: Environment) -> int:
    """Decrypt the profile."""
    folder = _used(environment)
    check_encrypted(folder, True)
    remove_passphrase(folder, environment.key())
    _show(environment, "is not encrypted any more")
    return ExitStatus.OK


def test(environment: Environment) -> int:
    """Open the profile with the passphrase."""
    _used(environment)
    environment.open_as(StoredProfile).close()
    _show(environment, "is encrypted, and this is its passphrase" if environment.is_encrypted() else "is not encrypted")
    return ExitStatus.OK


def _used(environment: Environment) -> Path:
    if not environment.is_used():
        raise UnknownProfile(environment.profile)
    return environment.profile_folder()


def _show(environment: Environment, what: str) -> None:
    environment.emit(
        "key",
        {"profile": environment.profile, "encrypted": environment.is_encrypted()},
        f"{printable(environment.profile)} {what}",
    )
