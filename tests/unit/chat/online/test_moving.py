"""Waiting for a file: what ends the wait, and which error says why."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from smpchat.agent.store import files as agent_files
from smpchat.chat.errors import (
    ChatError,
    DeliveryFailed,
    FileDamaged,
    FileNotSaved,
    FileStalled,
    FileUnavailable,
    NoFileOffered,
    UnknownContact,
)
from smpchat.chat.online.moving import ARRIVES_WITHIN, until_moved, until_offered
from smpchat.chat.online.patience import RelayDown
from smpchat.chat.store.files import FileState
from smpchat.chat.store.records import Message
from smpchat.client.trouble import Trouble
from tests.faults.people import START
from tests.unit.chat.transactions.test_files import Two, own, row, run, view


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (Trouble.GONE, FileUnavailable),
        (Trouble.DAMAGED, FileDamaged),
        (Trouble.CANNOT_WRITE, FileNotSaved),
        (Trouble.TIME_UP, FileUnavailable),
    ],
)
def test_a_file_that_does_not_come(tmp_path: Path, trouble: Trouble, expected: type[ChatError]) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        await two.described(ours, theirs)
        bob = two.bob.service
        bob.receive_file(theirs, tmp_path, own=own)
        waiting = asyncio.create_task(until_moved(bob, theirs, None, lambda _: None))
        await asyncio.sleep(1)
        with bob.database.transaction() as tx:
            bob.context.application.file_failed(tx, row(bob, theirs).transfer or 0, trouble)
        with pytest.raises(expected) as caught:
            await waiting
        assert type(caught.value) is expected and caught.value.hint

    run(tmp_path, scenario)


def test_a_file_that_comes(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        await two.described(ours, theirs)
        bob = two.bob.service
        bob.receive_file(theirs, tmp_path, own=own)
        looks: list[Message] = []
        waiting = asyncio.create_task(until_moved(bob, theirs, None, looks.append))
        await asyncio.sleep(1)
        with bob.database.transaction() as tx:
            bob.context.application.file_received(tx, row(bob, theirs).transfer or 0, tmp_path / "photo.txt")
        assert view(bob, (await waiting).id).state is FileState.RECEIVED and len(looks) == 1

    run(tmp_path, scenario)


def test_a_file_that_has_not_arrived_yet_is_waited_for_a_moment(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        bob, clock = two.bob.service, asyncio.get_running_loop().time
        began = clock()
        with pytest.raises(NoFileOffered, match="no file from alice"):
            await until_offered(bob, "alice")
        assert ARRIVES_WITHIN <= clock() - began < ARRIVES_WITHIN + 1
        waiting = asyncio.create_task(until_offered(bob, "alice"))
        await asyncio.sleep(1)
        _, theirs = await two.sent()
        assert await waiting == theirs == await until_offered(bob, "alice")
        with pytest.raises(UnknownContact):
            await until_offered(bob, "nobody")

    run(tmp_path, scenario)


def test_only_the_relay_of_that_contact_ends_the_wait_for_a_file(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        number = two.alice.service.invite("carol")
        await two.alice.until(lambda service: service.invitations()[0].link is not None)
        invitation = two.alice.service.invitation(number)
        assert invitation is not None
        link = invitation.link or ""
        assert "relay.test" in link
        bob, clock = two.bob.service, asyncio.get_running_loop().time
        bob.connect(link.replace("relay.test", "dead.test"), "carol", "hello")
        carol = bob.contact("carol").state.connection
        await two.bob.until(lambda service: service.obstacle(carol) is not None)
        began = clock()
        with pytest.raises(NoFileOffered):
            await until_offered(bob, "alice")
        assert clock() - began >= ARRIVES_WITHIN
        await two.relay.stop()
        alice = bob.contact("alice").state.connection
        await two.bob.until(lambda service: service.obstacle(alice, receiving=True) is not None)
        began = clock()
        with pytest.raises(RelayDown, match=r"relay\.test"):
            await until_offered(bob, "alice")
        assert clock() - began < ARRIVES_WITHIN

    run(tmp_path, scenario)


def test_one_of_ours_is_waited_for_until_its_description_is_on_its_way(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, _ = await two.sent()
        other, _ = await two.sent()
        alice = two.alice.service
        waiting = asyncio.create_task(until_moved(alice, ours, None, lambda _: None))
        await asyncio.sleep(1)
        assert not waiting.done()
        two.upload(ours)
        assert (await waiting).id == ours
        with alice.database.transaction() as tx:
            alice.context.application.file_failed(tx, row(alice, other).transfer or 0, Trouble.RELAY_FULL)
        with pytest.raises(DeliveryFailed, match="all are full"):
            await until_moved(alice, other, None, lambda _: None)

    run(tmp_path, scenario)


@pytest.mark.parametrize(("patience", "least", "most"), [(None, 20, 21), (3.0, 3, 4)])
def test_what_goes_on_by_itself_is_not_waited_for_without_end(
    tmp_path: Path, patience: float | None, least: float, most: float
) -> None:
    async def scenario(two: Two) -> None:
        _, theirs = await two.sent()
        bob, clock = two.bob.service, asyncio.get_running_loop().time
        bob.receive_file(theirs, tmp_path, own=own)
        began = clock()
        with pytest.raises(FileStalled, match="alice has not finished uploading") as stalled:
            await until_moved(bob, theirs, patience, lambda _: None)
        assert least <= clock() - began <= most and stalled.value.kind is None
        assert view(bob, theirs).state is FileState.RECEIVING

    run(tmp_path, scenario)


@pytest.mark.parametrize(("next_try_at", "least", "most"), [(START + 3, 8, 9), (None, 20, 21)])
def test_a_relay_that_failed_just_now_is_not_waited_for_as_long(
    tmp_path: Path, next_try_at: float | None, least: float, most: float
) -> None:
    """What failed in a process before this one is tried anew, and says nothing yet."""

    async def scenario(two: Two) -> None:
        ours, _ = await two.sent()
        alice, clock = two.alice.service, asyncio.get_running_loop().time
        problem = agent_files.Problem(Trouble.UNREACHABLE, "cannot reach relay dead.test", START, next_try_at)
        with alice.database.transaction() as tx:
            agent_files.set_problem(tx, row(alice, ours).transfer or 0, problem)
        began = clock()
        with pytest.raises(FileStalled, match=r"dead\.test") as stalled:
            await until_moved(alice, ours, None, lambda _: None)
        assert least <= clock() - began <= most and stalled.value.kind is Trouble.UNREACHABLE
        with pytest.raises(FileStalled):
            await until_moved(alice, ours, 15, lambda _: None)
        assert clock() - began >= least + 15  # who chose how long waits so long

    run(tmp_path, scenario)


def test_a_large_file_that_is_checked_is_not_given_up(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        await two.described(ours, theirs)
        bob = two.bob.service
        bob.receive_file(theirs, tmp_path, own=own)
        transfer = row(bob, theirs).transfer or 0
        with bob.database.transaction() as tx:
            agent_files.set_stage(tx, transfer, agent_files.Stage.OPENING)
        waiting = asyncio.create_task(until_moved(bob, theirs, None, lambda _: None))
        await asyncio.sleep(120)
        assert not waiting.done() and view(bob, theirs).checking
        problem = agent_files.Problem(Trouble.CANNOT_WRITE, "the disk is full", START)
        with bob.database.transaction() as tx:
            agent_files.set_problem(tx, transfer, problem)
        with pytest.raises(FileStalled, match="The disk is full") as stalled:
            await waiting
        assert stalled.value.kind is Trouble.CANNOT_WRITE and not view(bob, theirs).checking

    run(tmp_path, scenario)


def test_a_relay_that_is_slow_is_not_blamed_on_the_sender(tmp_path: Path) -> None:
    async def scenario(two: Two) -> None:
        ours, theirs = await two.sent()
        await two.described(ours, theirs)
        bob = two.bob.service
        bob.receive_file(theirs, tmp_path, own=own)
        with pytest.raises(FileStalled) as stalled:
            await until_moved(bob, theirs, 1, lambda _: None)
        assert "uploading" not in str(stalled.value)

    run(tmp_path, scenario)
