"""A link as a QR code: drawn where it fits the terminal, an image file where it does not."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

from smpchat.cli.environment import Environment

_BORDER = 2


def qr_image(environment: Environment, connection: int) -> Path:
    """Where the QR code of an invitation is saved if no terminal can show it."""
    return environment.profile_folder() / f"invitation-{connection}.png"


def show_qr(environment: Environment, link: str, image: Path) -> None:
    """Draw the code of ``link``, or save it as ``image`` (only the user may read it) and say so."""
    import segno
    from rich.text import Text

    # The lowest error correction: it is read from a screen, where nothing is torn or dirty,
    # and a full link fits a terminal only so.
    code = segno.make(link, error="l", micro=False)
    width, height = code.symbol_size(border=_BORDER)
    columns, rows = shutil.get_terminal_size()
    lines = (height + 1) // 2
    if environment.symbols and width <= columns and lines < rows:
        drawn = io.StringIO()
        code.terminal(drawn, border=_BORDER, compact=True)
        # full blocks are the light modules: name both colours, or a light terminal shows the code inverted
        environment.show(Text(drawn.getvalue().rstrip("\n"), style="#ffffff on #000000"))
        return
    with open(os.open(image, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        code.save(file, kind="png", scale=4)
    why = f", {width} columns by {lines} lines, does not fit this terminal: it" if environment.symbols else ""
    environment.notice(f"The QR code{why} is in {image}")
