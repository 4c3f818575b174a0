"""Secrets in the environment: taken out of ours, and not handed on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from smpchat.relay import surroundings
from smpchat.relay.surroundings import SECRETS, for_own_process, for_programs, secret

_SCRIPT = """
import subprocess, sys
from smpchat.relay.surroundings import SECRETS, secret, take_secrets
take_secrets()
print([secret(name) for name in SECRETS])
print(subprocess.run(["env"], capture_output=True, text=True).stdout)
print(open("/proc/self/environ", "rb").read() if sys.platform == "linux" else b"")
"""


def test_a_process_keeps_them_to_itself() -> None:
    """The system shows them no more, nor does a program get them that is started later; other variables stay."""
    given = {name: f"secret {number}\xe9" for number, name in enumerate(SECRETS)}
    ended = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=os.environ | given | {"BESIDE": "kept"}, capture_output=True, check=True
    )
    known, later = ended.stdout.decode().split("\n", 1)
    assert known == str(list(given.values()))
    assert "secret" not in later and "BESIDE=kept" in later
    if sys.platform == "linux":
        assert "BESIDE=kept\\x00" in later


def test_programs_of_the_user_get_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SECRETS, "SMPCHAT_HOME", "MY_OWN"):
        monkeypatch.setenv(name, "value")
    found = for_programs()
    assert not found.keys() & set(SECRETS)
    assert found["SMPCHAT_HOME"] == found["MY_OWN"] == "value"


def test_a_process_of_ours_gets_little(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SECRETS, "SMPCHAT_KEY_COMMAND", "AWS_SECRET_ACCESS_KEY", "LC_CTYPE", "PYTHONPATH", "MYPATH"):
        monkeypatch.setenv(name, "value")
    found = for_own_process(None)
    assert found.keys() >= {"PATH", "LC_CTYPE", "PYTHONPATH"}
    assert not found.keys() & {*SECRETS, "SMPCHAT_KEY_COMMAND", "AWS_SECRET_ACCESS_KEY", "MYPATH"}
    assert for_own_process("word") == {**found, surroundings.PASSWORD_VARIABLE: "word"}


def test_without_a_beginning_they_are_read_where_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process that somebody else has begun."""
    monkeypatch.setenv("SMPCHAT_KEY", "of this process")
    assert secret("SMPCHAT_KEY") == "of this process"
    monkeypatch.delenv("SMPCHAT_KEY")
    assert secret("SMPCHAT_KEY") is None
