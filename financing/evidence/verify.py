#!/usr/bin/env python3
"""Check a financing packet (融资数据包) without its issuer: standard library and `openssl` only.

    python verify.py FILE.asice --trust ca.pem

Exit: 0 accepted · 1 refused · 3 cannot be known · 2 wrong call or unreadable file · 4 no openssl.

Every byte of a packet is either free (parts, signing time, certificate, the signature's two
numbers) or prescribed. This program reads what it needs to find the free ones, writes the packet
again, and compares: what is not prescribed cannot be there. One `openssl` process then judges
signature and chain. Source: ETSI EN 319 162-1, 319 122-1, 319 102-1 (indications); RFC 5652.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

MANIFEST, SIGNATURE = "META-INF/ASiCManifest001.xml", "META-INF/signature001.p7s"
MOST_BYTES, MOST_ENTRIES = 64 << 20, 64
FIXED = {"mimetype": 31, MANIFEST: 1 << 20, SIGNATURE: 64 << 10}  # most bytes of each
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256

REASONS = {  # in the order in which they are looked for
    "not-a-container bad-name bad-entry entry-missing": "FORMAT_FAILURE",
    "manifest-changed part-changed": "HASH_FAILURE",
    "digest-algorithm key-kind": "CRYPTO_CONSTRAINTS_FAILURE",
    "part-missing": "SIGNED_DATA_NOT_FOUND",
    "unlisted zip-inside manifest-form container-form signature-not-der": "FORMAT_FAILURE",
    "no-certificate": "NO_SIGNING_CERTIFICATE_FOUND",
    "signature-form high-s signing-time": "SIG_CONSTRAINTS_FAILURE",
    "signature-wrong": "SIG_CRYPTO_FAILURE",
    "no-trusted-issuer": "NO_CERTIFICATE_CHAIN_FOUND",
    "issuer-signature": "CERTIFICATE_CHAIN_GENERAL_FAILURE",
    "certificate-usage": "CHAIN_CONSTRAINTS_FAILURE",
    "certificate-ended certificate-not-begun": "OUT_OF_BOUNDS_NO_POE",
    "contents-disagree": "FORMAT_FAILURE",
    "passed": "",
}
SUB_INDICATION = {reason: sub for row, sub in REASONS.items() for reason in row.split()}
PASSED, FAILED, UNKNOWN = "TOTAL-PASSED", "TOTAL-FAILED", "INDETERMINATE"
EXIT = {PASSED: 0, FAILED: 1, UNKNOWN: 3}
FAILURES = ("FORMAT_FAILURE", "HASH_FAILURE", "SIG_CRYPTO_FAILURE")  # others cannot be known


class Verdict(NamedTuple):
    """What was found; accepted is `indication` TOTAL-PASSED and nothing else."""

    indication: str
    sub_indication: str
    reason: str  # one of SUB_INDICATION
    part: str  # file or field that is wrong
    packet: str  # identity: digest of the manifest
    exit_code: int
    parts: dict[str, bytes]  # by name; of an accepted packet only


class Wrong(Exception):
    def __init__(self, reason: str, part: str = "") -> None:
        self.reason, self.part = reason, part


class NoOpenssl(Exception):
    """There is no `openssl` on this machine that can judge a signature."""


def verify(data: bytes, trust: bytes, now: datetime | None = None) -> Verdict:
    """Judge a packet.

    Args:
        data: the whole file.
        trust: PEM of the roots that the reader trusts, got by another way than the packet.
        now: instant of judgement, aware; None is the clock of this machine.
    Raises:
        NoOpenssl: nothing here can judge signature and chain.
    """
    identity, verdict, parts = "", Wrong("passed"), dict[str, bytes]()
    try:
        files = _files(data)
        identity = "sha-256:" + sha256(files[MANIFEST]).hexdigest()
        signature = Signature.read(files[SIGNATURE])
        listed = _judge_digests(files, signature)
        _judge_form(data, files, listed)
        signed_at = _judge_signature(files, signature, trust, now or datetime.now(UTC))
        _judge_contents({name: files[name] for name in listed}, signed_at)
        parts = {name: files[name] for name in listed}
    except Wrong as wrong:
        verdict = wrong
    sub = SUB_INDICATION[verdict.reason]
    word = FAILED if sub in FAILURES else UNKNOWN if sub else PASSED
    return Verdict(word, sub, verdict.reason, verdict.part, identity, EXIT[word], parts)


NAME = re.compile(r"(?=.{1,120}\Z)(?:[a-z0-9][a-z0-9._-]{0,63}/){0,2}[a-z0-9][a-z0-9._-]{0,63}")
LOCAL, CENTRAL, END = "<4s5H3I2H", "<4s6H3I5H2I", "<4s4H2IH"


def _entries(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Names by the directory, contents sliced one after the other from the first byte."""
    mark, _, _, _, count, _, at, _ = struct.unpack_from(END, data, max(len(data) - 22, 0))
    if mark != b"PK\5\6" or len(data) > MOST_BYTES or count > MOST_ENTRIES:
        raise Wrong("not-a-container", f"{len(data)} bytes, {count} entries")
    start = 0
    for _ in range(count):
        mark, *_, method, _, _, _, packed, size, length = struct.unpack_from(CENTRAL, data, at)[:11]
        name = data[at + 46 : at + 46 + length].decode("ascii", "backslashreplace")
        if not (name in FIXED or NAME.fullmatch(name)):
            raise Wrong("bad-name", ascii(name[:60]))
        lengths = data[start + 26 : start + 30]  # of name and extra field, in the header
        if (mark, method, packed, lengths) != (b"PK\1\2", 0, size, struct.pack("<2H", length, 0)):
            raise Wrong("bad-entry", name)
        start, at = start + 30 + length, at + 46 + length
        yield name, data[start : start + size]
        start += size


def _files(data: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        for name, content in _entries(data):
            if name in files:
                raise Wrong("bad-name", name)
            files[name] = content
    except struct.error:
        raise Wrong("not-a-container") from None
    for name, most in FIXED.items():
        if not 0 < len(files.get(name, b"")) <= most:
            raise Wrong("entry-missing", name)
    if files["mimetype"] != b"application/vnd.etsi.asic-e+zip":
        raise Wrong("not-a-container", "mimetype")
    return files


def _container(files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """The prescribed container, piece by piece with the name of each."""
    directory, offset, count = b"", 0, len(files)
    for name, data in files.items():
        size, raw = len(data), name.encode()
        common = (20, 0, 0, 0, 0x21, zlib.crc32(data), size, size, len(raw), 0)
        yield name, struct.pack(LOCAL, b"PK\3\4", *common) + raw + data
        entry = (b"PK\1\2", 0x314, *common, 0, 0, 0, 0o100644 << 16, offset)
        directory += struct.pack(CENTRAL, *entry) + raw
        offset += 30 + len(raw) + size
    yield "ZIP directory", directory
    end = (b"PK\5\6", 0, 0, count, count, len(directory), offset, 0)
    yield "end of the ZIP file", struct.pack(END, *end)


HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<asic:ASiCManifest xmlns:asic="'
    'http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">\n'
    f'<asic:SigReference MimeType="application/pkcs7-signature" URI="{SIGNATURE}"/>\n'
)
REFERENCE = (
    '<asic:DataObjectReference MimeType="{}"{} URI="{}">\n<ds:DigestMethod Algorithm="{}"/>\n'
    "<ds:DigestValue>{}</ds:DigestValue>\n</asic:DataObjectReference>\n"
)
ROOT, SHA256_URI = ' Rootfile="true"', "http://www.w3.org/2001/04/xmlenc#sha256"
# A regular expression, no XML parser: entities, encodings, and comments then do not exist.
READ = re.compile(REFERENCE.format(*['([^"<>]*)', f"(?:{ROOT})?", *['([^"<>]*)'] * 3]))


def _judge_digests(files: dict[str, bytes], signature: Signature) -> dict[str, str]:
    """Judge every digest that the signature reaches; returns each part's prescribed reference."""
    if signature.digest not in (None, sha256(files[MANIFEST]).digest()):
        raise Wrong("manifest-changed", MANIFEST)
    listed: dict[str, str] = {}
    for media, name, algorithm, digest in READ.findall(files[MANIFEST].decode("ascii", "replace")):
        if algorithm != SHA256_URI:
            raise Wrong("digest-algorithm", name)
        if name not in files:
            raise Wrong("part-missing", name)
        if digest != b64encode(sha256(files[name]).digest()).decode():
            raise Wrong("part-changed", name)
        if files[name].startswith(b"PK\3\4") and media != "application/ofd":
            raise Wrong("zip-inside", name)
        if name in FIXED or not re.fullmatch(r"[a-z0-9]+/[a-z0-9.+-]+", media):
            raise Wrong("manifest-form", name)
        root = ROOT * (name == "packet.json")
        listed[name] = REFERENCE.format(media, root, name, SHA256_URI, digest)
    return listed


def _judge_form(data: bytes, files: dict[str, bytes], listed: dict[str, str]) -> None:
    """Write manifest and container again and compare."""
    for name in files:
        if name not in listed and name not in FIXED:
            raise Wrong("unlisted", name)
    manifest = HEAD + "".join(listed.values()) + "</asic:ASiCManifest>\n"
    if manifest.encode() != files[MANIFEST] or next(iter(listed), "") != "packet.json":
        raise Wrong("manifest-form", MANIFEST)
    order, at = ("mimetype", *listed, MANIFEST, SIGNATURE), 0
    for what, piece in _container({name: files[name] for name in order}):
        if data[at : at + len(piece)] != piece:
            raise Wrong("container-form", what)
        at += len(piece)


class Node(NamedTuple):
    tag: int
    raw: bytes
    body: bytes
    kids: tuple[Node, ...]


def _der(data: bytes, depth: int = 0) -> tuple[Node, ...]:
    """All elements of `data`; ValueError or IndexError where it is not DER."""
    nodes, at = [], 0
    while at < len(data):
        tag, size, start = data[at], data[at + 1], at + 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[at + 2 : start], "big")
            if start > at + 5 or size < 0x80 or data[at + 2] == 0:
                raise ValueError("length")
        body = data[start : start + size]
        if tag & 0x1F == 0x1F or len(body) != size or depth > 20:
            raise ValueError("element")
        kids = _der(body, depth + 1) if tag & 0x20 else ()
        nodes.append(Node(tag, data[at : start + size], body, kids))
        at = start + size
    return tuple(nodes)


def _tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8 or 1, "big")
    return bytes((tag,)) + (size if len(body) < 0x80 else bytes((0x80 | len(size),)) + size) + body


def _oid(hexed: str) -> bytes:
    return _tlv(6, bytes.fromhex(hexed))


DATA, SIGNED_DATA = _oid("2a864886f70d010701"), _oid("2a864886f70d010702")
CONTENT_TYPE, DIGEST, TIME = (_oid(f"2a864886f70d01090{n}") for n in "345")
CERTIFICATE_V2 = _oid("2a864886f70d010910022f")
SHA256, ECDSA_SHA256 = (_tlv(0x30, _oid(h)) for h in ("608648016503040201", "2a8648ce3d040302"))
P256 = _tlv(0x30, _oid("2a8648ce3d0201"), _oid("2a8648ce3d030107"))
KEY_ID, KEY_USAGE, CONSTRAINTS, ISSUER_ID = (_oid(f"551d{n}") for n in ("0e", "0f", "13", "23"))
CRITICAL = _tlv(1, b"\xff")
SIGNS = CRITICAL + _tlv(4, b"\3\2\6\xc0")  # key usage: digitalSignature, nonRepudiation
NO_CA, CA = CRITICAL + _tlv(4, b"\x30\0"), CRITICAL + _tlv(4, b"\x30\6\1\1\xff\2\1\0")


class Signature(NamedTuple):
    """The free inputs of a signature; empty where they could not be found."""

    is_der: bool = False
    certificate: bytes = b""
    stamp: bytes = b""
    digest: bytes | None = None
    numbers: bytes = b""  # DER of r and s

    @classmethod
    def read(cls, data: bytes) -> Signature:
        try:
            (outer,) = _der(data)
        except (ValueError, IndexError):
            return cls()
        try:
            signed = outer.kids[1].kids[0].kids
            signer = signed[-1].kids[0].kids
            sets = [node for node in signer if node.tag == 0xA0]
            held = {kid.kids[0].raw: kid.kids[1].kids[0].body for node in sets for kid in node.kids}
            certificate = b"".join(n.kids[0].raw for n in signed if n.tag == 0xA0 and n.kids)
            numbers = b"".join(node.body for node in signer if node.tag == 4)
        except IndexError:
            return cls(is_der=True)
        return cls(True, certificate, held.get(TIME, b""), held.get(DIGEST), numbers)

    def pair(self) -> tuple[int, int]:
        ((_, _, _, (r, s)),) = _der(self.numbers)
        return int.from_bytes(r.body, "big"), int.from_bytes(s.body, "big")

    def build(self, certificate: Certificate) -> bytes:
        """The prescribed structure around the free inputs."""
        r, s = (_tlv(2, n.to_bytes(n.bit_length() // 8 + 1, "big")) for n in self.pair())
        issuer, serial = certificate.issuer, certificate.serial
        mine = _tlv(0x30, _tlv(0x30, _tlv(0xA4, issuer)), serial)
        mine = _tlv(0x30, _tlv(4, sha256(self.certificate).digest()), mine)
        attributes = (
            _tlv(0x30, CONTENT_TYPE, _tlv(0x31, DATA)),
            _tlv(0x30, TIME, _tlv(0x31, _tlv(0x17, self.stamp))),
            _tlv(0x30, DIGEST, _tlv(0x31, _tlv(4, self.digest or b""))),
            _tlv(0x30, CERTIFICATE_V2, _tlv(0x31, _tlv(0x30, _tlv(0x30, mine)))),
        )
        signer = _tlv(0x30, issuer, serial), SHA256, _tlv(0xA0, *attributes), ECDSA_SHA256
        info = _tlv(0x30, b"\2\1\1", *signer, _tlv(4, _tlv(0x30, r, s)))
        head = b"\2\1\1", _tlv(0x31, SHA256), _tlv(0x30, DATA), _tlv(0xA0, self.certificate)
        return _tlv(0x30, SIGNED_DATA, _tlv(0xA0, _tlv(0x30, *head, _tlv(0x31, info))))


class Certificate(NamedTuple):
    serial: bytes
    issuer: bytes
    begins: datetime
    ends: datetime
    key_kind: bytes
    extensions: dict[bytes, bytes]  # name → criticality and value

    @classmethod
    def read(cls, der: bytes) -> Certificate:
        ((_, _, _, (body, *_)),) = _der(der)
        serial, _, issuer, validity, _, key, *more = (n for n in body.kids if n.tag != 0xA0)
        held = [node.kids for node in more[-1].kids[0].kids] if more else []
        extensions = {kids[0].raw: b"".join(kid.raw for kid in kids[1:]) for kids in held}
        begins, ends = (_time(node.body) for node in validity.kids)
        return cls(serial.raw, issuer.raw, begins, ends, key.kids[0].raw, extensions)


def _time(stamp: bytes) -> datetime:
    year = "%y" if len(stamp) == 13 else "%Y"
    return datetime.strptime(stamp.decode("ascii"), year + "%m%d%H%M%SZ").replace(tzinfo=UTC)


def _judge_signature(
    files: dict[str, bytes], signature: Signature, trust: bytes, now: datetime
) -> datetime:
    if not signature.is_der:
        raise Wrong("signature-not-der", SIGNATURE)
    if not signature.certificate:
        raise Wrong("no-certificate", SIGNATURE)
    try:
        certificate = Certificate.read(signature.certificate)
        if certificate.key_kind != P256:
            raise Wrong("key-kind", SIGNATURE)
        signed_at, (_, s) = _time(signature.stamp), signature.pair()
        if signature.build(certificate) != files[SIGNATURE] or len(signature.stamp) != 13:
            raise Wrong("signature-form", SIGNATURE)
    except (ValueError, IndexError):
        raise Wrong("signature-form", SIGNATURE) from None
    if s > ORDER // 2:
        raise Wrong("high-s", SIGNATURE)
    in_life = certificate.begins <= signed_at <= certificate.ends
    if not in_life or signed_at > now + timedelta(minutes=5):
        raise Wrong("signing-time", f"{signed_at:%Y-%m-%dT%H:%M:%SZ}")
    trouble, roots = _judge_chain(certificate, trust, now)
    # With trouble in the chain only the signature is left to judge: a wrong one is told first.
    if said := _openssl(files, b"" if trouble else roots, now):
        chain = "certificate verify error" in said
        raise Wrong("issuer-signature" if chain else "signature-wrong", SIGNATURE)
    if trouble:
        raise Wrong(trouble, "certificate")
    return signed_at


def _judge_chain(certificate: Certificate, trust: bytes, now: datetime) -> tuple[str, bytes]:
    """What is wrong with the certificate, and the trusted roots that may have issued it."""
    roots, held = b"", certificate.extensions
    for pem in re.findall(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----", trust):
        try:
            root = Certificate.read(b64decode(pem.split(b"-----")[2])).extensions
        except (ValueError, IndexError):  # no certificate of this profile: it issued nothing
            continue
        same = root.get(KEY_ID, b"")[4:] == held.get(ISSUER_ID, b"")[6:] != b""
        roots += pem + b"\n" if same and root.get(CONSTRAINTS) == CA else b""
    known = {KEY_USAGE: SIGNS, CONSTRAINTS: NO_CA}
    if not roots:
        return "no-trusted-issuer", roots
    if {name: value for name, value in held.items() if value.startswith(CRITICAL)} != known:
        return "certificate-usage", roots
    if now > certificate.ends:
        return "certificate-ended", roots
    return "certificate-not-begun" if now < certificate.begins else "", roots


def _openssl(files: dict[str, bytes], roots: bytes, now: datetime) -> str:
    """What stock `openssl` has against the signature, and the chain if there are roots."""
    with tempfile.TemporaryDirectory() as folder:
        signature, manifest, ca = (Path(folder, name) for name in ("p7s", "xml", "pem"))
        signature.write_bytes(files[SIGNATURE])
        manifest.write_bytes(files[MANIFEST])
        ca.write_bytes(roots)
        command = f"openssl cms -verify -binary -inform DER -out {os.devnull}".split()
        command += ["-in", str(signature), "-content", str(manifest)]
        chain = f"-cades -no-CAfile -no-CApath -no-CAstore -attime {now.timestamp():.0f}".split()
        command += [*chain, "-CAfile", str(ca)] if roots else ["-noverify"]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise NoOpenssl(str(problem)) from problem
    if ran.returncode not in (0, 4):  # 1: does not know an option, 2: cannot read
        raise NoOpenssl(ran.stderr.strip())
    return ran.stderr if ran.returncode else ""


AGREE = (  # a signed lie is still a lie: packet.json says the same as the part
    ("application.id", "application.json", "id"),
    ("application.requested", "application.json", "amount"),
    ("application.tenor_days", "application.json", "tenor_days"),
    ("application.requested", "capacity.json", "requested"),
    ("account.version", "account.json", "version"),
    ("recipient.bank", "consent.json", "bank"),
)


def _at(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _judge_contents(parts: dict[str, bytes], signed_at: datetime) -> None:
    said: dict[str, Any] = {}
    for name in ("packet.json", *(row[1] for row in AGREE if row[1] in parts)):
        try:
            said[name] = json.loads(parts[name])
        except (ValueError, RecursionError):
            raise Wrong("contents-disagree", name) from None
    index = said["packet.json"]
    names = [{"name": name} for name in parts if name != "packet.json"]
    if [{"name": _at(entry, "name")} for entry in _at(index, "parts") or ()] != names:
        raise Wrong("contents-disagree", "packet.json: parts")
    if _at(index, "issued_at") != f"{signed_at:%Y-%m-%dT%H:%M:%SZ}":
        raise Wrong("contents-disagree", "packet.json: issued_at")
    for path, name, key in AGREE:
        if name in said and _at(index, path) != _at(said[name], key):
            raise Wrong("contents-disagree", f"packet.json: {path}; {name}: {key}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Check a financing packet.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--trust", type=Path, help="PEM file of the roots that you trust")
    call = parser.parse_args()
    try:
        with call.file.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        found = verify(data, call.trust.read_bytes() if call.trust else b"")
    except OSError as problem:
        parser.exit(2, f"error: {problem}\n")
    except NoOpenssl as problem:
        parser.exit(4, f"error: no openssl that can judge: {problem}\n")
    sys.stdout.write(" ".join(word for word in found[:5] if word) + "\n")
    sys.exit(found.exit_code)


if __name__ == "__main__":
    main()
