"""What is wrong with a contact or relay now, and which relay can be reached again."""

from __future__ import annotations

from collections.abc import Iterable

from smpchat.chat.store.conditions import Condition
from smpchat.cli.environment import Environment
from smpchat.cli.text import printable, shortened
from smpchat.cli.times import iso, since

SHORT = {
    "out-of-step": "unreadable: resync",
    "unreadable": "a message could not be read",
    "code-changed": "messages held: verify the code",
    "new-keys": "messages held: new keys came",
    "keys-doubted": "new keys came: accept or refuse",
    "not-post-quantum": "no longer post-quantum",
    "repeated": "old messages came again",
    "second-person": "two people used the link: verify",
    "messages-lost": "messages were lost",
    "queue-lost": "queue lost: nothing can arrive",
    "peer-queue-gone": "you cannot write to them",
    "not-opened": "a message needs the package pqcrypto",
    "not-processed": "a message waits at the relay",
    "too-much": "sends too many messages",
    "versions": "needs another version",
    "move-failed": "could not move to another relay",
    "queue-full": "their relay takes no more messages",
    "cannot-store": "their relay cannot store messages",
}
"""A few words for each kind of condition, for the list of contacts; `status` shows the whole sentence."""


def in_short(condition: Condition) -> str:
    """A few words that say what is wrong."""
    return SHORT.get(condition.kind, condition.kind)


def relay_name(condition: Condition) -> str:
    """The host of the relay that a problem is about."""
    return shortened((condition.server or "").rpartition("@")[2], 40)


def show_condition(environment: Environment, condition: Condition) -> None:
    """Print a ``condition`` object for scripts, or ``! SENTENCE (since 09:14)`` for people."""
    fields = {"kind": condition.kind, "text": environment.as_typed(condition.text), "since": iso(condition.since)}
    if condition.contact is not None:
        fields["contact"] = condition.contact
    if condition.server is not None:
        fields["server"] = condition.server
    environment.emit("condition", fields, condition_line(environment, condition))


def show_conditions(environment: Environment, conditions: Iterable[Condition]) -> None:
    """Show each condition. If several conditions have the same sentence, because one relay causes them, people see it
    only once."""
    said: set[str] = set()
    for condition in conditions:
        if environment.json or condition.text not in said:
            said.add(condition.text)
            show_condition(environment, condition)


def condition_line(environment: Environment, condition: Condition) -> str:
    """What is wrong, for people: a mark, the sentence, and when the problem began."""
    text = environment.as_typed(printable(condition.text))
    return f"! {text} (since {since(condition.since, environment.now())})"


def show_relay_back(environment: Environment, server: str) -> None:
    """Print a ``notice`` object for scripts, or ``* Relay HOST is reachable again.`` for people."""
    text = relay_back(server)
    fields = {"kind": "relay-back", "text": text, "at": iso(environment.now())}
    environment.emit("notice", fields, f"* {text}")


def relay_back(server: str) -> str:
    """The sentence for a relay that can be reached again."""
    return f"Relay {shortened(server.rpartition('@')[2], 40)} is reachable again."
