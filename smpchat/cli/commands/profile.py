"""``profile``: shows and changes what contacts see of you, and lists, chooses or deletes your profiles."""

from __future__ import annotations

import shlex
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from smpchat.agent.errors import StoreError
from smpchat.chat.errors import InputError
from smpchat.cli.arguments import YES_NEEDED, profiles
from smpchat.cli.command_line import examples, group
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.questions import agrees, can_ask
from smpchat.cli.running import run
from smpchat.cli.selection import DEFAULT, deselect, select, selected
from smpchat.encoding.record import Record, replace

if TYPE_CHECKING:
    from smpchat.chat.wire.bots import BotCommand
    from smpchat.chat.wire.preferences import Allow, Feature

app = group("Your name, and your profiles.", "smpchat profile list")


@app.command("show")
def show(context: typer.Context) -> None:
    """Show your profile. Example: smpchat profile show"""
    run(context, _show)


@app.command(
    "set",
    epilog=examples(
        "smpchat profile set Alice", "smpchat profile set --picture me.jpg", "smpchat profile set --command help=Help"
    ),
)
def set_(
    context: typer.Context,
    name: str | None = typer.Argument(None, metavar="NAME", help="The name that your contacts see."),
    description: str | None = typer.Option(
        None, "--description", metavar="TEXT", help="A line about you; '' for none."
    ),
    picture: Path | None = typer.Option(None, "--picture", metavar="FILE", help="A small JPEG or PNG picture."),
    no_picture: bool = typer.Option(False, "--no-picture", help="Remove the picture."),
    allow: list[str] = typer.Option(
        [],
        "--allow",
        metavar="SETTING=VALUE",
        help="A setting of `contact set`, for all contacts, such as reactions=no; may be repeated.",
    ),
    bot: bool | None = typer.Option(None, "--bot/--no-bot", help="Mark this profile as a bot, or as a person."),
    receipts: bool | None = typer.Option(
        None, "--receipts/--no-receipts", help="Tell contacts that their messages have arrived, or do not."
    ),
    command: list[str] = typer.Option(
        [],
        "--command",
        metavar="WORD=LABEL",
        help=(
            "A command that the bot offers: contacts type /WORD, and see LABEL beside it. May be repeated; the new"
            " commands replace those set before. Implies --bot."
        ),
    ),
) -> None:
    """Change your profile: name, picture, and what contacts may do.

    Your contacts see the change, and so do people who open your address. What you leave out stays as it is.
    """
    # None: not given. For a flag that was not given, typer passes False; for a list, [].
    given = (name, description, picture, no_picture or None, allow or None, bot, command or None, receipts)
    if all(value is None for value in given):
        raise typer.BadParameter(
            "say what to change: NAME, --description, --picture, --no-picture, --allow, --bot, --command or --receipts."
        )
    if command and bot is False:
        raise typer.BadParameter("use either --command or --no-bot, not both.")
    if picture is not None and no_picture:
        raise typer.BadParameter("use either --picture or --no-picture, not both.")
    said = Said(name, description, picture, no_picture, tuple(allow), bot, tuple(command), receipts)
    run(context, lambda environment: _set(environment, said))


class Said(Record):
    """The parts of the profile that the options of `profile set` change; all other parts stay as they are."""

    name: str | None
    description: str | None
    picture: Path | None
    no_picture: bool
    allow: tuple[str, ...]
    bot: bool | None
    commands: tuple[str, ...]
    receipts: bool | None


async def _set(environment: Environment, said: Said) -> int:
    """Change the parts of the profile that the user gave, and try to tell the contacts at once."""
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush
    from smpchat.chat.wire.bots import own_commands
    from smpchat.cli.views.profiles import show_profile

    allowed = [_allowance(each) for each in said.allow]
    commands = [_command(each) for each in said.commands]
    image = None if said.picture is None else _content(said.picture)
    with closing(environment.open()) as service:
        if commands or said.bot is not None:
            kept = service.own_profile().commands
            service.set_bot(None if said.bot is False else own_commands(commands or kept))
        service.set_profile(said.name, description=said.description, picture=image, remove_picture=said.no_picture)
        if said.receipts is not None:
            service.set_receipts(said.receipts)
        for feature, allow in allowed:
            service.set_allowed(feature, allow)
        if not service.is_idle():
            async with online(service, environment.relay()):
                await flush(service)
        profile = service.own_profile()
        show_profile(environment, environment.profile, profile.display_name, profile, receipts=service.receipts())
        return ExitStatus.OK


def _command(text: str) -> BotCommand:
    """A command of a bot, typed as ``WORD=LABEL``, or as a word alone, which is then also the label."""
    from smpchat.chat.wire.bots import BotCommand

    keyword, _, label = text.removeprefix("/").partition("=")
    return BotCommand(keyword, label or keyword)


def _allowance(text: str) -> tuple[Feature, Allow | None]:
    from smpchat.cli.features import allowance, setting_named

    name, _, value = text.partition("=")
    feature = setting_named(name).feature
    if feature is None:
        if name.lower() == "mute":
            raise InputError("Mute cannot be set for all contacts.", "For one contact: `smpchat mute WHO`.")
        raise InputError("Receipts cannot be set with --allow.", "Use --receipts or --no-receipts.")
    return feature, allowance(value)


def _content(path: Path) -> bytes:
    """The content of a picture's file. Raises `InputError` if the file cannot be read, or is too large for a
    picture."""
    from smpchat.chat.wire.picture import MAX_FILE, too_large

    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
            size = max(len(content), path.stat().st_size)
    except OSError as error:
        raise InputError(f"Cannot read {str(path)!r}: {error.strerror}.", "Give a picture file.") from None
    if size > MAX_FILE:
        raise too_large(size)
    return content


def _show(environment: Environment) -> int:
    """Print the profile."""
    from smpchat.cli.views.profiles import show_profile

    with closing(environment.open()) as service:
        profile = service.own_profile()
        show_profile(environment, environment.profile, profile.display_name, profile, receipts=service.receipts())
        return ExitStatus.OK


@app.command("list")
def list_(context: typer.Context) -> None:
    """List your profiles; * marks the one in use. Example: smpchat profile list"""
    run(context, _list)


def _list(environment: Environment) -> int:
    """Print all profiles in this home folder."""
    from smpchat.cli.views.profiles import display_name, show_profile

    folder = environment.home / "profiles"
    refused: StoreError | None = None
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        other = replace(environment, profile=path.name)
        if not path.name.startswith(".") and other.is_used():
            try:
                show_profile(environment, path.name, display_name(other))
            except StoreError as error:  # list the other profiles before reporting one that cannot be opened
                refused = refused or error
    if refused is not None:
        raise refused
    return ExitStatus.OK


@app.command("switch")
def switch(
    context: typer.Context,
    name: str = typer.Argument(metavar="NAME", help="A name that `profile list` shows.", autocompletion=profiles),
) -> None:
    """Choose the profile that commands without -p use. Example: smpchat profile switch alice"""
    run(context, lambda environment: _switch(environment, name))


def _switch(environment: Environment, name: str) -> int:
    """Choose the profile that commands without ``-p`` use."""
    from smpchat.cli.views.profiles import display_name, show_profile
    from smpchat.home import Home

    home = Home(environment.home)
    if not home.has(name) and name != DEFAULT:
        raise InputError(
            f"There is no profile {name!r}.",
            "`smpchat profile list` shows your profiles;"
            f" `smpchat -p {shlex.quote(name)} profile show` creates this one.",
        )
    select(home.path, name)
    named = replace(environment, profile=name)
    show_profile(named, name, display_name(named))
    return ExitStatus.OK


@app.command("delete", epilog=examples("smpchat profile delete old", "smpchat profile delete old --yes"))
def delete(
    context: typer.Context,
    name: str = typer.Argument(metavar="NAME", help="A name that `profile list` shows.", autocompletion=profiles),
    yes: bool = YES_NEEDED,
) -> None:
    """Delete a profile from this computer.

    This deletes the profile's contacts, messages, keys and settings. Files that you received stay. Your contacts are
    not told. To tell them, delete each contact first. You can restore the profile only from a file made with `export`.
    """
    run(context, lambda environment: _delete(environment, name, sure=yes))


def _delete(environment: Environment, name: str, *, sure: bool) -> int:
    """Delete a profile's folder. Unless ``sure``, ask the user first."""
    from smpchat.chat.errors import UnknownProfile
    from smpchat.cli.text import shortened
    from smpchat.home import Home

    home = Home(environment.home)
    if not home.has(name):
        raise UnknownProfile(name)
    if not sure:
        if not can_ask(environment):
            raise InputError(f"This would delete the profile {name!r} for good.", "Add --yes to delete it.")
        if not agrees(f"Delete the profile {shortened(name)} with all contacts, messages and keys?"):
            environment.notice("Nothing was deleted.")
            return ExitStatus.OK
    home.delete(name)
    environment.emit("profile", {"name": name, "display_name": None, "active": False, "deleted": True}, None)
    environment.notice(f"Deleted the profile {shortened(name)}. Traces of it may stay on the disk until overwritten.")
    if name != DEFAULT and selected(home.path) == name:
        deselect(home.path)
        environment.notice(f"Commands without -p use the profile {DEFAULT} again.")
    return ExitStatus.OK
