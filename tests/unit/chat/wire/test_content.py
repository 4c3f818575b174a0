from __future__ import annotations

import pytest

from smpchat.chat.wire.content import describe, whole


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
        ({"type": "file", "text": "for you"}, {"fileName": "a.pdf", "fileSize": 12}, "[file a.pdf, 12 bytes] for you"),
        ({"type": "text", "text": "yours"}, {"fileName": "a.pdf", "fileSize": 5 << 30}, "[file a.pdf, 5 GiB] yours"),
        ({"type": "file", "text": ""}, {"fileName": 3, "fileSize": -1}, "[file]"),
        ({"type": "report", "text": "bad words", "reason": "spam"}, None, "[report spam] bad words"),
        ({"type": "chat", "text": "https://smp.example/a#x", "chatLink": {}}, None,
         "[contact link] https://smp.example/a#x"),
        ({"type": "hologram", "text": "boo"}, None, "boo"),
        ({"type": "hologram"}, None, "[hologram]"),
        ({"type": "voice", "text": 3, "duration": "long"}, None, "[voice message]"),
    ],
)  # fmt: skip
def test_every_type_is_reduced_to_its_text(content: object, file: object, expected: str) -> None:
    assert describe(content, file) == expected


@pytest.mark.parametrize("content", [None, [], "text", {}, {"text": "hello"}, {"type": 3}])
def test_what_is_no_content(content: object) -> None:
    assert describe(content) is None


def test_a_files_name_stays_on_one_line_and_is_cut() -> None:
    name = "../../.bashrc\nalice: yes\x1b[2J" + "a" * 1000
    note = describe({"type": "file", "text": ""}, {"fileName": name, "fileSize": 1})
    assert note is not None and len(note) < 130
    assert note.startswith("[file ../../.bashrc alice: yes [2Jaaa")
    assert "\n" not in note and "\x1b" not in note


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert whole("a\ud800b\udc00\U0001f600") == "a\ufffdb\ufffd\U0001f600"
    assert describe({"type": "text", "text": "\ud83d"}) == "\ufffd"
    assert describe({"type": "\udfff"}) == "[\ufffd]"
