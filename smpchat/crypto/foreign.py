"""Where the bytes of others meet `cryptography`: whatever it raises for them becomes one error of ours.

A certificate can hold anything: a version that does not exist, a key of an unknown algorithm, an extension twice. The
library has an error class for each, some of them no `ValueError`, and new releases bring new ones; and it warns, with
words out of the certificate, on our terminal. So nothing is named here but what must not be taken for it.
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
        passed: Errors that mean something else, and go on as they are.
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
