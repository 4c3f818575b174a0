"""Looks for keys in every table of a profile, knows which of them something needs, and notes every one that is made."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from smpchat.agent.machines import handshake_states as states
from smpchat.agent.store.database import Database
from smpchat.agent.store.states import state_from_json
from smpchat.agent.wire.short_links import ShortInvitation, parse_short_link
from smpchat.crypto import kdf, keys
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.kem import KEMCiphertext, KEMPrivateKey, KEMPublicKey
from smpchat.crypto.ratchet_state import Ratchet
from smpchat.testing.kem import HashKEM

Cells = dict[str, list[bytes]]
"""Values that are not empty, as bytes, by ``table.column``."""


_OF_CONTACTS = (b"SimpleXX3DH", b"SimpleXRootRatchet", b"SimpleXChainRatchet")
"""What keys of contacts are derived for; the other ones are of sessions with relays."""


class Made:
    """Every secret that was made or agreed on since this was, by anybody in the process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.secrets: set[bytes] = set()
        for cls in (keys.X25519PrivateKey, keys.X448PrivateKey, keys.Ed25519PrivateKey):
            monkeypatch.setattr(cls, "generate", classmethod(self._generate))
        for agreeing in (keys.X25519PrivateKey, keys.X448PrivateKey):
            monkeypatch.setattr(agreeing, "exchange", self._noting(agreeing.exchange))
        derive = kdf.hkdf3

        def hkdf3(salt: bytes, ikm: bytes, info: bytes) -> tuple[bytes, bytes, bytes]:
            derived = derive(salt, ikm, info)
            if info in _OF_CONTACTS:
                self.secrets.update(derived)
            return derived

        monkeypatch.setattr(kdf, "hkdf3", hkdf3)

    def _generate(self, cls: type[keys.X25519PrivateKey], entropy: Entropy) -> object:
        key = cls(entropy.random(cls.SIZE))
        self.secrets.add(key.raw)
        return key

    def _noting(self, agree: Callable[..., bytes]) -> Callable[..., bytes]:
        def exchange(own: object, peer: object) -> bytes:
            secret = agree(own, peer)
            self.secrets.add(secret)
            return secret

        return exchange

    def link(self, text: str) -> None:
        """The key in a one-time short link."""
        link = parse_short_link(text)
        assert isinstance(link, ShortInvitation)
        self.secrets.add(link.link_key)

    def in_(self, data: bytes) -> set[bytes]:
        """Those that stand somewhere in ``data``, as they are or written as text."""
        return {secret for secret in self.secrets if any(form in data for form in _forms(secret))}


def _forms(secret: bytes) -> tuple[bytes, ...]:
    text = base64.urlsafe_b64encode(secret).rstrip(b"=")
    return secret, text, text.translate(bytes.maketrans(b"-_", b"+/")), secret.hex().encode()


class NotedKEM(HashKEM):
    """Its private keys and secrets are noted."""

    def __init__(self, made: Made, seed: str) -> None:
        super().__init__(seed)
        self._made = made

    def generate(self) -> tuple[KEMPublicKey, KEMPrivateKey]:
        public, private = super().generate()
        self._made.secrets.add(private.raw)
        return public, private

    def encapsulate(self, public: KEMPublicKey) -> tuple[KEMCiphertext, bytes]:
        ciphertext, secret = super().encapsulate(public)
        self._made.secrets.add(secret)
        return ciphertext, secret


# -- the tables -------------------------------------------------------------------------------------------------------


def cells(database: Database) -> Cells:
    """Everything that a profile's tables hold."""
    found: Cells = {}
    for (table,) in database.read("SELECT name FROM sqlite_master WHERE type = 'table'"):
        for row in database.read(f"SELECT * FROM {table}"):
            for column in row.keys():
                if isinstance(row[column], bytes | str) and row[column]:
                    value = row[column]
                    found.setdefault(f"{table}.{column}", []).append(
                        value if isinstance(value, bytes) else value.encode()
                    )
    return found


def columns(database: Database) -> set[str]:
    """Every column that holds bytes."""
    tables = database.read("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {
        f"{table}.{column['name']}"
        for (table,) in tables
        for column in database.read(f"PRAGMA table_info({table})")
        if column["type"] == "BLOB"
    }


def _is_answered(state: states.State) -> bool:
    """Whether nobody's answer to a link of ours is awaited."""
    waiting = states.Inviting | states.Invited | states.Preparing | states.Requesting | states.Requested
    return not isinstance(state, waiting)


def _is_over(state: states.State) -> bool:
    return isinstance(state, states.Failed | states.Deleted)


def left_over(database: Database) -> list[str]:
    """Key columns that hold what nothing needs: a line for each."""
    found = []

    def spent(where: str, table: str, *names: str, condition: str = "1") -> None:
        for name in names:
            query = f"SELECT count(*) FROM {table} WHERE length({name}) > 0 AND ({where}) AND ({condition})"
            if database.read(query)[0][0]:
                found.append(f"{table}.{name}")

    for row in database.read("SELECT id FROM files WHERE stage NOT IN ('moving', 'opening')"):
        spent(f"id = {row['id']}", "files", "key", "nonce")
        spent(f"file_id = {row['id']}", "file_replicas", "key")
    for row in database.read("SELECT id, state, received_id FROM connections"):
        state, number = state_from_json(row["state"]), row["id"]
        mine = f"connection_id = {number}"
        if _is_answered(state):
            spent(f"id = {number}", "connections", "x3dh_key1", "x3dh_key2", "reply_key")
            spent(mine, "short_links", "kem_private")
        if not isinstance(state, states.Joining):
            spent(f"id = {number}", "connections", "x3dh_public")
        if not isinstance(state, states.ReadingLink):
            spent(mine, "short_links", "auth_key")
            if _is_answered(state):
                spent(mine, "short_links", "link", condition=f"link NOT LIKE '%/{'A' * 43}%'")
        shared = states.role(state) is states.Role.INITIATOR and row["received_id"] <= 1
        unshared = "1" if not shared else "mode = 'MESSAGING'"
        spent(mine, "receive_queues", "e2e_key", condition=f"e2e_secret IS NOT NULL AND {unshared}")
        spent(mine, "other_receive_queues", "e2e_key", condition="e2e_secret IS NOT NULL OR left_at IS NOT NULL")
        spent(mine, "resyncs", "key1", "key2", "kem_private", condition="""state NOT LIKE '{"state": "Started"%'""")
        if not _is_over(state):
            continue
        for table in ("receive_queues", "other_receive_queues"):
            spent(mine, table, "dh_secret", "e2e_key", "e2e_secret")
        spent(mine, "ratchets", "state")
        spent(mine, "skipped_keys", "header_key", "message_key", "iv")
        spent(mine, "resyncs", "state")
        spent(mine, "addresses", "root_key")
        if not database.read(f"SELECT 1 FROM outbox WHERE {mine} AND kind = 'farewell'"):
            spent(mine, "send_queues", "auth_key", "e2e_secret")
            spent(mine, "rotations", "auth_key", "e2e_secret")
    return found


def current(data: bytes) -> set[bytes]:
    """The keys in a stored ratchet that the next message needs."""
    ratchet = Ratchet.from_bytes(data)
    chains = [chain for chain in (ratchet.sending, ratchet.receiving) if chain is not None]
    return {
        ratchet.own_key.raw,
        ratchet.root_key,
        ratchet.next_sending_header_key,
        ratchet.next_receiving_header_key,
        *(key for chain in chains for key in (chain.chain_key, chain.header_key)),
        *([ratchet.kem.private.raw] if ratchet.kem else []),
    }


def check(database: Database, made: Made, documented: set[str]) -> None:
    """Nothing is left over; no key stands where none is to be; and no other one stands in the files.

    Args:
        documented: The columns that may hold keys.
    """
    assert not left_over(database)
    here = cells(database)
    kept: set[bytes] = set()
    for column, values in here.items():
        keys_here = made.in_(b" ".join(values))
        assert not keys_here or column in documented, f"{column} holds a key"
        if column == "ratchets.state":
            assert keys_here <= set().union(*(current(value) for value in values))
        kept |= keys_here
    database.clear_log()
    assert not made.in_(files(database.path)) - kept


def ratchet_of(database: Database) -> bytes:
    """What every message of the one connection's current ratchet is bound to."""
    [row] = database.read("SELECT state FROM ratchets")
    return Ratchet.from_bytes(row["state"]).associated_data


def files(path: Path) -> bytes:
    """All that is on the disk of a database."""
    return b"".join(
        file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")) if not file.name.endswith("-shm")
    )
