"""Writes and reads times. People see spans of time and moments in the local time zone; scripts get ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from smpchat.chat.errors import InputError
from smpchat.chat.wire.durations import parse_duration
from smpchat.encoding.patterns import late


def span(milliseconds: float) -> str:
    """A span of time for people, such as ``181 ms``, ``2.3 s``, ``4 min 10 s``, ``3 h 5 min`` or ``2 d 3 h``."""
    if round(milliseconds) < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = max(60, int(seconds))  # 59.96 s is closer to one minute than to 59.9 s
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def counting(seconds: float) -> str:
    """A span of time for a line that is drawn again every second: ``0:42`` or ``1:02:03``; a day or more looks as
    `span` writes it."""
    whole = max(0, int(seconds))
    if whole >= 86400:
        return span(whole * 1000)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


class _Form:
    """How times are shown to people. The choice holds for the whole process, as a locale does."""

    chosen = "24h"


def choose_form(form: str) -> None:
    """Choose how people see times: ``24h``, ``12h``, or ``iso``, which also writes days as ISO 8601 does."""
    _Form.chosen = form


def clock(moment: float) -> str:
    """The time of day, such as ``09:14`` or ``09:14 am``; the day is shown elsewhere."""
    when = datetime.fromtimestamp(moment)
    if _Form.chosen == "12h":
        # strftime's %p is not used, because it is empty in many locales. All times have the same width, because they
        # stand in columns.
        return f"{when:%I:%M} {'am' if when.hour < 12 else 'pm'}"
    return when.strftime("%H:%M")


def day(moment: float) -> str:
    """The day of a moment, such as ``Wednesday 25 November 2026`` or ``2026-11-25``."""
    when = datetime.fromtimestamp(moment)
    if _Form.chosen == "iso":
        return f"{when:%Y-%m-%d}"
    return f"{when:%A} {when.day} {when:%B} {when.year}"


def since(moment: float, now: float) -> str:
    """A moment in short: ``09:14`` if it is today, otherwise such as ``25 Nov 09:14`` or ``2026-11-25 09:14``."""
    when, today = datetime.fromtimestamp(moment), datetime.fromtimestamp(now)
    if when.date() == today.date():
        return clock(moment)
    if _Form.chosen == "iso":
        return f"{day(moment)} {clock(moment)}"
    year = "" if when.year == today.year else f" {when.year}"
    return f"{when.day} {when:%b}{year} {clock(moment)}"


def waiting_since(waiting: str, moment: float | None, now: float) -> str:
    """``waiting for the relay`` with the time added: ``waiting since 09:14 for the relay``. If ``moment`` is None, no
    time is added."""
    if moment is None:
        return waiting
    return waiting.replace("waiting for", f"waiting since {since(moment, now)} for", 1)


def iso(moment: float) -> str:
    """A moment for scripts, such as ``2026-11-25T09:14:00Z``."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


_DATE = late(r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d?):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z?))?")
_CLOCK = late(r"(\d\d?):(\d\d)")
WRITTEN = "2026-11-30, '2026-11-30 09:14', 09:14, today, yesterday, 2h or 3d"
"""How a time may be written."""


def moment(text: str, now: float, *, end: bool = False) -> float:
    """Convert a time that a person typed to POSIX seconds. The time is local, or UTC if it ends with ``Z``.

    Args:
        text: As in `WRITTEN`. A span counts back from now: ``30m``, ``2h``, ``3d``, ``1w``.
        end: Return the end of the day, minute or second that the text names, not its beginning.
    Raises:
        InputError: ``text`` is not written in any of the ways that `WRITTEN` lists.
    """
    given, present = text.strip(), datetime.fromtimestamp(now)
    today = present.replace(hour=0, minute=0, second=0, microsecond=0)
    day_named = {"today": today, "yesterday": today - timedelta(days=1)}.get(given.lower())
    try:
        if day_named is not None:
            return (day_named + timedelta(days=end)).timestamp()
        if match := _CLOCK().fullmatch(given):
            return today.replace(hour=int(match[1]), minute=int(match[2])).timestamp() + 60 * end
        if match := _DATE().fullmatch(given):
            year, month, date, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
            named = datetime(year, month, date, hour, minute, second, tzinfo=UTC if match[7] else None)
            if match[4] is None:
                return (named + timedelta(days=end)).timestamp()
            return named.timestamp() + (end if match[6] else 60 * end)
        return now - parse_duration(given)
    except (ValueError, OverflowError, OSError, InputError):  # such as month 13, or a year that is too large
        raise InputError(f"{text!r} is not a time.", f"Write it like one of these: {WRITTEN}.") from None
