"""Time over text of other people grows with its length and no faster, whatever the text is made of.

Each function is timed over a text and one four times as long: a function that is linear takes four times as long, one
that is quadratic sixteen times. What lies between is noise, and is tried again.
"""

from __future__ import annotations

import ast
import gc
import importlib
import io
import itertools
import json
import pkgutil
import re
import sqlite3
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

import smpchat
from smpchat.agent.errors import LinkError
from smpchat.agent.wire.links import parse_link
from smpchat.agent.wire.not_links import what_it_is
from smpchat.agent.wire.user_data import read_user_json
from smpchat.chat.store.records import Direction, Message, MessageStatus, Quoted
from smpchat.chat.wire.alias import alias_from_name
from smpchat.chat.wire.bots import read_call
from smpchat.chat.wire.content import Preview, in_a_sentence, joined, short_name, whole
from smpchat.chat.wire.message import MessageUpdate, Quote, decode_messages, encode_text, encode_update, quotation
from smpchat.chat.wire.picture import received_uri
from smpchat.chat.wire.profile import Profile
from smpchat.cli.environment import Environment
from smpchat.cli.text import abridged, filled, happened_and_advice, narrowed, printable, shortened
from smpchat.cli.views.messages import being_written, message_line, spoken
from smpchat.cli.wrapping import hanging
from smpchat.encoding.carried import unwrapped, visible
from smpchat.encoding.characters import composed
from smpchat.encoding.json_text import parse_json
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.text import from_base64url, read_query
from smpchat.encoding.zstd import compress, decompress
from smpchat.protocol.address import checked_file_server
from smpchat.protocol.server_text import read_file_server, read_server
from smpchat.xftp.description import read_description
from smpchat.xftp.links import read_file_link

SHORT, FACTOR = 2_048, 4
NOISE = 0.002
"""Seconds that a scheduler may add to either time."""
TRIES = 5

FILLINGS = (
    "a", " ", "\n", "\r", "\t", "a ", " a", "a\n", "-", "_", ".", "a.", "/", "//", "'", "\"", "`", "\\", "[", "]",
    "{", "<>", "@", "#", "?", "&", "&a=", "=", ";", "%", "%25", "%3a", ":", "::", "=\n", "\\\n", "=3D", ">", "> ",
    "&amp;", "\x1b", "\x1b[", "\x1b]", "\x1b]a", "\x07", "\x00", "x ", "simplex:/", "simplex:/invitation#/?",
    "https://a.b/c#", "smp://", "\u0301", "a\u0301", "\u0301\u0323", "a\u0301\u0323", "\u0f73", "\u0345", "\u20dd",
    "\u034f", "\U0001d165", "\u1100\u1161\u11a8", "\uac00", "\u1f82", "\u200b", "a\u200b", "\u200d", "\u200da",
    "\ufe0f", "\u202e", "\ufffd", "\u4e2d", "\u4e2d ", "\u4e2d\u200d", "\u4e2d\u0301", "\U0001f44d\U0001f3fd",
    "\U0001f469\u200d", "\U0001f1e9", "\ud800", "\u017f", "\u0130", "\xdf", "(((", "\U0001d49c",
)  # fmt: skip


def message(text: str) -> Message:
    said = Quoted(None, Direction.SENT, text)
    preview = Preview(text, text, text)
    return Message(
        1, "bob", Direction.RECEIVED, text, 0.0, MessageStatus.RECEIVED, text, reply_to=said, preview=preview
    )


def on_a_terminal(text: str) -> None:
    Console(file=io.StringIO(), width=80, color_system=None).print(
        Text(hanging(printable(text, lines=True), 9, 13, 80))
    )


def alias(text: str) -> str:
    profile = Profile.from_wire({"displayName": text})
    assert profile is not None
    return alias_from_name(profile.display_name, lambda _: False)


def body(text: str) -> bytes:
    content = {"type": "link", "text": text, "preview": {"uri": text, "title": text}, "duration": 1, "reason": text}
    card = {
        "type": "chat",
        "text": text,
        "chatLink": {"type": text, "profile": {"displayName": text}, "connLink": text},
    }
    file = {"fileName": text, "fileSize": 1}
    quote = {"msgRef": {"msgId": text, "sent": True}, "content": content}
    profile = {"displayName": text, "fullName": text, "shortDescr": text, "image": f"data:image/png;base64,{text}"}
    profile["preferences"] = {"commands": [{"type": "command", "keyword": text, "label": text}]}  # type: ignore[assignment]
    rejection = {"groupProfile": profile, "rejectionReason": text}
    inner = {"event": text, "params": {}}
    events = [
        {"event": "x.msg.new", "msgId": text, "v": text, "params": {"content": content, "file": file, "quote": quote}},
        {"event": "x.msg.new", "params": {"content": card}},
        {"event": "x.msg.update", "params": {"msgId": text, "content": content}},
        {"event": "x.info", "params": {"profile": profile}},
        {"event": "x.contact", "params": {"profile": profile, "contactReqId": text, "content": content}},
        {"event": "x.call.inv", "params": {"callId": text, "invitation": {"callType": {"media": text}}}},
        {"event": "x.grp.link.reject", "params": {"groupLinkRejection": rejection}},
        {"event": f"x.{text}", "params": {}},
        {"event": "x.grp.msg.forward", "params": {"memberName": text, "msgTs": text, "msg": inner}},
    ]  # fmt: skip
    return json.dumps(events).encode()


ENVIRONMENT = Environment(Path("nowhere"), "alice")
DATABASE = sqlite3.connect(":memory:")

FUNCTIONS: dict[str, Callable[[str], object]] = {
    "composed": composed,
    "printable characters": printable,
    "printable text": lambda text: printable(text, lines=True),
    "abridged": abridged,
    "shortened": shortened,
    "narrowed": lambda text: narrowed(text, 200),
    "narrowed to half": lambda text: narrowed(text, len(text) // 2),
    "filled": lambda text: filled(printable(text), 80),
    "advice": happened_and_advice,
    "wrapping": lambda text: hanging(printable(text, lines=True), 9, 13, 80),
    "terminal": on_a_terminal,
    "message in a pipe": lambda text: message_line(message(text)),
    "message on a terminal": lambda text: spoken(ENVIRONMENT, message(text)),
    "being written": lambda text: being_written(ENVIRONMENT, message(text)),
    "alias": alias,
    "in a sentence": in_a_sentence,
    "short name": short_name,
    "whole": whole,
    "joined": lambda text: joined(text, text),
    "command of a bot": lambda text: read_call(f"/{text}"),
    "quoted command of a bot": lambda text: read_call(f"/'{text}"),
    "picture": lambda text: received_uri(f"data:image/png;base64,{text}"),
    "bodies": lambda text: decode_messages(body(text)),
    "raw body": lambda text: decode_messages(text.encode(errors="replace")),
    "raw string": lambda text: decode_messages(b'{"' + text.encode(errors="replace")),
    "json": lambda text: parse_json(text.encode(errors="replace")),
    "json string": lambda text: parse_json(json.dumps(text).encode()),
    "link's data": lambda text: read_user_json(b'{"' + text.encode(errors="replace")),
    "compressed": lambda text: decompress(compress(text.encode(errors="replace")[: 4 * SHORT])),
    "our quote": lambda text: quotation(Quote("a", by_sender=True, text=text), 0.0),
    "our text": lambda text: encode_text(text, "a"),
    "our edit": lambda text: encode_update(MessageUpdate("a", text), "b"),
    "without what nobody sees": visible,
    "without quotes around": unwrapped,
    "no link": what_it_is,
    "link": parse_link,
    "link's query": lambda text: parse_link(f"simplex:/invitation#/?v=2-7&smp={text}"),
    "query": read_query,
    "base64url": from_base64url,
    "relay's address": read_server,
    "relay's host": lambda text: read_server(f"smp://{text}"),
    "file relay's address": read_file_server,
    "file relay in a description": lambda text: checked_file_server(f"xftp://{text}"),
    "description": read_description,
    "description's mapping": lambda text: read_description(f"a: {text}"),
    "description's chunks": lambda text: read_description("replicas:\n- chunks:\n" + f"  - {text}\n" * 8),
    "file's link": lambda text: read_file_link(f"simplex:/file#/?desc={text}"),
    "search": lambda text: DATABASE.execute("SELECT instr(lower(?), lower(?))", (whole(text), "needle")).fetchall(),
}


def seconds(function: Callable[[str], object], text: str) -> float:
    gc.disable()  # a collection costs what all other tests have left, whatever the length is
    began = time.process_time()
    try:
        with suppress(DecodeError, LinkError):
            function(text)
        return time.process_time() - began
    finally:
        gc.enable()


def grows_too_fast(function: Callable[[str], object], filling: str, end: str = "") -> bool:
    short, long = (end + filling * (length // len(filling)) + end for length in (SHORT, SHORT * FACTOR))
    for _ in range(TRIES):  # whatever was slower once was so by chance: slow every time is slow
        if seconds(function, long) <= 2 * FACTOR * seconds(function, short) + NOISE:
            return False
    return True


@pytest.mark.parametrize("name", FUNCTIONS)
def test_twice_as_much_text_takes_twice_as_long(name: str) -> None:
    texts = itertools.product(FILLINGS, ("", "x"))
    assert [(filling, end) for filling, end in texts if grows_too_fast(FUNCTIONS[name], filling, end)] == []


@pytest.mark.parametrize(
    ("function", "filling"),
    [
        (lambda text: unicodedata.normalize("NFC", text), "\u0301\u0323"),
        (lambda text: re.findall("( *)([^ ]+)", text), " "),
    ],
)
def test_a_quadratic_function_is_noticed(function: Callable[[str], object], filling: str) -> None:
    assert grows_too_fast(function, filling)


# -- regular expressions ----------------------------------------------------------------------------------------------


def patterns() -> Iterator[tuple[str, str]]:
    """Every regular expression of the program, and the module that it is in."""
    for module in pkgutil.walk_packages(smpchat.__path__, "smpchat."):
        if module.name.endswith("__main__"):
            continue
        loaded = importlib.import_module(module.name)
        for value in vars(loaded).values():
            if isinstance(value, re.Pattern):
                yield module.name, value.pattern
        assert loaded.__file__ is not None
        for node in ast.walk(ast.parse(Path(loaded.__file__).read_text(encoding="utf-8"))):
            match node:
                case ast.Call(ast.Attribute(ast.Name("re")) | ast.Name("late"), [ast.Constant(str(pattern)), *_]):
                    yield module.name, pattern


def repeats_without_end(parsed: Any, *, inside: bool = False) -> bool:
    """Whether something that has no bound is repeated within something else that has none."""
    if isinstance(parsed, tuple) and parsed and str(parsed[0]) in ("MAX_REPEAT", "MIN_REPEAT"):
        _, (_, most, repeated) = parsed
        endless = str(most) == "MAXREPEAT"
        return (endless and inside) or repeats_without_end(repeated, inside=inside or endless)
    if isinstance(parsed, tuple | list) or hasattr(parsed, "data"):
        return any(repeats_without_end(part, inside=inside) for part in parsed)
    return False


def parsed(pattern: str) -> Any:
    return re._parser.parse(pattern)  # type: ignore[attr-defined]


def test_no_regular_expression_repeats_what_it_repeats() -> None:
    found = set(patterns())
    assert len(found) > 50
    assert [(module, pattern) for module, pattern in found if repeats_without_end(parsed(pattern))] == []


@pytest.mark.parametrize("pattern", ["(a+)+", "(?:a*b?)*c", "(?:[a-z]+|x)*", "((a|b+){2}){3,}"])
def test_the_walk_notices_them(pattern: str) -> None:
    assert repeats_without_end(parsed(pattern))
    assert not repeats_without_end(parsed("(?:[^a]|b.?)*a+(?:c{1,9}d)*"))
