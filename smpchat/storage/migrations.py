"""Migrations of a component's schema, and their result.

A new file gets the tables at once, because running all scripts takes 18 ms, for which the first `invite` of a new
profile would have to wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self


class Migrations(tuple[str, ...]):
    """SQL scripts; number N brings a component's schema from version N to N + 1. Never edited once released.

    Attributes:
        tables: File with exactly the schema that all of them make from an empty database; made by
            ``python -m tests.tables``.
    """

    tables: Path

    def __new__(cls, scripts: Iterable[str], tables: Path) -> Self:
        """A slice is a plain tuple, and has another result."""
        made = super().__new__(cls, scripts)
        made.tables = tables
        return made
