"""The root and the signing certificate of the service.

Both are P-256. The signing certificate carries no extended key usage: with documentSigning alone
stock `openssl` refuses it for CMS. Serial numbers are random, so a certificate made anew after a
lost key store is never mistaken for the old one.

Source: RFC 5280.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

ORGANISATION: Final = "Contract Financing Service"
ROOT_DAYS: Final = 3653
SIGNING_DAYS: Final = 730
# Clocks of readers differ; a certificate made now must already count for them.
_LEEWAY: Final = timedelta(minutes=10)


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=not signs_certificates,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _unsigned(
    subject: x509.Name,
    issuer: x509.Name,
    key: EllipticCurvePublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(1 << 126 | secrets.randbits(126))
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def make_root(key: EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """A self-signed root for ten years that may issue signing certificates only."""
    name = _name("Contract Financing Root")
    return (
        _unsigned(name, name, key.public_key(), now, ROOT_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, SHA256(), ecdsa_deterministic=True)
    )


def make_signing(
    root: x509.Certificate,
    root_key: EllipticCurvePrivateKey,
    key: EllipticCurvePublicKey,
    now: datetime,
) -> x509.Certificate:
    """A certificate for two years that signs packets and nothing else."""
    root_id = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _unsigned(_name("Contract Financing Packets"), root.subject, key, now, SIGNING_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_id),
            critical=False,
        )
        .sign(root_key, SHA256(), ecdsa_deterministic=True)
    )
