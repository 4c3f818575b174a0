"""The classes for what `smpchat explain` says: a `Topic` for each exit code and each state."""

from __future__ import annotations

from enum import StrEnum

from smpchat.encoding.record import Record


class Kind(StrEnum):
    """What a topic explains."""

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
    """What `smpchat explain` says about one exit code or one state.

    Attributes:
        name: The name of the code or state, with which `smpchat explain` finds it.
        meaning: What the code or state means, in one line.
        happened: What happened, in whole sentences, and what follows from that.
        moves: Who does what next; several pairs if that depends on the cause.
        commands: Pairs: what to type, and what the command does.
        causes: The usual causes.
        mark: The mark that `chat` shows for a message with this status.
        code: The exit code as a number; None if the topic is a state.
        also: Other words with which `smpchat explain` finds the topic.
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
        """All words with which `smpchat explain` finds the topic."""
        code = () if self.code is None else (str(self.code),)
        return (*code, self.name, *(() if self.mark is None else (self.mark,)), *self.also)
