"""The settings of an imported profile: its relays, how to reach them, and its relays for files."""

from __future__ import annotations

from typing import Any

from smpchat.chat.service.choices import OwnChoices
from smpchat.cli.text import shortened

_SHOWN = 5
"""At most this many relays of an imported file are named; the file may contain any number."""
_LONGEST = 120


def choice_fields(choices: OwnChoices) -> dict[str, Any]:
    """The fields of the object ``settings`` in JSON."""
    fields: dict[str, Any] = {"receives_at": list(choices.receives_at)}
    if choices.servers is not None:
        fields["servers"] = list(choices.servers)
    if choices.proxy is not None:
        fields["socks"] = choices.proxy
    if choices.private_routing is not None:
        fields["private_routing"] = choices.private_routing
    if choices.strangers_anywhere:
        fields["strangers"] = "any"
    if choices.file_servers is not None:
        fields["file_servers"] = list(choices.file_servers)
    return fields


def choice_lines(choices: OwnChoices) -> str:
    """The settings in words for people, one per line."""
    lines = []
    if choices.servers is not None:
        lines.append(f"relays for new contacts: {_listed(choices.servers) or 'the embedded relay'}")
    if choices.proxy is not None:
        lines.append(f"SOCKS proxy: {'none' if choices.proxy == 'off' else shortened(choices.proxy, _LONGEST)}")
    if choices.private_routing is not None:
        lines.append(f"private routing: {'on' if choices.private_routing else 'off'}")
    if choices.strangers_anywhere:
        lines.append("relays named by other people: may be anywhere, even in your own network")
    if choices.file_servers is not None:
        lines.append(f"relays for files: {_listed(choices.file_servers) or 'the embedded relay'}")
    if choices.receives_at:
        lines.append(f"relays that your contacts write to: {_listed(choices.receives_at)}")
    return "\n".join(f"  {line}" for line in lines)


def _listed(addresses: tuple[str, ...]) -> str:
    named = ", ".join(shortened(address, _LONGEST) for address in addresses[:_SHOWN])
    more = len(addresses) - _SHOWN
    return f"{named} and {more} more" if more > 0 else named
