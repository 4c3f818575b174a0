"""Format of ``ratchet_*.json``: an agreement, then recorded steps of both ratchets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from smpchat.crypto.ratchet import (
    Decrypted,
    MessageKey,
    Ratchet,
    RatchetBodyError,
    RatchetDuplicate,
    RatchetEarlier,
    RatchetError,
    RatchetHeaderError,
    RatchetKEMError,
    RatchetStateError,
    RatchetTooManySkipped,
    SkippedKeys,
    decrypt,
    encrypt_body,
    encrypt_header,
)
from tests.vectors.check import Check, Document, Mismatch, equals, hexadecimal, same
from tests.vectors.formats.x3dh import case_checks, is_case
from tests.vectors.kem_records import RecordedKEM, kem_state
from tests.vectors.reference import (
    RecordedEntropy,
    message_key_iv,
    ratchet_from_state,
    ratchet_key,
    same_ratchet,
    skipped_from_list,
)

# Error names of the reference; the first part found in a recorded error decides.
_ERRORS: tuple[tuple[str, type[RatchetError]], ...] = (
    ("Duplicate", RatchetDuplicate),
    ("Earlier", RatchetEarlier),
    ("Skipped", RatchetTooManySkipped),
    ("KEM", RatchetKEMError),
    ("State", RatchetStateError),
    ("Header", RatchetHeaderError),
    ("AESDecrypt", RatchetBodyError),
    ("InvalidMsg", RatchetBodyError),
)


def is_step(step: object) -> bool:
    """Whether this is one recorded ratchet step."""
    return isinstance(step, dict) and step.get("op") in ("encrypt", "decrypt") and "ciphertext" in step


def recognises(document: Document) -> bool:
    """Steps that encrypt and decrypt, nothing around them."""
    if not isinstance(document, dict):
        return False
    steps = document.get("steps")
    return isinstance(steps, list) and bool(steps) and all(is_step(step) for step in steps)


@dataclass
class Party:
    """What was last recorded of one side, for steps that do not repeat it.

    Attributes:
        certain: Nothing that is not recorded can have happened to the state since.
    """

    state: dict[str, Any] | None = None
    skipped: list[dict[str, Any]] = field(default_factory=list)
    certain: bool = True

    def complete(self, step: dict[str, Any]) -> dict[str, Any]:
        """The step with what it does not repeat."""
        return {
            **step,
            "state_before": step.get("state_before") or self.state,
            "skipped_before": step.get("skipped_before", self.skipped),
        }

    def continuity(self, step: dict[str, Any], name: str) -> Iterator[Check]:
        """That the step begins with the state in which the side was left."""
        if self.certain and self.state is not None and step.get("state_before"):
            yield equals(f"{name}: state before", partial(dict, step["state_before"]), self.state)

    def passed(self, step: dict[str, Any]) -> None:
        """The step, completed, is over."""
        self.certain = step.get("state_after") is not None
        self.state = step.get("state_after") or step["state_before"]
        self.skipped = step.get("skipped_after", step["skipped_before"])


def parties_of(document: Document) -> dict[str, Party]:
    """Both sides as the agreement left them."""
    return {side: Party(document.get(f"{side}_ratchet")) for side in ("snd", "rcv")}


def checks(document: Document) -> Iterator[Check]:
    """The agreement, if it is recorded, then every step."""
    if is_case(document):
        yield from case_checks(document, "agreement: ")
    parties = parties_of(document)
    for index, step in enumerate(document["steps"]):
        yield from party_step_checks(parties[step["by"]], step, f"steps[{index}] {step['op']} by {step['by']}")


def party_step_checks(party: Party, step: dict[str, Any], name: str) -> Iterator[Check]:
    """Every answer of one side's next step."""
    yield from party.continuity(step, name)
    completed = party.complete(step)
    if completed["state_before"] is None:
        yield Check(name, _without_state)
    else:
        yield from _step_checks(completed, name)
    party.passed(completed)


def _without_state() -> None:
    raise Mismatch("no ratchet state is recorded for this step")


def _step_checks(step: dict[str, Any], name: str) -> Iterator[Check]:
    """Every answer of one step that has ``state_before``."""
    if step.get("error") or step.get("fatal_error"):
        yield _failing_step(step, name)
    elif step["op"] == "encrypt":
        yield from _encrypt_checks(step, name)
    elif step["op"] == "decrypt":
        yield from _decrypt_checks(step, name)
    else:
        yield Check(name, _unknown_operation)


def _unknown_operation() -> None:
    raise Mismatch("neither encrypts nor decrypts")


def _sending_ratchet(step: dict[str, Any]) -> Ratchet:
    ratchet = ratchet_from_state(step["state_before"])
    return ratchet if step.get("pq_arg") is None else ratchet.with_kem(step["pq_arg"])


def _encrypt_checks(step: dict[str, Any], name: str) -> Iterator[Check]:
    @cache
    def run() -> tuple[Ratchet, MessageKey, bytes]:
        after, key = encrypt_header(_sending_ratchet(step))
        return after, key, encrypt_body(key, hexadecimal(step["plaintext"]), step["padded_len"])

    if "msg_key_iv_smp" in step:
        expected = hexadecimal(step["msg_key_iv_smp"])
        yield equals(
            f"{name}: message key and IV", lambda: message_key_iv.encode((run()[1].key, run()[1].iv)), expected
        )
    if "enc_header" in step:
        yield equals(f"{name}: header", lambda: run()[1].header, hexadecimal(step["enc_header"]))
    yield equals(f"{name}: ciphertext", lambda: run()[2], hexadecimal(step["ciphertext"]))
    if step.get("state_after"):
        yield Check(f"{name}: state after", lambda: same_ratchet(run()[0], ratchet_from_state(step["state_after"])))


def _decrypt(step: dict[str, Any]) -> tuple[SkippedKeys, Decrypted]:
    before = ratchet_from_state(step["state_before"])
    skipped = skipped_from_list(step["skipped_before"])
    # Where the step makes a ratchet key, it is the one in the state after it.
    after = step.get("state_after") or step["state_before"]
    entropy, kem = RecordedEntropy(ratchet_key(after).raw), RecordedKEM(kem_state(after.get("rcKEM")))
    return skipped, decrypt(before, skipped, hexadecimal(step["ciphertext"]), entropy, kem=kem)


def _decrypt_checks(step: dict[str, Any], name: str) -> Iterator[Check]:
    @cache
    def run() -> tuple[SkippedKeys, Decrypted]:
        return _decrypt(step)

    if step.get("plaintext") is not None:
        yield equals(f"{name}: plaintext", lambda: run()[1].plaintext, hexadecimal(step["plaintext"]))
    else:
        yield Check(f"{name}: opens", lambda: same("type", type(run()[1]), Decrypted))
    if step.get("state_after"):
        yield Check(
            f"{name}: state after", lambda: same_ratchet(run()[1].ratchet, ratchet_from_state(step["state_after"]))
        )
    if "skipped_after" in step:

        def skipped_after() -> None:
            before, result = run()
            expected = skipped_from_list(step["skipped_after"])
            actual = result.diff.apply(before)
            same("number of skipped keys", len(actual), len(expected))
            if dict(actual) != dict(expected):
                raise Mismatch("skipped keys: same number, but not the same keys")

        yield Check(f"{name}: skipped keys after", skipped_after)


def _failing_step(step: dict[str, Any], name: str) -> Check:
    recorded = str(step.get("error") or step.get("fatal_error"))
    expected = next((kind for part, kind in _ERRORS if part in recorded), RatchetError)

    def run() -> None:
        try:
            if step["op"] == "encrypt":
                _, key = encrypt_header(_sending_ratchet(step))
                encrypt_body(key, hexadecimal(step["plaintext"]), step["padded_len"])
            else:
                _decrypt(step)
        except expected:
            return
        except RatchetError as error:
            raise Mismatch(f"{type(error).__name__} raised, {expected.__name__} expected") from None
        raise Mismatch(f"the step succeeds, {expected.__name__} expected")

    return Check(f"{name}: fails", run)
