"""No record of the package shows a secret, whatever it holds: every class is made with marked values and looked at."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

import smpchat
from smpchat.crypto import keys
from smpchat.crypto.kem import KEMCiphertext, KEMPrivateKey, KEMPublicKey
from smpchat.encoding.record import Record, fields

PUBLIC = frozenset(
    """
    _corr_id address_id corr_id entity_id link_id msg_id notifier_id owner_id rcv_id sender_id service_id session_id
    snd_id
    ca_certificate certificate chain peer_key signature signed_key tag iv nonce salt
    digest key_hash message_hash last_hash previous_hash fresh own theirs
    answer proof recipient_id recipient_ids replica_id
    associated_data fixed fixed_data sealed ratchet_message user
    info json name text
    """.split()
)
"""Names under which records hold bytes that anybody may see: ids, public keys and certificates, hashes, ciphertext, and
what relays answer in words. All other bytes are secret until somebody writes their name here."""
SEALED = {("SealedMessage", "body"), ("SealedHeader", "raw"), ("Page", "body")}
"""The same for names that mean something secret elsewhere: ciphertext, and the relay's page of figures."""
SECRET_TEXT = re.compile(
    "body|client_data|code$|conn_info|emoji|key$|link$|note|params|passphrase|password|plaintext|secret|sentence|text|token"
)
"""Names under which records hold text, or any value, that nobody but the user may see."""
SHOWN_TEXT = {
    ("Verification", "code"),  # the security code: two people read it to each other
    ("Contact", "verified_code"),
    ("Statement", "key"),  # the name of a setting in a file
}
KEYS: list[type[Any]] = [keys.X25519PrivateKey, keys.X448PrivateKey, keys.Ed25519PrivateKey, keys.Ed448PrivateKey]
KEYS += [KEMPublicKey, KEMPrivateKey, KEMCiphertext]


def _classes() -> Iterator[type[Any]]:
    """Every record and dataclass of the package."""
    seen = set()
    for module in pkgutil.walk_packages(smpchat.__path__, "smpchat."):
        if module.name.rpartition(".")[2] == "__main__":
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if not isinstance(value, type) or not value.__module__.startswith("smpchat."):
                continue
            if issubclass(value, Record) or dataclasses.is_dataclass(value):
                seen.add(value)
    yield from sorted(seen - {Record}, key=lambda cls: (cls.__module__, cls.__qualname__))


def _hints(cls: type[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= vars(base).get("__annotations__", {})
    names = fields(cls) if issubclass(cls, Record) else [one.name for one in dataclasses.fields(cls)]
    return {name: found[name] for name in names}


def _is_secret(cls: type[Any], name: str, hint: str) -> bool:
    if "Callable" in hint:
        return False
    if "bytes" in hint:
        return name not in PUBLIC and (cls.__name__, name) not in SEALED
    if re.search(r"\bstr\b|\bAny\b", hint):
        return bool(SECRET_TEXT.search(name)) and (cls.__name__, name) not in SHOWN_TEXT
    return False


def _marked(cls: type[Any], hints: dict[str, str]) -> Any:
    """An instance as it never is, made without its checks: every field holds a mark that can be found again."""
    made = object.__new__(cls)
    for name, hint in hints.items():
        mark = f"<{name}>"
        object.__setattr__(made, name, mark.encode() if "bytes" in hint else mark)
    return made


CLASSES = list(_classes())


def test_the_walk_finds_the_package() -> None:
    assert len(CLASSES) > 250 and keys.X25519PrivateKey in CLASSES
    secrets = [name for cls in CLASSES for name, hint in _hints(cls).items() if _is_secret(cls, name, hint)]
    assert len(secrets) > 60 and {"link_key", "root_key", "conn_info", "password", "text"} <= set(secrets)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__qualname__)
def test_no_class_shows_a_secret(cls: type[Any]) -> None:
    hints = _hints(cls)
    shown = repr(_marked(cls, hints))
    public_key = cls.__name__.endswith("PublicKey") or cls is keys._Key
    secret = [name for name, hint in hints.items() if _is_secret(cls, name, hint) and not public_key]
    assert not [name for name in secret if f"<{name}>" in shown], f"field(repr=False), or a name in PUBLIC: {shown}"


@pytest.mark.parametrize("cls", KEYS, ids=lambda cls: cls.__name__)
def test_no_key_shows_itself_inside_another_record(cls: type[Any]) -> None:
    raw = (b"hidden" * 1000)[: cls.SIZE]
    key = cls(raw)
    for shown in (repr(key), str(key), f"{key!r}", repr([key]), repr({"key": key})):
        assert "hidden" not in shown and raw.hex() not in shown
