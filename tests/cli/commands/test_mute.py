"""`mute`: stored, listed, kept by time, and what it silences."""

from __future__ import annotations

from tests.cli.terminal import Terminal


def _contact(smpchat: Terminal, alias: str = "alice") -> dict[str, object]:
    found = smpchat("--json", "-p", "bob", "contacts").objects("contact")
    return next(contact for contact in found if contact["alias"] == alias)


def test_it_is_stored_and_shown_until_it_is_over(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat.connected("carol")  # a bystander
    said = smpchat("-p", "bob", "mute", "alice", "8h")
    assert said.stdout == "alice is muted until 15 Nov 06:13.\n"
    assert _contact(smpchat)["muted"] is True and str(_contact(smpchat)["muted_until"]).startswith("2023-11-15T06:13:3")
    assert "muted" not in _contact(smpchat, "carol")
    assert smpchat("-p", "bob", "contacts").stdout.count("muted") == 1
    assert "Notifications: muted until" in smpchat("-p", "bob", "contact", "show", "alice").stdout
    smpchat.wait(8 * 3600)
    assert "muted" not in _contact(smpchat)


def test_for_ever_and_not_any_more(smpchat: Terminal) -> None:
    smpchat.connected()
    assert smpchat("-p", "bob", "mute", "@Alice").stdout == "alice is muted.\n"
    assert "muted_until" not in _contact(smpchat) and _contact(smpchat)["muted"] is True
    smpchat.wait(1e9)
    assert _contact(smpchat)["muted"] is True
    assert smpchat("-p", "bob", "contact", "set", "alice", "mute", "off").stdout == "alice is not muted.\n"
    assert "muted" not in _contact(smpchat)
    assert smpchat("-p", "bob", "contact", "set", "alice", "mute", "999999999w").stdout == "alice is muted.\n"
    assert smpchat("-p", "bob", "mute", "alice", "soon").code == 1
    assert smpchat("-p", "bob", "mute", "nobody").code == 1


def test_listen_prints_and_does_not_ring(smpchat: Terminal) -> None:
    smpchat.connected()
    smpchat("config", "set", "notifications", "osc9")
    smpchat("-p", "bob", "mute", "alice")
    assert smpchat("-p", "alice", "send", "bob", "hi").code == 0
    shown = smpchat("-p", "bob", "listen", "--timeout", "3", tty=True).stdout
    assert "hi" in shown and "\x1b]9" not in shown
    smpchat("-p", "bob", "mute", "alice", "off")
    assert smpchat("-p", "alice", "send", "bob", "again").code == 0
    assert "\x1b]9" in smpchat("-p", "bob", "listen", "--timeout", "3", tty=True).stdout


def test_listen_tells_of_requests(smpchat: Terminal) -> None:
    smpchat("config", "set", "notifications", "osc9")
    created = smpchat("--json", "-p", "bob", "address", "create")
    address = str(created.objects("address")[0]["link"])
    assert smpchat("-p", "erin", "connect", address, "--alias", "bob", "--timeout", "3").code == 0
    assert "request from erin" in smpchat("-p", "bob", "listen", "--timeout", "3", tty=True).stdout
