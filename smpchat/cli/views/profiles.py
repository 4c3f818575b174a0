"""Profiles of a home: their names here and for contacts, and which one is used."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.wire.profile import Profile
from smpchat.cli.environment import Environment
from smpchat.cli.text import printable
from smpchat.encoding.record import as_dict


def display_name(environment: Environment) -> str | None:
    """The name that contacts of the profile are told; None if a passphrase is needed to know it."""
    if environment.is_encrypted():
        return None
    with closing(environment.open_as(StoredProfile)) as service:
        return service.own_profile().display_name


def show_profile(
    environment: Environment,
    name: str,
    told: str | None,
    profile: Profile | None = None,
    *,
    receipts: bool | None = None,
    brought: dict[str, Any] | None = None,
) -> None:
    """A ``profile`` object, or ``* alice: Alice``; the star marks the one that is used.

    Args:
        profile: The rest of the profile, if it must be shown too.
        receipts: Whether contacts are told that their messages arrived; None: not shown.
        brought: The settings for relays and files that an imported profile brought; for programs only.
    """
    active = name == environment.profile
    fields: dict[str, Any] = {"name": name, "display_name": told, "active": active}
    line = f"{'*' if active else ' '} {printable(name)}: {'(encrypted)' if told is None else printable(told)}"
    if profile is not None and profile.description:
        fields["description"] = profile.description
        line += f"\n  {printable(profile.description)}"
    if profile is not None and profile.picture is not None:
        fields["picture"] = True
        line += "\n  with a picture"
    if profile is not None and profile.bot:
        fields["bot"] = True
        line += "\n  a bot"
    if profile is not None and profile.commands:
        fields["commands"] = [as_dict(command) for command in profile.commands]
        line += "".join(
            f"\n  /{printable(command.keyword)}: {printable(command.label)}" for command in profile.commands
        )
    if receipts is not None:
        fields["receipts"] = receipts
        line += "" if receipts else "\n  receipts off"
    if brought is not None:
        fields["settings"] = brought
    environment.emit("profile", fields, line)
