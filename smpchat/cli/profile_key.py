"""The passphrase of the profile that a command opens. The module `passphrases` is imported only when a passphrase is
needed."""

from __future__ import annotations

import sys
from pathlib import Path


class ProfileKey:
    """A profile's passphrase. The passphrase is looked for when it is first needed, and only once.

    Attributes:
        file, command: See `smpchat.cli.passphrases.Source`.
    """

    def __init__(self, profile: str = "", file: Path | None = None, command: str | None = None) -> None:
        self.profile, self.file, self.command = profile, file, command
        self._found: str | None = None

    def __call__(self) -> str:
        """The passphrase. Raises `InputError` and `PassphraseNeeded`."""
        return self._get(new=False)

    def choose(self) -> str:
        """A new passphrase, with which a profile will be encrypted. Raises `InputError` and `PassphraseNeeded`."""
        return self._get(new=True)

    def _get(self, *, new: bool) -> str:
        if self._found is None:
            from smpchat.cli.passphrases import passphrase, profile_key

            _keep_no_core()
            self._found = passphrase(profile_key(self.profile, self.file, self.command, new=new), new=new)
        return self._found

    @property
    def is_a_variable(self) -> bool:
        """Whether the passphrase comes from the environment variable ``SMPCHAT_KEY``. Programs that we start do
        not get this variable, so they cannot find the passphrase there."""
        from smpchat.cli.passphrases import KEY_VARIABLE
        from smpchat.relay.surroundings import secret

        return self.file is None and self.command is None and secret(KEY_VARIABLE) is not None

    def variables(self) -> dict[str, str]:
        """Environment variables for a program that may start `smpchat`. They name the file or the command that the
        passphrase comes from, but never contain the passphrase."""
        file = {} if self.file is None else {"SMPCHAT_KEY_FILE": str(self.file.absolute())}
        return file if self.command is None else file | {"SMPCHAT_KEY_COMMAND": self.command}


def _keep_no_core() -> None:
    """Prevent a crash from writing a core file: this file would contain the passphrase and decrypted data."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
