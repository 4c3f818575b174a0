"""Formats around files: descriptions with the chunks beside them, links, keys and boxes of real files, a relay's hello,
and what a real relay answered.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from smpchat.crypto.secretbox import Opener
from smpchat.encoding.codec import int64, short_bytes
from smpchat.encoding.reader import Reader
from smpchat.encoding.text import from_base64url
from smpchat.protocol.block import BLOCK_SIZE, pad_block, unpad_block
from smpchat.protocol.version import VersionRange
from smpchat.protocol.xftp.command_codec import decode_answer, encode_answer
from smpchat.protocol.xftp.errors import HANDSHAKE, XFTPError, file_error
from smpchat.protocol.xftp.hello import XFTP_VERSIONS, FileServerHello, check_acceptance, receive_server_hello
from smpchat.transport.chain import verify_chain
from smpchat.xftp.chunks import chunk_sizes
from smpchat.xftp.description import Party, format_size, read_description, write_description
from smpchat.xftp.encryption import decrypt_file
from smpchat.xftp.links import read_file_link, write_file_link
from tests.vectors.check import Check, Document, Mismatch, hexadecimal, same
from tests.vectors.documents import Block, Description, FileLinks

_KAT = {"file", "chunkSizes", "key", "nonce", "digest"}
_ANSWERS = ("OK", "PONG", "ERR ", "SIDS ", "RIDS ")
_REAL = 3  # version that a real relay of today agrees on


def recognises(document: Document) -> bool:
    """Told apart when they were read, but for two lists and a mapping."""
    if isinstance(document, Block | Description | FileLinks):
        return True
    return _is_list_of(document, _KAT) or _is_probes(document) or bool(_relay_errors(document))


def _is_list_of(document: Document, names: set[str]) -> bool:
    return isinstance(document, list) and bool(document) and all(
        isinstance(one, dict) and one.keys() >= names for one in document
    )  # fmt: skip


def _is_probes(document: Document) -> bool:
    return _is_list_of(document, {"probe", "result"})


def checks(document: Document) -> Iterator[Check]:
    """What is known of each."""
    if isinstance(document, Description):
        yield Check("description", partial(_description, document.text))
        if document.chunks:
            yield Check("chunks", partial(_chunks, document))
    elif isinstance(document, FileLinks):
        for number, line in enumerate(document.lines, start=1):
            yield Check(f"line {number}: link", partial(_link, line))
    elif isinstance(document, Block):
        yield Check("hello", partial(_hello, document.content))
    elif _is_probes(document):
        for number, record in enumerate(document):
            yield Check(f"{number} {record['probe']}", partial(_probe, record["result"]))
    elif isinstance(document, dict):
        for situation, word in _relay_errors(document):
            yield Check(f"{situation}: {word}", partial(_known_error, word))
    else:
        for record in document:
            yield Check(f"{record['file']}: sizes", partial(_sizes, record))
            if "chunk_b64" in record:
                yield Check(f"{record['file']}: box", partial(_box, record))


def _party(text: str) -> Party:
    return Party.SENDER if "party: sender" in text else Party.RECIPIENT


def _description(text: str) -> None:
    description = read_description(text, _party(text))
    written = write_description(description)
    same("read again", read_description(written, description.party), description)
    # The order of relays has no meaning, and the app's is its own.
    same("lines", sorted(written.splitlines()), sorted(text.splitlines()))


def _chunks(document: Description) -> None:
    description = read_description(document.text, _party(document.text))
    same("number of chunks", len(document.chunks), len(description.chunks))
    for one, data in zip(description.chunks, document.chunks, strict=True):
        same(f"size of chunk {one.number}", len(data), one.size)
        same(f"SHA-256 of chunk {one.number}", hashlib.sha256(data).digest(), one.digest)
    plain = io.BytesIO()
    sealed = io.BytesIO(b"".join(document.chunks))
    decrypt_file(sealed, plain, description.key, description.nonce, description.digest)
    if document.plain is not None:
        same("content", plain.getvalue(), document.plain)


def _link(text: str) -> None:
    link = read_file_link(text)
    same("written again", write_file_link(link), text)


def _hello(content: bytes) -> None:
    hello = FileServerHello.decode(unpad_block(content))
    # The identity's own fingerprint, as nobody wrote down the relay's address beside it.
    fingerprint = hashlib.sha256(hello.chain[1]).digest()
    agreed = receive_server_hello(content, fingerprint, hello.session_id, hello.chain[0])
    same("version", agreed.version, XFTP_VERSIONS.agree(hello.versions))
    verify_chain(agreed.chain, fingerprint, datetime(2026, 12, 1, tzinfo=UTC))
    same("written again", unpad_block(pad_block(hello.encode())), unpad_block(content)[: len(hello.encode())])


def _sizes(record: dict[str, Any]) -> None:
    sizes = record["chunkSizes"]
    same("sizes of their sum", list(chunk_sizes(sum(sizes))), sizes)
    same("sum", format_size(sum(sizes)), record["size"])
    same("the first", format_size(sizes[0]), record["chunkSize"])


def _box(record: dict[str, Any]) -> None:
    sealed = base64.b64decode(record["chunk_b64"])
    key, nonce, digest = (from_base64url(record[name]) for name in ("key", "nonce", "digest"))
    same("first bytes", sealed[:16], hexadecimal(record["first16"]))
    same("tag", sealed[-16:], hexadecimal(record["tag"]))
    size = decrypt_file(io.BytesIO(sealed), io.BytesIO(), key, nonce, digest)
    inside = bytearray(len(sealed) - 16)
    Opener(key, nonce).update(sealed[:-16], memoryview(inside))
    reader = Reader(bytes(inside))
    length, name = int64.read(reader), short_bytes.read(reader)
    same("name", name, hexadecimal(record["headerNameBytes"]))
    same("length", length, size + len(name) + 2)
    same("filler", sorted(set(bytes(inside[8 + length :]).decode("latin-1"))), record["filler"])


# -- what the app said of a relay's error ------------------------------------------------------------------------------


def _relay_errors(document: Document) -> list[tuple[str, str]]:
    """Situations in which the app told of an error of a relay of files, and its name for it."""
    found = []
    for situation, told in document.items() if isinstance(document, dict) else ():
        status = told.get("fileStatus") if isinstance(told, dict) else None
        error = status.get("rcvFileError") if isinstance(status, dict) else None
        if isinstance(error, dict) and isinstance(error.get("type"), str):
            found.append((situation, error["type"]))
    return found


def _known_error(word: str) -> None:
    """The app writes NO_FILE as noFile."""
    name = re.sub(r"(?=[A-Z])", "_", word).upper().encode()
    same("written again", file_error.encode(file_error.decode(name)), name)


# -- what a real relay answered ---------------------------------------------------------------------------------------


def _probe(result: Any) -> None:
    """The answers in it that are whole are read and written; a hello's facts are those that are counted on."""
    for text in _texts(result):
        if text.startswith(_ANSWERS) or text in ("OK", "PONG"):
            data = text.encode("latin-1")
            same("answer written again", encode_answer(decode_answer(data), _REAL), data)
        elif text.startswith("\x00\t"):
            _is_refused(text.encode("latin-1"))
    if isinstance(result, dict) and (versions := result.get("range")) and result.get("selected"):
        same("version", XFTP_VERSIONS.agree(VersionRange(*versions)), _REAL)
        same("bytes of the hello", result.get("helloLen", result.get("hello_len")), BLOCK_SIZE)
        check_acceptance(result["hello2"].encode("latin-1"))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _is_refused(start: bytes) -> None:
    try:
        check_acceptance(start.ljust(BLOCK_SIZE, b"#"))
    except XFTPError as error:
        same("refusal", error.code, HANDSHAKE)
    else:
        raise Mismatch("it is taken for an acceptance")
