from __future__ import annotations

import pytest

from smpchat.chat.wire.content import Content, Preview, describe, read_content, whole

LINK = "https://127.0.0.1/a#8rVjJwSnGmNvFVv0zGqD2cV10ACFbTEm8mino9SiDt4"
TEAM = {"displayName": "team"}


@pytest.mark.parametrize(
    ("content", "file", "expected"),
    [
        ({"type": "text", "text": "hello"}, None, "hello"),
        ({"type": "text", "text": ""}, None, ""),
        ({"type": "text"}, None, ""),
        ({"type": "link", "text": "see https://a.example", "preview": {"uri": "https://b.example"}}, None,
         "see https://a.example"),
        ({"type": "link", "text": "", "preview": {"uri": "https://b.example"}}, None, "https://b.example"),
        ({"type": "image", "text": "", "image": "data:image/jpg;base64,AAAA"}, None, "[image]"),
        ({"type": "image", "text": "the beach", "image": "…"}, {"fileName": "p.jpg", "fileSize": 120_000},
         "[image p.jpg, 117 KiB] the beach"),
        ({"type": "video", "text": "", "duration": 75}, {"fileName": "v.mp4", "fileSize": 5 << 20},
         "[video v.mp4, 5 MiB, 1:15]"),
        ({"type": "voice", "text": "", "duration": 5}, None, "[voice message 0:05]"),
        ({"type": "voice", "text": "", "duration": 360_000}, None, "[voice message 6000:00]"),
        ({"type": "voice", "text": "", "duration": 360_001}, None, "[voice message]"),
        ({"type": "file", "text": "for you"}, {"fileName": "a.pdf", "fileSize": 12}, "[file a.pdf, 12 bytes] for you"),
        ({"type": "text", "text": "yours"}, {"fileName": "a.pdf", "fileSize": 5 << 30}, "[file a.pdf, 5 GiB] yours"),
        ({"type": "file", "text": ""}, {"fileName": 3, "fileSize": -1}, "[file]"),
        ({"type": "report", "text": "bad words", "reason": "spam"}, None, "[report spam] bad words"),
        ({"type": "chat", "text": "https://smp.example/a#x", "chatLink": {}}, None,
         "[contact link] https://smp.example/a#x"),
        ({"type": "hologram", "text": "boo"}, None, "boo"),
        ({"type": "hologram"}, None, "[hologram]"),
        ({"type": "voice", "text": 3, "duration": "long"}, None, "[voice message]"),
        ({"type": "voice", "duration": True}, {"fileName": "a", "fileSize": True}, "[voice message a]"),
        ({"type": "file"}, {"fileName": "a", "fileSize": 0}, "[file a, 0 bytes]"),
        ({"type": "file"}, {"fileName": "a", "fileSize": 1}, "[file a, 1 byte]"),
        ({"type": "file"}, {"fileName": "a", "fileSize": 1024}, "[file a, 1 KiB]"),
    ],
)  # fmt: skip
def test_every_type_is_reduced_to_its_text(content: object, file: object, expected: str) -> None:
    assert describe(content, file) == expected


@pytest.mark.parametrize(
    ("card", "text", "expected"),
    [
        ({"type": "contact", "connLink": LINK, "profile": {"displayName": "ann"}}, "", f"[contact link ann: {LINK}]"),
        ({"type": "contact", "connLink": LINK, "business": True}, "", f"[business link: {LINK}]"),
        ({"type": "invitation", "invLink": LINK}, "for you", f"[one-time link: {LINK}] for you"),
        ({"type": "group", "connLink": LINK, "groupProfile": TEAM}, "", f"[group link team: {LINK}]"),
        ({"type": "group", "connLink": LINK, "groupProfile": TEAM}, f"join {LINK}", f"[group link team] join {LINK}"),
        ({"type": "relay", "connLink": LINK}, "", f"[link: {LINK}]"),
        ({"type": "contact", "connLink": {"connFullLink": "simplex:/contact#/?v=2", "connShortLink": LINK}}, "",
         f"[contact link: {LINK}]"),
        ({"type": "contact", "connLink": {"connFullLink": LINK}}, "", f"[contact link: {LINK}]"),
        ({"type": "contact", "connLink": "a b"}, "", "[contact link]"),
        ({"type": "contact", "connLink": "https://a\x1b[2J"}, "", "[contact link]"),
        ({"type": "contact", "connLink": "h" * 5000}, "", "[contact link]"),
        ({"type": ["contact"], "connLink": 3, "profile": "ann"}, "", "[contact link]"),
        (None, "", "[contact link]"),
    ],
)  # fmt: skip
def test_a_card_shows_name_and_link(card: object, text: str, expected: str) -> None:
    read = read_content({"type": "chat", "text": text, "chatLink": card})
    assert read is not None and read[0] == expected
    assert read[1].kind == "chat" and f"{read[1].note} {text}".rstrip() == expected


def test_a_preview_is_kept_apart_from_the_text() -> None:
    preview = {"uri": "https://a.example", "title": "A\nTitle", "description": "d" * 1000, "image": "…"}
    read = read_content({"type": "link", "text": "see it", "preview": preview})
    assert read == ("see it", Content("link", "", Preview("https://a.example", "A Title", "d" * 299 + "…")))


@pytest.mark.parametrize("preview", [None, [], {}, {"title": 3}, {"title": "", "uri": "", "description": ""}])
def test_a_preview_that_says_nothing(preview: object) -> None:
    assert read_content({"type": "link", "text": "a", "preview": preview}) == ("a", Content("link"))


@pytest.mark.parametrize(
    ("content", "file", "kind", "note"),
    [
        ({"type": "text", "text": "[image a.jpg, 4.88 KiB]"}, None, "text", ""),
        ({"type": "image", "text": "a"}, {"fileName": "a.jpg", "fileSize": 5000}, "image", "[image a.jpg, 4.88 KiB]"),
        ({"type": "text", "text": "a"}, {"fileName": "a"}, "file", "[file a]"),
        ({"type": "hologram", "text": "a"}, None, "hologram", ""),
        ({"type": "hologram"}, None, "hologram", "[hologram]"),
        ({"type": "x" * 1000}, None, "x" * 39 + "…", f"[{'x' * 99}…]"),
        ({"type": ""}, None, "unknown", "[]"),
        ({"type": "a\x1b\nb", "text": "t"}, None, "a  b", ""),
        ({"type": "call", "text": "called you"}, None, "unknown", ""),
        ({"type": "group-invitation"}, None, "unknown", "[group-invitation]"),
        ({"type": "group-event", "text": "[left]"}, None, "unknown", ""),
    ],
)  # fmt: skip
def test_what_kind_a_message_is_and_what_of_it_is_a_note(content: object, file: object, kind: str, note: str) -> None:
    read = read_content(content, file)
    assert read is not None and (read[1].kind, read[1].note) == (kind, note)
    assert read[0].startswith(note)


@pytest.mark.parametrize("content", [None, [], "text", {}, {"text": "hello"}, {"type": 3}])
def test_what_is_no_content(content: object) -> None:
    assert describe(content) is None


def test_a_files_name_stays_on_one_line_and_is_cut() -> None:
    name = "../../.bashrc\nalice: yes\x1b[2J" + "a" * 1000
    note = describe({"type": "file", "text": ""}, {"fileName": name, "fileSize": 1})
    assert note is not None and len(note) < 130
    assert note.startswith("[file ../../.bashrc alice: yes (2Jaaa")
    assert "\n" not in note and "\x1b" not in note


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert whole("a\ud800b\udc00\U0001f600") == "a\ufffdb\ufffd\U0001f600"
    assert describe({"type": "text", "text": "\ud83d"}) == "\ufffd"
    assert describe({"type": "\udfff"}) == "[\ufffd]"
