from __future__ import annotations

import pytest

from smpchat.relay.gate import Gate


def test_in_all() -> None:
    gate = Gate(2, 5)
    assert gate.enter("192.0.2.1")
    assert gate.enter("192.0.2.2")
    assert not gate.enter("192.0.2.3")
    gate.leave("192.0.2.1")
    assert gate.enter("192.0.2.3")
    assert len(gate) == 2


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ("fe80::1%eth0", "fe80::2%eth0", "2001:db8::1"),
    ],
)
def test_from_one_address(one: str, same: str, other: str) -> None:
    gate = Gate(10, 1)
    assert gate.enter(one)
    assert not gate.enter(same)
    assert gate.enter(other)
    gate.leave(one)
    assert gate.enter(same)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", None])
def test_this_computers_own_are_counted_in_all_only(host: str | None) -> None:
    gate = Gate(3, 1)
    assert all(gate.enter(host) for _ in range(3))
    assert not gate.enter(host)
    for _ in range(3):
        gate.leave(host)
    assert len(gate) == 0


def test_nothing_is_remembered_of_who_left() -> None:
    gate = Gate(10, 1)
    for number in range(256):
        assert gate.enter(f"192.0.2.{number}")
        gate.leave(f"192.0.2.{number}")
    assert not gate._by_origin
