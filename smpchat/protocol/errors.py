"""Errors that relays send (smp-wire 5.3), and the exceptions of this layer; the package docstring shows their tree."""

from __future__ import annotations

from typing import ClassVar, Self

from smpchat.encoding.codec import Codec, short_bytes
from smpchat.encoding.json_text import parse_json
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.record import Record

_PLAIN = frozenset("BLOCK SESSION AUTH SERVICE CRYPTO QUOTA NO_MSG LARGE_MSG EXPIRED INTERNAL DUPLICATE_".split())
COMMAND_ERRORS = frozenset("UNKNOWN SYNTAX PROHIBITED NO_AUTH HAS_AUTH NO_ENTITY".split())
_TRANSPORT = frozenset("BLOCK VERSION LARGE_MSG SESSION NO_AUTH".split())
_HANDSHAKE = frozenset("PARSE IDENTITY BAD_AUTH BAD_SERVICE".split())
_NETWORK_PLAIN = frozenset("UNKNOWNCA FAILED TIMEOUT".split())
_NETWORK_TEXT = frozenset("CONNECT TLS SUBSCRIBE".split())
_BLOCKING = frozenset("spam content".split())
_MAX_NESTING = 4
"""Maximum number of levels of errors inside errors. A proxy passes a relay's error on inside an error of its own:
that is one level."""


class ErrorCode(Record):
    """An error that a relay sends: its words, and in some errors a free text after the words.

    ``words`` are the words before the free text, for example ``("PROXY", "BROKER", "TIMEOUT")``.
    """

    words: tuple[str, ...]
    text: bytes | None = None

    BLOCK: ClassVar[ErrorCode]
    SESSION: ClassVar[ErrorCode]
    AUTH: ClassVar[ErrorCode]
    SERVICE: ClassVar[ErrorCode]
    CRYPTO: ClassVar[ErrorCode]
    QUOTA: ClassVar[ErrorCode]
    NO_MSG: ClassVar[ErrorCode]
    LARGE_MSG: ClassVar[ErrorCode]
    EXPIRED: ClassVar[ErrorCode]
    INTERNAL: ClassVar[ErrorCode]

    @classmethod
    def cmd(cls, name: str) -> Self:
        """The error CMD, which is about the command itself. ``name`` says what is wrong, for example ``SYNTAX``."""
        return cls(("CMD", name))

    @classmethod
    def proxy(cls, *words: str) -> Self:
        """The error PROXY, which is about private routing. ``words`` say what is wrong."""
        return cls(("PROXY", *words))

    @property
    def is_blocked(self) -> bool:
        """Whether this is the error BLOCKED: the relay's operator blocked the queue, or a chunk on a file relay."""
        return self.words[0] == "BLOCKED"

    def __str__(self) -> str:
        return " ".join(self.words)


for _name in _PLAIN - {"DUPLICATE_"}:
    setattr(ErrorCode, _name, ErrorCode((_name,)))


def _word(reader: Reader) -> str:
    offset, word = reader.offset, bytearray()
    while (byte := reader.peek()) is not None and byte != 0x20:
        word += reader.take(1)
    try:
        return word.decode("ascii")
    except UnicodeDecodeError:
        raise DecodeError("error name expected", offset) from None


def _next_word(reader: Reader) -> str:
    if reader.take(1, "blank") != b" ":
        # There is a blank between any two words. The grammar in the reference's documents has no blank after PROXY, but
        # the reference's code writes one (smp-wire trap 28).
        raise DecodeError("blank expected", reader.offset - 1)
    return _word(reader)


def _choice(word: str, allowed: frozenset[str]) -> str:
    if word not in allowed:
        raise DecodeError("unknown error name")
    return word


def _read_error(reader: Reader, depth: int = 0) -> ErrorCode:
    if depth > _MAX_NESTING:
        raise DecodeError("errors nested too deeply")
    word = _word(reader)
    if word in _PLAIN:
        return ErrorCode((word,))
    match word:
        case "CMD":
            name = _next_word(reader)
            # NO_QUEUE is the older name of NO_ENTITY
            return ErrorCode.cmd(_choice("NO_ENTITY" if name == "NO_QUEUE" else name, COMMAND_ERRORS))
        case "STORE":
            if reader.take(1, "blank") != b" ":
                raise DecodeError("blank expected")
            return ErrorCode(("STORE",), reader.rest())
        case "BLOCKED":
            return read_blocked(reader)
        case "PROXY":
            return _read_proxy(reader, depth)
    raise DecodeError("unknown error name")


def read_blocked(reader: Reader) -> ErrorCode:
    """Read what follows ``BLOCKED``: a reason; newer relays may add a notice. Raises `DecodeError`."""
    text = reader.rest()
    reason, comma, notice = text.removeprefix(b" reason=").partition(b",notice=")
    if not text.startswith(b" reason=") or reason.decode("ascii", "replace") not in _BLOCKING:
        raise DecodeError("reason for blocking expected")
    if comma:
        parse_json(notice, "notice about blocking")
    return ErrorCode(("BLOCKED",), text[1:])


def _read_proxy(reader: Reader, depth: int) -> ErrorCode:
    match word := _next_word(reader):
        case "BASIC_AUTH" | "NO_SESSION":
            return ErrorCode.proxy(word)
        case "PROTOCOL":
            if reader.take(1, "blank") != b" ":
                raise DecodeError("blank expected")
            inner = _read_error(reader, depth + 1)
            return ErrorCode(("PROXY", "PROTOCOL", *inner.words), inner.text)
        case "BROKER":
            return _read_broker(reader)
    raise DecodeError("unknown error name")


def _read_broker(reader: Reader) -> ErrorCode:
    def broker(*words: str, text: bytes | None = None) -> ErrorCode:
        return ErrorCode(("PROXY", "BROKER", *words), text)

    match word := _next_word(reader):
        case "TIMEOUT" | "HOST" | "NO_SERVICE":
            return broker(word)
        case "RESPONSE" | "UNEXPECTED":
            reader.take(1, "blank")
            return broker(word, text=short_bytes.read(reader))
        # Some relays send only the word NETWORK; others send more words after NETWORK. We must accept both forms
        # (smp-wire 5.3).
        case "NETWORK":
            if not reader.remaining:
                return broker(word)
            detail = _next_word(reader)
            if detail in _NETWORK_TEXT:
                reader.take(1, "blank")
                return broker(word, detail, text=short_bytes.read(reader))
            return broker(word, _choice(detail, _NETWORK_PLAIN))
        case "TRANSPORT":
            detail = _next_word(reader)
            if detail == "HANDSHAKE":
                return broker(word, detail, _choice(_next_word(reader), _HANDSHAKE))
            return broker(word, _choice(detail, _TRANSPORT))
    raise DecodeError("unknown error name")


def _write_error(code: ErrorCode) -> bytes:
    words = " ".join(code.words).encode("ascii")
    if code.text is None:
        return words
    counted = "BROKER" in code.words
    return words + b" " + (short_bytes.write(code.text) if counted else code.text)


error_code: Codec[ErrorCode] = Codec(_write_error, _read_error)


class ProtocolError(Exception):
    """Base class of the protocol layer's errors."""

    temporary = False


class LocalProtocolError(ProtocolError):
    """We tried something that the protocol does not allow. Nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; the session cannot continue."""


class IdInUse(RemoteProtocolError):
    """A relay gave a new queue the id of one of our other queues, so that we could not tell which of the two queues a
    message is for."""


class HandshakeError(RemoteProtocolError):
    """The hello exchange failed."""


class IdentityError(HandshakeError):
    """The relay could not prove that it is the relay in the address."""


class CertificateTimeError(IdentityError):
    """The relay's certificate is not valid at this time: it was not renewed, or this computer's clock is wrong."""


class VersionError(HandshakeError):
    """There is no version that both sides support."""


class BlockError(RemoteProtocolError):
    """A block cannot be decrypted or decoded."""


class SMPError(ProtocolError):
    """A relay answered ERR.

    Attributes:
        code: The error in the relay's answer.
        temporary: Whether the same command may succeed later.
    """

    def __init__(self, code: ErrorCode) -> None:
        self.code = code
        self.temporary = code.words[0] in ("QUOTA", "INTERNAL", "STORE", "EXPIRED")
        super().__init__(f"the relay answered {code}")
