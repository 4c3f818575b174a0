"""Whether a profile has anything of files: every process that is online asks, and most find nothing.

Apart from what handles files, which is imported once there are some.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

FOLDER = "files"
"""The folder with a profile's ciphertext."""


def has_ciphertext(profile: Path) -> bool:
    """Whether there is any, also what a process has left that was killed."""
    try:
        with os.scandir(profile / FOLDER) as entries:
            return any(entries)
    except OSError:
        return False


def are_there_any(tx: sqlite3.Connection) -> bool:
    """Whether anything about files is to be done, now or later."""
    row = tx.execute(
        "SELECT EXISTS (SELECT 1 FROM files WHERE stage IN ('moving', 'opening'))"
        " OR EXISTS (SELECT 1 FROM file_deletions)"
        " OR EXISTS (SELECT 1 FROM file_chunks WHERE sender_key IS NOT NULL)"
        " OR EXISTS (SELECT 1 FROM files WHERE target IS NOT NULL)"
    ).fetchone()
    return bool(row[0])
