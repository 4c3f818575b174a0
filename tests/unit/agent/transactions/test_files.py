"""What is asked for and what comes of it, each in one transaction; answers that come too late change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from smpchat.agent.errors import FileRefused, TooManyFiles
from smpchat.agent.machines import file_transfer as machine
from smpchat.agent.store import encrypted_files, file_chunks, file_deletions, file_folder
from smpchat.agent.store import files as store
from smpchat.agent.store.files import Problem, Stage
from smpchat.agent.transactions import files
from smpchat.agent.transactions.files import Answer
from smpchat.client.trouble import Trouble
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.protocol.address import FileServer
from smpchat.testing.entropy import SeededEntropy
from smpchat.xftp.description import DescribedChunk, DescribedReplica, FileDescription, write_description
from tests.unit.agent.agents import NOW, Agent

SERVER = FileServer(("files.test",), "", bytes(32))
DAY = 86_400.0


def submit(agent: Agent, folder: Path, size: int = 100_000) -> int:
    path = folder / "a.bin"
    path.write_bytes(bytes(size))
    with (
        encrypted_files.encrypt_for_sending(path, folder, agent.entropy, lambda *_: None) as encrypted,
        agent.database.transaction() as tx,
    ):
        return files.submit_file(tx, agent.context, encrypted, "a.bin", 2)


def register(agent: Agent, file_id: int, number: int) -> None:
    one = files.prepare(agent.tx, agent.context, file_id, number)
    assert one is not None
    answer = Answer(one, SERVER, agent.entropy.random(16), tuple(agent.entropy.random(16) for _ in one.recipient_keys))
    agent.do(lambda tx, context: files.registered(tx, context, [answer]))


def upload(agent: Agent, file_id: int) -> None:
    for chunk in file_chunks.chunks(agent.tx, file_id):
        register(agent, file_id, chunk.number)
        agent.do(lambda tx, context, n=chunk.number: files.moved(tx, context, [(file_id, n)]))  # type: ignore[misc]


def description(size: int = 65_536, chunks: int = 1) -> str:
    key = Ed25519PrivateKey.generate(SeededEntropy("key"))
    described = tuple(
        DescribedChunk(n, size, bytes(32), (DescribedReplica(SERVER, bytes([n]) * 16, key),))
        for n in range(1, chunks + 1)
    )
    return write_description(FileDescription(size * chunks, bytes(64), bytes(32), bytes(24), described))


def receive(agent: Agent, folder: Path, text: str | None = None, size: int | None = None) -> int:
    with agent.database.transaction() as tx:
        return files.receive_file(
            tx,
            agent.context,
            text or description(),
            folder / "inbox" / "b.bin",
            approved=True,
            known=lambda _: False,
            size=size,
        )


def owed(agent: Agent) -> int:
    return int(agent.database.read("SELECT count(*) FROM file_deletions")[0][0])


def stored_keys(agent: Agent) -> set[bytes]:
    found = set()
    for query in (
        "SELECT key FROM files UNION SELECT nonce FROM files",
        "SELECT key FROM file_replicas",
        "SELECT sender_key FROM file_chunks UNION SELECT sender_key FROM file_deletions",
    ):
        found |= {row[0] for row in agent.database.read(query) if row[0]}
    return found


class TestUploads:
    def test_each_recipient_gets_a_description_and_keys_are_gone_with_that(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        number = submit(agent, tmp_path)
        before = stored_keys(agent)
        upload(agent, number)
        [told] = agent.application.all("uploaded")
        assert isinstance(told, tuple)
        assert told[0] == number
        texts = told[1]
        assert len(set(texts)) == 2
        assert not stored_keys(agent) & before
        assert agent.database.read("SELECT * FROM file_replicas") == []
        chunks = len(file_chunks.chunks(agent.tx, number))
        assert len(stored_keys(agent)) == chunks, "what deletes them stays"

    def test_an_answer_that_comes_after_the_file_was_cancelled_is_taken_back(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        number = submit(agent, tmp_path)
        one = files.prepare(agent.tx, agent.context, number, 1)
        assert one is not None
        agent.do(lambda tx, context: files.cancel_file(tx, context, number))
        answer = Answer(one, SERVER, bytes(16), (bytes(16), bytes(16)))
        agent.do(lambda tx, context: files.registered(tx, context, [answer]))
        deletion = file_deletions.next_deletion(agent.tx, str(SERVER), 1e12)
        assert deletion is not None
        assert deletion.sender_key == one.sender_key.raw
        assert agent.database.read("SELECT * FROM file_replicas") == []

    def test_a_chunk_registered_twice_is_at_one_relay(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        number = submit(agent, tmp_path)
        registrations = [files.prepare(agent.tx, agent.context, number, 1) for _ in range(2)]
        for n, one in enumerate(registrations):
            assert one is not None
            answer = Answer(one, SERVER, bytes([n]) * 16, (bytes(16), bytes(16)))
            agent.do(lambda tx, context, a=answer: files.registered(tx, context, [a]))  # type: ignore[misc]
        chunk = file_chunks.chunk(agent.tx, number, 1)
        assert chunk is not None
        assert chunk.sender_id == bytes(16)
        deletion = file_deletions.next_deletion(agent.tx, str(SERVER), 1e12)
        assert deletion is not None
        assert deletion.sender_id == b"\1" * 16

    def test_an_outcome_that_comes_twice_counts_once(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        number = submit(agent, tmp_path)
        upload(agent, number)
        agent.do(lambda tx, context: files.moved(tx, context, [(number, 1)]))
        agent.do(
            lambda tx, context: files.not_moved(tx, context, number, 1, Problem(Trouble.GONE, "gone", context.now()))
        )
        assert len(agent.application.all("uploaded")) == 1
        assert agent.application.all("file failed") == []
        assert store.load(agent.tx, number).stage is Stage.DONE

    def test_a_relay_that_is_full_is_told_to_forget_and_its_recipients_are_forgotten(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        number = submit(agent, tmp_path)
        register(agent, number, 1)
        problem = Problem(Trouble.RELAY_FULL, "QUOTA", NOW)
        agent.do(lambda tx, context: files.not_moved(tx, context, number, 1, problem))
        assert owed(agent) == 1
        assert file_chunks.replicas(agent.tx, number, 1) == []
        chunk = file_chunks.chunk(agent.tx, number, 1)
        assert chunk is not None
        assert (chunk.state, chunk.server) == (machine.Unplaced(), None)

    def test_a_failure_deletes_what_is_at_relays_and_is_told_once(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        number = submit(agent, tmp_path, 300_000)
        register(agent, number, 1)
        register(agent, number, 2)
        problem = Problem(Trouble.FILE_LOST, "not there", NOW)
        for chunk in (1, 2):
            agent.do(lambda tx, context, n=chunk: files.not_moved(tx, context, number, n, problem))  # type: ignore[misc]
        assert agent.application.all("file failed") == [(number, Trouble.FILE_LOST)]
        assert owed(agent) == 2
        found = files.transfer(agent.tx, number)
        assert found is not None
        assert found.problem == problem


class TestDownloads:
    @pytest.mark.parametrize("size", [0, 65_536 - 23, 100_000, 10**9])
    def test_a_description_of_much_more_than_was_announced_is_refused(self, tmp_path: Path, size: int) -> None:
        agent = Agent("alice", tmp_path)
        text = description() if size else description(4 * 1024 * 1024, 2)
        with pytest.raises(FileRefused):
            receive(agent, tmp_path, text, size)
        assert agent.database.read("SELECT 1 FROM files") == []

    @pytest.mark.parametrize("size", [0, 1, 65_536 - 24])
    def test_what_fits_its_announcement_is_fetched(self, tmp_path: Path, size: int) -> None:
        agent = Agent("alice", tmp_path)
        assert receive(agent, tmp_path, size=size)

    def test_a_file_in_its_place_keeps_no_key(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        number = receive(agent, tmp_path)
        assert stored_keys(agent)
        agent.do(lambda tx, context: files.moved(tx, context, [(number, 1)]))
        assert store.load(agent.tx, number).stage is Stage.OPENING
        agent.do(lambda tx, context: files.opened(tx, context, number, tmp_path / "b.bin"))
        assert not stored_keys(agent)
        assert agent.application.all("file") == [(number, tmp_path / "b.bin")]

    def test_the_agent_does_not_tell_of_a_file_that_was_cancelled_while_it_was_opened(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        number = receive(agent, tmp_path)
        agent.do(lambda tx, context: files.moved(tx, context, [(number, 1)]))
        agent.do(lambda tx, context: files.cancel_file(tx, context, number))
        agent.do(lambda tx, context: files.opened(tx, context, number, tmp_path / "b.bin"))
        assert agent.application.all("file") == []

    def test_a_profile_from_elsewhere_puts_no_file_anywhere(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        number, sending = receive(agent, tmp_path), submit(agent, tmp_path)
        agent.do(files.abandon_received)
        assert agent.application.all("file failed") == [(number, Trouble.FILE_LOST)]
        assert store.load(agent.tx, sending).stage is Stage.MOVING


def test_so_many_files_are_under_way_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 3)
    agent = Agent("alice", tmp_path)
    numbers = [receive(agent, tmp_path) for _ in range(3)]
    with pytest.raises(TooManyFiles):
        receive(agent, tmp_path)
    with pytest.raises(TooManyFiles):
        submit(agent, tmp_path)
    files.sweep(agent.database)
    assert list(file_folder.folder_of(tmp_path).iterdir()) == []
    agent.do(lambda tx, context: files.cancel_file(tx, context, numbers[0]))
    assert receive(agent, tmp_path)


def rows(agent: Agent) -> int:
    return sum(agent.database.read(f"SELECT count(*) FROM {table}")[0][0] for table in ("file_chunks", "file_replicas"))


def test_of_a_file_that_is_over_only_its_end_is_kept(tmp_path: Path) -> None:
    """Else each look for work would pass by the chunks of all that ever failed."""
    agent = Agent("alice", tmp_path)
    failed, cancelled, received = (receive(agent, tmp_path) for _ in range(3))
    agent.do(lambda tx, context: files.fail(tx, context, failed, Problem(Trouble.GONE, "", NOW)))
    agent.do(lambda tx, context: files.cancel_file(tx, context, cancelled))
    agent.do(lambda tx, context: files.moved(tx, context, [(received, 1)]))
    agent.do(lambda tx, context: files.opened(tx, context, received, tmp_path))
    sending = submit(agent, tmp_path)
    register(agent, sending, 1)
    agent.do(lambda tx, context: files.cancel_file(tx, context, sending))
    assert rows(agent) == 0
    stages = [store.load(agent.tx, number).stage for number in (failed, cancelled, received, sending)]
    assert stages == [Stage.FAILED, Stage.CANCELLED, Stage.DONE, Stage.CANCELLED]


class TestTime:
    def later(self, agent: Agent, seconds: float) -> None:
        agent.now += seconds
        agent.do(files.give_up_old)

    def test_each_direction_has_its_patience(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        sending, coming = submit(agent, tmp_path), receive(agent, tmp_path)
        self.later(agent, DAY - 1)
        assert agent.application.all("file failed") == []
        self.later(agent, 2)
        assert agent.application.all("file failed") == [(sending, Trouble.TIME_UP)]
        self.later(agent, DAY)
        assert agent.application.all("file failed")[1:] == [(coming, Trouble.TIME_UP)]

    def test_after_a_leap_of_the_clock_nothing_is_given_up(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        submit(agent, tmp_path)
        agent.do(lambda tx, context: clock_note(tx, context.now()))
        self.later(agent, 30 * DAY)
        assert agent.application.all("file failed") == []

    def test_what_deletes_a_chunk_goes_after_a_week(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        number = submit(agent, tmp_path)
        upload(agent, number)
        self.later(agent, 6 * DAY)
        assert stored_keys(agent)
        self.later(agent, 1.1 * DAY)
        assert not stored_keys(agent)
        agent.do(lambda tx, context: files.delete_file(tx, context, number))
        assert owed(agent) == 0

    def test_deletions_are_given_up_after_two_days(self, tmp_path: Path) -> None:
        agent = Agent("alice", tmp_path)
        number = submit(agent, tmp_path)
        upload(agent, number)
        agent.do(lambda tx, context: files.delete_file(tx, context, number))
        assert owed(agent)
        assert not files.is_any_old(agent.tx, agent.now)
        self.later(agent, 2.1 * DAY)
        assert owed(agent) == 0


def clock_note(tx: object, now: float) -> None:
    from smpchat.agent.store import clock

    clock.note(tx, now)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "act",
    [
        lambda tx, context, n: files.cancel_file(tx, context, n),
        lambda tx, context, n: files.delete_file(tx, context, n),
        lambda tx, context, n: files.moved(tx, context, [(n, 1)]),
        lambda tx, context, n: files.not_moved(tx, context, n, 1, Problem(Trouble.GONE, "", NOW)),
        lambda tx, context, n: files.opened(tx, context, n, Path("x")),
        lambda tx, context, n: files.fail(tx, context, n, Problem(Trouble.GONE, "", NOW)),
    ],
)
def test_a_file_that_was_deleted_is_nobodys_fault(tmp_path: Path, act: Callable[..., object]) -> None:
    agent = Agent("alice", tmp_path)
    agent.do(lambda tx, context: act(tx, context, 77))
    assert agent.application.told == []
    assert files.transfer(agent.tx, 77) is None
    assert files.prepare(agent.tx, agent.context, 77, 1) is None
