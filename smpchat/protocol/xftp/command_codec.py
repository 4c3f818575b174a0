"""Encodes and decodes commands and answers; only BLOCKED differs between versions 1 to 3 (xftp-wire 1.4 and 2.2)."""

from __future__ import annotations

from typing import Any

from smpchat.crypto.keys import auth_key, x25519_key
from smpchat.encoding.codec import Codec, fixed, mapped, maybe, non_empty, record, short_bytes, word32
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.xftp.commands import (
    Err,
    FAck,
    FAdd,
    FDel,
    FGet,
    File,
    FileAnswer,
    FileCommand,
    FNew,
    FPut,
    Ok,
    Ping,
    Pong,
    RIds,
    SIds,
)
from smpchat.protocol.xftp.errors import AUTH, file_error

DIGEST_SIZE = 32
MAX_PASSWORD = 255
BLOCKED_REASONS = 3
"""From this version on, a relay answers BLOCKED for a blocked chunk; older clients get AUTH (xftp-wire 1.4)."""


class CommandDecodeError(DecodeError):
    """The bytes are not a command, or the command came with the wrong credentials; ``code`` is the error that a relay
    answers."""

    def __init__(self, name: str) -> None:
        self.code = ErrorCode.cmd(name)
        super().__init__(f"the command is refused: {self.code}")


def _of_digest_size(data: bytes) -> bytes:
    if len(data) != DIGEST_SIZE:
        raise DecodeError("a digest has a wrong length")
    return data


_digest: Codec[bytes] = mapped(short_bytes, _of_digest_size, _of_digest_size)
_keys = non_empty(auth_key)
_Tags = dict[bytes, tuple[type[Any], Codec[Any] | None]]

_COMMANDS: _Tags = {
    b"FNEW": (
        FNew,
        # At every version, a byte of FNEW says whether a password follows (xftp-wire 1.4). In versions 1 to 3, FNEW has
        # no field after the password.
        record(
            FNew,
            sender_key=auth_key,
            size=word32,
            digest=_digest,
            recipient_keys=_keys,
            password=maybe(short_bytes),
        ),
    ),
    b"FADD": (FAdd, record(FAdd, recipient_keys=_keys)),
    b"FPUT": (FPut, None),
    b"FDEL": (FDel, None),
    b"FGET": (FGet, record(FGet, key=x25519_key)),
    b"FACK": (FAck, None),
    b"PING": (Ping, None),
}
_ANSWERS: _Tags = {
    b"SIDS": (SIds, record(SIds, sender_id=short_bytes, recipient_ids=non_empty(short_bytes))),
    b"RIDS": (RIds, record(RIds, recipient_ids=non_empty(short_bytes))),
    # The nonce is encoded without its length (xftp-wire 2.2).
    b"FILE": (File, record(File, key=x25519_key, nonce=fixed(24, "nonce"))),
    b"OK": (Ok, None),
    b"PONG": (Pong, None),
    b"ERR": (Err, record(Err, error=file_error)),
}
_TAG_OF = {cls: (tag, codec) for tags in (_COMMANDS, _ANSWERS) for tag, (cls, codec) in tags.items()}


def _encode(message: Any) -> bytes:
    tag, codec = _TAG_OF[type(message)]
    return tag if codec is None else tag + b" " + codec.write(message)


def _fields(entry: tuple[type[Any], Codec[Any] | None], blank: bytes, parameters: bytes) -> Any:
    cls, codec = entry
    if (codec is None) is bool(blank):
        raise DecodeError("parameters are missing" if codec is not None else "parameters where none belong")
    return cls() if codec is None else codec.decode(parameters, "command")


def _split(data: bytes) -> tuple[bytes, bytes, bytes]:
    # The longest tag has four letters, so search only the first six bytes, not the whole block, for the blank after the
    # tag.
    at = data.find(b" ", 0, 6)
    return (data, b"", b"") if at < 0 else (data[:at], b" ", data[at + 1 :])


def encode_command(command: FileCommand) -> bytes:
    """Encode a command. Raises `EncodeError` if a field's value cannot be encoded."""
    return _encode(command)


def decode_command(data: bytes) -> FileCommand:
    """The command in ``data``. Raises `CommandDecodeError`: CMD UNKNOWN or CMD SYNTAX."""
    tag, blank, parameters = _split(data)
    entry = _COMMANDS.get(tag)
    if entry is None:
        raise CommandDecodeError("UNKNOWN")
    try:
        command: FileCommand = _fields(entry, blank, parameters)
    except DecodeError:
        raise CommandDecodeError("SYNTAX") from None
    return command


def check_credentials(command: FileCommand, auth: bytes, entity_id: bytes) -> None:
    """Check that a command has the credentials that it needs, and no others. Raises `CommandDecodeError`: CMD NO_AUTH
    or CMD HAS_AUTH."""
    match command:
        case Ping():
            if auth or entity_id:
                raise CommandDecodeError("HAS_AUTH")
        case FNew():
            if not auth:
                raise CommandDecodeError("NO_AUTH")
            if entity_id:
                raise CommandDecodeError("HAS_AUTH")
        case _:
            if not auth or not entity_id:
                raise CommandDecodeError("NO_AUTH")


def encode_answer(answer: FileAnswer, version: int) -> bytes:
    """Encode an answer for an XFTP version."""
    if isinstance(answer, Err) and answer.error.is_blocked and version < BLOCKED_REASONS:
        answer = Err(AUTH)
    return _encode(answer)


def decode_answer(data: bytes) -> FileAnswer:
    """The answer in ``data``. Raises `DecodeError`."""
    tag, blank, parameters = _split(data)
    entry = _ANSWERS.get(tag)
    if entry is None:
        raise DecodeError("unknown answer of a file relay")
    answer: FileAnswer = _fields(entry, blank, parameters)
    return answer


def password_bytes(password: str | None) -> bytes | None:
    """A relay's password as bytes, for FNEW. Raises `EncodeError` if the password is too long."""
    if password is None:
        return None
    data = password.encode()
    if len(data) > MAX_PASSWORD:
        raise EncodeError("the file relay's password is too long")
    return data
