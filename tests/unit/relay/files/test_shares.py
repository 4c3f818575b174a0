from __future__ import annotations

import hashlib
from contextlib import closing

import pytest

from smpchat.encoding.record import replace
from smpchat.relay.files import shares as module
from smpchat.relay.files.index import FileIndex
from smpchat.relay.files.limits import FileLimits
from smpchat.relay.files.records import NewRecipient
from smpchat.relay.files.shares import Share, Shares
from tests.unit.relay.files.support import RECIPIENT_KEY, new_chunk
from tests.unit.relay.support import NOW

HERE, THERE = "192.0.2.1", "198.51.100.1"


def test_one_address_takes_so_much_and_another_one_as_much() -> None:
    share = Share(100, 1000, lambda: 0.0)
    assert share.take(HERE, 60) and not share.take(HERE, 41) and share.take(HERE, 40)
    assert not share.take(HERE, 1) and share.take(THERE, 100)
    assert all(share.take(None, 100) for _ in range(10)), "an onion service's clients all come from this computer"


def test_it_comes_back_with_time_or_when_it_is_free_again() -> None:
    now = [0.0]
    share = Share(100, 1000, lambda: now[0])
    assert share.take(HERE, 100)
    now[0] = 500.0
    assert share.take(HERE, 50) and not share.take(HERE, 1)
    share.give_back(HERE, 30)
    assert share.take(HERE, 30) and not share.take(HERE, 1)
    now[0] = 0.0  # set back: nothing comes back for that
    assert not share.take(HERE, 1)
    share.give_back(HERE, 1000)
    share.give_back(THERE, 1000)
    share.give_back(None, 1000)
    assert share.take(HERE, 100) and not share.take(HERE, 1)


def test_addresses_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_KNOWN", 10)
    share = Share(100, 1000, lambda: 0.0)
    assert share.take(HERE, 100)
    assert all(share.take(f"2001:db8:{number:x}::/64", 1) for number in range(100))
    assert len(share._taken) <= 10 and not share.take(HERE, 1)


@pytest.mark.parametrize("recipients", [1, 255])
def test_what_is_counted_of_the_index_is_what_it_needs(recipients: int) -> None:
    with closing(FileIndex(":memory:")) as index:
        before, chunks = index.size(), 200
        for number in range(chunks):
            new = new_chunk(number, 256)
            ids = (hashlib.sha256(bytes([number, k])).digest()[:16] for k in range(recipients))
            index.create(replace(new, recipients=tuple(NewRecipient(one, RECIPIENT_KEY.public()) for one in ids)), NOW)
        used = index.size() - before
    counted = chunks * (Shares._CHUNK + Shares._RECIPIENT * recipients)
    assert 0.7 * used < counted < 1.5 * used


def test_no_address_takes_more_than_its_part_of_the_index() -> None:
    shares = Shares(FileLimits(index=400_000), lambda: 0.0)
    assert sum(shares.may_register(HERE, 255, new=True) for _ in range(10)) == 3
    assert shares.may_register(THERE, 1, new=False) and shares.may_register(None, 255, new=True)
