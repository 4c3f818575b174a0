"""What a file is by its content, and previews; files are made here, none is a real photograph."""

from __future__ import annotations

import base64
import io
import sys

import pytest

from smpchat.chat.wire import media
from smpchat.chat.wire.media import MAX_PREVIEW, PREVIEWS, Media, look_at


def box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def mp4(*tracks: bytes, seconds: int = 5, version: int = 0) -> bytes:
    times = bytes(8) + (1000).to_bytes(4, "big") + (seconds * 1000 - 1).to_bytes(4, "big")
    if version:
        times = bytes(16) + (1000).to_bytes(4, "big") + (seconds * 1000 - 1).to_bytes(8, "big")
    header = box(b"mvhd", bytes([version, 0, 0, 0]) + times + bytes(40))
    found = b"".join(box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + kind + bytes(8)))) for kind in tracks)
    return box(b"ftyp", b"M4A \0\0\0\0") + box(b"mdat", bytes(100)) + box(b"moov", header + found)


def looked_at(data: bytes) -> Media:
    return look_at(io.BytesIO(data), len(data))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ("file", None)),
        (b"hello", ("file", None)),
        (b"%PDF-1.7", ("file", None)),
        (b"\xff\xd8\xff but no picture", ("file", None)),
        (mp4(b"soun"), ("voice", 5)),
        (mp4(b"soun", version=1), ("voice", 5)),
        (mp4(b"soun", seconds=301), ("file", None)),
        (mp4(b"soun") + box(b"free", bytes(600_000)), ("file", None)),
        (mp4(b"vide", b"soun"), ("video", 5)),
        (mp4(), ("file", None)),
        (mp4(b"soun")[:-30], ("file", None)),
        (box(b"ftyp", b"M4A ") + b"\0\0\0\1moov" + b"\xff" * 8, ("file", None)),
        (box(b"ftyp", b"M4A ") + box(b"free", b"") * 9_000 + mp4(b"vide"), ("file", None)),
    ],
)
def test_kinds(data: bytes, expected: tuple[str, int | None]) -> None:
    found = looked_at(data)
    assert (found.kind, found.duration) == expected


def test_a_video_has_a_preview_because_apps_take_none_without() -> None:
    [first, last] = looked_at(mp4(b"vide")).contents("look")
    assert first["type"] == "video" and first["duration"] == 5 and first["image"].startswith("data:image/png;base64,")
    assert base64.b64decode(first["image"].partition(",")[2]).startswith(b"\x89PNG")
    assert last == {"type": "file", "text": "look"}


def test_a_picture_has_previews_that_fit() -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    noise = image.effect_noise((900, 700), 120).convert("RGBA")
    noise.putalpha(image.effect_noise((900, 700), 120))
    exif = image.Exif()
    exif[0x010E] = "the place of my house"
    for kind in ("PNG", "JPEG", "WEBP", "GIF"):
        data = io.BytesIO()
        noise.convert("RGBA" if kind in ("PNG", "WEBP") else "RGB").save(
            data, kind, **({"exif": exif} if kind == "JPEG" else {})
        )
        found = looked_at(data.getvalue())
        assert found.kind == "image" and len(found.previews) == len(PREVIEWS)
        for preview, limit in zip(found.previews, PREVIEWS, strict=True):
            assert preview.startswith("data:image/jpg;base64,") and len(preview) <= limit <= MAX_PREVIEW
            small = base64.b64decode(preview.partition(",")[2])
            assert b"my house" not in small and image.open(io.BytesIO(small)).format == "JPEG"
        assert [content["type"] for content in found.contents("")] == ["image"] * 3 + ["file"]


def test_a_picture_of_too_many_pixels_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    data = io.BytesIO()
    image.new("L", (60, 60)).save(data, "PNG")
    monkeypatch.setattr(media, "MAX_PIXELS", 3_599)
    assert looked_at(data.getvalue()) == Media()


def test_without_pillow_a_picture_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert looked_at(b"\x89PNG\r\n\x1a\n" + bytes(100)) == Media()
