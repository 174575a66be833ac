"""The bank's own keys and signatures: detached JWS both ways, events by one of two standards.

Sources: RFC 7515 and RFC 7797 (detached, unencoded payload), RFC 7518 section 3.4 (ES256),
Standard Webhooks (`v1a`, Ed25519), RFC 9421 and RFC 9530 (Ed25519).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from bank_adapters.sandbox.config import Config, Misconfigured


class NotSigned(Exception):
    """The request's signature does not hold; says why."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The bank's private keys and the broker's public one; `next_webhooks` is for a rotation."""

    answers: ec.EllipticCurvePrivateKey
    webhooks: Ed25519PrivateKey
    next_webhooks: Ed25519PrivateKey
    broker: ec.EllipticCurvePublicKey

    @property
    def answer_key_pem(self) -> str:
        """Public key of the answers, for the broker's register."""
        pem = self.answers.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return pem.decode("ascii")

    @property
    def webhook_key(self) -> str:
        """Public key of the events, for the broker's register."""
        return _shown(self.webhooks)

    @property
    def next_webhook_key(self) -> str:
        """Public key that comes after it."""
        return _shown(self.next_webhooks)


def _shown(key: Ed25519PrivateKey) -> str:
    return "whpk_" + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def keys(config: Config) -> Keys:
    """The keys of the configuration; those that it does not name are made once and kept."""
    answers = config.signing_key_pem or _kept(config.data / "answers.pem", _new_ec)
    secret = config.webhook_key or _kept(config.data / "webhooks.key", _new_ed25519)
    following = _kept(config.data / "webhooks.next.key", _new_ed25519)
    private = serialization.load_pem_private_key(answers.encode(), None)
    broker = serialization.load_pem_public_key(config.broker_key_pem.encode())
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise Misconfigured("signing_key_pem is no P-256 key")
    if not isinstance(broker, ec.EllipticCurvePublicKey):
        raise Misconfigured("broker_key_pem is no P-256 key")
    return Keys(private, _ed25519(secret), _ed25519(following), broker)


def _ed25519(text: str) -> Ed25519PrivateKey:
    seed = base64.b64decode(text.strip().removeprefix("whsk_"))
    return Ed25519PrivateKey.from_private_bytes(seed[:32])


def _kept(path: Path, make: Any) -> str:
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make())
    return path.read_text()


def _new_ec() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode("ascii")
    )


def _new_ed25519() -> str:
    return "whsk_" + base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def sign(keys: Keys, payload: bytes) -> str:
    """A detached JWS over an answer's body."""
    header = {"alg": "ES256", "b64": False, "crit": ["b64"], "kid": key_id(keys.answer_key_pem)}
    head = _b64url(json.dumps(header, separators=(",", ":")).encode())
    der = keys.answers.sign(head.encode() + b"." + payload, ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(der)
    return f"{head}..{_b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def key_id(pem: str) -> str:
    """A short name of a public key, from its digest."""
    return hashlib.sha256(pem.encode()).hexdigest()[:16]


def verify(keys: Keys, payload: bytes, token: str) -> None:
    """Check the broker's signature over a request.

    Raises:
        NotSigned: no signature, another algorithm, or not over these bytes.
    """
    head, dots, tail = token.partition("..")
    if not dots:
        raise NotSigned("x-jws-signature is missing or no detached JWS")
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        raw = base64.urlsafe_b64decode(tail + "=" * (-len(tail) % 4))
    except (ValueError, binascii.Error) as problem:
        raise NotSigned("x-jws-signature cannot be read") from problem
    if not isinstance(header, dict) or header.get("alg") != "ES256" or len(raw) != 64:
        raise NotSigned("x-jws-signature is not of ES256")
    if header.get("b64") is not False or header.get("crit") != ["b64"]:
        raise NotSigned('x-jws-signature lacks "b64": false, "crit": ["b64"]')
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        keys.broker.verify(der, head.encode() + b"." + payload, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as problem:
        raise NotSigned("x-jws-signature does not fit the bytes received") from problem


def webhook_headers(
    key: Ed25519PrivateKey, event_id: str, at_s: int, body: bytes
) -> dict[str, str]:
    """Headers of one delivery; `at_s` is this attempt's time, so each attempt is signed anew."""
    signature = key.sign(f"{event_id}.{at_s}.".encode() + body)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": "v1a," + base64.b64encode(signature).decode("ascii"),
    }


def http_headers(
    key: Ed25519PrivateKey, address: str, event_id: str, at_s: int, body: bytes
) -> dict[str, str]:
    """The same by RFC 9421: method, address, type, digest, and id are covered."""
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    covered = {
        "@method": "POST",
        "@authority": urlsplit(address).netloc,
        "@target-uri": address,
        "content-type": "application/json",
        "content-digest": digest,
        "webhook-id": event_id,
    }
    names = " ".join(f'"{name}"' for name in covered)
    said = f'({names});created={at_s};keyid="{key_name(key)}";tag="financing-webhook"'
    lines = [f'"{name}": {value}' for name, value in covered.items()]
    signature = key.sign("\n".join([*lines, f'"@signature-params": {said}']).encode())
    return {
        "webhook-id": event_id,
        "Content-Digest": digest,
        "Signature-Input": f"sig1={said}",
        "Signature": f"sig1=:{base64.b64encode(signature).decode()}:",
    }


def key_name(key: Ed25519PrivateKey) -> str:
    """The name under which a key of the events is registered, where it needs one."""
    return hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]
