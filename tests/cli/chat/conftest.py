"""Bob, who knows alice and carol and may begin to talk."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.cli.chat.talk import Talk
from tests.cli.terminal import FakeTerminal, Terminal


@pytest.fixture
def people(smpchat: Terminal) -> Terminal:
    """Bob knows alice and carol."""
    smpchat.connected("alice", "bob")
    smpchat.connected("carol", "bob")
    return smpchat


@pytest.fixture
def talk(people: Terminal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Talk]]:
    """Begins a conversation of bob's, on a terminal."""
    with ExitStack() as stack:

        def begin(who: str | None = "alice", *, plain: bool = False) -> Talk:
            monkeypatch.setattr(sys, "stdout", FakeTerminal())  # here, or pytest's own comes back before the test
            return Talk(people, stack.enter_context(people.service("bob")), who, plain=plain)

        yield begin
