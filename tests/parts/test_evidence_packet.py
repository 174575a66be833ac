"""A packet is written to the byte as prescribed, and anyone can check it with stock tools."""

from __future__ import annotations

import io
import random
import re
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import cms as asn1_cms
from asn1crypto import core, tsp
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from financing.errors import Broken, Invalid
from financing.evidence import asice, cms, verify
from tests.parts import crafted
from tests.parts.crafted import NOW, STAMP, but, documents, entries_of, packet, wrap

JUDGED = NOW + timedelta(minutes=1)
DOCUMENT = Path(__file__).parents[2] / "docs" / "verify.md"


def judge(data: bytes) -> verify.Verdict:
    return verify.verify(data, crafted.root().pem, JUDGED)


def recipe(folder: Path, data: bytes, root: bytes) -> subprocess.CompletedProcess[str]:
    """What a stranger types by the document, with nothing of ours."""
    (folder / "P.asice").write_bytes(data)
    (folder / "ca.pem").write_bytes(root)
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    (commands,) = (block for block in blocks if "unzip" in block)
    return subprocess.run(
        ["sh", "-c", commands], cwd=folder, capture_output=True, text=True, check=False
    )


# ── Container ────────────────────────────────────────────────────────────────────────────────

NAMES = st.from_regex(r"(?:[a-z0-9][a-z0-9._-]{0,8}/){0,2}[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True)


def parts_of(contents: dict[str, bytes]) -> list[asice.Part]:
    named = {"packet.json": b"{}"} | contents
    return [asice.Part.of(name, "text/plain", data) for name, data in named.items()]


@given(
    st.dictionaries(
        NAMES.filter(lambda name: name not in ("mimetype", "packet.json")),
        st.binary(max_size=300).filter(lambda data: data[:2] != b"PK"),
        max_size=8,
    )
)
def test_the_container_is_what_the_standard_library_writes_without_dates(
    contents: dict[str, bytes],
) -> None:
    parts = parts_of(contents)
    manifest = asice.manifest(parts)
    whole = asice.container(parts, manifest, b"signature")
    assert whole == wrap(entries_of(whole))
    assert entries_of(whole) == [
        ("mimetype", asice.MEDIA_TYPE.encode()),
        *[(part.name, part.data) for part in parts],
        (asice.MANIFEST, manifest),
        (asice.SIGNATURE, b"signature"),
    ]
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None


def test_the_file_is_recognised_by_its_first_bytes() -> None:
    assert packet()[30:69] == b"mimetypeapplication/vnd.etsi.asic-e+zip"


@pytest.mark.parametrize(
    "name",
    ["", "A.json", "a/b/c/d.json", "/a", "../a", "a//b", "ä.json", "a b", ".a", "mimetype",
     "a" * 65, "META-INF/a.xml", "a\n"],
)  # fmt: skip
def test_a_name_that_readers_could_take_in_two_ways_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        asice.Part.of(name, "application/json", b"{}")


def test_a_part_that_readers_could_take_in_two_ways_is_refused() -> None:
    for media_type in ("", "json", 'a/b"', "a/b c", "A/b"):
        with pytest.raises(Invalid):
            asice.Part.of("a", media_type, b"")
    with pytest.raises(Invalid):
        asice.manifest([*parts_of({"a": b""}), asice.Part.of("a", "text/plain", b"x")])


def test_a_zip_is_no_part_but_a_chinese_layout_document_is() -> None:
    with pytest.raises(Invalid):
        asice.Part.of("a.zip", "application/zip", b"PK\x03\x04")
    part = asice.Part.of("contract/document.ofd", "application/ofd", b"PK\x03\x04")
    named = documents(**{"packet.json": {}})
    index = crafted.json.loads(named[0].data)
    index["parts"].append({"name": part.name})
    named[0] = asice.Part.of("packet.json", "application/json", crafted.json.dumps(index).encode())
    assert judge(packet([*named, part])).reason == "passed"


def test_a_packet_beyond_the_limits_is_not_written() -> None:
    big = asice.Part.of("a", "text/plain", b"\x00" * (asice.MOST_BYTES - 100))
    parts = [*parts_of({}), big]
    with pytest.raises(Invalid):
        asice.container(parts, asice.manifest(parts), b"")
    with pytest.raises(Invalid):
        asice.manifest(parts_of({f"p{n}": b"" for n in range(61)}))
    with pytest.raises(Invalid):
        asice.manifest(parts_of({})[1:] or [big])


# ── Signature ────────────────────────────────────────────────────────────────────────────────


def test_the_same_inputs_give_the_same_packet() -> None:
    assert packet() == packet()


@given(st.binary(max_size=200), st.integers(0, 20_000_000))
def test_the_template_writes_what_the_builder_writes(content: bytes, seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    signature = crafted.signer().sign(content, at)
    read = verify.Signature.read(signature)
    assert signature == cms.build(
        crafted.signing().der,
        at.strftime("%y%m%d%H%M%SZ").encode(),
        cms.hashlib.sha256(content).digest(),
        read.numbers,
    )
    assert decode_dss_signature(read.numbers)[1] <= cms.ORDER // 2


def test_a_signature_shorter_than_the_templates_is_written_too() -> None:
    short = cms.encode_dss_signature(1 << 40, 1 << 40)
    whole = cms.build(crafted.signing().der, STAMP, b"\x01" * 32, short)
    assert verify.Signature.read(whole).numbers == short


def test_another_reader_sees_the_same_fields() -> None:
    assert tsp.SigningCertificateV2  # its module knows the fourth attribute
    manifest = asice.manifest(documents())
    info = asn1_cms.ContentInfo.load(crafted.signer().sign(manifest, NOW), strict=True)
    signed = info["content"]
    (signer,) = signed["signer_infos"]
    held = {a["type"].native: a["values"][0].native for a in signer["signed_attrs"]}
    assert list(held) == [
        "content_type",
        "signing_time",
        "message_digest",
        "signing_certificate_v2",
    ]
    assert held["signing_time"] == NOW
    assert held["message_digest"] == cms.hashlib.sha256(manifest).digest()
    (identified,) = held["signing_certificate_v2"]["certs"]
    assert identified["cert_hash"] == cms.hashlib.sha256(crafted.signing().der).digest()
    assert signer["signature_algorithm"]["algorithm"].native == "sha256_ecdsa"
    assert isinstance(signer["unsigned_attrs"], core.Void)
    assert [c.chosen.dump() for c in signed["certificates"]] == [crafted.signing().der]


def test_stock_openssl_writes_the_same_structure(tmp_path: Path) -> None:
    manifest = asice.manifest(documents())
    (tmp_path / "m").write_bytes(manifest)
    (tmp_path / "c").write_bytes(crafted.signing().pem)
    pem = crafted.signing().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "k").write_bytes(pem)
    subprocess.run(
        "openssl cms -sign -cades -binary -nosmimecap -md sha256 -signer c -inkey k -in m"
        " -outform DER -out s",
        shell=True, cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    theirs = verify.Signature.read((tmp_path / "s").read_bytes())
    r, s = decode_dss_signature(theirs.numbers)
    assert (tmp_path / "s").read_bytes() == cms.build(
        crafted.signing().der, theirs.stamp, theirs.digest or b"", theirs.numbers
    )
    assert r > 0 < s


def test_nothing_is_signed_outside_the_certificate_s_life() -> None:
    for at in (NOW - timedelta(days=1), NOW + timedelta(days=731)):
        with pytest.raises(Broken):
            crafted.signer().sign(b"", at)


def test_a_key_of_another_certificate_is_refused() -> None:
    with pytest.raises(Invalid):
        cms.Signer.of(crafted.signing().der, crafted.new_key())


# ── Stock tools agree ────────────────────────────────────────────────────────────────────────


def test_stock_openssl_accepts_the_packet_and_names_it(tmp_path: Path) -> None:
    data, root = crafted.fresh()
    ran = recipe(tmp_path, data, root)
    assert ran.returncode == 0, ran.stderr
    assert "Verification successful" in ran.stderr
    *lines, identity = ran.stdout.splitlines()
    assert lines == [f"ok   {part.name}" for part in documents()]
    assert verify.verify(data, root).packet == "sha-256:" + identity.split()[0]


def test_the_recipe_names_the_part_in_which_one_byte_differs(tmp_path: Path) -> None:
    data, root = crafted.fresh()
    changed = bytearray(dict(entries_of(data))["checks.json"])
    changed[5] ^= 1
    ran = recipe(tmp_path, but(data, "checks.json", bytes(changed)), root)
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[-1] == "BAD  checks.json"


def test_the_document_names_every_verdict() -> None:
    rows = {
        line.split("|")[1].strip(): line
        for line in DOCUMENT.read_text("utf-8").splitlines()
        if line.startswith("|")
    }
    for reason, sub_indication in verify.SUB_INDICATION.items():
        assert not sub_indication or f"`{reason}`" in rows[sub_indication]


def test_the_one_file_runs_alone_on_another_machine(tmp_path: Path) -> None:
    alone = tmp_path / "verify.py"
    alone.write_bytes(Path(verify.__file__).read_bytes())
    good, root = crafted.fresh()
    (tmp_path / "P.asice").write_bytes(good)
    (tmp_path / "bad.asice").write_bytes(but(good, "checks.json", b"[]"))
    (tmp_path / "ca.pem").write_bytes(root)

    def run(*arguments: str, path: str = "/usr/bin:/bin") -> tuple[int, str]:
        ran = subprocess.run(
            [sys.executable, "-I", "verify.py", *arguments],
            cwd=tmp_path, capture_output=True, text=True, env={"PATH": path}, check=False,
        )  # fmt: skip
        return ran.returncode, ran.stdout

    code, said = run("bad.asice", "--trust", "ca.pem")
    assert (code, said.split()[:4]) == (
        1,
        ["TOTAL-FAILED", "HASH_FAILURE", "part-changed", "checks.json"],
    )
    code, said = run("P.asice", "--trust", "ca.pem")
    assert (code, said.split()[:2]) == (0, [verify.PASSED, "passed"])
    assert run("P.asice")[0] == 3
    assert run("nowhere.asice")[0] == 2
    assert run()[0] == 2
    assert run("P.asice", "--trust", "ca.pem", path=str(tmp_path))[0] == 4


# ── One bit ──────────────────────────────────────────────────────────────────────────────────


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def bits(data: bytes, count: int) -> list[int]:
    return random.Random(20260302).sample(range(len(data) * 8), count)


def test_no_bit_of_a_packet_may_be_flipped() -> None:
    good = packet()
    accepted = [bit for bit in bits(good, 1500) if judge(flipped(good, bit)).exit_code == 0]
    assert accepted == []


@pytest.mark.parametrize("name", ["packet.json", "contract/record.json", "checks.json"])
def test_a_flipped_bit_of_a_part_names_the_part_though_the_container_is_mended(name: str) -> None:
    good = dict(entries_of(packet()))[name]
    for bit in bits(good, min(100, len(good) * 8)):
        found = judge(but(packet(), name, flipped(good, bit)))
        assert (found.reason, found.part) == ("part-changed", name)


def test_a_flipped_bit_of_the_manifest_names_the_manifest() -> None:
    good = dict(entries_of(packet()))[asice.MANIFEST]
    for bit in bits(good, 300):
        found = judge(but(packet(), asice.MANIFEST, flipped(good, bit)))
        assert (found.reason, found.part) == ("manifest-changed", asice.MANIFEST)


def test_no_bit_of_the_signature_may_be_flipped_where_stock_openssl_lets_it() -> None:
    """Versions, object identifiers, and tags that `openssl` does not look at are looked at."""
    good = dict(entries_of(packet()))[asice.SIGNATURE]
    accepted = [
        bit
        for bit in range(0, len(good) * 8, 5)
        if judge(but(packet(), asice.SIGNATURE, flipped(good, bit))).exit_code == 0
    ]
    assert accepted == []
