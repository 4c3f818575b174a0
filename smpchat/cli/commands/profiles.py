"""``profile switch``, ``export`` and ``import``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from smpchat.chat.errors import InputError, UnknownProfile
from smpchat.chat.service.reading import StoredProfile
from smpchat.cli.commands.people import display_name, show_profile
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.passphrases import exported_file, passphrase
from smpchat.cli.selection import DEFAULT, select
from smpchat.cli.text import printable
from smpchat.encoding.record import replace
from smpchat.home import Home
from smpchat.moving import export_profile, import_profile

_ONE_ONLY = "two copies in use break each other's encryption, and messages are lost"


def switch(environment: Environment, name: str) -> int:
    """Choose the profile that commands without ``-p`` use."""
    home = Home(environment.home)
    if not home.has(name) and name != DEFAULT:
        raise InputError(
            f"There is no profile {name!r}.",
            f"`smpchat profile list` shows your profiles; `smpchat -p {name} profile show` makes this one.",
        )
    select(home.path, name)
    return _show(environment, name)


def _show(environment: Environment, name: str, *, active: bool = True) -> int:
    named = replace(environment, profile=name)
    show_profile(named if active else environment, name, display_name(named))
    return ExitStatus.OK


def export(environment: Environment, file: Path, passphrase_file: Path | None, *, move: bool) -> int:
    """Write the profile to an encrypted file."""
    home, file = Home(environment.home), file.absolute()
    if not home.has(environment.profile):
        raise UnknownProfile(environment.profile)
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
        environment.notice(f"From now on use this profile or the file, never both: {_ONE_ONLY}.")
    with closing(environment.open_as(StoredProfile)) as service:
        if any(environment.relay().owns(queue) for queue in service.own_relays()):
            environment.notice(
                "Some contacts write to the relay of this computer, which the file does not hold: on another computer"
                " they cannot reach you."
            )
    return ExitStatus.OK


def import_file(environment: Environment, file: Path, passphrase_file: Path | None, name: str | None) -> int:
    """Make a profile of an exported file."""
    home = Home(environment.home)
    if not file.exists():
        raise InputError(f"There is no file {str(file)!r}.", "Give the file that `smpchat export` made.")
    try:
        imported = import_profile(home, file, passphrase(exported_file(passphrase_file), new=False), name)
    except OSError as error:
        raise InputError(f"{str(file)!r} cannot be imported: {error.strerror}.", "Check the file and disk.") from None
    _show(environment, imported, active=imported == environment.profile)
    environment.notice(f"Use this profile here only from now on, not where it was exported: {_ONE_ONLY}.")
    environment.notice("It is not encrypted here: `smpchat key set` does that.")
    return ExitStatus.OK
