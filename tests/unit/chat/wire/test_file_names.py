"""Names of peers' files: nothing outside the folder, nothing that a system takes for something else."""

from __future__ import annotations

from itertools import islice
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpchat.chat.wire.file_names import MAX_BYTES, candidates, safe_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("two words.tar.gz", "two words.tar.gz"),
        ("../../x", "x"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\x.txt", "x.txt"),
        ("C:\\x.txt", "x.txt"),
        ("a:b", "a_b"),
        ("..", "file"),
        ("", "file"),
        ("dir/", "file"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("com1 .txt", "_com1 .txt"),
        ("LPT¹.txt", "_LPT¹.txt"),
        ("console.txt", "console.txt"),
        ("x\u202egpj.exe", "xgpj.exe"),
        ("a\x00b\x1b[31m\n.txt", "ab[31m.txt"),
        ("end. . ", "end"),
        ("\u3164", "file"),
        ("e\u0301.txt", "é.txt"),
        ("\ud800.txt", "txt"),
    ],
)
def test_a_name(name: str, expected: str) -> None:
    assert safe_name(name) == expected


def test_a_long_name_keeps_its_extension() -> None:
    for letter in ("x", "é", "\U0001f600"):
        name = safe_name(letter * 300 + ".tar.gz")
        assert name.endswith(".tar.gz") and MAX_BYTES - 10 < len(name.encode()) <= MAX_BYTES
        assert all(len(other.encode()) <= MAX_BYTES for other in candidates(name))


@given(st.text(max_size=400))
def test_any_name(name: str) -> None:
    safe = safe_name(name)
    assert safe not in ("", ".", "..") and len(safe.encode()) <= MAX_BYTES
    assert PurePosixPath(safe).name == safe and PureWindowsPath(safe).name == safe
    assert not PureWindowsPath(safe).is_reserved() and safe.isprintable() and safe[0] not in "-.~ "
    assert safe_name(safe) == safe


def test_names_that_are_tried() -> None:
    assert list(islice(candidates("a.tar.gz"), 3)) == ["a.tar.gz", "a_1.tar.gz", "a_2.tar.gz"]
    assert list(islice(candidates("a"), 2)) == ["a", "a_1"]
