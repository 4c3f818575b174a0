# ruff: noqa: RUF001 - letters that look alike are what this is about
from __future__ import annotations

import time

import pytest

from smpchat.chat.errors import InputError
from smpchat.chat.wire.alias import RESERVED, alias_from_name, check_alias, fold, is_reserved, looks, nearest

LIKE_YOU = ["you", "YOU", "Ｙｏｕ", "уоu", "YОU", "you\ufe0f", " you ", "@you", "-you", "𝐲𝐨𝐮"]


@pytest.mark.parametrize("name", [*sorted(RESERVED), *LIKE_YOU, "12", "１２", "٣"])
def test_no_name_becomes_a_word_of_ours(name: str) -> None:
    alias = alias_from_name(name)
    assert alias.endswith("_2") and not is_reserved(alias)


@pytest.mark.parametrize("name", ["you", "Me", "уоu", "@you", "７", "Relay"])
def test_the_user_cannot_choose_such_a_word_either(name: str) -> None:
    with pytest.raises(InputError, match="smpchat uses"):
        check_alias(name)


@pytest.mark.parametrize("name", ["young", "meg", "bob", "Zoë", "all_of_us", "li", "you_2", "contact", "b2", "日本"])
def test_other_names_stay(name: str) -> None:
    assert alias_from_name(name) == check_alias(name) == name


def test_an_at_sign_in_front_is_no_part_of_it() -> None:
    assert check_alias("@zoe") == "zoe"


@pytest.mark.parametrize(
    ("one", "other"), [("Bob", "bOB"), ("Zoë", "ZOE\u0308"), ("straße", "STRASSE"), ("ΣΑΣ", "σας"), ("é", "e\u0301")]
)
def test_the_same_alias_in_other_letters(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "аlice"),  # Cyrillic
        ("ALICE", "ΑLICE"),  # Greek
        ("bob", "b0b"),
        ("lan", "Ian"),
        ("ivan", "Ivаn"),  # a capital that looks like l, beside a Cyrillic letter
        ("bill", "biIl"),
        ("mary", "rnary"),
        ("bob", "ｂｏｂ"),
        ("bob", "𝐛ob"),
        ("bob", "bob\ufe0f"),
        ("bob", "ΒОΒ"),
        ("a|ice", "alice"),
        ("x-y", "x‐y"),
    ],
)
def test_names_that_look_alike(one: str, other: str) -> None:
    assert looks(one) & looks(other)


@pytest.mark.parametrize(("one", "other"), [("alice", "alike"), ("bob", "rob"), ("zoe", "zoë"), ("Ian", "Jan")])
def test_names_that_do_not(one: str, other: str) -> None:
    assert not looks(one) & looks(other)


def test_what_somebody_may_have_meant() -> None:
    known = ["alice", "alan", "bob", "carol"]
    assert nearest("alcie", known) == ["alice"]
    assert nearest("al", known) == ["alan", "alice"]
    assert nearest("b0b", known) == ["bob"]
    assert nearest("аlice", known)[0] == "alice"
    assert nearest("zzz", known) == []
    assert nearest("x" * 1_000_000, known) == []


def test_the_time_for_a_name_does_not_grow_with_it() -> None:
    began = time.perf_counter()
    for letter in ("\u0301", "a\u0301", "x", "\u200b", " ", "m", "\ufe0f"):
        assert len(alias_from_name(letter * 200_000)) <= 40
    assert time.perf_counter() - began < 2


def test_ascii_looks_alone_as_it_does_beside_other_letters() -> None:
    """Of names of ASCII alone the whole table of letters that look alike is not read."""
    [other] = looks("я")
    for letter in map(chr, range(32, 127)):
        assert looks(letter + "я") == {seen + other for seen in looks(letter)}, letter
