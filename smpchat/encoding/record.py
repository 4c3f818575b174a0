"""Frozen records: values with named fields, like those of ``@dataclass(frozen=True, slots=True)``. Record classes are
created faster than dataclasses, so that the program starts faster.

A record never changes. Two records of the same class with equal fields are equal, and have the same hash. In ``match``,
a class pattern may give the fields by position.

Creating 300 frozen dataclasses takes 225 ms on Python 3.11, at every start of the program. Creating 300 record classes
takes 3 ms, and 0.04 ms more for each class of which many records are made. Creating 300 classes of ``msgspec.Struct``
takes 3 ms too. But importing ``msgspec`` takes 9 ms, a tenth of the time that a whole command may take; and
``msgspec.Struct`` cannot leave one field out of a ``repr``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform

R = TypeVar("R", bound="Record")
_MISSING: Any = object()


class Field:
    """Options of one field of a record class.

    Attributes:
        default: The default value.
        default_factory: Called to make the default value of each new record.
        repr: Whether ``repr`` shows the field. Fields that contain keys, plaintext or other secrets are not shown.
    """

    __slots__ = ("default", "default_factory", "repr")

    def __init__(self, default: Any, default_factory: Any, repr: bool) -> None:
        self.default = default
        self.default_factory = default_factory
        self.repr = repr


_REQUIRED = Field(_MISSING, _MISSING, True)


def field(
    *, default: Any = _MISSING, default_factory: Callable[[], Any] | Any = _MISSING, repr: bool = True
) -> Any:  # Any, because the class body assigns it to fields of any type
    """Declares a field with options; see `Field`."""
    return Field(default, default_factory, repr)


_FEW = 24
"""The ``__init__`` of a record class is compiled only after this many objects of the class were made. Compiling takes
as long as making 25 objects, and most runs of smpchat make only one or two objects of a class."""


class _Initialiser:
    """The first ``__init__`` of a class. The compiled ``__init__`` replaces it once `_FEW` records of the class were
    made, or when ``__init__`` is read from the class."""

    __slots__ = ("_left", "_owner")

    def __set_name__(self, owner: RecordType, name: str) -> None:
        self._owner, self._left = owner, _FEW

    def __get__(self, instance: Record | None, owner: type | None = None) -> Any:
        if instance is not None and self._left:
            self._left -= 1
            return partial(_fill, self._owner, instance)
        made = _initialiser(self._owner)
        type.__setattr__(self._owner, "__init__", made)
        return made.__get__(instance, owner)


def _fill(cls: RecordType, record: Record, /, *given: Any, **named: Any) -> None:
    """Sets the fields of a new record, as the compiled ``__init__`` of its class would, but more slowly."""
    values = dict(zip(cls.__record_fields__, given, strict=False))
    wrong = len(given) > len(values) or not values.keys().isdisjoint(named)
    values |= named
    for name, one in cls.__record_fields__.items():
        if name in values:
            value = values.pop(name)
        elif one.default is not _MISSING:
            value = one.default
        elif one.default_factory is not _MISSING:
            value = one.default_factory()
        else:
            wrong = True
            break
        object.__setattr__(record, name, value)
    if wrong or values:
        _initialiser(cls)(record, *given, **named)  # raises Python's own `TypeError`
    if hasattr(cls, "__post_init__"):
        record.__post_init__()  # type: ignore[attr-defined]


def _initialiser(cls: RecordType) -> Any:
    """Compiles the ``__init__`` of a class from text. It is three times as fast as an ``__init__`` that reads
    ``*args``."""
    names: dict[str, Any] = {"_MISSING": _MISSING}
    parameters, lines = ["self"], []
    for name, one in cls.__record_fields__.items():
        value, parameter = name, name
        if one.default is not _MISSING:
            names[f"_default_{name}"] = one.default
            parameter = f"{name}=_default_{name}"
        elif one.default_factory is not _MISSING:
            names[f"_make_{name}"] = one.default_factory
            parameter, value = f"{name}=_MISSING", f"_make_{name}() if {name} is _MISSING else {name}"
        parameters.append(parameter)
        names[f"_set_{name}"] = getattr(cls, name).__set__  # the slot's setter: `__setattr__` refuses
        lines.append(f"    _set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("    self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines or ["    pass"]), names)
    made = names["__init__"]
    made.__module__, made.__qualname__ = cls.__module__, f"{cls.__qualname__}.__init__"
    return made


def _nothing(record: Record) -> tuple[()]:
    return ()


@dataclass_transform(frozen_default=True, field_specifiers=(field, Field))
class RecordType(type):
    """The metaclass of records: turns the annotations of a class into slots."""

    __record_fields__: dict[str, Field]
    __record_values__: Any  # called with a record; returns the value of its only field, or a tuple of all values

    def __new__(metacls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> RecordType:
        """Make a class. The fields of a class are those of its bases, then its own, in the order of their
        annotations."""
        fields: dict[str, Field] = {}
        for base in reversed(bases):
            if isinstance(base, RecordType):
                fields.update(base.__record_fields__)
        slots = []
        for own, hint in namespace.get("__annotations__", {}).items():
            if "ClassVar" in str(hint):
                continue
            if own not in fields:
                slots.append(own)
            default = namespace.pop(own, _MISSING)  # a class cannot have both a slot and a value with this name
            if default is _MISSING:
                fields[own] = _REQUIRED  # most fields have no options: they share one `Field`
            else:
                fields[own] = default if isinstance(default, Field) else Field(default, _MISSING, True)
        namespace["__slots__"] = tuple(slots)
        namespace["__match_args__"] = tuple(fields)
        namespace["__record_fields__"] = fields
        namespace["__init__"] = _Initialiser()
        namespace["__record_values__"] = attrgetter(*fields) if fields else _nothing
        return super().__new__(metacls, name, bases, namespace)


class Record(metaclass=RecordType):
    """Base of all frozen records. The module of a subclass needs ``from __future__ import annotations``."""

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if other.__class__ is not self.__class__:
            return NotImplemented
        values = type(self).__record_values__
        return bool(values(self) == values(other))

    def __hash__(self) -> int:
        return hash((self.__class__, type(self).__record_values__(self)))

    def __repr__(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name, one in fields(type(self)).items() if one.repr]
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be set: records do not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted: records do not change")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in fields(type(self)))


def fields(cls: type[Record]) -> dict[str, Field]:
    """The fields of a record class by name, in order."""
    return cls.__record_fields__


if TYPE_CHECKING:
    from dataclasses import replace as replace  # under this name, mypy checks the names and types of the changes
else:

    def replace(record: R, /, **changes: Any) -> R:
        """A copy of a record, with some fields changed. Raises `TypeError` for a name that is not a field."""
        cls = type(record)
        return cls(**{name: getattr(record, name) for name in cls.__record_fields__} | changes)


def as_dict(record: Record) -> dict[str, Any]:
    """A record's fields by name. Fields that are records become dicts too."""
    found = {name: getattr(record, name) for name in fields(type(record))}
    return {name: as_dict(value) if isinstance(value, Record) else value for name, value in found.items()}
