from __future__ import annotations

import stat
from pathlib import Path

import pytest

from smpchat.chat.errors import InputError
from smpchat.home import Home


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


def test_the_default_home_may_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMPCHAT_HOME", str(tmp_path))
    assert Home.default() == Home(tmp_path)
    monkeypatch.delenv("SMPCHAT_HOME")
    assert Home.default().path.name == "smpchat"
