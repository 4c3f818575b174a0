"""Errors of the relay; the tree is drawn in the package docstring."""

from __future__ import annotations


class RelayError(Exception):
    """Root of the relay.

    Attributes:
        hint: One sentence saying what to do about it, for the person who meets it.
    """

    hint = "Look at relay.log in the relay's folder."


class RelayStoreError(RelayError):
    """The relay's database cannot be read or written. What was under way was rolled back."""

    hint = "Check that the disk has free space and that the folder belongs to you."


class RelayStoreNewer(RelayStoreError):
    """A later version of this program wrote the data that this one should read. Nothing changed."""

    hint = "After the upgrade, run the same command again."

    def __init__(self, path: object) -> None:
        super().__init__(f"A newer smpchat wrote {path}: upgrade smpchat on this computer.")


class RelayFolderRefused(RelayError):
    """The relay's folder cannot be made, read or written. Nothing changed."""

    hint = "Check who owns the folder and its disk, or choose another home with --home."


class RelayRunning(RelayError):
    """Another relay already runs on this folder. Nothing changed."""

    hint = "Stop it with `smpchat relay stop`."


class RelayPortTaken(RelayError):
    """The relay's port is in use by another program. Links contain the port, so the relay does not use another one."""

    hint = "Stop the program that uses the port, then start the relay again."


class RelayStartFailed(RelayError):
    """A relay started in the background ended, or did not accept connections in time."""


class RelayTurnedOff(RelayError):
    """The relay was stopped on purpose, so it is not started on demand."""

    hint = "Start it with `smpchat relay start`."


class RelayOptionRefused(RelayError):
    """An option of the relay has a value that it cannot have. Nothing changed."""

    hint = "`smpchat relay run --help` lists the options and their values."


class RelayNotRunning(RelayError):
    """Only a running relay can tell this, and it does not run."""

    hint = "Start it with `smpchat relay start`."


class BackupRefused(RelayError):
    """A backup cannot be written there, or cannot be restored. Nothing changed."""

    hint = "Choose another file, or an empty folder with --home."
