"""Links to files, and descriptions that lead to others."""

from __future__ import annotations

import pytest

from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import replace
from smpchat.encoding.text import percent_encode
from smpchat.xftp.description import MAX_TEXT, Party, Redirect, write_description
from smpchat.xftp.links import MAX_LINK, FileLink, follow, read_file_link, redirect_to, write_file_link
from tests.unit.xftp.test_description import ONE, TEXT, TWO

QUERY = f"desc={percent_encode(TEXT)}"


@pytest.mark.parametrize("link", [FileLink(ONE), FileLink(TWO, '{"a":"b&c=d"}')])
def test_a_link_is_read_as_written(link: FileLink) -> None:
    assert read_file_link(write_file_link(link)) == link


@pytest.mark.parametrize(
    "start",
    ["simplex:/file#/?", "simplex:/file/#/?", "simplex:/file#?", "https://host.example/file#/?", " simplex:/file#/?"],
)
def test_each_form_is_read(start: str) -> None:
    assert read_file_link(start + QUERY).description == ONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "simplex:/file",
        "simplex:/file#/?data=x",
        "simplex:/invitation#/?" + QUERY,
        "http://host/file#/?" + QUERY,
        "https://host/path/file#/?" + QUERY,
        "simplex:/file#/?desc=%FF",
        "simplex:/file#/?desc=" + percent_encode(write_description(replace(ONE, party=Party.SENDER))),
        "simplex:/file#/?desc=" + "a" * MAX_LINK,
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        read_file_link(text)


def test_a_redirect_leads_to_the_file_that_it_names() -> None:
    assert follow(redirect_to(TWO), write_description(TWO).encode()) == TWO


@pytest.mark.parametrize(
    ("redirect", "content"),
    [
        (redirect_to(ONE), write_description(TWO).encode()),
        (Redirect(TWO.size, bytes([1]) * 64), write_description(TWO).encode()),
        (Redirect(TWO.size + 1, TWO.digest), write_description(TWO).encode()),
        (redirect_to(TWO), write_description(replace(TWO, redirect=redirect_to(ONE))).encode()),
        (redirect_to(TWO), b"\xff"),
        (redirect_to(TWO), b"#" * (MAX_TEXT + 1)),
        (redirect_to(TWO), b""),
    ],
)
def test_a_redirect_to_anything_else_is_refused(redirect: Redirect, content: bytes) -> None:
    with pytest.raises(DecodeError):
        follow(redirect, content)
