"""Checks the strings that a program gives to `smpchat.Client`, before anything is done with them: a Python string can
contain lone surrogates, which are not text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from smpchat.chat.errors import InputError
from smpchat.encoding.record import Record, as_dict

_ANYTHING = ("self", "home")
"""These arguments are not checked. ``home`` is a folder, whose name may contain bytes that are not text; Python writes
such bytes as surrogates."""
C = TypeVar("C", bound=type[Any])


class NotText(InputError):
    """Raised for a string with a lone surrogate, which no file, message or terminal can hold. Nothing was stored."""

    hint = "Decode bytes with errors='replace', or leave the character out."

    def __init__(self, name: str) -> None:
        super().__init__(f"The argument {name!r} contains half of a character (a lone surrogate), so it is not text.")


def checks_texts(cls: C) -> C:
    """A class decorator: the constructor and all public methods raise `NotText` for strings with a lone surrogate."""
    for name, method in tuple(vars(cls).items()):
        if inspect.isfunction(method) and (name == "__init__" or not name.startswith("_")):
            setattr(cls, name, _checking(method))
    return cls


def _checking(method: Callable[..., Any]) -> Callable[..., Any]:
    names = tuple(inspect.signature(method).parameters)

    def check(arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        for name, value in (*zip(names, arguments, strict=False), *named.items()):
            if name not in _ANYTHING and not _is_text(value):
                raise NotText(name)

    if inspect.iscoroutinefunction(method):

        @wraps(method)
        async def call_async(*arguments: Any, **named: Any) -> Any:
            check(arguments, named)
            return await method(*arguments, **named)

        return call_async

    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        check(arguments, named)
        return method(*arguments, **named)

    return call


def _is_text(value: object) -> bool:
    """Whether all strings in a value, at any depth, are free of surrogates."""
    match value:
        case str():
            return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
        case list() | tuple() | set() | frozenset():
            return all(map(_is_text, value))
        case Mapping():
            return all(_is_text(part) for item in value.items() for part in item)
        case Record():
            return _is_text(as_dict(value))
    return True
