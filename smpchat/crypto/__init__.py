"""Keys, encryption, key agreement and the double ratchet, as pure functions. A function that needs randomness gets it
as an argument (`Entropy`). Only the functions of `kem` take their randomness from the operating system.

In comments, *the reference* is simplexmq, the official implementation.

Errors::

    CryptoError             base class; its messages never contain key bytes or plaintext
    ├── KeyFormatError      bytes that are not a key of a known kind
    ├── VerificationError   a signature, authenticator or tag does not verify
    ├── WrongPassphrase     the data was encrypted with another passphrase
    ├── PaddingError        the length field of a padded message is wrong, or a message is too long to pad
    ├── KEMUnavailable      the package for the KEM is not installed, see `smpchat.crypto.kem`
    ├── ForeignBytesError   a certificate or key cannot be read, see `smpchat.crypto.foreign`
    └── RatchetError        see `smpchat.crypto.ratchet_errors`
"""
