"""``contact``: the details of one contact, and your settings for this contact."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from smpchat.chat.errors import InputError
from smpchat.cli.arguments import CHAT
from smpchat.cli.command_line import examples, group
from smpchat.cli.environment import Environment
from smpchat.cli.exit_status import ExitStatus
from smpchat.cli.features import SETTINGS, change_for, setting_named
from smpchat.cli.running import run
from smpchat.cli.text import printable, shortened

if TYPE_CHECKING:
    from smpchat.chat.wire.picture import Picture

app = group("A contact's details, and your settings for this contact.", "smpchat contact show bob")


@app.command("show")
def show(
    context: typer.Context,
    who: str = CHAT,
    save_picture: Path | None = typer.Option(
        None, "--save-picture", metavar="FILE", help="Save the profile's picture as this new file."
    ),
) -> None:
    """Show the profile of a contact or group, and what is allowed. Example: smpchat contact show bob"""
    run(context, lambda environment: _show(environment, who, save_picture))


def _show(environment: Environment, who: str, save_picture: Path | None) -> int:
    from smpchat.cli.views.details import show_details

    with closing(environment.open()) as service:
        details = service.details(who)
        if save_picture is not None:
            _save(save_picture, service.picture(who))
        show_details(environment, details)
        if save_picture is not None:
            name = shortened(details.view.alias)
            environment.notice(
                f"{name}'s picture is saved in {printable(str(save_picture))}. Open it with care: it can be any"
                " picture."
            )
        return ExitStatus.OK


def _save(path: Path, picture: Picture) -> None:
    """Save a profile picture in a new file. Raises `InputError` if the file exists or cannot be written."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise InputError(f"Cannot write {str(path)!r}: {error.strerror}.", "Choose another place.") from None
    with open(descriptor, "wb") as file:
        file.write(picture.data)


@app.command("set", epilog=examples("smpchat contact set bob disappear 1d", "smpchat contact set bob reactions no"))
def set_(
    context: typer.Context,
    who: str = CHAT,
    setting: str = typer.Argument(
        metavar="SETTING", help=f"One of {', '.join(SETTINGS)}. For a group: receipts or mute."
    ),
    value: str = typer.Argument(
        metavar="VALUE",
        help=(
            "disappear: a time such as 30s or 2w, or off. receipts: on, off or default. mute: on, off or a time such as"
            " 8h. Other settings: yes, no, always or default."
        ),
    ),
) -> None:
    """Change your settings for one contact or group.

    For a feature such as reactions, VALUE says who may use it:

    \b
    yes      both of you may use the feature, if the contact allows it too
    always   the contact may use it, even if they do not allow you to
    no       the contact may not use it; you may, if the contact chose "always"
    default  your choice for all contacts (`profile set --allow`)

    With the setting disappear, messages are deleted for both of you after the time that you give. With fulldelete, a
    deleted message leaves no trace in the conversation. With receipts, the contact is told when a message has arrived.
    With mute, you get no bell and no notifications. The contact sees your settings, but not receipts and mute.
    """
    run(context, lambda environment: _set(environment, who, setting, value))


async def _set(environment: Environment, who: str, name: str, value: str) -> int:
    """Change a setting of a contact. If the contact must be told, try to tell the contact at once."""
    from smpchat.chat.online.presence import online
    from smpchat.chat.online.waiting import flush
    from smpchat.cli.views.details import show_details, told

    setting = setting_named(name)
    change = change_for(setting, value)
    with closing(environment.open()) as service:
        details = change(service, who)
        if not service.is_idle():
            async with online(service, environment.relay()):
                await flush(service)
        show_details(environment, details, told(environment, details, setting))
        return ExitStatus.OK
