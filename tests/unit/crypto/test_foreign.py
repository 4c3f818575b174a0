from __future__ import annotations

import warnings

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from smpchat.crypto.errors import CryptoError
from smpchat.crypto.foreign import ForeignBytesError, foreign_bytes


class PanicException(BaseException):
    """By the name of what Rust raises through Python."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\nlines"), "two lines"),
        (UnsupportedAlgorithm("of some kind"), "of some kind"),
        (x509.InvalidVersion("9 is not a version", 9), "9 is not a version"),
        (KeyError("\x1b[2J"), "'"),
        (RuntimeError(), "RuntimeError"),
        (ValueError("h\u00e9"), "ValueError"),
        (PanicException("index out of bounds"), "crashed"),
    ],
)
def test_whatever_the_library_raises_is_one_error(error: BaseException, said: str) -> None:
    with pytest.raises(ForeignBytesError) as caught, foreign_bytes():
        raise error
    assert said in str(caught.value) and str(caught.value).isprintable() and len(str(caught.value)) <= 100
    assert isinstance(caught.value, CryptoError)


def test_what_means_something_else_goes_on() -> None:
    with pytest.raises(InvalidSignature), foreign_bytes(InvalidSignature):
        raise InvalidSignature
    with pytest.raises(KeyboardInterrupt), foreign_bytes():
        raise KeyboardInterrupt


def test_nothing_is_said_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with foreign_bytes():
        warnings.warn("a serial number that is not positive", stacklevel=1)
    assert capsys.readouterr().err == ""
