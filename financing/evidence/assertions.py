"""A machine's proof that it holds its key: a short signed statement about itself, used once.

The algorithm is the registered key's, never the statement's: ES256 for P-256, EdDSA for Ed25519.

Source: RFC 7523, section 3; RFC 7515 (JWS compact form); RFC 7518 section 3.4; RFC 8037.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from financing.errors import Invalid, Unreadable, Untrusted
from financing.values import strict_json

MOST_LIFE: Final = timedelta(minutes=5)
LEEWAY: Final = timedelta(seconds=60)  # between two clocks
_FORM: Final = re.compile(r"([\w-]{2,1000})\.([\w-]{2,2000})\.([\w-]{86})", re.ASCII)
_NUMBER_OF: Final = re.compile(r"[\x21-\x7e]{1,64}")


class Proof(NamedTuple):
    """What holds of a statement: its own number, and until when it could be used."""

    jti: str
    ends_at: datetime


def public_key(pem: str) -> EllipticCurvePublicKey | Ed25519PublicKey:
    """The key that a machine registers.

    Raises:
        Invalid: no public key on P-256 or Ed25519 in PEM.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, TypeError):
        key = None
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise Invalid(
        "no public key on P-256 or Ed25519",
        where="--key",
        remedy="Make one with `openssl pkey -in machine.pem -pubout`.",
    )


def subject(text: str) -> str:
    """Whom a statement says it is of, before anything is proved; nothing where it says nothing."""
    form = _FORM.fullmatch(text)
    said = _document(form[2]).get("sub") if form else None
    return said if isinstance(said, str) else ""


def verify(text: str, pem: str, *, of: str, audience: str, now: datetime) -> Proof:
    """Check a statement against the key of the machine that it names.

    Args:
        of: the machine's id, as issuer and subject.
        audience: our address for tokens, as the machine knows it.
        now: by the wall clock.
    Raises:
        Untrusted: of another form, not by this key, of or for another, or not of this moment.
    """
    form = _FORM.fullmatch(text)
    key = public_key(pem)
    algorithm = "EdDSA" if isinstance(key, Ed25519PublicKey) else "ES256"
    if form is None or _document(form[1]).get("alg") != algorithm or "crit" in _document(form[1]):
        raise _refusal(f"not a statement signed by {algorithm}")
    if not _signs(key, _bytes(form[3]), f"{form[1]}.{form[2]}".encode()):
        raise _refusal("the signature does not hold")
    said = _document(form[2])
    meant = said.get("aud")
    if audience not in (meant if isinstance(meant, list) else [meant]):
        raise _refusal(f"aud is not {audience}")
    if (said.get("iss"), said.get("sub")) != (of, of):
        raise _refusal("iss and sub are not the machine's id")
    jti = said.get("jti")
    if not isinstance(jti, str) or _NUMBER_OF.fullmatch(jti) is None:
        raise _refusal("jti is not 1 to 64 visible characters")
    return Proof(jti, _end(said, now))


def _end(said: Mapping[str, Any], now: datetime) -> datetime:
    """Until when a statement may be used: five minutes at most."""
    moments = {}
    for name in ("exp", "nbf", "iat"):
        value = said.get(name, None if name == "exp" else 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 35:
            raise _refusal(f"{name} is not a time in whole seconds")
        moments[name] = datetime.fromtimestamp(value, UTC)
    if not now < moments["exp"] <= now + MOST_LIFE + LEEWAY:
        raise _refusal("exp is over, or more than five minutes away")
    if max(moments["nbf"], moments["iat"]) > now + LEEWAY:
        raise _refusal("nbf or iat lies in the future")
    return moments["exp"]


def _signs(key: EllipticCurvePublicKey | Ed25519PublicKey, value: bytes, signed: bytes) -> bool:
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(value, signed)
        else:
            r, s = int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big")
            key.verify(encode_dss_signature(r, s), signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _document(part: str) -> Mapping[str, Any]:
    try:
        value = strict_json.loads(_bytes(part))
    except Unreadable:
        return {}
    return value if isinstance(value, dict) else {}


def _bytes(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        return b""


def _refusal(detail: str) -> Untrusted:
    return Untrusted(detail, slug="assertion-refused", where="client_assertion")
