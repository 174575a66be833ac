"""A small world of packets, good and bad, made by hand from a fixed clock and fresh keys."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from financing.evidence import asice, certificates, cms
from financing.evidence.cms import integer, oid, seq, set_, tlv
from financing.values.times import rfc3339, wall_now

NOW = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
STAMP = NOW.strftime("%y%m%d%H%M%SZ").encode()
UNSIGNED_ATTRIBUTE = "1.2.840.113549.1.9.16.2.14"
Entry = tuple[str, bytes]


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any = field(repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def new_root(now: datetime = NOW) -> Issued:
    key = new_key()
    return Issued(certificates.make_root(key, now), key)


def new_signing(root: Issued, now: datetime = NOW, key: Any = None) -> Issued:
    key = key or new_key()
    return Issued(certificates.make_signing(root.certificate, root.key, key.public_key(), now), key)


@cache
def root() -> Issued:
    return new_root()


@cache
def signing() -> Issued:
    return new_signing(root())


@cache
def signer() -> cms.Signer:
    return cms.Signer.of(signing().der, signing().key)


def documents(**changed: Any) -> list[asice.Part]:
    """The parts of a small packet whose `packet.json` agrees with them."""
    money = {"currency": "CNY", "fen": 64_000_000}
    held: dict[str, Any] = {
        "contract/record.json": {"ocid": "ocds-example-2026-0117"},
        "checks.json": [{"id": "SIGNED", "result": "pass"}],
        "consent.json": {"bank": "sandbox-a"},
        "application.json": {"amount": money, "id": "ap_1", "tenor_days": 180},
        "unknowns.json": [],
    }
    held.update({name: value for name, value in changed.items() if name != "packet.json"})
    index = {
        "application": {"id": "ap_1", "requested": money, "tenor_days": 180},
        "issued_at": "2026-03-02T01:02:03Z",
        "parts": [{"name": name} for name in held],
        "recipient": {"bank": "sandbox-a", "certificate_sha256": None},
        "schema": "financing-packet/1",
    } | changed.get("packet.json", {})
    return [
        asice.Part.of(
            name,
            "application/json",
            value if isinstance(value, bytes) else json.dumps(value).encode(),
        )
        for name, value in {"packet.json": index, **held}.items()
    ]


def packet(parts: Sequence[asice.Part] | None = None, by: cms.Signer | None = None) -> bytes:
    """A good packet of these parts."""
    parts = parts or documents()
    manifest = asice.manifest(parts)
    return asice.container(parts, manifest, (by or signer()).sign(manifest, NOW))


def fresh() -> tuple[bytes, bytes]:
    """A good packet of this machine's time, and the PEM of its root."""
    now = wall_now().replace(microsecond=0)
    issuer = new_root(now)
    issued = new_signing(issuer, now)
    by = cms.Signer.of(issued.der, issued.key)
    parts = documents(**{"packet.json": {"issued_at": rfc3339(now)}})
    text = asice.manifest(parts)
    return asice.container(parts, text, by.sign(text, now)), issuer.pem


def entries_of(data: bytes) -> list[Entry]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def wrap(entries: Sequence[Entry], *, deflated: bool = False, **odd: Any) -> bytes:
    """A container by the standard library, in the prescribed form unless told otherwise."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = odd.get("comment", b"")
        for name, data in entries:
            info = zipfile.ZipInfo(name, date_time=odd.get("date", (1980, 1, 1, 0, 0, 0)))
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
            info.extra = odd.get("extra", b"")
            with warnings.catch_warnings(action="ignore"):  # a name may be there twice
                archive.writestr(info, data)
    return file.getvalue()


def but(data: bytes, name: str, content: bytes) -> bytes:
    """The packet with one file exchanged, and a container that fits it."""
    return wrap([(held, content if held == name else old) for held, old in entries_of(data)])


def resigned(manifest: bytes, parts: Sequence[asice.Part] | None = None) -> bytes:
    """A container around a manifest of any form, signed as it stands."""
    files = [(part.name, part.data) for part in parts or documents()]
    signature = signer().sign(manifest, NOW)
    return wrap(
        [
            ("mimetype", asice.MEDIA_TYPE.encode()),
            *files,
            (asice.MANIFEST, manifest),
            (asice.SIGNATURE, signature),
        ]
    )


def sign(key: Any, data: bytes, *, high_s: bool = False, pss: bool = False) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(
            data, padding.PSS(padding.MGF1(SHA256()), 32) if pss else padding.PKCS1v15(), SHA256()
        )
    value = key.sign(data, ec.ECDSA(SHA256()))
    if key.key_size == 256:
        value = cms.low_s(value)
    if high_s:
        r, s = cms.decode_dss_signature(value)
        value = cms.encode_dss_signature(r, cms.ORDER - s)
    return bytes(value)


def attribute(name: str, value: bytes) -> bytes:
    return seq(oid(name), set_(value))


def crafted_cms(manifest: bytes, by: Issued | None = None, **odd: Any) -> bytes:
    """SignedData in the prescribed form but for what `odd` names, with a signature that holds."""
    by = by or signing()
    issuer = cms._issuer(by.der)
    names = ("contentType", "signingTime", "messageDigest", "signingCertificateV2")
    whole = cms.attributes(
        odd.get("identified", by.der),
        odd.get("stamp", STAMP),
        cms.hashlib.sha256(manifest).digest(),
    )
    pieces = dict(zip(names, split(whole), strict=True))
    for name in odd.get("drop", ()):
        del pieces[name]
    attributes = b"".join(sorted([*pieces.values(), *odd.get("extra", ())], key=len))
    sha256 = seq(oid(cms._SHA256), *([b"\x05\x00"] if odd.get("null") else []))
    label = seq(oid(odd.get("label", cms._ECDSA_SHA256)))
    has_attributes = not odd.get("bare")
    signed = tlv(0x31, attributes) if has_attributes else manifest
    value = sign(by.key, signed, high_s=odd.get("high_s", False), pss=odd.get("pss", False))
    info = seq(
        integer(odd.get("signer_version", 1)),
        seq(issuer.name, issuer.serial),
        sha256,
        *([tlv(0xA0, attributes)] if has_attributes else []),
        label,
        tlv(4, odd.get("value", value)),
        *([tlv(0xA1, odd["unsigned"])] if "unsigned" in odd else []),
    )
    content = tlv(0xA0, tlv(4, manifest)) if odd.get("embedded") else b""
    held = b"".join(odd.get("certificates", [by.der]))
    data = seq(
        integer(odd.get("version", 1)),
        set_(sha256),
        seq(oid(cms._DATA), content),
        *([tlv(0xA0, held)] if held else []),
        set_(*[info] * odd.get("signers", 1)),
    )
    return seq(oid(cms._SIGNED_DATA), tlv(0xA0, data))


def split(data: bytes) -> list[bytes]:
    """The DER elements that stand one after the other."""
    found, at = [], 0
    while at < len(data):
        _, end = cms._element(data, at)
        found.append(data[at:end])
        at = end
    return found


def with_cms(signature: bytes) -> bytes:
    return but(packet(), asice.SIGNATURE, signature)


def manifest() -> bytes:
    return asice.manifest(documents())


def by_certificate(issued: Issued, **odd: Any) -> bytes:
    """A packet signed under another certificate."""
    return with_cms(crafted_cms(manifest(), issued, **odd))


def odd_signing(
    issuer: Issued,
    *,
    usage: x509.KeyUsage | None = None,
    extra: x509.ExtensionType | None = None,
    key: Any = None,
    signed_by: Any = None,
    begins: datetime = NOW - timedelta(days=1),
    ends: datetime = NOW + timedelta(days=100),
) -> Issued:
    """A signing certificate that is odd in one way."""
    key = key or new_key()
    builder = certificates._unsigned(
        certificates._name("Odd"), issuer.certificate.subject, key.public_key(), NOW, 1
    )
    builder._not_valid_before = begins.replace(tzinfo=None)
    builder._not_valid_after = ends.replace(tzinfo=None)
    subject_id = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage or certificates._usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_id.value),
            critical=False,
        )
    )
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    return Issued(builder.sign(signed_by or issuer.key, SHA256()), key)
