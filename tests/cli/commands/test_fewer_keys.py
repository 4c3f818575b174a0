"""The way into the chats: `smpchat` alone, the question after `invite`; and what is drawn meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from smpchat.chat.online.presence import online
from smpchat.cli.commands import chat as chat_command
from smpchat.cli.environment import Environment
from smpchat.cli.steps import StepView
from tests.cli.terminal import FakeTerminal, InterruptedTerminal, Terminal


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Profile and contact of each chat that was opened."""
    found: list[tuple[str, str | None]] = []

    async def talk(environment: Environment, who: str | None) -> int:
        found.append((environment.profile, who))
        return 0

    monkeypatch.setattr(chat_command, "talk", talk)
    return found


def test_alone_on_a_terminal_it_opens_the_chats(smpchat: Terminal, opened: list[tuple[str, str | None]]) -> None:
    smpchat.connected()
    assert smpchat("-p", "alice", tty=True).code == 0
    assert opened == [("alice", None)]
    for options in ([], ["-p", "carol"]):  # nobody is there yet
        result = smpchat(*options, tty=True)
        assert result.code == 2 and len(result.stdout.splitlines()) < 15
        assert " ".join(["smpchat", *options, "invite"]) in result.stdout
    assert len(opened) == 1 and not (smpchat.home / "profiles" / "carol").exists()


@pytest.mark.parametrize("options", [[], ["-p", "alice"], ["--json", "-p", "alice"]])
def test_off_a_terminal_it_is_an_error_of_usage(
    smpchat: Terminal, opened: list[tuple[str, str | None]], options: list[str]
) -> None:
    smpchat.connected()
    assert smpchat(*options).code == 2
    assert opened == []


@pytest.mark.parametrize(("answer", "talks"), [("\n", True), ("y\n", True), ("n\n", False), ("", False), (None, False)])
def test_after_invite_connects_a_person_is_asked(
    smpchat: Terminal, opened: list[tuple[str, str | None]], answer: str | None, talks: bool
) -> None:
    smpchat.stdin = InterruptedTerminal if answer is None else FakeTerminal

    async def joins() -> None:
        with smpchat.service("alice") as alice:
            while not (invitation := alice.invitation(1)) or not invitation.link:  # noqa: ASYNC110 - in jumping time
                await asyncio.sleep(0.1)
        with smpchat.service("bob") as bob:
            bob.connect(str(invitation.link), "alice")
            async with online(bob, smpchat):
                while bob.contact("alice").state.state != "connected":  # noqa: ASYNC110
                    await asyncio.sleep(0.1)

    result = smpchat("-p", "alice", "invite", "--note", "bob", "--no-qr", stdin=answer or "", tty=True, meanwhile=joins)
    assert "Connected with bob." in result.stderr and "[Y/n]" in result.stderr
    assert opened == ([("alice", "bob")] if talks else [])
    assert result.code == (130 if answer is None else 0)


def test_a_narrower_terminal_leaves_no_old_rows(monkeypatch: pytest.MonkeyPatch, smpchat: Terminal) -> None:
    written = FakeTerminal()
    monkeypatch.setattr("sys.stdout", written)
    monkeypatch.setenv("COLUMNS", "60")
    environment = Environment(smpchat.home, "alice", now=smpchat.now)
    with StepView(environment, "bob") as view:
        assert view._live is not None
        before = len(written.getvalue())
        view._live.console.width = 15
        view.tick()
        added = written.getvalue()[before:]
    # four lines of 20 to 23 columns had become eight rows
    assert added.count("\x1b[2K\x1b[1A") == 7
