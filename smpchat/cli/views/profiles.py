"""How profiles are shown: each profile's name on this computer, the name that contacts see, and which one is in use."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.wire.profile import Profile
from smpchat.cli.environment import Environment
from smpchat.cli.text import printable
from smpchat.encoding.record import as_dict


def display_name(environment: Environment) -> str | None:
    """The name that contacts of this profile see; None if the profile is encrypted, because reading the name would need
    the passphrase."""
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
    """Print a ``profile`` object for scripts; for people, a line such as ``* alice: Alice``; the star marks the
    profile in use.

    Args:
        name: The name of the profile on this computer.
        told: The name that contacts see; None if the profile is encrypted.
        profile: The profile whose description, picture and commands are printed too; None prints only the names.
        receipts: Whether contacts are told that their messages arrived; None prints nothing about this.
        brought: The settings for relays and files that came with an imported profile; printed only for scripts.
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
