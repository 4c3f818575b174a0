from __future__ import annotations

from datetime import timedelta

import pytest

from smpchat.encoding.record import fields, replace
from smpchat.relay.daemon import file_limits_of, limits_of
from smpchat.relay.destinations import Destinations
from smpchat.relay.errors import RelayOptionRefused
from smpchat.relay.files.limits import FileLimits
from smpchat.relay.limits import Limits, runs_out
from smpchat.relay.options import (
    BY_NAME,
    NOTHING_CHOSEN,
    OFF,
    OPTIONS,
    PROXY,
    Options,
    hosts_of,
    options_from_json,
    parse_options,
)

ALL = Options("0.0.0.0", "secret", "public", False, 500, 2048, 256, 7, 20, 10, 30, 2048, 5, 6, 70)
ALL = replace(ALL, new_files=False, files_quota=3, files_hours=2, max_file_connections=8, metrics_port=9100)
ALL = replace(ALL, max_file_connections_per_address=4, max_new_chunks=9)


def test_the_table_and_the_fields_are_the_same() -> None:
    assert [option.name for option in OPTIONS] == list(fields(Options))
    assert {one.value for one in Destinations} == set(PROXY)


def test_the_defaults_that_are_told_are_those_that_hold() -> None:
    told = parse_options({option.name: option.default for option in OPTIONS})
    assert limits_of(told) == limits_of(NOTHING_CHOSEN) == Limits()
    assert file_limits_of(told) == FileLimits()
    assert (told.new_queues, told.new_files, told.metrics_port) == (True, True, OFF)


def test_options_become_limits() -> None:
    assert limits_of(ALL) == Limits(
        handshake=5,
        write=6,
        idle=70,
        connections=20,
        connections_per_address=10,
        new_queues=30,
        unsent_bytes=2048 * 1024,
        quota=500,
        stored=2048 * 1024**2,
        free=256 * 1024**2,
        keep=7 * 86_400,
    )


def test_options_become_limits_of_files() -> None:
    assert file_limits_of(NOTHING_CHOSEN) == FileLimits()
    assert file_limits_of(ALL) == FileLimits(
        quota=3 * 1024**2,
        keep=7_200,
        handshake=5,
        stalled=6,
        connections=8,
        connections_per_address=4,
        new_chunks=9,
    )
    # Files leave at least as much free as messages, so that these go on longer.
    assert file_limits_of(Options(min_free=4096)).free == 4096 * 1024**2


def test_what_was_chosen_goes_over_what_was_kept() -> None:
    assert NOTHING_CHOSEN.over(ALL) == ALL == ALL.over(NOTHING_CHOSEN)
    assert Options(quota=1, password="").over(ALL) == replace(ALL, quota=1, password="")


def test_there_and_back_again() -> None:
    assert options_from_json(ALL.chosen()) == ALL
    assert NOTHING_CHOSEN.chosen() == {}
    for options in (ALL, Options(metrics_port=OFF, new_queues=True), NOTHING_CHOSEN):
        arguments = options.arguments()
        names = {option.flag: option.name for option in OPTIONS}
        typed: dict[str, str | None] = {
            names[flag]: value for flag, value in zip(arguments[::2], arguments[1::2], strict=True)
        }
        assert parse_options(typed | {"password": options.password}) == options


def test_a_password_is_in_no_argument_and_no_repr() -> None:
    assert "secret" not in " ".join(ALL.arguments())
    assert "secret" not in repr(ALL)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("quota", "0"),
        ("quota", "100001"),
        ("quota", "-1"),
        ("quota", "many"),
        ("quota", "1.5"),
        ("quota", "٣"),
        ("quota", "9" * 5_000),
        ("quota", ""),
        ("keep_days", "3651"),
        ("new_queues", "yes"),
        ("proxy", "some"),
        ("metrics_port", "0"),
        ("metrics_port", "65536"),
        ("metrics_port", "none"),
    ],
)
def test_values_that_cannot_be(name: str, text: str) -> None:
    with pytest.raises(RelayOptionRefused, match=BY_NAME[name].flag):
        parse_options({name: text})


@pytest.mark.parametrize("password", ["a b", "a@b", "a:b", "a/b", "é", "a\nb", "a" * 201])
def test_passwords_that_fit_no_address(password: str) -> None:
    with pytest.raises(RelayOptionRefused, match="password"):
        Options(password=password)


@pytest.mark.parametrize(
    "content",
    [None, [], {"quota": "5"}, {"quota": True}, {"quota": 0}, {"new_queues": 1}, {"port": 1}, {"host": None}],
)
def test_what_cannot_have_been_kept(content: object) -> None:
    with pytest.raises(RelayOptionRefused):
        options_from_json(content)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        (None, ("127.0.0.1",)),
        ("", ("127.0.0.1",)),
        ("::", ("::",)),
        ("[::1], 192.0.2.1,::1", ("::1", "192.0.2.1")),
    ],
)
def test_addresses_to_listen_on(text: str | None, hosts: tuple[str, ...]) -> None:
    assert hosts_of(text) == hosts


@pytest.mark.parametrize("text", [",", "a,,b", "[]", ",".join(f"192.0.2.{n}" for n in range(9))])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(RelayOptionRefused, match="--host"):
        Options(host=text)


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (-2, "expired 2 days ago"),
        (-0.1, "expired less than a day ago"),
        (0.5, "expires in less than a day"),
        (1.5, "expires in 1 day"),
        (20, "expires in 20 days"),
    ],
)
def test_when_a_certificate_runs_out(days: float, told: str) -> None:
    assert runs_out(timedelta(days=days)) == told
