from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from smpchat.relay.errors import RelayStoreError
from smpchat.relay.files import store as module
from smpchat.relay.files.counters import FileSize
from smpchat.relay.files.records import NewRecipient
from smpchat.relay.files.store import FileStore, Gone, WrongDigest
from tests.unit.relay.files.support import (
    RECIPIENT_KEY,
    SENDER_KEY,
    SIZE,
    a_store,
    content,
    files_in,
    read,
    received,
    recipient_id,
    registered,
    sender_id,
    stored,
)
from tests.unit.relay.support import NOW

KEEP = 48 * 3_600


def test_a_chunk_is_found_by_its_sender_and_each_recipient(tmp_path: Path) -> None:
    with closing(a_store(tmp_path)) as store:
        registered(store, 1)
        chunk = stored(store, 2)
        assert chunk.key == SENDER_KEY.public()
        fetched = store.by_recipient(recipient_id(2))
        assert fetched is not None and fetched.key == RECIPIENT_KEY.public() and fetched.row == chunk.row
        assert store.add(chunk, [NewRecipient(b"n" * 16, SENDER_KEY.public())])
        assert store.by_recipient(b"n" * 16) is not None
        assert store.by_sender(recipient_id(2)) is store.by_recipient(sender_id(2)) is None
        assert read(store, chunk) == content(2)
        assert store.forget(recipient_id(2)) and not store.forget(recipient_id(2))
        assert store.by_recipient(recipient_id(2)) is None
        assert store.by_recipient(b"n" * 16) is not None
        waiting = store.by_recipient(recipient_id(1))
        assert waiting is not None and not waiting.there


def test_nothing_is_lost_when_it_is_opened_again(tmp_path: Path) -> None:
    with closing(a_store(tmp_path)) as store:
        registered(store, 1)
        stored(store, 2)
    with closing(a_store(tmp_path)) as store:
        first, second = store.by_sender(sender_id(1)), store.by_sender(sender_id(2))
        assert first is not None and not first.there
        assert second is not None and second.there and read(store, second) == content(2)
        assert store.measure() == FileSize(1, SIZE, 0, 10 * 1024**3)


def test_files_are_read_by_their_owner_only(tmp_path: Path) -> None:
    with closing(a_store(tmp_path)) as store:
        stored(store, 1)
        received(store, registered(store, 2), content(2))
        for path in (tmp_path / "files").rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_other_bytes_than_were_announced_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with closing(a_store(tmp_path)) as store:
        chunk = registered(store, 1)
        for data in (content(2), content(1)[:-1], b""):
            upload = store.begin(chunk)
            assert upload is not None
            upload.write(data)
            with pytest.raises(WrongDigest):
                store.make_durable(upload)
            store.discard(upload)
        assert files_in(tmp_path) == set() and store.measure().reserved == 0
        store.finish(received(store, chunk, content(1)))
        assert read(store, chunk) == content(1)


def test_more_bytes_than_announced_are_not_written(tmp_path: Path) -> None:
    with closing(a_store(tmp_path)) as store:
        chunk = registered(store, 1)
        upload = store.begin(chunk)
        assert upload is not None
        upload.write(content(1))
        with pytest.raises(ValueError, match="than the chunk has"):
            upload.write(b"1")
        assert upload.path.stat().st_size == SIZE
        store.discard(upload)


def test_a_chunk_that_comes_twice_at_the_same_time_is_kept_once(tmp_path: Path) -> None:
    with closing(a_store(tmp_path)) as store:
        chunk = registered(store, 1)
        first, second = received(store, chunk, content(1)), received(store, chunk, content(1))
        store.finish(second)
        store.finish(first)
        assert files_in(tmp_path) == {sender_id(1).hex()}
        assert store.measure() == FileSize(1, SIZE, 0, 10 * 1024**3)
        assert store.counts.uploads == 1


def test_a_chunk_deleted_while_it_comes_leaves_nothing(tmp_path: Path) -> None:
    with closing(a_store(tmp_path)) as store:
        chunk = registered(store, 1)
        upload = received(store, chunk, content(1))
        assert store.delete(chunk)
        with pytest.raises(Gone):
            store.finish(upload)
        assert files_in(tmp_path) == set()
        assert store.measure() == FileSize(0, 0, 0, 10 * 1024**3)
        with pytest.raises(Gone):
            store.add(chunk, [NewRecipient(b"n" * 16, SENDER_KEY.public())])


def test_a_deleted_chunk_is_gone_with_its_recipients_and_gives_its_room_back(tmp_path: Path) -> None:
    with closing(a_store(tmp_path)) as store:
        kept, chunk = stored(store, 1), stored(store, 2)
        with store.open_chunk(chunk) as file:
            assert store.delete(chunk) and not store.delete(chunk)
            assert store.by_sender(sender_id(2)) is store.by_recipient(recipient_id(2)) is None
            assert file.read() == content(2)  # whoever fetches it at this moment gets it whole
        assert files_in(tmp_path) == {sender_id(1).hex()} and read(store, kept) == content(1)
        assert store.measure() == FileSize(1, SIZE, 0, 10 * 1024**3)
        with pytest.raises(Gone):
            store.open_chunk(chunk)


# --- room ---------------------------------------------------------------------------------------------------------


def test_the_quota_counts_what_is_there_and_what_is_coming(tmp_path: Path) -> None:
    with closing(a_store(tmp_path, quota=3 * SIZE)) as store:
        stored(store, 1)
        assert store.reserve(SIZE) and not store.reserve(2 * SIZE) and store.reserve(SIZE)
        assert not store.reserve(SIZE)
        assert store.measure() == FileSize(1, SIZE, 2 * SIZE, 3 * SIZE)
    with closing(a_store(tmp_path, quota=3 * SIZE)) as store:  # what was coming is forgotten by a restart
        assert store.reserve(2 * SIZE) and not store.reserve(SIZE)


def test_the_disk_keeps_room_for_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [10 * SIZE]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, left[0]))
    with closing(a_store(tmp_path, free=9 * SIZE)) as store:
        assert store.has_room() and store.reserve(SIZE) and not store.reserve(SIZE)
        left[0] = 9 * SIZE - 1
        assert not store.has_room()


def test_the_index_is_bounded(tmp_path: Path) -> None:
    with closing(a_store(tmp_path)) as store:
        registered(store, 1)
        size = store._index.size()
    with closing(a_store(tmp_path, index=size)) as store:
        assert not store.has_room()
    with closing(a_store(tmp_path, index=size + 1)) as store:
        assert store.has_room()


def test_recipients_of_one_chunk_are_bounded(tmp_path: Path) -> None:
    with closing(a_store(tmp_path, recipients=3)) as store:
        chunk = registered(store, 1)
        more = [NewRecipient(bytes([number]) * 16, SENDER_KEY.public()) for number in range(3)]
        assert not store.add(chunk, more)
        assert store.add(chunk, more[:2]) and not store.add(chunk, more[2:])


# --- expiry -------------------------------------------------------------------------------------------------------


def looked_at(store: FileStore, start: int, end: int) -> None:
    """Looks for old chunks every hour, as a relay does that runs."""
    for now in range(start, end + 1, 3_600):
        while store.expire(now):
            pass


def test_chunks_go_after_their_time_and_not_before(tmp_path: Path) -> None:
    with closing(a_store(tmp_path)) as store:
        stored(store, 1), stored(store, 2)
        looked_at(store, NOW, NOW + KEEP // 2)
        late = stored(store, 3, now=NOW + KEEP // 2)
        looked_at(store, NOW + KEEP // 2, NOW + KEEP)
        assert store.by_sender(sender_id(1)) and store.by_sender(sender_id(2))
        looked_at(store, NOW + KEEP, NOW + KEEP + 3_601)
        assert store.by_sender(sender_id(1)) is store.by_sender(sender_id(2)) is None
        assert read(store, late) == content(3) and files_in(tmp_path) == {sender_id(3).hex()}
        assert store.measure().stored == SIZE and store.counts.expired == 2


def test_a_place_where_nothing_came_goes_after_a_day(tmp_path: Path) -> None:
    """Of an FNEW whose answer was lost nobody knows the id: its sender has registered another one."""
    day = 24 * 3_600
    with closing(a_store(tmp_path, keep=2 * day, keep_empty=day)) as store:
        stored(store, 1), registered(store, 2)
        looked_at(store, NOW, NOW + day)
        assert store.by_sender(sender_id(1)) and store.by_sender(sender_id(2))
        looked_at(store, NOW + day, NOW + day + 3_601)
        assert store.by_sender(sender_id(1)) and store.by_sender(sender_id(2)) is None
        looked_at(store, NOW + day + 3_601, NOW + 2 * day + 3_601)
        assert store.by_sender(sender_id(1)) is None and store.counts.expired == 2


def test_more_than_one_step_removes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STEP", 2)
    with closing(a_store(tmp_path)) as store:
        for number in range(1, 6):
            stored(store, number)
        looked_at(store, NOW, NOW + KEEP)
        now = NOW + KEEP + 7_200
        assert [store.expire(now) for _ in range(3)] == [True, True, False]
        assert store.counts.expired == 5


@pytest.mark.parametrize("leap", [10 * KEEP, -10 * KEEP])
def test_a_leap_of_the_clock_removes_nothing_for_the_whole_time(tmp_path: Path, leap: int) -> None:
    with closing(a_store(tmp_path)) as store:
        stored(store, 1)
        looked_at(store, NOW, NOW + 3_600)
        after = NOW + 3_600 + leap
        looked_at(store, after, after + KEEP - 3_600)
        assert store.by_sender(sender_id(1))
    with closing(a_store(tmp_path)) as store:  # which a restart does not forget
        looked_at(store, after + KEEP - 3_600, after + KEEP - 3_600)
        assert store.by_sender(sender_id(1))
        looked_at(store, after + KEEP, after + KEEP + 7_200)
        assert store.by_sender(sender_id(1)) is None


# --- a kill between any two steps ---------------------------------------------------------------------------------


def killed_at(store: FileStore, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Ends everything there as a kill would: nothing after it is done."""

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    target, name = {"rename": (Path, "replace"), "note": (store._index, "arrived"), "unlink": (Path, "unlink")}[step]
    monkeypatch.setattr(target, name, killed)


@pytest.mark.parametrize("step", ["rename", "note"])
def test_a_kill_before_the_answer_leaves_no_orphan_and_the_chunk_can_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with closing(a_store(tmp_path)) as store:
        stored(store, 1)
        upload = received(store, registered(store, 2), content(2))
        with monkeypatch.context() as patch:
            killed_at(store, patch, step)
            with pytest.raises(KeyboardInterrupt):
                store.finish(upload)
        assert len(files_in(tmp_path)) == 2
    with closing(a_store(tmp_path)) as store:
        assert files_in(tmp_path) == {sender_id(1).hex()}
        chunk = store.by_sender(sender_id(2))
        assert chunk is not None and not chunk.there
        store.finish(received(store, chunk, content(2)))
        assert read(store, chunk) == content(2)
        assert store.measure().stored == 2 * SIZE


def test_a_kill_between_the_index_and_the_file_of_a_deleted_chunk_leaves_no_orphan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(a_store(tmp_path)) as store:
        chunk = stored(store, 1)
        with monkeypatch.context() as patch:
            killed_at(store, patch, "unlink")
            with pytest.raises(KeyboardInterrupt):
                store.delete(chunk)
        assert files_in(tmp_path) == {sender_id(1).hex()}
    with closing(a_store(tmp_path)):
        assert files_in(tmp_path) == set()


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"short")], ids=["missing", "cut short"])
def test_a_record_without_its_file_is_given_up(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    with closing(a_store(tmp_path)) as store:
        stored(store, 1)
    spoil(tmp_path / "files" / "chunks" / sender_id(1).hex())
    with closing(a_store(tmp_path)) as store:
        assert store.by_sender(sender_id(1)) is None and files_in(tmp_path) == set()
        assert store.measure().stored == 0


# --- a disk that fails --------------------------------------------------------------------------------------------


def test_what_cannot_be_noted_is_not_confirmed_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RelayStoreError("The relay's database failed while storing a file: the disk is full.")

    with closing(a_store(tmp_path)) as store:
        chunk = registered(store, 1)
        upload = received(store, chunk, content(1))
        with monkeypatch.context() as patch:
            patch.setattr(store._index, "arrived", full)
            with pytest.raises(RelayStoreError, match="disk is full"):
                store.finish(upload)
        assert files_in(tmp_path) == set() and store.measure().reserved == store.measure().stored == 0
        store.finish(received(store, chunk, content(1)))
        assert store.measure() == FileSize(1, SIZE, 0, 10 * 1024**3)


def test_a_commit_that_was_made_and_told_to_have_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(a_store(tmp_path)) as store:
        chunk = registered(store, 1)
        noted = store._index.arrived

        def lied(chunk: object) -> None:
            noted(chunk)  # type: ignore[arg-type]
            raise RelayStoreError("The relay's database failed while storing a file: disk I/O error.")

        with monkeypatch.context() as patch:
            patch.setattr(store._index, "arrived", lied)
            with pytest.raises(RelayStoreError):
                store.finish(received(store, chunk, content(1)))
        again = store.by_sender(sender_id(1))
        assert again is not None and again.there and not store.is_there(again)
        store.finish(received(store, again, content(1)))
        assert store.is_there(again) and read(store, again) == content(1)


def test_a_write_that_fails_is_a_sentence(tmp_path: Path) -> None:
    with closing(a_store(tmp_path)) as store:
        upload = store.begin(registered(store, 1))
        assert upload is not None
        upload.file.close()
        upload.file = open(os.devnull, "rb")
        with pytest.raises(RelayStoreError, match="A file cannot be stored"):
            upload.write(content(1))
        store.discard(upload)
        assert files_in(tmp_path) == set()


def test_a_file_that_cannot_be_removed_now_is_removed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise PermissionError(13, "The file is in use")

    with closing(a_store(tmp_path)) as store:
        chunk = stored(store, 1)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", busy)
            assert store.delete(chunk)
        assert store.by_sender(sender_id(1)) is None and files_in(tmp_path) == {sender_id(1).hex()}
        store.expire(NOW)
        assert files_in(tmp_path) == set()


def test_a_folder_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "files").write_bytes(b"a file")
    with pytest.raises(RelayStoreError, match="folder for files cannot be used"):
        a_store(tmp_path)
    (tmp_path / "files").unlink()
    a_store(tmp_path).close()
    (tmp_path / "files" / "index.db").write_bytes(b"no database at all, and long enough to be looked at as one" * 20)
    with pytest.raises(RelayStoreError, match="index of files"):
        a_store(tmp_path)
