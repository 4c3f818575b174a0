"""What needs a person's hand is found wherever they look, by alias, then and later, until it is mended."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.cli.terminal import Result, Terminal


def restore_an_old_copy(smpchat: Terminal) -> None:
    """Bob's profile as it was before the last three turns, with Eve as a bystander; Alice has written since."""
    smpchat.connected()
    smpchat.connected("eve", "bob")
    profile, copy = smpchat.home / "profiles" / "bob", smpchat.home / "copy"
    shutil.copytree(profile, copy)
    for turn in range(3):
        assert smpchat("-p", "alice", "send", "bob", f"to bob {turn}").code == 0
        assert smpchat("-p", "bob", "listen", "--count", "1").code == 0
        assert smpchat("-p", "bob", "send", "alice", f"to alice {turn}").code == 0
        assert smpchat("-p", "alice", "listen", "--count", "1").code == 0
    shutil.rmtree(profile)
    shutil.move(copy, profile)
    assert smpchat("-p", "alice", "send", "bob", "lost").code == 0


def bob(smpchat: Terminal, *arguments: str) -> Result:
    return smpchat("-p", "bob", *arguments)


def conditions(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines() if '"condition"' in line]


def test_an_old_copy_is_told_by_alias_until_it_is_mended(smpchat: Terminal) -> None:
    restore_an_old_copy(smpchat)
    told = "Messages from alice can no longer be decrypted"
    command = "`smpchat -p bob resync alice`"
    first = bob(smpchat, "--json", "listen", "--timeout", "3")
    notice, *others = first.objects("notice")
    assert all("could not be decrypted and is lost" in other["text"] for other in others)
    assert (notice["contact"], notice["kind"]) == ("alice", "out-of-step") and notice["text"].startswith(told)
    for _ in range(2):  # then and later
        again = bob(smpchat, "listen", "--timeout", "3")
        assert f"! {told}" in again.stdout and command in again.stdout, again
        [standing] = bob(smpchat, "--json", "listen", "--timeout", "3").objects("condition")
        assert (standing["contact"], standing["kind"]) == ("alice", "out-of-step")
        shown = bob(smpchat, "status")
        assert shown.stdout.index(told) < shown.stdout.index("alice: connected"), "what needs attention comes first"
        assert bob(smpchat, "--json", "status").objects("condition") == [standing]
        assert told in bob(smpchat, "status", "alice").stdout
        assert "unreadable: resync" in bob(smpchat, "contacts").stdout
        [alice, eve] = bob(smpchat, "--json", "contacts").objects("contact")
        assert alice["conditions"] == ["out-of-step"] and "conditions" not in eve
        history = bob(smpchat, "history", "alice")
        assert f"* {told}" in history.stdout and f"! {told}" in history.stdout
        assert history.stdout.count(command) == 2, "commands work as printed"
        assert bob(smpchat, "--json", "history", "alice").objects("notice") == [notice, *others]
        assert told not in bob(smpchat, "history", "eve").stdout + bob(smpchat, "send", "eve", "hello").stdout
        sent = bob(smpchat, "send", "alice", "waits")
        assert sent.code == 0 and told in sent.stdout and command in sent.stdout
        waited = bob(smpchat, "send", "alice", "waits", "--wait", "sent", "--timeout", "3")
        assert waited.code == 6 and told in waited.stderr and "goes on by itself" not in waited.stderr


def test_the_command_that_is_told_mends_it(smpchat: Terminal) -> None:
    restore_an_old_copy(smpchat)
    bob(smpchat, "listen", "--timeout", "3")
    assert bob(smpchat, "send", "alice", "waits").code == 0
    assert bob(smpchat, "resync", "alice").code == 0
    assert "`smpchat -p alice resync bob`" in smpchat("-p", "alice", "listen", "--timeout", "5").stdout
    assert smpchat("-p", "alice", "resync", "bob").code == 0
    assert bob(smpchat, "listen", "--timeout", "5").code == 0
    for who in ("alice", "bob", "alice"):  # which side sends first depends on the keys
        assert smpchat("-p", who, "listen", "--timeout", "5").code == 0
    assert "waits" in smpchat("-p", "alice", "history", "bob").stdout
    assert bob(smpchat, "listen", "--timeout", "5").code == 0
    standing = bob(smpchat, "--json", "status").objects("condition")
    assert {condition["kind"] for condition in standing} <= {"messages-lost"}, "which nothing mends"
    assert "resync" not in bob(smpchat, "contacts").stdout
    kinds = [notice["kind"] for notice in bob(smpchat, "--json", "history", "alice").objects("notice")]
    assert kinds[0] == "out-of-step" and "code-changed" in kinds, "what happened stays in the history"
    lost = smpchat("-p", "alice", "--json", "history", "bob").objects("message")
    assert [m["status"] for m in lost if m["text"] == "lost"] == ["sent"]
    assert [m["reason"] for m in lost if m["text"] == "lost"] == [
        "May be lost: the encryption was renewed before your contact confirmed this message."
    ]


@pytest.mark.parametrize("verified", [True, False])
def test_a_changed_code_stands_where_the_old_one_was_compared(smpchat: Terminal, verified: bool) -> None:
    restore_an_old_copy(smpchat)
    if verified:
        [code] = smpchat("-p", "bob", "--json", "verify", "alice").objects("verification")
        assert smpchat("-p", "alice", "verify", "bob", code["code"]).code == 0
    bob(smpchat, "listen", "--timeout", "3")
    bob(smpchat, "resync", "alice")
    smpchat("-p", "alice", "listen", "--timeout", "5")
    smpchat("-p", "alice", "resync", "bob")
    listened = smpchat("-p", "alice", "listen", "--timeout", "5")
    assert "security code" in listened.stdout and "verify bob" in listened.stdout
    standing = smpchat("-p", "alice", "--json", "status").objects("condition")
    assert [condition["kind"] for condition in standing] == (["code-changed"] if verified else [])
    if verified:
        bob(smpchat, "listen", "--timeout", "5")
        [code] = smpchat("-p", "bob", "--json", "verify", "alice").objects("verification")
        assert smpchat("-p", "alice", "verify", "bob", code["code"]).code == 0
        assert smpchat("-p", "alice", "--json", "status").objects("condition") == []


def test_a_relay_that_is_away_names_the_contacts_that_it_silences(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat.relay.running = False
    listened = bob(smpchat, "--json", "listen", "--timeout", "3")
    assert listened.code == 0
    [away] = bob(smpchat, "--json", "status").objects("condition")
    assert away["kind"] == "unreachable" and away["server"].endswith("@127.0.0.1")
    assert "While this lasts, nothing arrives from alice." in away["text"]
    smpchat.relay.running = True
    assert bob(smpchat, "listen", "--timeout", "3").code == 0
    assert bob(smpchat, "--json", "status").objects("condition") == []


def test_one_relay_that_holds_up_several_things_is_told_once(
    smpchat: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smpchat.chat.service.reading import StoredProfile
    from smpchat.chat.store.conditions import Condition

    smpchat.connected()
    away = [
        Condition(contact, "unreachable", "Cannot reach relay r.", 0, server)
        for contact, server in ((None, "smp://r"), ("bob", None))
    ]
    monkeypatch.setattr(StoredProfile, "conditions", lambda *_: away)
    assert smpchat("-p", "alice", "status").stdout.count("Cannot reach relay r.") == 1
    assert len(smpchat("--json", "-p", "alice", "status").objects("condition")) == 2
