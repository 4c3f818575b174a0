"""Files on the command line, without any file relay: what is printed, and what each command ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.chat.store import files as message_files
from smpchat.cli.schema import problems
from smpchat.client.trouble import Trouble
from tests.cli.terminal import Terminal
from tests.unit.chat.transactions.test_files import description


@pytest.fixture
def friends(smpchat: Terminal, tmp_path: Path) -> Terminal:
    """Alice and bob; she has a file. A bystander's relay never answers."""
    smpchat.connected("alice", "bob")
    (tmp_path / "photo.txt").write_bytes(b"hello world\n")
    return smpchat


@pytest.fixture
def offered(friends: Terminal, tmp_path: Path) -> Terminal:
    """The file is message 1 on both sides; bob was shown it, and its description has come."""
    friends("-p", "alice", "send", "bob", "--file", str(tmp_path / "photo.txt"), "--wait", "none", "look")
    with friends.service("alice") as alice, alice.database.transaction() as tx:
        file = message_files.find(tx, 1)
        assert file is not None and file.transfer is not None
        alice.context.application.file_uploaded(tx, file.transfer, (description(),))
    assert friends("-p", "alice", "send", "bob", "next").code == 0
    assert friends("-p", "bob", "listen", "--timeout", "3").code == 0
    return friends


def test_a_file_waits_for_a_relay_of_files_and_that_is_said(friends: Terminal, tmp_path: Path) -> None:
    sent = friends("--json", "-p", "alice", "send", "bob", "--file", str(tmp_path / "photo.txt"), "-m", "look")
    [message] = sent.objects("message")
    assert (message["text"], message["content"], message["status"]) == (
        "[file photo.txt, 12 bytes] look", "file", "pending",
    )  # fmt: skip
    assert message["file"]["state"] == "sending" and problems(message) == []
    assert sent.code == 3 and "does not store files" in sent.stderr and "continues the transfer" in sent.stderr
    assert friends("-p", "alice", "send", "bob", "a text meanwhile").code == 0
    [file] = friends("--json", "-p", "alice", "files").objects("file")
    assert (file["name"], file["size"], file["state"], file["direction"]) == ("photo.txt", 12, "sending", "sent")
    assert "sending 0 %" in friends("-p", "alice", "files", "bob").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--file", "none"), 1, "cannot be read"),
        (("--file", "photo.txt", "--file", "none"), 1, "cannot be read"),
        (("--file", "photo.txt", "-m", "a", "b"), 2, "text once"),
        (("--file", "photo.txt", "-m", "x" * 16_000), 1, "too long"),
    ],
)
def test_what_cannot_be_sent_stores_nothing(
    friends: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], code: int, sentence: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    result = friends("-p", "alice", "send", "bob", *arguments)
    assert result.code == code and sentence in " ".join(result.stderr.split())
    assert friends("--json", "-p", "alice", "files").stdout == ""
    assert not list((friends.home / "profiles" / "alice").glob("files/*"))


def test_an_offer_is_shown_with_what_receives_it(offered: Terminal) -> None:
    history = offered("-p", "bob", "history", "alice").stdout
    assert "[file photo.txt, 12 bytes]" in history and "(offered until 16 Nov" in history
    listed = offered("-p", "bob", "files", tty=True)
    assert "photo.txt" in listed.stdout and "receive NUMBER`" in listed.stderr
    [file] = offered("--json", "-p", "bob", "files").objects("file")
    assert file["state"] == "offered" and problems(file) == []


def test_a_file_that_is_not_here_cannot_be_forwarded(offered: Terminal) -> None:
    refused = offered("-p", "bob", "forward", "1", "alice")
    assert refused.code == 1 and "not received the file of message 1" in refused.stderr
    assert "smpchat -p bob receive 1" in refused.stderr


def test_a_file_is_forwarded_as_one_is_sent(friends: Terminal, tmp_path: Path) -> None:
    friends("-p", "alice", "send", "bob", "--file", str(tmp_path / "photo.txt"), "--wait", "none", "look")
    again = friends("--json", "-p", "alice", "forward", "1", "bob", "--wait", "none")
    assert again.code == 0
    [message] = again.objects("message")
    assert message["text"] == "[file photo.txt, 12 bytes] look" and message["forwarded"] is True
    assert message["file"]["state"] == "sending" and problems(message) == []


def test_relays_of_the_sender_are_asked_about(offered: Terminal) -> None:
    refused = offered("-p", "bob", "receive", "1")
    assert refused.code == 1 and "files.example.org" in refused.stderr and "--approve`" in refused.stderr
    asked = offered("-p", "bob", "receive", "alice", stdin="n\n", tty=True)
    assert asked.code == 1 and "Fetch it? [y/N]" in asked.stderr
    assert offered("--json", "-p", "bob", "files").objects()[0]["state"] == "offered"


@pytest.mark.parametrize(
    ("trouble", "code", "sentence"),
    [(Trouble.GONE, 4, "no longer available"), (Trouble.DAMAGED, 5, "nothing of it was saved")],
)
def test_why_a_file_cannot_be_had_decides_the_exit_status(
    offered: Terminal, tmp_path: Path, trouble: Trouble, code: int, sentence: str
) -> None:
    with offered.service("bob") as bob:
        bob.receive_file(1, tmp_path, approved=True)
        with bob.database.transaction() as tx:
            file = message_files.find(tx, 1)
            assert file is not None and file.transfer is not None
            bob.context.application.file_failed(tx, file.transfer, trouble)
    result = offered("-p", "bob", "receive", "1")
    assert result.code == code and sentence in result.stderr
    assert offered("-p", "bob", "files").code == 0


def test_what_was_received_has_a_path(offered: Terminal, tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_bytes(b"hello world\n")
    with offered.service("bob") as bob:
        bob.receive_file(1, tmp_path, approved=True)
        with bob.database.transaction() as tx:
            file = message_files.find(tx, 1)
            assert file is not None and file.transfer is not None
            bob.context.application.file_received(tx, file.transfer, tmp_path / "here.txt")
    [listed] = offered("--json", "-p", "bob", "files").objects("file")
    assert (listed["state"], listed["path"]) == ("received", str(tmp_path / "here.txt")) and problems(listed) == []
    again = offered("-p", "bob", "receive", "1")
    assert again.code == 1 and "already received" in again.stderr
    here = offered("-p", "bob", "view", "1", "--here")
    assert here.code == 1 and "shows no pictures" in here.stderr
    asked = offered("-p", "bob", "view", "1", stdin="n\n", tty=True)
    assert asked.code == 0 and "The file was not opened." in asked.stderr
    (tmp_path / "here.txt").unlink()
    assert "no longer at" in offered("-p", "bob", "view", "1", "--yes").stderr


def test_cancelled_files_can_be_begun_again_by_whoever_cancelled(offered: Terminal, tmp_path: Path) -> None:
    with offered.service("bob") as bob:
        bob.receive_file(1, tmp_path, approved=True)
    cancelled = offered("--json", "-p", "bob", "cancel", "1")
    assert cancelled.objects("file")[0]["state"] == "cancelled"
    assert "not being received" in offered("-p", "bob", "cancel", "1").stderr
    ours = offered("-p", "alice", "cancel", "1")
    assert ours.code == 0 and "cancelled" in ours.stdout
    assert offered("-p", "bob", "listen", "--timeout", "3").code == 0
    refused = offered("-p", "bob", "receive", "1", "--approve")
    assert refused.code == 4 and refused.stderr.splitlines()[0] == "Alice cancelled the file."


@pytest.mark.parametrize("command", ["receive", "cancel", "view"])
def test_messages_without_files_are_told(friends: Terminal, command: str) -> None:
    friends("-p", "alice", "send", "bob", "hello")
    for number, said in (("1", "has no file"), ("99", "There is no message 99")):
        result = friends("-p", "alice", command, number)
        assert result.code == 1 and said in result.stderr


def test_the_setting_says_where_files_go(offered: Terminal, tmp_path: Path) -> None:
    assert offered("-p", "bob", "config", "set", "files-folder", "relative").code == 1
    assert offered("-p", "bob", "config", "set", "files-folder", str(tmp_path / "in")).code == 0
    with offered.service("bob") as bob:
        bob.receive_file(1, approved=True)
        file = message_files.find(bob.database.connection, 1)
    assert file is not None and file.target == tmp_path / "in" / "photo.txt"
