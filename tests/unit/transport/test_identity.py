from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.x509.oid import ExtendedKeyUsageOID

from smpchat.crypto.keys import Ed448PrivateKey, Ed25519PublicKey
from smpchat.encoding.record import replace
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.identity import (
    FILES,
    Identity,
    IdentityError,
    IdentityMissing,
    create_identity,
    identity_files,
    load_identity,
    load_or_create_identity,
    rotate_certificate,
    save_identity,
)
from tests.unit.transport.support import NOW, an_identity, certificate, sha256


def test_the_certificates_look_like_those_of_the_reference() -> None:
    identity = an_identity()
    online, ca = (x509.load_der_x509_certificate(der) for der in identity.chain)
    assert ca.subject.rfc4514_string() == ca.issuer.rfc4514_string() == "O=SimpleX,CN=SMP server CA"
    assert online.subject.rfc4514_string() == "CN=localhost"
    assert online.issuer == ca.subject
    assert ca.version is online.version is x509.Version.v3
    basic = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical and basic.value.ca and basic.value.path_length is None
    assert not online.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = online.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.content_commitment and usage.key_agreement
    assert not (usage.key_cert_sign or usage.key_encipherment or usage.data_encipherment or usage.crl_sign)
    assert list(online.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    assert online.not_valid_before_utc == NOW - timedelta(days=1)
    assert (online.not_valid_after_utc - online.not_valid_before_utc).days == 999_999
    assert identity.fingerprint == sha256(identity.ca_certificate)


def test_it_signs_with_the_online_key() -> None:
    identity = an_identity()
    public = x509.load_der_x509_certificate(identity.certificate).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    Ed25519PublicKey(raw).verify(identity.sign(b"session key"), b"session key")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_openssl_accepts_the_chain(tmp_path: Path) -> None:
    save_identity(create_identity(SeededEntropy("o"), NOW, ["a.example", "10.0.0.1"]), tmp_path / "id")
    command = ["openssl", "verify", "-check_ss_sig", "-attime", str(int(NOW.timestamp()))]
    command += ["-CAfile", str(tmp_path / "id/ca.crt"), str(tmp_path / "id/server.crt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("OK"), done.stderr


def test_alternative_names_only_for_several_hosts() -> None:
    online = x509.load_der_x509_certificate(
        create_identity(SeededEntropy("s"), NOW, ["a.example", "10.0.0.1"]).certificate
    )
    names = online.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    alone = x509.load_der_x509_certificate(an_identity().certificate)
    with pytest.raises(x509.ExtensionNotFound):
        alone.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize("names", [[], [""], ["x" * 65]])
def test_names_that_fit_no_certificate(names: list[str]) -> None:
    with pytest.raises(IdentityError):
        create_identity(SeededEntropy("n"), NOW, names)


def test_it_comes_back_from_its_folder_without_the_ca_key(tmp_path: Path) -> None:
    identity = an_identity()
    save_identity(identity, tmp_path / "new" / "id")
    assert load_identity(tmp_path / "new" / "id", now=NOW) == replace(identity, ca_key=None)
    assert sorted(p.name for p in (tmp_path / "new" / "id").iterdir()) == [
        "ca.crt", "ca.key", "fingerprint", "server.crt", "server.key",
    ]  # fmt: skip
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "id"], "the temporary folder is gone"


@pytest.mark.skipif(sys.platform == "win32", reason="no mode bits")
def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "id"
    save_identity(an_identity(), folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("server.key", "ca.key"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        (folder / name).chmod(0o640)
        with pytest.raises(IdentityError, match=f"{name}: run chmod 600"):
            load_identity(folder)
        (folder / name).chmod(0o600)
    load_identity(folder)


def test_an_identity_is_never_overwritten(tmp_path: Path) -> None:
    first, second = an_identity("first"), an_identity("second")
    save_identity(first, tmp_path / "id")
    with pytest.raises(IdentityError, match="never overwritten"):
        save_identity(second, tmp_path / "id")
    assert load_identity(tmp_path / "id").fingerprint == first.fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["id"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "id").mkdir()
    save_identity(an_identity(), tmp_path / "id")
    assert load_identity(tmp_path / "id").fingerprint == an_identity().fingerprint


def test_a_failing_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("smpchat.transport.identity.os.fsync", full)
    with pytest.raises(IdentityError, match="No space left"):
        save_identity(an_identity(), tmp_path / "id")
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_create_at_once_one_wins(tmp_path: Path) -> None:
    gate = threading.Barrier(4)
    outcomes: list[object] = []

    def create(seed: str) -> None:
        identity = an_identity(seed)
        gate.wait()
        try:
            save_identity(identity, tmp_path / "id")
            outcomes.append(identity.fingerprint)
        except IdentityError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=create, args=(seed,)) for seed in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [o for o in outcomes if isinstance(o, bytes)]
    assert winners == [load_identity(tmp_path / "id").fingerprint]
    assert len(outcomes) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["id"]


def test_load_or_create_creates_once(tmp_path: Path) -> None:
    first, created = load_or_create_identity(tmp_path / "id", SeededEntropy("1"), NOW, ["localhost"])
    again, created_again = load_or_create_identity(tmp_path / "id", SeededEntropy("2"), NOW, ["localhost"])
    assert (created, created_again) == (True, False)
    assert first.chain == again.chain


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(IdentityMissing, match="no relay identity"):
        load_identity(tmp_path / "absent")


@pytest.mark.parametrize("name", ["ca.crt", "server.crt", "server.key"])
def test_a_missing_or_malformed_file_is_named(tmp_path: Path, name: str) -> None:
    save_identity(an_identity(), tmp_path / "id")
    path = tmp_path / "id" / name
    path.unlink()
    with pytest.raises(IdentityError, match=f"cannot read .*{name}") as missing:
        load_identity(tmp_path / "id")
    assert not isinstance(missing.value, IdentityMissing), "half an identity must not be replaced by a new one"
    path.touch(mode=0o600)
    path.write_text("-----BEGIN NONSENSE-----\n")
    with pytest.raises(IdentityError, match=name):
        load_identity(tmp_path / "id")
    path.write_bytes(b"x" * 70_000)
    with pytest.raises(IdentityError, match="too large"):
        load_identity(tmp_path / "id")


@pytest.mark.parametrize("name", ["ca.crt", "server.crt"])
@pytest.mark.parametrize(
    ("part", "instead"),
    [(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09"), (b"\x2b\x65\x70\x03\x21", b"\x2b\x65\x7f\x03\x21")],
)
def test_a_certificate_that_the_library_does_not_know(tmp_path: Path, name: str, part: bytes, instead: bytes) -> None:
    save_identity(an_identity(), tmp_path / "id")
    path = tmp_path / "id" / name
    der = ssl.PEM_cert_to_DER_cert(path.read_text())
    assert part in der
    path.write_text(ssl.DER_cert_to_PEM_cert(der.replace(part, instead)))
    with pytest.raises(IdentityError, match=name):
        load_identity(tmp_path / "id")


def test_files_of_different_identities_do_not_mix(tmp_path: Path) -> None:
    save_identity(an_identity("one"), tmp_path / "one")
    save_identity(an_identity("two"), tmp_path / "two")
    for name, words in (("server.key", "is not the key of"), ("fingerprint", "fingerprint"), ("ca.crt", "fingerprint")):
        shutil.copytree(tmp_path / "one", tmp_path / name)
        shutil.copy(tmp_path / "two" / name, tmp_path / name / name)
        with pytest.raises(IdentityError, match=words):
            load_identity(tmp_path / name)
    (tmp_path / "ca.crt" / "fingerprint").unlink()
    with pytest.raises(IdentityError, match="not signed by the next one"):
        load_identity(tmp_path / "ca.crt")


def test_an_expired_identity_is_refused_when_the_time_is_given(tmp_path: Path) -> None:
    save_identity(an_identity(), tmp_path / "id")
    with pytest.raises(IdentityError, match="not valid yet"):
        load_identity(tmp_path / "id", now=NOW - timedelta(days=2))


def test_an_ed448_identity_is_usable(tmp_path: Path) -> None:
    ca_key, key = (ed448.Ed448PrivateKey.from_private_bytes(bytes([n]) * 57) for n in (1, 2))
    identity = Identity(
        certificate("ca", "ca", ca_key, ca_key),
        certificate("relay", "ca", key, ca_key),
        Ed448PrivateKey(key.private_bytes_raw()),
    )
    save_identity(identity, tmp_path / "id")
    assert load_identity(tmp_path / "id", now=NOW) == identity
    assert not (tmp_path / "id" / "ca.key").exists()


def test_keys_stay_out_of_repr() -> None:
    identity = an_identity()
    assert identity.ca_key is not None
    text = repr(identity)
    for secret in (identity.key.raw, identity.ca_key.raw):
        assert repr(secret)[2:-1] not in text and secret.hex() not in text
    assert "key=" not in text.replace("ca_certificate", "")


# --- another online certificate ------------------------------------------------------------------------------------


def saved(folder: Path, identity: Identity | None = None) -> Path:
    save_identity(identity or an_identity(), folder)
    return folder


def test_a_new_online_certificate_keeps_the_fingerprint_and_the_names(tmp_path: Path) -> None:
    folder = saved(tmp_path / "id", create_identity(SeededEntropy("names"), NOW, ["a.example", "10.0.0.1"]))
    before = load_identity(folder, now=NOW)
    later = NOW + timedelta(days=500)
    after = rotate_certificate(folder, SeededEntropy("new"), later)
    assert after == load_identity(folder, now=later)
    assert after.fingerprint == before.fingerprint
    assert after.ca_certificate == before.ca_certificate
    assert after.key.raw != before.key.raw
    assert after.expires == before.expires + timedelta(days=500)
    old, new = (x509.load_der_x509_certificate(one.certificate) for one in (before, after))
    assert old.subject == new.subject
    assert old.serial_number != new.serial_number
    names = [one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value for one in (old, new)]
    assert names[0] == names[1]
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    if sys.platform != "win32":
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())


def test_one_that_ran_out_or_lost_its_key_is_replaced(tmp_path: Path) -> None:
    folder = saved(tmp_path / "id")
    (folder / "server.key").unlink()
    long_after = an_identity().expires + timedelta(days=1)
    with pytest.raises(IdentityError, match="could not be used"):
        rotate_certificate(folder, SeededEntropy("new"), long_after)  # the CA has run out as well
    rotate_certificate(folder, SeededEntropy("new"), NOW)
    assert load_identity(folder, now=NOW).fingerprint == an_identity().fingerprint


class Killed(BaseException):
    """What nothing catches, as kill -9."""


@pytest.mark.parametrize("changes", range(8))
def test_interrupted_anywhere_there_is_a_certificate_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    """It ends after so many changes to the folder, of eight; the next rotation goes through."""
    folder = saved(tmp_path / "id")
    done = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            if done == changes:
                raise Killed
            done += 1
            return real(*arguments, **options)

        return change

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "replace", counted(Path.replace))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        patch.setattr(os, "fsync", counted(os.fsync))
        rotate_certificate(folder, SeededEntropy("new"), NOW)
    assert load_identity(folder, now=NOW).fingerprint == an_identity().fingerprint
    again = rotate_certificate(folder, SeededEntropy("newer"), NOW)
    assert load_identity(folder, now=NOW) == again
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_the_certificate_of_an_interrupted_rotation_is_taken(tmp_path: Path) -> None:
    folder, other = saved(tmp_path / "id"), saved(tmp_path / "other")
    new = rotate_certificate(other, SeededEntropy("new"), NOW)
    shutil.copy(other / "server.crt", folder / "server.crt.new")
    assert load_identity(folder).certificate == an_identity().certificate  # the old key is still there
    shutil.copy(other / "server.key", folder / "server.key")
    assert load_identity(folder, now=NOW) == new
    assert not (folder / "server.crt.new").exists()


def test_a_certificate_left_over_that_does_not_fit_is_not_taken(tmp_path: Path) -> None:
    folder, other = saved(tmp_path / "id"), saved(tmp_path / "other", an_identity("other"))
    shutil.copy(other / "server.key", folder / "server.key")
    with pytest.raises(IdentityError, match="not the key of"):
        load_identity(folder)
    (folder / "server.crt.new").write_text("nothing")
    with pytest.raises(IdentityError, match="cannot replace the old one"):
        load_identity(folder)


def test_what_a_new_certificate_needs(tmp_path: Path) -> None:
    with pytest.raises(IdentityMissing):
        rotate_certificate(tmp_path, SeededEntropy("new"), NOW)
    folder, other = saved(tmp_path / "id"), saved(tmp_path / "other", an_identity("other"))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "ca.key").rename(tmp_path / "elsewhere")
    with pytest.raises(IdentityError, match="put it back"):
        rotate_certificate(folder, SeededEntropy("new"), NOW)
    shutil.copy(other / "ca.key", folder / "ca.key")
    with pytest.raises(IdentityError, match="not the key of"):
        rotate_certificate(folder, SeededEntropy("new"), NOW)
    (tmp_path / "elsewhere").replace(folder / "ca.key")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    (folder / "fingerprint").write_text("another")
    with pytest.raises(IdentityError, match="fingerprint"):
        rotate_certificate(folder, SeededEntropy("new"), NOW)


def test_files_for_a_copy(tmp_path: Path) -> None:
    folder = saved(tmp_path / "id")
    assert identity_files(folder) == {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "ca.key").unlink()
    assert set(identity_files(folder)) == set(FILES) - {"ca.key"}
