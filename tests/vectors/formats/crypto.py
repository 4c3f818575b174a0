"""Format of ``crypto.json``: one section for each primitive, holding one case or a list of cases."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from smpchat.crypto import kem
from smpchat.crypto.aead import aead_decrypt, aead_encrypt
from smpchat.crypto.box import ChainKey, authenticate, block_chains, cb_decrypt, cb_encrypt, open_box, seal
from smpchat.crypto.box import verify_authenticator as verify_box_authenticator
from smpchat.crypto.kdf import hkdf_sha512
from smpchat.crypto.keys import (
    Ed448PrivateKey,
    Ed448PublicKey,
    Ed25519PrivateKey,
    Ed25519PublicKey,
    X448PrivateKey,
    X448PublicKey,
    X25519PrivateKey,
    X25519PublicKey,
)
from smpchat.crypto.padding import pad, unpad
from smpchat.encoding.codec import large_bytes, short_bytes
from tests.vectors.check import Check, Document, Mismatch, equals, hexadecimal
from tests.vectors.reference import PrivateKind, PublicKind, key_checks, private_key_checks, public_key_checks

BLOCK_CONTENT_LENGTH = 16368

Case = dict[str, Any]


def recognises(document: Document) -> bool:
    """A mapping with at least one section that we know, where the other values are sections or notes."""
    return isinstance(document, dict) and any(isinstance(document.get(name), (dict, list)) for name in _SECTIONS)


def checks(document: Document) -> Iterator[Check]:
    """Every answer of every section; a section that we do not know is a failure, not a gap."""
    for name, section in document.items():
        if isinstance(section, str):
            continue  # a note
        cases = section if isinstance(section, list) else [section]
        for index, case in enumerate(cases):
            prefix = name if case is section else f"{name}[{index}]"
            if name in _SECTIONS:
                yield from _SECTIONS[name](case, prefix)
            else:
                yield Check(prefix, _unknown_section)


def _unknown_section() -> None:
    raise Mismatch("unknown section")


def _agreement(private: PrivateKind, public: PublicKind) -> Callable[[Case, str], Iterator[Check]]:
    def section(case: Case, name: str) -> Iterator[Check]:
        yield from key_checks(f"{name} a", case["a"], private, public)
        yield from key_checks(f"{name} b", case["b"], private, public)
        expected = hexadecimal(case["dh_secret"])
        for ours, theirs in ("ab", "ba"):
            own: Any = private(hexadecimal(case[ours]["private"]["raw"]))
            peer = public(hexadecimal(case[theirs]["public"]["raw"]))
            yield equals(f"{name}: secret of {ours} with {theirs}", partial(own.exchange, peer), expected)

    return section


def _signature(private: PrivateKind, public: PublicKind) -> Callable[[Case, str], Iterator[Check]]:
    def section(case: Case, name: str) -> Iterator[Check]:
        yield from key_checks(f"{name} keys", case["keys"], private, public)
        message, signature = hexadecimal(case["message"]), hexadecimal(case["signature"])
        signer: Any = private(hexadecimal(case["keys"]["private"]["raw"]))
        verifier: Any = public(hexadecimal(case["keys"]["public"]["raw"]))
        yield equals(f"{name}: signature", partial(signer.sign, message), signature)
        yield Check(f"{name}: signature verifies", partial(verifier.verify, signature, message))

    return section


def _hashes(case: Case, name: str) -> Iterator[Check]:
    message = hexadecimal(case["message"])
    for algorithm in sorted(case.keys() - {"message"}):
        yield equals(f"{name}: {algorithm}", partial(_digest, algorithm, message), hexadecimal(case[algorithm]))


def _digest(algorithm: str, message: bytes) -> bytes:
    return hashlib.new(algorithm, message).digest()


def _hkdf(case: Case, name: str) -> Iterator[Check]:
    salt, ikm, info, expected = (hexadecimal(case[field]) for field in ("salt", "ikm", "info", "okm"))
    yield equals(f"{name}: output", partial(hkdf_sha512, salt, ikm, info, case["length"]), expected)


def _aead(case: Case, name: str) -> Iterator[Check]:
    key, iv, associated, plaintext, tag, ciphertext = (
        hexadecimal(case[field]) for field in ("key", "iv16", "ad", "plaintext", "tag", "ciphertext")
    )

    def encrypted() -> tuple[bytes, bytes]:
        return aead_encrypt(key, iv, associated, pad(plaintext, case["padded_len"]))

    yield equals(f"{name}: tag", lambda: encrypted()[0], tag)
    yield equals(f"{name}: ciphertext", lambda: encrypted()[1], ciphertext)
    yield equals(f"{name}: opens", lambda: unpad(aead_decrypt(key, iv, associated, tag, ciphertext)), plaintext)


def _box(secret: bytes, case: Case, name: str) -> Iterator[Check]:
    nonce, plaintext, ciphertext = (hexadecimal(case[field]) for field in ("nonce", "plaintext", "ciphertext"))
    length = case["padded_len"]
    if "padded" in case:
        padded = hexadecimal(case["padded"])
        yield equals(f"{name}: padded", partial(pad, plaintext, length), padded)
        yield equals(f"{name}: unpadded", partial(unpad, padded), plaintext)
    yield equals(f"{name}: ciphertext", partial(cb_encrypt, secret, nonce, plaintext, length), ciphertext)
    yield equals(f"{name}: opens", partial(cb_decrypt, secret, nonce, ciphertext), plaintext)
    if "ciphertext_nopad" in case:
        sealed = hexadecimal(case["ciphertext_nopad"])
        yield equals(f"{name}: without padding", partial(seal, secret, nonce, plaintext), sealed)
        yield equals(f"{name}: opens without padding", partial(open_box, secret, nonce, sealed), plaintext)


def _cb_encrypt(section: Case, name: str) -> Iterator[Check]:
    for index, case in enumerate(section["cases"]):
        yield from _box(hexadecimal(section["secret"]), case, f"{name}[{index}]")


def _sb_encrypt(case: Case, name: str) -> Iterator[Check]:
    yield from _box(hexadecimal(case["key"]), case, name)


def _authenticator(case: Case, name: str) -> Iterator[Check]:
    yield from private_key_checks(name, case["private"], X25519PrivateKey)
    yield from public_key_checks(name, case["peer_public"], X25519PublicKey)
    private = X25519PrivateKey(hexadecimal(case["private"]["raw"]))
    peer = X25519PublicKey(hexadecimal(case["peer_public"]["raw"]))
    nonce, message, expected = (hexadecimal(case[field]) for field in ("nonce", "message", "authenticator"))
    yield equals(f"{name}: authenticator", lambda: authenticate(private.exchange(peer), nonce, message), expected)
    yield Check(f"{name}: verifies", lambda: verify_box_authenticator(private.exchange(peer), nonce, message, expected))


def _transport_chain(case: Case, name: str) -> Iterator[Check]:
    to_client, to_server = block_chains(hexadecimal(case["dh_secret"]), hexadecimal(case["session_id"]))
    for direction, start in (("server_snd_client_rcv", to_client), ("server_rcv_client_snd", to_server)):
        for index, expected in enumerate(case[direction]):
            yield equals(
                f"{name}: {direction}[{index}] key", partial(_chain_part, start, index, 1), hexadecimal(expected["key"])
            )
            yield equals(
                f"{name}: {direction}[{index}] nonce",
                partial(_chain_part, start, index, 2),
                hexadecimal(expected["nonce"]),
            )
    if "block_first_server_to_client" in case:
        _, key, nonce = to_client.step()
        content, block = hexadecimal(case["block_content"]), hexadecimal(case["block_first_server_to_client"])
        yield equals(f"{name}: first block", partial(cb_encrypt, key, nonce, content, BLOCK_CONTENT_LENGTH), block)
        yield equals(f"{name}: first block opens", partial(cb_decrypt, key, nonce, block), content)


def _chain_part(chain: ChainKey, index: int, part: int) -> bytes:
    for _ in range(index):
        chain = chain.step()[0]
    return (chain.raw, *chain.step()[1:])[part]


def _sntrup761(case: Case, name: str) -> Iterator[Check]:
    public = hexadecimal(case["public_smp_large"])
    private = kem.KEMPrivateKey(large_bytes.decode(hexadecimal(case["secret_smp_large"])))
    ciphertext = hexadecimal(case["ciphertext_smp_large"])
    secret = short_bytes.decode(hexadecimal(case["shared_smp"]))
    yield equals(
        f"{name}: public key on the wire", lambda: kem.kem_public_key.encode(kem.kem_public_key.decode(public)), public
    )
    yield equals(f"{name}: secret", lambda: kem.decapsulate(private, kem.kem_ciphertext.decode(ciphertext)), secret)

    def fresh() -> bool:
        # Encapsulation is random; what can be known is that the recorded keys are a pair.
        answer, shared = kem.encapsulate(kem.kem_public_key.decode(public))
        return kem.decapsulate(private, answer) == shared

    yield equals(f"{name}: the keys belong together", fresh, case.get("dec_ok", True))


_SECTIONS: dict[str, Callable[[Case, str], Iterator[Check]]] = {
    "aes_gcm_16byte_iv": _aead,
    "cb_authenticate": _authenticator,
    "cb_encrypt": _cb_encrypt,
    "ed25519": _signature(Ed25519PrivateKey, Ed25519PublicKey),
    "ed448": _signature(Ed448PrivateKey, Ed448PublicKey),
    "hashes": _hashes,
    "hkdf_sha512": _hkdf,
    "sb_encrypt": _sb_encrypt,
    "sntrup761": _sntrup761,
    "transport_chain": _transport_chain,
    "x25519": _agreement(X25519PrivateKey, X25519PublicKey),
    "x448": _agreement(X448PrivateKey, X448PublicKey),
}
