"""The folder with all data of a user: the profiles, and the relay that they share.

This module uses `chat` and `relay`, which do not import each other. The command line and the Python API use this
module.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from smpchat.agent.errors import StoreError
from smpchat.chat.errors import InputError, UnknownProfile
from smpchat.chat.service.reading import DEFAULT_PROFILE, Opened, is_used, no_passphrase
from smpchat.config import Configuration, read
from smpchat.config_path import FILE as CONFIG_FILE
from smpchat.config_path import PROGRAM, own_config_file, platform_config_file, platform_home
from smpchat.encoding.record import Record

if TYPE_CHECKING:
    from smpchat.chat.service.connecting import ChatService
    from smpchat.own_relay import BackgroundRelay

MAX_PROFILE_NAME = 40
_DELETED = ".deleted-"


class Home(Record):
    """A home: a folder, which is created at first use, and which only its owner can read.

    Attributes:
        config: The config file for all profiles. If None, it is the `own_config_file` of the folder.
    """

    path: Path
    config: Path | None = None

    @staticmethod
    def default() -> Home:
        """The folder that ``SMPCHAT_HOME`` names; if it is not set, the platform's folder for a user's data."""
        chosen = os.environ.get("SMPCHAT_HOME")
        if chosen:
            return Home(Path(chosen).absolute())
        return Home(platform_home().absolute(), platform_config_file())

    @property
    def config_file(self) -> Path:
        """The config file for all profiles. It is in the platform's folder for config files; if the user chose the
        home's folder, it is in the home."""
        return self.config or own_config_file(self.path)

    def config_files(self, profile: str) -> tuple[Path, Path]:
        """The config file for all profiles, and the config file of one profile, which overrides the first file. Raises
        `InputError` as `profile_folder` does."""
        return self.config_file, self.profile_folder(profile) / CONFIG_FILE

    def configuration(self, profile: str) -> Configuration:
        """The settings in the `config_files` of a profile. Raises `ConfigRefused`, and `InputError` as `profile_folder`
        does."""
        return read(self.config_files(profile))

    @property
    def relay_folder(self) -> Path:
        """Folder of the embedded relay, which all profiles of one home share."""
        return self.path / "relay"

    @property
    def downloads(self) -> Path:
        """The folder in which received files are saved. It is in the platform's downloads folder; if the user chose the
        home's folder, it is in the home."""
        if self.config is None:
            return self.path / "downloads"
        from platformdirs import user_downloads_path  # imported only where files are received

        return user_downloads_path() / PROGRAM

    def profile_folder(self, profile: str) -> Path:
        """Folder of a profile. Raises `InputError` for a name that cannot be the name of a folder."""
        # The profile's name becomes a folder's name, and any program may have chosen it. So the name must not lead out
        # of the home folder; on Windows, not only / but also \ and : could do this.
        fits = profile.isprintable() and 0 < len(profile) <= MAX_PROFILE_NAME and not profile.startswith(".")
        if not fits or any(c in profile for c in "/\\:"):
            raise InputError(f"{profile!r} cannot be the name of a profile.", "Use letters, digits, - and _.")
        return self.path / "profiles" / profile

    def open(
        self,
        profile: str = DEFAULT_PROFILE,
        *,
        socks: str | None = None,
        now: Callable[[], float] = time.time,
        passphrase: Callable[[], str] = no_passphrase,
    ) -> ChatService:
        """Open a profile, which is created at first use.

        Args:
            socks, passphrase: See `StoredProfile`.
            now: POSIX seconds.
        Raises:
            InputError: The profile's name cannot be the name of a folder, or ``socks`` is not a proxy.
            PassphraseNeeded: The profile is encrypted, and no ``passphrase`` was given. Errors that ``passphrase``
                raises are passed on.
            StoreError: The profile's folder or database cannot be used, or the passphrase is wrong.
        """
        # importing `ChatService` loads the modules of all handshakes; callers that start no handshake use `open_as`
        from smpchat.chat.service.connecting import ChatService

        return self.open_as(ChatService, profile, socks=socks, now=now, passphrase=passphrase)

    def open_as(
        self,
        kind: type[Opened],
        profile: str,
        *,
        socks: str | None = None,
        now: Callable[[], float] = time.time,
        passphrase: Callable[[], str] = no_passphrase,
    ) -> Opened:
        """Open a profile as `open` does, but return an object of the class ``kind``, which may have fewer methods than
        `ChatService`."""
        folder = self.profile_folder(profile)
        defaults = self.configuration(profile).stored_defaults()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.path / "profiles").mkdir(mode=0o700, exist_ok=True)
            return kind(
                folder,
                profile,
                socks,
                now=now,
                passphrase=passphrase,
                defaults=defaults,
                downloads=lambda: self.downloads,
            )
        except OSError as error:
            raise StoreError(f"Cannot use the folder {folder}: {error.strerror}.") from error

    def has(self, profile: str) -> bool:
        """Whether a profile was ever used. Raises `InputError` for a name that cannot be the name of a folder."""
        return is_used(self.profile_folder(profile))

    def delete(self, profile: str) -> None:
        """Delete a whole profile from the disk: its store, settings, pictures and files. Contacts and relays
        are not told.

        Raises:
            InputError: The profile's name cannot be the name of a folder.
            UnknownProfile: There is no such profile.
            ProfileLocked: Another smpchat process is online for the profile.
            StoreError: The profile's folder cannot be removed.
        """
        import shutil

        from smpchat.chat.store.lock import kept_offline

        folder = self.profile_folder(profile)
        if not folder.is_dir():
            raise UnknownProfile(profile)
        # First rename the folder: the new name begins with a dot, which no profile's name does. If this process is
        # killed while it removes the folder, the remaining files no longer count as a profile, and the next deletion of
        # a profile removes them.
        grave = folder.with_name(f"{_DELETED}{os.getpid()}-{profile}")
        try:
            with kept_offline(folder, profile):
                folder.rename(grave)
            shutil.rmtree(grave)
            for left in folder.parent.glob(f"{_DELETED}*"):
                shutil.rmtree(left, ignore_errors=True)  # another process may be removing the same folder
        except OSError as error:
            raise StoreError(f"The folder {error.filename or folder} cannot be removed: {error.strerror}.") from error

    def relay(self) -> BackgroundRelay:
        """The embedded relay of this home."""
        from smpchat.own_relay import BackgroundRelay  # imported here: most commands need no relay

        return BackgroundRelay(self.relay_folder)
