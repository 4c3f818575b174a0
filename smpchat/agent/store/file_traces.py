"""Whether a profile has files to send, receive or delete. Every process that goes online asks this, and most profiles
have no such files.

The code that transfers files is in other modules, which are imported only when there are files.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

FOLDER = "files"
"""The folder inside a profile's folder that holds the encrypted files."""


def has_ciphertext(profile: Path) -> bool:
    """Whether the profile's folder of encrypted files contains anything, even if only leftovers of a killed process."""
    try:
        with os.scandir(profile / FOLDER) as entries:
            return any(entries)
    except OSError:
        return False


def are_there_any(tx: sqlite3.Connection) -> bool:
    """Whether smpchat must, now or later, transfer a file, delete a chunk at its relay, forget a key for chunks, or
    remove a partly decrypted copy."""
    row = tx.execute(
        "SELECT EXISTS (SELECT 1 FROM files WHERE stage IN ('moving', 'opening'))"
        " OR EXISTS (SELECT 1 FROM file_deletions)"
        " OR EXISTS (SELECT 1 FROM file_chunks WHERE sender_key IS NOT NULL)"
        " OR EXISTS (SELECT 1 FROM files WHERE target IS NOT NULL)"
    ).fetchone()
    return bool(row[0])
