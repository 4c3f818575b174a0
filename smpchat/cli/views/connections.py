"""Connections: the progress of their handshakes, and who or what they wait for."""

from __future__ import annotations

from typing import Any

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.chat.store.events import StateChanged
from smpchat.chat.store.moves import MoveView
from smpchat.cli.environment import Environment
from smpchat.cli.text import shortened
from smpchat.cli.times import iso, since

STEPS = {1: "invitation", 2: "confirmation", 3: "hello"}


def show_state(
    environment: Environment,
    state: StateChanged,
    line: str | None = None,
    *,
    move: MoveView | None = None,
    incognito: str | None = None,
    pq: bool | None = None,
    receipts: bool | None = None,
) -> None:
    """Print a ``state`` object for scripts, or ``line`` for people (default: `state_line`)."""
    fields: dict[str, Any] = {
        "connection": state.connection,
        "alias": state.alias,
        "role": state.role,
        "variant": state.variant,
        "step": state.step,
        "state": state.state,
        "elapsed_ms": state.elapsed_ms,
    }
    if state.since is not None:
        fields["since"] = iso(state.since)
    if state.reason:
        fields["reason"] = state.reason
    if move is not None:
        fields["move"] = move_fields(move)
    if incognito is not None:
        fields["incognito"] = incognito
    if pq is not None:
        fields["pq"] = pq
    if receipts is not None:
        fields["receipts"] = receipts
    environment.emit("state", fields, state_line(state, environment.now()) if line is None else line)


def move_fields(move: MoveView) -> dict[str, Any]:
    """The fields of the object ``move`` in JSON."""
    fields: dict[str, Any] = {"step": move.step, "since": iso(move.since)}
    return fields | ({"relay": move.relay} if move.relay else {})


def state_line(state: StateChanged, now: float) -> str:
    """A line for people, such as ``alice: ready, step 2 of 3 (confirmation), since 09:14``."""
    name = shortened(state.alias) if state.alias else f"invitation {state.connection}"
    began = "" if state.since is None else f", since {since(state.since, now)}"
    return f"{name}: {state.state}, step {state.step} of 3 ({STEPS.get(state.step, '')}){began}"


def waits_for(state: StateChanged) -> str:
    """Who or what a connection waits for, in words; empty if it waits for nothing."""
    if is_request(state):
        return "waiting for their answer"
    match state.state, state.role:
        case ConnectionState.INVITED, _:
            return "waiting for someone to use the link"
        case ConnectionState.JOINING, _:
            return "waiting for the relay"
        case ConnectionState.READY, "joiner":
            return "waiting for them to come online"
        case ConnectionState.READY, _:
            return "waiting for the relay"
    return ""


def not_yet(state: StateChanged, alias: str) -> str:
    """A sentence that says why a contact is not connected yet, although the user can already write to them."""
    if is_request(state):
        return f"{alias} has not answered your request yet"
    if state.state == ConnectionState.READY and state.role == "joiner":
        return f"{alias} has not come online yet"
    return "The relay does not have your answer yet"


def is_request(state: StateChanged) -> bool:
    """Whether the connection is a request of ours that waits for an answer. Only a request that waits for an answer can
    be *ready* while the variant of its handshake is still unknown."""
    return state.state == ConnectionState.READY and state.variant is None
