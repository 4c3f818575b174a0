"""SQL functions for migrations, for what SQL cannot do: derive public keys, and remove used secrets from stored values.

A ratchet or link that cannot be read stays as it is; the code that uses it will report what is wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from smpchat.agent.store.erasure import EMPTY_LOG


def x25519_public(private: bytes) -> bytes:
    """The public half of a raw X25519 key."""
    from smpchat.crypto.keys import X25519PrivateKey  # loads libsodium and OpenSSL, only for an old profile

    return X25519PrivateKey(private).public().raw


def x448_public(private: bytes) -> bytes:
    """The public half of a raw X448 key."""
    from smpchat.crypto.keys import X448PrivateKey

    return X448PrivateKey(private).public().raw


def stored_ratchet(state: bytes) -> bytes:
    """A stored ratchet, converted to the current format."""
    from smpchat.crypto.ratchet_state import Ratchet
    from smpchat.encoding.reader import DecodeError

    try:
        return Ratchet.from_bytes(state).to_bytes()
    except DecodeError:
        return state


def short_link_without_key(text: str) -> str:
    """The text of a used short link, with zeros instead of the link's key. The relay and the id in the text are enough
    to recognise the link."""
    from smpchat.agent.errors import LinkError
    from smpchat.agent.wire.short_links import without_key

    try:
        return without_key(text)
    except LinkError:
        return text


def define_functions(connection: sqlite3.Connection, erased: Callable[[], None] = lambda: None) -> None:
    """Define the functions for migrations; ``erased`` is called when one of them has erased something."""
    for name, arguments, function in _FUNCTIONS:
        connection.create_function(name, arguments, function)
    connection.create_function(EMPTY_LOG, 0, erased)


_FUNCTIONS: tuple[tuple[str, int, Callable[..., bytes | str]], ...] = (
    ("x25519_public", 1, x25519_public),
    ("x448_public", 1, x448_public),
    ("stored_ratchet", 1, stored_ratchet),
    ("short_link_without_key", 1, short_link_without_key),
)
"""Each function's name in SQL, its number of arguments, and the function itself."""
