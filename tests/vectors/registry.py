"""The formats of known answers, and what tells them apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tests.vectors.check import Check, Document, failing
from tests.vectors.formats import (
    agent,
    app_bodies,
    chat,
    chat_links,
    crypto,
    group_events,
    handshake,
    links,
    ratchet,
    smp,
    trace,
    x3dh,
    xftp,
    xftp_files,
)


class Format(Protocol):
    """What each module of `tests.vectors.formats` offers."""

    def recognises(self, document: Document) -> bool:
        """Whether ``document`` has this format. Never raises, whatever the document."""
        ...

    def checks(self, document: Document) -> Iterator[Check]:
        """One check for each known answer in a document that `recognises` accepted."""
        ...


FORMATS: tuple[Format, ...] = (
    *(
        xftp,
        xftp_files,
        crypto,
        x3dh,
        ratchet,
        smp,
        agent,
        handshake,
        chat_links,
        chat,
        app_bodies,
        group_events,
        trace,
        links,
    ),
)


class UnknownFormat(Exception):
    """A document is of none of the formats."""


def checks_of(document: Document) -> list[Check]:
    """Every check in ``document``.

    Raises:
        UnknownFormat: No format recognises it, or it holds no known answer.
    """
    found = list(each_check(document))
    if not found:
        raise UnknownFormat("no known answers in it")
    return found


def each_check(document: Document) -> Iterator[Check]:
    """Every check in ``document``, one after the other. Raises `UnknownFormat` if no format recognises it."""
    for known in FORMATS:
        if known.recognises(document):
            return _all_checks(known, document)
    raise UnknownFormat("unknown format")


def _all_checks(known: Format, document: Document) -> Iterator[Check]:
    """The format's checks; what is malformed in the middle of a document fails by itself, after what came before."""
    try:
        yield from known.checks(document)
    except Exception as error:  # any error at all: the rest of the document cannot be read
        yield failing("the rest of the file cannot be read", error)
