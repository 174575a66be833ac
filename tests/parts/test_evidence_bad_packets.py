"""Packets that somebody made badly: each is refused, and told apart from the others."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ObjectIdentifier

from financing.evidence import asice, verify
from tests.parts import crafted
from tests.parts.crafted import (
    NOW,
    UNSIGNED_ATTRIBUTE,
    attribute,
    but,
    by_certificate,
    crafted_cms,
    documents,
    entries_of,
    manifest,
    odd_signing,
    packet,
    resigned,
    with_cms,
    wrap,
)

FORMAT, HASH = "FORMAT_FAILURE", "HASH_FAILURE"
FORM, KIND = "SIG_CONSTRAINTS_FAILURE", "CRYPTO_CONSTRAINTS_FAILURE"
CHAIN, NO_CHAIN = "CHAIN_CONSTRAINTS_FAILURE", "NO_CERTIFICATE_CHAIN_FOUND"
BOUNDS = "OUT_OF_BOUNDS_NO_POE"
RECORD = "contract/record.json"

Make = Callable[[], bytes]


def judge(data: bytes) -> verify.Verdict:
    return verify.verify(data, crafted.root().pem, NOW + timedelta(minutes=1))


def added(name: str, data: bytes = b"{}") -> bytes:
    return wrap([*entries_of(packet()), (name, data)])


def mimetype_last() -> bytes:
    first, *rest = entries_of(packet())
    return wrap([*rest, first])


def in_header(data: bytes | bytearray) -> int:
    """Where the record's name stands in its own header."""
    mark = struct.pack("<2H", len(RECORD), 0) + RECORD.encode()
    return data.index(mark) + 4


def local_name_differs() -> bytes:
    data = packet()
    at = in_header(data)
    return data[:at] + b"contract/recorb.json" + data[at + len(RECORD) :]


def longer_local_name() -> bytes:
    """The header says a longer name than the directory, and every offset is mended for it."""
    data = bytearray(packet())
    at = in_header(data)
    data[at - 4 : at - 2] = struct.pack("<H", len(RECORD) + 1)
    data.insert(at + len(RECORD), ord("x"))
    end = len(data) - 22
    (directory,) = struct.unpack_from("<I", data, end + 16)
    struct.pack_into("<I", data, end + 16, directory + 1)
    at = directory + 1
    while at < end:
        length, offset = *struct.unpack_from("<H", data, at + 28), at + 42
        (start,) = struct.unpack_from("<I", data, offset)
        if start > in_header(packet()):
            struct.pack_into("<I", data, offset, start + 1)
        at += 46 + length
    return bytes(data)


def flagged() -> bytes:
    data = bytearray(packet())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    data[6] |= 1
    return bytes(data)


def part_changed(*, mended: bool) -> bytes:
    data = packet()
    old = dict(entries_of(data))["checks.json"]
    new = old.replace(b"pass", b"fail")
    if mended:
        return but(data, "checks.json", new)
    assert zlib.crc32(new) != zlib.crc32(old)
    return data.replace(old, new)


def manifest_but(old: bytes, new: bytes) -> bytes:
    """A manifest that says it another way, and is signed as it stands."""
    assert old in manifest()
    return resigned(manifest().replace(old, new))


def reference(name: str) -> bytes:
    text = manifest()
    at = text.index(f'URI="{name}"'.encode())
    return text[text.rindex(b"<asic:Data", 0, at) : text.index(b"</asic:Data", at)] + (
        b"</asic:DataObjectReference>\n"
    )


def same_file_twice() -> bytes:
    return manifest_but(reference("checks.json"), reference("checks.json") * 2)


def names_the_mimetype() -> bytes:
    digest = base64.b64encode(asice.hashlib.sha256(asice.MEDIA_TYPE.encode()).digest())
    more = re.sub(rb"Value>.*<", b"Value>" + digest + b"<", reference("checks.json"))
    more = more.replace(b"checks.json", b"mimetype")
    return manifest_but(reference("checks.json"), reference("checks.json") + more)


def without_reference() -> bytes:
    return manifest_but(reference("checks.json"), b"")


def other_order() -> bytes:
    parts = documents()
    return wrap([
        ("mimetype", asice.MEDIA_TYPE.encode()),
        *[(part.name, part.data) for part in (parts[0], *reversed(parts[1:]))],
        (asice.MANIFEST, manifest()),
        (asice.SIGNATURE, crafted.signer().sign(manifest(), NOW)),
    ])  # fmt: skip


def signed_names(old: str, new: str) -> bytes:
    """A part whose name the profile does not allow, signed so."""
    text = manifest().replace(old.encode(), new.encode())
    files = [(new if part.name == old else part.name, part.data) for part in documents()]
    return wrap([
        ("mimetype", asice.MEDIA_TYPE.encode()),
        *files,
        (asice.MANIFEST, text),
        (asice.SIGNATURE, crafted.signer().sign(text, NOW)),
    ])  # fmt: skip


def zip_inside() -> bytes:
    parts = documents()
    nested = wrap([("packet.json", b"{}")])
    hidden = asice.Part(RECORD, "application/json", nested, asice.hashlib.sha256(nested).digest())
    parts[1] = hidden
    text = asice.manifest(parts)
    return asice.container(parts, text, crafted.signer().sign(text, NOW))


def of_another_packet(name: str) -> bytes:
    other = packet(documents(**{"consent.json": {"bank": "sandbox-b"}, "unknowns.json": [1]}))
    return but(packet(), name, dict(entries_of(other))[name])


def indefinite() -> bytes:
    whole = crafted_cms(manifest())
    start, _ = crafted.cms._element(whole, 0)
    return with_cms(b"\x30\x80" + whole[start:] + b"\x00\x00")


def another() -> crafted.Issued:
    return crafted.new_signing(crafted.root())


def stranger() -> bytes:
    return by_certificate(crafted.new_signing(crafted.new_root()))


def self_signed() -> bytes:
    return by_certificate(crafted.new_root())


def issued_by_signing() -> bytes:
    return by_certificate(odd_signing(crafted.signing()))


def forged_issuer() -> bytes:
    """Our root's name and key id, a stranger's signature."""
    return by_certificate(odd_signing(crafted.root(), signed_by=crafted.new_key()))


def of_key(key: object) -> crafted.Issued:
    return odd_signing(crafted.root(), key=key)


def agreement_only() -> bytes:
    usage = x509.KeyUsage(False, False, False, False, True, False, False, False, False)
    return by_certificate(odd_signing(crafted.root(), usage=usage))


def unknown_critical() -> bytes:
    extra = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    return by_certificate(odd_signing(crafted.root(), extra=extra))


def ended() -> bytes:
    return by_certificate(odd_signing(crafted.root(), ends=NOW + timedelta(seconds=30)))


def stamp(text: str) -> bytes:
    return with_cms(crafted_cms(manifest(), stamp=text.encode()))


def value_changed() -> bytes:
    other = crafted.sign(crafted.signing().key, b"something else")
    return with_cms(crafted_cms(manifest(), value=other))


EXTRA = attribute(UNSIGNED_ATTRIBUTE, crafted.tlv(4, b"\x01" * 200))

BAD: dict[str, tuple[Make, str, str]] = {
    # container
    "a name that climbs out": (lambda: added("../evil.sh"), FORMAT, "bad-name"),
    "an absolute name": (lambda: added("/etc/passwd"), FORMAT, "bad-name"),
    "packet.json twice": (lambda: added("packet.json"), FORMAT, "bad-name"),
    "PACKET.json beside it": (lambda: added("PACKET.json"), FORMAT, "bad-name"),
    "a control character in a name": (lambda: added("a\x07b"), FORMAT, "bad-name"),
    "a file more": (lambda: added("extra.json"), FORMAT, "unlisted"),
    "another mimetype": (
        lambda: but(packet(), "mimetype", b"application/zip"),
        FORMAT,
        "not-a-container",
    ),
    "mimetype last": (mimetype_last, FORMAT, "container-form"),
    "deflated": (lambda: wrap(entries_of(packet()), deflated=True), FORMAT, "bad-entry"),
    "a deflated bomb": (
        lambda: wrap([*entries_of(packet()), ("bomb", b"\x00" * (8 << 20))], deflated=True),
        FORMAT,
        "bad-entry",
    ),
    "bytes before": (lambda: b"#!/bin/sh\n" + packet(), FORMAT, ""),
    "bytes after": (lambda: packet() + b"\n", FORMAT, "not-a-container"),
    "a ZIP comment": (
        lambda: wrap(entries_of(packet()), comment=b"hello"),
        FORMAT,
        "not-a-container",
    ),
    "cut short": (lambda: packet()[:-100], FORMAT, "not-a-container"),
    "empty": (lambda: b"", FORMAT, "not-a-container"),
    "a PDF": (lambda: b"%PDF-1.7\n" + b"x" * 2000 + b"%%EOF", FORMAT, "not-a-container"),
    "another name in the header": (local_name_differs, FORMAT, "container-form"),
    "a longer name in the header": (longer_local_name, FORMAT, "bad-entry"),
    "an encryption flag": (flagged, FORMAT, "container-form"),
    "a date in the headers": (
        lambda: wrap(entries_of(packet()), date=(2026, 3, 2, 1, 2, 2)),
        FORMAT,
        "container-form",
    ),
    "an extra field": (
        lambda: wrap(entries_of(packet()), extra=b"\x99\x99\x00\x00"),
        FORMAT,
        "bad-entry",
    ),
    "2,000 entries": (
        lambda: wrap([(f"f{n}", b"") for n in range(2000)]),
        FORMAT,
        "not-a-container",
    ),
    "no signature": (lambda: wrap(entries_of(packet())[:-1]), FORMAT, "entry-missing"),
    "no manifest": (
        lambda: wrap([e for e in entries_of(packet()) if e[0] != asice.MANIFEST]),
        FORMAT,
        "entry-missing",
    ),
    # manifest and parts
    "a missing file": (
        lambda: wrap([e for e in entries_of(packet()) if e[0] != "checks.json"]),
        "SIGNED_DATA_NOT_FOUND",
        "part-missing",
    ),
    "SHA-512, signed so": (
        lambda: manifest_but(b"xmlenc#sha256", b"xmlenc#sha512"),
        KIND,
        "digest-algorithm",
    ),
    "DOCTYPE and entity, signed so": (
        lambda: manifest_but(b"?>\n", b'?>\n<!DOCTYPE x [<!ENTITY a "b">]>\n'),
        FORMAT,
        "manifest-form",
    ),
    "a comment, signed so": (
        lambda: manifest_but(b"</asic:ASiC", b"<!-- x -->\n</asic:ASiC"),
        FORMAT,
        "manifest-form",
    ),
    "attributes in another order, signed so": (
        lambda: manifest_but(
            b'Type="application/json" URI="checks.json"',
            b'URI="checks.json" MimeType="application/json"',
        ),
        FORMAT,
        "unlisted",
    ),
    "another encoding named, signed so": (
        lambda: manifest_but(b"UTF-8", b"UPF-8"),
        FORMAT,
        "manifest-form",
    ),
    "a media type in capitals, signed so": (
        lambda: manifest_but(b"application/json", b"Application/JSON"),
        FORMAT,
        "manifest-form",
    ),
    "the mimetype named, signed so": (names_the_mimetype, FORMAT, "manifest-form"),
    "the same file twice, signed so": (same_file_twice, FORMAT, "manifest-form"),
    "a part without reference": (without_reference, FORMAT, "unlisted"),
    "parts in another order": (other_order, FORMAT, "container-form"),
    "an upper-case name, signed so": (
        lambda: signed_names("checks.json", "CHECKS.json"),
        FORMAT,
        "bad-name",
    ),
    "three folders, signed so": (
        lambda: signed_names("checks.json", "a/b/c/checks.json"),
        FORMAT,
        "bad-name",
    ),
    "a ZIP inside, signed so": (zip_inside, FORMAT, "zip-inside"),
    "one byte of a part, CRC mended": (lambda: part_changed(mended=True), HASH, "part-changed"),
    "one byte of a part, CRC left": (lambda: part_changed(mended=False), HASH, "part-changed"),
    "the consent of another packet": (
        lambda: of_another_packet("consent.json"),
        HASH,
        "part-changed",
    ),
    "the signature of another packet": (
        lambda: of_another_packet(asice.SIGNATURE),
        HASH,
        "manifest-changed",
    ),
    "the manifest of another packet": (
        lambda: of_another_packet(asice.MANIFEST),
        HASH,
        "manifest-changed",
    ),
    # signature
    "indefinite length": (indefinite, FORMAT, "signature-not-der"),
    "bytes after the signature": (
        lambda: with_cms(crafted_cms(manifest()) + b"\x00"),
        FORMAT,
        "signature-not-der",
    ),
    "a signed attribute more": (
        lambda: with_cms(crafted_cms(manifest(), extra=[EXTRA])),
        FORM,
        "signature-form",
    ),
    "an unsigned attribute": (
        lambda: with_cms(crafted_cms(manifest(), unsigned=EXTRA)),
        FORM,
        "signature-form",
    ),
    "no signed attributes": (
        lambda: with_cms(crafted_cms(manifest(), bare=True)),
        FORM,
        "signature-form",
    ),
    "no signingCertificateV2": (
        lambda: with_cms(crafted_cms(manifest(), drop=["signingCertificateV2"])),
        FORM,
        "signature-form",
    ),
    "signingCertificateV2 of another": (
        lambda: with_cms(crafted_cms(manifest(), identified=another().der)),
        FORM,
        "signature-form",
    ),
    "no signingTime": (
        lambda: with_cms(crafted_cms(manifest(), drop=["signingTime"])),
        FORM,
        "signature-form",
    ),
    "no messageDigest": (
        lambda: with_cms(crafted_cms(manifest(), drop=["messageDigest"])),
        FORM,
        "signature-form",
    ),
    "two signers": (
        lambda: with_cms(crafted_cms(manifest(), signers=2)),
        FORM,
        "signature-form",
    ),
    "no certificate": (
        lambda: with_cms(crafted_cms(manifest(), certificates=[])),
        "NO_SIGNING_CERTIFICATE_FOUND",
        "no-certificate",
    ),
    "the root inside": (
        lambda: with_cms(
            crafted_cms(manifest(), certificates=[crafted.signing().der, crafted.root().der])
        ),
        FORM,
        "signature-form",
    ),
    "the content inside": (
        lambda: with_cms(crafted_cms(manifest(), embedded=True)),
        FORM,
        "signature-form",
    ),
    "version 3": (
        lambda: with_cms(crafted_cms(manifest(), version=3)),
        FORM,
        "signature-form",
    ),
    "NULL parameters": (
        lambda: with_cms(crafted_cms(manifest(), null=True)),
        FORM,
        "signature-form",
    ),
    "the label of SHA-384": (
        lambda: with_cms(crafted_cms(manifest(), label="1.2.840.10045.4.3.3")),
        FORM,
        "signature-form",
    ),
    "high s": (lambda: with_cms(crafted_cms(manifest(), high_s=True)), FORM, "high-s"),
    "another signature value": (value_changed, "SIG_CRYPTO_FAILURE", "signature-wrong"),
    "RSA": (
        lambda: by_certificate(of_key(rsa.generate_private_key(65537, 2048))),
        KIND,
        "key-kind",
    ),
    "RSA-PSS": (
        lambda: by_certificate(of_key(rsa.generate_private_key(65537, 2048)), pss=True),
        KIND,
        "key-kind",
    ),
    "P-384": (
        lambda: by_certificate(of_key(ec.generate_private_key(ec.SECP384R1()))),
        KIND,
        "key-kind",
    ),
    # certificate and time
    "a stranger's chain": (stranger, NO_CHAIN, "no-trusted-issuer"),
    "self-signed": (self_signed, NO_CHAIN, "no-trusted-issuer"),
    "issued by a signing certificate": (issued_by_signing, NO_CHAIN, "no-trusted-issuer"),
    "our root's name, a stranger's hand": (
        forged_issuer,
        "CERTIFICATE_CHAIN_GENERAL_FAILURE",
        "issuer-signature",
    ),
    "ended": (ended, BOUNDS, "certificate-ended"),
    "an unknown critical extension": (unknown_critical, CHAIN, "certificate-usage"),
    "key agreement only": (agreement_only, CHAIN, "certificate-usage"),
    "signed in 1999": (lambda: stamp("990302010203Z"), FORM, "signing-time"),
    "signed next year": (lambda: stamp("270302010203Z"), FORM, "signing-time"),
    "signed at no time": (lambda: stamp("269902010203Z"), FORM, "signature-form"),
    # contents: a signed lie
    "an index that names other parts": (
        lambda: packet(documents(**{"packet.json": {"parts": []}})),
        FORMAT,
        "contents-disagree",
    ),
    "an index of another day": (
        lambda: packet(documents(**{"packet.json": {"issued_at": "2026-03-01T01:02:03Z"}})),
        FORMAT,
        "contents-disagree",
    ),
    "two amounts": (
        lambda: packet(documents(**{"packet.json": {"application": {"id": "ap_1"}}})),
        FORMAT,
        "contents-disagree",
    ),
    "consent for another bank": (
        lambda: packet(documents(**{"consent.json": {"bank": "sandbox-b"}})),
        FORMAT,
        "contents-disagree",
    ),
    "an index that is not JSON": (
        lambda: packet([asice.Part.of("packet.json", "application/json", b"{")]),
        FORMAT,
        "contents-disagree",
    ),
}

FAILURES = (FORMAT, HASH, "SIG_CRYPTO_FAILURE")


def test_the_good_packet_is_accepted_and_gives_its_parts() -> None:
    found = judge(packet())
    assert (found.indication, found.exit_code, found.part) == (verify.PASSED, 0, "")
    assert found.packet == asice.identity(manifest())
    assert found.parts == {part.name: part.data for part in documents()}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_packet_is_refused_and_says_why(name: str) -> None:
    make, sub_indication, reason = BAD[name]
    found = judge(make())
    assert (found.sub_indication, found.reason) == (sub_indication, reason or found.reason)
    failed = sub_indication in FAILURES
    assert found.indication == (verify.FAILED if failed else verify.UNKNOWN)
    assert found.exit_code == (1 if failed else 3)
    assert found.parts == {}


def test_a_certificate_that_does_not_count_yet_is_told() -> None:
    found = verify.verify(packet(), crafted.root().pem, NOW - timedelta(minutes=4))
    assert found.reason == "passed"  # clocks may differ by minutes
    later = odd_signing(crafted.root(), begins=NOW - timedelta(minutes=2))
    found = verify.verify(by_certificate(later), crafted.root().pem, NOW - timedelta(minutes=4))
    assert (found.sub_indication, found.reason) == (BOUNDS, "certificate-not-begun")


ARMOUR = b"-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "trust", [b"", b"no certificate", ARMOUR % b"AAAA", ARMOUR % b"!", ARMOUR % b"MAMCAQE="]
)
def test_without_a_trusted_root_nothing_is_accepted(trust: bytes) -> None:
    assert verify.verify(packet(), trust, NOW).reason == "no-trusted-issuer"


def test_several_roots_may_be_trusted() -> None:
    trust = crafted.new_root().pem + crafted.root().pem
    assert verify.verify(packet(), trust, NOW).reason == "passed"
