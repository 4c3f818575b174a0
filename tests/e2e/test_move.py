"""A profile exported in one home and imported in another goes on with its conversations."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.smpchat import Home


def test_a_moved_profile_goes_on_where_it_was(home: Home, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse")
    link = home.invite("alice", "--note", "bob")
    assert home.run("bob", "connect", link, "--alias", "alice", "-m", "one").code == 0
    with home.running("alice", "listen") as alice:
        alice.until("message", text="one")
        busy = home.run("alice", "export", str(tmp_path / "file"), "--passphrase-file", str(secret))
        assert busy.code == 7
    moved = home.run("alice", "export", "--move", str(tmp_path / "file"), "--passphrase-file", str(secret))
    assert moved.code == 0
    assert "write to the embedded relay on this computer" in moved.errors
    assert home.run("alice", "invite", "--no-wait").code == 7
    assert home.run("alice", "connect", link, "--alias", "x").code == 7
    assert home.run("bob", "send", "alice", "two").code == 0

    elsewhere = Home(tmp_path / "elsewhere")
    try:
        assert elsewhere.run("anna", "import", str(tmp_path / "file"), "--passphrase-file", str(secret)).code == 0
        with home.running("bob", "listen") as bob:
            assert elsewhere.run("anna", "listen", "--count", "1", "--timeout", "30").texts() == ["two"]
            sent = elsewhere.run("anna", "send", "bob", "three", "--wait", "delivered")
            assert sent.code == 0, sent
            bob.until("message", text="three", contact="alice")
        assert [text for text, _ in elsewhere.statuses("anna", "bob")] == ["one", "two", "three"]
    finally:
        elsewhere.run("anna", "relay", "stop")
    assert home.run("alice", "listen", "--timeout", "20").code == 7
    assert [text for text, _ in home.statuses("alice", "bob")] == ["one"]
