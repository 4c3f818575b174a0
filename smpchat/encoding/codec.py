"""Codecs and their combinators: one codec both writes and reads the values of a type. The definition of a codec looks
like the protocol's ABNF.

Binary forms of agent-wire 0.1 and smp-wire 1.1: big-endian integers, ``T``/``F`` booleans, length-prefixed
strings, ``0``/``1`` optionals, counted lists. A codec checks limits both when it writes and when it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from smpchat.encoding.reader import DecodeError, EncodeError, Reader
from smpchat.encoding.record import Record

T = TypeVar("T")
U = TypeVar("U")


class Codec(Record, Generic[T]):
    """Writes a ``T`` as bytes and reads it back.

    ``write`` raises `EncodeError`. Whatever bytes ``read`` gets, it raises only `DecodeError`.
    """

    write: Callable[[T], bytes]
    read: Callable[[Reader], T]

    def encode(self, value: T) -> bytes:
        """The bytes of ``value``. Raises `EncodeError` if the codec cannot represent the value."""
        return self.write(value)

    def decode(self, data: bytes, what: str = "value") -> T:
        """The value in ``data``. Raises `DecodeError`, also if there are more bytes after the value."""
        reader = Reader(data)
        value = self.read(reader)
        reader.finish(what)
        return value


def uint(size: int) -> Codec[int]:
    """Unsigned big-endian integer of ``size`` bytes."""

    def write(value: int) -> bytes:
        if not 0 <= value < 1 << (8 * size):
            raise EncodeError(f"{value} does not fit {size} bytes")
        return value.to_bytes(size, "big")

    return Codec(write, lambda r: int.from_bytes(r.take(size, "number"), "big"))


def _write_int64(value: int) -> bytes:
    if not -(1 << 63) <= value < 1 << 63:
        raise EncodeError("number does not fit 8 bytes")
    return value.to_bytes(8, "big", signed=True)


def _read_boolean(reader: Reader) -> bool:
    offset = reader.offset
    match reader.take(1, "T or F"):
        case b"T":
            return True
        case b"F":
            return False
    raise DecodeError("T or F expected", offset)


# Booleans and optional values use the ASCII characters T, F, 0 and 1, not the bytes 0 and 1 (smp-wire 1.1, trap 16).
byte, word16, word32 = uint(1), uint(2), uint(4)
int64: Codec[int] = Codec(_write_int64, lambda r: int.from_bytes(r.take(8, "number"), "big", signed=True))
boolean: Codec[bool] = Codec(lambda v: b"T" if v else b"F", _read_boolean)
tail: Codec[bytes] = Codec(lambda v: v, lambda r: r.rest())


def fixed(size: int, what: str = "bytes") -> Codec[bytes]:
    """Exactly ``size`` bytes without a length."""

    def write(value: bytes) -> bytes:
        if len(value) != size:
            raise EncodeError(f"{what}: {size} bytes expected, got {len(value)}")
        return value

    return Codec(write, lambda r: r.take(size, what))


def prefixed(length: Codec[int]) -> Codec[bytes]:
    """The length of the bytes, then the bytes."""

    def write(value: bytes) -> bytes:
        # The codec ``length`` refuses a length that is too large. The reference does not: it writes 256 bytes with the
        # length 0 (smp-wire 1.1).
        return length.write(len(value)) + value

    return Codec(write, lambda r: r.take(length.read(r), "string"))


short_bytes, large_bytes = prefixed(byte), prefixed(word16)  # at most 255 and 65,535 bytes


def mapped(inner: Codec[T], to: Callable[[T], U], back: Callable[[U], T]) -> Codec[U]:
    """A codec for ``U``, made from a codec for ``T``. After reading, ``to`` turns a ``T`` into a ``U``; ``to`` raises
    `DecodeError` if that is impossible. Before writing, ``back`` turns a ``U`` into a ``T``."""
    return Codec(lambda value: inner.write(back(value)), lambda reader: to(inner.read(reader)))


def within(inner: Codec[bytes], content: Codec[T], what: str = "value") -> Codec[T]:
    """A value inside a byte string: ``content`` is the codec of the value, ``inner`` that of the byte string. The value
    must fill the byte string exactly."""
    return mapped(inner, lambda data: content.decode(data, what), content.encode)


def maybe(inner: Codec[T]) -> Codec[T | None]:
    """An optional value: ``0`` for None, or ``1`` and then the value."""

    def write(value: T | None) -> bytes:
        return b"0" if value is None else b"1" + inner.write(value)

    def read(reader: Reader) -> T | None:
        offset = reader.offset
        match reader.take(1, "0 or 1"):
            case b"0":
                return None
            case b"1":
                return inner.read(reader)
        raise DecodeError("0 or 1 expected", offset)

    return Codec(write, read)


def many(inner: Codec[T], *, least: int = 0) -> Codec[tuple[T, ...]]:
    """A byte with the number of items, then the items; fewer than ``least`` are refused."""

    def write(value: tuple[T, ...]) -> bytes:
        if not least <= len(value) <= 255:
            raise EncodeError(f"{len(value)} items; {least} to 255 can be written")
        return bytes([len(value)]) + b"".join(map(inner.write, value))

    def read(reader: Reader) -> tuple[T, ...]:
        offset = reader.offset
        count = reader.take(1, "count")[0]
        if count < least:
            raise DecodeError(f"{count} items; at least {least} expected", offset)
        # The count may be 255 although no item follows. So read the items one by one: then memory is used only for
        # items that exist.
        return tuple(inner.read(reader) for _ in range(count))

    return Codec(write, read)


def non_empty(inner: Codec[T]) -> Codec[tuple[T, ...]]:
    """A list of at least one item."""
    return many(inner, least=1)


def literal(data: bytes) -> Codec[bytes]:
    """Exactly the bytes ``data``."""

    def write(value: bytes) -> bytes:
        if value != data:
            raise EncodeError(f"{data!r} expected")
        return data

    def read(reader: Reader) -> bytes:
        offset = reader.offset
        if reader.take(len(data), repr(data)) != data:
            raise DecodeError(f"{data!r} expected", offset)
        return data

    return Codec(write, read)


def record(cls: type[T], /, **fields: Codec[Any]) -> Codec[T]:
    """A record of class ``cls``: its fields one after the other, in the order of the arguments."""

    def write(value: T) -> bytes:
        return b"".join(codec.write(getattr(value, name)) for name, codec in fields.items())

    def read(reader: Reader) -> T:
        return cls(**{name: codec.read(reader) for name, codec in fields.items()})

    return Codec(write, read)


def pair(first: Codec[T], second: Codec[U]) -> Codec[tuple[T, U]]:
    """A pair: its first value, then its second."""
    return Codec(
        lambda value: first.write(value[0]) + second.write(value[1]),
        lambda reader: (first.read(reader), second.read(reader)),
    )


def tagged(what: str, cases: Sequence[tuple[bytes, type[Any], Codec[Any]]]) -> Codec[Any]:
    """A tag that names a type, then a value of this type."""
    by_type = {cls: (tag, codec) for tag, cls, codec in cases}
    # Try longer tags first: if one tag is the beginning of another, the shorter one would match the values of both.
    by_tag = sorted(cases, key=lambda case: -len(case[0]))

    def write(value: Any) -> bytes:
        if type(value) not in by_type:
            raise EncodeError(f"{what}: cannot write {type(value).__name__}")
        tag, codec = by_type[type(value)]
        return tag + codec.write(value)

    def read(reader: Reader) -> Any:
        offset = reader.offset
        for tag, _, codec in by_tag:
            if reader.starts_with(tag):
                reader.take(len(tag))
                return codec.read(reader)
        raise DecodeError(f"{what}: unknown tag", offset)

    return Codec(write, read)
