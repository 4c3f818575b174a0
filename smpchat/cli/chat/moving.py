"""Lines beside the prompt of `chat` with the progress of each file: how much is transferred, how fast, and the time
left."""

from __future__ import annotations

from collections import deque

from rich.text import Text

from smpchat.chat.store.files import FileView
from smpchat.chat.store.records import Message
from smpchat.cli.chat.outgoing import Encrypting
from smpchat.cli.text import narrowed, printable
from smpchat.cli.times import counting
from smpchat.cli.views.files import percent
from smpchat.encoding.text import size_text

_SAMPLES = 20
"""The rate at which a file is transferred is computed from this many samples, which cover a few seconds."""


class Pace:
    """The rate at which each file is being transferred. A file is named by the number of its message."""

    def __init__(self) -> None:
        self._samples: dict[int, deque[tuple[float, int]]] = {}

    def note(self, number: int, done: int, now: float) -> None:
        """Record that ``done`` bytes of a file have been transferred at the time ``now``."""
        samples = self._samples.setdefault(number, deque(maxlen=_SAMPLES))
        if not samples or samples[-1][1] != done:
            samples.append((now, done))

    def of(self, number: int) -> float | None:
        """The rate of a file in bytes per second; None while it is not known."""
        samples = self._samples.get(number)
        if not samples or samples[-1][0] - samples[0][0] < 0.5:
            return None
        return (samples[-1][1] - samples[0][1]) / (samples[-1][0] - samples[0][0])


def moving_line(message: Message, rate: float | None) -> Text:
    """A line such as ``12 receiving photo.jpg: 45 % of 3.2 MiB, 800 KiB/s, 0:02 left``."""
    file = message.file
    assert file is not None
    if file.checking:
        return Text(f"{message.id:>4}  checking {narrowed(file.name, 30)}", "dim")
    line = f"{message.id:>4}  {file.state} {narrowed(file.name, 30)}: {percent(file)} % of {size_text(file.size)}"
    return Text(f"{line}{_pace(file, rate)}", "dim")


def _pace(file: FileView, rate: float | None) -> str:
    if file.reason is not None:
        return f", waiting: {printable(file.reason)}"
    if not rate or rate < 1:
        return ""
    return f", {size_text(int(rate))}/s, {counting((file.size - file.bytes) / rate)} left"


def encrypting_line(file: Encrypting) -> Text:
    """A line such as ``encrypting photo.jpg: 45 % of 3.2 MiB``."""
    done = file.done * 100 // file.size if file.size else 0
    return Text(f"{'':4}  encrypting {narrowed(file.name, 30)}: {done} % of {size_text(file.size)}", "dim")
