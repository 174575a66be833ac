"""Detached signatures over bodies between the service and banks: JWS, ES256, payload not encoded.

Source: RFC 7515 (JWS), RFC 7797 (unencoded payload), RFC 7518 section 3.4 (ES256).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from financing.errors import FinancingError, Invalid, Untrusted
from financing.values import strict_json

_SIGN: Final = ECDSA(SHA256(), deterministic_signing=True)
_VERIFY: Final = ECDSA(SHA256())
_FORM: Final = re.compile(r"([A-Za-z0-9_-]{2,2000})\.\.([A-Za-z0-9_-]{86})")


def sign_detached(body: bytes, key: EllipticCurvePrivateKey, kid: str) -> str:
    """Sign a body: protected header, two dots, signature; the body travels beside it."""
    header = f'{{"alg":"ES256","kid":"{kid}","b64":false,"crit":["b64"]}}'
    head = _encode(header.encode())
    r, s = decode_dss_signature(key.sign(head.encode() + b"." + body, _SIGN))
    return f"{head}..{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def verify_detached(body: bytes, signature: str, public_key_pem: str) -> None:
    """Check a detached signature over these bytes; the algorithm is ours, never the message's.

    Args:
        public_key_pem: P-256 public key bound to the sender's registration.
    Raises:
        Untrusted: missing, malformed, another algorithm or form, or not a signature by this key.
        Invalid: the registered key is not a P-256 public key.
    """
    if not signature:
        raise Untrusted(
            "there is no signature",
            slug="signature-missing",
            remedy="Sign the body with a detached JWS.",
        )
    form = _FORM.fullmatch(signature)
    if form is None:
        raise _malformed("it is not HEADER..SIGNATURE in base64url with a signature of 64 bytes")
    head, value = form.groups()
    header = _header(head)
    if header.get("alg") != "ES256":
        raise Untrusted(
            "the signature's algorithm is not the one agreed",
            slug="algorithm-not-bound",
            where="alg",
            remedy="Sign with ES256.",
        )
    if header.get("b64") is not False or header.get("crit") != ["b64"]:
        raise _malformed('its header must hold "b64":false and "crit":["b64"], no other extension')
    raw = _decode(value)
    pair = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    try:
        public_key(public_key_pem).verify(
            encode_dss_signature(*pair), head.encode() + b"." + body, _VERIFY
        )
    except InvalidSignature as problem:
        raise Untrusted(
            "the signature is not of these bytes by the registered key",
            slug="signature-mismatch",
            remedy="Sign the bytes that are sent, with the key that is registered.",
        ) from problem


def public_key(pem: str) -> EllipticCurvePublicKey:
    """Read a P-256 public key.

    Raises:
        Invalid: not PEM, or a key of another kind.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError as problem:
        raise Invalid(
            "this is not a public key", where="key", remedy="Give a PEM public key."
        ) from problem
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise Invalid("the key is not on P-256", where="key", remedy="Make a P-256 key.")
    return key


def _header(head: str) -> Mapping[str, object]:
    try:
        header = strict_json.loads(_decode(head))
    except FinancingError as problem:
        raise _malformed("its header is not JSON") from problem
    if not isinstance(header, dict):
        raise _malformed("its header is not an object")
    return header


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as problem:
        raise _malformed("it is not base64url") from problem
    if _encode(data) != text:  # bits that no byte holds: a second spelling of the same value
        raise _malformed("it is not base64url in its one spelling")
    return data


def _malformed(why: str) -> Untrusted:
    return Untrusted(
        f"the signature cannot be read: {why}",
        slug="signature-header-malformed",
        remedy="Send a detached JWS, unencoded payload (RFC 7797).",
    )
