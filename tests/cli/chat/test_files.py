"""Files in `chat`: sent, received, cancelled and shown by slash commands, and how far they are beside the prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from smpchat.agent.store import files as agent_files
from smpchat.chat.store import files as message_files
from smpchat.chat.store.files import FileState, FileView
from smpchat.cli.chat.completion import SlashCompleter
from smpchat.cli.chat.moving import Pace, encrypting_line
from smpchat.cli.chat.outgoing import Encrypting
from smpchat.cli.chat.slash_files import split_path
from smpchat.cli.views.files import percent
from smpchat.encoding.text import size_text
from tests.cli.chat.talk import Talk, hear
from tests.cli.terminal import Terminal
from tests.unit.chat.transactions.test_files import description


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "my photo.txt"
    path.write_bytes(b"hello world\n")
    return path


@pytest.fixture
def offered(people: Terminal, photo: Path) -> Terminal:
    """Alice's file, whose description has come: message 2 at bob's."""
    people("-p", "alice", "send", "bob", "--file", str(photo), "--wait", "none", "look")
    with people.service("alice") as alice, alice.database.transaction() as tx:
        file = message_files.find(tx, 1)
        assert file is not None and file.transfer is not None
        alice.context.application.file_uploaded(tx, file.transfer, (description(),))
    hear(people, "alice", "next")
    return people


def test_a_file_is_encrypted_beside_the_conversation(talk: Callable[..., Talk], photo: Path) -> None:
    bob = talk("alice")

    async def send() -> None:
        bob.lines.enter(f"/file {photo}")
        bob.lines.enter(f"/file '{photo}' the beach")
        assert "! " in "".join(bob.enter("/file /nowhere"))
        while bob.conversation.outgoing.encrypting():  # noqa: ASYNC110 - in threads
            await asyncio.sleep(0.01)

    asyncio.run(send())
    bob.news()
    texts = sorted(message.text for message in bob.service.history("alice"))
    assert texts == ["[file my photo.txt, 12 bytes]", "[file my photo.txt, 12 bytes] the beach"]
    assert any("(sending 0 %)" in line for line in bob.tail())


def test_who_leaves_while_a_file_is_encrypted_sends_nothing(talk: Callable[..., Talk], photo: Path) -> None:
    bob = talk("alice")

    async def send() -> None:
        bob.lines.enter(f"/file {photo}")
        await bob.conversation.outgoing.finish()

    asyncio.run(send())
    assert bob.service.files() == [] and not list((bob.service.folder / "files").glob("*"))


def test_an_offer_is_received_once_its_relays_are_agreed_to(offered: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.news()
    said = " ".join(bob.enter("/get"))
    assert "files.example.org" in said and "/get 2 anyway" in said
    assert bob.enter("/get 2 anyway")[-1].startswith("* Receiving my photo.txt")
    file = message_files.find(bob.service.database.connection, 2)
    assert file is not None and file.transfer is not None and file.target is not None
    assert file.target == offered.home / "profiles" / "bob" / "downloads" / "my photo.txt"
    assert any("receiving my photo.txt: 0 % of 12 bytes" in line for line in bob.tail())
    with bob.service.database.transaction() as tx:
        agent_files.set_moving(tx, {file.transfer: 32_768})
    bob.news()
    assert any("50 % of 12 bytes" in line for line in bob.tail())
    with bob.service.database.transaction() as tx:
        bob.service.context.application.file_received(tx, file.transfer, file.target)
    assert "* 2: my photo.txt, received:" in " ".join(bob.news())
    assert not any("receiving" in line for line in bob.tail())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/file", "/file PATH"),
        ("/cancel", "/cancel N"),
        ("/cancel x", "/cancel N"),
        ("/view", "/view N"),
        ("/view 2", "Receive it first"),
        ("/view 1", "has no file"),
        ("/get 99", "There is no message 99"),
        ("/cancel 2", "not being received"),
    ],
)
def test_lines_that_cannot_be_used(offered: Terminal, talk: Callable[..., Talk], line: str, said: str) -> None:
    shown = " ".join(talk("alice").enter(line))
    assert "! " in shown and said in " ".join(shown.split())


def test_a_file_is_cancelled_and_listed(offered: Terminal, talk: Callable[..., Talk]) -> None:
    bob = talk("alice")
    bob.enter("/get 2 anyway")
    assert "* my photo.txt: cancelled." in bob.enter("/cancel 2")
    assert any("cancelled: You cancelled the file." in line for line in bob.enter("/files"))
    assert bob.enter("/to carol") and "No files" in " ".join(bob.enter("/files"))


def test_paths_are_completed(talk: Callable[..., Talk], photo: Path) -> None:
    text = f"/file {photo.parent}/my p"
    completer = SlashCompleter(talk("alice").conversation)
    found = list(completer.get_completions(Document(text, len(text)), CompleteEvent()))
    assert [one.text for one in found] == ["hoto.txt"]


def test_a_path_may_have_blanks_or_quotes(photo: Path) -> None:
    assert split_path(str(photo)) == (str(photo), "")
    assert split_path(f"'{photo}' two words") == (str(photo), "two words")
    assert split_path("a.txt and it's here") == ("a.txt and it's here", "")
    assert split_path("a.txt the beach") == ("a.txt", "the beach")


def test_sizes_rates_and_what_is_left() -> None:
    assert [size_text(size) for size in (0, 1, 1023, 1024, 120_000, 5 << 20, 3 << 30)] == [
        "0 bytes", "1 byte", "1,023 bytes", "1 KiB", "117 KiB", "5 MiB", "3 GiB",
    ]  # fmt: skip
    file = FileView("a", 1_000, FileState.RECEIVING, 999)
    assert percent(file) == 99 and percent(FileView("a", 0, FileState.RECEIVING)) == 0
    pace = Pace()
    for moment in range(5):
        pace.note(1, moment * 100, moment)
    assert pace.of(1) == 100 and pace.of(2) is None
    assert (
        encrypting_line(Encrypting("a\x1b[31m", 50, 200)).plain.strip() == "encrypting a\\u{1b}[31m: 25 % of 200 bytes"
    )
