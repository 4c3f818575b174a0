"""Finds out from a file's content whether it is a picture, video, voice message or something else; makes previews.

Apps show the preview in the message at once, and do not accept a picture without one. Previews are made with Pillow, if
it is installed (``pip install smpchat[images]``); otherwise, pictures are sent as plain files. Only files that the user
sends are read here, never files of a peer.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from smpchat.chat.wire.content import MAX_DURATION
from smpchat.encoding.record import Record, field

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PREVIEW = 14_000
"""Longest preview, in characters: a data URI that fits into one message together with a short text (xftp-wire 7.2)."""
PREVIEWS = (MAX_PREVIEW, 8_000, 3_500)
"""Lengths in characters. For each one, a preview of at most this length is made of the same picture. The shorter
previews are for messages with long texts."""
MAX_VOICE = 522_240
"""Largest voice message, in bytes, that apps download automatically."""
AUTOMATIC = {"image": MAX_VOICE, "voice": MAX_VOICE, "video": 1_047_552}
"""Largest file of each kind, in bytes, that is received automatically; apps have the same limits (xftp-wire 7.2)."""
MAX_VOICE_SECONDS = 300
"""How long a voice message may be in apps, in seconds; a longer sound file is sent as a plain file."""
MAX_PIXELS = 200_000_000
"""Largest picture that is decoded for a preview, in pixels."""
_SIDES = (480, 360, 256, 192, 128, 96, 64, 48)
_QUALITIES = (75, 50, 30)
_MAX_BOXES = 4_000
"""How many boxes of an MP4 file are read."""
_MAX_DEPTH = 6

# A dark picture, 16 by 9, as the preview of videos: apps accept no video without a preview, and smpchat cannot decode
# video.
_FRAME = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAJCAAAAAAeQfPuAAAAEUlEQVR42mPUYEAFTAyDQwAAHboAOlQEUUEAAAAASUVO"
    "RK5CYII="
)


class Media(Record):
    """How a file is sent: as a picture, a video, a voice message or a plain file.

    Attributes:
        kind: ``file``, ``image``, ``video`` or ``voice``, as in ``content`` of a message.
        previews: Previews of a picture or video, as data URIs, the best first. The first preview that fits into the
            message is sent.
        duration: Length of a video or voice message in seconds; None for any other file.
    """

    kind: str = "file"
    previews: tuple[str, ...] = field(default=(), repr=False)
    duration: int | None = None

    def contents(self, text: str) -> Iterator[dict[str, Any]]:
        """The possible forms of the message's ``content``, the best first; the last one is that of a plain file."""
        if self.kind == "voice":
            yield {"type": "voice", "text": text, "duration": self.duration or 0}
        for preview in self.previews:
            content: dict[str, Any] = {"type": self.kind, "text": text, "image": preview}
            yield content | ({"duration": self.duration or 0} if self.kind == "video" else {})
        yield {"type": "file", "text": text}


PLAIN_FILE = Media()


def look_at(file: IO[bytes], size: int) -> Media:
    """How to send a file. Only the file's first bytes and its structure count, not the file's name.

    Args:
        size: Length of the file in bytes.
    """
    file.seek(0)
    begin = file.read(16)
    if _is_picture(begin):
        previews = tuple(previews_of(file))
        return Media("image", previews) if previews else PLAIN_FILE
    if begin[4:8] == b"ftyp":
        return _look_at_mp4(file, size)
    return PLAIN_FILE


def _is_picture(begin: bytes) -> bool:
    """Whether a file with these first bytes is a JPEG, PNG, GIF or WebP."""
    return (
        begin.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"))
        or begin[:4] + begin[8:12] == b"RIFFWEBP"
    )


# -- previews ---------------------------------------------------------------------------------------------------------


def previews_of(file: IO[bytes]) -> Iterator[str]:
    """Previews of a picture that the user sends, largest first; none without Pillow, or if the picture cannot be
    decoded.

    The previews are drawn anew, so they do not contain the data that a camera adds to a picture, such as the location.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        return
    file.seek(0)
    try:
        with Image.open(file, formats=("JPEG", "PNG", "GIF", "WEBP")) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return
            opened.draft("RGB", (2 * _SIDES[0], 2 * _SIDES[0]))
            drawn = _flat(ImageOps.exif_transpose(opened))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return  # it cannot be decoded as a picture, so it is sent as a plain file
    for limit in PREVIEWS:
        found = _preview(drawn, limit)
        if found is not None:
            yield found


def _flat(image: Image) -> Image:
    """The picture on white, because JPEG does not support transparency."""
    from PIL import Image

    image.thumbnail((_SIDES[0], _SIDES[0]))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        flat = Image.new("RGB", image.size, "white")
        flat.paste(image, mask=image.getchannel("A"))
        return flat
    return image.convert("RGB")


def _preview(image: Image, limit: int) -> str | None:
    for side in _SIDES:
        smaller = image.copy()
        smaller.thumbnail((side, side))
        for quality in _QUALITIES:
            encoded = io.BytesIO()
            smaller.save(encoded, "JPEG", quality=quality, optimize=True)
            uri = f"data:image/jpg;base64,{base64.b64encode(encoded.getvalue()).decode()}"
            if len(uri) <= limit:
                return uri
    return None


# -- MP4 --------------------------------------------------------------------------------------------------------------


def _look_at_mp4(file: IO[bytes], size: int) -> Media:
    """Whether an MP4 file is a video, a voice message or another file, by its tracks and length (ISO/IEC 14496-12)."""
    tracks: set[bytes] = set()
    seconds = 0
    boxes = 0
    waiting = [(0, size, 0)]
    while waiting:
        at, end, depth = waiting.pop()
        while end - at >= 8 and boxes < _MAX_BOXES:
            boxes += 1
            file.seek(at)
            header = file.read(16)
            length, kind, begin = int.from_bytes(header[:4], "big"), header[4:8], at + 8
            if length == 1:
                length, begin = int.from_bytes(header[8:16], "big"), at + 16
            length = end - at if length == 0 else length
            if length < begin - at or at + length > end:
                break
            if kind in (b"moov", b"trak", b"mdia") and depth < _MAX_DEPTH:
                waiting.append((begin, at + length, depth + 1))
            elif kind == b"hdlr":
                file.seek(begin)
                tracks.add(file.read(12)[8:12])
            elif kind == b"mvhd":
                file.seek(begin)
                seconds = _seconds(file.read(32))
            at += length
    if b"vide" in tracks:
        return Media("video", (_FRAME,), seconds)
    if tracks == {b"soun"} and 0 < seconds <= MAX_VOICE_SECONDS and size <= MAX_VOICE:
        return Media("voice", duration=seconds)
    return PLAIN_FILE


def _seconds(header: bytes) -> int:
    """The duration in a ``mvhd`` box in seconds, rounded up; 0 if there is none."""
    at, width = (20, 8) if header[:1] == b"\x01" else (12, 4)
    scale, duration = int.from_bytes(header[at : at + 4], "big"), int.from_bytes(header[at + 4 : at + 4 + width], "big")
    return min(-(-duration // scale), MAX_DURATION) if scale else 0
