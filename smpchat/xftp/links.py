"""Links to files, and redirects (xftp-wire 4.1).

A link to a file contains the description of the file. A description that is too long for a link is uploaded as a
second file. In this case, the link contains the description of the second file, with a redirect: the size and digest of
the first file.
"""

from __future__ import annotations

import hmac

from smpchat.encoding.patterns import late
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field
from smpchat.encoding.text import read_query, write_query
from smpchat.xftp.description import MAX_TEXT, FileDescription, Redirect, read_description, write_description

MAX_LINK = 3 * MAX_TEXT
"""Longest link in characters: in a link, each character of a description may become three, such as ``%0A``."""
REDIRECT_NAME = "redirect.yaml"
_LINK = late(r"(?:simplex:/|https://[^/#?\s]{1,255}/)file/?#/?\?(?P<query>.*)")


class FileLink(Record):
    """A link to a file. It contains the description of the file, and may contain ``data``, which the program that made
    the link has added."""

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
    """Write a link as ``simplex:/file#/?desc=…``."""
    parameters = [("desc", write_description(link.description))]
    if link.data is not None:
        parameters.append(("data", link.data))
    return f"simplex:/file#/?{write_query(parameters)}"


def redirect_to(description: FileDescription) -> Redirect:
    """A redirect to the file of ``description``. Put it into the description of a second file, which contains
    ``description`` as text."""
    return Redirect(description.size, description.digest)


def follow(redirect: Redirect, content: bytes) -> FileDescription:
    """The description to which a redirect leads.

    Args:
        content: The bytes of the downloaded file. The description of this file contains ``redirect``.
    Raises:
        DecodeError: ``content`` is not a description, is the description of a file whose size or digest differs from
            the one in ``redirect``, or contains a second redirect.
    """
    if len(content) > MAX_TEXT:
        raise DecodeError("the description that the link leads to is too long")
    try:
        description = read_description(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise DecodeError("the description that the link leads to is invalid") from None
    if description.redirect is not None:
        raise DecodeError("the description leads to a second one, which leads to a third")
    same = hmac.compare_digest(description.digest, redirect.digest)
    if description.size != redirect.size or not same:
        raise DecodeError("the description leads to the description of another file")
    return description
