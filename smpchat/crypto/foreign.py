"""Turns every error that the library `cryptography` raises for other people's bytes into one error of ours.

A certificate can contain anything: a version that does not exist, a key of an unknown algorithm, an extension twice.
For such faults, `cryptography` raises errors of many classes. Not all of them are a `ValueError`, and new releases
bring new classes. So `foreign_bytes` catches every `Exception`, except for the classes that its caller names.
`cryptography` also prints warnings with words from the certificate, which must not reach our terminal.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from smpchat.crypto.errors import CryptoError


class ForeignBytesError(CryptoError):
    """The bytes are not a certificate or key, or `cryptography` does not understand a part of them."""


@contextmanager
def foreign_bytes(*passed: type[Exception]) -> Iterator[None]:
    """A context for calls of `cryptography` with bytes that other people chose.

    Args:
        passed: Classes of errors that stay as they are; all others are turned into `ForeignBytesError`.
    Raises:
        ForeignBytesError: `cryptography` did not understand the bytes.
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
            if type(error).__name__ != "PanicException":  # from the library's Rust code; not an `Exception`
                raise
            raise ForeignBytesError("the library that reads certificates crashed") from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:100] if text.isascii() and text.isprintable() and text else type(error).__name__
