"""Profiles: what users of SimpleX tell their contacts about themselves (agent-wire 6.3)."""

from __future__ import annotations

import json
from typing import Any

from smpchat.chat.errors import InputError
from smpchat.chat.wire.bots import BotCommand, commands_json, read_commands
from smpchat.chat.wire.content import whole
from smpchat.chat.wire.picture import received_uri
from smpchat.chat.wire.preferences import Preferences, preferences_json, read_preferences
from smpchat.encoding.record import Record, field, replace

MAX_NAME = 100
"""Longest display name that we send, in characters."""
MAX_RECEIVED_NAME = 255
"""How many characters of a peer's display name and full name are kept; on a terminal, at most 100 are
shown."""
_BOT = "bot"
MAX_DESCRIPTION = 160
"""Longest description in a profile, in characters; apps cut off the rest."""


class Profile(Record):
    """What a person tells others: a display name and more, all chosen by that person. Nothing in a profile is ever used
    to identify a contact.

    Attributes:
        full_name: The person's full name; may be empty.
        description: One line about the person; may be empty.
        picture: A data URI (`smpchat.chat.wire.picture`).
        preferences: Which features the person allows.
        bot: The profile says that it belongs to a bot, a program that answers messages.
        commands: The commands that the bot offers.
    """

    display_name: str
    full_name: str = ""
    description: str = ""
    picture: str | None = field(default=None, repr=False)
    preferences: Preferences = field(default_factory=dict)
    bot: bool = False
    commands: tuple[BotCommand, ...] = ()

    @staticmethod
    def own(display_name: str, full_name: str = "") -> Profile:
        """A profile for ourselves. Raises `InputError` for a name that peers could not show."""
        name = display_name.strip()
        if not name or not name.isprintable() or len(name) > MAX_NAME:
            raise InputError(
                "The name of a profile must have 1 to 100 printable characters.",
                "Choose another name: `smpchat profile set NAME`.",
            )
        return Profile(name, full_name)

    def described(self, description: str) -> Profile:
        """A copy of the profile with another description; an empty text removes the description. Raises `InputError` if
        the text is too long, or contains characters that cannot be printed."""
        text = " ".join(description.split())
        if not text.isprintable() or len(text) > MAX_DESCRIPTION:
            raise InputError(
                f"A description can have at most {MAX_DESCRIPTION} printable characters; yours has {len(text):,}.",
                "Shorten it.",
            )
        return replace(self, description=text)

    def to_wire(self) -> dict[str, Any]:
        """The profile as a JSON object, the ``profile`` of ``x.info``."""
        value = self._named() | {"preferences": self._preferences_json()}
        return value if self.picture is None else value | {"image": self.picture}

    def to_members(self) -> dict[str, Any]:
        """The profile for members of a group, without the preferences, which are only for contacts (group-wire 11, trap
        4)."""
        return self._named() if self.picture is None else self._named() | {"image": self.picture}

    def _named(self) -> dict[str, Any]:
        # fullName is written even if it is empty. Without a fullName, or with an unknown peerType, apps refuse the
        # whole profile, and the connection hangs (agent-wire 6.3, trap 38).
        value: dict[str, Any] = {"displayName": self.display_name, "fullName": self.full_name}
        if self.description:
            value["shortDescr"] = self.description
        return value | {"peerType": _BOT} if self.bot else value  # the only peerType that we send

    def _preferences_json(self) -> dict[str, Any]:
        said = preferences_json(self.preferences)
        return said | {"commands": commands_json(self.commands)} if self.commands else said

    @staticmethod
    def from_wire(value: object) -> Profile | None:
        """The profile in a JSON object of a peer; None if it has no usable name. Unknown keys are ignored."""
        if not isinstance(value, dict):
            return None
        name, full_name, description = value.get("displayName"), value.get("fullName"), value.get("shortDescr")
        if not isinstance(name, str) or not name:
            return None
        return Profile(
            whole(name[:MAX_RECEIVED_NAME]),
            whole(full_name[:MAX_RECEIVED_NAME]) if isinstance(full_name, str) else "",
            whole(description[:MAX_DESCRIPTION]) if isinstance(description, str) else "",
            received_uri(value.get("image")),
            read_preferences(value.get("preferences")),
            bot=value.get("peerType") == _BOT,
            commands=_commands(value.get("preferences")),
        )

    def to_json(self) -> str:
        """The profile as JSON for the store, without the picture, which the store keeps in another table."""
        said = self._preferences_json()
        return json.dumps(self._named() | ({"preferences": said} if said else {}))

    @staticmethod
    def from_json(text: str | None) -> Profile | None:
        """The profile that `to_json` wrote."""
        return Profile.from_wire(json.loads(text)) if text else None


def _commands(preferences: object) -> tuple[BotCommand, ...]:
    return read_commands(preferences.get("commands")) if isinstance(preferences, dict) else ()
