"""A contact's code has changed after it was compared: how that looks in `chat`, on 80 columns."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.chat.talk import Talk
from tests.cli.terminal import Terminal


def renew(people: Terminal) -> None:
    """Bob has compared alice's code, and both renew the encryption since."""
    [code] = people("-p", "alice", "--json", "verify", "bob").objects("verification")
    assert people("-p", "bob", "verify", "alice", code["code"]).code == 0
    assert people("-p", "alice", "resync", "bob").code == 0
    people("-p", "bob", "listen", "--timeout", "3")
    assert people("-p", "bob", "resync", "alice").code == 0
    for who in ("alice", "bob", "alice"):
        people("-p", who, "listen", "--timeout", "3")


def test_held_texts(people: Terminal, talk: Callable[..., Talk], screen: Callable[[str, str], None]) -> None:
    renew(people)
    bob, beside = talk("alice"), talk("carol")
    seen = [*bob.news(), *bob.enter("my PIN is 1234"), *bob.tail(), f"[{bob.toolbar()}]"]
    seen += ["-- beside, with carol", *beside.news(), *beside.enter("@alice nor this"), f"[{beside.toolbar()}]"]
    beside.enter("hello carol")
    people("-p", "bob", "listen", "--timeout", "3")
    assert not people("-p", "alice", "--json", "history", "bob").objects("message"), "nothing has left"
    seen += ["-- the word", *bob.enter("/anyway")]
    people("-p", "bob", "listen", "--timeout", "3")
    seen += [*bob.news(), f"[{bob.toolbar()}]", *bob.enter("/anyway")]
    screen("chat_held", "\n".join(seen) + "\n")
    people("-p", "alice", "listen", "--timeout", "3")
    heard = people("-p", "alice", "--json", "history", "bob").objects("message")
    assert [m["text"] for m in heard] == ["my PIN is 1234", "nor this"]
    people("-p", "carol", "listen", "--timeout", "3")
    assert "bob: hello carol" in people("-p", "carol", "history", "bob").stdout, "a bystander's texts go on"


def test_new_keys(people: Terminal, talk: Callable[..., Talk], screen: Callable[[str, str], None]) -> None:
    people("-p", "alice", "resync", "bob")
    bob = talk("alice")
    people("-p", "bob", "listen", "--timeout", "3")
    seen = [*bob.news(), *bob.enter("waits"), f"[{bob.toolbar()}]", *bob.enter("/resync what")]
    seen += [*bob.enter("/resync refuse"), f"[{bob.toolbar()}]", *bob.enter("/resync refuse")]
    seen += ["-- bob asks", *bob.enter("/resync")]
    screen("chat_new_keys", "\n".join(seen) + "\n")


def test_new_keys_are_accepted(people: Terminal, talk: Callable[..., Talk]) -> None:
    people("-p", "alice", "resync", "bob")
    bob = talk("alice")
    people("-p", "bob", "listen", "--timeout", "3")
    bob.news()
    accepted = " ".join(line.strip() for line in bob.enter("/resync"))
    assert accepted.startswith("* Accepted. The encryption with alice is renewed")
