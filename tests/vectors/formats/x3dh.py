"""Format of ``x3dh.json``: key agreements, with the ratchets that both sides start from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from smpchat.crypto.agreement import (
    X3DHKeys,
    X3DHSecret,
    agree_initiator,
    agree_joiner,
    e2e_params,
    e2e_params_from_text,
    e2e_params_range,
    e2e_params_to_text,
)
from smpchat.crypto.keys import X448PrivateKey, X448PublicKey
from smpchat.crypto.ratchet import Ratchet
from tests.vectors.check import Check, Document, Mismatch, equals, hexadecimal
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
    joiner_keys, initiator_keys = _keys(joiner), _keys(initiator)
    yield from _dh_checks(case["dh"], joiner_keys, initiator_keys, prefix)
    yield from _parameter_checks(case, prefix)
    if initiator["init_params"].get("kemAccepted") is not None or joiner["init_params"].get("kemAccepted") is not None:
        yield Check(f"{prefix}KEM agreement", partial(_unsupported, "the agreement uses a KEM"))
        return
    version = case["version"]
    for side, agree in (("snd", partial(_agree_joiner, case)), ("rcv", partial(_agree_initiator, case))):
        yield from _secret_checks(case[side]["init_params"], agree, f"{prefix}{side} ")

    def joiner_ratchet() -> None:
        peer_key2 = initiator_keys.key2.public()
        first_key = x448_private(joiner["first_ratchet_dh"])
        ratchet = Ratchet.joiner(_agree_joiner(case), peer_key2, first_key, version)
        same_ratchet(ratchet, ratchet_from_state(case["snd_ratchet"]))

    def initiator_ratchet() -> None:
        ratchet = Ratchet.initiator(_agree_initiator(case), initiator_keys.key2, version)
        same_ratchet(ratchet, ratchet_from_state(case["rcv_ratchet"]))

    yield Check(f"{prefix}snd ratchet", joiner_ratchet)
    yield Check(f"{prefix}rcv ratchet", initiator_ratchet)


def _unsupported(what: str) -> None:
    raise Mismatch(f"unsupported: {what}")


def _keys(record: dict[str, Any]) -> X3DHKeys:
    return X3DHKeys(x448_private(record["key1"]), x448_private(record["key2"]))


def _agree_joiner(case: dict[str, Any]) -> X3DHSecret:
    peer = _keys(case["rcv"])
    return agree_joiner(_keys(case["snd"]), peer.key1.public(), peer.key2.public())


def _agree_initiator(case: dict[str, Any]) -> X3DHSecret:
    peer = _keys(case["snd"])
    return agree_initiator(_keys(case["rcv"]), peer.key1.public(), peer.key2.public())


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
    for side in ("snd", "rcv"):
        record, keys = case[side], _keys(case[side])
        if "params_smp" in record:
            wire = hexadecimal(record["params_smp"])
            params = e2e_params.decode(wire)
            yield equals(f"{prefix}{side} parameters encode", partial(e2e_params.encode, params), wire)
            yield equals(
                f"{prefix}{side} parameters hold the keys", partial(keys.params, case["version"], params.kem), params
            )
        if "params_uri_smp" in record:
            wire = hexadecimal(record["params_uri_smp"])
            offered = e2e_params_range.decode(wire)
            yield equals(f"{prefix}{side} link parameters encode", partial(e2e_params_range.encode, offered), wire)
            yield equals(f"{prefix}{side} link versions", partial(list, offered.versions), record["params_uri_range"])
            yield equals(
                f"{prefix}{side} link parameters hold the keys",
                partial(keys.params_range, offered.versions, offered.kem),
                offered,
            )
            if "params_uri_str" in record:
                text = record["params_uri_str"]
                yield equals(f"{prefix}{side} link parameters to text", partial(e2e_params_to_text, offered), text)
                yield equals(f"{prefix}{side} link parameters from text", partial(e2e_params_from_text, text), offered)
