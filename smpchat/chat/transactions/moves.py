"""Sentences for the user that say why our queue cannot be moved to another relay, or why a move cannot be
cancelled."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from smpchat.agent.errors import MoveRefused, Refusal
from smpchat.agent.store import moves
from smpchat.chat.errors import InputError
from smpchat.chat.store.records import Contact


@contextmanager
def move_errors(tx: sqlite3.Connection, contact: Contact) -> Iterator[None]:
    """Turns `MoveRefused` into an `InputError` that names the contact."""
    try:
        yield
    except MoveRefused as refused:
        raise InputError(*_sentences(tx, contact, refused.refusal)) from refused


def _sentences(tx: sqlite3.Connection, contact: Contact, refusal: Refusal) -> tuple[str, str]:
    alias, who = contact.alias, shlex.quote(contact.alias)
    match refusal:
        case Refusal.NOT_CONNECTED:
            return f"You are not connected with {alias} yet.", f"Wait until `smpchat status {who}` shows connected."
        case Refusal.TOO_OLD:
            return f"{alias}'s app is too old to follow you to another relay.", f"Ask {alias} to upgrade it."
        case Refusal.IN_USE:
            new = moves.new_queue(tx, contact.connection_id)
            where = f"the relay {new.queue.server.hosts[0]}" if new else "the new relay"
            return (
                f"It is too late to cancel or change this move: {alias}'s app may already send to {where}.",
                f"The move ends with the next message from this relay. `smpchat status {who}` shows it.",
            )
        case Refusal.NONE:
            return f"No move to another relay is in progress for {alias}.", f"`smpchat rotate {who}` starts a move."
