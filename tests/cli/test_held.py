"""A contact whose code was compared has another one: what is written is held, wherever, until the user decides."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cli.terminal import Result, Terminal

WHY = "Held: the security code has changed."


def alice(smpchat: Terminal, *arguments: str) -> Result:
    return smpchat("-p", "alice", *arguments)


def bob(smpchat: Terminal, *arguments: str) -> Result:
    return smpchat("-p", "bob", *arguments)


def code_of(smpchat: Terminal, profile: str, who: str) -> str:
    [found] = smpchat("-p", profile, "--json", "verify", who).objects("verification")
    return str(found["code"])


def texts(smpchat: Terminal, profile: str, who: str) -> list[str]:
    return [m["text"] for m in smpchat("-p", profile, "--json", "history", who).objects("message")]


def words(result: Result) -> str:
    """What is printed, without the lines' ends: the table breaks its last column."""
    return " ".join(result.stdout.split())


@pytest.fixture
def renewed(smpchat: Terminal) -> Terminal:
    """Alice has compared Bob's code, and agreed to new keys since; Eve is a bystander."""
    smpchat.connected()
    smpchat.connected("alice", "eve")
    assert alice(smpchat, "verify", "bob", code_of(smpchat, "bob", "alice")).code == 0
    assert bob(smpchat, "resync", "alice").code == 0
    alice(smpchat, "listen", "--timeout", "3")
    accepted = alice(smpchat, "resync", "bob")
    assert "Accepted. The encryption with bob is renewed" in accepted.stderr, accepted
    for who in ("bob", "alice", "bob", "alice"):
        smpchat("-p", who, "listen", "--timeout", "3")
    return smpchat


def test_it_is_told_wherever_one_looks_and_nothing_leaves(renewed: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    smpchat = renewed
    monkeypatch.setenv("COLUMNS", "120")  # whether it is post-quantum yet is chance, and would break the line
    sent = alice(smpchat, "send", "bob", "my PIN is 1234")
    assert sent.code == 5 and "(pending) Held: the security code has changed." in sent.stdout, sent
    assert sent.stderr.startswith("The message to bob is held, not sent: the security code has changed."), sent
    assert "`smpchat -p alice verify bob`" in sent.stderr and "`smpchat -p alice send bob --anyway`" in sent.stderr
    [message, condition, error] = alice(smpchat, "--json", "send", "bob", "nor this").objects()
    assert (message["status"], message["reason"]) == ("pending", WHY)
    assert (condition["contact"], condition["kind"]) == ("bob", "code-changed")
    assert error["code"] == 5
    assert alice(smpchat, "send", "bob", "only stored", "--wait", "none").code == 0
    for _ in range(2):
        alice(smpchat, "listen", "--timeout", "3")
        bob(smpchat, "listen", "--timeout", "3")
    assert texts(smpchat, "bob", "alice") == []
    assert "! messages held: verify the code" in words(alice(smpchat, "contacts"))
    [told, _] = alice(smpchat, "--json", "contacts").objects("contact")
    assert told["conditions"] == ["code-changed"] and "verified" not in told
    for command in (["status"], ["status", "bob"], ["history", "bob"], ["listen", "--timeout", "1"]):
        assert "! The security code with bob has changed" in alice(smpchat, *command).stdout, command
        [standing] = alice(smpchat, "--json", *command).objects("condition")
        assert standing == condition
    waits = alice(smpchat, "--json", "history", "bob").objects("message")
    assert [m["reason"] for m in waits] == 3 * [WHY]
    kinds = [n["kind"] for n in alice(smpchat, "--json", "history", "bob").objects("notice")]
    assert kinds == ["new-keys", "code-changed"], "what happened is in the history"
    assert alice(smpchat, "send", "eve", "all is well").code == 0


@pytest.mark.parametrize("how", ["code", "confirm", "anyway", "anyway alone"])
def test_what_lets_it_go(renewed: Terminal, how: str) -> None:
    smpchat = renewed
    alice(smpchat, "send", "bob", "one")
    alice(smpchat, "send", "bob", "two")
    released: dict[str, Callable[[], Result]] = {
        "code": lambda: alice(smpchat, "verify", "bob", code_of(smpchat, "bob", "alice")),
        "confirm": lambda: alice(smpchat, "verify", "bob", "--confirm"),
        "anyway": lambda: alice(smpchat, "send", "bob", "three", "--anyway"),
        "anyway alone": lambda: alice(smpchat, "send", "bob", "--anyway"),
    }
    result = released[how]()
    assert result.code == 0, result
    bob(smpchat, "listen", "--timeout", "3")
    assert texts(smpchat, "bob", "alice") == ["one", "two"] + ["three"] * (how == "anyway")
    assert alice(smpchat, "send", "bob", "goes on").code == 0
    alice(smpchat, "listen", "--timeout", "3")
    [contact, _] = alice(smpchat, "--json", "contacts").objects("contact")
    assert contact.get("verified", False) == (how in ("code", "confirm")) and "conditions" not in contact
    if how == "anyway":
        assert "without comparing the new security code" in alice(smpchat, "history", "bob").stdout
    assert all("reason" not in m for m in alice(smpchat, "--json", "history", "bob").objects("message"))


def test_a_wrong_code_lets_nothing_go_nor_does_another_renewal(renewed: Terminal) -> None:
    smpchat = renewed
    alice(smpchat, "send", "bob", "held")
    assert alice(smpchat, "verify", "bob", "12345 67890").code == 5
    assert alice(smpchat, "send", "bob", "held as well").code == 5
    bob(smpchat, "resync", "alice")
    alice(smpchat, "listen", "--timeout", "3")
    assert alice(smpchat, "resync", "bob").code == 0
    for who in ("bob", "alice", "bob", "alice"):
        smpchat("-p", who, "listen", "--timeout", "3")
    kinds = [n["kind"] for n in alice(smpchat, "--json", "history", "bob").objects("notice")]
    assert kinds == 2 * ["new-keys", "code-changed"], "each change is told"
    assert texts(smpchat, "bob", "alice") == []
    assert alice(smpchat, "verify", "bob", code_of(smpchat, "bob", "alice")).code == 0
    bob(smpchat, "listen", "--timeout", "3")
    assert texts(smpchat, "bob", "alice") == ["held", "held as well"]


def test_changes_and_what_was_written_before_are_held_as_well(smpchat: Terminal) -> None:
    smpchat.connected()
    assert alice(smpchat, "verify", "bob", code_of(smpchat, "bob", "alice")).code == 0
    alice(smpchat, "send", "bob", "first")
    bob(smpchat, "send", "alice", "hello")
    bob(smpchat, "resync", "alice")
    alice(smpchat, "listen", "--timeout", "3")
    bob(smpchat, "listen", "--timeout", "1")
    smpchat.relay.running = False
    alice(smpchat, "send", "bob", "sealed", "--wait", "none")
    alice(smpchat, "resync", "bob")
    for change in (["edit", "1", "other words"], ["react", "2", "👍"], ["retract", "1"]):
        assert alice(smpchat, *change, "--wait", "none").code == 0
    smpchat.relay.running = True
    for who in ("alice", "bob", "alice", "bob", "alice", "bob"):
        smpchat("-p", who, "listen", "--timeout", "5")
    assert alice(smpchat, "send", "bob", "after").code == 5
    bob(smpchat, "listen", "--timeout", "3")
    assert texts(smpchat, "bob", "alice") == ["hello", "first"]
    assert "👍" not in bob(smpchat, "history", "alice").stdout
    assert alice(smpchat, "verify", "bob", code_of(smpchat, "bob", "alice")).code == 0
    bob(smpchat, "listen", "--timeout", "3")
    assert texts(smpchat, "bob", "alice") == ["hello", "", "sealed", "after"]
    assert "👍" in bob(smpchat, "history", "alice").stdout


def test_keys_that_nobody_asked_for_are_a_question(smpchat: Terminal) -> None:
    """Nobody was verified: the contact asks, and the user is asked, by alias, everywhere."""
    smpchat.connected()
    smpchat.connected("alice", "eve")
    bob(smpchat, "resync", "alice")
    first = alice(smpchat, "--json", "listen", "--timeout", "3")
    [notice] = first.objects("notice")
    assert (notice["contact"], notice["kind"]) == ("bob", "new-keys")
    assert "`smpchat -p alice resync bob`" in alice(smpchat, "status").stdout
    held = alice(smpchat, "send", "bob", "waits")
    assert held.code == 5 and "new encryption keys came" in held.stderr, held
    assert "! messages held: new keys came" in words(alice(smpchat, "contacts"))
    assert alice(smpchat, "resync", "bob", "--refuse").code == 0
    assert alice(smpchat, "--json", "status").objects("condition") == []
    assert bob(smpchat, "--json", "resync", "alice", "--refuse").code == 0
    bob(smpchat, "listen", "--timeout", "3")
    assert texts(smpchat, "bob", "alice") == ["waits"], "still use the old keys"
    nothing = alice(smpchat, "resync", "bob", "--refuse")
    assert nothing.code != 0 and "No new encryption keys are waiting for your answer" in nothing.stderr


def test_written_anyway_the_question_stays(smpchat: Terminal) -> None:
    smpchat.connected()
    bob(smpchat, "resync", "alice")
    alice(smpchat, "listen", "--timeout", "3")
    assert alice(smpchat, "send", "bob", "one").code == 5
    assert alice(smpchat, "send", "bob", "two", "--anyway").code == 0
    [standing] = alice(smpchat, "--json", "status").objects("condition")
    assert standing["kind"] == "keys-doubted" and "You chose to write with the old keys" in standing["text"]
    assert alice(smpchat, "resync", "bob").code == 0
    for who in ("bob", "alice", "bob"):
        smpchat("-p", who, "listen", "--timeout", "3")
    assert alice(smpchat, "send", "bob", "three").code == 0
    bob(smpchat, "listen", "--timeout", "3")
    assert "three" in texts(smpchat, "bob", "alice")


def test_a_text_is_missing(smpchat: Terminal) -> None:
    smpchat.connected()
    assert alice(smpchat, "send", "bob").code == 2
    assert json.loads(alice(smpchat, "--json", "contacts").stdout.splitlines()[0])["alias"] == "bob"
