"""``python -m tests.vectors FILE...``: every known answer in the files, one check each.

Prints a line for each failure and then one line ``N passed, N failed``. Exit status 1 if anything failed, an unreadable
file or an unknown format included; 2 without files.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.vectors.documents import read_document
from tests.vectors.registry import checks_of


def reason(error: Exception) -> str:
    """One line about why a check failed."""
    first = str(error).splitlines()[0] if str(error) else ""
    text = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return text if len(text) <= 240 else text[:239] + "…"


def run_file(path: Path) -> tuple[int, list[str]]:
    """How many checks of the file passed, and a line for each that did not.

    A file that cannot be read or has no known format is one failure.
    """
    try:
        checks = checks_of(read_document(path))
    except Exception as error:  # whatever is wrong with the file, it is reported and the next one still runs
        return 0, [f"{path}: {reason(error)}"]
    passed, failures = 0, []
    for check in checks:
        try:
            check.run()
        except Exception as error:  # any error at all means that this answer was not reproduced
            failures.append(f"{path}: {check.name}: {reason(error)}")
        else:
            passed += 1
    return passed, failures


def main(arguments: Sequence[str]) -> int:
    """Runs the files named; returns the exit status."""
    if not arguments:
        print("usage: python -m tests.vectors FILE...", file=sys.stderr)
        return 2
    passed = failed = 0
    for name in arguments:
        good, failures = run_file(Path(name))
        passed += good
        failed += len(failures)
        for line in failures:
            print(line)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
