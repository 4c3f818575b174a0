"""For a terminal that moves no cursor: what comes goes below the prompt, then the prompt again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import RenderableType

from smpchat.cli.environment import Environment


class PromptBelow:
    """A terminal that moves no cursor: what comes while a prompt stands there goes below it, then the prompt again."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._prompt: Callable[[], str] | None = None
        self._stands = False

    def show(self, renderable: RenderableType) -> None:
        """Print something on lines of its own."""
        if self._stands:
            print()
            self._stands = False
        self._environment.show(renderable)

    @contextmanager
    def asking(self, prompt: Callable[[], str]) -> Iterator[None]:
        """While the block runs, a prompt stands there, and what is typed behind it; the block writes it at first."""
        self._prompt, self._stands = prompt, True
        try:
            yield
        finally:
            self._prompt, self._stands = None, False

    def ask_again(self) -> None:
        """Write the prompt once more if something was printed below it."""
        if self._prompt is not None and not self._stands:
            print(self._prompt(), end="", flush=True)
            self._stands = True
