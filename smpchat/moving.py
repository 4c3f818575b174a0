"""Moves a profile from one home to another, in one encrypted file (`smpchat.chat.service.archive`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from smpchat.chat.errors import InputError, UnknownProfile
from smpchat.chat.service import archive
from smpchat.chat.service.choices import OwnChoices
from smpchat.chat.service.reading import no_passphrase
from smpchat.chat.store.lock import kept_offline
from smpchat.home import Home
from smpchat.storage.under_way import beside, under_way


def export_profile(
    home: Home,
    profile: str,
    file: Path,
    passphrase: str,
    *,
    move: bool = False,
    own_passphrase: Callable[[], str] = no_passphrase,
) -> int:
    """Write a whole profile to a new file, encrypted.

    Args:
        own_passphrase: If the profile is encrypted, called to get its passphrase. (The file is encrypted with
            ``passphrase``.)
        move: The profile never goes online here again. If False, the user must use only one of the two copies.
    Returns:
        Size of the file in bytes.
    Raises:
        InputError: There is no such profile, or the file already exists.
        ProfileLocked: A process is online for the profile.
    """
    if not home.has(profile):
        raise UnknownProfile(profile)
    if file.exists():
        raise InputError(f"The file {str(file)!r} already exists.", "Choose another name, or delete it first.")
    with closing(home.open(profile, passphrase=own_passphrase)) as service, kept_offline(service.folder, profile):
        data = archive.pack(service, passphrase)
        growing = beside(file)
        with under_way(home.path, growing):
            archive.write_new(growing, data)
            growing.replace(file)
        # This comes last: a crash before it leaves a whole file, and a profile that still works. In the other order, a
        # crash could leave neither.
        if move:
            service.retire()
    return len(data)


def import_profile(
    home: Home,
    file: Path,
    passphrase: str,
    profile: str | None = None,
    *,
    approve: Callable[[OwnChoices], bool] = lambda _: True,
) -> str:
    """Make a profile from a file that `export_profile` wrote.

    Args:
        profile: The profile's name here; None: the name in the file.
        approve: Called with the settings for relays in the file: whoever made the file may have chosen them. If it
            returns False, nothing is imported.
    Returns:
        The profile's name here.
    Raises:
        InputError: The profile already exists, or the file was not made by smpchat.
        ImportDeclined: The settings were not approved; nothing was made.
        ArchiveDamaged: The file was cut off or changed.
        WrongPassphrase: The passphrase is wrong.
    """
    with open(file, "rb") as opened:
        found = archive.unpack(opened.read(archive.MAX_SIZE + 1), passphrase)
    name = found.name.decode(errors="replace") if profile is None else profile
    folder = home.profile_folder(name)
    home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    archive.unfold(found, folder, home.path, approve)
    return name
