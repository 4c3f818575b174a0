from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from smpchat import Client
from smpchat.agent.errors import PassphraseRefused
from smpchat.chat.errors import InputError, PassphraseNeeded
from smpchat.chat.service.encryption import set_passphrase
from smpchat.home import Home
from tests.unit.agent.store.encryption_crashes import quick_keys


def test_a_home_keeps_each_profile_in_a_folder_of_its_own(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for name in ("alice", "bob"):
        home.open(name).close()
    assert sorted(path.name for path in (home.path / "profiles").iterdir()) == ["alice", "bob"]
    for folder in (home.path, home.path / "profiles", home.profile_folder("alice")):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["", ".", "..", "../alice", "a/b", "a\\b", "c:", "a\nb", "a" * 41])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(InputError, match="name of a profile"):
        home.open(name)
    assert not home.path.exists()


def test_an_encrypted_profile_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.open("alice").close()
    with quick_keys():
        set_passphrase(home.profile_folder("alice"), "correct horse")
        assert home.has("alice")
        with pytest.raises(PassphraseNeeded):
            home.open("alice")
        with pytest.raises(PassphraseRefused):
            home.open("alice", passphrase=lambda: "wrong horse")
        home.open("alice", passphrase=lambda: "correct horse").close()

        async def program(passphrase: str) -> list[str]:
            async with Client("alice", tmp_path, passphrase=passphrase) as client:
                return [view.alias for view in client.contacts()]

        with pytest.raises(PassphraseRefused):
            asyncio.run(program("wrong horse"))
        assert asyncio.run(program("correct horse")) == []


def test_the_default_home_may_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPCHAT_HOME", str(tmp_path))
    assert Home.default() == Home(tmp_path)
    monkeypatch.delenv("SMPCHAT_HOME")
    assert Home.default().path.name == "smpchat"
