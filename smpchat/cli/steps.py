"""The three steps of a connection as a person sees them: which are done, how long each took, and what is missing."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING

from smpchat.agent.machines.handshake_states import ConnectionState, Role
from smpchat.chat.store.events import StateChanged
from smpchat.cli.environment import Environment
from smpchat.cli.text import narrowed, shortened
from smpchat.cli.times import counting, span, waiting_since
from smpchat.cli.views.connections import is_request, show_state

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

NAMES = {1: "invitation", 2: "confirmation", 3: "hello"}
_DONE = {
    (Role.INITIATOR, 1): "link made",
    (Role.INITIATOR, 2): "you have their profile: you can write",
    (Role.INITIATOR, 3): "your profile is sent: connected",
    (Role.JOINER, 1): "link used, queue secured",
    (Role.JOINER, 2): "your profile is at their relay: you can write",
    (Role.JOINER, 3): "you have their profile: connected",
}
_UNDER_WAY = {
    (Role.INITIATOR, 1): "creating a queue at the relay",
    (Role.INITIATOR, 2): "waiting for someone to use the link",
    (Role.INITIATOR, 3): "sending your profile",
    (Role.JOINER, 1): "using the link",
    (Role.JOINER, 3): "waiting for them to come online",
}
_STEP = 14
"""The number and the name of a step take at most this many columns."""
_HEADING = 50
_MARKS = {"done": "✓", "failed": "✗", "now": "●", "-": "·"}
_STYLES = {"✓": "green", "done": "green", "✗": "bold red", "failed": "bold red", "●": "bold", "now": "bold"}


class Progress:
    """How far one connection is in the three steps of its handshake (`NAMES`).

    Attributes:
        done: When steps ended. The keys are the numbers of the steps whose end was seen; the values are the
            milliseconds since the link was made or used.
    """

    def __init__(self, state: StateChanged | None = None) -> None:
        self.state = state
        self.done: dict[int, int] = {}

    def observe(self, state: StateChanged) -> None:
        """Take in an event of the connection. Events must come in the order in which they happened."""
        self.state = state
        match state.state:
            case ConnectionState.INVITED | ConnectionState.JOINING:
                self.done[1] = state.elapsed_ms  # the last of several events counts
            case ConnectionState.READY:
                self.done[2] = state.elapsed_ms
            case ConnectionState.CONNECTED:
                self.done.setdefault(2, state.elapsed_ms)
                self.done[3] = state.elapsed_ms

    @property
    def finished(self) -> int:
        """How many of the three steps are done."""
        match self.state.state if self.state else None:
            case ConnectionState.INVITED:
                return 1
            case ConnectionState.READY:
                return 2
            case ConnectionState.CONNECTED:
                return 3
        return 0

    def took(self, step: int) -> str:
        """How long a finished step took; empty if this is not known."""
        end = self.done.get(step)
        if end is None or step > self.finished or (step > 1 and step - 1 not in self.done):
            return ""
        return span(max(0, end - self.done.get(step - 1, 0)))

    def describe(self, step: int, now: float) -> str:
        """What a step did, does or waits for; empty if the step has not begun."""
        state = self.state
        if state is None:
            return ""
        role = Role(state.role)
        if step <= self.finished:
            if step == 2 and is_request(state):
                return "your request is at their relay"
            held = step == 2 and role is Role.JOINER and state.holds_texts
            return "your profile is at their relay: messages wait until they answer" if held else _DONE[role, step]
        if step > self.finished + 1:
            return ""
        if state.state in (ConnectionState.FAILED, ConnectionState.DELETED):
            return state.state
        asked = step == 3 and is_request(state)
        waiting = "waiting for their answer" if asked else _UNDER_WAY[role, step]
        if asked or (role, step) == (Role.JOINER, 3):
            return waiting_since(waiting, state.since, now)
        return waiting


Row = tuple[str, str, str, str]


def draw(progress: Progress, title: str, environment: Environment) -> list[Row]:
    """A heading, then a row for each step: its mark, name, description and time. The heading is the alias, or ``title``
    if no alias is known."""
    now, symbols = environment.now(), environment.symbols
    state = progress.state
    alias = narrowed(state.alias, _HEADING) if state and state.alias else title
    rows = [("", alias, f"{state.variant} handshake" if state and state.variant else "", "")]
    for step, name in NAMES.items():
        done, active = step <= progress.finished, step == progress.finished + 1
        failed = active and state is not None and state.state == ConnectionState.FAILED
        word = "done" if done else "failed" if failed else "now" if active else "-"
        took = progress.took(step)
        if active and not failed and state is not None and state.since is not None:
            took = counting(now - state.since)
        rows.append((_MARKS[word] if symbols else word, f"{step} {name}", progress.describe(step, now), took))
    return rows


def steps_table(rows: list[Row]) -> Group:
    """The result of `draw` in columns. The heading has a line of its own, because it may contain a name that another
    person chose."""
    from rich.cells import cell_len, set_cell_size
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    (_, name, variant, _), *steps = rows
    margin = " " * (4 + max(cell_len(mark) for mark, *_ in steps))
    name = set_cell_size(name, max(_STEP, cell_len(name)))
    heading = Text.assemble(margin, (name, "bold"), "  ", variant, no_wrap=True, overflow="ellipsis")
    table = Table.grid(padding=(0, 2), collapse_padding=True, pad_edge=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    for mark, name, what, took in steps:
        table.add_row(Text(mark, _STYLES.get(mark, "dim")), Text(name), Text(what), Text(took, "dim"))
    return Group(heading, table)


class StepView:
    """Shows the steps of one connection while they happen: redrawn in place, as lines, or as objects for scripts.

    Wait for the connection inside ``with StepView(…)``. After the ``with`` block, the last drawing stays on the
    terminal.
    """

    def __init__(self, environment: Environment, title: str) -> None:
        self._environment = environment
        self._title = title
        self._progress = Progress()
        self._shown: tuple[str, int] | None = None
        self._drawn: list[Row] = []
        self._widths: list[int] = []  # columns of each line on the screen
        self._columns = 0  # columns of the terminal when these lines were drawn
        self._live: Live | None = None

    def __enter__(self) -> StepView:
        if self._environment.redraws:
            from rich.live import Live

            # rich is told not to redirect the streams: nothing else is printed while the steps are drawn, and
            # `sys.stdout` must stay the real stream.
            self._live = Live(
                console=self._environment.console(), auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            )
            self._live.__enter__()
            self.tick()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, traceback)

    def observe(self, state: StateChanged) -> None:
        """Show an event of the connection, if it says anything new."""
        self._progress.observe(state)
        if (state.state, state.step) != self._shown:
            self._shown = (state.state, state.step)
            if self._live is None:
                show_state(self._environment, state, self.line())
        self.tick()

    def tick(self) -> None:
        """Draw the steps again if anything in them has changed, such as the seconds; do nothing if they cannot be
        redrawn."""
        if self._live is None:
            return
        drawing = draw(self._progress, self._title, self._environment)
        console = self._live.console
        if drawing != self._drawn or console.width != self._columns:
            shown = steps_table(drawing)
            self._take_wrapped_away(console)
            self._live.update(shown, refresh=True)
            lines = console.render_lines(shown, pad=False)
            self._widths = [sum(segment.cell_length for segment in line) for line in lines]
            self._drawn, self._columns = drawing, console.width

    def _take_wrapped_away(self, console: Console) -> None:
        """If the terminal became narrower, it wrapped the drawn lines. Erase the rows that this added."""
        if os.environ.get("XTERM_VERSION"):  # xterm cuts lines off, it does not wrap them
            return
        rows = sum(max(0, width - 1) // console.width for width in self._widths)
        if rows and console.width < self._columns:
            from rich.control import Control
            from rich.segment import ControlType

            erase = (ControlType.ERASE_IN_LINE, 2)
            console.control(Control(ControlType.CARRIAGE_RETURN, *[erase, (ControlType.CURSOR_UP, 1)] * rows))

    def line(self) -> str:
        """One line about the step that was reached: for pipes and for terminals that cannot redraw."""
        progress = self._progress
        state = progress.state
        assert state is not None
        name = shortened(state.alias) if state.alias else self._title
        step = max(1, progress.finished)
        took = progress.took(step)
        what = progress.describe(step, self._environment.now())
        return f"{name}: {state.state}, step {step} of 3 ({NAMES[step]}): {what}" + (f", {took}" if took else "")
