"""Shows the transfer of a file while a command waits for it: as a bar, or as ``progress`` objects in JSON."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from smpchat.chat.online import moving
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store.records import Direction, Message
from smpchat.cli.environment import Environment
from smpchat.cli.text import shortened
from smpchat.cli.views.files import show_progress
from smpchat.encoding.text import size_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_TOLD = 0.25
"""With ``--json``, at least this many seconds pass between two ``progress`` objects on standard output."""
Tell = Callable[[str, int, int], None]
"""A function that takes reports of progress: what is being done, how many bytes are done, and how many there are in
all."""


@contextmanager
def bar(environment: Environment, name: str, size: int) -> Iterator[Tell]:
    """Show a progress bar with the rate and the remaining time, if standard error is a terminal. The ``with`` block
    gets a function, the `Tell`, to which it reports the progress. With ``--json``, ``--quiet`` or ``--plain`` there is
    no bar."""
    if environment.json or environment.quiet or environment.plain or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column
    from rich.text import Text

    class Rate(ProgressColumn):
        # rich's own column for the rate counts in MB, but the sizes beside it are in MiB.
        def render(self, task: Task) -> Text:
            return Text(f"{size_text(int(task.speed))}/s" if task.speed else "")

    console = Console(stderr=True, no_color=not environment.colored, highlight=False, markup=False, emoji=False)
    whole = Column(no_wrap=True)
    columns = (
        TextColumn("{task.description}", markup=False, table_column=whole),
        BarColumn(bar_width=None if console.width < 100 else 40),
        # rich's own column for the percentage is not used, because that column reads text as markup.
        TextColumn("{task.percentage:>3.0f}%", markup=False, table_column=whole),
        DownloadColumn(binary_units=True, table_column=whole),
        Rate(table_column=whole),
        TimeRemainingColumn(compact=True, table_column=whole),
    )
    shown = Text(shortened(name, 24)).plain
    # The bar is drawn only when the caller reports progress, never by a thread, so that all output stays in order.
    with Progress(*columns, console=console, transient=True, auto_refresh=False, expand=True) as progress:
        yield _Teller(progress, shown, size)


class _Teller:
    def __init__(self, progress: Progress, name: str, size: int) -> None:
        self._progress, self._name, self._size = progress, name, size
        self._doing = ""
        self._task: TaskID | None = None

    def __call__(self, doing: str, done: int, total: int) -> None:
        if self._task is None or doing != self._doing:  # a new bar, because the rate differs
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(f"{doing} {self._name}", total=total)
            self._doing = doing
        self._progress.update(self._task, completed=done, total=total, refresh=True)


async def until_moved(
    environment: Environment, service: StoredProfile, number: int, patience: float | None, tell: Tell
) -> Message:
    """Wait until a file was received or sent, as `smpchat.chat.online.moving.until_moved` does. Meanwhile, report the
    progress to ``tell``; with ``--json``, also print ``progress`` objects, a few times a second."""
    loop = asyncio.get_running_loop()
    told_at = float("-inf")

    def look(message: Message) -> None:
        nonlocal told_at
        file, now = message.file, loop.time()
        assert file is not None
        doing = "Sending" if message.direction is Direction.SENT else "Receiving"
        tell("Checking" if file.checking else doing, file.bytes, file.size)
        if file.bytes and now - told_at >= _TOLD:
            told_at = now
            show_progress(environment, message)

    return await moving.until_moved(service, number, patience, look)
