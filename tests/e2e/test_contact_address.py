"""A contact address through a real relay, each command in a process of its own."""

from __future__ import annotations

import pytest

from tests.e2e.smpchat import Home


def address(home: Home, *options: str) -> dict[str, object]:
    """Alice's new address."""
    made = home.run("alice", "address", "create", *options)
    assert made.code == 0, made
    return made.of("address")[0]


def test_the_owner_is_away_and_accepts_later(home: Home) -> None:
    link = str(address(home)["short_link"])
    asked = home.run("bob", "connect", link, "--alias", "alice", "-m", "one", "-m", "two")
    assert asked.code == 0
    assert [(m["text"], m["status"]) for m in asked.of("message")] == [("one", "sent"), ("two", "pending")]
    with home.running("alice", "listen") as alice:
        alice.until("request", name="bob", text="one")
    assert home.run("alice", "accept", "bob", "--alias", "robert").code == 0
    assert home.run("alice", "send", "robert", "three").code == 0
    with home.running("bob", "listen") as bob:
        bob.until("message", text="three", contact="alice")
        heard = home.run("alice", "listen", "--count", "2", "--timeout", "30")
        assert heard.texts() == ["one", "two"]
        bob.until("status", contact="alice", status="delivered")


def test_several_people_are_accepted_at_once_while_the_owner_listens(home: Home) -> None:
    link = str(address(home, "--auto-accept")["short_link"])
    with home.running("alice", "listen") as alice:
        for name in ("bob", "carol"):
            assert home.run(name, "connect", link, "--alias", "alice", "-m", f"from {name}", "--wait").code == 0
            alice.until("message", contact=name, text=f"from {name}")
        assert home.run("alice", "send", "carol", "hi", "--wait", "sent").code == 0
    assert home.run("carol", "listen", "--count", "1", "--timeout", "30").texts() == ["hi"]


def test_a_deleted_address_is_refused_by_both_links(home: Home) -> None:
    made = address(home)
    assert home.run("alice", "address", "delete").code == 0
    for number, link in enumerate((made["short_link"], made["link"])):
        asked = home.run("bob", "connect", str(link), "--alias", f"alice{number}")
        assert asked.code == 4
        assert asked.of("error")[0]["message"].startswith("This address does not exist")


@pytest.mark.parametrize("versions", ["7-8", "9-14"])
def test_an_older_relay_gives_a_full_link(home: Home, versions: str) -> None:
    with home.running("default", "relay", "run", "--smp-versions", versions) as relay:
        relay.until("relay", state="running")
        made = address(home)
        assert "short_link" not in made
        assert home.run("bob", "connect", str(made["link"]), "--alias", "alice", "-m", "one").code == 0
        with home.running("alice", "listen") as alice:
            alice.until("request", text="one")
        assert home.run("alice", "accept", "1").code == 0
        with home.running("bob", "listen") as bob:
            bob.until("state", state="connected" if versions == "9-14" else "ready")
            assert home.run("alice", "send", "bob", "two").code == 0
            with home.running("alice", "listen"):
                bob.until("message", text="two")
