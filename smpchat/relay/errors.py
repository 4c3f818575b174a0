"""Errors of the relay; the docstring of `smpchat.relay` shows their tree."""

from __future__ import annotations


class RelayError(Exception):
    """Base class of the relay's errors.

    Attributes:
        hint: A sentence for the user that says what to do.
    """

    hint = "Look at relay.log in the relay's folder."


class RelayStoreError(RelayError):
    """The relay's database cannot be read or written. The current transaction was rolled back."""

    hint = "Check that the disk has free space and that the folder belongs to you."


class RelayStoreNewer(RelayStoreError):
    """A newer version of smpchat wrote the relay's data. Nothing was changed."""

    hint = "After the upgrade, run the same command again."

    def __init__(self, path: object) -> None:
        super().__init__(f"A newer smpchat wrote {path}: upgrade smpchat on this computer.")


class RelayFolderRefused(RelayError):
    """The relay's folder cannot be created, read or written. Nothing was changed."""

    hint = "Check who owns the folder and its disk, or choose another home with --home."


class RelayRunning(RelayError):
    """Another relay is already running on this folder. Nothing was changed."""

    hint = "Stop the other relay with `smpchat relay stop`."


class RelayPortTaken(RelayError):
    """The relay's port is in use by another program. Links contain the port, so the relay does not use another port
    instead."""

    hint = "Stop the program that uses the port, then start the relay again."


class RelayStartFailed(RelayError):
    """The relay's background process ended at once, or did not accept connections in time."""


class RelayTurnedOff(RelayError):
    """The user has stopped the relay, so a command that needs the relay does not start it."""

    hint = "Start the relay with `smpchat relay start`."


class RelayOptionRefused(RelayError):
    """The value of an option of the relay is not allowed. Nothing was changed."""

    hint = "`smpchat relay run --help` lists the options and their values."


class RelayNotRunning(RelayError):
    """The relay is not running, so it cannot be asked for anything."""

    hint = "Start the relay with `smpchat relay start`."


class BackupRefused(RelayError):
    """A backup cannot be written or restored. Nothing was changed."""

    hint = "Choose another file, or an empty folder with --home."
