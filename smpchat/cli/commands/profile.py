"""``profile``: your name, and your profiles."""

from __future__ import annotations

from contextlib import closing

import typer

from smpchat.chat.errors import InputError
from smpchat.cli.command_line import group
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.running import run
from smpchat.cli.selection import DEFAULT, select
from smpchat.cli.views.profiles import display_name, show_profile
from smpchat.encoding.record import replace
from smpchat.home import Home

app = group("Your name, and your profiles.", "smpchat profile list")


@app.command("show")
def show(context: typer.Context) -> None:
    """Show your profile. Example: smpchat profile show"""
    run(context, _show)


@app.command("set")
def set_(context: typer.Context, name: str = typer.Argument(metavar="NAME")) -> None:
    """Change the name that new contacts are told. Example: smpchat profile set Alice"""
    run(context, lambda environment: _show(environment, name))


def _show(environment: Environment, name: str | None = None) -> int:
    """Print the profile, after giving it another name if one is given."""
    with closing(environment.open()) as service:
        profile = service.own_profile() if name is None else service.set_profile(name)
        show_profile(environment, environment.profile, profile.display_name)
        return ExitStatus.OK


@app.command("list")
def list_(context: typer.Context) -> None:
    """List your profiles. Example: smpchat profile list"""
    run(context, _list)


def _list(environment: Environment) -> int:
    """Print all profiles of this home."""
    folder = environment.home / "profiles"
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        other = replace(environment, profile=path.name)
        if other.is_used():
            show_profile(environment, path.name, display_name(other))
    return ExitStatus.OK


@app.command("switch")
def switch(
    context: typer.Context, name: str = typer.Argument(metavar="NAME", help="As `profile list` shows it.")
) -> None:
    """Choose the profile of later commands without -p. Example: smpchat profile switch alice"""
    run(context, lambda environment: _switch(environment, name))


def _switch(environment: Environment, name: str) -> int:
    """Choose the profile that commands without ``-p`` use."""
    home = Home(environment.home)
    if not home.has(name) and name != DEFAULT:
        raise InputError(
            f"There is no profile {name!r}.",
            f"`smpchat profile list` shows your profiles; `smpchat -p {name} profile show` makes this one.",
        )
    select(home.path, name)
    named = replace(environment, profile=name)
    show_profile(named, name, display_name(named))
    return ExitStatus.OK
