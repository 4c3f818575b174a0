"""Encodes and decodes commands and relays' messages, at every SMP version (smp-wire 5.1 and 5.2).

A command begins with its tag. If a command has parameters, they follow the tag after a blank, with nothing between one
parameter and the next. Bytes after the last parameter are an error. Only NEW, IDS, SOK, DELD and the error BLOCKED are
encoded differently at different versions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smpchat.crypto.keys import auth_key, x25519_key
from smpchat.encoding.codec import (
    Codec,
    boolean,
    fixed,
    int64,
    large_bytes,
    mapped,
    maybe,
    non_empty,
    record,
    short_bytes,
    tail,
    word16,
)
from smpchat.encoding.json_text import parse_json
from smpchat.encoding.reader import DecodeError, EncodeError, Reader
from smpchat.encoding.record import Record
from smpchat.protocol.address import smp_server
from smpchat.protocol.commands import (
    Ack,
    BrokerMessage,
    Command,
    Del,
    Deld,
    End,
    Ends,
    Err,
    Get,
    Ids,
    Info,
    Key,
    LDel,
    LGet,
    LinkData,
    LKey,
    Lnk,
    LSet,
    Msg,
    NDel,
    New,
    Nid,
    NKey,
    NMsg,
    NSub,
    NSubs,
    NtfIds,
    NtfRequest,
    Off,
    Ok,
    PFwd,
    Ping,
    PKey,
    Pong,
    PRes,
    Prxy,
    Que,
    QueueRequest,
    RFwd,
    RKey,
    RRes,
    Send,
    SKey,
    Sok,
    Soks,
    Sub,
    Subs,
)
from smpchat.protocol.errors import ErrorCode, error_code
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import (
    BLOCKED_ENTITY,
    CLIENT_NOTICES,
    DELETED_EVENT,
    NEW_NTF_CREDS,
    SERVICE_CERTS,
    SHORT_LINKS,
    SND_AUTH_KEY,
    version_range,
)


class CommandDecodeError(DecodeError):
    """What the client sent is not a valid command. ``code`` is the error that the relay answers."""

    def __init__(self, name: str) -> None:
        self.code = ErrorCode.cmd(name)
        super().__init__(f"the command is refused: {self.code}")


class _Context(Record):
    """The two results of the hellos on which the encoding of a command depends: the SMP version, and whether NEW may
    contain a sender key."""

    version: int
    keyed_new: bool = False


_Fields = Callable[[_Context], Codec[Any] | None]
"""A function that returns the codec for the parameters of one command or message, given the context. It returns None if
there are no parameters; then no blank follows the tag."""


def _same(codec: Codec[Any] | None) -> _Fields:
    return lambda _: codec


def _enum_mode(data: bytes) -> QueueMode:
    try:
        return QueueMode(data)
    except ValueError:
        raise DecodeError("queue mode expected") from None


_mode: Codec[QueueMode] = mapped(fixed(1, "queue mode"), _enum_mode, lambda mode: mode.value)
_mode_as_boolean: Codec[QueueMode | None] = mapped(
    boolean,
    lambda messaging: QueueMode.MESSAGING if messaging else QueueMode.CONTACT,
    lambda mode: mode is QueueMode.MESSAGING,
)
_password = maybe(short_bytes)
_messaging_link = record(LinkData, sender_id=short_bytes, fixed=large_bytes, user=large_bytes)
_contact_link = record(LinkData, link_id=short_bytes, sender_id=short_bytes, fixed=large_bytes, user=large_bytes)
_ntf_request = record(NtfRequest, auth_key=auth_key, dh_key=x25519_key)
_ntf_ids = record(NtfIds, notifier_id=short_bytes, server_dh_key=x25519_key)


def _link_of(mode: QueueMode) -> Codec[LinkData | None]:
    return maybe(_messaging_link if mode is QueueMode.MESSAGING else _contact_link)


def _read_queue_request(reader: Reader) -> QueueRequest:
    mode = _mode.read(reader)
    return QueueRequest(mode, _link_of(mode).read(reader))


_queue_request: Codec[QueueRequest] = Codec(
    lambda request: request.mode.value + _link_of(request.mode).write(request.link), _read_queue_request
)
_boolean_request: Codec[QueueRequest | None] = mapped(
    _mode_as_boolean,
    lambda mode: QueueRequest(mode) if mode else None,
    lambda request: request.mode if request else None,
)


def _write_old_password(password: bytes | None) -> bytes:
    return b"" if password is None else b"A" + short_bytes.write(password)


def _read_old_password(reader: Reader) -> bytes | None:
    # Up to SMP 8, the letter A says that a password follows. If there is no password, the next byte is the subscribe
    # mode, which is never A (smp-wire 5.1).
    if not reader.starts_with(b"A"):
        return None
    reader.take(1)
    return short_bytes.read(reader)


_old_password: Codec[bytes | None] = Codec(_write_old_password, _read_old_password)


def _subscribe_mode(reader: Reader) -> bool:
    match reader.take(1, "subscribe mode"):
        case b"S":
            return True
        case b"C":
            return False
    raise DecodeError("subscribe mode expected")


_subscribe: Codec[bool] = Codec(lambda subscribe: b"S" if subscribe else b"C", _subscribe_mode)


def _new_fields(context: _Context) -> Codec[New]:
    version = context.version
    fields: dict[str, Codec[Any]] = {
        "rcv_auth_key": auth_key,
        "rcv_dh_key": x25519_key,
        "basic_auth": _password if version >= SND_AUTH_KEY else _old_password,
        "subscribe": _subscribe,
    }
    if version >= SHORT_LINKS:
        # From version 15 on, NEW has an optional queue request. In versions 9 to 14, NEW has a boolean for the queue's
        # mode instead, and below version 9, NEW has neither field (smp-wire 5.1).
        fields["queue"] = maybe(_queue_request)
    elif version >= SND_AUTH_KEY:
        fields["queue"] = _boolean_request
    if version >= NEW_NTF_CREDS:
        fields["ntf"] = maybe(_ntf_request)
    if context.keyed_new:
        fields["sender_key"] = maybe(auth_key)
    return record(New, **fields)


def _read_notification(reader: Reader) -> bool:
    """Read a message's flags: the first says whether the relay should send a notification; up to seven more are
    reserved."""
    notification = boolean.read(reader)
    # A blank ends the flags; reserved flags may come before this blank (smp-wire 1.1). Read at most eight bytes: if the
    # blank is missing, we would otherwise search the whole body for it.
    for _ in range(8):
        if reader.take(1, "message flags") == b" ":
            return notification
    raise DecodeError("message flags are too long")


_notification: Codec[bool] = Codec(lambda notify: boolean.write(notify) + b" ", _read_notification)
_msg = record(Msg, msg_id=short_bytes, body=tail)

# Newer commands are accepted in sessions of older versions too, as in the reference: the version only decides how a
# command is encoded (smp-wire 3.5).
_COMMANDS: dict[bytes, tuple[type[Any], _Fields]] = {
    b"NEW": (New, _new_fields),
    b"SUB": (Sub, _same(None)),
    b"KEY": (Key, _same(record(Key, sender_key=auth_key))),
    b"RKEY": (RKey, _same(record(RKey, keys=non_empty(auth_key)))),
    b"LSET": (LSet, _same(record(LSet, link_id=short_bytes, fixed=large_bytes, user=large_bytes))),
    b"LDEL": (LDel, _same(None)),
    b"NKEY": (NKey, _same(record(NKey, auth_key=auth_key, dh_key=x25519_key))),
    b"NDEL": (NDel, _same(None)),
    b"GET": (Get, _same(None)),
    b"ACK": (Ack, _same(record(Ack, msg_id=short_bytes))),
    b"OFF": (Off, _same(None)),
    b"DEL": (Del, _same(None)),
    b"QUE": (Que, _same(None)),
    b"SKEY": (SKey, _same(record(SKey, sender_key=auth_key))),
    b"SEND": (Send, _same(record(Send, notification=_notification, body=tail))),
    b"LKEY": (LKey, _same(record(LKey, sender_key=auth_key))),
    b"LGET": (LGet, _same(None)),
    b"NSUB": (NSub, _same(None)),
    b"SUBS": (Subs, _same(None)),
    b"NSUBS": (NSubs, _same(None)),
    b"PING": (Ping, _same(None)),
    b"PRXY": (Prxy, _same(record(Prxy, server=smp_server, basic_auth=_password))),
    b"PFWD": (PFwd, _same(record(PFwd, version=word16, key=x25519_key, body=tail))),
    b"RFWD": (RFwd, _same(record(RFwd, body=tail))),
}
_COMMAND_TAGS = {cls: (tag, fields) for tag, (cls, fields) in _COMMANDS.items()}


def _ids_fields(context: _Context) -> Codec[Ids]:
    version = context.version
    fields: dict[str, Codec[Any]] = {"rcv_id": short_bytes, "snd_id": short_bytes, "server_dh_key": x25519_key}
    if version >= SHORT_LINKS:
        fields |= {"queue_mode": maybe(_mode), "link_id": maybe(short_bytes)}
    elif version >= SND_AUTH_KEY:
        fields["queue_mode"] = _mode_as_boolean
    if version >= SERVICE_CERTS:
        fields["service_id"] = maybe(short_bytes)
    if version >= NEW_NTF_CREDS:
        fields["ntf"] = maybe(_ntf_ids)
    return record(Ids, **fields)


def _check_json(data: bytes) -> Info:
    parse_json(data, "queue information")
    return Info(data)


_pkey = record(
    PKey, session_id=short_bytes, versions=version_range, chain=non_empty(large_bytes), signed_key=large_bytes
)
_BROKER: dict[bytes, tuple[type[Any], _Fields]] = {
    b"IDS": (Ids, _ids_fields),
    b"LNK": (Lnk, _same(record(Lnk, sender_id=short_bytes, fixed=large_bytes, user=large_bytes))),
    b"SOK": (Sok, _same(record(Sok, service_id=maybe(short_bytes)))),
    b"SOKS": (Soks, _same(record(Soks, count=int64))),
    b"MSG": (Msg, _same(_msg)),
    b"NID": (Nid, _same(record(Nid, notifier_id=short_bytes, server_dh_key=x25519_key))),
    # Unlike all other strings, a nonce has no length before it (smp-wire trap 17).
    b"NMSG": (NMsg, _same(record(NMsg, nonce=fixed(24, "nonce"), meta=short_bytes))),
    b"PKEY": (PKey, _same(_pkey)),
    b"RRES": (RRes, _same(record(RRes, body=tail))),
    b"PRES": (PRes, _same(record(PRes, body=tail))),
    b"END": (End, _same(None)),
    b"ENDS": (Ends, _same(record(Ends, count=int64))),
    b"DELD": (Deld, _same(None)),
    b"OK": (Ok, _same(None)),
    b"PONG": (Pong, _same(None)),
    b"INFO": (Info, _same(mapped(tail, _check_json, lambda info: info.json))),
    b"ERR": (Err, _same(record(Err, error=error_code))),
}
_BROKER_TAGS = {cls: (tag, fields) for tag, (cls, fields) in _BROKER.items()}


def _encode(tags: dict[type[Any], tuple[bytes, _Fields]], message: Any, context: _Context) -> bytes:
    tag, fields = tags[type(message)]
    codec = fields(context)
    return tag if codec is None else tag + b" " + codec.write(message)


def _decode(entry: tuple[type[Any], _Fields], parameters: bytes | None, context: _Context) -> Any:
    cls, fields = entry
    codec = fields(context)
    if codec is None:
        if parameters is not None:
            raise DecodeError("parameters where none belong")
        return cls()
    if parameters is None:
        raise DecodeError("parameters are missing")
    return codec.decode(parameters, "command")


def _split(data: bytes) -> tuple[bytes, bytes | None]:
    # The longest tag has five letters, so do not search the whole body for the blank that ends the tag. Everything
    # before this blank is the tag. So the tag `SUB=` is unknown; but `SUB ` is the known command SUB, with parameters
    # that SUB does not have (smp-wire 5.3).
    blank = data.find(b" ", 0, 7)
    return (data, None) if blank < 0 else (data[:blank], data[blank + 1 :])


def encode_command(command: Command, version: int, *, keyed_new: bool = False) -> bytes:
    """Encode a command for an SMP version. Raises `EncodeError` if a field's value cannot be encoded."""
    if isinstance(command, New) and command.sender_key is not None and not keyed_new:
        raise EncodeError("NEW contains a sender key, which the relay did not agree to")
    return _encode(_COMMAND_TAGS, command, _Context(version, keyed_new))


def decode_command(data: bytes, version: int, *, keyed_new: bool = False) -> Command:
    """Decode a command. Raises `CommandDecodeError`; its ``code`` is UNKNOWN or SYNTAX."""
    tag, parameters = _split(data)
    entry = _COMMANDS.get(tag)
    if entry is None:
        raise CommandDecodeError("UNKNOWN")
    try:
        command: Command = _decode(entry, parameters, _Context(version, keyed_new))
    except DecodeError:
        raise CommandDecodeError("SYNTAX") from None
    return command


def encode_broker(message: BrokerMessage, version: int) -> bytes:
    """Encode a relay's message for an SMP version. A message that this version does not have is replaced by the message
    that relays of this version send instead."""
    # A client of an older version would treat an unknown message as a sign that the session is broken (smp-wire 3.5 and
    # 5.2, trap 24).
    if isinstance(message, Sok) and version < SERVICE_CERTS:
        message = Ok()
    elif isinstance(message, Deld) and version < DELETED_EVENT:
        message = End()
    elif isinstance(message, Err) and message.error.is_blocked:
        message = Err(_blocked_for(message.error, version))
    return _encode(_BROKER_TAGS, message, _Context(version))


def _blocked_for(error: ErrorCode, version: int) -> ErrorCode:
    if version < BLOCKED_ENTITY:
        return ErrorCode.AUTH
    if version < CLIENT_NOTICES and error.text is not None:
        return ErrorCode(error.words, error.text.partition(b",notice=")[0])
    return error


def decode_broker(data: bytes, version: int) -> BrokerMessage:
    """Decode a relay's message. Raises `DecodeError`."""
    tag, parameters = _split(data)
    entry = _BROKER.get(tag)
    if entry is None:
        raise DecodeError("unknown message of a relay")
    message: BrokerMessage = _decode(entry, parameters, _Context(version))
    return message
