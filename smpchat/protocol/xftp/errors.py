"""Errors that file relays send (xftp-wire 2.4)."""

from __future__ import annotations

from smpchat.encoding.codec import Codec
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.protocol.errors import COMMAND_ERRORS, ErrorCode, ProtocolError, read_blocked

AUTH = ErrorCode(("AUTH",))
"""As the answer to FNEW: the password is missing or wrong, or the relay accepts no new files. As the answer to another
command: the chunk does not exist, or the command was signed with the wrong key."""
BLOCK = ErrorCode(("BLOCK",))
"""The request does not begin with a block that contains one transmission."""
CRYPTO = ErrorCode(("CRYPTO",))
DIGEST = ErrorCode(("DIGEST",))
FILE_IO = ErrorCode(("FILE_IO",))
HANDSHAKE = ErrorCode(("HANDSHAKE",))
HAS_FILE = ErrorCode(("HAS_FILE",))
INTERNAL = ErrorCode(("INTERNAL",))
NO_FILE = ErrorCode(("NO_FILE",))
"""The chunk is registered, but its bytes never arrived."""
QUOTA = ErrorCode(("QUOTA",))
SESSION = ErrorCode(("SESSION",))
SIZE = ErrorCode(("SIZE",))
TIMEOUT = ErrorCode(("TIMEOUT",))

_PLAIN = {
    code.words[0]: code
    for code in (
        AUTH,
        BLOCK,
        CRYPTO,
        DIGEST,
        FILE_IO,
        HANDSHAKE,
        HAS_FILE,
        INTERNAL,
        NO_FILE,
        QUOTA,
        SESSION,
        SIZE,
        TIMEOUT,
    )
}
_TEMPORARY = frozenset({FILE_IO, INTERNAL, TIMEOUT})
_LONGEST = 16_384


def _write(code: ErrorCode) -> bytes:
    words = " ".join(code.words).encode("ascii")
    return words if code.text is None else words + b" " + code.text


def _read(reader: Reader) -> ErrorCode:
    if reader.remaining > _LONGEST:
        raise DecodeError("the relay's error is too long")
    if reader.starts_with(b"BLOCKED "):
        reader.take(len(b"BLOCKED"))
        return read_blocked(reader)
    word, blank, name = reader.rest().partition(b" ")
    plain = _PLAIN.get(word.decode("ascii", "replace"))
    if plain is not None and not blank:
        return plain
    command = name.decode("ascii", "replace")
    if word == b"CMD" and command in COMMAND_ERRORS:
        return ErrorCode.cmd(command)
    raise DecodeError("unknown error name")


file_error: Codec[ErrorCode] = Codec(_write, _read)


class XFTPError(ProtocolError):
    """A file relay answered ERR.

    Attributes:
        code: The error in the relay's answer.
        temporary: Whether the command that failed may succeed if the client repeats it later.
    """

    def __init__(self, code: ErrorCode) -> None:
        self.code = code
        self.temporary = code in _TEMPORARY
        super().__init__(f"the file relay answered {code}")
