"""Handshake states as JSON text: the class name and its fields."""

from __future__ import annotations

import json
import types
import typing
from enum import StrEnum
from typing import Any

from smpchat.agent.errors import StoreError
from smpchat.agent.machines import handshake_states as states
from smpchat.encoding.record import Record, as_dict

_STATES = {cls.__name__: cls for cls in typing.get_args(states.State)}


def state_to_json(state: states.State) -> str:
    """The state as a JSON object: ``{"state": NAME, …fields}``."""
    return json.dumps({"state": type(state).__name__, **as_dict(state)})


def state_from_json(text: str) -> states.State:
    """The state written by `state_to_json`. Raises `StoreError` if the text is not a known state."""
    try:
        fields = json.loads(text)
        state: states.State = _build(_STATES[fields.pop("state")], fields)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            "The profile's database contains a handshake state that this version of smpchat does not know."
        ) from error
    return state


_HINTS: dict[type[Any], dict[str, Any]] = {}
"""A cache of the type hints of each state's class: every loaded state needs them, and looking them up takes a tenth of
a millisecond."""


def _hints(cls: type[Any]) -> dict[str, Any]:
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def _build(cls: type[Any], fields: dict[str, Any]) -> Any:
    hints = _hints(cls)
    return cls(**{name: _value(hints[name], value) for name, value in fields.items()})


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType):
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    if value is not None and isinstance(hint, type):
        if issubclass(hint, Record):
            return _build(hint, value)
        if issubclass(hint, StrEnum):
            return hint(value)
    return value
