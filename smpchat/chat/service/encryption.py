"""Sets, changes and removes the passphrase of a profile while no process is online for it."""

from __future__ import annotations

from pathlib import Path

from smpchat.agent.store import encryption
from smpchat.chat.errors import InputError
from smpchat.chat.service.reading import DATABASE_NAME, is_encrypted
from smpchat.chat.store import leftovers
from smpchat.chat.store.lock import kept_offline


def set_passphrase(folder: Path, passphrase: str) -> None:
    """Encrypt a profile, and remove unencrypted files beside it that reveal its content.

    Raises:
        InputError: The profile is already encrypted.
        ProfileLocked: A process is online for the profile. Nothing changed.
        StoreError: Another process has the profile open, or the disk is full. Nothing changed.
    """
    with kept_offline(folder, folder.name):
        check_encrypted(folder, False)
        encryption.encrypt(folder / DATABASE_NAME, passphrase)
        # Unencrypted files are removed last. If smpchat crashes before that, pictures of links stay beside the
        # encrypted file until the profile is opened again.
        leftovers.remove_all(folder)


def change_passphrase(folder: Path, old: str, new: str) -> None:
    """Encrypt a profile with another passphrase.

    Raises:
        InputError: The profile is not encrypted.
        ProfileLocked, StoreError: As for `set_passphrase`.
        PassphraseRefused: ``old`` is the wrong passphrase. Nothing changed.
    """
    with kept_offline(folder, folder.name):
        check_encrypted(folder, True)
        encryption.change_passphrase(folder / DATABASE_NAME, old, new)


def remove_passphrase(folder: Path, old: str) -> None:
    """Decrypt a profile. Raises as `change_passphrase` does."""
    with kept_offline(folder, folder.name):
        check_encrypted(folder, True)
        encryption.decrypt(folder / DATABASE_NAME, old)


def check_encrypted(folder: Path, wanted: bool) -> None:
    """Checks that a profile is encrypted (if ``wanted``) or not encrypted (if not ``wanted``), and raises `InputError`
    otherwise. Called before the user is asked for a passphrase."""
    if is_encrypted(folder) == wanted:
        return
    if wanted:
        raise InputError(f"The profile {folder.name!r} is not encrypted.", "`smpchat key set` encrypts it.")
    raise InputError(
        f"The profile {folder.name!r} is already encrypted.", "`smpchat key change` changes its passphrase."
    )
