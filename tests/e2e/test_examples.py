"""The scripts of docs/scripting.md do what the page says, with a real relay and a second person."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest

from tests.e2e.smpchat import PATIENCE, Home, environment

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = sorted((DOCS / "examples").iterdir())

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for a POSIX shell")


@pytest.fixture
def variables(home: Home, tmp_path: Path) -> dict[str, str]:
    """An environment whose ``smpchat`` is this one, in the test's home."""
    program = tmp_path / "bin" / "smpchat"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m smpchat "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    root = str(DOCS.parent)
    return environment() | {"PATH": path, "PYTHONPATH": root, "SMPCHAT_HOME": str(home.folder)}


def connect(home: Home, inviter: str, joiner: str, *options: str) -> None:
    """Both know each other under their names."""
    link = home.invite(inviter, "--note", joiner)
    assert home.run(joiner, "connect", link, "--alias", inviter).code == 0


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.name)
def test_the_page_has_each_script_verbatim(file: Path) -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (DOCS / "scripting.md").read_text(), re.MULTILINE | re.DOTALL)
    assert file.read_text() in blocks


def test_the_shell_bot_is_short() -> None:
    assert len((DOCS / "examples" / "bot.sh").read_text().splitlines()) <= 20


# -- notify.sh --------------------------------------------------------------------------------------------------------


def notify(variables: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(DOCS / "examples" / "notify.sh"), "alice", *command],
        env=variables | {"SMPCHAT_PROFILE": "server"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_notify_tells_of_a_command_that_failed(home: Home, variables: dict[str, str]) -> None:
    connect(home, "alice", "server")
    quiet = notify(variables, "echo", "all is well")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    failed = notify(variables, "sh", "-c", r"echo --json; printf 'caf\351'; exit 7")
    assert (failed.returncode, failed.stdout, failed.stderr) == (7, "", "")
    heard = home.run("alice", "listen", "--count", "1", "--timeout", "30")
    assert heard.texts() == ["sh failed with 7:\n--json\ncaf"]


def test_notify_keeps_the_message_while_no_relay_is_reached(home: Home, variables: dict[str, str]) -> None:
    connect(home, "alice", "server")
    home.run("default", "relay", "stop")
    assert notify(variables, "false").returncode == 1
    home.run("default", "relay", "start")
    with home.running("server", "listen"):
        assert home.run("alice", "listen", "--count", "1", "--timeout", "30").texts() == ["false failed with 1:"]


def test_notify_fails_if_there_is_nobody_to_tell(home: Home, variables: dict[str, str]) -> None:
    failed = notify(variables, "false")
    assert failed.returncode == 1
    assert failed.stderr.startswith("There is no contact 'alice'.")


# -- the bots ---------------------------------------------------------------------------------------------------------


@contextmanager
def running(command: list[str], variables: dict[str, str]) -> Iterator[Queue[str]]:
    """A bot; lines of its standard output as they come."""
    process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    lines: Queue[str] = Queue()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                lines.put(line.rstrip("\n"))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        process.terminate()
        process.wait(PATIENCE)
        reader.join(PATIENCE)


def test_the_shell_bot_answers_friends(home: Home, variables: dict[str, str]) -> None:
    connect(home, "bot", "alice")
    connect(home, "bot", "mallory")
    bot = ["smpchat", "listen", "--exec", str(DOCS / "examples" / "bot.sh")]
    contacts = home.run("bot", "contacts").of("contact")
    friend = next(contact["contact_id"] for contact in contacts if contact["alias"] == "alice")
    with running(bot, variables | {"SMPCHAT_PROFILE": "bot", "FRIENDS": str(friend)}):
        home.run("mallory", "send", "bot", "date", "--wait", "delivered")
        with home.running("alice", "listen") as alice:
            for said, answered in (("say --json $(id)", "--json $(id)"), ("hello", "I know: date, disk, say TEXT")):
                sent = home.run("alice", "send", "bot", "-", stdin=said).of("message")[0]
                answer = alice.until("message", direction="received")
                assert (answer["text"], answer["reply_to"]["id"]) == (answered, sent["id"])
            home.run("alice", "send", "bot", "date")
            assert re.search(r"\d\d:\d\d", alice.until("message", direction="received")["text"])
    assert [text for text, _ in home.statuses("bot", "mallory")] == ["date"]


def test_the_python_bot_remembers_after_a_restart(home: Home, variables: dict[str, str]) -> None:
    bot = [sys.executable, str(DOCS / "examples" / "bot.py")]
    with home.running("alice", "listen") as alice:

        def ask(text: str) -> str:
            assert home.run("alice", "send", "bot", text).code == 0
            return str(alice.until("message", direction="received")["text"])

        with running(bot, variables) as lines:
            link = lines.get(timeout=PATIENCE)
            assert home.run("alice", "connect", link, "--alias", "bot", "--wait").code == 0
            assert ask("list") == "Nothing to buy."
            assert ask("add milk") == "milk"
            assert ask("add bread") == "milk\nbread"
            assert ask("what?") == "Write: add THING, done THING, or list."
        with running(bot, variables):
            assert ask("done milk") == "bread"


def test_the_group_bot_counts_the_last_vote_of_each_member(home: Home, variables: dict[str, str]) -> None:
    bot = [sys.executable, str(DOCS / "examples" / "votes.py")]
    with home.running("alice", "listen") as alice, home.running("bob", "listen") as bob:

        def vote(who: str, text: str, answer: str) -> None:
            assert home.run(who, "send", "lunch", text).code == 0
            for member in (alice, bob):
                member.until("message", content="text", sender="votes", text=answer)

        with running(bot, variables) as lines:
            link = lines.get(timeout=PATIENCE)
            for who, member in (("alice", alice), ("bob", bob)):
                assert home.run(who, "connect", link, "--alias", "lunch", "--wait").code == 0
                member.until("message", content="text", sender="votes", text="Write: vote THING.")
            vote("alice", "vote pizza", "pizza: 1")
            vote("bob", "vote soup", "pizza: 1\nsoup: 1")
        with running(bot, variables) as lines:
            assert lines.get(timeout=PATIENCE) == link
            assert home.run("alice", "send", "lunch", "I do not mind").code == 0
            vote("alice", "vote soup", "soup: 2")
