"""Pictures in the terminal: each way of drawing, and that nothing but pixels of a file reaches the terminal."""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path

import pytest

from smpchat.chat.errors import InputError
from smpchat.cli import pictures
from smpchat.cli.pictures import Way, drawn, way_of

SIZE = os.terminal_size((40, 14))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    path = tmp_path / "a.png"
    half = image.new("RGB", (200, 101), (255, 0, 0))
    half.paste((0, 0, 255), (0, 50, 200, 101))
    half.save(path, "PNG")
    with path.open("ab") as file:
        file.write(b"\x1b]0;owned\x07")  # behind the picture
    return path


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Way.BLOCKS),
        ({"TERM": "xterm-256color"}, Way.BLOCKS),
        ({"TERM": "xterm-kitty"}, Way.KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, Way.ITERM),
        ({"TERM": "foot"}, Way.SIXEL),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "iTerm.app"}, Way.BLOCKS),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x"}, Way.BLOCKS),
    ],
)
def test_what_the_terminal_says_of_itself_decides(variables: dict[str, str], expected: Way) -> None:
    assert way_of(variables) is expected


def test_half_blocks_fit_the_terminal(picture: Path) -> None:
    lines = "".join(drawn(picture, Way.BLOCKS, SIZE)).splitlines()
    assert 1 < len(lines) <= 10
    assert {line.count("▀") for line in lines} == {39} and all(line.endswith("\x1b[0m") for line in lines)
    assert "38;2;255;0;0" in lines[0] and "38;2;0;0;255" in lines[-1]


@pytest.mark.parametrize("way", [Way.KITTY, Way.ITERM])
def test_a_picture_is_drawn_anew_and_sent_as_png(picture: Path, way: Way) -> None:
    from PIL import Image

    text = "".join(drawn(picture, way, SIZE))
    if way is Way.KITTY:
        assert text.startswith("\x1b_Gf=100,a=T,m=") and text.endswith("\x1b\\")
        data = "".join(re.findall(r"\x1b_G[^;]*;([^\x1b]*)\x1b\\", text))
    else:
        found = re.fullmatch(r"\x1b\]1337;File=[^:]*:([A-Za-z0-9+/=]*)\x07", text)
        assert found is not None
        data = found[1]
    content = base64.b64decode(data)
    assert b"owned" not in content and Image.open(io.BytesIO(content)).size == (200, 101)


def test_a_preview_is_drawn_from_memory(picture: Path) -> None:
    assert list(drawn(picture.read_bytes(), Way.BLOCKS, SIZE)) == list(drawn(picture, Way.BLOCKS, SIZE))
    with pytest.raises(InputError, match="not a picture"):
        list(drawn(b"no picture", Way.BLOCKS, SIZE))


def test_sixel_has_every_row_once(picture: Path) -> None:
    text = "".join(drawn(picture, Way.SIXEL, SIZE))
    assert text.startswith('\x1bPq"1;1;200;101') and text.endswith("\x1b\\")
    assert text.count("-") == -(-101 // 6)
    body = re.sub(r"#\d+;2;\d+;\d+;\d+", "", text[len('\x1bPq"1;1;200;101') : -2])
    pixels = 0
    for count, letter in re.findall(r"(?:!(\d+))?([?-~])", re.sub(r"#\d+", "", body).replace("$", "").replace("-", "")):
        pixels += int(count or 1) * (ord(letter) - 63).bit_count()
    assert pixels == 200 * 101


def test_what_is_no_picture_or_too_large_is_told(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    for path in (tmp_path / "b.png", tmp_path / "missing"):
        with pytest.raises(InputError, match="not a picture"):
            list(drawn(path, Way.BLOCKS, SIZE))
    with pytest.raises(InputError, match="shows no pictures"):
        list(drawn(picture, Way.BLOCKS, SIZE, blocks=False))
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100)
    with pytest.raises(InputError, match="too many pixels"):
        list(drawn(picture, Way.BLOCKS, SIZE))
