"""docs/relay.md says what the code does: options, limits and figures, with their defaults."""

from __future__ import annotations

from pathlib import Path

from smpchat.encoding.record import as_dict
from smpchat.relay.commands import MAX_RECIPIENT_KEYS
from smpchat.relay.connection import MAX_BLOCKS_UNDER_WAY, MAX_UNDER_WAY
from smpchat.relay.files.limits import FileLimits
from smpchat.relay.limits import Limits
from smpchat.relay.notifications import MAX_WAITING
from smpchat.relay.options import OPTIONS
from smpchat.relay.proxy import ProxyLimits
from smpchat.relay.statistics import figures, prometheus_name
from smpchat.relay.subscriptions import MAX_UNSENT_PUSHES

PAGE = Path(__file__).parents[3] / "docs" / "relay.md"


def table(section: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_every_option_with_its_default() -> None:
    expected = []
    for option in OPTIONS:
        values = [] if option.bounds is None else ["{} to {}".format(*option.bounds)]
        expected.append(
            [
                f"`{option.flag}`",
                ", ".join([*values, *option.words]) or option.metavar,
                option.default or "",
                option.meaning,
            ]
        )
    assert table("Options") == expected


def test_every_limit_with_its_value() -> None:
    limits: dict[str, float] = dict(as_dict(Limits()))
    limits |= {f"forwarding: {name}": value for name, value in as_dict(ProxyLimits()).items()}
    limits |= {f"files: {name}": value for name, value in as_dict(FileLimits()).items()}
    limits |= {
        "commands under way": MAX_UNDER_WAY,
        "blocks under way": MAX_BLOCKS_UNDER_WAY,
        "unsent pushes": MAX_UNSENT_PUSHES,
        "recipient keys": MAX_RECIPIENT_KEYS,
        "waiting notifications": MAX_WAITING,
    }
    assert [(name, float(value)) for name, value, _ in table("Limits")] == list(limits.items())


def test_limits_that_have_an_option_name_it() -> None:
    named = {name: meaning for name, _, meaning in table("Limits") if meaning.startswith("`--")}
    flags = {option.flag for option in OPTIONS}
    assert set(named) == {
        "handshake",
        "write",
        "idle",
        "connections",
        "connections_per_address",
        "new_queues",
        "unsent_bytes",
        "quota",
        "stored",
        "free",
        "keep",
        "files: quota",
        "files: free",
        "files: keep",
        "files: handshake",
        "files: stalled",
        "files: connections",
        "files: connections_per_address",
        "files: new_chunks",
    }
    assert {meaning.split("`")[1] for meaning in named.values()} <= flags


def test_every_figure_with_its_meaning() -> None:
    assert table("Figures") == [
        [f"`{name}`", f"`{prometheus_name(name, kind)}`", meaning] for name, kind, meaning in figures()
    ]
