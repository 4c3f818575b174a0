"""Errors of the crypto layer; the package docstring shows their tree."""


class CryptoError(Exception):
    """Something cryptographic failed. The text of the error never contains key bytes or plaintext."""


class KeyFormatError(CryptoError, ValueError):
    """The bytes are not a key of a known kind."""


class VerificationError(CryptoError):
    """A signature, authenticator or authentication tag does not verify."""


class WrongPassphrase(CryptoError):
    """The data was encrypted with another passphrase."""


class PaddingError(CryptoError, ValueError):
    """A padded message has a wrong length field, or a message is too long for the padded length."""
