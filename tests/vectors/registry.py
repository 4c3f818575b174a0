"""The formats of known answers, and what tells them apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tests.vectors.check import Check, Document
from tests.vectors.formats import crypto


class Format(Protocol):
    """What each module of `tests.vectors.formats` offers."""

    def recognises(self, document: Document) -> bool:
        """Whether ``document`` has this format. Never raises, whatever the document."""
        ...

    def checks(self, document: Document) -> Iterator[Check]:
        """One check for each known answer in a document that `recognises` accepted."""
        ...


FORMATS: tuple[Format, ...] = (crypto,)


class UnknownFormat(Exception):
    """A document is of none of the formats."""


def checks_of(document: Document) -> list[Check]:
    """Every check in ``document``.

    Raises:
        UnknownFormat: No format recognises it, or it holds no known answer.
    """
    for known in FORMATS:
        if known.recognises(document):
            found = list(known.checks(document))
            if found:
                return found
            raise UnknownFormat("no known answers in it")
    raise UnknownFormat("unknown format")
