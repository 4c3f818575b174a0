"""The form in which `smpchat explain` keeps what it says."""

from __future__ import annotations

from enum import StrEnum

from smpchat.encoding.record import Record


class Kind(StrEnum):
    """What is explained."""

    EXIT = "exit-code"
    CONNECTION = "connection-state"
    MESSAGE = "message-status"
    GROUP = "group-state"
    MEMBER = "member-connection"


class Mover(StrEnum):
    """Who acts next."""

    YOU = "you"
    CONTACT = "contact"
    MEMBER = "member"
    OPERATOR = "operator"
    NOBODY = "nobody"


class Topic(Record):
    """One thing that can be explained.

    Attributes:
        name: What `smpchat explain` accepts; for an exit code, also its number.
        meaning: What it means, in one line.
        happened: The same in sentences, with its consequences.
        moves: Who does what next. More than one, if it depends on the cause.
        commands: What to type, and what that does.
        causes: The usual causes.
        mark: The mark for it in `chat`.
        code: Number of an exit code.
        also: Other words by which it is found.
    """

    kind: Kind
    name: str
    meaning: str
    happened: str
    moves: tuple[tuple[Mover, str], ...]
    commands: tuple[tuple[str, str], ...] = ()
    causes: tuple[str, ...] = ()
    mark: str | None = None
    code: int | None = None
    also: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All words by which it is found."""
        code = () if self.code is None else (str(self.code),)
        return (*code, self.name, *(() if self.mark is None else (self.mark,)), *self.also)
