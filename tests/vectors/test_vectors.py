"""The known answers under pytest, and that the runner notices what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.vectors.__main__ import main, run_file
from tests.vectors.registry import UnknownFormat, checks_of

DATA = Path(__file__).parent / "data"

# Files of the formats in the registry; whoever adds a format adds its files here.
FILES = (
    "agent.json",
    "chat_links.json",
    "crypto.json",
    "handshake_nopq.json",
    "smp.json",
    "x3dh.json",
    "ratchet_v2_nopq.json",
    "ratchet_v3_nopq.json",
    "ratchet_v3_pq.json",
    "chat.json",
    "app-bodies.jsonl",
    "group-events.jsonl",
    "groups-real.jsonl.gz",
    *sorted(str(path.relative_to(DATA)) for path in (DATA / "traces").iterdir()),
    *sorted(str(path.relative_to(DATA)) for path in (DATA / "xftp").rglob("*") if path.is_file()),
)


def load(name: str) -> Any:
    return json.loads((DATA / name).read_bytes())


@pytest.mark.parametrize("name", FILES)
def test_known_answers(name: str) -> None:
    found, failures = run_file(DATA / name)
    assert failures == []
    assert found > 0


def flipped(text: str) -> str:
    """The hex text with one bit of its last byte changed."""
    return f"{text[:-1]}{int(text[-1], 16) ^ 1:x}"


def tamper_hash(document: Any) -> None:
    document["hashes"]["sha256"] = flipped(document["hashes"]["sha256"])


def tamper_box(document: Any) -> None:
    document["cb_encrypt"]["cases"][0]["ciphertext"] = flipped(document["cb_encrypt"]["cases"][0]["ciphertext"])


def tamper_unknown_section(document: Any) -> None:
    document["chacha"] = {"key": "00"}


def tamper_secret(document: Any) -> None:
    parameters = document["cases"][0]["rcv"]["init_params"]
    parameters["ratchetKey_sk"] = flipped(parameters["ratchetKey_sk"])


def tamper_first_ratchet(document: Any) -> None:
    document["cases"][1]["snd_ratchet"]["rcNs"] = 1


def tamper_state_after(document: Any) -> None:
    document["steps"][5]["state_after"]["rcNs"] += 1


def tamper_skipped(document: Any) -> None:
    item = document["steps"][13]["skipped_after"][0]
    item["messageKey_smp"] = flipped(item["messageKey_smp"])


def tamper_plaintext(document: Any) -> None:
    document["steps"][1]["plaintext"] = flipped(document["steps"][1]["plaintext"])


def tamper_error(document: Any) -> None:
    document["steps"][20]["fatal_error"] = "CERatchetDuplicateMessage"


def tamper_error_away(document: Any) -> None:
    document["steps"][1]["error"] = "CERatchetHeader"


def tamper_shape(document: Any) -> None:
    document["steps"][-1]["by"] = "nobody"


def tamper_kem(document: Any) -> None:
    accepted = document["cases"][2]["rcv"]["init_params"]["kemAccepted"]
    accepted["rcPQRss"] = flipped(accepted["rcPQRss"])


def tamper_parameters(document: Any) -> None:
    record = document["cases"][0]["rcv"]
    record["params_uri_smp"] = "ff" + record["params_uri_smp"][2:]


def tamper_body(document: Any) -> None:
    document[0]["body_hex"] = document[0]["body_hex"][:-4] + "2" + document[0]["body_hex"][-3:]


def tamper_decompressed(document: Any) -> None:
    record = next(record for record in document if "decompressed_text" in record)
    record["decompressed_text"] = record["decompressed_text"].replace("x.msg.new", "x.msg.old")


def tamper_frame(document: Any) -> None:
    record = next(record for record in document if "decompressed_text" in record)
    record["body_hex"] = record["body_hex"][:-1] + ("0" if record["body_hex"][-1] != "0" else "1")


def tamper_receipt(document: Any) -> None:
    record = next(record for record in document if record.get("agent", {}).get("type") == "A_RCVD")
    record["agent"]["receipts"][0]["agentMsgId"] += 1


@pytest.mark.parametrize(
    ("name", "tamper", "failures"),
    [
        ("crypto.json", tamper_hash, ["hashes: sha256"]),
        ("crypto.json", tamper_box, ["cb_encrypt[0]: ciphertext", "cb_encrypt[0]: opens"]),
        ("crypto.json", tamper_unknown_section, ["chacha"]),
        ("x3dh.json", tamper_secret, ["v2_nopq: rcv root_key"]),
        ("x3dh.json", tamper_first_ratchet, ["v3_nopq: snd ratchet"]),
        ("x3dh.json", tamper_kem, ["v3_pq_accepted: rcv KEM answer"]),
        (
            "x3dh.json",
            tamper_parameters,
            ["v2_nopq: rcv link parameters to bytes", "v2_nopq: rcv link parameters from bytes"],
        ),
        (
            "ratchet_v3_nopq.json",
            tamper_state_after,
            ["steps[5] encrypt by snd: state after", "steps[6] encrypt by snd: state before"],
        ),
        ("ratchet_v2_nopq.json", tamper_skipped, ["steps[13] decrypt by snd: skipped keys after"]),
        ("ratchet_v3_pq.json", tamper_plaintext, ["steps[1] decrypt by rcv: plaintext"]),
        ("ratchet_v3_nopq.json", tamper_error, ["steps[20] decrypt by snd: fails"]),
        ("ratchet_v2_nopq.json", tamper_error_away, ["steps[1] decrypt by rcv: fails"]),
        ("ratchet_v2_nopq.json", tamper_shape, ["the rest of the file cannot be read"]),
        ("chat.json", tamper_body, ["connect_full.create.1: bytes", "connect_full.create.1: link data"]),
        ("chat.json", tamper_decompressed, ["long_max_rnd.1: events", "long_max_rnd.1: written again"]),
        ("chat.json", tamper_frame, ["long_max_rnd.1: events", "long_max_rnd.1: written again"]),
        ("chat.json", tamper_receipt, ["text_ab.3: agent message"]),
    ],
)
def test_changed_answer_fails(
    name: str,
    tamper: Callable[[Any], None],
    failures: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = load(name)
    tamper(document)
    path = tmp_path / "renamed.json"
    path.write_text(json.dumps(document))
    assert main([str(path)]) == 1
    *lines, summary = capsys.readouterr().out.splitlines()
    assert all(line.startswith(f"{path}: {failure}: ") for line, failure in zip(lines, failures, strict=True))
    assert all(len(line) < 500 for line in lines)
    assert summary.endswith(f" passed, {len(failures)} failed")


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[]",
        b"null",
        b"[1, 2]",
        b'{"steps": []}',
        b'{"steps": [{"op": "encrypt"}]}',
        b'{"cases": 3}',
        b"{",
        b"\xff",
    ],
)
def test_unknown_or_broken_file_is_one_failure(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "crypto.json"
    path.write_bytes(content)
    assert main([str(path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"


def test_missing_file_is_a_failure_and_others_still_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.json"), str(DATA / "ratchet_v2_nopq.json")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "none.json" in lines[0]
    assert lines[1].endswith(" passed, 1 failed")
    assert not lines[1].startswith("0 ")


def test_good_files_exit_with_success(capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(DATA / name) for name in FILES if name.startswith("ratchet")]
    assert main(names) == 0
    assert capsys.readouterr().out.endswith(" passed, 0 failed\n")


def test_no_files_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_unknown_format_is_named() -> None:
    with pytest.raises(UnknownFormat, match="unknown format"):
        checks_of({"something": 1})
