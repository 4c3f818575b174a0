"""The classes with which `smpchat.cli.schema` describes JSON objects: types of objects, their fields, and kinds of
values."""

from __future__ import annotations

from enum import Enum

from smpchat.encoding.record import Record


class Kind(Enum):
    """What a field's value may be."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "true or false"
    TIME = "time"
    OBJECT = "object"
    COUNTS = "object of numbers"
    LIST = "list of objects"
    TEXTS = "list of texts"
    SETTING = "text, true or false, or list of texts"


class Field(Record):
    """One field of an object.

    Attributes:
        optional: The field is left out if it does not apply.
        nullable: The value may be null.
        values: All possible values; if empty, any value is possible.
        fields: The fields of the object, or of each object in the list.
    """

    name: str
    kind: Kind
    meaning: str
    optional: bool = False
    nullable: bool = False
    values: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()


class ObjectType(Record):
    """One ``type`` of object.

    Attributes:
        printed_by: The commands that print objects of this type.
    """

    name: str
    meaning: str
    printed_by: str
    fields: tuple[Field, ...]


def text(name: str, meaning: str, *values: str, optional: bool = False, nullable: bool = False) -> Field:
    """A field whose value is a text; one of ``values``, if any are given."""
    return Field(name, Kind.TEXT, meaning, optional, nullable, values)


def number(name: str, meaning: str, *, optional: bool = False, nullable: bool = False) -> Field:
    """A field whose value is a whole number."""
    return Field(name, Kind.NUMBER, meaning, optional, nullable)


def flag(name: str, meaning: str, *, optional: bool = False) -> Field:
    """A field whose value is true or false."""
    return Field(name, Kind.FLAG, meaning, optional)
