"""Profiles: what a contact is told about us, and we about them (agent-wire 6.3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from smpchat.chat.errors import InputError
from smpchat.chat.wire.content import whole

MAX_NAME = 100
"""Longest display name we send, in characters; longer ones from peers are kept as they are."""
# a text-only client: the app then hides what we could not receive
_PREFERENCES = {name: {"allow": "no"} for name in ("voice", "files", "calls")}


@dataclass(frozen=True, slots=True)
class Profile:
    """A name to show, and a longer one that may be empty. Chosen by its owner: never used to address anybody."""

    display_name: str
    full_name: str = ""

    @staticmethod
    def own(display_name: str, full_name: str = "") -> Profile:
        """A profile for ourselves. Raises `InputError` for a name that peers could not show."""
        name = display_name.strip()
        if not name or not name.isprintable() or len(name) > MAX_NAME:
            raise InputError(
                "A profile needs a printable name of 1 to 100 characters.",
                "Give another name: `smpchat profile set NAME`.",
            )
        return Profile(name, full_name)

    def to_wire(self) -> dict[str, Any]:
        """The JSON object of ``x.info``."""
        return {"displayName": self.display_name, "fullName": self.full_name, "preferences": _PREFERENCES}

    @staticmethod
    def from_wire(value: object) -> Profile | None:
        """The profile in a JSON object of a peer; None if it has no usable name. Unknown keys are ignored."""
        if not isinstance(value, dict):
            return None
        name, full_name = value.get("displayName"), value.get("fullName", "")
        if not isinstance(name, str) or not name:
            return None
        return Profile(whole(name), whole(full_name) if isinstance(full_name, str) else "")

    def to_json(self) -> str:
        """For the store."""
        return json.dumps({"displayName": self.display_name, "fullName": self.full_name})

    @staticmethod
    def from_json(text: str | None) -> Profile | None:
        """What `to_json` wrote."""
        return Profile.from_wire(json.loads(text)) if text else None
