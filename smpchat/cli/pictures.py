"""Draws pictures in the terminal, only when the user asks for it: with the protocol of kitty or iTerm, with sixels, or
with half blocks (the character ▀ in two colours).

Pictures are decoded by Pillow (``pip install smpchat[images]``), scaled down and sent as pixels: the terminal never
gets bytes that a peer wrote.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from smpchat.chat.errors import InputError
from smpchat.chat.wire.media import MAX_PIXELS
from smpchat.cli.environment import Environment, encodes

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
_SIDE = 800
"""The longer side of a picture has at most this many pixels, on terminals that show pixels."""
_CHUNK = 4_096
"""In kitty's protocol, a picture is sent in parts of at most this many characters."""
_COLORS = 64


class Way(Enum):
    """How a terminal shows pictures."""

    KITTY = "kitty"
    ITERM = "iterm"
    SIXEL = "sixel"
    BLOCKS = "blocks"


def way_of(variables: Mapping[str, str]) -> Way:
    """How the terminal shows pictures, according to the environment variables.

    The terminal itself is not asked, because its answer could end up in the input.
    """
    term, program = variables.get("TERM", ""), variables.get("TERM_PROGRAM", "")
    if variables.get("TMUX") or term.startswith(("screen", "tmux")):
        return Way.BLOCKS  # tmux and screen do not pass pictures on to the terminal
    if "kitty" in term or variables.get("KITTY_WINDOW_ID") or program == "ghostty":
        return Way.KITTY
    if program in ("iTerm.app", "WezTerm", "mintty"):
        return Way.ITERM
    if term.startswith(("foot", "mlterm", "yaft")) or "sixel" in term:
        return Way.SIXEL
    return Way.BLOCKS


def draw_file(environment: Environment, picture: Path | bytes) -> None:
    """Draw a picture on standard output. Raises `InputError` if the terminal cannot show pictures, or if this picture
    cannot be drawn."""
    if not environment.redraws:
        raise InputError("This terminal shows no pictures.", _instead(picture))
    for piece in drawn(
        picture, way_of(os.environ), shutil.get_terminal_size(), blocks=encodes(sys.stdout.encoding, "▀")
    ):
        print(piece, end="", flush=True)
    print(flush=True)


def _instead(picture: Path | bytes) -> str:
    return f"Open the file instead: {picture}" if isinstance(picture, Path) else "Receive the file, and open it."


def drawn(picture: Path | bytes, way: Way, size: os.terminal_size, *, blocks: bool = True) -> Iterator[str]:
    """The characters that draw a picture on a terminal, in several pieces.

    Args:
        picture: The file, or its content.
        blocks: Whether the encoding of the output has the half block.
    Raises:
        InputError: The picture cannot be decoded; or it needs half blocks, and there are none.
    """
    image = _opened(picture)
    if way is Way.BLOCKS and not blocks:
        raise InputError("This terminal shows no pictures.", _instead(picture))
    columns, rows = max(2, size.columns - 1), max(2, size.lines - 4)
    if way is Way.BLOCKS:
        image.thumbnail((columns, 2 * rows))
        yield from _blocks(image)
        return
    image.thumbnail((_SIDE, _SIDE))
    if way is Way.SIXEL:
        yield from _sixel(image)
        return
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    text = base64.b64encode(encoded.getvalue()).decode()
    if way is Way.ITERM:
        yield f"\x1b]1337;File=inline=1;preserveAspectRatio=1;size={len(encoded.getvalue())}:{text}\a"
        return
    for at in range(0, len(text), _CHUNK):
        more = int(at + _CHUNK < len(text))
        head = f"f=100,a=T,m={more}" if at == 0 else f"m={more}"
        yield f"\x1b_G{head};{text[at : at + _CHUNK]}\x1b\\"


def _opened(picture: Path | bytes) -> Image:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise InputError(
            "Pictures are drawn with Pillow, which is not installed.", "Install it: pip install 'smpchat[images]'"
        ) from None
    try:
        with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise InputError("The picture has too many pixels to be drawn here.", _instead(picture))
            opened.draft("RGB", (2 * _SIDE, 2 * _SIDE))
            image = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError("This is not a picture that can be drawn here.", _instead(picture)) from None
    flat = Image.new("RGB", image.size, "black")
    flat.paste(image, mask=image.getchannel("A"))
    return flat


def _blocks(image: Image) -> Iterator[str]:
    """Each character shows two pixels: its colour is the upper pixel, its background the lower one."""
    if image.height % 2:
        image = image.crop((0, 0, image.width, image.height + 1))
    pixels = image.tobytes()
    row = 3 * image.width
    for top in range(0, len(pixels), 2 * row):
        line = []
        for at in range(top, top + row, 3):
            upper, lower = pixels[at : at + 3], pixels[at + row : at + row + 3]
            colours = f"38;2;{upper[0]};{upper[1]};{upper[2]};48;2;{lower[0]};{lower[1]};{lower[2]}"
            line.append(f"\x1b[{colours}m▀")
        yield "".join(line) + "\x1b[0m\n"


def _sixel(image: Image) -> Iterator[str]:
    """The picture as sixels (DEC STD 070): in bands of six rows. A band is drawn once for each of its colours."""
    few = image.quantize(_COLORS)
    palette, pixels = few.getpalette() or [], few.tobytes()
    width, height = few.size
    yield f'\x1bPq"1;1;{width};{height}'
    for number in range(len(palette) // 3):
        red, green, blue = (channel * 100 // 255 for channel in palette[3 * number : 3 * number + 3])
        yield f"#{number};2;{red};{green};{blue}"
    for top in range(0, height, 6):
        rows = [pixels[at * width : (at + 1) * width] for at in range(top, min(top + 6, height))]
        for number in sorted(set(b"".join(rows))):
            bits = bytes(
                63 + sum(1 << place for place, row in enumerate(rows) if row[column] == number)
                for column in range(width)
            )
            yield f"#{number}{_run_lengths(bits.decode('ascii'))}$"
        yield "-"
    yield "\x1b\\"


def _run_lengths(line: str) -> str:
    found, at = [], 0
    while at < len(line):
        end = at
        while end < len(line) and line[end] == line[at]:
            end += 1
        found.append(f"!{end - at}{line[at]}" if end - at > 3 else line[at:end])
        at = end
    return "".join(found)
