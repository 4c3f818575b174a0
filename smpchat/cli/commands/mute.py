"""``mute``: turns off the bell and the notifications for one contact or group."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.cli.arguments import CHAT
from smpchat.cli.command_line import Program, examples
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.features import SETTINGS, quiet_for
from smpchat.cli.running import run

app = Program()


@app.command(epilog=examples("smpchat mute bob", "smpchat mute bob 8h", "smpchat mute bob off"))
def mute(
    context: typer.Context,
    who: str = CHAT,
    how_long: str = typer.Argument(
        "on",
        metavar="[HOW_LONG]",
        show_default=False,
        help="A time such as 8h or 1d; on: without a time limit; off: no longer muted (default: on).",
    ),
) -> None:
    """Mute a contact or group: no bell and no notifications.

    Messages arrive as before, and are counted as unread. Nobody is told that you muted them.
    """
    run(context, lambda environment: _mute(environment, who, how_long))


def _mute(environment: Environment, who: str, how_long: str) -> int:
    """Store for how long a contact or group is muted."""
    from smpchat.chat.service.introducing import IntroducingProfile
    from smpchat.cli.views.details import show_details, told

    quiet = quiet_for(how_long)
    with closing(environment.open_as(IntroducingProfile)) as service:
        details = service.mute(who, quiet)
        show_details(environment, details, told(environment, details, SETTINGS["mute"]))
    return ExitStatus.OK
