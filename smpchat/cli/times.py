"""Times: spans and moments in the local time zone for people, ISO 8601 for scripts."""

from __future__ import annotations

from datetime import UTC, datetime


def span(milliseconds: float) -> str:
    """``181 ms``, ``2.3 s``, ``4 min 10 s``, ``3 h 5 min`` or ``2 d 3 h``."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def counting(seconds: float) -> str:
    """A span that is still growing, in steps of a second: ``0:42``, ``1:02:03``, or as `span` from a day on."""
    whole = max(0, int(seconds))
    if whole >= 86400:
        return span(whole * 1000)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


class _Form:
    """How people read times, for the whole process, as a locale is."""

    chosen = "24h"


def choose_form(form: str) -> None:
    """``24h``, ``12h``, or ``iso``, which also writes days as ISO 8601 does. What scripts read is not touched."""
    _Form.chosen = form


def clock(moment: float) -> str:
    """``09:14``, or ``09:14 am``: a moment whose day is known from what is around it."""
    when = datetime.fromtimestamp(moment)
    if _Form.chosen == "12h":
        # not %p, which is empty in many locales; and always as wide, for what stands in columns
        return f"{when:%I:%M} {'am' if when.hour < 12 else 'pm'}"
    return when.strftime("%H:%M")


def day(moment: float) -> str:
    """``Wednesday 25 November 2026``, or ``2026-11-25``."""
    when = datetime.fromtimestamp(moment)
    if _Form.chosen == "iso":
        return f"{when:%Y-%m-%d}"
    return f"{when:%A} {when.day} {when:%B} {when.year}"


def since(moment: float, now: float) -> str:
    """``09:14`` of today, ``25 Nov 09:14`` or ``2026-11-25 09:14`` of another day."""
    when, today = datetime.fromtimestamp(moment), datetime.fromtimestamp(now)
    if when.date() == today.date():
        return clock(moment)
    if _Form.chosen == "iso":
        return f"{day(moment)} {clock(moment)}"
    year = "" if when.year == today.year else f" {when.year}"
    return f"{when.day} {when:%b}{year} {clock(moment)}"


def iso(moment: float) -> str:
    """``2026-11-25T09:14:00Z``."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
