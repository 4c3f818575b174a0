"""What a search takes for the same, and what it keeps apart."""

from __future__ import annotations

import pytest

from smpchat.chat.wire.folding import contains, folded, words_of


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("See you at the Café", "cafe"),
        ("see you at the cafe\u0301", "CAFÉ"),
        ("Straße", "STRASSE"),
        ("ΟΔΟΣ", "οδος"),
        ("ёлка", "ЕЛКА"),
        ("smørrebrød i Łódź", "lodz smorrebrod"),
        ("İstanbul, \u0131ş\u0131k", "istanbul isik"),
        ("你好、世界", "世界"),
        ("한국어", "국어"),
        ("שָׁלוֹם", "שלום"),
        ("the office ﬁle", "file OFFICE"),
        ("soft\u00adware", "software"),
        ('she said "no" AND left*', '"no" AND left*'),
        ("before\0after", "after"),
        ("anything", " \t\n"),
        ("zwölf Boxkämpfer", "kämpf"),
    ],
)
def test_found(text: str, query: str) -> None:
    assert contains(text, words_of(query))


@pytest.mark.parametrize(
    ("text", "query"),
    [("hello", "hello world"), ("か", "が"), ("कि", "कु"), ("a b", "ab"), ("100 %", "100 _"), ("", "a")],
)
def test_another_word(text: str, query: str) -> None:
    assert not contains(text, words_of(query))


def test_each_word_is_looked_for_once() -> None:
    assert words_of("Été  ete\nhiver") == ("ete", "hiver")


def test_folding_twice_changes_nothing() -> None:
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000)]))
    once = folded(everything)
    assert folded(once) == once
