"""``group``: one group: joining it, who is in it, leaving it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import typer

from smpchat.cli.arguments import GROUP
from smpchat.cli.command_line import examples, group
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import CommandFailed, ExitStatus
from smpchat.cli.running import run

if TYPE_CHECKING:
    from smpchat.chat.service.views import GroupView

_SAVED = "Your answer is saved. The next command that goes online sends it."

app = group("Join, leave and look into groups.", "smpchat group members team")


@app.command("join", epilog=examples("smpchat group join 2", "smpchat group join hikers --alias hike"))
def join(
    context: typer.Context,
    who: str = GROUP,
    alias: str | None = typer.Option(
        None, "--alias", metavar="ALIAS", help="Your name for the group (default: its own name)."
    ),
) -> None:
    """Accept an invitation to a group."""
    run(context, lambda environment: _join(environment, who, alias))


async def _join(environment: Environment, who: str, alias: str | None) -> int:
    """Join, and stay online until the host has let us in, or for a while."""
    from smpchat.chat.online.patience import Patience, RelayDown
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush, until
    from smpchat.cli.connecting import interrupted, unreachable
    from smpchat.cli.views.groups import show_group

    with closing(environment.open()) as service:
        joined = service.join_group(who, alias)
        assert joined.alias is not None
        name, down = joined.alias, None

        def look() -> GroupView | None:
            now = service.group(name)
            return None if now.standing == "joining" else now

        with interrupted("Interrupted.", lambda: _SAVED):
            async with online(service, environment.relay()):
                try:
                    found = await until(service, look, Patience(), service.contact(name).contact.connection_id)
                except RelayDown as error:
                    found, down = None, error
                await flush(service)
        if down is not None:
            raise unreachable(down, _SAVED)
        show_group(environment, found or service.group(name))
        if found is None:
            environment.notice("You are in the group as soon as the person who invited you comes online.")
        return ExitStatus.OK


@app.command("leave", epilog=examples("smpchat group leave team", "smpchat group leave 2"))
def leave(context: typer.Context, who: str = GROUP) -> None:
    """Leave a group, or decline an invitation.

    The conversation stays on this computer; `smpchat delete` removes it.
    """
    run(context, lambda environment: _leave(environment, who))


async def _leave(environment: Environment, who: str) -> int:
    """Leave, and stay online until the members are told, or for a moment."""
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush
    from smpchat.cli.views.groups import show_group

    with closing(environment.open()) as service:
        before = service.leave_group(who)
        if before.alias is None:
            environment.notice("Declined. The person who invited you is not told.")
            return ExitStatus.OK
        show_group(environment, before)
        if not service.is_idle():
            async with online(service, environment.relay()):
                await flush(service)
        return ExitStatus.OK


@app.command("members", epilog=examples("smpchat group members team", "smpchat group members team --all"))
def members(
    context: typer.Context,
    who: str = GROUP,
    everybody: bool = typer.Option(False, "--all", help="Also those who left or were removed."),
) -> None:
    """List the members of a group."""
    run(context, lambda environment: _members(environment, who, everybody))


def _members(environment: Environment, who: str, everybody: bool) -> int:
    """Print them."""
    from smpchat.cli.views.groups import show_group, show_members

    with closing(environment.open()) as service:
        found = service.group(who)
        if found.alias is None:
            raise CommandFailed(
                ExitStatus.INPUT,
                f"You are not in the group {found.name!r} yet.",
                f"Join first: `smpchat group join {found.id}`.",
            )
        if not environment.json and environment.attended:
            show_group(environment, found)
        show_members(environment, found, all_of_them=everybody)
    return ExitStatus.OK
