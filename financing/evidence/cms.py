"""The signature of a packet: CMS SignedData, CAdES-B-B, detached over the manifest.

Everything but the signing time, the digest, and the signature's two numbers is fixed by the
certificate. `build` writes all of it anew; `Signer` cuts that result once into a template with
holes, because re-encoding constant fields for each packet would cost more than signing.

Source: RFC 5652 (CMS), RFC 5035 (signingCertificateV2), ETSI EN 319 122-1 (CAdES baseline B-B).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_der_x509_certificate

from financing.errors import Broken, Invalid

# Order n of the curve's group; of the two signatures (r, s) and (r, n - s) we write the smaller,
# so that one signature has one form.
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ALGORITHM: Final = ECDSA(SHA256(), deterministic_signing=True)

_DATA: Final = "1.2.840.113549.1.7.1"
_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
_SIGNING_TIME: Final = "1.2.840.113549.1.9.5"
_SIGNING_CERTIFICATE_V2: Final = "1.2.840.113549.1.9.16.2.47"
_ECDSA_SHA256: Final = "1.2.840.10045.4.3.2"
_SHA256: Final = "2.16.840.1.101.3.4.2.1"


def tlv(tag: int, *parts: bytes) -> bytes:
    """One DER element: tag, shortest length, contents."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def seq(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def set_(*parts: bytes) -> bytes:
    """A SET OF one element, or of elements given in DER order."""
    return tlv(0x31, *parts)


def oid(dotted: str) -> bytes:
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    body = bytearray()
    for arc in (first * 40 + second, *rest):
        group = [arc & 0x7F]
        while arc := arc >> 7:
            group.append(0x80 | arc & 0x7F)
        body += bytes(reversed(group))
    return tlv(6, bytes(body))


def integer(number: int) -> bytes:
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


class _Issuer(NamedTuple):
    name: bytes  # as the certificate spells it
    serial: bytes


def _element(data: bytes, at: int) -> tuple[int, int]:
    """Where the contents of the DER element at `at` begin and end."""
    size, start = data[at + 1], at + 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[at + 2 : start], "big")
    return start, start + size


def _issuer(certificate: bytes) -> _Issuer:
    """Issuer and serial as bytes of the certificate: a name encoded again may differ."""
    at, _ = _element(certificate, 0)
    at, _ = _element(certificate, at)
    if certificate[at] == 0xA0:  # version
        _, at = _element(certificate, at)
    _, after_serial = _element(certificate, at)
    _, after_algorithm = _element(certificate, after_serial)
    _, after_issuer = _element(certificate, after_algorithm)
    return _Issuer(certificate[after_algorithm:after_issuer], certificate[at:after_serial])


def attributes(certificate: bytes, stamp: bytes, digest: bytes) -> bytes:
    """The four signed attributes in DER order, as contents of the set."""
    issuer = _issuer(certificate)
    identified = seq(
        seq(
            seq(
                tlv(4, hashlib.sha256(certificate).digest()),
                seq(seq(tlv(0xA4, issuer.name)), issuer.serial),
            )
        )
    )
    return b"".join(
        (
            seq(oid(_CONTENT_TYPE), set_(oid(_DATA))),
            seq(oid(_SIGNING_TIME), set_(tlv(0x17, stamp))),
            seq(oid(_MESSAGE_DIGEST), set_(tlv(4, digest))),
            seq(oid(_SIGNING_CERTIFICATE_V2), set_(identified)),
        )
    )


def build(certificate: bytes, stamp: bytes, digest: bytes, signature: bytes) -> bytes:
    """Write the whole structure from its free inputs.

    Args:
        certificate: the signing certificate, DER.
        stamp: signing time as `YYMMDDHHMMSSZ`.
        digest: the 32 bytes of the SHA-256 of the signed file.
        signature: DER of (r, s).
    """
    issuer = _issuer(certificate)
    sha256 = seq(oid(_SHA256))
    signer = seq(
        integer(1),
        seq(issuer.name, issuer.serial),
        sha256,
        tlv(0xA0, attributes(certificate, stamp, digest)),
        seq(oid(_ECDSA_SHA256)),
        tlv(4, signature),
    )
    signed = seq(integer(1), set_(sha256), seq(oid(_DATA)), tlv(0xA0, certificate), set_(signer))
    return seq(oid(_SIGNED_DATA), tlv(0xA0, signed))


def _cut(whole: bytes, *holes: bytes) -> tuple[bytes, ...]:
    """The bytes around the holes. Searched from the end: the certificate stands before them."""
    pieces = []
    for hole in reversed(holes):
        at = whole.rindex(hole)
        pieces.append(whole[at + len(hole) :])
        whole = whole[:at]
    return (whole, *reversed(pieces))


_STAMP: Final = b"000000000000Z"
_DIGEST: Final = b"\xd1" * 32
# DER of two numbers below 2**255 and 2**256 with low s: 70 or 71 bytes, seldom a few less.
_LENGTHS: Final = range(66, 72)


@dataclass(frozen=True, slots=True)
class Signer:
    """A signing certificate with its key, and the template laid out for it."""

    certificate: bytes = field(repr=False)
    not_before: datetime
    not_after: datetime
    _key: EllipticCurvePrivateKey = field(repr=False)
    _signed: tuple[bytes, ...] = field(repr=False)
    _frames: Mapping[int, tuple[bytes, ...]] = field(repr=False)

    @classmethod
    def of(cls, certificate: bytes, key: EllipticCurvePrivateKey) -> Signer:
        """Lay out the template of a certificate.

        Raises:
            Invalid: the key is not on P-256, or not the certificate's.
        """
        parsed = load_der_x509_certificate(certificate)
        if not isinstance(key.curve, SECP256R1) or parsed.public_key() != key.public_key():
            raise Invalid("the packet key does not belong to its certificate", where="keys")
        frames = {
            size: _cut(
                build(certificate, _STAMP, _DIGEST, b"\x5a" * size), _STAMP, _DIGEST, b"\x5a" * size
            )
            for size in _LENGTHS
        }
        signed = tlv(0x31, attributes(certificate, _STAMP, _DIGEST))
        return cls(
            certificate,
            parsed.not_valid_before_utc,
            parsed.not_valid_after_utc,
            key,
            _cut(signed, _STAMP, _DIGEST),
            frames,
        )

    def sign(self, content: bytes, at: datetime) -> bytes:
        """Sign a manifest; the same content, time, and key give the same bytes.

        Args:
            at: wall-clock instant, written to the second.
        Raises:
            Broken: the certificate is not valid at that time, so nobody would trust the packet.
        Source: RFC 6979 (deterministic ECDSA).
        """
        if not self.not_before <= at <= self.not_after:
            raise Broken(
                f"the signing certificate is not valid at {at:%Y-%m-%d}",
                where="keys",
                remedy="Put a new signing certificate into the key store.",
            )
        stamp = at.astimezone(UTC).strftime("%y%m%d%H%M%SZ").encode()
        digest = hashlib.sha256(content).digest()
        before, between, after = self._signed
        signature = low_s(
            self._key.sign(b"".join((before, stamp, between, digest, after)), _ALGORITHM)
        )
        frame = self._frames.get(len(signature))
        if frame is None:
            return build(self.certificate, stamp, digest, signature)
        return b"".join((frame[0], stamp, frame[1], digest, frame[2], signature, frame[3]))


def low_s(signature: bytes) -> bytes:
    """The form of an ECDSA signature whose s is at most n / 2; both verify everywhere."""
    r, s = decode_dss_signature(signature)
    return signature if s <= ORDER // 2 else encode_dss_signature(r, ORDER - s)
