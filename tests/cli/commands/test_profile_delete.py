"""`profile delete`: asks, refuses one that is in use, and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.chat.store.lock import kept_offline
from smpchat.home import Home
from tests.cli.terminal import Terminal


def _names(smpchat: Terminal) -> list[str]:
    return [str(profile["name"]) for profile in smpchat("--json", "profile", "list").objects("profile")]


@pytest.fixture
def two(smpchat: Terminal) -> Terminal:
    smpchat.connected()
    (smpchat.home / "profiles" / "bob" / "config.toml").write_text('time-format = "iso"\n')
    (smpchat.home / "profiles" / "bob" / "invitation-3.png").write_bytes(b"a picture")
    return smpchat


def test_nothing_of_it_is_left_and_the_other_profile_is_as_it_was(two: Terminal) -> None:
    before = {path: path.read_bytes() for path in (two.home / "profiles" / "alice").iterdir()}
    result = two("--json", "profile", "delete", "bob", "--yes")
    assert result.code == 0
    assert result.objects("profile")[0] == {
        "v": 1, "type": "profile", "name": "bob", "display_name": None, "active": False, "deleted": True
    }  # fmt: skip
    assert [path.name for path in (two.home / "profiles").iterdir()] == ["alice"]
    assert before == {path: path.read_bytes() for path in (two.home / "profiles" / "alice").iterdir()}
    assert _names(two) == ["alice"]


@pytest.mark.parametrize(("answer", "left"), [("y\n", False), ("\n", True), ("n\n", True), ("", True)])
def test_a_person_is_asked(two: Terminal, answer: str, left: bool) -> None:
    result = two("profile", "delete", "bob", stdin=answer, tty=True)
    assert (result.code, "bob" in _names(two)) == (0, left)
    assert "[y/N]" in result.stderr and ("Nothing was deleted." in result.stderr) is left


def test_nobody_is_asked_off_a_terminal(two: Terminal) -> None:
    result = two("profile", "delete", "bob", stdin="y\n")
    assert result.code == 1 and "--yes" in result.stderr and "bob" in _names(two)


def test_one_that_is_online_stays(two: Terminal) -> None:
    with kept_offline(two.home / "profiles" / "bob", "bob"):
        result = two("profile", "delete", "bob", "--yes")
    assert result.code == 7 and "bob" in _names(two)
    assert two("-p", "bob", "contacts").stdout.count("alice") >= 1


def test_one_that_is_not_there(two: Terminal) -> None:
    for name in ("carol", "../bob", ".deleted-1-bob"):
        assert two("profile", "delete", name, "--yes").code == 1
    assert _names(two) == ["alice", "bob"]


def test_the_one_that_was_chosen_is_chosen_no_more(two: Terminal) -> None:
    assert two("profile", "switch", "bob").code == 0
    assert "use the profile default again" in two("profile", "delete", "bob", "--yes").stderr
    assert two("profile", "show").stdout.startswith("* default")


def test_what_a_killed_deletion_left_is_no_profile_and_goes_with_the_next(
    two: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(path: Path, **_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", killed)
        with pytest.raises(Killed):
            Home(two.home).delete("bob")
    assert _names(two) == ["alice"]
    two("-p", "carol", "profile", "show")
    assert two("profile", "delete", "carol", "--yes").code == 0
    assert [path.name for path in (two.home / "profiles").iterdir()] == ["alice"]


def test_an_encrypted_one_needs_no_passphrase_to_go(two: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPCHAT_KEY", "correct horse battery staple")
    assert two("-p", "bob", "key", "set").code == 0
    monkeypatch.delenv("SMPCHAT_KEY")
    assert two("profile", "delete", "bob", "--yes").code == 0
    assert [path.name for path in (two.home / "profiles").iterdir()] == ["alice"]
