"""Keys, encryption, key agreement and the double ratchet. All functions are pure, except those of `kem`: they get
randomness as an argument (`Entropy`).

Errors::

    CryptoError             base class; its messages never contain key bytes or plaintext
    ├── KeyFormatError      bytes that are not a key of a known kind
    ├── VerificationError   a signature, authenticator or tag does not verify
    ├── WrongPassphrase     the data was encrypted with another passphrase
    ├── PaddingError        the length field of a padded message is wrong, or a message is too long to pad
    └── RatchetError        see `smpchat.crypto.ratchet`
"""
