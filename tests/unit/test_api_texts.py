"""Half of a surrogate pair is refused by everything that takes text, before anything is done."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smpchat.api import Client
from smpchat.api_texts import NotText, checks_texts
from smpchat.chat.wire.bots import BotCommand

HALF = "x\ud800"


def takes_text(parameter: inspect.Parameter) -> bool:
    return "str" in str(parameter.annotation) and parameter.name != "self"


METHODS = {
    name: [parameter for parameter in inspect.signature(method).parameters.values() if takes_text(parameter)]
    for name, method in inspect.getmembers(Client, inspect.isfunction)
    if not name.startswith("_")
}
CALLS = [(name, parameter.name) for name, parameters in METHODS.items() for parameter in parameters]


def arguments(method: Callable[..., Any], wrong: str) -> dict[str, Any]:
    """Something for each argument that must be given, and half a character for one."""
    signature = inspect.signature(method)
    found: dict[str, Any] = {
        parameter.name: "x"
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty and parameter.name != "self"
    }
    found[wrong] = [HALF] if "Sequence" in str(signature.parameters[wrong].annotation) else HALF
    return found


def test_there_are_methods_that_take_text() -> None:
    assert {"connect", "send", "history", "set_profile", "create_address", "accept", "reject"} <= {
        name for name, _ in CALLS
    }


@pytest.mark.parametrize(("name", "wrong"), CALLS)
def test_every_text_of_every_method(name: str, wrong: str, tmp_path: Path) -> None:
    method = getattr(Client(home=tmp_path), name)
    given = arguments(method, wrong)
    with pytest.raises(NotText, match=repr(wrong)):
        asyncio.run(method(**given)) if inspect.iscoroutinefunction(method) else method(**given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["profile", "passphrase"])
def test_what_a_client_is_made_with(name: str) -> None:
    with pytest.raises(NotText, match=repr(name)):
        Client(**{name: HALF})  # type: ignore[arg-type]


def test_it_is_found_at_any_depth_and_by_place() -> None:
    client = Client()
    with pytest.raises(NotText):
        client.set_bot([BotCommand("help", "Help"), BotCommand("more", HALF)])
    with pytest.raises(NotText):
        client.history("bob", 5, HALF)


def test_all_else_goes_on() -> None:
    @checks_texts
    class Asked:
        def ask(self, *values: object, **named: object) -> object:
            return values, named

    given = ("caf\u00e9", "\U0001f600", b"\xff", 7, None, ["x", ("y",)], {"a": {"b"}}, BotCommand("help", "Help"))
    assert Asked().ask(*given, more="\u20ac") == (given, {"more": "\u20ac"})
