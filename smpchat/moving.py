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
    """Write a whole profile to a new, encrypted file.

    Args:
        passphrase: The passphrase with which the new file is encrypted.
        move: If True, the profile in ``home`` never goes online again. If False, both copies of the profile can go
            online, but the user must use only one of them.
        own_passphrase: Called if the profile is encrypted; returns the profile's passphrase.
    Returns:
        Size of the file in bytes.
    Raises:
        InputError: There is no such profile, or the file already exists.
        ProfileLocked: Another smpchat process is online for the profile.
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
        # Retire the profile last, when the file is complete: if smpchat crashes before that, the profile still works.
        # If the profile were retired first, a crash could leave neither a complete file nor a profile that works.
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
        profile: The name of the new profile. If None, the name in the file is used.
        approve: Called with the relays and network settings in the file, which another person may have chosen. If
            ``approve`` returns False, nothing is imported.
    Returns:
        The name of the new profile.
    Raises:
        InputError: The profile already exists, or the file was not made by smpchat.
        ImportDeclined: ``approve`` returned False. No profile was created.
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
