from __future__ import annotations

import stat
from pathlib import Path

import pytest

from smpchat.chat.errors import ArchiveDamaged, InputError
from smpchat.chat.service import archive
from smpchat.home import Home
from smpchat.moving import export_profile, import_profile


def test_a_profile_moves_from_home_to_home(tmp_path: Path) -> None:
    here, there = Home(tmp_path / "here"), Home(tmp_path / "there")
    here.open("alice").close()
    size = export_profile(here, "alice", tmp_path / "file", "correct horse")
    assert size == (tmp_path / "file").stat().st_size
    assert import_profile(there, tmp_path / "file", "correct horse") == "alice"
    assert import_profile(there, tmp_path / "file", "correct horse", "anna") == "anna"
    assert [there.has(name) for name in ("alice", "anna", "bob")] == [True, True, False]
    for folder in (there.path, there.path / "profiles", there.profile_folder("alice")):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_name_from_a_file_is_checked_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who knows the passphrase may have made the file."""
    home = Home(tmp_path / "home")
    (tmp_path / "file").touch()
    monkeypatch.setattr(archive, "unpack", lambda *_: archive.Archive(b"../../alice", 0, b"SQLite format 3\0"))
    with pytest.raises(InputError, match="name of a profile"):
        import_profile(home, tmp_path / "file", "correct horse")
    monkeypatch.setattr(archive, "unpack", lambda *_: archive.Archive(b"alice", 0, b"SQLite format 3\0"))
    with pytest.raises(ArchiveDamaged):
        import_profile(home, tmp_path / "file", "correct horse")
    assert list(tmp_path.rglob("alice")) == []
