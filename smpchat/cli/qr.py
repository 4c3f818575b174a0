"""Draws links and security codes as QR codes; a link whose QR code does not fit the terminal is saved as an image
file."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from smpchat.chat.errors import InputError
from smpchat.cli.environment import Environment
from smpchat.cli.text import printable

if TYPE_CHECKING:
    from segno import QRCode

_BORDER = 2


def show_qr(environment: Environment, link: str, image: Path) -> None:
    """Draw the QR code of ``link``. If the QR code cannot be drawn, save it as the picture ``image``, readable by the
    user only, and say so.

    If the profile is encrypted, nothing is saved, because anyone who reads the picture could use the link.
    """
    code = _code(link)
    if draw(environment, code):
        return
    why = _too_large(code) if environment.symbols else ""
    if environment.is_encrypted():
        what = f"The QR code{why}, and" if why else "The QR code is not drawn here, and"
        environment.notice(
            f"{what} it is not saved as a picture because your profile is encrypted. --qr-file FILE saves it."
        )
        return
    with open(os.open(image, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        code.save(file, kind="png", scale=4)
    environment.notice(f"The QR code{f'{why}: it' if why else ''} is saved in {image}")


def show_code(environment: Environment, code: str, *, asked: bool) -> None:
    """Draw a security code in the form that apps scan: its digits, without blanks.

    Args:
        asked: Whether the user asked for the QR code. If so, a notice is printed when the QR code cannot be drawn.
    """
    symbol = _code("".join(code.split()))
    if not draw(environment, symbol) and asked:
        why = _too_large(symbol) if environment.symbols else " cannot be drawn here"
        environment.notice(f"The QR code{why}: compare the digits.")


def draw(environment: Environment, code: QRCode) -> bool:
    """Draw a QR code if all of it fits the terminal. Returns whether the code was drawn."""
    from rich.text import Text

    width, height = code.symbol_size(border=_BORDER)
    columns, rows = shutil.get_terminal_size()
    if not (environment.symbols and width <= columns and (height + 1) // 2 < rows):
        return False
    drawn = io.StringIO()
    code.terminal(drawn, border=_BORDER, compact=True)
    # The light modules of the QR code are full block characters. Both colours are set: on a terminal that writes dark
    # on light, its own colours would invert the code.
    environment.show(Text(drawn.getvalue().rstrip("\n"), style="#ffffff on #000000"))
    return True


def _too_large(code: QRCode) -> str:
    width, height = code.symbol_size(border=_BORDER)
    return f", {width} columns by {(height + 1) // 2} lines, does not fit this terminal"


def check_free(file: Path | None) -> None:
    """Raises `InputError` if the file exists already, because `save_qr` never replaces a file. Call `check_free` before
    the link is made."""
    if file is not None and file.exists():
        raise _cannot(file, "it already exists")


def save_qr(environment: Environment, link: str, file: Path) -> None:
    """Save the QR code of ``link`` in a new file that the user has named. Raises `InputError`."""
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise _cannot(file, str(error.strerror)) from None
    with open(descriptor, "wb") as opened:
        _code(link).save(opened, kind="png", scale=4)
    encrypted = " It is not encrypted." if environment.is_encrypted() else ""
    where = f"The QR code is saved in {printable(str(file))}.{encrypted}"
    environment.notice(f"{where} Anyone who sees it can use the link, so delete it afterwards.")


def _cannot(file: Path, why: str) -> InputError:
    return InputError(f"Cannot write {str(file)!r}: {why}.", "Choose another place.")


def _code(link: str) -> QRCode:
    import segno

    # A QR code with the lowest error correction is enough on a screen, which is never torn or dirty. With more error
    # correction, the code of a full link would not fit a terminal.
    return segno.make(link, error="l", micro=False)
