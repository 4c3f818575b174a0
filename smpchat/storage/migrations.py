"""Migrations of a component's schema, and what they lead to.

A new file gets the tables at once: to run every script ever written takes 18 ms, which the first `invite` of a new
profile would pay.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self


class Migrations(tuple[str, ...]):
    """SQL scripts; number N brings a component's schema from version N to N + 1. Never edited once released.

    Attributes:
        tables: File with what all of them make of an empty database, to the letter; made by ``python -m tests.tables``.
    """

    tables: Path

    def __new__(cls, scripts: Iterable[str], tables: Path) -> Self:
        """A slice is a plain tuple, and leads elsewhere."""
        made = super().__new__(cls, scripts)
        made.tables = tables
        return made
