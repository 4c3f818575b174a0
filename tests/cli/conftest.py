"""A terminal for each test, in a time zone and at a width that are the same everywhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smpchat.crypto import passphrase as sealing
from smpchat.crypto.entropy import Entropy
from tests.cli.terminal import SCREENS, Terminal


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    if hasattr(time, "tzset"):  # not on Windows
        time.tzset()
    for name, value in {"COLUMNS": "80", "LINES": "24", "TERM": "xterm", "LC_ALL": "C"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR", "SMPCHAT_PROFILE", "SMPCHAT_HOME", "SMPCHAT_KEY", "SMPCHAT_NEW_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()


@pytest.fixture
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrase of an exported file as it is, with less work."""
    seal, cheap = sealing.seal, sealing.Cost(cost=4, block=8, parallel=1)

    def quick(passphrase: str, prefix: bytes, plaintext: bytes, entropy: Entropy, _: sealing.Cost) -> bytes:
        return seal(passphrase, prefix, plaintext, entropy, cheap)

    monkeypatch.setattr(sealing, "seal", quick)


@pytest.fixture
def smpchat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """The program, with a home of its own."""
    return Terminal(tmp_path, monkeypatch)


@pytest.fixture
def screen() -> Callable[[str, str], None]:
    """Compares a text with a file of `SCREENS`; writes the file if UPDATE_SCREENS is set."""

    def check(name: str, text: str) -> None:
        path = SCREENS / f"{name}.txt"
        if os.environ.get("UPDATE_SCREENS"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check
