"""Handles errors of `cryptography` for bytes from other people: all of them become one error of ours.

A certificate can contain anything: a version that does not exist, a key of an unknown algorithm, an extension twice.
The library has an error class for each of these. Some are not a `ValueError`, and new releases bring new ones. It also
prints warnings with words from the certificate on our terminal. So this module only names the errors that must not be
caught.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from smpchat.crypto.errors import CryptoError


class ForeignBytesError(CryptoError):
    """Bytes that are not a certificate or key, or one with parts that are not understood."""


@contextmanager
def foreign_bytes(*passed: type[Exception]) -> Iterator[None]:
    """Run calls of `cryptography` on bytes that others chose.

    Args:
        passed: Errors with another meaning, which are not changed.
    Raises:
        ForeignBytesError: The library did not understand them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except passed:
            raise
        except Exception as error:
            raise ForeignBytesError(_reason(error)) from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of its Rust, which is no `Exception`
                raise
            raise ForeignBytesError("the library for certificates gave up") from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:100] if text.isascii() and text.isprintable() and text else type(error).__name__
