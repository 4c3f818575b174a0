"""Descriptions of files: read as written, written as apps write them, and refused in one sentence."""

from __future__ import annotations

import time

import pytest
import yaml

from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import replace
from smpchat.encoding.text import to_base64url
from smpchat.protocol.address import FileServer
from smpchat.testing.entropy import SeededEntropy
from smpchat.xftp.chunks import KIB, MAX_ENCRYPTED, MAX_FILE, MIB, encrypted_sizes
from smpchat.xftp.description import (
    MAX_CHUNKS,
    MAX_REPLICAS,
    MAX_TEXT,
    DescribedChunk,
    DescribedReplica,
    FileDescription,
    Party,
    Redirect,
    format_size,
    read_description,
    write_description,
)

ENTROPY = SeededEntropy("description")
RELAY = FileServer(("files.example.org", "abcdefgh.onion"), "", bytes(range(32)))
OTHER = FileServer(("::1",), "7443", bytes(32))
KEY = Ed25519PrivateKey(bytes(32))


def chunk(number: int, size: int = 4 * MIB, *servers: FileServer) -> DescribedChunk:
    replicas = tuple(DescribedReplica(server, ENTROPY.random(16), KEY) for server in servers or (RELAY,))
    return DescribedChunk(number, size, ENTROPY.random(32), replicas)


def described(*chunks: DescribedChunk, redirect: Redirect | None = None) -> FileDescription:
    size = sum(one.size for one in chunks)
    return FileDescription(size, bytes(64), bytes(32), bytes(24), chunks, redirect)


ONE = described(chunk(1, 64 * KIB))
TEXT = write_description(ONE)
TWO = described(chunk(1, 4 * MIB, RELAY), chunk(2, MIB, OTHER))


@pytest.mark.parametrize(
    "description",
    [
        ONE,
        TWO,
        described(*(chunk(n, 4 * MIB, RELAY if n % 3 else OTHER) for n in range(1, 10)), chunk(10, 256 * KIB)),
        described(chunk(1, MIB, RELAY, OTHER), chunk(2, 64 * KIB, RELAY, OTHER)),
        described(chunk(1, 64 * KIB), redirect=Redirect(5 * MIB, bytes(64))),
        replace(ONE, party=Party.SENDER),
        described(*(chunk(n, size) for n, size in enumerate(encrypted_sizes(10, MAX_FILE), 1))),
    ],
)
def test_it_is_read_as_written(description: FileDescription) -> None:
    text = write_description(description)
    assert read_description(text, description.party) == description
    assert len(text) < 40_000
    # what any reader of YAML makes of it: texts, but for the one number
    tree = yaml.safe_load(text)
    assert list(tree) == sorted(tree)
    assert isinstance(tree["size"], str) and tree["party"] == description.party


def test_ten_to_twenty_texts_are_one_file() -> None:
    """Other software quotes, indents and orders as it likes."""
    tree = yaml.load(write_description(TWO), Loader=yaml.BaseLoader)
    for flow in (True, False, None):
        for style in ("'", '"', None):
            text = yaml.dump(tree, default_flow_style=flow, default_style=style, sort_keys=False, width=80)
            assert read_description(text) == TWO
    assert read_description(TEXT.replace("\n", "\r\n")) == ONE
    assert read_description("# made by hand\n---\n" + TEXT + "comment: more\nlater: {a: [b]}\n") == ONE


def test_sizes_are_written_in_the_largest_unit() -> None:
    assert [format_size(n) for n in (1, 1023, 1024, 64 * KIB, 5 * MIB, 5 * MIB + KIB, 1 << 30)] == [
        "1", "1023", "1kb", "64kb", "5mb", "5121kb", "1gb",
    ]  # fmt: skip
    assert read_description(TEXT.replace("chunkSize: 64kb", "chunkSize: 65536").replace("size: 64kb", "size: 65536"))


def test_no_secret_is_shown() -> None:
    shown = repr(described(chunk(1)))
    assert "key" not in shown.replace("key_hash", "") or "Ed25519PrivateKey()" in shown


def test_the_other_party_is_refused() -> None:
    with pytest.raises(DecodeError, match="the description is not for a recipient"):
        read_description(write_description(replace(ONE, party=Party.SENDER)))
    with pytest.raises(DecodeError, match="the description is not for a sender"):
        read_description(TEXT, Party.SENDER)


def lines(old: str, new: str) -> str:
    assert old in TEXT, old
    return TEXT.replace(old, new)


CHUNK_LINE = next(line for line in TEXT.splitlines() if line.startswith("  - 1:")).removeprefix("  - ")
NUMBER, ID, REPLICA_KEY, DIGEST = CHUNK_LINE.split(":")
DH_KEY = to_base64url(X25519PrivateKey(bytes(32)).der)
SERVER = str(RELAY)
REFUSED = {
    "nothing": "",
    "a text": "hello",
    "a list": "- a\n- b\n",
    "not YAML": "a: [b\n",
    "a tab": "a:\n\t- b\n",
    "control characters": "a: \x00\n",
    "half a surrogate pair": "a: \ud800\n",
    "two documents": TEXT + "---\n" + TEXT,
    "a key twice": TEXT + "size: 64kb\n",
    "too long": "#" * (MAX_TEXT + 1),
    "no digest": "".join(line + "\n" for line in TEXT.splitlines() if not line.startswith("digest")),
    "a digest of another length": lines(to_base64url(bytes(64)), to_base64url(bytes(63))),
    "a key of another length": lines(f"key: {to_base64url(bytes(32))}", f"key: {to_base64url(bytes(31))}"),
    "a nonce of another length": lines(to_base64url(bytes(24)), to_base64url(bytes(25))),
    "not base64url": lines(to_base64url(bytes(24)), "?" * 32),
    "a list for a text": lines("party: recipient", "party: [recipient]"),
    "another party": lines("party: recipient", "party: relay"),
    "no size": lines("\nsize: 64kb", ""),
    "a size of another unit": lines("\nsize: 64kb", "\nsize: 64tb"),
    "a size in words": lines("\nsize: 64kb", "\nsize: much"),
    "a negative size": lines("\nsize: 64kb", "\nsize: -64kb"),
    "a size of another alphabet": lines("\nsize: 64kb", "\nsize: ٦٤kb"),
    "another sum": lines("\nsize: 64kb", "\nsize: 128kb"),
    "a size of 5 GiB": lines("\nsize: 64kb", "\nsize: 5gb"),
    "a size of many digits": lines("\nsize: 64kb", "\nsize: " + "9" * 5_000),
    "chunks of another size": lines("chunkSize: 64kb", "chunkSize: 65kb"),
    "a chunk of another size": lines(CHUNK_LINE, CHUNK_LINE + ":1gb"),
    "no relays": lines(TEXT[TEXT.index("replicas:") : TEXT.index("size: 64kb")], "replicas: []\n"),
    "not a valid size": lines(f"\n  - {CHUNK_LINE}", " []"),
    "a mapping for a chunk": lines(CHUNK_LINE, "{a: b}"),
    "chunk 0": lines(CHUNK_LINE, "0" + CHUNK_LINE[1:]),
    "chunk 2 alone": lines(CHUNK_LINE, "2" + CHUNK_LINE[1:]),
    "chunk -1": lines(CHUNK_LINE, "-" + CHUNK_LINE),
    "chunk x": lines(CHUNK_LINE, "x" + CHUNK_LINE[1:]),
    "chunk 999999": lines(CHUNK_LINE, "99999" + CHUNK_LINE[1:]),
    "a chunk without a digest": lines(CHUNK_LINE, f"1:{ID}:{REPLICA_KEY}"),
    "a chunk with too much": lines(CHUNK_LINE, CHUNK_LINE + ":64kb:more"),
    "a chunk with too little": lines(CHUNK_LINE, f"1:{ID}"),
    "a chunk's digest of another length": lines(CHUNK_LINE, f"1:{ID}:{REPLICA_KEY}:AAAA"),
    "a chunk's key of another kind": lines(REPLICA_KEY, DH_KEY),
    "a chunk's key without its form": lines(REPLICA_KEY, to_base64url(bytes(32))),
    "a chunk's id of 256 bytes": lines(ID, to_base64url(bytes(256))),
    "an empty id": lines(ID, ""),
    "two digests of one chunk": lines(
        f"  - {CHUNK_LINE}", f"  - {CHUNK_LINE}\n  - 1:{ID}:{REPLICA_KEY}:{to_base64url(bytes(32))}"
    ),
    "two sizes of one chunk": lines(
        f"  - {CHUNK_LINE}", f"  - {CHUNK_LINE}:64kb\n  - 1:{ID}:{REPLICA_KEY}:{DIGEST}:1mb"
    ),
    "too many replicas": lines(f"  - {CHUNK_LINE}", "\n".join([f"  - {CHUNK_LINE}"] * (MAX_REPLICAS + 1))),
    "no server": lines(f"  server: {SERVER}\n", ""),
    "a relay of messages": lines("xftp://", "smp://"),
    "a relay with a password": lines(f"{SERVER}", SERVER.replace("@", ":secret@")),
    "a path for a relay": lines(f"{SERVER}", "../../etc/passwd"),
    "a relay with five hosts": lines(f"{SERVER}", SERVER + ",c,d,e"),
    "an anchor": lines("party: recipient", "party: &a recipient"),
    "an alias": lines("party: recipient", "party: *a"),
    "a tag that runs": "!!python/object/apply:os.system ['touch /tmp/x']",
    "a merge": TEXT + "<<: *a\n",
    "nested lists": "a: " + "[" * 50 + "]" * 50,
    "a redirect without a size": TEXT + f"redirect:\n  digest: {to_base64url(bytes(64))}\n",
    "a redirect with a unit": TEXT + f"redirect:\n  digest: {to_base64url(bytes(64))}\n  size: 64kb\n",
    "a redirect that is too large": TEXT + f"redirect:\n  digest: {to_base64url(bytes(64))}\n  size: {2**40}\n",
    "a redirect that is a text": TEXT + "redirect: there\n",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("pure", [False, True], ids=["libyaml", "python"])
def test_anything_else_is_refused_in_a_sentence(text: str, pure: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if pure:
        monkeypatch.delattr(yaml, "CBaseLoader", raising=False)
    with pytest.raises(DecodeError) as caught:
        read_description(text)
    assert len(caught.value.what) < 120 and caught.value.what.isprintable()
    assert "secret" not in caught.value.what


def test_the_most_that_is_taken_is_what_the_largest_file_needs() -> None:
    most = described(*(chunk(n, MIB) for n in range(1, MAX_CHUNKS + 1)))
    assert most.size == MAX_ENCRYPTED
    assert read_description(write_description(most)) == most
    more = described(*(chunk(n, 64 * KIB) for n in range(1, MAX_CHUNKS + 2)))
    with pytest.raises(DecodeError):
        read_description(write_description(more))


BOMBS = {
    "references that double": "a: &a [x,x]\n"
    + "".join(f"{b}: &{b} [*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "a million chunks": TEXT.replace(f"  - {CHUNK_LINE}", "\n".join(["  - 1:a"] * 1_000_000))[:MAX_TEXT],
    "many chunks": lines(f"  - {CHUNK_LINE}", "\n".join(["  - x"] * 60_000)),
    "many keys": "".join(f"k{n}: v\n" for n in range(20_000)),
    "deep flow": "[" * MAX_TEXT,
    "deep blocks": "\n".join(" " * n + "a:" for n in range(700)),
    "question marks": "? " * (MAX_TEXT // 2),
    "one line": "a" * MAX_TEXT,
    "quotes": "'" * MAX_TEXT,
    "colons": "a: " * (MAX_TEXT // 3),
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_put_away_soon(text: str) -> None:
    began = time.process_time()
    with pytest.raises(DecodeError):
        read_description(text)
    assert time.process_time() - began < 1
