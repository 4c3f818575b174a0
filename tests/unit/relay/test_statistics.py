from __future__ import annotations

import json
import re

from smpchat.relay.counters import GROUP_SIZES, Counters
from smpchat.relay.statistics import Kind, Statistics, figures, prometheus_name, prometheus_text

SAMPLE = Statistics(
    uptime_seconds=1,
    connections=2,
    subscriptions=3,
    queues=4,
    messages=5,
    database_bytes=6,
    database_free_bytes=7,
    database_limit_bytes=100,
    full=0,
    certificate_seconds=8,
    accepted=9,
    turned_away=10,
    tls_failed=10,
    handshakes_failed=11,
    queues_created=12,
    queues_deleted=13,
    sends=14,
    deliveries=15,
    acks=16,
    expired=17,
    refused={"QUOTA": 18, "AUTH": 19},
    commits_failed=20,
    commands=21,
    group_sizes={1: 2, 3: 0, 7: 4},
)


def test_each_commit_is_in_the_smallest_class_that_holds_it() -> None:
    for size, where in [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (255, 8), (256, 9), (511, 9), (100_000, 9)]:
        counters = Counters()
        counters.committed(size)
        assert counters.groups.index(1) == where, size
        assert counters.commands == size
        assert size <= GROUP_SIZES[where] or where == len(GROUP_SIZES) - 1


def test_json_has_every_figure() -> None:
    content = json.loads(json.dumps(SAMPLE.to_json()))
    assert list(content) == [name for name, _, _ in figures()]
    assert content["refused"] == {"QUOTA": 18, "AUTH": 19}
    assert content["group_sizes"] == {"1": 2, "3": 0, "7": 4}


def test_the_text_for_prometheus_is_well_formed() -> None:
    text = prometheus_text(SAMPLE)
    assert text.endswith("\n")
    sample = re.compile(r'[a-z_]+(\{(reason="[A-Z_]+"|le="(\d+|\+Inf)")\})? \d+')
    described: set[str] = set()
    for line in text.splitlines():
        if line.startswith("#"):
            described.add(line.split(" ")[2])
            assert re.fullmatch(r"# (HELP [a-z_]+ [A-Z].*\.|TYPE [a-z_]+ (gauge|counter|histogram))", line), line
        else:
            assert sample.fullmatch(line), line
            assert re.sub(r"_(bucket|sum|count)$", "", re.split(r"[ {]", line)[0]) in described, line
    assert described == {prometheus_name(name, kind) for name, kind, _ in figures()}


def test_values_for_prometheus() -> None:
    lines = prometheus_text(SAMPLE).splitlines()
    assert "smpchat_relay_messages 5" in lines
    assert "smpchat_relay_sends_total 14" in lines
    assert 'smpchat_relay_refused_total{reason="AUTH"} 19' in lines
    assert [line for line in lines if line.startswith("smpchat_relay_group_sizes")] == [
        'smpchat_relay_group_sizes_bucket{le="1"} 2',
        'smpchat_relay_group_sizes_bucket{le="3"} 2',
        'smpchat_relay_group_sizes_bucket{le="7"} 6',
        'smpchat_relay_group_sizes_bucket{le="+Inf"} 6',
        "smpchat_relay_group_sizes_sum 21",
        "smpchat_relay_group_sizes_count 6",
    ]


def test_what_only_grows_is_a_counter() -> None:
    kinds = {name: kind for name, kind, _ in figures()}
    assert kinds["sends"] is Kind.COUNTER
    assert kinds["messages"] is Kind.GAUGE
