"""The program as a process of its own; and what help does not wait for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from smpchat.cli.table import COMMANDS
from tests.cli.terminal import Terminal

HEAVY = (
    "asyncio",
    "cryptography",
    "nacl",
    "prompt_toolkit",
    "rich.console",
    "segno",
    "smpchat.chat",
    "smpchat.cli.explanations",
    "sqlite3",
    "pydantic",
)
DOING = (
    "asyncio",
    "cryptography",
    "filelock",
    "nacl",
    "prompt_toolkit",
    "smpchat.agent.transactions",
    "smpchat.chat.online.presence",
    "smpchat.chat.service.writing",
    "smpchat.client.network",
    "smpchat.relay.server",
    "ssl",
)
"""What no help takes."""
ONLINE = (
    "prompt_toolkit",
    "python_socks",
    "smpchat.agent.transactions.connection",
    "smpchat.agent.machines.handshake",
    "smpchat.agent.wire.link_data",
    "smpchat.agent.wire.links",
    "smpchat.agent.machines.resync",
    "smpchat.agent.online.runner",
    "smpchat.chat.online.connectivity",
    "smpchat.chat.service.connecting",
    "smpchat.cli.explanations",
    "smpchat.cli.schema",
    "smpchat.client.session",
    "smpchat.protocol.command_codec",
    "smpchat.protocol.commands",
    "smpchat.protocol.session",
    "smpchat.relay.daemon",
    "smpchat.relay.server",
    "smpchat.relay.statistics",
    "smpchat.relay.store",
    "smpchat.transport.tls",
    "websockets",
)
"""What only making connections and being online take."""
DELIVERING = (
    "asyncio",
    "filelock",
    "nacl.bindings",
    "platformdirs",
    "pqcrypto",
    "smpchat.agent.online",
    "smpchat.chat.online.presence",
    "ssl",
)
"""What a message that is handed over does not take either."""
MAKING_LINKS = (
    "filelock",
    "smpchat.agent.wire.pasted",
    "smpchat.cli.steps",
    "smpchat.relay.background",
    "smpchat.relay.server",
    "smpchat.transport.certificates",
    "smpchat.transport.identity",
    "tempfile",
)
"""What a new link does not take."""
FILES = (
    "concurrent.futures.thread",
    "smpchat.agent.machines.file_transfer",
    "smpchat.agent.online.file_bytes",
    "smpchat.agent.online.file_relays",
    "smpchat.agent.online.file_transfers",
    "smpchat.agent.store.encrypted_files",
    "smpchat.agent.store.file_chunks",
    "smpchat.agent.store.file_deletions",
    "smpchat.agent.store.file_folder",
    "smpchat.agent.store.files",
    "smpchat.agent.transactions.files",
    "smpchat.agent.wire.file_presets",
    "smpchat.chat.wire.file_names",
    "smpchat.chat.wire.media",
    "smpchat.cli.delivering_files",
    "smpchat.cli.transferring",
    "smpchat.protocol.xftp",
    "smpchat.transport.http2",
    "smpchat.xftp",
)
"""What only files take; and the threads in which they are read and written."""
WRITING = (
    "asyncio",
    "cryptography.x509",
    "filelock",
    "pqcrypto",
    "smpchat.agent.wire.envelope",
    "smpchat.agent.transactions.sealing",
    "smpchat.chat.wire.message",
    "smpchat.chat.service.writing",
    "smpchat.crypto.ratchet",
    "ssl",
)
"""What writing to a contact takes besides a look into the store; certificates only to tell what went wrong."""
COMPUTING = (
    "cryptography",
    "dataclasses",
    "getpass",
    "hashlib",
    "logging",
    "nacl",
    "rich",
    "smpchat.agent.wire.short_links",
    "smpchat.chat.store.servers",
    "smpchat.client.routes",
    "smpchat.protocol.version",
    "smpchat.relay.folder",
    "smpchat.transport.socks_address",
)
"""What no look into the store takes: the primitives behind keys, what reads links and addresses, and colours."""
CONNECTING = (
    "smpchat.agent.machines.moving",
    "smpchat.agent.store.resyncs",
    "smpchat.agent.store.rotations",
    "smpchat.client.errors",
    "smpchat.crypto.ratchet_skipped",
    "smpchat.own_relay",
    "smpchat.transport.base",
)
"""Nor what is kept of connections that are being moved or renewed, and what may be wrong with a relay."""
KEYS = ("smpchat.crypto.agreement", "smpchat.crypto.kem", "smpchat.crypto.ratchet_state")
"""What only those look into who tell how a contact is protected."""


def _run(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SMPCHAT_HOME": str(home), "LOGNAME": "ola"}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=60)


def test_the_program_runs(tmp_path: Path) -> None:
    done = _run(tmp_path, "-m", "smpchat", "profile", "show", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["display_name"] == "ola"


def test_an_error_ends_the_process_with_its_code(tmp_path: Path) -> None:
    assert _run(tmp_path, "-m", "smpchat", "connect", "nonsense").returncode == 1
    assert _run(tmp_path, "-m", "smpchat", "nonsense").returncode == 2


@pytest.mark.parametrize("command", ["profile show", "demo", "man"])
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, command: str) -> None:
    script = f"{sys.executable} -m smpchat {command} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "SMPCHAT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.skipif(os.name != "posix", reason="the shell closes the streams")
@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("contacts >&-", 0, ""),
        ("doctor >&- 2>&- <&-", 0, ""),
        ("listen --timeout 0 >&-", 0, ""),
        ("send bob - <&-", 1, "There is no contact 'bob'."),
        ("chat <&-", 1, "`chat` needs a terminal."),
        ("contacts >&- --nonsense 2>&-", 2, ""),
        ("connect nonsense 2>&1 >/dev/null | (exec <&-); exit ${PIPESTATUS[0]}", 1, ""),
    ],
)
def test_a_stream_that_is_closed_is_no_error(tmp_path: Path, line: str, code: int, told: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m smpchat {line}"],
        env={**os.environ, "SMPCHAT_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr.split("\n")[0]) == (code, "", told)


@pytest.mark.skipif(os.name != "posix", reason="the shell closes the streams")
def test_what_is_written_to_a_closed_stream_goes_into_no_file(tmp_path: Path) -> None:
    """The next file that is opened would get its number: a database, in the middle of which a notice then stands."""
    code = "from smpchat import __main__ as m; m._open_closed_streams(); import os; print(os.open(__file__, 0))"
    script = tmp_path / "script.py"
    script.write_text(code.replace("print(", "open('found', 'w').write(str(").replace("0))", "0)))"))
    line = f"cd {tmp_path} && {sys.executable} script.py <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", line], env=dict(os.environ), timeout=60).returncode == 0
    assert int((tmp_path / "found").read_text()) > 2


def test_the_demonstration_shows_three_steps_of_two_people(tmp_path: Path) -> None:
    done = _run(tmp_path, "-m", "smpchat", "demo", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for role in ("initiator", "joiner"):
        states = [value for value in found if value["type"] == "state" and value["role"] == role]
        assert [state["step"] for state in states] == [1, 2, 3]
        assert states[-1]["state"] == "connected"
    assert {value["status"] for value in found if value["type"] == "status"} == {"sent", "delivered"}
    assert not list(tmp_path.iterdir())


def _imported(home: Path, *arguments: str) -> tuple[int, list[str]]:
    """Exit status of a command, and all modules that its process has imported at its end."""
    program = (
        f"import sys; from smpchat.cli.app import main\n"
        f"try: main({arguments!r})\n"
        "finally: print('modules', *sys.modules, file=sys.stderr)"
    )
    done = _run(home, "-c", program)
    marked = [line for line in done.stderr.splitlines() if line.startswith("modules ")]
    return done.returncode, marked[-1].split()


def _commands(imported: list[str]) -> set[str]:
    """The commands among imported modules."""
    start = "smpchat.cli.commands."
    return {name.removeprefix(start) for name in imported if name.startswith(start)}


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    _, imported = _imported(tmp_path, "--help")
    assert "typer" in imported
    assert not [name for name in HEAVY if name in imported]
    assert _commands(imported) == set()


def test_a_command_imports_no_other_one(tmp_path: Path) -> None:
    assert _commands(_imported(tmp_path, "contacts", "-q")[1]) == {"contacts"}
    assert _commands(_imported(tmp_path, "relay", "status", "--help")[1]) == {"relay"}


def test_the_manual_imports_nothing_of_what_the_commands_do(tmp_path: Path) -> None:
    """It shows every command's own help: so no such help waits for what the command does."""
    _, imported = _imported(tmp_path, "man")
    assert len(_commands(imported)) == len(COMMANDS)
    assert not [name for name in DOING if name in imported]


def test_completion_imports_the_command_that_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SMPCHAT_COMPLETE", "complete_bash")
    for line, modules in (("smpchat ", set()), ("smpchat re", set()), ("smpchat verify a", {"verify"})):
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        assert _commands(_imported(tmp_path)[1]) == modules, line


@pytest.fixture
def connected(smpchat: Terminal) -> Path:
    """A home with Bob, whose contact is Alice."""
    smpchat.connected()
    return smpchat.home


@pytest.mark.parametrize(
    "command", [["contacts"], ["status"], ["status", "alice"], ["history", "alice"], ["search", "hello"]]
)
@pytest.mark.parametrize("options", [["--json"], []], ids=["scripts", "people"])
def test_commands_that_read_import_what_reads(connected: Path, command: list[str], options: list[str]) -> None:
    status, imported = _imported(connected, "-p", "bob", *options, *command)
    assert status == 0 and "smpchat.chat.service.reading" in imported
    forbidden = {*WRITING, *ONLINE, *COMPUTING, *CONNECTING, *FILES}
    if command[0] in ("history", "search"):
        forbidden |= {*KEYS, "smpchat.cli.views.contacts", "smpchat.cli.views.links"}
    if command[0] == "status":
        forbidden.discard("smpchat.relay.folder")  # it tells whether the relay runs
    if command == ["status", "alice"] and not options:
        forbidden -= {"dataclasses", "rich"}  # the three steps of one contact are drawn
    assert not forbidden.intersection(imported)


def test_send_beside_an_online_process_imports_nothing_of_what_that_one_does(connected: Path) -> None:
    with FileLock(connected / "profiles" / "bob" / "online.lock"):  # nobody delivers: the command waits in vain
        status, imported = _imported(
            connected, "-p", "bob", "send", "alice", "hello", "--wait", "sent", "--timeout", "0"
        )
    assert status != 0 and "smpchat.agent.transactions.sealing" in imported
    assert not [name for name in (*ONLINE, *DELIVERING, *FILES, "rich.console") if name in imported]


@pytest.mark.parametrize("command", [["send", "alice", "hello"], ["listen"]])
def test_who_is_online_imports_nothing_of_files_where_there_are_none(connected: Path, command: list[str]) -> None:
    status, imported = _imported(connected, "-p", "bob", *command, "--timeout", "0.1")
    assert "smpchat.agent.online.runner" in imported
    assert not [name for name in FILES if name in imported], status


def test_an_invitation_imports_nothing_of_reading_links_or_of_certificates_that_relays_make(connected: Path) -> None:
    try:
        assert _run(connected, "-m", "smpchat", "relay", "start").returncode == 0
        status, imported = _imported(connected, "-p", "carol", "invite", "--no-wait", "--timeout", "0.1")
    finally:
        assert _run(connected, "-m", "smpchat", "relay", "stop").returncode == 0
    assert "smpchat.transport.tls" in imported
    assert not [name for name in (*MAKING_LINKS, *FILES) if name in imported], status


def _program(home: Path, before: str) -> subprocess.CompletedProcess[str]:
    """The program as its own process, which does something first."""
    lines = ("import sys, atexit, threading, time", before, "sys.argv = ['smpchat', 'nonsense']", "program()")
    return _run(home, "-c", "from smpchat.__main__ import program\n" + "\n".join(lines))


def test_a_process_that_is_done_leaves_at_once_and_with_all_it_printed(tmp_path: Path) -> None:
    """What Python does at its end takes longer than Python's start (`smpchat.__main__`)."""
    done = _program(tmp_path, "print('x' * 100_000, end='y'); atexit.register(print, 'late')")
    assert (done.returncode, done.stdout) == (2, "x" * 100_000 + "y")
    assert "nonsense" in done.stderr


def test_a_process_waits_for_its_threads(tmp_path: Path) -> None:
    before = "threading.Thread(target=lambda: (threading.main_thread().join(), print('late'))).start()"
    done = _program(tmp_path, before)
    assert (done.returncode, done.stdout) == (2, "late\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "print('x'); from smpchat.__main__ import program; program()", "--help"],
            env={**os.environ, "SMPCHAT_HOME": str(tmp_path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode != 0 and "No space left" in done.stderr
