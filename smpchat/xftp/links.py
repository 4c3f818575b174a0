"""Links to files, and descriptions that point to another one because it would not fit into a link (xftp-wire 4.1)."""

from __future__ import annotations

import hmac

from smpchat.encoding.patterns import late
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field
from smpchat.encoding.text import read_query, write_query
from smpchat.xftp.description import MAX_TEXT, FileDescription, Redirect, read_description, write_description

MAX_LINK = 3 * MAX_TEXT
"""Longest link in characters: each character of a description may be written as three."""
REDIRECT_NAME = "redirect.yaml"
_LINK = late(r"(?:simplex:/|https://[^/#?\s]{1,255}/)file/?#/?\?(?P<query>.*)")


class FileLink(Record):
    """A link: the file, and other data that the program that made the link wrote into it."""

    description: FileDescription
    data: str | None = field(default=None, repr=False)


def read_file_link(text: str) -> FileLink:
    """Reads a link to a file. Raises `DecodeError`."""
    if len(text) > MAX_LINK:
        raise DecodeError(f"the link is {len(text):,} characters long, and the limit is {MAX_LINK:,}")
    match = _LINK().fullmatch(text.strip())
    if not match:
        raise DecodeError("a link to a file begins with simplex:/file#/?desc=")
    query = read_query(match["query"])
    if "desc" not in query:
        raise DecodeError("there is no description in the link")
    return FileLink(read_description(query["desc"]), query.get("data"))


def write_file_link(link: FileLink) -> str:
    """``simplex:/file#/?desc=…``."""
    parameters = [("desc", write_description(link.description))]
    if link.data is not None:
        parameters.append(("data", link.data))
    return f"simplex:/file#/?{write_query(parameters)}"


def redirect_to(description: FileDescription) -> Redirect:
    """The redirect for the description of a file that contains this description."""
    return Redirect(description.size, description.digest)


def follow(redirect: Redirect, content: bytes) -> FileDescription:
    """The file to which a description points.

    Args:
        content: Content of the file that the description with ``redirect`` names.
    Raises:
        DecodeError: It is not a description, describes another file, or points further.
    """
    if len(content) > MAX_TEXT:
        raise DecodeError("the description that the link leads to is too long")
    try:
        description = read_description(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise DecodeError("the description that the link leads to is invalid") from None
    if description.redirect is not None:
        raise DecodeError("the description leads to another description, which leads to yet another")
    same = hmac.compare_digest(description.digest, redirect.digest)
    if description.size != redirect.size or not same:
        raise DecodeError("the description leads to the description of another file")
    return description
