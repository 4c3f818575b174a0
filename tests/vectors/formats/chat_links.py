"""Format of ``chat_links.json``: links that the app wrote, links to preset relays, and facts it showed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from smpchat.agent.wire.presets import PRESET_SERVERS
from smpchat.agent.wire.short_links import format_short_link, is_shortened, resolve, shorten
from smpchat.chat.wire.bodies import MAX_JSON
from smpchat.crypto.agreement import grouped_digits
from smpchat.encoding.record import replace
from smpchat.protocol.address import format_server, parse_server
from tests.vectors.check import Check, Document, Mismatch, equals, same
from tests.vectors.formats.links import any_short_link, full_link, link_checks, same_relay
from tests.vectors.formats.smp import known_fields

Case = dict[str, Any]
Section = Callable[[list[Case]], Iterator[Check]]


def recognises(document: Document) -> bool:
    """A mapping with at least one of the sections, each a list."""
    return isinstance(document, dict) and any(isinstance(document.get(name), list) for name in _SECTIONS)


def checks(document: Document) -> Iterator[Check]:
    """Every link and every fact; a section that we do not know is a failure, not a gap."""
    for name, section in document.items():
        if name in _SECTIONS:
            yield from _SECTIONS[name](section)
        elif name not in _NOTES:
            yield Check(name, _unknown)


def _unknown() -> None:
    raise Mismatch("unknown section, field or kind")


def _links(section: list[Case]) -> Iterator[Check]:
    for index, case in enumerate(section):
        name = f"links[{index}] {case['name']}"
        yield from known_fields(case, name, {"direction", "kind", "link", "name", "note"})
        yield from link_checks(case["link"], name)
        kinds: dict[str, Callable[[str], object]] = {"fullLink": full_link, "shortLink": any_short_link}
        read = kinds.get(case["kind"])
        yield Check(f"{name}: kind", partial(_reads, read, case["link"]) if read else _unknown)


def _reads(read: Callable[[str], object], text: str) -> None:
    read(text)


def _created(section: list[Case]) -> Iterator[Check]:
    for index, case in enumerate(section):
        name = f"created[{index}] {case['name']}"
        yield from known_fields(case, name, {"connFullLink", "connShortLink", "name"})
        texts = tuple(case[field] for field in ("connFullLink", "connShortLink") if case.get(field))
        for text in texts:
            yield from link_checks(text, name)
        yield Check(f"{name}: one relay", partial(same_relay, texts))


_SHORTENING_FIELDS = set(
    "full_https full_simplex input preset_server restored_equals_full shortened_https shortened_simplex".split()
)


def _preset_shortening(section: list[Case]) -> Iterator[Check]:
    for index, case in enumerate(section):
        name = f"preset_shortening[{index}]"
        yield from known_fields(case, name, _SHORTENING_FIELDS)
        for field in ("input", "full_https", "full_simplex", "shortened_https", "shortened_simplex"):
            yield from link_checks(case[field], f"{name}: {field}")
        for scheme in ("https", "simplex"):
            yield from _scheme_checks(case, scheme, f"{name}: {scheme}")
        yield equals(f"{name}: preset", partial(_server_text, case["preset_server"]), case["preset_server"])
        yield Check(f"{name}: table", partial(_in_table, case))


def _server_text(text: str) -> str:
    return format_server(parse_server(text).server)


def _scheme_checks(case: Case, scheme: str, name: str) -> Iterator[Check]:
    """The input's keys at the preset relay: whole, shortened, and found again."""
    preset = parse_server(case["preset_server"]).server
    whole = replace(any_short_link(case["input"]), server=preset, web=scheme == "https")
    short_text, full_text = case[f"shortened_{scheme}"], case[f"full_{scheme}"]
    yield equals(f"{name} whole", partial(format_short_link, whole), full_text)
    yield equals(f"{name} shortened", lambda: format_short_link(shorten(whole, [preset])), short_text)
    yield equals(
        f"{name} restored",
        lambda: resolve(any_short_link(short_text), [preset]) == any_short_link(full_text),
        case["restored_equals_full"],
    )


def _in_table(case: Case) -> None:
    """Our own table leads to the same relay, if it has it; it leaves out second hosts."""
    preset, link = parse_server(case["preset_server"]).server, any_short_link(case["shortened_https"])
    if not is_shortened(link):
        raise Mismatch("the link is not shortened")
    if any(preset.hosts[0] in server.hosts for server in PRESET_SERVERS):
        same("fingerprint", resolve(link).server.key_hash, preset.key_hash)


def _facts(section: list[Case]) -> Iterator[Check]:
    for index, case in enumerate(section):
        name = f"facts[{index}] {case['name']}"
        yield from known_fields(case, name, {"name", "note", "value"})
        yield Check(name, partial(_FACTS.get(case["name"], lambda _: _unknown()), case))


def _security_code(case: Case) -> None:
    """A SHA-256 in decimal, as we group it."""
    digits = case["value"].replace(" ", "")
    if not re.fullmatch(r"[0-9]{1,78}", digits) or int(digits) >= 1 << 256:
        raise Mismatch("not a number of 256 bits")
    same("code", grouped_digits(int(digits)), case["value"])


def _longest_json(case: Case) -> None:
    found = re.search(r"JSON body (\d+) bytes max", case["note"])
    same("longest JSON", int(found[1]) if found else None, MAX_JSON)


_FACTS: dict[str, Callable[[Case], None]] = {"long.limit": _longest_json, "security_code": _security_code}
_SECTIONS: dict[str, Section] = {
    "created": _created,
    "facts": _facts,
    "links": _links,
    "preset_shortening": _preset_shortening,
}
_NOTES = {"app", "note"}
