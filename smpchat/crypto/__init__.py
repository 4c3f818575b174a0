"""Keys, boxes, key agreement and the double ratchet. Pure: randomness comes in as an `Entropy` argument.

Errors::

    CryptoError             root of the layer; messages never contain key bytes or plaintext
    ├── KeyFormatError      bytes that are not a key of a known kind
    ├── VerificationError   a signature, authenticator or tag does not verify
    ├── WrongPassphrase     sealed with another passphrase
    ├── PaddingError        a padded message whose length field is wrong, or a message too long to pad
    └── RatchetError        see `smpchat.crypto.ratchet`
"""
