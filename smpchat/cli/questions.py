"""Questions to which a person at a terminal answers yes or no."""

from __future__ import annotations

import shutil
import sys

from smpchat.cli.environment import Environment
from smpchat.cli.text import filled


def can_ask(environment: Environment) -> bool:
    """Whether a person reads the output and can answer."""
    return environment.attended and sys.stdin.isatty()


def agrees(question: str, before: str = "") -> bool:
    """Whether the person answers yes. ``before``: sentences on the lines above the question."""
    lines = f"{filled(before, shutil.get_terminal_size().columns)}\n" if before else ""
    print(f"{lines}{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
