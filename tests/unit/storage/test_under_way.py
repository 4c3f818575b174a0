"""What grows beside its place is gone afterwards, whoever dies over it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smpchat.storage import under_way as module
from smpchat.storage.under_way import REGISTER, beside, left_behind, sweep, under_way


def leave(folder: Path, growing: Path) -> None:
    """What a process leaves that is killed over a file."""
    (folder / REGISTER).mkdir(mode=0o700, exist_ok=True)
    (folder / REGISTER / "0123456789abcdef").write_bytes(bytes(growing.absolute()))


def test_it_is_gone_afterwards_and_so_is_the_register(tmp_path: Path) -> None:
    with pytest.raises(KeyError), under_way(tmp_path, beside(tmp_path / "file")):
        raise KeyError
    file, folder = beside(tmp_path / "file"), beside(tmp_path / "folder")
    with under_way(tmp_path, file), under_way(tmp_path, folder):
        file.touch()
        (folder / "below").mkdir(parents=True)
        assert left_behind(tmp_path) == [] == sweep(tmp_path), "whoever makes them lives"
    assert list(tmp_path.iterdir()) == []


def test_what_took_its_place_stays(tmp_path: Path) -> None:
    growing = beside(tmp_path / "file")
    with under_way(tmp_path, growing):
        growing.write_text("all of it")
        growing.replace(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_found_and_removed(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from smpchat.storage.under_way import beside, under_way\n"
        "home, place = map(Path, sys.argv[1:])\n"
        "growing = beside(place)\n"
        "with under_way(home, growing):\n"
        "    growing.touch(); os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    home, place = tmp_path / "home", tmp_path / "stick"
    place.mkdir()
    subprocess.run([sys.executable, "-c", script, home, place / "file"], check=False, timeout=60)
    [left] = place.iterdir()
    assert left_behind(home) == [left] and left_behind(home) == [left]
    with under_way(home, beside(place / "other")):
        assert list(place.iterdir()) == [], "by whoever makes something next"
    assert list(home.iterdir()) == []


def test_of_a_disk_that_is_not_there_it_is_known_for_later(tmp_path: Path) -> None:
    growing = beside(tmp_path / "stick" / "file")
    leave(tmp_path, growing)
    assert left_behind(tmp_path) == [] == sweep(tmp_path)
    growing.parent.mkdir()
    growing.touch()
    assert sweep(tmp_path) == [growing] and not growing.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stick"]


@pytest.mark.parametrize("name", ["file", ".file", "file.0123456789abcdef", ".file.0123456789abcdeX"])
def test_nothing_of_another_name_is_removed(tmp_path: Path, name: str) -> None:
    precious = tmp_path / name
    precious.touch()
    leave(tmp_path, precious)
    (tmp_path / REGISTER / "fedcba9876543210").write_bytes(b".relative.0123456789abcdef")
    assert left_behind(tmp_path) == [] == sweep(tmp_path)
    assert precious.exists()


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    growing = beside(tmp_path / "copy")
    growing.symlink_to(tmp_path / "precious")
    leave(tmp_path, growing)
    assert sweep(tmp_path) == [growing]
    assert (tmp_path / "precious" / "file").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="files have no modes there")
def test_what_others_can_write_is_no_register(tmp_path: Path) -> None:
    precious = beside(tmp_path / "precious")
    precious.touch()
    leave(tmp_path, precious)
    (tmp_path / REGISTER).chmod(0o777)
    assert left_behind(tmp_path) == [] == sweep(tmp_path)
    with under_way(tmp_path, beside(tmp_path / "file")):
        assert len(list((tmp_path / REGISTER).iterdir())) == 1
    (tmp_path / REGISTER).chmod(0o700)
    os.mkfifo(tmp_path / REGISTER / "fedcba9876543210")  # nobody would ever write into it
    assert left_behind(tmp_path) == [precious]
    (tmp_path / REGISTER).rename(tmp_path / "elsewhere")
    (tmp_path / REGISTER).symlink_to(tmp_path / "elsewhere")
    assert sweep(tmp_path) == [] and precious.exists()


def test_where_no_register_can_be_kept_it_works_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> None:
        raise OSError(30, "read-only file system")

    monkeypatch.setattr(module, "_enter", read_only)
    growing = beside(tmp_path / "file")
    with under_way(tmp_path, growing):
        growing.touch()
    assert list(tmp_path.iterdir()) == []
