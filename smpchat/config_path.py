"""The paths of a user's data and config files. This module contains nothing else, because every start of
smpchat imports it."""

from __future__ import annotations

from pathlib import Path

FILE = "config.toml"
PROGRAM = "smpchat"
"""Name of smpchat's folder, both in the platform's folder for user data and in its folder for config files."""


def platform_home() -> Path:
    """smpchat's folder in the platform's folder for user data."""
    from platformdirs import user_data_path  # imported only if no folder was named

    return user_data_path(PROGRAM, appauthor=False)


def platform_config_file() -> Path:
    """smpchat's config file, in its folder in the platform's folder for config files."""
    from platformdirs import user_config_path

    return user_config_path(PROGRAM, appauthor=False) / FILE


def own_config_file(home: Path) -> Path:
    """The config file for ``home``, a data folder that the user named. The file is in that folder, with one exception:
    for the folder `platform_home`, it is `platform_config_file`."""
    is_platforms = home.name == PROGRAM and home == platform_home()
    return platform_config_file() if is_platforms else home / FILE
