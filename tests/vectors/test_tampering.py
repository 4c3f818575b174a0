"""One changed digit anywhere makes a check fail: else the checks would not look at it.

Every hex value of a sample of entries is changed, one digit at a time. What no check can notice is listed with the
reason, and each exception must really be one.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smpchat.protocol.session import ServerHello
from smpchat.protocol.transmission import decode_transmission
from tests.vectors.check import Document
from tests.vectors.documents import Block, Description, LinkText, Trace, parse_document, read_document
from tests.vectors.registry import checks_of, each_check

DATA = Path(__file__).parent / "data"
TRACES = sorted((DATA / "traces").glob("*.jsonl"))
LINK_TEXTS = sorted((DATA / "traces").glob("*.link.txt"))

LeafPath = tuple[str | int, ...]
_HEX = re.compile(r"(?:[0-9a-f]{2}){4,}")


def fails(document: Document) -> bool:
    """Whether at least one check fails, or the document is not even recognised."""
    try:
        for check in each_check(document):
            check.run()
    except Exception:  # any error at all counts as a failure, as in the runner
        return True
    return False


def hex_leaves(value: object, path: LeafPath = ()) -> Iterator[tuple[LeafPath, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from hex_leaves(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from hex_leaves(item, (*path, index))
    elif isinstance(value, str) and _HEX.fullmatch(value):
        yield path, value


def pattern(path: LeafPath) -> str:
    """The path with ``*`` for each place in a list."""
    return ".".join("*" if isinstance(part, int) else part for part in path)


def sample(document: Document) -> dict[str, tuple[LeafPath, str]]:
    """The last leaf of each pattern: later entries are of newer versions and have more fields."""
    return {pattern(path): (path, value) for path, value in hex_leaves(document)}


def replaced(document: Document, path: LeafPath, value: object) -> Document:
    """The document with another value at ``path``; what does not lead there is shared."""
    if not path:
        return value
    changed = copy.copy(document)
    changed[path[0]] = replaced(document[path[0]], path[1:], value)
    return changed


def first(document: Document, path: LeafPath) -> tuple[Document, LeafPath]:
    """The document with the leaf's section, and its entry there, at the front, where what is wrong is found soon."""
    name, *rest = path
    if "ids" not in document or not rest:
        return document, path
    section = document[name]
    if isinstance(section, list):
        at = int(rest[0])
        section, rest = [section[at], *section[:at], *section[at + 1 :]], [0, *rest[1:]]
    return {name: section} | {other: value for other, value in document.items() if other != name}, (name, *rest)


@pytest.mark.parametrize("name", ["agent.json", "smp.json"])
def test_the_order_of_a_document_does_not_matter(name: str) -> None:
    document = json.loads((DATA / name).read_bytes())
    for path, _ in {path[0]: (path, value) for path, value in hex_leaves(document)}.values():
        assert not fails(first(document, path)[0]), path


def flips(text: str) -> Iterator[tuple[str, str]]:
    """The text with its first, middle and last hex digit changed."""
    for where, at in (("first", 0), ("middle", len(text) // 2), ("last", len(text) - 1)):
        yield where, f"{text[:at]}{int(text[at], 16) ^ 1:x}{text[at + 1 :]}"


OPAQUE = "bytes that nothing else in the file repeats: any others would decode and encode as well"
EXCEPTIONS = {
    "agent.json": {
        "agent_envelopes.*.smp last": OPAQUE,
        "agent_messages.*.smp last": OPAQUE,
        "agent_messages.*.smp middle": OPAQUE,
        "client_messages.*.smp last": OPAQUE,
        "client_msg_envelopes.*.smp last": OPAQUE,
    },
    "xftp/xftp.json": {
        "errBlockedResponse middle": OPAQUE,
        "fnewPasswordCommand last": OPAQUE,
        "ridsResponse last": OPAQUE,
        "ridsResponse middle": OPAQUE,
        "sidsResponse last": OPAQUE,
    },
}


def smaller(name: str, document: Document) -> Document:
    """The last of several independent cases, and a conversation's first steps."""
    if name == "x3dh.json":
        return {"cases": document["cases"][-1:]}
    if "steps" in document:
        return document | {"steps": document["steps"][:4]}
    return document


@pytest.mark.parametrize(
    "name",
    [
        "agent.json",
        "crypto.json",
        "handshake_nopq.json",
        "ratchet_v2_nopq.json",
        "ratchet_v3_pq.json",
        "smp.json",
        "x3dh.json",
        "xftp/xftp.json",
    ],
)
def test_every_hex_value_counts(name: str) -> None:
    document = smaller(name, json.loads((DATA / name).read_bytes()))
    assert not fails(document)
    unnoticed = set()
    for leaf, (path, value) in sample(document).items():
        ordered, place = first(document, path)
        for where, changed in flips(value):
            if not fails(replaced(ordered, place, changed)):
                unnoticed.add(f"{leaf} {where}")
    assert unnoticed == set(EXCEPTIONS.get(name, {}))


SEALED = "a sealed box, or a key that no signature covers: the trace has no private keys"
UNSIGNED_ENDS = {"hello": SEALED, "MSG": SEALED, "SEND": SEALED, "IDS": SEALED}
"""Blocks whose last bytes may be anything; a SEND only when it is not signed."""


def last_of(trace: Trace, index: int) -> str:
    """The tag of a block's last transmission, ``signed`` if it is authorised, or ``hello``."""
    if index < 2:
        return "hello"
    hello = ServerHello.decode(bytes.fromhex(trace.blocks[0]["block"]))
    version = int(trace.blocks[1]["block"][:4], 16)
    content = bytes.fromhex(trace.blocks[index]["block"])
    transmission = decode_transmission(content[3:], version, hello.session_id)
    return "signed" if transmission.auth else transmission.body.split(b" ")[0].decode()


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.name)
def test_every_block_of_a_trace_counts(path: Path) -> None:
    trace = read_document(path)
    assert not fails(trace)
    for index, record in enumerate(trace.blocks):
        for where, changed in flips(record["block"]):
            if where == "middle":
                continue  # of most blocks, the middle is inside a box
            blocks = replaced(list(trace.blocks), (index,), record | {"block": changed})
            noticed = fails(Trace(tuple(blocks), trace.others, trace.links))
            assert noticed or (where == "last" and last_of(trace, index) in UNSIGNED_ENDS), f"block {index} {where}"


def test_signatures_need_the_peers_trace() -> None:
    """In the standard handshake a sender's key stands only in its peer's KEY."""
    trace = read_document(DATA / "traces" / "slow_pqoff.bob.jsonl")
    assert fails(Trace(trace.blocks, (), trace.links))


def test_link_data_is_opened_with_the_link_beside_the_trace() -> None:
    trace = read_document(DATA / "traces" / "short_pqon.alice.jsonl")
    names = [check.name for check in checks_of(trace)]
    assert any("link data opens with its link" in name for name in names)
    short = next(link for link in trace.links if "/i#" in link)
    other_key = re.sub(r"(?<=/)[\w-]{43}(?=\?)", "A" * 43, short)
    assert fails(Trace(trace.blocks, trace.others, (other_key,)))


@pytest.mark.parametrize("path", LINK_TEXTS, ids=lambda path: path.name)
def test_links_of_a_trace(path: Path) -> None:
    document = read_document(path)
    assert isinstance(document, LinkText)
    assert not fails(document)
    for old, new in (
        ("v=2-7", "v=7-2"),
        ("x3dh", "x3dg"),
        ("simplex:/invitation", "simplex:/invitations"),
        ("%3D", "%3d"),
    ):
        assert fails(LinkText(tuple(line.replace(old, new, 1) for line in document.lines)))


def tampered_text(document: Any) -> Iterator[tuple[str, Any]]:
    """``chat_links.json`` has no hex: each kind of field, changed where something else depends on it."""
    changes: list[tuple[LeafPath, str, str]] = [
        (("links", 0, "link"), "x3dh", "x3dg"),
        (("links", 0, "kind"), "full", "short"),
        (("links", 1, "link"), "/i#", "/y#"),
        (("links", 1, "kind"), "short", "full"),
        (("created", 0, "connFullLink"), "127.0.0.1", "127.0.0.2"),
        (("created", 0, "connShortLink"), "p=15523", "p=15524"),
        (("created", 4, "connShortLink"), "/a#", "/A#"),
        (("preset_shortening", 0, "input"), "#3", "#4"),
        (("preset_shortening", 0, "preset_server"), "smp8", "smp9"),
        (("preset_shortening", 0, "full_https"), "c=0", "c=1"),
        (("preset_shortening", 0, "full_simplex"), "%2C", ","),
        (("preset_shortening", 0, "shortened_https"), "smp8", "smp9"),
        (("preset_shortening", 0, "shortened_simplex"), "?h=smp8", "?p=443&h=smp8"),
        (("facts", 1, "value"), "86406 31117", "864063 1117"),
        (("facts", 0, "note"), "15602", "15603"),
        (("facts", 0, "name"), "long", "short"),
    ]
    for path, old, new in changes:
        value = document
        for part in path:
            value = value[part]
        assert old in value, path
        yield f"{path}: {old}", replaced(document, path, value.replace(old, new, 1))
    yield "restored_equals_full", replaced(document, ("preset_shortening", 0, "restored_equals_full"), False)
    yield "a new section", document | {"codes": []}
    yield "a new field", replaced(document, ("links", 0), document["links"][0] | {"more": 1})


def test_links_of_the_app() -> None:
    document = json.loads((DATA / "chat_links.json").read_bytes())
    assert not fails(document)
    for what, changed in tampered_text(document):
        assert fails(changed), what


class TestDocuments:
    def test_one_block_is_a_trace(self) -> None:
        assert isinstance(parse_document(b'{"dir": "<", "sess": "00", "block": ""}'), Trace)

    def test_json_over_several_lines_is_json(self) -> None:
        assert parse_document(b'{\n"dir": 1\n}') == {"dir": 1}

    @pytest.mark.parametrize("content", [b"", b"\n", b"some text\n", b'{"dir": "<"}\n{"dir": ">"}\n', b"\xff"])
    def test_anything_else_is_refused(self, content: bytes) -> None:
        with pytest.raises(ValueError):
            parse_document(content)


# -- files ------------------------------------------------------------------------------------------------------------

REAL = DATA / "xftp" / "real"


@pytest.mark.parametrize("path", sorted(REAL.glob("*.txt.rcv.yaml")), ids=lambda path: path.name)
def test_every_part_of_a_description_counts(path: Path) -> None:
    described = read_document(path)
    assert isinstance(described, Description) and described.chunks and described.plain
    assert not fails(described)
    for name in ("digest", "key", "nonce", "size", "party", "chunkSize", "  server"):
        line = next(line for line in described.text.splitlines() if line.startswith(name))
        changed = (
            line.replace("64kb", "256kb") if "64kb" in line else line[: len(name) + 4] + "_" + line[len(name) + 5 :]
        )
        assert fails(Description(described.text.replace(line, changed), described.chunks, described.plain)), name
    (chunk,) = described.chunks
    for at in (0, 30_000, 65_535):
        other = chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1 :]
        assert fails(Description(described.text, (other,), described.plain))
    assert fails(Description(described.text, described.chunks, described.plain + b"!"))


@pytest.mark.parametrize("field", ["first16", "tag", "headerNameBytes", "filler", "key", "nonce", "digest", "size"])
def test_every_part_of_a_real_box_counts(field: str) -> None:
    (record,) = json.loads((REAL / "decrypt-kat.json").read_bytes())[:1]
    assert not fails([record])
    value = record[field]
    changed = (
        ["!"] if field == "filler" else "128kb" if field == "size" else ("0" if value[0] != "0" else "1") + value[1:]
    )
    assert fails([record | {field: changed}])


def test_a_hello_counts_where_it_is_signed() -> None:
    block = read_document(REAL / "server-hello.bin")
    assert isinstance(block, Block) and not fails(block)
    for at in (1, 80, 400, 800):
        assert fails(Block(block.content[:at] + bytes([block.content[at] ^ 1]) + block.content[at + 1 :])), at


def test_other_answers_of_a_real_relay_are_noticed() -> None:
    probes = json.loads((DATA / "xftp" / "xftp-server-probes.json").read_bytes())
    named = {probe["probe"]: probe["result"] for probe in probes}
    hello, unknown, refused = named["ALPN xftp/1 no SNI"], named["unknown command"], named["version 4"]
    for result in (hello, unknown, refused):
        assert not fails([{"probe": "x", "result": result}])
    for result in (
        hello | {"range": [4, 5]},
        hello | {"hello2": "no"},
        ["tx", unknown[1] | {"cmd": "ERR CMD UNKNOWN "}],
        ["tx", unknown[1] | {"cmd": "SIDS x"}],
        refused.replace("HANDSHAKE", "HANDSHAKF"),
    ):
        assert fails([{"probe": "x", "result": result}])
