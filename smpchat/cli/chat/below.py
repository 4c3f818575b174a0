"""For terminals that cannot move the cursor: new lines are printed below the prompt, followed by the prompt again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import RenderableType

from smpchat.cli.environment import Environment


class PromptBelow:
    """Prints on a terminal that cannot move the cursor. While a prompt is shown, new lines are printed below it,
    followed by the prompt again."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._prompt: Callable[[], str] | None = None
        self._stands = False

    def show(self, renderable: RenderableType) -> None:
        """Print something, on a new line if the prompt is on the current line."""
        if self._stands:
            print()
            self._stands = False
        self._environment.show(renderable)

    @contextmanager
    def asking(self, prompt: Callable[[], str]) -> Iterator[None]:
        """While the ``with`` block runs, a prompt is on the screen, which `ask_again` prints again after new lines. The
        code in the block must print the prompt the first time.

        Args:
            prompt: Returns the prompt, followed by what the user has typed so far.
        """
        self._prompt, self._stands = prompt, True
        try:
            yield
        finally:
            self._prompt, self._stands = None, False

    def ask_again(self) -> None:
        """Print the prompt again if something was printed below it."""
        if self._prompt is not None and not self._stands:
            print(self._prompt(), end="", flush=True)
            self._stands = True
