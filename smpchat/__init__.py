"""smpchat: a terminal chat client for the SimpleX Messaging Protocol, and a library for programs that chat.

Layers, each importing only from those to its right::

    {cli, api} -> home -> {chat, relay}; chat -> agent -> xftp -> client -> {transport, protocol} -> crypto -> encoding
    relay -> {transport, protocol}; {agent, relay} -> storage -> encoding

A program begins with a `Client`; `smpchat.api` has an example.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smpchat.api import (
        AddressView,
        BotCommand,
        ChatError,
        Client,
        ContactChanged,
        ContactView,
        Event,
        FileChanged,
        GroupLinkView,
        GroupView,
        Invitation,
        MemberView,
        Message,
        MessageChanged,
        MessageReceived,
        Notice,
        RequestReceived,
        RequestView,
        StateChanged,
        StatusChanged,
        Wait,
    )

__version__ = "0.1.0"

__all__ = [
    "AddressView",
    "BotCommand",
    "ChatError",
    "Client",
    "ContactChanged",
    "ContactView",
    "Event",
    "FileChanged",
    "GroupLinkView",
    "GroupView",
    "Invitation",
    "MemberView",
    "Message",
    "MessageChanged",
    "MessageReceived",
    "Notice",
    "RequestReceived",
    "RequestView",
    "StateChanged",
    "StatusChanged",
    "Wait",
    "__version__",
]


if not TYPE_CHECKING:  # otherwise a type checker would accept every name

    def __getattr__(name: str) -> Any:
        """The object called ``name`` in `smpchat.api`. `smpchat.api` is imported only here, because the command line
        does not need it."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from smpchat import api

        return getattr(api, name)
