"""A bounded cursor over bytes, and the two errors of the encoding layer.

Errors::

    ValueError
    ├── DecodeError   bytes or text from outside do not have the expected form
    └── EncodeError   a value that we write does not fit the form (too long, out of range)
"""

from __future__ import annotations

Buffer = bytes | bytearray | memoryview
"""Types of byte strings that functions accept without copying them; the items of a memoryview must be single bytes."""


class DecodeError(ValueError):
    """Input is not in the expected form.

    Attributes:
        what: Says what was being read, and what is wrong with it.
        offset: Position of the error in the input, in bytes (or characters), if known.
    """

    def __init__(self, what: str, offset: int | None = None) -> None:
        self.what = what
        self.offset = offset
        super().__init__(what if offset is None else f"{what} (at offset {offset})")


class EncodeError(ValueError):
    """A value cannot be encoded, for example because it is too long. Nothing was written."""


class Reader:
    """Reads forward over ``data``; never past its end.

    A method that needs more bytes than are left raises `DecodeError` and consumes nothing.
    """

    __slots__ = ("_data", "_offset")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    @property
    def offset(self) -> int:
        """Bytes consumed so far."""
        return self._offset

    @property
    def remaining(self) -> int:
        """Bytes not yet consumed."""
        return len(self._data) - self._offset

    def take(self, size: int, what: str = "bytes") -> bytes:
        """The next ``size`` bytes."""
        end = self._offset + size
        if size < 0 or end > len(self._data):
            raise DecodeError(f"{what}: {size} bytes expected, {self.remaining} left", self._offset)
        chunk = self._data[self._offset : end]
        self._offset = end
        return chunk

    def peek(self) -> int | None:
        """The next byte as a number without consuming it, or None at the end."""
        return self._data[self._offset] if self._offset < len(self._data) else None

    def starts_with(self, prefix: bytes) -> bool:
        """Whether the next bytes are ``prefix``; consumes nothing."""
        return self._data.startswith(prefix, self._offset)

    def rest(self) -> bytes:
        """All remaining bytes."""
        chunk = self._data[self._offset :]
        self._offset = len(self._data)
        return chunk

    def finish(self, what: str = "value") -> None:
        """Refuse trailing bytes."""
        if self.remaining:
            raise DecodeError(f"{what}: {self.remaining} unexpected bytes at the end", self._offset)
