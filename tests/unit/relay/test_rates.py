from __future__ import annotations

from smpchat.relay.rates import Bucket


def test_so_many_in_a_minute_and_a_clock_that_is_set_back() -> None:
    now = [1000.0]
    bucket = Bucket(3, lambda: now[0])

    def taken() -> int:
        return sum(bucket.take() for _ in range(10))

    assert taken() == 3
    now[0] += 20
    assert taken() == 1
    now[0] += 3600
    assert taken() == 3
    now[0] -= 1800
    assert taken() == 0
    now[0] += 60
    assert taken() == 3
