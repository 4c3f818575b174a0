"""``history``: apart from the other commands for messages, since it only reads."""

from __future__ import annotations

from smpchat.chat.service.reading import StoredProfile
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.views.contacts import FIRST_STEPS
from smpchat.cli.views.messages import show_history


def history(environment: Environment, who: str, limit: int, search: str | None) -> int:
    """Print the last messages of a conversation; nothing for a profile that was never used."""
    if not environment.is_used():
        if environment.attended:
            environment.notice(FIRST_STEPS)
        return ExitStatus.OK
    service = environment.open_as(StoredProfile)
    try:
        found = service.history(who, limit, search)
        show_history(environment, found)
        if not found and environment.attended:
            environment.notice("No messages yet." if search is None else f"No message contains {search!r}.")
        return ExitStatus.OK
    finally:
        service.close()
