"""A bank's signatures as its own engineer would make them, from the standards alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from financing.values.times import wall_ns

Private = Ed25519PrivateKey | EllipticCurvePrivateKey
COVERED = ("@method", "@authority", "@target-uri", "content-type", "content-digest", "webhook-id")


def now_s() -> int:
    return wall_ns() // 10**9


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def public(key: Private) -> bytes:
    """The public half as it is registered."""
    if isinstance(key, Ed25519PrivateKey):
        return key.public_key().public_bytes_raw()
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def signed(key: Private, data: bytes) -> bytes:
    """64 bytes: of Ed25519, or r and s of P-256."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(data)
    r, s = decode_dss_signature(key.sign(data, ECDSA(SHA256(), deterministic_signing=True)))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def standard(
    key: Ed25519PrivateKey | bytes, message_id: str, body: bytes, *, at: int | None = None
) -> dict[str, str]:
    """Headers of Standard Webhooks, `v1a` with a private key, `v1` with a shared secret."""
    at = now_s() if at is None else at
    data = f"{message_id}.{at}.".encode() + body
    if isinstance(key, bytes):
        value = "v1," + b64(hmac.digest(key, data, hashlib.sha256))
    else:
        value = "v1a," + b64(key.sign(data))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": value,
    }


@dataclass(frozen=True)
class Request:
    """What is signed by RFC 9421; every field may be spoiled on its own."""

    target: str
    message_id: str
    body: bytes
    keyid: str
    alg: str | None
    created: object = None
    tag: str | None = "financing-webhook"
    covered: Sequence[str] = COVERED
    method: str = "POST"
    more: str = ""
    label: str = "sig1"

    def but(self, **other: object) -> Request:
        return replace(self, **other)  # type: ignore[arg-type]  # the fields' own types

    @property
    def digest(self) -> str:
        return f"sha-256=:{b64(hashlib.sha256(self.body).digest())}:"

    @property
    def parameters(self) -> str:
        created = now_s() if self.created is None else self.created
        listed = " ".join(f'"{name}"' for name in self.covered)
        said = f'({listed});created={created};keyid="{self.keyid}"'
        said += f';alg="{self.alg}"' if self.alg else ""
        return said + (f';tag="{self.tag}"' if self.tag else "") + self.more

    def base(self, parameters: str) -> bytes:
        origin, _, path = self.target.partition("//")[2].partition("/")
        values = {
            "@method": self.method,
            "@authority": origin,
            "@target-uri": self.target,
            "@path": f"/{path}",
            "content-type": "application/json",
            "content-digest": self.digest,
            "webhook-id": self.message_id,
        }
        lines = [f'"{name}": {values[name]}' for name in self.covered]
        return "\n".join([*lines, f'"@signature-params": {parameters}']).encode()

    def headers(self, key: Private) -> dict[str, str]:
        parameters = self.parameters
        value = b64(signed(key, self.base(parameters)))
        return {
            "webhook-id": self.message_id,
            "content-type": "application/json",
            "content-digest": self.digest,
            "signature-input": f"{self.label}={parameters}",
            "signature": f"{self.label}=:{value}:",
        }
