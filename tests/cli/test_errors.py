"""Every error of the program has sentences, a hint and an exit code."""

from __future__ import annotations

import errno
import importlib
import inspect
import pkgutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import smpchat
from smpchat.agent.errors import AgentError, IncompatibleVersion, Refusal
from smpchat.agent.online.file_chunks import LocalFault, NotWanted, RegistrationFailed
from smpchat.agent.store import outgoing
from smpchat.agent.store.obstacles import Obstacle
from smpchat.chat.errors import CodeDiffers, InputError, ProfileLocked, UnknownContact
from smpchat.chat.service.reading import DATABASE_NAME
from smpchat.chat.store.searching import IndexDamaged
from smpchat.cli.chat.outgoing import _Left
from smpchat.cli.chat.slash import Edit, Leave, Offer
from smpchat.cli.errors import explain
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.handler import HandlerFailed
from smpchat.client.trouble import Trouble
from smpchat.protocol.errors import ErrorCode, SMPError
from smpchat.protocol.version import VersionRange
from smpchat.relay.destinations import DestinationRefused
from smpchat.relay.errors import RelayTurnedOff
from smpchat.relay.files.connection import BrokenOff
from smpchat.relay.files.store import Gone, WrongDigest
from smpchat.relay.files.transfer import TooLong
from smpchat.relay.forwarding import ForwardRefused
from smpchat.relay.relay_session import ProxyFailure
from smpchat.transport.base import ChainRefused, ConnectFailed
from smpchat.xftp.fetching import NotFetched
from tests.cli.commands.test_server import Terminal

NEVER_SHOWN = {
    Leave,
    Edit,
    Offer,
    CommandFailed,
    HandlerFailed,
    DestinationRefused,
    ForwardRefused,
    ProxyFailure,
    IndexDamaged,
    LocalFault,
    NotWanted,
    RegistrationFailed,
    BrokenOff,
    NotFetched,
    Gone,
    WrongDigest,
    TooLong,
    _Left,
}
"""What `chat`, the index, files and the relay say to themselves, and what carries the sentences of others."""
_SAMPLES: dict[Any, object] = {
    str: "something went wrong",
    int: 3,
    float: 3.0,
    bool: True,
    int | None: 3,
    bytes: b"x",
    object: object(),
    Sequence[str]: ("bob", "Bob"),
    tuple[str, ...]: ("files.example",),
    Path: Path("/home/x"),
    VersionRange: VersionRange(1, 2),
    ErrorCode: ErrorCode(("INTERNAL",)),
    ExitStatus: ExitStatus.INPUT,
    Refusal: Refusal.TOO_OLD,
    Obstacle: Obstacle(Trouble.UNREACHABLE, "cannot reach relay relay.example", 0),
}


def _error_classes() -> Iterator[type[Exception]]:
    for module in pkgutil.walk_packages(smpchat.__path__, "smpchat."):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == module.name:
                yield value


ERRORS = sorted({*_error_classes()} - NEVER_SHOWN, key=lambda cls: (cls.__module__, cls.__qualname__))


def an_instance(cls: type[Exception]) -> Exception:
    """An error with arguments of the types that it asks for."""
    if not inspect.isfunction(cls.__init__):  # Exception's own
        return cls("something went wrong")
    named = {"VersionRange": VersionRange, "Path": Path, "Sequence": Sequence}  # not imported where only named
    hints = get_type_hints(cls.__init__, localns=named)
    parameters = list(inspect.signature(cls).parameters.values())
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    positional = [_SAMPLES[hints[p.name]] for p in required if p.kind is not p.KEYWORD_ONLY]
    return cls(*positional, **{p.name: _SAMPLES[hints[p.name]] for p in required if p.kind is p.KEYWORD_ONLY})


@pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: f"{cls.__module__}.{cls.__qualname__}")
def test_every_error_says_what_happened_and_what_to_do(cls: type[Exception]) -> None:
    explained = explain(an_instance(cls))
    assert explained.status not in (ExitStatus.OK, ExitStatus.USAGE)
    for text in (explained.message, explained.hint):
        assert text.endswith((".", "!", "?"))
        assert text[0] == text[0].upper()
    assert "unexpectedly" not in explained.message


def test_all_errors_are_found() -> None:
    assert len(ERRORS) > 40


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("No."), ExitStatus.INPUT),
        (UnknownContact("bob"), ExitStatus.INPUT),
        (ProfileLocked("No."), ExitStatus.LOCKED),
        (CodeDiffers("bob"), ExitStatus.VERIFICATION),
        (RelayTurnedOff("No."), ExitStatus.NETWORK),
        (ConnectFailed("No."), ExitStatus.NETWORK),
        (ChainRefused("No."), ExitStatus.VERIFICATION),
        (SMPError(ErrorCode(("AUTH",))), ExitStatus.REFUSED),
        (SMPError(ErrorCode(("QUOTA",))), ExitStatus.NETWORK),
        (sqlite3.OperationalError("disk I/O error"), ExitStatus.INPUT),
        (OSError(errno.ENOSPC, "No space left on device", "/home/x"), ExitStatus.INPUT),
        (CommandFailed(ExitStatus.TIMEOUT, "No.", "Wait."), ExitStatus.TIMEOUT),
        (ExceptionGroup("several", [ExceptionGroup("more", [ProfileLocked("No.")])]), ExitStatus.LOCKED),
        (ZeroDivisionError(), ExitStatus.INPUT),
    ],
    ids=lambda value: value.name if isinstance(value, ExitStatus) else type(value).__name__,
)
def test_exit_status(error: Exception, status: ExitStatus) -> None:
    assert explain(error).status is status


def test_an_unexpected_error_shows_no_details() -> None:
    explained = explain(ZeroDivisionError("secret text"))
    assert explained.message == "smpchat failed unexpectedly (ZeroDivisionError)."
    assert "secret" not in explained.hint


def test_an_error_of_the_system_without_a_file_is_its_words() -> None:
    assert explain(OSError(errno.EMFILE, "Too many open files")).message == "Too many open files."


def test_a_file_that_cannot_be_used_is_named() -> None:
    explained = explain(PermissionError(errno.EACCES, "Permission denied", "/srv/x"))
    assert explained.message == "Cannot use /srv/x: Permission denied."
    assert "--home" in explained.hint


def test_a_store_that_fails_while_a_command_is_online_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> float:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(outgoing, "next_deadline", broken)
    outcome = Terminal(tmp_path).run("listen", "--timeout", "20")
    assert outcome.status == ExitStatus.INPUT
    assert outcome.stderr.splitlines() == [
        f"The profile's database {tmp_path / 'profiles' / 'default' / DATABASE_NAME} cannot be read: disk I/O error.",
        "Check that the disk has free space and that the folder belongs to you.",
    ]
    assert "Exception in callback" not in caplog.text


@pytest.mark.parametrize(
    ("theirs", "ours", "hint"),
    [
        (VersionRange(1, 2), VersionRange(3, 4), "Ask your contact to upgrade their app and make a new link."),
        (VersionRange(5, 6), VersionRange(3, 4), "Upgrade smpchat, then open the link again."),
    ],
)
def test_whoever_is_older_has_to_upgrade(theirs: VersionRange, ours: VersionRange, hint: str) -> None:
    assert explain(IncompatibleVersion("agent protocol", theirs, ours)).hint == hint


def test_a_failed_connection_says_what_happened_and_then_what_to_do() -> None:
    explained = explain(AgentError("It was used. Ask for a new link. Compare codes"))
    assert (explained.message, explained.hint) == ("It was used.", "Ask for a new link. Compare codes.")
    assert explain(AgentError("It was used.")).hint == AgentError.hint


def test_logs_stay_off_the_terminal_unless_they_are_asked_for() -> None:
    """Python itself prints warnings, and tracebacks with them, where nobody says what becomes of logs."""
    script = "import logging, smpchat.chat.online.connectivity; logging.getLogger('smpchat.agent').error('faulty')"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
