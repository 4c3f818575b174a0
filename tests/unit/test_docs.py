"""What can be run is described: each benchmark has its figures on the page of measurements, with the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHES = sorted(
    path.stem for path in (ROOT / "tests" / "bench").glob("*.py") if "def main(" in path.read_text(encoding="utf-8")
)
UNMEASURED = {"fill", "load"}
"""What other benchmarks start."""


def test_there_are_benchmarks() -> None:
    assert {"files", "relay", "startup"} <= set(BENCHES)


@pytest.mark.parametrize("name", [name for name in BENCHES if name not in UNMEASURED])
def test_a_benchmark_is_on_the_page_and_in_the_list(name: str) -> None:
    page = (ROOT / "tests" / "bench" / "README.md").read_text(encoding="utf-8")
    assert f"python -m tests.bench.{name}" in page
    (row,) = re.findall(r"^\| a benchmark \|.*$", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"`{name}`" in row or f"tests.bench.{name}`" in row
