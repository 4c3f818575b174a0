"""Removes unfinished files of a killed command, and says so."""

from __future__ import annotations

from smpchat.cli.environment import Environment
from smpchat.cli.text import printable


def tell_leftovers(environment: Environment) -> None:
    """Remove the unfinished files in the data folder, and print a notice for each."""
    from smpchat.storage.under_way import sweep

    for path in sweep(environment.home):
        environment.notice(f"Removed {printable(str(path))}, left by an interrupted command.")
