from __future__ import annotations

import json
from typing import Any

import pytest

from smpchat.agent.wire.user_data import write_user_json
from smpchat.chat.wire.bodies import CHAT_VERSIONS, compress_body
from smpchat.chat.wire.message import (
    MAX_WELCOME,
    REACTIONS,
    ChatEvent,
    ContactDeleted,
    ContactRequest,
    LinkInfo,
    MessageDeletion,
    MessageUpdate,
    ProfileInfo,
    Quote,
    ReactionChange,
    Relayed,
    TextMessage,
    UnsupportedEvent,
    decode_contact_request,
    decode_link_info,
    decode_messages,
    encode_contact_deleted,
    encode_contact_request,
    encode_deletion,
    encode_link_info,
    encode_profile,
    encode_reaction,
    encode_text,
    encode_update,
    quotation,
)
from smpchat.chat.wire.preferences import MAX_TTL
from smpchat.chat.wire.profile import Profile
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.version import VersionRange

ID, OTHER = "aWQ=", "b3RoZXI="


def event(name: str, params: dict[str, Any], **more: Any) -> ChatEvent:
    [message] = decode_messages(json.dumps({"event": name, "params": params, **more}).encode())
    return message.event


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (encode_profile(Profile("Alice", "Alice Liddell")), ProfileInfo(Profile("Alice", "Alice Liddell"))),
        (encode_contact_request(ContactRequest(Profile("Bob"), OTHER)), ContactRequest(Profile("Bob"), OTHER)),
        (
            encode_contact_request(ContactRequest(Profile("Bob"), OTHER, "hello", ID, "d2Vs")),
            ContactRequest(Profile("Bob"), OTHER, "hello", ID, "d2Vs"),
        ),
        (encode_text("hello\n\x1b\u202e", ID), TextMessage("hello\n\x1b\u202e", ID)),
        (encode_text("soon gone", ID, ttl=86_400), TextMessage("soon gone", ID, ttl=86_400)),
        (encode_update(MessageUpdate(OTHER, "bye"), ID), MessageUpdate(OTHER, "bye")),
        (encode_update(MessageUpdate(OTHER, "bye", ttl=5), ID), MessageUpdate(OTHER, "bye", ttl=5)),
        (encode_update(MessageUpdate(OTHER, "bye", live=True), ID), MessageUpdate(OTHER, "bye", live=True)),
        (encode_deletion(MessageDeletion(OTHER), ID), MessageDeletion(OTHER)),
        (encode_reaction(ReactionChange(OTHER, REACTIONS[5], True), ID), ReactionChange(OTHER, "\u2764", True)),
        (encode_reaction(ReactionChange(OTHER, REACTIONS[0], False), ID), ReactionChange(OTHER, REACTIONS[0], False)),
        (encode_contact_deleted(ID), ContactDeleted()),
    ],
)  # fmt: skip
def test_what_we_write_is_read(body: bytes, expected: ChatEvent) -> None:
    [message] = decode_messages(body)
    assert message.event == expected
    assert message.versions == VersionRange(1, 16)


def test_a_reply_quotes_the_original() -> None:
    quote = Quote(OTHER, by_sender=True, text="what I said")
    body = encode_text("as I said", ID, quotation(quote, 1_700_000_000.9))
    assert b'"sentAt":"2023-11-14T22:13:20Z"' in body
    [message] = decode_messages(body)
    assert message.event == TextMessage("as I said", ID, quote)


def test_a_long_quote_is_cut() -> None:
    quoted = quotation(Quote(OTHER, by_sender=False, text="a" * 10_000), 0)
    assert quoted["content"]["text"] == "a" * 499 + "…"


@pytest.mark.parametrize("quote", [None, 3, {}, {"msgRef": []}, {"content": {"type": "text", "text": "a"}}])
def test_a_reply_with_a_strange_quote_is_a_message_all_the_same(quote: object) -> None:
    params = {"content": {"type": "text", "text": "a"}, "quote": quote}
    assert event("x.msg.new", params, msgId=ID) == TextMessage("a", ID)


def test_a_quote_may_lack_the_id() -> None:
    params = {"content": {"type": "text", "text": "a"}, "quote": {"msgRef": {"sent": False}, "content": None}}
    assert event("x.msg.new", params) == TextMessage("a", None, Quote(None, False, ""))


def test_unknown_keys_of_a_message_are_tolerated() -> None:
    params = {
        "content": {"type": "text", "text": "a"}, "timer": 60, "live": True, "forward": True, "mentions": {},
        "scope": 1,
    }  # fmt: skip
    assert event("x.msg.new", params, msgId=ID) == TextMessage("a", ID, live=True, forwarded=True)


@pytest.mark.parametrize("flag", [1, "true", {}, None, False])
def test_only_true_is_a_flag(flag: object) -> None:
    params = {"content": {"type": "text", "text": "a"}, "live": flag, "forward": flag}
    assert event("x.msg.new", params, msgId=ID) == TextMessage("a", ID)


def test_what_a_group_passes_on_has_an_author_and_a_time() -> None:
    inner = {"event": "x.msg.new", "msgId": ID, "params": {"content": {"type": "text", "text": "a"}}}
    params = {"memberId": OTHER, "memberName": "carol", "msg": inner, "msgTs": "2023-11-14T22:13:20.123456789Z"}
    assert event("x.grp.msg.forward", params) == Relayed("carol", TextMessage("a", ID), 1_700_000_000.123456)
    del params["memberName"], params["msgTs"]
    assert event("x.grp.msg.forward", params) == Relayed(OTHER[:7], TextMessage("a", ID), None, OTHER)
    del params["memberId"]
    assert event("x.grp.msg.forward", params) == Relayed("the group", TextMessage("a", ID), None)


@pytest.mark.parametrize("moment", ["", "yesterday", 3, None, "9" * 50, "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none_leaves_the_relays(moment: object) -> None:
    inner = {"event": "x.msg.del", "params": {"msgId": ID}}
    params = {"memberName": "carol", "msg": inner, "msgTs": moment}
    found = event("x.grp.msg.forward", params)
    assert isinstance(found, Relayed) and found.event == MessageDeletion(ID)


@pytest.mark.parametrize(
    "inner",
    [
        None, [], {}, {"event": "y", "params": {}}, {"event": "x.msg.new", "params": {}},
        {"event": "x.grp.msg.forward", "params": {"msg": {"event": "x.direct.del", "params": {}}}},
        {"event": "x.\ud800", "params": {}},
    ],
)  # fmt: skip
def test_what_a_group_passes_on_is_never_nested_and_never_nonsense(inner: object) -> None:
    found = event("x.grp.msg.forward", {"memberName": "carol", "msg": inner})
    assert isinstance(found, UnsupportedEvent) and found.name.startswith("x.grp.msg.forward")


def test_a_forwarded_text_says_so() -> None:
    body = encode_text("a", ID, forwarded=True)
    assert b'"params":{"content":{"text":"a","type":"text"},"forward":true}' in body
    [message] = decode_messages(body)
    assert message.event == TextMessage("a", ID, forwarded=True)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("x.msg.new", {}),
        ("x.msg.new", {"content": {"text": "a"}}),
        ("x.msg.update", {"content": {"type": "text", "text": "a"}}),
        ("x.msg.update", {"msgId": ID}),
        ("x.msg.del", {}),
        ("x.msg.del", {"msgId": 7}),
        ("x.msg.react", {"msgId": ID, "reaction": {"type": "emoji", "emoji": "\u2764\ufe0f"}, "add": True}),
        ("x.msg.react", {"msgId": ID, "reaction": {"type": "emoji", "emoji": "\U0001f4a9"}, "add": True}),
        ("x.msg.react", {"msgId": ID, "reaction": {"type": "emoji", "emoji": {"a": []}}, "add": True}),
        ("x.msg.react", {"msgId": ID, "reaction": {"type": "emoji", "emoji": REACTIONS[0]}, "add": 1}),
        ("x.msg.react", {"msgId": ID, "add": True}),
        ("x.ok", {}),
        ("x.info.probe", {"probe": "AAAA"}),
        ("x.call.inv", {"callId": "AAAA"}),
        ("x.grp.inv", {}),
        ("x.something.new", {"text": "a"}),
    ],
)
def test_what_says_nothing_to_us_is_ignored(name: str, params: dict[str, Any]) -> None:
    assert event(name, params) == UnsupportedEvent(name)


def test_a_profile_without_a_name_is_none() -> None:
    assert event("x.info", {"profile": {"fullName": "A"}}) == ProfileInfo(None)
    assert event("x.info", {}) == ProfileInfo(None)
    assert event("x.contact", {"profile": 3}) == ContactRequest(None, None)


def test_a_request_may_bring_a_text() -> None:
    params = {
        "profile": {"displayName": "Bob", "fullName": ""},
        "contactReqId": "cmVx",
        "content": {"type": "text", "text": "please"},
    }
    assert event("x.contact", params) == ContactRequest(Profile("Bob"), "cmVx", "please")


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (encode_contact_request(ContactRequest(Profile("Bob"), OTHER)), ContactRequest(Profile("Bob"), OTHER)),
        (encode_profile(Profile("Bob")), ContactRequest(Profile("Bob"), None)),
        (
            compress_body(encode_contact_request(ContactRequest(Profile("Bob"), OTHER))),
            ContactRequest(Profile("Bob"), OTHER),
        ),
    ],
    ids=["x.contact", "x.info", "compressed"],
)
def test_who_asks_to_be_a_contact(info: bytes, expected: ContactRequest) -> None:
    assert decode_contact_request(info) == (expected, CHAT_VERSIONS)


@pytest.mark.parametrize(
    "info",
    [
        b"",
        b"hello",
        b"{}",
        b"[]",
        b"F",
        encode_text("hello", ID),
        b'{"event":"x.contact","params":{}}',
        b'{"event":"x.contact","params":{"profile":{"displayName":""}}}',
        b'{"event":"x.info","params":{"profile":{"fullName":"Bob"}}}',
    ],
)
def test_what_is_no_contact_request(info: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_contact_request(info)


def test_halves_of_surrogate_pairs_never_get_through() -> None:
    [message] = decode_messages(
        b'{"msgId":"\\ud800","event":"x.msg.new","params":{"content":{"type":"text","text":"\\ud800"}}}'
    )
    assert message.event == TextMessage("\ufffd", None)
    [message] = decode_messages(
        b'{"event":"x.info","params":{"profile":{"displayName":"\\udfff","fullName":"\\ud8ff"}}}'
    )
    assert message.event == ProfileInfo(Profile("\ufffd", "\ufffd"))
    [message] = decode_messages(b'{"event":"x.\\ud800","params":{}}')
    assert message.event == UnsupportedEvent("x.\ufffd")


def test_an_unreadable_part_is_ignored_beside_the_others() -> None:
    bad, good = decode_messages(b"[3," + encode_text("a", ID) + b"]")
    assert isinstance(bad.event, UnsupportedEvent)
    assert good.event == TextMessage("a", ID)


@pytest.mark.parametrize(
    ("said", "ttl"), [(5, 5), (5.0, 5), (0, 0), (-3, 0), (10**30, MAX_TTL), (1.5, None), (True, None), ("5", None)]
)
def test_a_time_to_live_is_a_whole_number_in_bounds(said: object, ttl: int | None) -> None:
    params = {"content": {"type": "text", "text": "a"}, "ttl": said, "msgId": OTHER}
    assert event("x.msg.new", params, msgId=ID) == TextMessage("a", ID, ttl=ttl)
    assert event("x.msg.update", params) == MessageUpdate(OTHER, "a", ttl=ttl)


class TestLinks:
    def test_a_welcome_text_stands_behind_a_link(self) -> None:
        info = encode_link_info(Profile("Ann"), "Welcome, *dear* guest")
        assert decode_link_info(info) == LinkInfo(Profile("Ann"), "Welcome, *dear* guest")
        assert b'"message":{"type":"text","text":"Welcome, *dear* guest"},"business":false}' in info
        assert b"message" not in encode_link_info(Profile("Ann"))

    @pytest.mark.parametrize("message", [None, 5, [], {}, {"type": 5}, {"type": "text", "text": ["a"]}])
    def test_what_is_no_welcome_is_none(self, message: object) -> None:
        info = json.dumps({"profile": {"displayName": "Ann"}, "message": message}).encode()
        assert decode_link_info(info) == LinkInfo(Profile("Ann"))

    def test_a_welcome_is_bounded(self) -> None:
        info = write_user_json({"profile": {"displayName": "Ann"}, "message": {"type": "text", "text": "a" * 50_000}})
        found = decode_link_info(info)
        assert found is not None and len(found.welcome) == MAX_WELCOME
