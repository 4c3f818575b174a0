"""``listen --exec``: each message reaches the program as data, in order, and none is lost when something fails."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.smpchat import Home, parse

RECORD = """
import json, os, sys
names = ("TYPE", "CONTACT", "ID", "TEXT", "CONTENT", "COMMAND", "ARGUMENTS", "PROFILE", "HOME")
seen = {"input": sys.stdin.read(), **{name: os.environ.get("SMPCHAT_" + name) for name in names}}
with open(sys.argv[1], "a", encoding="utf-8") as log:
    log.write(json.dumps(seen) + "\\n")
print("this is not sent")
if os.path.exists(sys.argv[1] + ".fail"):
    sys.exit(9)
if os.path.exists(sys.argv[1] + ".wait"):
    open(sys.argv[1] + ".wait").read()
"""


class Recorder:
    """A program that notes what it gets; it fails, or waits for somebody to open a pipe, on demand."""

    def __init__(self, folder: Path) -> None:
        script = folder / "record it.py"
        script.write_text(RECORD)
        self.log = folder / "log"
        self.command = shlex.join([sys.executable, str(script), str(self.log)])
        self.fail, self.wait = Path(f"{self.log}.fail"), Path(f"{self.log}.wait")

    def seen(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


@pytest.fixture
def pair(home: Home) -> Home:
    """Bob joined Alice's invitation, which she does not know yet."""
    assert home.run("bob", "connect", home.invite("alice", "--note", "bob"), "--alias", "alice").code == 0
    return home


def listen(home: Home, command: str, *options: str) -> tuple[str, ...]:
    return ("listen", "--exec", command, *options)


HOSTILE = (
    "$(touch pwned) `touch pwned`; touch pwned",
    "--json",
    "-",
    "a \"quoted\" 'text' \\ with\nlines",
    "nul \0 and \x1b[2J",
    "café 😀",
)


def test_peer_text_is_data(pair: Home, recorder: Recorder, tmp_path: Path) -> None:
    for text in HOSTILE:
        assert pair.run("bob", "send", "alice", "-", "--wait", "none", stdin=text).code == 0
    with pair.running("bob", "listen"):
        count = str(len(HOSTILE))
        result = pair.run("alice", *listen(pair, recorder.command, "--count", count, "--timeout", "30"))
    assert result.code == 0, result
    assert result.texts() == list(HOSTILE)
    seen = recorder.seen()
    assert [parse(each["input"]) for each in seen] == result.of("message")
    assert [each["TEXT"] for each in seen] == [text.replace("\0", "\ufffd") for text in HOSTILE]
    assert [each["ID"] for each in seen] == [str(message["id"]) for message in result.of("message")]
    assert {(each["TYPE"], each["CONTACT"], each["PROFILE"]) for each in seen} == {("message", "bob", "alice")}
    assert {(each["CONTENT"], each["COMMAND"], each["ARGUMENTS"]) for each in seen} == {("text", "", "")}
    assert {each["HOME"] for each in seen} == {str(pair.folder)}
    assert "this is not sent" in result.errors
    assert not list(tmp_path.rglob("pwned")) and not Path("pwned").exists()
    assert [text for text, _ in pair.statuses("alice", "bob")] == list(HOSTILE)


def test_what_a_program_refuses_comes_again(pair: Home, recorder: Recorder) -> None:
    for text in ("one", "two"):
        pair.run("bob", "send", "alice", text, "--wait", "none")
    recorder.fail.touch()
    with pair.running("bob", "listen"):
        failed = pair.run("alice", *listen(pair, recorder.command, "--timeout", "30"))
        assert failed.code == 1
        assert failed.of("error")[0]["message"].endswith("ended with 9.")
        assert failed.texts() == []
        assert pair.run("alice", "contacts").of("contact")[0]["unread"] >= 1
        recorder.fail.unlink()
        assert pair.run("alice", *listen(pair, recorder.command, "--count", "2", "--timeout", "30")).texts() == [
            "one",
            "two",
        ]
    assert [each["TEXT"] for each in recorder.seen()] == ["one", "one", "two"]
    assert pair.run("alice", *listen(pair, recorder.command, "--timeout", "0.5")).texts() == []
    assert len(recorder.seen()) == 3


def test_a_message_that_a_program_always_fails_on_does_not_stop_a_bot_for_good(pair: Home, recorder: Recorder) -> None:
    for text in ("bad", "good"):
        pair.run("bob", "send", "alice", text)
    script = recorder.command.replace("record it.py", "picky.py")
    (recorder.log.parent / "picky.py").write_text("import os, sys; sys.exit(os.environ['SMPCHAT_TEXT'] == 'bad')")
    options = ("--skip-after", "2", "--count", "1", "--timeout", "30")
    assert pair.run("alice", *listen(pair, script, *options)).code == 1
    second = pair.run("alice", *listen(pair, script, *options))
    assert (second.code, second.texts()) == (0, ["good"])
    assert "failed on it 2 times" in second.of("notice")[-1]["text"]
    assert pair.run("alice", "listen", "--count", "1", "--timeout", "30").texts() == ["bad"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a named pipe")
def test_kill_while_a_program_runs_repeats_its_message(pair: Home, recorder: Recorder) -> None:
    os.mkfifo(recorder.wait)
    pair.run("bob", "send", "alice", "one")
    with pair.running("alice", *listen(pair, recorder.command)) as alice:
        with recorder.wait.open("w"):  # opens once the program reads
            second = pair.run("alice", *listen(pair, recorder.command))
            assert second.code == 7
            assert second.of("error")[0]["message"] == "Another `listen --exec` is running for this profile."
            alice.kill()
    assert [item for item in alice.seen if item["type"] == "message"] == []
    recorder.wait.unlink()
    again = pair.run("alice", *listen(pair, recorder.command, "--count", "1", "--timeout", "30"))
    assert again.texts() == ["one"]
    assert [each["TEXT"] for each in recorder.seen()] == ["one", "one"]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("no-such-program --option", "There is no program 'no-such-program'."),
        ("", "--exec is empty."),
        ('sh -c "echo', "The command of --exec cannot be read: No closing quotation."),
    ],
)
def test_a_program_that_cannot_run_is_named_before_anything_is_received(
    home: Home, command: str, sentence: str
) -> None:
    result = home.run("alice", *listen(home, command))
    assert (result.code, result.of("error")[0]["message"]) == (1, sentence)


def test_fewer_messages_than_counted_end_with_6(pair: Home, recorder: Recorder) -> None:
    pair.run("bob", "send", "alice", "one")
    result = pair.run("alice", *listen(pair, recorder.command, "--count", "2", "--timeout", "1.5"))
    assert result.code == 6
    assert len(recorder.seen()) == len(result.texts())
