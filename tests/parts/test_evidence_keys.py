"""The key store is made once, kept closed, and never filled up silently."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from financing.errors import Broken, Invalid, Unreachable, Untrusted
from financing.evidence import asice, jws, verify
from financing.evidence.keys import Keys
from financing.store import sealing
from financing.values.ids import new_id
from financing.values.times import rfc3339, wall_now
from tests.parts import crafted

ROOT = Path(__file__).parents[2]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.open(tmp_path / "keys")


PRINTS = """
import sys, pathlib
from financing.evidence.keys import Keys
keys = Keys.open(pathlib.Path(sys.argv[1]))
print(keys.request_kid, keys.signer.certificate.hex(), keys.ca_pem.hex(), keys.subkey("x").hex())
"""


def test_processes_that_start_at_once_make_one_store(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "keys"
    command = [sys.executable, "-c", PRINTS, str(folder)]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    seen = {process.communicate(timeout=60)[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert len(seen) == 1
    assert Keys.open(folder).request_kid == seen.pop().split()[0]


def test_a_store_whose_mark_alone_was_lost_is_kept(tmp_path: Path) -> None:
    before = Keys.open(tmp_path)
    (tmp_path / "made").unlink()
    after = Keys.open(tmp_path)
    assert (after.ca_pem, after.subkey("x")) == (before.ca_pem, before.subkey("x"))


def test_only_its_owner_may_read_the_store(tmp_path: Path) -> None:
    Keys.open(tmp_path / "keys")
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for file in (tmp_path / "keys").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    (tmp_path / "keys" / "master").chmod(0o640)
    with pytest.raises(Invalid) as caught:
        Keys.open(tmp_path / "keys")
    assert "chmod 600" in caught.value.remedy


def test_a_store_that_was_never_finished_is_begun_again(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "ca.pem").write_bytes(b"half")
    Keys.open(folder)
    assert b"CERTIFICATE" in (folder / "ca.pem").read_bytes()


@pytest.mark.parametrize("name", ["ca.pem", "packet.key", "request.key", "master"])
def test_a_lost_file_is_told_and_not_made_anew(tmp_path: Path, name: str) -> None:
    Keys.open(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(Unreachable) as caught:
        Keys.open(tmp_path)
    assert caught.value.where == str(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    Keys.open(tmp_path)
    (tmp_path / "packet.key").write_bytes(b"hello")
    with pytest.raises(Invalid):
        Keys.open(tmp_path)


def test_no_secret_stands_in_what_is_printed(keys: Keys, tmp_path: Path) -> None:
    shown = repr(keys)
    folder = tmp_path / "keys"
    assert (folder / "master").read_text().strip() not in shown
    assert "PRIVATE" not in shown
    assert repr(keys.subkey("x")) not in shown
    assert "EllipticCurvePrivateKey" not in shown


def test_a_packet_of_a_new_store_is_accepted_by_its_root(keys: Keys) -> None:
    now = wall_now().replace(microsecond=0)
    parts = crafted.documents(**{"packet.json": {"issued_at": rfc3339(now)}})
    manifest = asice.manifest(parts)
    data = asice.container(parts, manifest, keys.signer.sign(manifest, now))
    assert verify.verify(data, keys.ca_pem).reason == "passed"
    assert verify.verify(data, crafted.root().pem).reason == "no-trusted-issuer"


# ── Sealed fields ────────────────────────────────────────────────────────────────────────────


def test_a_sealed_field_opens_in_its_own_place_only(keys: Keys) -> None:
    row = new_id()
    sealed = sealing.seal(keys, "bank_account", "number_sealed", row, b"6222021702012345678")
    assert b"6222" not in sealed
    assert sealing.unseal(keys, "bank_account", "number_sealed", row, sealed).startswith(b"62220")
    places = [
        ("login", "number_sealed", row),
        ("bank_account", "other", row),
        ("bank_account", "number_sealed", new_id()),
    ]
    for table, column, place in places:
        with pytest.raises(Broken):
            sealing.unseal(keys, table, column, place, sealed)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(Broken):
            sealing.unseal(keys, "bank_account", "number_sealed", row, bytes(changed))
    for short in (b"", sealed[:5], sealed[:13], sealed[:-1]):
        with pytest.raises(Broken):
            sealing.unseal(keys, "bank_account", "number_sealed", row, short)


def test_equal_values_are_found_but_not_seen(keys: Keys, tmp_path: Path) -> None:
    row = new_id()
    assert sealing.seal(keys, "t", "c", row, b"1") != sealing.seal(keys, "t", "c", row, b"1")
    assert sealing.blind_index(keys, "6222") == sealing.blind_index(keys, "6222")
    assert sealing.blind_index(keys, "6222") != sealing.blind_index(keys, "6223")
    other = Keys.open(tmp_path / "others")
    assert sealing.blind_index(keys, "6222") != sealing.blind_index(other, "6222")


# ── Requests to banks ────────────────────────────────────────────────────────────────────────


def test_a_request_is_signed_over_its_bytes(keys: Keys) -> None:
    signature = keys.sign_request(b'{"a":1}')
    assert signature == keys.sign_request(b'{"a":1}')
    jws.verify_detached(b'{"a":1}', signature, keys.request_public_pem)


def slug(body: bytes, signature: str, pem: str) -> str:
    with pytest.raises(Untrusted) as caught:
        jws.verify_detached(body, signature, pem)
    return caught.value.kind


def with_header(signature: str, header: bytes) -> str:
    return f"{jws._encode(header)}..{signature.rpartition('.')[2]}"


def test_a_signature_of_anything_else_is_refused(keys: Keys, tmp_path: Path) -> None:
    good = keys.sign_request(b"body")
    pem = keys.request_public_pem
    other = Keys.open(tmp_path / "others").request_public_pem
    mismatch, malformed = "signature-mismatch", "signature-header-malformed"
    assert slug(b"body ", good, pem) == mismatch
    assert slug(b"body", good, other) == mismatch
    assert slug(b"body", "", pem) == "signature-missing"
    assert slug(b"body", good.replace("..", "."), pem) == malformed
    assert slug(b"body", good[:-1], pem) == malformed
    assert slug(b"body", good.partition("..")[0] + ".." + "A" * 86, pem) == mismatch
    assert slug(b"body", with_header(good, b"[]"), pem) == malformed
    assert slug(b"body", with_header(good, b"{"), pem) == malformed
    last = "AQgw".index(good[-1]) * 16
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert slug(b"body", good[:-1] + alphabet[last + 1], pem) == malformed
    assert slug(b"body", "AAAAA.." + good.rpartition(".")[2], pem) == malformed
    headers = {
        b'{"alg":"none","b64":false,"crit":["b64"]}': "algorithm-not-bound",
        b'{"alg":"HS256","b64":false,"crit":["b64"]}': "algorithm-not-bound",
        b'{"alg":"ES256","b64":true,"crit":["b64"]}': malformed,
        b'{"alg":"ES256"}': malformed,
        b'{"alg":"ES256","b64":false,"crit":["b64","exp"]}': malformed,
        b'{"alg":"ES256","kid":"x","b64":false,"crit":["b64"]}': mismatch,
    }
    for header, expected in headers.items():
        assert slug(b"body", with_header(good, header), pem) == expected


P384 = (
    ec.generate_private_key(ec.SECP384R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@pytest.mark.parametrize(
    "pem", ["", P384, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]
)
def test_a_registered_key_that_is_none_is_told(keys: Keys, pem: str) -> None:
    with pytest.raises(Invalid):
        jws.verify_detached(b"body", keys.sign_request(b"body"), pem)
