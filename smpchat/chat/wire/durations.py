"""Time spans. Users type them as ``30s``, ``5m``, ``1h``, ``1d`` or ``2w``; smpchat prints them as *1 day 2 hours*."""

from __future__ import annotations

from smpchat.chat.errors import InputError
from smpchat.encoding.patterns import late

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_WRITTEN = late(r"([0-9]{1,9})([smhdw])")
_UNITS = (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def parse_duration(text: str) -> int:
    """A time span that the user typed, in seconds. Raises `InputError`."""
    match = _WRITTEN().fullmatch(text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise InputError(f"{text!r} is not a time span.", "Write a number and a unit (s, m, h, d, w), such as 2w.")
    return int(match[1]) * _SECONDS[match[2]]


def duration_text(seconds: int) -> str:
    """A time span such as ``1 hour 30 minutes``: the two largest units; weeks only for a whole number of weeks."""
    parts = []
    for unit, size in _UNITS:
        if unit == "week" and seconds % size:
            continue
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count:,} {unit}{'' if count == 1 else 's'}")
    return " ".join(parts[:2]) or "0 seconds"
