"""Files on their way: what arrives, what is told, and what stays, whatever relays do."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from smpchat.agent.errors import FileRefused, RelaysNotApproved, StoreError
from smpchat.agent.machines import file_transfer as machine
from smpchat.agent.online import file_opening, file_transfers
from smpchat.agent.online.file_opening import FileOpening
from smpchat.agent.online.file_relays import FileRelaySession
from smpchat.agent.store import file_chunks, file_deletions, file_folder
from smpchat.agent.store.files import Stage
from smpchat.agent.transactions import files
from smpchat.client.trouble import Trouble
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.protocol.address import FileServer
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.xftp.errors import DIGEST, INTERNAL, QUOTA
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.file_relay import FileFault, FileFaultKind
from smpchat.testing.loop import run_jumping
from smpchat.xftp.description import DescribedChunk, DescribedReplica, FileDescription, write_description
from smpchat.xftp.encryption import FileDecryption
from tests.unit.agent.online.file_world import KIB, FileWorld, Life, server

SMALL = b"twelve bytes"
LARGE = bytes(range(250)) * 700
"""Three chunks of 64 KiB."""
VERY_LARGE = bytes(40_000_000)
HUGE = LARGE * 27
"""A chunk of 4 MiB and one of 1 MiB."""


def run(world: FileWorld, scenario: Callable[[FileWorld], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario(world)

    run_jumping(main)


def over(world: FileWorld, *numbers: int) -> Callable[[], bool]:
    return lambda: all(world.stage(n) not in (Stage.MOVING, Stage.OPENING) for n in numbers)


async def sent(world: FileWorld, content: bytes = SMALL) -> str:
    number = world.send(content)
    await world.run(over(world, number))
    assert world.stage(number) is Stage.DONE
    return world.descriptions(number)[0]


class TestThereAndBack:
    @pytest.mark.parametrize("content", [b"", SMALL, bytes(300_000), LARGE, HUGE], ids=len)
    def test_what_is_sent_is_what_arrives(self, tmp_path: Path, content: bytes) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.send(content, slots=3)
            await world.run(over(world, number))
            for n, description in enumerate(world.descriptions(number)):
                received = world.receive(description, f"{n}.jpg", size=len(content))
                await world.run(over(world, received))
                assert (world.inbox / f"{n}.jpg").read_bytes() == content
            assert world.left_over() == []
            assert len(world.descriptions(number)) == 3

        run(FileWorld(tmp_path), scenario)

    def test_what_is_there_is_not_overwritten(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            description = await sent(world)
            world.inbox.mkdir()
            (world.inbox / "picture.jpg").write_bytes(b"mine")
            (world.inbox / "picture_1.jpg").symlink_to("nowhere")
            received = world.receive(description)
            await world.run(over(world, received))
            assert (world.inbox / "picture.jpg").read_bytes() == b"mine"
            assert (world.inbox / "picture_2.jpg").read_bytes() == SMALL
            assert world.arrivals() == [(received, world.inbox / "picture_2.jpg")]

        run(FileWorld(tmp_path), scenario)

    def test_whoever_waited_for_a_file_may_end_the_process_at_once(self, tmp_path: Path) -> None:
        async def slowly(function: Callable[..., Any], /, *arguments: Any) -> Any:
            await asyncio.sleep(0.01)
            return function(*arguments)

        async def scenario(world: FileWorld) -> None:
            number = world.receive(await sent(world))
            world.offload = slowly
            await world.run(over(world, number))
            assert [path.name for path in world.inbox.iterdir()] == ["picture.jpg"]
            assert world.left_over() == []

        run(FileWorld(tmp_path), scenario)

    def test_large_files_are_spread_over_the_relays_and_small_ones_are_not(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            one, two = world.relays.values()
            for relay in (one, two):
                relay.delay = 0.1
            await sent(world)
            assert (one.registered, two.registered) == (1, 0)
            await sent(world, LARGE)
            assert one.registered + two.registered == 1 + 3
            assert two.registered

        run(FileWorld(tmp_path, "one.test", "two.test"), scenario)

    def test_progress_is_stored_but_a_few_times_a_second(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            world.relay.delay = 2.0
            number = world.send(LARGE)
            seen: list[tuple[float, int]] = []

            def note() -> None:
                seen.append((asyncio.get_running_loop().time(), world.transfer(number).done))

            world.agent.database.watch(note)
            await world.run(over(world, number))
            world.agent.database.unwatch(note)
            done = [bytes_ for _, bytes_ in seen]
            assert done == sorted(done)
            assert len(set(done)) >= 3
            assert world.transfer(number).done == world.transfer(number).total
            begun = {int(moment * 4) for moment, _ in seen}
            assert len(seen) <= len(begun) + 12  # and those that end a step

        run(FileWorld(tmp_path), scenario)

    def test_one_request_at_a_time_for_each_relay_and_one_session(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            numbers = [world.send(LARGE, f"{n}.bin") for n in range(3)]  # the session itself refuses a second request
            await world.run(over(world, *numbers))
            assert {world.stage(n) for n in numbers} == {Stage.DONE}
            assert world.relay.most_sessions == 1

        run(FileWorld(tmp_path), scenario)

    def test_many_chunks_get_a_second_session_at_their_relay(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            world.relay.delay = 1.0
            number = world.send(VERY_LARGE)
            await world.run(over(world, number))
            assert world.stage(number) is Stage.DONE
            assert world.relay.most_sessions == 2
            assert world.relay.commands.count("FPUT") == world.relay.registered  # none twice

        run(FileWorld(tmp_path), scenario)

    def test_a_relay_that_takes_one_session_only_is_no_worse_for_it(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            world.relay.delay, world.relay.sessions = 1.0, 1
            number = world.send(VERY_LARGE)
            await world.run(over(world, number))
            assert world.stage(number) is Stage.DONE
            assert world.transfer(number).problem is None
            assert (world.relay.most_sessions, world.relay.turned_away) == (1, 1)  # and it is not asked again

        run(FileWorld(tmp_path), scenario)

    def test_files_take_turns(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            world.relay.delay = 1.0
            large = world.send(LARGE * 4, "large.bin")
            small = world.send(SMALL, "small.txt")
            await world.run(over(world, small))
            assert world.stage(large) is Stage.MOVING

        run(FileWorld(tmp_path), scenario)


class TestRelaysInTrouble:
    def test_a_relay_that_is_down_is_passed_over(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            one, two = world.relays.values()
            one.stop()
            await sent(world, LARGE)
            assert (one.registered, two.registered) == (0, 3)

        run(FileWorld(tmp_path, "one.test", "two.test"), scenario)

    def test_a_relay_that_says_nothing_is_left_soon(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            dead = world.homes[0]
            del world.relays[dead]
            begun = asyncio.get_running_loop().time()
            await sent(world)
            assert asyncio.get_running_loop().time() - begun < 10

        run(FileWorld(tmp_path, "dead.test", "two.test"), scenario)

    def test_a_relay_that_says_nothing_any_more_is_left_soon_with_what_it_registered(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            first = world.homes[0]
            one, two = world.relays.values()

            def die(command: str) -> None:
                if command == "FPUT":
                    del world.relays[first]
                    one.stop()

            one.on_command = die
            begun = asyncio.get_running_loop().time()
            await sent(world)
            assert one.registered == 1 and two.used == 64 * KIB
            assert asyncio.get_running_loop().time() - begun < 30  # three tries, of which two are for a session

        run(FileWorld(tmp_path, "dead.test", "two.test"), scenario)

    @pytest.mark.parametrize("code", [QUOTA, INTERNAL, ErrorCode(("AUTH",)), DIGEST])
    def test_a_relay_that_does_not_take_the_bytes_is_left(self, tmp_path: Path, code: ErrorCode) -> None:
        async def scenario(world: FileWorld) -> None:
            one, two = world.relays.values()
            one.refuses["FPUT"] = code
            await sent(world)
            assert two.used == 64 * KIB
            await world.run(lambda: one.registered == 0)

        run(FileWorld(tmp_path, "one.test", "two.test"), scenario)

    @pytest.mark.parametrize(
        ("command", "code", "trouble"),
        [
            ("FNEW", ErrorCode(("AUTH",)), Trouble.PASSWORD),
            ("FNEW", ErrorCode.cmd("SYNTAX"), Trouble.FAULTY),
            ("FPUT", QUOTA, Trouble.RELAY_FULL),
            ("FPUT", INTERNAL, Trouble.CANNOT_STORE),
        ],
    )
    def test_the_only_relay_is_waited_for_and_the_reason_is_told(
        self, tmp_path: Path, command: str, code: ErrorCode, trouble: Trouble
    ) -> None:
        async def scenario(world: FileWorld) -> None:
            world.relay.refuses[command] = code
            number = world.send(SMALL)
            life = Life(world)
            try:
                await life.until(lambda: world.transfer(number).problem is not None)
                problem = world.transfer(number).problem
                assert problem is not None
                assert problem.kind is trouble
                assert problem.next_try_at is not None
                assert problem.next_try_at > world.agent.context.now()
                since = problem.since
                await asyncio.sleep(30)
                problem = world.transfer(number).problem
                assert problem is not None
                assert problem.since == since
                world.relay.refuses.clear()
                await life.until(over(world, number))
                assert world.transfer(number).problem is None
            finally:
                await life.end()
            assert world.stage(number) is Stage.DONE
            assert world.relay.used == 64 * KIB
            assert world.relay.registered == 1

        run(FileWorld(tmp_path), scenario)

    def test_no_relay_at_all(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            homes, world.homes = world.homes, []
            number = world.send(SMALL)
            life = Life(world)
            try:
                await life.until(lambda: world.transfer(number).problem is not None)
                await asyncio.sleep(600)
                assert world.chosen < 20
                world.homes = homes
                await life.until(over(world, number))
            finally:
                await life.end()
            assert world.stage(number) is Stage.DONE

        run(FileWorld(tmp_path), scenario)

    def test_a_dead_relay_holds_up_only_what_is_there(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            here, dead = world.relays.values()
            world.homes = [dead.server]
            away = await sent(world)
            dead.stop()
            world.homes = [here.server]
            waits = world.receive(away, "away.jpg")
            arrives = world.receive(await sent(world), "here.jpg")
            await world.run(over(world, arrives))
            assert world.stage(arrives) is Stage.DONE
            problem = world.transfer(waits).problem
            assert world.stage(waits) is Stage.MOVING
            assert problem is not None
            assert problem.kind is Trouble.UNREACHABLE
            dead.up = True
            await world.run(over(world, waits))
            assert (world.inbox / "away.jpg").read_bytes() == SMALL

        run(FileWorld(tmp_path, "here.test", "dead.test"), scenario)

    @pytest.mark.parametrize("code", [INTERNAL, ErrorCode(("FILE_IO",)), ErrorCode.cmd("SYNTAX")], ids=str)
    def test_a_chunk_that_a_relay_does_not_give_holds_up_nothing_else_there(
        self, tmp_path: Path, code: ErrorCode
    ) -> None:
        async def scenario(world: FileWorld) -> None:
            bad, good = await sent(world), await sent(world, LARGE * 6)
            refused = world.receive(bad, "bad.jpg")
            [replica] = file_chunks.replicas(world.agent.tx, refused, 1)
            world.relay.refuses_id = replica.replica_id, code
            arrives = world.receive(good, "good.jpg")
            begun = asyncio.get_running_loop().time()
            life = Life(world)
            try:
                await life.until(over(world, arrives))
                assert asyncio.get_running_loop().time() - begun < 1
                problem = world.transfer(refused).problem
                assert world.stage(refused) is Stage.MOVING
                assert problem is not None
                assert problem.next_try_at is not None
                world.relay.refuses_id = None
                await life.until(over(world, refused))
            finally:
                await life.end()
            assert world.stage(refused) is Stage.DONE

        run(FileWorld(tmp_path), scenario)

    @pytest.mark.parametrize("code", [INTERNAL, ErrorCode(("BLOCKED",), b"reason=spam")], ids=str)
    def test_a_chunk_that_a_relay_does_not_delete_holds_up_nothing_else_there(
        self, tmp_path: Path, code: ErrorCode
    ) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.send(SMALL)
            await world.run(over(world, number))
            world.relay.refuses["FDEL"] = code
            with world.agent.database.transaction() as tx:
                files.delete_file(tx, world.agent.context, number)
            begun = asyncio.get_running_loop().time()
            await sent(world)
            assert asyncio.get_running_loop().time() - begun < 1
            world.relay.refuses.clear()
            await world.run(lambda: not world.agent.database.read("SELECT 1 FROM file_deletions"))
            assert world.relay.registered == 1 + (code is not INTERNAL)

        run(FileWorld(tmp_path), scenario)

    def test_passwords_go_to_the_relay_and_not_into_descriptions(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            world.relay.password = world.password = "secret-word"
            assert "secret-word" not in await sent(world)

        run(FileWorld(tmp_path), scenario)


class TestNotThereAnyMore:
    @pytest.mark.parametrize(
        ("change", "trouble"),
        [
            (lambda relay: relay.forget_all(), Trouble.GONE),
            (lambda relay: relay.damage(), Trouble.DAMAGED),
            (lambda relay: relay.refuses.update(FGET=ErrorCode(("NO_FILE",))), Trouble.NOT_UPLOADED),
            (lambda relay: relay.refuses.update(FGET=ErrorCode(("BLOCKED",), b"reason=spam")), Trouble.BLOCKED),
        ],
        ids=["expired", "damaged", "never uploaded", "blocked"],
    )
    def test_it_fails_once_with_its_cause_and_nothing_stays(
        self, tmp_path: Path, change: Callable[[object], object], trouble: Trouble
    ) -> None:
        async def scenario(world: FileWorld) -> None:
            description = await sent(world, LARGE)
            change(world.relay)
            received = world.receive(description)
            await world.run(over(world, received))
            assert world.stage(received) is Stage.FAILED
            assert world.failures() == [(received, trouble)]
            found = world.transfer(received).problem
            assert found is not None
            assert found.kind is trouble
            await world.run(lambda: world.left_over() == [])
            assert not world.inbox.exists() or not list(world.inbox.iterdir())

        run(FileWorld(tmp_path), scenario)

    def test_a_second_place_of_a_chunk_is_asked(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            _, two = world.relays.values()
            description = await sent(world)
            number = world.receive(description)
            [known] = file_chunks.replicas(world.agent.tx, number, 1)
            lost = file_chunks.Replica(0, str(two.server), bytes(16), bytes(32))
            behind = file_chunks.Replica(1, known.server, known.replica_id, known.key)
            with world.agent.database.transaction() as tx:
                file_chunks.save_replicas(tx, number, 1, [lost, behind])
                file_chunks.save_state(tx, number, 1, machine.Wanted())
            await world.run(over(world, number))
            assert world.stage(number) is Stage.DONE
            assert two.commands == ["FGET"]

        run(FileWorld(tmp_path, "one.test", "two.test"), scenario)


class TestDecryptingAhead:
    """Large files are decrypted while the rest of them is downloaded."""

    @staticmethod
    def decrypted(world: FileWorld) -> int:
        """Bytes of unfinished files beside their places."""
        return sum(part.stat().st_size for part in world.inbox.glob(".smpchat-*.part"))

    async def halfway(self, world: FileWorld, life: Life, number: int) -> None:
        await life.until(lambda: self.decrypted(world) > 0)
        assert world.stage(number) is Stage.MOVING

    def test_some_of_it_is_decrypted_before_all_of_it_is_here(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.receive(await sent(world, LARGE))
            world.relay.delay = 1.0
            life = Life(world)
            try:
                await self.halfway(world, life, number)
                await life.until(over(world, number))
            finally:
                await life.end()
            assert [path.name for path in world.inbox.iterdir()] == ["picture.jpg"]
            assert (world.inbox / "picture.jpg").read_bytes() == LARGE
            assert world.left_over() == []

        run(FileWorld(tmp_path), scenario)

    @pytest.mark.parametrize("killed", [False, True])
    def test_the_next_process_begins_again(self, tmp_path: Path, killed: bool) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.receive(await sent(world, LARGE))
            world.relay.delay = 1.0
            life = Life(world)
            await self.halfway(world, life, number)
            [part] = world.inbox.iterdir()
            await life.end()
            assert not part.exists()
            if killed:  # then it is left
                part.write_bytes(b"of the killed process")
            await world.run(over(world, number))
            assert [path.name for path in world.inbox.iterdir()] == ["picture.jpg"]
            assert (world.inbox / "picture.jpg").read_bytes() == LARGE

        run(FileWorld(tmp_path), scenario)

    @pytest.mark.parametrize("replaced", [False, True])
    def test_a_part_that_the_user_removed_is_made_again(self, tmp_path: Path, replaced: bool) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.receive(await sent(world, LARGE))
            world.relay.delay = 1.0
            problems: list[object] = []
            world.agent.database.watch(lambda: problems.append(world.transfer(number).problem))
            life = Life(world)
            try:
                await self.halfway(world, life, number)
                [part] = world.inbox.iterdir()
                part.unlink()
                if replaced:
                    part.write_bytes(b"something else")
                else:
                    world.inbox.rmdir()
                await life.until(over(world, number))
            finally:
                await life.end()
            assert [path.name for path in world.inbox.iterdir()] == ["picture.jpg"]
            assert (world.inbox / "picture.jpg").read_bytes() == LARGE
            assert problems
            assert not any(problems)

        run(FileWorld(tmp_path), scenario)

    def test_what_cannot_be_decrypted_ahead_is_decrypted_when_it_is_complete(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.receive(await sent(world, LARGE))
            world.relay.delay = 1.0
            create, failed = file_folder.create_part, []

            def failing(part: Path) -> Any:
                if world.stage(number) is Stage.MOVING:
                    failed.append(part)
                    raise OSError(errno.ENOSPC, "No space left on device")
                return create(part)

            monkeypatch.setattr(file_folder, "create_part", failing)
            await world.run(over(world, number))
            assert len(failed) == 1
            assert (world.inbox / "picture.jpg").read_bytes() == LARGE

        run(FileWorld(tmp_path), scenario)

    def test_a_file_whose_relay_is_dead_does_not_hold_up_another(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(file_opening, "MAX_BEGUN", 1)

        async def scenario(world: FileWorld) -> None:
            slow, quick = await sent(world, LARGE), await sent(world, HUGE)
            stuck, other = world.receive(slow, "slow.jpg"), 0
            world.relay.delay = 1.0
            life = Life(world)
            try:
                await self.halfway(world, life, stuck)
                with world.agent.database.transaction() as tx:
                    [last] = file_chunks.replicas(tx, stuck, 3)
                    dead = file_chunks.Replica(0, str(server("dead.test")), last.replica_id, last.key)
                    file_chunks.save_replicas(tx, stuck, 3, [dead])
                    file_chunks.save_state(tx, stuck, 3, machine.Wanted())
                other = world.receive(quick, "quick.jpg")
                await life.until(over(world, other))
                assert (world.inbox / "quick.jpg").read_bytes() == HUGE
                assert world.stage(stuck) is Stage.MOVING
            finally:
                await life.end()

        run(FileWorld(tmp_path), scenario)


class TestDeleting:
    def test_what_is_deleted_here_is_deleted_at_the_relays(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.send(LARGE)
            await world.run(over(world, number))
            assert world.relay.registered == 3
            with world.agent.database.transaction() as tx:
                files.delete_file(tx, world.agent.context, number)
            assert files.transfer(world.agent.tx, number) is None
            await world.run(lambda: not file_deletions.next_deletion(world.agent.tx, str(world.relay.server), 1e12))
            assert world.relay.registered == 0

        run(FileWorld(tmp_path), scenario)

    def test_a_file_that_is_cancelled_on_its_way_leaves_nothing(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.send(LARGE * 4)
            life = Life(world)
            try:
                await life.until(lambda: "FPUT" in world.relay.commands)
                with world.agent.database.transaction() as tx:
                    files.cancel_file(tx, world.agent.context, number)
                files.sweep(world.agent.database)
                await life.until(
                    lambda: (
                        file_deletions.next_deletion(world.agent.tx, str(world.relay.server), 1e12) is None
                        and world.relay.commands.count("FDEL") > 0
                    )
                )
                await asyncio.sleep(5)
            finally:
                await life.end()
            assert world.stage(number) is Stage.CANCELLED
            assert world.relay.registered == 0
            assert world.relay.used == 0
            assert world.left_over() == []
            assert world.agent.application.all("uploaded") == []
            assert world.failures() == []

        run(FileWorld(tmp_path), scenario)

    def test_a_download_that_is_cancelled_leaves_nothing(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            description = await sent(world, LARGE)
            world.relay.delay = 1.0
            number = world.receive(description)
            life = Life(world)
            try:
                await life.until(lambda: world.transfer(number).done > 0)
                with world.agent.database.transaction() as tx:
                    files.cancel_file(tx, world.agent.context, number)
                await asyncio.sleep(5)
                files.sweep(world.agent.database)
            finally:
                await life.end()
            assert world.left_over() == []
            assert world.arrivals() == []

        run(FileWorld(tmp_path), scenario)

    @pytest.mark.parametrize("act", [files.cancel_file, files.delete_file])
    @pytest.mark.parametrize(
        ("place", "name"),
        [(FileOpening, "_read_ahead"), (FileDecryption, "finish"), (file_folder, "publish")],
        ids=["ahead", "decrypted", "published"],
    )
    def test_a_file_given_up_while_it_is_put_in_its_place_is_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[..., None], place: Any, name: str
    ) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.receive(await sent(world, LARGE))
            world.relay.delay = 1.0
            work = getattr(place, name)
            acted: list[bool] = []

            def given_up(*arguments: object) -> object:
                done = work(*arguments)
                if not acted:
                    acted.append(True)
                    with world.agent.database.transaction() as tx:
                        act(tx, world.agent.context, number)
                return done

            monkeypatch.setattr(place, name, given_up)
            life = Life(world)
            try:
                await asyncio.sleep(100)
            finally:
                await life.end()
            assert acted
            assert list(world.inbox.iterdir()) == []
            assert world.left_over() == []
            assert world.arrivals() == []
            found = files.transfer(world.agent.tx, number)
            assert found is None or found.stage is Stage.CANCELLED

        run(FileWorld(tmp_path), scenario)

    def test_a_relay_that_is_away_is_asked_for_two_days(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.send(SMALL)
            await world.run(over(world, number))
            world.relay.stop()
            with world.agent.database.transaction() as tx:
                files.delete_file(tx, world.agent.context, number)
            text = str(world.relay.server)
            life = Life(world)
            try:
                world.agent.now += machine.DELETION_PATIENCE - 3600
                await asyncio.sleep(600)
                assert file_deletions.next_deletion(world.agent.tx, text, 1e12) is not None
                world.agent.now += 3600
                await asyncio.sleep(600)
                assert file_deletions.next_deletion(world.agent.tx, text, 1e12) is None
            finally:
                await life.end()

        run(FileWorld(tmp_path), scenario)


class TestGivingUp:
    def test_a_file_that_finds_no_relay_for_a_day_fails(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            world.relay.stop()
            number = world.send(SMALL)
            life = Life(world)
            try:
                world.agent.now += machine.SENDING_PATIENCE - 3600
                await asyncio.sleep(600)
                assert world.stage(number) is Stage.MOVING
                await life.until(over(world, number), 7_200)
            finally:
                await life.end()
            assert world.failures() == [(number, Trouble.TIME_UP)]
            await world.run(lambda: world.left_over() == [])

        run(FileWorld(tmp_path), scenario)

    def test_a_download_fails_after_two_days(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            description = await sent(world)
            world.relay.stop()
            number = world.receive(description)
            life = Life(world)
            try:
                world.agent.now += machine.RECEIVING_PATIENCE - 3600
                await asyncio.sleep(600)
                assert world.stage(number) is Stage.MOVING
                await life.until(over(world, number), 7_200)
            finally:
                await life.end()
            assert world.failures() == [(number, Trouble.TIME_UP)]

        run(FileWorld(tmp_path), scenario)


class TestThisComputer:
    def test_without_descriptors_a_file_waits(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.send(LARGE)
            left = [2]

            async def scarce(function: Callable[..., Any], /, *arguments: Any) -> Any:
                if function.__name__ == "read" and left[0]:
                    left[0] -= 1
                    raise OSError(errno.EMFILE, "Too many open files")
                return function(*arguments)

            world.offload = scarce
            await world.run(over(world, number))
            assert world.stage(number) is Stage.DONE
            assert left == [0]

        run(FileWorld(tmp_path), scenario)

    def test_ciphertext_that_vanished_fails_the_file(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.send(LARGE)
            for path in file_folder.folder_of(world.folder).iterdir():
                path.unlink()
            await world.run(over(world, number))
            assert world.failures() == [(number, Trouble.FILE_LOST)]
            await world.run(lambda: world.relay.registered == 0)

        run(FileWorld(tmp_path), scenario)

    def test_ciphertext_that_was_changed_fails_the_file(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.send(LARGE)
            [path] = file_folder.folder_of(world.folder).iterdir()
            data = path.read_bytes()
            path.write_bytes(b"x" + data[1:])
            await world.run(over(world, number))
            assert world.failures() == [(number, Trouble.FILE_LOST)]

        run(FileWorld(tmp_path), scenario)

    def test_what_was_damaged_on_our_disk_is_fetched_again_once(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            description = await sent(world, LARGE)
            number = world.receive(description)
            spoil = iter([True, False])

            def watch() -> None:
                if world.stage(number) is Stage.OPENING and next(spoil):
                    [path] = file_folder.folder_of(world.folder).iterdir()
                    path.write_bytes(path.read_bytes()[:-1] + b"x")

            world.agent.database.watch(watch)
            before = world.relay.commands.count("FGET")
            await world.run(over(world, number))
            assert world.stage(number) is Stage.DONE
            assert world.relay.commands.count("FGET") - before == 3 + 1
            assert (world.inbox / "picture.jpg").read_bytes() == LARGE

        run(FileWorld(tmp_path), scenario)

    def test_a_full_disk_keeps_what_there_was_and_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def scenario(world: FileWorld) -> None:
            description = await sent(world, LARGE)
            number = world.receive(description)
            room = [True]

            def check(folder: Path, size: int) -> None:
                if not room[0]:
                    raise OSError(28, "No space left on device")

            monkeypatch.setattr(file_folder, "check_room", check)
            world.relay.on_command = lambda name: room.__setitem__(0, name != "FGET" or not world.transfer(number).done)
            world.relay.delay = 1.0
            life = Life(world)
            try:
                await life.until(lambda: world.transfer(number).problem is not None)
                problem = world.transfer(number).problem
                assert problem is not None
                assert problem.kind is Trouble.CANNOT_WRITE
                done = world.transfer(number).done
                assert done > 0
                room[0], world.relay.on_command = True, lambda _: None
                before = world.relay.commands.count("FGET")
                await life.until(over(world, number))
            finally:
                await life.end()
            assert world.stage(number) is Stage.DONE
            assert world.transfer(number).problem is None
            assert world.relay.commands.count("FGET") - before < 3

        run(FileWorld(tmp_path), scenario)


class TestLossesOnTheWay:
    @pytest.mark.parametrize("kind", list(FileFaultKind))
    def test_any_one_request_that_goes_wrong_costs_a_repeat(self, tmp_path: Path, kind: FileFaultKind) -> None:
        for at in range(1, 9):

            async def scenario(world: FileWorld, at: int = at) -> None:
                world.relay.faults = [FileFault(at, kind)]
                number = world.send(LARGE)
                await world.run(over(world, number))
                assert world.stage(number) is Stage.DONE
                received = world.receive(world.descriptions(number)[1])
                await world.run(over(world, received))
                assert (world.inbox / "picture.jpg").read_bytes() == LARGE
                assert len(world.arrivals()) == 1
                assert world.left_over() == []
                assert world.relay.registered <= 3 + (kind is FileFaultKind.ANSWER_LOST)

            run(FileWorld(tmp_path / f"{at}"), scenario)


class TestDescriptions:
    def test_relays_that_the_sender_chose_are_asked_about(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            description = await sent(world)
            world.homes = []
            with pytest.raises(RelaysNotApproved, match=r"one\.test"):
                world.receive(description, approved=False)
            assert files.relays_to_approve(description, lambda _: False) == ("one.test",)
            assert files.relays_to_approve(description, lambda _: True) == ()
            world.receive(description, approved=True)

        run(FileWorld(tmp_path), scenario)

    @pytest.mark.parametrize("size", [0, 70_000, 10**9])
    def test_a_file_of_another_size_is_not_fetched(self, tmp_path: Path, size: int) -> None:
        async def scenario(world: FileWorld) -> None:
            description = await sent(world, bytes(5_000_000))
            with pytest.raises(FileRefused):
                world.receive(description, size=size)

        run(FileWorld(tmp_path), scenario)

    def test_a_file_of_nearly_the_size_that_was_announced_is_not_put_in_its_place(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.receive(await sent(world), size=len(SMALL) + 1)
            await world.run(over(world, number))
            assert world.failures() == [(number, Trouble.DAMAGED)]
            assert list(world.inbox.iterdir()) == []

        run(FileWorld(tmp_path), scenario)

    def test_what_cannot_be_read_is_refused_and_nothing_is_stored(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            with pytest.raises(FileRefused):
                world.receive("!!!")
            assert world.agent.database.read("SELECT * FROM files") == []

        run(FileWorld(tmp_path), scenario)


class TestOthers:
    def test_a_description_that_names_many_dead_relays_leaves_room_for_others(self, tmp_path: Path) -> None:
        async def scenario(world: FileWorld) -> None:
            good = await sent(world)
            home = world.relay
            dead = [server(f"dead{n}.test") for n in range(40)]
            number = world.receive(many_relays(dead), "dead.jpg")
            dials: list[int] = []
            connect, under_way = world.connect, [0]

            async def counting(address: FileServer, seconds: float) -> FileRelaySession:
                under_way[0] += 1
                dials.append(under_way[0])
                try:
                    return await connect(address, seconds)
                finally:
                    under_way[0] -= 1

            world.connect = counting  # type: ignore[method-assign]
            life = Life(world)
            try:
                await asyncio.sleep(5)
                outgoing, coming = world.send(SMALL, "mine.jpg"), world.receive(good, "good.jpg")
                begun = asyncio.get_running_loop().time()
                await life.until(over(world, outgoing))
                assert asyncio.get_running_loop().time() - begun < 10
                await life.until(over(world, coming), 3600)
            finally:
                await life.end()
            assert world.stage(number) is Stage.MOVING
            assert world.stage(coming) is Stage.DONE
            assert max(dials) <= file_transfers.MAX_DIALS + 1 <= file_transfers.MAX_WORKERS
            assert home.used

        run(FileWorld(tmp_path), scenario)

    def test_a_fault_of_the_layer_above_holds_up_one_file(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def scenario(world: FileWorld) -> None:
            bad, good = world.send(SMALL, "bad.bin"), world.send(SMALL, "good.bin")
            tell = world.agent.application.file_uploaded

            def told(tx: sqlite3.Connection, file_id: int, descriptions: tuple[str, ...]) -> None:
                if file_id == bad:
                    raise ValueError("a fault")
                tell(tx, file_id, descriptions)

            world.agent.application.file_uploaded = told  # type: ignore[method-assign]
            await world.run(over(world, good))
            problem = world.transfer(bad).problem
            assert world.stage(bad) is Stage.MOVING
            assert problem is not None
            assert problem.kind is Trouble.FAULTY
            world.agent.application.file_uploaded = tell  # type: ignore[method-assign]
            await world.run(over(world, bad))
            assert world.stage(bad) is Stage.DONE

        run(FileWorld(tmp_path), scenario)

    def test_a_store_that_fails_ends_the_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        async def scenario(world: FileWorld) -> None:
            number = world.send(SMALL)

            def broken(*_: object) -> None:
                raise sqlite3.OperationalError("disk I/O error")

            monkeypatch.setattr(files, "registered", broken)
            with pytest.raises(StoreError):
                await world.run(over(world, number))

        run(FileWorld(tmp_path), scenario)


def many_relays(servers: list[FileServer]) -> str:
    key = Ed25519PrivateKey.generate(SeededEntropy("key"))
    chunks = tuple(
        DescribedChunk(n, 65_536, bytes(32), (DescribedReplica(one, bytes([n]) * 16, key),))
        for n, one in enumerate(servers, 1)
    )
    return write_description(FileDescription(65_536 * len(servers), bytes(64), bytes(32), bytes(24), chunks))
