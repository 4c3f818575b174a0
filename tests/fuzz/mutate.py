"""Bytes, text and JSON changed a little or a lot by a seeded source of chance: one seed gives the same inputs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

MAX_LENGTH = 20_000
"""Bytes; a block is 16,384."""
_NUMBERS = (b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\0\0", b"\xff\xff", b"\x7f" + b"\xff" * 7, b"\xff" * 8)
_WORDS = (
    b"T", b"F", b"0", b"1", b" ", b",", b";", b"=", b"&", b"#", b"/", b"?", b"@", b":", b"%", b"%00", b"\r\n",
    b"\x1b[2J", b"smp://", b"simplex:/", b"https://", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\ud800", b"null", b"X",
)  # fmt: skip
_LETTERS = (
    "\ud800", "\udfff", "\0", "\x1b", "\u0301" * 40, "\u202e", "\u200b", "\ufeff", "\uffff", "\U0010ffff", "\u0663",
    "\u0130", "\u00df", "\u2028", "%", "&amp;", "\u00ad", "\ufb03", "\u115f", "\u3164", "\U0001d7cf", "a" * 300,
    "\uff0e", "\uff1a", "\uff0f",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**40, 1e308, -1.5, "", "x", "\ud800", "\0",
    "\u0301" * 200, "a" * 5_000, [], {}, [[]], [{}], {"": {}}, "1-99999", "4-1", "data:image/png;base64,AAAA", "x.ok",
)  # fmt: skip


class Mutator:
    """Changes inputs; ``others`` are seeds to take pieces of."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def data(self, seed: bytes, others: Sequence[bytes]) -> bytes:
        """Some bytes changed, by one to eight steps."""
        data, chance = bytearray(seed), self.chance
        for _ in range(1 << chance.randrange(4) if chance.random() < 0.9 else 0):
            size, kind = len(data), chance.randrange(10)
            at = chance.randrange(size + 1)
            if kind < 3 and size:
                data[at % size] ^= 1 << chance.randrange(8)
            elif kind == 3 and size:
                data[at % size] = chance.randrange(256)
            elif kind == 4:
                number = chance.choice(_NUMBERS)
                data[at : at + len(number)] = number
            elif kind == 5:
                data[at:at] = chance.choice(_WORDS)
            elif kind == 6:
                del data[at : at + 1 + min(chance.randrange(64), chance.randrange(64))]
            elif kind == 7:
                piece = data[at : at + 1 + chance.randrange(64)]
                data[at:at] = piece * (1 << chance.randrange(6) if chance.random() < 0.1 else 1)
            elif kind == 8 and others:
                other = chance.choice(others)
                start = chance.randrange(len(other) + 1)
                data[at:] = other[start : start + chance.randrange(1, 2_000)]
            elif chance.random() < 0.3:
                del data[at:]
            else:
                data[at:at] = chance.randbytes(1 + chance.randrange(16))
        return bytes(data[:MAX_LENGTH])

    def text(self, seed: bytes, others: Sequence[bytes]) -> bytes:
        """Text changed by letters or by bytes; as UTF-8, halves of surrogate pairs included."""
        chance = self.chance
        if chance.random() < 0.6:
            return _as_text(self.data(seed, others))
        text = text_of(seed)
        for _ in range(1 + chance.randrange(3)):
            at = chance.randrange(len(text) + 1)
            end = at + chance.choice((0, 0, 1, 1, 5))
            text = text[:at] + chance.choice(_LETTERS) + text[end:]
        return text[:MAX_LENGTH].encode("utf-8", "surrogatepass")

    def json(self, seed: bytes, others: Sequence[bytes]) -> bytes:
        """A document whose values, names and nesting are changed; now and then its bytes."""
        chance = self.chance
        if chance.random() < 0.25:
            return self.data(seed, others)
        try:
            value = json.loads(seed)
        except ValueError:
            return self.data(seed, others)
        for _ in range(1 + chance.randrange(3)):
            value = self._value(value, others)
        ascii_only = chance.random() < 0.5
        return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")[: MAX_LENGTH * 4]

    def _value(self, value: Any, others: Sequence[bytes]) -> Any:
        chance = self.chance
        if isinstance(value, dict) and value and chance.random() < 0.85:
            name = chance.choice(list(value))
            changed = dict(value)
            match chance.randrange(8):
                case 0:
                    del changed[name]
                case 1:
                    changed[chance.choice(list(value))] = changed[name]
                case 2:
                    changed[str(chance.choice(_VALUES))[:50]] = changed.pop(name)
                case _:
                    changed[name] = self._value(value[name], others)
            return changed
        if isinstance(value, list) and value and chance.random() < 0.85:
            at = chance.randrange(len(value))
            if chance.random() < 0.2:
                return value * (1 << chance.randrange(1, 8)) if len(value) < 200 else value[:1]
            return [*value[:at], self._value(value[at], others), *value[at + 1 :]]
        if isinstance(value, str) and chance.random() < 0.5:
            return self.text(value.encode("utf-8", "surrogatepass"), [b"x"]).decode("utf-8", "surrogatepass")
        if chance.random() < 0.1:
            nested: Any = value
            for _ in range(1 << chance.randrange(8)):
                nested = [nested] if chance.random() < 0.5 else {"x": nested}
            return nested
        return chance.choice(_VALUES)


def text_of(data: bytes) -> str:
    """What a target of text gets: other bytes stand for what Python makes of them on a command line."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def _as_text(data: bytes) -> bytes:
    return data.decode("utf-8", "replace").encode()


Mutate = Callable[[Mutator, bytes, Sequence[bytes]], bytes]
BYTES: Mutate = Mutator.data
TEXT: Mutate = Mutator.text
JSON: Mutate = Mutator.json
