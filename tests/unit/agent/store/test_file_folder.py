"""Ciphertext beside the database is swept once nothing needs it; files are put in their place once, over nothing."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from smpchat.agent.errors import MissingRecord
from smpchat.agent.store import file_folder

NAME = "0123456789abcdef" * 2
OTHER = "f" * 32


def put(profile: Path, *names: str) -> None:
    folder = file_folder.made(profile)
    for name in names:
        (folder / name).write_bytes(b"x")


def there(profile: Path) -> set[str]:
    return set(os.listdir(file_folder.folder_of(profile)))


@pytest.mark.parametrize("name", ["", "../../x", "/etc/passwd", NAME.upper(), NAME + "0", NAME[:-1], f"{NAME}\n"])
def test_a_row_cannot_name_any_other_file(tmp_path: Path, name: str) -> None:
    for use in (file_folder.local_path, file_folder.part_path, file_folder.settle_new):
        with pytest.raises(MissingRecord):
            use(tmp_path / "x", name)


def test_the_folder_and_what_is_in_it_are_for_the_owner_only(tmp_path: Path) -> None:
    path, file = file_folder.create_new(tmp_path, NAME)
    with file:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


class TestSweeping:
    def test_only_what_is_ours_and_not_needed_goes(self, tmp_path: Path) -> None:
        put(tmp_path, f"{NAME}.enc", f"{OTHER}.enc", f"{OTHER}.new", "mine.txt", f"{OTHER}.txt")
        file_folder.remove(file_folder.candidates(tmp_path, {NAME}))
        assert there(tmp_path) == {f"{NAME}.enc", "mine.txt", f"{OTHER}.txt"}

    def test_what_somebody_is_encrypting_stays(self, tmp_path: Path) -> None:
        _, file = file_folder.create_new(tmp_path, NAME)
        file_folder.remove(file_folder.candidates(tmp_path, ()))
        assert there(tmp_path) == {f"{NAME}.new"}
        file.close()
        file_folder.remove(file_folder.candidates(tmp_path, ()))
        assert there(tmp_path) == set()

    def test_what_came_by_a_link_stays_for_two_days_and_while_it_is_used(self, tmp_path: Path) -> None:
        young, used, old = (file_folder.new_name(bytes([number]) * 16) for number in range(3))
        for name in (young, used, old):
            file = file_folder.open_by_link(tmp_path, name)
            assert file is not None
            with file:
                file.write(b"some of it")
        for name in (used, old):
            os.utime(file_folder.folder_of(tmp_path) / f"{name}.link", (0, 0))
        open_elsewhere = file_folder.open_by_link(tmp_path, used)
        assert open_elsewhere is not None
        with open_elsewhere:
            assert file_folder.open_by_link(tmp_path, used) is None
            file_folder.remove(file_folder.candidates(tmp_path, ()))
        left = {path.name for path in file_folder.folder_of(tmp_path).iterdir()}
        assert left == {f"{young}.link", f"{used}.link"}

    def test_without_a_folder_there_is_nothing(self, tmp_path: Path) -> None:
        assert file_folder.candidates(tmp_path, ()) == []


class TestPublishing:
    def part(self, folder: Path, content: bytes = b"new") -> Path:
        part = file_folder.part_path(folder / "a.txt", NAME)
        part.write_bytes(content)
        return part

    def test_it_gets_its_name(self, tmp_path: Path) -> None:
        part = self.part(tmp_path)
        assert file_folder.publish(part, tmp_path / "a.txt") == tmp_path / "a.txt"
        file_folder.unpublished(part)
        assert (tmp_path / "a.txt").read_bytes() == b"new"
        assert os.listdir(tmp_path) == ["a.txt"]

    @pytest.mark.parametrize("kind", ["file", "folder", "link", "dead link"])
    def test_nothing_that_is_there_is_touched(self, tmp_path: Path, kind: str) -> None:
        taken = tmp_path / "a.txt"
        match kind:
            case "file":
                taken.write_bytes(b"old")
            case "folder":
                taken.mkdir()
            case "link":
                (tmp_path / "other").write_bytes(b"old")
                taken.symlink_to(tmp_path / "other")
            case _:
                taken.symlink_to(tmp_path / "nowhere")
        assert file_folder.publish(self.part(tmp_path), taken) == tmp_path / "a_1.txt"
        assert (tmp_path / "a_1.txt").read_bytes() == b"new"
        assert not (tmp_path / "nowhere").exists()
        if kind in ("file", "link"):
            assert taken.read_bytes() == b"old"

    def test_after_a_crash_it_is_found_again_and_not_published_twice(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(b"old")
        part = self.part(tmp_path)
        first = file_folder.publish(part, tmp_path / "a.txt")
        assert file_folder.find_published(part, tmp_path / "a.txt") == first
        assert file_folder.publish(part, tmp_path / "a.txt") == first
        assert len(list(tmp_path.glob("a*"))) == 2

    def test_what_was_never_published_is_not_found(self, tmp_path: Path) -> None:
        assert file_folder.find_published(self.part(tmp_path), tmp_path / "a.txt") is None
        assert file_folder.find_published(tmp_path / "none.part", tmp_path / "a.txt") is None

    def test_without_links_the_file_is_moved(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "link", refuse)
        (tmp_path / "a.txt").write_bytes(b"old")
        part = self.part(tmp_path)
        assert file_folder.publish(part, tmp_path / "a.txt") == tmp_path / "a_1.txt"
        assert (tmp_path / "a_1.txt").read_bytes() == b"new"
        assert (tmp_path / "a.txt").read_bytes() == b"old"
        assert not part.exists()

    def test_numbered_names_fit(self, tmp_path: Path) -> None:
        long = tmp_path / ("é" * 125 + ".jpeg")
        names = file_folder.numbered(long)
        assert next(names) == long
        second = next(names)
        assert len(os.fsencode(second.name)) <= file_folder.MAX_NAME
        assert second.name.endswith("_1.jpeg")


def test_a_disk_keeps_room_for_everything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = file_folder.ROOM + 100
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    file_folder.check_room(tmp_path, 100)
    with pytest.raises(OSError, match="No space left"):
        file_folder.check_room(tmp_path, 101)
