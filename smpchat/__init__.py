"""smpchat: a terminal chat client for the SimpleX Messaging Protocol.

Layers, each importing only from those to its right::

    cli -> {chat, relay}; chat -> agent -> client -> {transport, protocol} -> crypto -> encoding
    relay -> {transport, protocol}
"""

__version__ = "0.1.0"
