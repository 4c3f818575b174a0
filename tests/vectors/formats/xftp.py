"""Format of ``xftp.json``: commands and answers of XFTP, two files, chunk sizes, the box around a download."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from functools import partial
from typing import Any

from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.crypto.secretbox import Opener, Sealer
from smpchat.protocol.block import pad_block, unpad_block
from smpchat.protocol.transmission import verify_authorisation
from smpchat.protocol.xftp.command_codec import (
    check_credentials,
    decode_answer,
    decode_command,
    encode_answer,
    encode_command,
)
from smpchat.protocol.xftp.commands import FGet, FileCommand, FNew
from smpchat.protocol.xftp.transmission import decode_block, encode_block, signed_block
from smpchat.xftp.chunks import chunk_sizes, encrypted_sizes
from smpchat.xftp.encryption import decrypt_file, encrypt_file, header_of
from tests.vectors.check import Check, Document, Mismatch, hexadecimal, same

_SENDERS = ("fputContent", "fdelContent", "faddContent")
_KNOWN = {"fnewCommand", "senderSeed", "sessionId"}


class _Given:
    """Entropy that gives a known key and nonce."""

    def __init__(self, *values: bytes) -> None:
        self._values = list(values)

    def random(self, size: int) -> bytes:
        value = self._values.pop(0)
        if len(value) != size:
            raise Mismatch(f"{size} bytes wanted, {len(value)} known")
        return value


def recognises(document: Document) -> bool:
    """By names that nothing else has."""
    return isinstance(document, dict) and document.keys() >= _KNOWN


def checks(document: Document) -> Iterator[Check]:
    """Every answer; a name that is not known is a failure, not a gap."""
    sender, recipient = (Ed25519PrivateKey(hexadecimal(document[f"{who}Seed"])) for who in ("sender", "recipient"))
    done = {"note", "sessionId", "senderSeed", "recipientSeed", "second", "chunkSizes"}
    for name, value in document.items():
        if name.endswith("Response"):
            yield Check(name, partial(_answer, hexadecimal(value), hexadecimal(document["sessionId"])))
        elif name.endswith("Content"):
            key = None if name.startswith("ping") else sender if name in _SENDERS else recipient
            yield Check(name, partial(_content, hexadecimal(value), hexadecimal(document["sessionId"]), key))
        elif name.startswith("fnew") and name.endswith("Command"):
            yield Check(name, partial(_new, hexadecimal(value), document, sender, recipient))
        elif name not in done and name not in _OF_OTHERS:
            yield Check(name, _unknown)
    yield Check("fnewBlockSha256", partial(_new_block, document, sender))
    yield Check("transit", partial(_transit, document))
    for size, sizes in document["chunkSizes"].items():
        yield Check(f"chunkSizes of {size}", partial(_sizes, int(size), sizes))
    yield Check("the first file", partial(_first_file, document))
    yield Check("the second file", partial(_second_file, document["second"]))


_OF_OTHERS = {
    *(
        "fileKey",
        "fileNonce",
        "fileName",
        "plain",
        "encryptedSha512",
        "chunkSha256",
        "encryptedFirst32",
        "encryptedTag",
    ),
    *("transitSecret", "transitNonce", "transitTag", "fgetDhSeed", "serverDhSeed", "fnewBlockSha256"),
}


def _unknown() -> None:
    raise Mismatch("unknown name")


def _sizes(size: int, sizes: list[int]) -> None:
    same("sizes", list(chunk_sizes(size)), sizes)


def _new(data: bytes, document: Document, sender: Ed25519PrivateKey, recipient: Ed25519PrivateKey) -> None:
    command = decode_command(data)
    assert isinstance(command, FNew)
    same("written again", encode_command(command), data)
    same("sender's key", command.sender_key, sender.public())
    same("recipients' keys", command.recipient_keys, (recipient.public(),))
    same("digest", command.digest, hexadecimal(document["chunkSha256"]))


def _new_block(document: Document, sender: Ed25519PrivateKey) -> None:
    block = signed_block(sender, hexadecimal(document["sessionId"]), b"", hexadecimal(document["fnewCommand"]))
    same("SHA-256", hashlib.sha256(block).digest(), hexadecimal(document["fnewBlockSha256"]))


def _content(content: bytes, session_id: bytes, key: Ed25519PrivateKey | None) -> None:
    transmission, signed = decode_block(pad_block(content), session_id)
    command: FileCommand = decode_command(transmission.body)
    check_credentials(command, transmission.auth, transmission.entity_id)
    if key is not None:
        verify_authorisation(key.public(), transmission.auth, signed, transmission.corr_id, None)
    block = signed_block(key, session_id, transmission.entity_id, encode_command(command))
    same("written again", unpad_block(block), content)


def _answer(content: bytes, session_id: bytes) -> None:
    transmission, _ = decode_block(pad_block(content), session_id)
    answer = decode_answer(transmission.body)
    same("answer written again", encode_answer(answer, 3), transmission.body)
    same("block written again", unpad_block(encode_block(transmission, session_id)), content)


def _transit(document: Document) -> None:
    client, server = (X25519PrivateKey(hexadecimal(document[name])) for name in ("fgetDhSeed", "serverDhSeed"))
    secret = hexadecimal(document["transitSecret"])
    same("the client's secret", client.exchange(server.public()), secret)
    same("the relay's secret", server.exchange(client.public()), secret)
    get = decode_command(decode_block(pad_block(hexadecimal(document["fgetContent"])), _session(document))[0].body)
    assert isinstance(get, FGet)
    same("the key of FGET", get.key, client.public())
    file = decode_answer(decode_block(pad_block(hexadecimal(document["fileResponse"])), _session(document))[0].body)
    same("the key of FILE", getattr(file, "key", None), server.public())
    nonce = hexadecimal(document["transitNonce"])
    same("the nonce of FILE", getattr(file, "nonce", None), nonce)
    chunk = bytearray(_encrypted(document["plain"].encode(), document["fileName"], *_keys(document))[0])
    sealer, view = Sealer(secret, nonce), memoryview(chunk)
    before = bytes(chunk)
    sealer.update(view, view)
    tag = sealer.finish()
    same("tag", tag, hexadecimal(document["transitTag"]))
    opener = Opener(secret, nonce)
    opener.update(view, view)
    opener.finish(tag)
    same("opened", bytes(chunk), before)


def _session(document: Document) -> bytes:
    return hexadecimal(document["sessionId"])


def _keys(document: Document) -> tuple[bytes, bytes]:
    return hexadecimal(document["fileKey"]), hexadecimal(document["fileNonce"])


def _encrypted(plain: bytes, name: str, key: bytes, nonce: bytes) -> tuple[bytes, bytes, list[bytes], list[int]]:
    target = io.BytesIO()
    _, _, digest, chunks = encrypt_file(io.BytesIO(plain), target, name, len(plain), _Given(key, nonce))
    return target.getvalue(), digest, [digest for _, digest in chunks], [size for size, _ in chunks]


def _first_file(document: Document) -> None:
    key, nonce = _keys(document)
    plain = document["plain"].encode()
    sealed, digest, chunks, _ = _encrypted(plain, document["fileName"], key, nonce)
    same("first bytes", sealed[:32], hexadecimal(document["encryptedFirst32"]))
    same("tag", sealed[-16:], hexadecimal(document["encryptedTag"]))
    same("SHA-512", digest, hexadecimal(document["encryptedSha512"]))
    same("SHA-256", chunks, [hexadecimal(document["chunkSha256"])])
    _opens(sealed, key, nonce, digest, plain)


def _second_file(case: dict[str, Any]) -> None:
    key, nonce = hexadecimal(case["key"]), hexadecimal(case["nonce"])
    length = int(case["plainRule"].rpartition(", ")[2].split()[0])
    plain = bytes((7 * i + 3) % 256 for i in range(256)) * -(-length // 256)
    plain = plain[:length]
    sealed, digest, chunks, sizes = _encrypted(plain, case["fileName"], key, nonce)
    same("sizes", sizes, case["sizes"])
    same("sizes of its length", list(encrypted_sizes(len(header_of(case["fileName"])), length)), case["sizes"])
    same("SHA-512", digest, hexadecimal(case["encryptedSha512"]))
    same("SHA-256", chunks, [hexadecimal(one) for one in case["chunkSha256"]])
    _opens(sealed, key, nonce, digest, plain)


def _opens(sealed: bytes, key: bytes, nonce: bytes, digest: bytes, plain: bytes) -> None:
    opened = io.BytesIO()
    decrypt_file(io.BytesIO(sealed), opened, key, nonce, digest)
    same("opened", opened.getvalue(), plain)
