"""`invite` and `connect` at a terminal: the steps drawn live or as lines, the QR code, questions and Ctrl-C."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import segno

from smpchat.agent.machines.handshake_states import ConnectionState, Role, Variant
from smpchat.chat.online.presence import online
from smpchat.chat.store.events import StateChanged
from smpchat.cli.environment import Environment
from smpchat.cli.qr import show_qr
from smpchat.cli.steps import Progress, draw
from smpchat.cli.times import counting, since, span
from tests.cli.terminal import START, FakeTerminal, Terminal, normal

Screen = Callable[[str, str], None]


def drawings(stdout: str) -> list[str]:
    """What stood on the terminal after each time that something was drawn; the last one stays."""
    frames = [re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", part) for part in re.split(r"(?:\x1b\[1A|\r\x1b\[2K)+", stdout)]
    return [normal(frame) for frame in frames if frame.strip()]


def bob_joins(smpchat: Terminal, *, after: float = 65.0) -> Callable[[], Coroutine[Any, Any, None]]:
    """Bob uses alice's link after so many seconds, and stays until both are connected."""

    async def run() -> None:
        await asyncio.sleep(after)
        with smpchat.service("alice") as alice:
            [invitation] = alice.invitations()
        with smpchat.service("bob") as bob:
            contact = bob.connect(str(invitation.link), "alice", ["hello alice"])
            async with online(bob, smpchat):
                while bob.state(contact.connection_id).state != ConnectionState.CONNECTED:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

    return run


# -- invite -----------------------------------------------------------------------------------------------------------


def test_invite_draws_the_steps_until_connected(smpchat: Terminal, screen: Screen) -> None:
    command = ("-p", "alice", "invite", "--note", "bob", "--no-color", "--no-qr")
    result = smpchat(*command, tty=True, meanwhile=bob_joins(smpchat))
    assert result.code == 0
    shown = drawings(result.stdout)
    assert re.search("waiting for someone to use the link +0:42", "\n".join(shown))
    assert shown[-1].splitlines()[-1].startswith("  ✓  3 hello         your profile is sent: connected")
    screen("invite", f"{shown[-1]}\n{normal(result.stderr)}\n")


@pytest.mark.parametrize(
    ("flags", "term"), [(["--plain"], "xterm"), ([], "dumb"), ([], "")], ids=["plain", "dumb", "none"]
)
def test_invite_prints_lines_where_nothing_can_be_drawn_again(
    smpchat: Terminal, monkeypatch: pytest.MonkeyPatch, flags: list[str], term: str
) -> None:
    monkeypatch.setenv("TERM", term)
    result = smpchat("-p", "alice", "invite", "--note", "bob", *flags, tty=True, meanwhile=bob_joins(smpchat))
    assert result.code == 0
    assert "\x1b" not in result.stdout
    assert [line.split(":")[1].strip() for line in result.stdout.splitlines() if " of 3 (" in line] == [
        "invited, step 1 of 3 (invitation)",
        "ready, step 2 of 3 (confirmation)",
        "connected, step 3 of 3 (hello)",
    ]


def test_invite_waits_on_a_terminal_only(smpchat: Terminal) -> None:
    assert smpchat("-p", "alice", "invite", "--timeout", "5").code == 0
    assert smpchat("-p", "alice", "invite", "--timeout", "5", tty=True).code == 6


def test_invite_prints_a_state_for_every_step(smpchat: Terminal) -> None:
    result = smpchat("--json", "-p", "alice", "invite", "--wait", meanwhile=bob_joins(smpchat))
    assert [(s["step"], s["state"], s["alias"], s["variant"]) for s in result.objects("state")] == [
        (1, "invited", None, None),
        (2, "ready", "bob", "instant"),
        (3, "connected", "bob", "instant"),
    ]


def test_ctrl_c_leaves_the_invitation_valid(smpchat: Terminal) -> None:
    async def interrupt() -> None:
        main = next(task for task in asyncio.all_tasks() if task.get_name() == "command")
        await asyncio.sleep(30)
        main.cancel()  # what asyncio.run does on SIGINT

    result = smpchat("-p", "alice", "invite", "--wait", meanwhile=interrupt)
    assert result.code == 130
    assert "The invitation stays valid." in result.stderr
    assert "`smpchat -p alice delete 1`" in result.stderr
    assert len(smpchat("-p", "alice", "--json", "status").objects("invitation")) == 1


def test_an_image_of_a_used_link_is_removed(smpchat: Terminal) -> None:
    smpchat("-p", "alice", "invite", "--wait", "--qr", meanwhile=bob_joins(smpchat))
    assert not list((smpchat.home / "profiles" / "alice").glob("*.png"))
    smpchat("-p", "alice", "invite", "--no-wait", "--qr")
    assert len(list((smpchat.home / "profiles" / "alice").glob("*.png"))) == 1
    smpchat("-p", "alice", "delete", "2")
    assert not list((smpchat.home / "profiles" / "alice").glob("*.png"))


def test_the_image_goes_with_whoever_learns_that_the_link_was_used(smpchat: Terminal) -> None:
    """Another process than the one that made it, while it goes on; the picture of another link stays."""
    folder = smpchat.home / "profiles" / "alice"
    result = smpchat("-p", "alice", "--json", "invite", "--no-wait", "--qr")
    smpchat("-p", "alice", "invite", "--no-wait", "--qr")
    (folder / "invitation-x.png").touch()
    assert len(list(folder.glob("*.png"))) == 3
    [link] = [made["link"] for made in result.objects("invitation")]
    smpchat("-p", "bob", "connect", link, "--alias", "alice")
    seen: list[str] = []

    async def look() -> None:
        await asyncio.sleep(20)
        seen.extend(path.name for path in folder.glob("*.png"))

    smpchat("-p", "alice", "listen", "--timeout", "30", meanwhile=look)
    assert sorted(seen) == ["invitation-2.png", "invitation-x.png"], "a picture of the user's stays"


def test_an_image_is_saved_where_the_user_says(smpchat: Terminal) -> None:
    file = smpchat.home / "code.png"
    result = smpchat("-p", "alice", "invite", "--no-wait", "--qr-file", str(file))
    assert result.code == 0 and file.read_bytes().startswith(b"\x89PNG") and file.stat().st_mode & 0o777 == 0o600
    assert "Anyone who sees it can use the link, so delete it afterwards." in result.stderr
    assert not list((smpchat.home / "profiles" / "alice").glob("*.png"))
    again = smpchat("-p", "alice", "invite", "--no-wait", "--qr-file", str(file))
    assert again.code == 1 and "it already exists" in again.stderr
    assert len(smpchat("-p", "alice", "--json", "status").objects("invitation")) == 1, "no link is made for nothing"
    smpchat("-p", "alice", "address", "create", "--qr-file", str(smpchat.home / "address of mine.png"))
    assert smpchat("-p", "alice", "address", "show", "--qr-file", str(file)).code == 1
    assert (smpchat.home / "address of mine.png").exists()


# -- connect ----------------------------------------------------------------------------------------------------------


def test_connect_asks_for_an_alias_until_it_can_be_one(smpchat: Terminal) -> None:
    smpchat("-p", "bob", "connect", smpchat.invite("alice"), "--alias", "taken")
    link = smpchat.invite("alice")
    result = smpchat("-p", "bob", "connect", link, stdin="-no\ntaken\nAlice B\n", tty=True)
    assert result.code == 0
    assert result.stderr.count("Your name for this contact?") == 3
    assert "Ready: you can write to Alice_B now." in result.stderr


def test_connect_makes_an_alias_up_at_the_end_of_input(smpchat: Terminal) -> None:
    result = smpchat("-p", "bob", "connect", smpchat.invite("alice"), tty=True)
    assert result.code == 0
    assert "The contact's alias is contact" in result.stderr


def test_connect_asks_nothing_about_what_is_no_link(smpchat: Terminal) -> None:
    result = smpchat("connect", "http://example.com", stdin="alice\n", tty=True)
    assert (result.code, "Your name for this contact" in result.stderr) == (1, False)


def test_connect_draws_since_when_it_waits(smpchat: Terminal, screen: Screen) -> None:
    link = smpchat.invite("alice")
    result = smpchat("-p", "bob", "connect", link, "--alias", "alice", "--wait", "--timeout", "70", tty=True)
    assert result.code == 6
    last = drawings(result.stdout)[-1]
    assert "waiting since 22:13 for them to come online" in last
    screen("connect", f"{last}\n{normal(result.stderr)}\n")


@pytest.mark.parametrize("variant", ["three-step", "standard"])
def test_connect_says_that_texts_wait_where_they_do(smpchat: Terminal, variant: str) -> None:
    link = smpchat.invite("alice", "--handshake", variant)
    result = smpchat("-p", "bob", "connect", link, "--alias", "alice", "-m", "hello")
    assert result.code == 0
    assert "to alice: hello  (pending)" in result.stdout
    assert "Ready: your messages to alice are saved, and sent when alice answers." in result.stderr


# -- the pieces -------------------------------------------------------------------------------------------------------


def _state(role: Role, state: ConnectionState, step: int, elapsed: int, reason: str | None = None) -> StateChanged:
    began = START + elapsed / 1000
    return StateChanged(1, None, role, Variant.INSTANT, step, state, elapsed, reason, began)


def test_each_step_has_its_own_time() -> None:
    progress = Progress()
    for state in (
        _state(Role.JOINER, ConnectionState.JOINING, 1, 0),
        _state(Role.JOINER, ConnectionState.JOINING, 1, 120),
        _state(Role.JOINER, ConnectionState.READY, 2, 200),
        _state(Role.JOINER, ConnectionState.CONNECTED, 3, 65_200),
    ):
        progress.observe(state)
    assert [progress.took(step) for step in (1, 2, 3)] == ["120 ms", "80 ms", "1 min 5 s"]


def test_a_step_that_was_not_seen_has_no_time(tmp_path: Path) -> None:
    progress = Progress(_state(Role.JOINER, ConnectionState.CONNECTED, 3, 65_200))
    assert [progress.took(step) for step in (1, 2, 3)] == ["", "", ""]


def test_a_failed_step_is_marked_in_words(tmp_path: Path) -> None:
    progress = Progress(_state(Role.JOINER, ConnectionState.FAILED, 1, 100, "Used."))
    rows = draw(progress, "alice", Environment(tmp_path, "bob", now=lambda: START))
    assert [row[0] for row in rows] == ["", "failed", "-", "-"]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0 ms"), (999, "999 ms"), (999.7, "1.0 s"), (1000, "1.0 s"), (59_940, "59.9 s"), (59_960, "1 min 0 s"),
     (60_000, "1 min 0 s"), (3_600_000, "1 h 0 min"), (86_400_000, "1 d 0 h")],
)  # fmt: skip
def test_span(milliseconds: float, text: str) -> None:
    assert span(milliseconds) == text


def test_counting_and_since() -> None:
    assert [counting(seconds) for seconds in (-1, 0, 61, 3601, 90_000)] == [
        "0:00",
        "0:00",
        "1:01",
        "1:00:01",
        "1 d 1 h",
    ]
    assert since(START, START + 60) == "22:13"
    assert since(START, START + 86_400) == "14 Nov 22:13"
    assert since(START, START + 400 * 86_400) == "14 Nov 2023 22:13"


def test_a_qr_code_that_fits_is_drawn_in_both_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = FakeTerminal()
    monkeypatch.setattr(sys, "stdout", shown)
    show_qr(Environment(tmp_path, "alice"), "https://example.org/short", tmp_path / "code.png")
    expected = io.StringIO()
    segno.make("https://example.org/short", error="l", micro=False).terminal(expected, border=2, compact=True)
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown.getvalue())
    assert plain.splitlines() == expected.getvalue().splitlines()
    assert "\x1b[" in shown.getvalue()
    assert not (tmp_path / "code.png").exists()
    assert capsys.readouterr().err == ""


def test_a_qr_code_that_does_not_fit_becomes_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = FakeTerminal()
    monkeypatch.setattr(sys, "stdout", shown)
    show_qr(Environment(tmp_path, "alice"), "x" * 500, tmp_path / "code.png")
    assert shown.getvalue() == ""
    assert (tmp_path / "code.png").read_bytes().startswith(b"\x89PNG")
    assert "does not fit this terminal: it is saved in" in capsys.readouterr().err


def test_an_invitation_at_a_relay_of_somebody_else_says_who_must_start_it(smpchat: Terminal) -> None:
    smpchat.relay.running = False
    result = smpchat("invite", "--no-wait", "--server", f"smp://{'A' * 43}=@127.0.0.1")
    assert result.code == 3
    assert result.stderr.splitlines()[-1].startswith("Check that this computer is online. If it is")
