"""Inputs of the test vectors of smp-wire 10, which were computed independently of this code."""

from __future__ import annotations

from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey

A = X25519PrivateKey(bytes(range(32)))
B = X25519PrivateKey(bytes(range(32, 64)))
SIGNER = Ed25519PrivateKey(bytes(range(32)))
SECRET = A.exchange(B.public())
NONCE = bytes(range(24))
SESSION_ID = b"\x11" * 32
ENTITY = b"\x22" * 24
TIME = 1_700_000_000
