"""Waiting beside a process that is online: it ends when that one has done the work, or has ended itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smpchat.agent.store.signals import POLL_WITHOUT_SIGNALS, Signals
from smpchat.chat.online.beside import handed_over
from smpchat.chat.online.settling import Looks
from smpchat.chat.online.waiting import follow
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store import settings
from smpchat.chat.store.lock import online_lock

LONG = 20.0
"""Seconds in which nobody would look by itself."""


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[StoredProfile]:
    """As the process has it that hands its work over."""
    service = StoredProfile(tmp_path / "bob", "bob")
    yield service
    service.close()


def found(service: StoredProfile) -> str | None:
    return settings.setting(service.database.connection, "found")


def waiting(service: StoredProfile, looked: threading.Event) -> Looks[str]:
    """Until somebody has found something."""
    while (text := found(service)) is None:
        looked.set()
        passed = yield LONG
        assert passed >= 0
    return text


@contextmanager
def online(folder: Path, work: Callable[[StoredProfile], None], looked: threading.Event) -> Iterator[None]:
    """Another process that is online, until it has done its ``work`` once it was looked for."""
    taken = threading.Event()

    def run() -> None:
        other, lock = StoredProfile(folder, "bob"), online_lock(folder)
        try:
            assert lock.take()
            taken.set()
            assert looked.wait(LONG)
            work(other)
        finally:
            lock.release()
            other.database.signals.send()
            other.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert taken.wait(LONG)
    yield
    looked.set()
    thread.join(LONG)
    assert not thread.is_alive()


def find(service: StoredProfile) -> None:
    with service.database.transaction() as tx:
        settings.save_setting(tx, "found", "by the other")


def test_what_the_other_one_does_is_seen_when_it_is_done(profile: StoredProfile) -> None:
    looked, ended = threading.Event(), threading.Event()

    def work(other: StoredProfile) -> None:
        find(other)
        assert ended.wait(LONG)  # online for longer than anybody waits for it

    began = time.monotonic()
    with online(profile.folder, work, looked):
        assert handed_over(profile, waiting(profile, looked)) == "by the other"
        ended.set()
    assert time.monotonic() - began < LONG


def test_without_signals_it_looks_by_itself(profile: StoredProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Signals, "listen", lambda _: None)
    looked, ended = threading.Event(), threading.Event()

    def work(other: StoredProfile) -> None:
        find(other)
        assert ended.wait(LONG)

    with online(profile.folder, work, looked):
        began = time.monotonic()
        assert handed_over(profile, waiting(profile, looked)) == "by the other"
        assert POLL_WITHOUT_SIGNALS / 2 < time.monotonic() - began < LONG
        ended.set()


def test_nothing_is_waited_for_when_nobody_is_online(profile: StoredProfile) -> None:
    looks = waiting(profile, threading.Event())
    assert handed_over(profile, looks) is None

    async def go_on() -> str:
        asyncio.get_running_loop().call_later(0.05, find, profile)
        return await follow(profile, looks, begun=True)

    assert asyncio.run(go_on()) == "by the other"


def test_it_ends_when_the_other_one_has_ended_before_it_did_the_work(profile: StoredProfile) -> None:
    looked = threading.Event()
    looks = waiting(profile, looked)
    began = time.monotonic()
    with online(profile.folder, lambda _: None, looked):
        assert handed_over(profile, looks) is None
    assert time.monotonic() - began < LONG
    find(profile)
    assert asyncio.run(follow(profile, looks, begun=True)) == "by the other"


def test_what_needs_no_waiting_is_told_at_once(profile: StoredProfile) -> None:
    find(profile)
    assert handed_over(profile, waiting(profile, threading.Event())) == "by the other"


def test_nothing_is_left_to_listen_with(profile: StoredProfile) -> None:
    def broken() -> Looks[str]:
        yield 0.0
        raise ZeroDivisionError

    lock = online_lock(profile.folder)
    assert lock.take()
    with pytest.raises(ZeroDivisionError):
        handed_over(profile, broken())
    lock.release()
    assert profile.database.signals.listen() is not None  # as `broken` was the only one
    profile.database.signals.stop()
