"""A whole day at the terminal, in three sizes: what stands on the screen after each step, kept as a file.

The program runs in tmux as people run it; those whom Alice talks to are clients of this process. Two bystanders are on
a dead relay, one with a text that waits. Times, links and codes are replaced. `UPDATE_SCREENS=1` writes the files anew.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from smpchat import Client
from smpchat.chat.service.reading import StoredProfile
from smpchat.home import Home as HomeFolder
from smpchat.protocol.address import parse_server
from smpchat.relay.background import start_background, stop
from tests.bystander import give_bystanders
from tests.e2e.smpchat import PATIENCE, environment

pytestmark = pytest.mark.skipif(
    shutil.which("tmux") is None or shutil.which("bash") is None, reason="needs tmux and bash"
)
SCREENS = Path(__file__).parents[1] / "cli" / "screens"
_DRAWN = 0.5
"""Seconds in which nothing changes once a screen is drawn."""
SIZES = ((80, 24), (120, 40), (60, 20))
_REPLACED = (
    (r"simplex:/i#[^\s']+", "LINK"),
    (r"\A[\w?=&.-]*[?=&][\w=&.-]*(' --alias \w+)$", r"LINK\1"),  # its beginning has left the screen
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"(?m)^( *)\d{5}( \d+)+$", r"\1CODE"),
    (r"\b\w+day \d+ \w+ \d{4}\b", "DATE"),
    (r"\b\d+ \w{3}( \d{4})? \d\d:\d\d\b", "TIME"),
    (r"\b\d\d:\d\d\b", "HH:MM"),
    (r"\b\d+:\d\d\b", "M:SS"),
    (r"^ *\d+  HH:MM", "   N  HH:MM"),  # two people's messages come in either order
    (r"^(  [✓●·]  \d \w+).*(\n {20}.*)*$", r"\1 …"),  # how wide its last column is depends on what it took
)


def normal(screen: str) -> str:
    """A screen without what is another one in each run."""
    for pattern, text in _REPLACED:
        screen = re.sub(pattern, text, screen, flags=re.MULTILINE)
    return "\n".join(line.rstrip() for line in screen.rstrip("\n").splitlines())


class Terminal:
    """Alice's terminal: a window of tmux with a shell in it."""

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
        self._name = f"smpchat-{os.getpid()}-{columns}"
        self.shown: list[str] = []
        start = folder / "start"
        start.write_text(
            f"PS1='$ '\nexport SMPCHAT_HOME={folder / 'home'} SMPCHAT_PROFILE=alice HOME={folder} TZ=UTC TERM=xterm"
            f" LC_ALL=C.UTF-8 PYTHONPATH={Path(__file__).parents[2]}\n"
            f'smpchat() {{ {sys.executable} -m smpchat "$@"; }}\nclear\n'
        )
        size = ("-x", str(columns), "-y", str(rows))
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, f"bash --noprofile --rcfile {start} -i")
        self._tmux("set", "-g", "status", "off")

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._name, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(), timeout=PATIENCE)
        return done.stdout

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    async def until(self, *texts: str) -> None:
        """Until all of these stand on the screen or above it, with blanks and line ends taken alike."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        while not all(text in self._words() for text in texts):  # a terminal tells of nothing
            assert loop.time() < end, (texts, self._tmux("capture-pane", "-p"))
            await asyncio.sleep(0.1)

    def _words(self) -> str:
        return " ".join(self._tmux("capture-pane", "-p", "-J", "-S", "-200").split())

    async def keep(self, title: str) -> None:
        """What stands there, once all of it is drawn."""
        before = None
        while (screen := normal(self._tmux("capture-pane", "-p", "-J"))) != before:
            before = screen
            await asyncio.sleep(_DRAWN)
        self.shown.append(f"=== {title}\n{screen}\n")

    def end(self) -> None:
        self._tmux("kill-server")


async def a_day(folder: Path, columns: int, rows: int) -> str:
    """The screens of one day."""
    home = HomeFolder(folder / "home")
    terminal = Terminal(folder, columns, rows)
    try:
        async with AsyncExitStack() as people:
            bob, carol, dave = [
                await people.enter_async_context(Client(name, home.path)) for name in ("bob", "carol", "dave")
            ]
            async with Client("alice", home.path) as alice:
                for name, friend in (("carol", carol), ("dave", dave)):
                    await friend.connect(str((await alice.invite(name)).link), "alice")
                    await alice.wait_connected(name, PATIENCE)
                    await friend.wait_connected("alice", PATIENCE)
            await _talk(terminal, home, bob, carol, dave)
    finally:
        terminal.end()
    return "\n".join(terminal.shown)


async def _talk(terminal: Terminal, home: HomeFolder, bob: Client, carol: Client, dave: Client) -> None:
    terminal.type("smpchat invite --note bob --no-qr")
    await terminal.until("waiting for some")
    await terminal.keep("an invitation for bob")
    with closing(home.open_as(StoredProfile, "alice")) as stored:
        link = next(i.link for i in stored.invitations() if i.note == "bob")
    await bob.connect(str(link), "alice", ["Hi, it is Bob."])
    await terminal.until("[Y/n]")
    await terminal.keep("bob has used it")
    terminal.press("Enter")
    await terminal.until("bob: Hi, it is Bob.", "Cannot reach relay")
    await terminal.keep("the chat")
    terminal.type("Hello Bob, *good* to see you.")
    await terminal.until("message delivered")
    await terminal.keep("an answer, delivered")
    for friend, text in ((carol, "Are you coming?"), (carol, "Tomorrow at ten."), (dave, "Lunch?")):
        await friend.send("alice", text)
    await terminal.until("unread: carol 2, dave 1 (Alt-A)")
    await terminal.keep("carol and dave have written")
    terminal.press("Escape", "a")
    await terminal.until("carol> ", "Tomorrow at ten.")
    await terminal.keep("Alt-A goes to carol")
    terminal.type("See you at the librery.")
    await terminal.until("See you at the librery. ✓✓")
    terminal.press("Up")
    await terminal.until("/edit")
    terminal.press(*["BSpace"] * 4, "a", "r", "y", ".", "Enter")
    await terminal.until("(edited)")
    await terminal.keep("the last message, edited")
    terminal.type("/search library")
    await terminal.until("1 message with 'library'")
    await terminal.keep("a search")
    terminal.type("/verify")
    await terminal.until("Security code with carol", "/verify CODE")
    await terminal.keep("the security code")
    terminal.type("@eve Are you there?")
    await terminal.until("to eve: pending")
    await terminal.keep("a message to eve, whose relay is dead")
    terminal.press("C-d")
    await terminal.until("to pal is not sent yet", "sends it. $")
    await terminal.keep("leaving")
    terminal.type("clear; smpchat contacts")
    await terminal.until("Alias", "pal")
    await terminal.keep("the contacts")
    terminal.type("clear; smpchat")
    await terminal.until("dave: Lunch?", "dave> ")
    await terminal.keep("coming back: dave, who is unread")
    terminal.press("C-d")


def test_a_day_looks_as_it_did(tmp_path: Path) -> None:
    folders = [tmp_path / f"{columns}x{rows}" for columns, rows in SIZES]
    for folder in folders:
        home = HomeFolder(folder / "home")
        good = start_background(home.relay_folder, on_demand=True).address
        assert good is not None
        give_bystanders(home.path / "profiles" / "alice", "alice", parse_server(good))

    async def days() -> list[str]:
        return await asyncio.gather(*(a_day(folder, *size) for folder, size in zip(folders, SIZES, strict=True)))

    try:
        found = dict(zip(SIZES, asyncio.run(days()), strict=True))
    finally:
        for folder in folders:
            stop(folder / "home" / "relay")
    for (columns, rows), text in found.items():
        path = SCREENS / f"day_{columns}x{rows}.txt"
        if os.environ.get("UPDATE_SCREENS"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")
