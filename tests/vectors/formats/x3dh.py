"""Format of ``x3dh.json``: key agreements, with the ratchets that both sides start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from smpchat.crypto.agreement import (
    E2EVersions,
    X3DHKeys,
    X3DHSecret,
    agree_initiator,
    agree_joiner,
    e2e_params,
    e2e_params_from_text,
    e2e_params_range,
    e2e_params_to_text,
)
from smpchat.crypto.kem import KEMAccepted
from smpchat.crypto.keys import X448PrivateKey, X448PublicKey
from smpchat.crypto.ratchet import KEMState, Ratchet
from tests.vectors.check import Check, Document, equals, hexadecimal
from tests.vectors.kem_records import kem_answer, kem_key_pair, private_kem
from tests.vectors.reference import key_checks, ratchet_from_state, same_ratchet, x448_private

_CASE_FIELDS = {"dh", "rcv", "snd", "rcv_ratchet", "snd_ratchet", "version"}


def is_case(document: Document) -> bool:
    """Whether this is one agreement, alone or at the start of a recorded conversation."""
    return isinstance(document, dict) and document.keys() >= _CASE_FIELDS


def recognises(document: Document) -> bool:
    """A list of agreements under ``cases``, or one agreement by itself."""
    if not isinstance(document, dict):
        return False
    cases = document.get("cases")
    if isinstance(cases, list) and cases:
        return all(is_case(case) for case in cases)
    return is_case(document) and "steps" not in document


def checks(document: Document) -> Iterator[Check]:
    """Keys, agreement, parameters and first ratchets of every case."""
    for index, case in enumerate(document.get("cases", [document])):
        yield from case_checks(case, f"{case.get('name', f'case {index}')}: ")


def case_checks(case: dict[str, Any], prefix: str) -> Iterator[Check]:
    """Every answer of one agreement."""
    joiner, initiator = case["snd"], case["rcv"]
    for side, record in (("snd", joiner), ("rcv", initiator)):
        for name in ("key1", "key2", "first_ratchet_dh"):
            if name in record:
                yield from key_checks(f"{prefix}{side} {name}", record[name], X448PrivateKey, X448PublicKey)
    joiner_keys, initiator_keys = keys_of(joiner), keys_of(initiator)
    yield from _dh_checks(case["dh"], joiner_keys, initiator_keys, prefix)
    yield from _parameter_checks(case, prefix)
    for side, agree in (("snd", _agree_joiner), ("rcv", _agree_initiator)):
        yield from _secret_checks(case[side]["init_params"], partial(agree, case), f"{prefix}{side} ")
    yield from _kem_checks(case, prefix)
    if "pq" in case:
        yield equals(f"{prefix}pq", partial(_proposes_kem, case), case["pq"])
    yield Check(f"{prefix}snd ratchet", partial(_joiner_ratchet, case))
    yield Check(f"{prefix}rcv ratchet", partial(_initiator_ratchet, case))


def _proposes_kem(case: dict[str, Any]) -> bool:
    """Whether the link offered a KEM key; a file may leave out that it did not."""
    return private_kem(case["rcv"]) is not None


def _joiner_ratchet(case: dict[str, Any]) -> None:
    state = case["snd_ratchet"]
    ratchet = Ratchet.joiner(
        _agree_joiner(case),
        x448_private(case["rcv"]["key2"]).public(),
        x448_private(case["snd"]["first_ratchet_dh"]),
        case["version"],
        max_version=state["rcVersion"][1],
        kem_enabled=state["rcEnableKEM"],
        kem=_joiner_kem(case),
    )
    same_ratchet(ratchet, ratchet_from_state(state))


def _initiator_ratchet(case: dict[str, Any]) -> None:
    state = case["rcv_ratchet"]
    ratchet = Ratchet.initiator(
        _agree_initiator(case),
        x448_private(case["rcv"]["key2"]),
        case["version"],
        max_version=state["rcVersion"][1],
        kem_enabled=state["rcEnableKEM"],
        kem=_initiator_kem(case),
    )
    same_ratchet(ratchet, ratchet_from_state(state))


def _secret_of(state: KEMState | None) -> bytes:
    return b"" if state is None or state.answer is None else state.answer.secret


def _joiner_kem(case: dict[str, Any]) -> KEMState | None:
    """The joiner's key pair, with the recorded answer to the link's key."""
    return private_kem(case["snd"])


def _initiator_kem(case: dict[str, Any]) -> KEMState | None:
    """The link's key pair, with the secret that it opens in the joiner's answer."""
    own = private_kem(case["rcv"])
    params = e2e_params.decode(hexadecimal(case["snd"]["params_smp"]))
    return own if own is None or not isinstance(params.kem, KEMAccepted) else own.accepted(params.kem)


def _kem_checks(case: dict[str, Any], prefix: str) -> Iterator[Check]:
    for side, state in (("snd", partial(_joiner_kem, case)), ("rcv", partial(_initiator_kem, case))):
        record = case[side]
        if record.get("kem_keypair_smp") is not None:
            pair = kem_key_pair.decode(hexadecimal(record["kem_keypair_smp"]))
            yield equals(f"{prefix}{side} KEM key pair", partial(_pair_of, state), pair)
        accepted = record["init_params"].get("kemAccepted")
        if accepted is not None:
            yield equals(f"{prefix}{side} KEM answer", partial(_answer_of, state), kem_answer(accepted))


def _pair_of(state: Callable[[], KEMState | None]) -> object:
    found = state()
    return found and (found.public, found.private)


def _answer_of(state: Callable[[], KEMState | None]) -> object:
    found = state()
    return found and found.answer


def keys_of(record: dict[str, Any]) -> X3DHKeys:
    """One side's private keys."""
    return X3DHKeys(x448_private(record["key1"]), x448_private(record["key2"]))


def _agree_joiner(case: dict[str, Any]) -> X3DHSecret:
    peer = keys_of(case["rcv"])
    return agree_joiner(keys_of(case["snd"]), peer.key1.public(), peer.key2.public(), _secret_of(_joiner_kem(case)))


def _agree_initiator(case: dict[str, Any]) -> X3DHSecret:
    peer = keys_of(case["snd"])
    own = keys_of(case["rcv"])
    return agree_initiator(own, peer.key1.public(), peer.key2.public(), _secret_of(_initiator_kem(case)))


def _dh_checks(dh: dict[str, str], joiner: X3DHKeys, initiator: X3DHKeys, prefix: str) -> Iterator[Check]:
    pairs = {
        "dh1_rk1_spk2": (initiator.key1, joiner.key2),
        "dh2_rk2_spk1": (initiator.key2, joiner.key1),
        "dh3_rk2_spk2": (initiator.key2, joiner.key2),
    }
    for name, secret in dh.items():
        ours, theirs = pairs[name]
        yield equals(f"{prefix}{name} by rcv", partial(ours.exchange, theirs.public()), hexadecimal(secret))
        yield equals(f"{prefix}{name} by snd", partial(theirs.exchange, ours.public()), hexadecimal(secret))


def _secret_checks(expected: dict[str, Any], agree: partial[X3DHSecret], prefix: str) -> Iterator[Check]:
    names = {
        "assocData": "associated_data",
        "sndHK": "header_key",
        "rcvNextHK": "next_header_key",
        "ratchetKey_sk": "root_key",
    }
    for theirs, ours in names.items():
        yield equals(f"{prefix}{ours}", partial(_attribute, agree, ours), hexadecimal(expected[theirs]))


def _attribute(agree: partial[X3DHSecret], name: str) -> object:
    return getattr(agree(), name)


def _parameter_checks(case: dict[str, Any], prefix: str) -> Iterator[Check]:
    """Parameters made from the private keys, and read from their recorded forms."""
    for side in ("snd", "rcv"):
        record, keys = case[side], keys_of(case[side])
        own_kem = private_kem(record)
        kem = None if own_kem is None else own_kem.params
        if "params_smp" in record:
            wire, params = hexadecimal(record["params_smp"]), keys.params(case["version"], kem)
            yield equals(f"{prefix}{side} parameters to bytes", partial(e2e_params.encode, params), wire)
            yield equals(f"{prefix}{side} parameters from bytes", partial(e2e_params.decode, wire), params)
        if "params_uri_range" in record:
            offered = keys.params_range(E2EVersions(*record["params_uri_range"]), kem)
            wire, text = hexadecimal(record["params_uri_smp"]), record["params_uri_str"]
            yield equals(f"{prefix}{side} link parameters to bytes", partial(e2e_params_range.encode, offered), wire)
            yield equals(f"{prefix}{side} link parameters from bytes", partial(e2e_params_range.decode, wire), offered)
            yield equals(f"{prefix}{side} link parameters to text", partial(e2e_params_to_text, offered), text)
            yield equals(f"{prefix}{side} link parameters from text", partial(e2e_params_from_text, text), offered)
