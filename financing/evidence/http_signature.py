"""Signatures of requests by RFC 9421, HTTP Message Signatures, with a digest of the body.

1. headers well formed: one signature with our tag, its parameters, its components
2. key: known to the bank, alive, its algorithm
3. time: within the window, and not past `expires`
4. digest of the body, coverage, and the signature itself

The first that fails answers. The address that was signed is compared with our public one, never
with what a proxy says. An answer never holds the signature that would have been right.

Source: RFC 9421; RFC 9530 (Content-Digest); RFC 8032 (Ed25519); FIPS 186-5 (ECDSA), the signature
as r and s of 32 bytes each.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from financing.errors import Untrusted
from financing.evidence import structured_fields
from financing.evidence.structured_fields import InnerList, Malformed, Parameters
from financing.evidence.webhook_key import (
    KEY_SIZES,
    Key,
    Unfit,
    dead,
    judge_time,
    life,
    malformed_time,
)

TAG: Final = "financing-webhook"
INPUT: Final = "signature-input"
SIGNATURE: Final = "signature"
DIGEST: Final = "content-digest"
ID: Final = "webhook-id"
COVERED: Final = ("@method", "@authority", "@target-uri", "content-type", DIGEST, ID)
MOST_SIGNATURES: Final = 8
SHOWN: Final = 2000  # characters of the signature base in an answer

_ID_FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_DERIVED: Final = (
    "@method", "@authority", "@target-uri", "@scheme", "@path", "@query", "@request-target",
)  # fmt: skip
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it came.

    Args:
        target: its address as the world knows it: public origin, path, and query.
        headers: names in lower case; one that came twice is joined with a comma.
        elsewhere: addresses for which a signature would be good mathematics and a mistake: other
            origins and paths of ours. Only to say so.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    elsewhere: tuple[str, ...] = ()


def verify(message: Message, keys: Sequence[Key], now: datetime) -> tuple[str, Key]:
    """Check the signature of a request; its id, and the key that signed it.

    Args:
        keys: all of kinds `ed25519` and `ecdsa-p256-sha256` that the bank ever registered.
        now: the wall clock.
    Raises:
        Unfit: `signature-missing`, `signature-header-malformed`, `timestamp-malformed`.
        Untrusted: `tag-wrong`, `key-unknown`, `key-not-yet-valid`, `key-expired`, `key-revoked`,
            `algorithm-not-bound`, `timestamp-too-old`, `timestamp-in-future`, `digest-missing`,
            `digest-mismatch`, `coverage-incomplete`, `target-mismatch`, `signature-mismatch`.
    """
    message_id = _message_id(message.headers)
    signed, value = _ours(message.headers)
    key = _key(signed.parameters, keys, now)
    _time(signed.parameters, now)
    _digest(message)
    _coverage(signed, message.headers)
    base = signature_base(message, signed)
    if _signs(key, value, base):
        return message_id, key
    raise _mismatch(message, signed, key, value, base)


def signature_base(message: Message, signed: InnerList) -> bytes:
    """The bytes that are signed (RFC 9421 section 2.5)."""
    lines = [f'"{name}": {_component(message, name)}' for name, _ in signed.items]
    lines.append(f'"@signature-params": {signed.written()}')
    return "\n".join(lines).encode()


# ── 1. Headers ───────────────────────────────────────────────────────────────────────────────


def _message_id(headers: Mapping[str, str]) -> str:
    for name in (ID, INPUT, SIGNATURE):
        if not headers.get(name):
            raise Unfit(
                f"there is no {name}",
                slug="signature-missing",
                where=name,
                remedy="Send webhook-id, Content-Digest, Signature-Input, and Signature.",
            )
    if _ID_FORM.fullmatch(headers[ID]) is None:
        raise _malformed(ID, "the id of the message is not 1 to 64 letters, digits, - or _")
    return headers[ID]


def _ours(headers: Mapping[str, str]) -> tuple[InnerList, bytes]:
    """The one signature that carries our tag: what it covers, and its bytes."""
    try:
        inputs = structured_fields.inner_lists(headers[INPUT])
    except Malformed as problem:
        raise _malformed(INPUT, str(problem)) from problem
    try:
        values = structured_fields.byte_sequences(headers[SIGNATURE])
    except Malformed as problem:
        raise _malformed(SIGNATURE, str(problem)) from problem
    if len(inputs) > MOST_SIGNATURES:
        raise _malformed(INPUT, f"more than {MOST_SIGNATURES} signatures")
    tagged = [label for label, one in inputs.items() if one.parameters.get("tag") == TAG]
    if not tagged:
        raise Untrusted(
            "no signature is for this purpose",
            slug="tag-wrong",
            where=INPUT,
            remedy=f'Sign with the parameter tag="{TAG}".',
        )
    if len(tagged) > 1:
        raise _malformed(INPUT, f"{len(tagged)} signatures carry the tag, and one of them is meant")
    label = tagged[0]
    if label not in values:
        raise _malformed(SIGNATURE, f"there is no {label}")
    _form(inputs[label])
    value = values[label]
    if len(value) != _SIGNATURE_BYTES:
        hint = "; it looks like DER: send r and s, 32 bytes each" if value[:1] == b"\x30" else ""
        raise _malformed(SIGNATURE, f"{label} has {len(value)} bytes, not 64{hint}")
    return inputs[label], value


def _form(signed: InnerList) -> None:
    names = [name for name, _ in signed.items]
    for name, own in signed.items:
        if own:
            raise _malformed(INPUT, f"{name} with parameters is not understood here")
        if name.startswith("@") and name not in _DERIVED:
            raise _malformed(INPUT, f"{name} is no part of a request")
        if not name.startswith("@") and _HEADER_NAME.fullmatch(name) is None:
            raise _malformed(INPUT, "a component is no header's name in lower case")
    if len(set(names)) != len(names):
        raise _malformed(INPUT, "a component comes twice")
    for name in ("keyid", "alg"):
        if not isinstance(signed.parameters.get(name, ""), str):
            raise _malformed(INPUT, f"{name} is no text in quotes")
    if not signed.parameters.get("keyid"):
        raise _malformed(INPUT, "there is no keyid")


def _malformed(where: str, why: str) -> Unfit:
    return Unfit(
        f"the header {where} is malformed: {why}",
        slug="signature-header-malformed",
        where=where,
        remedy="Send each header once, as RFC 9421 and RFC 9651 write it.",
    )


# ── 2. The key ───────────────────────────────────────────────────────────────────────────────


def _key(parameters: Parameters, keys: Sequence[Key], now: datetime) -> Key:
    said = str(parameters["keyid"])
    key = next((key for key in keys if key.name == said), None)
    if key is None:
        live = ", ".join(sorted(one.name for one in keys if life(one, now) == "live"))
        raise _about(
            said,
            "no key of this bank has that keyid",
            slug="key-unknown",
            remedy=f"Live keys of this bank: {live or 'none'}.",
        )
    if life(key, now) != "live":
        refused = dead([key], now, INPUT)
        refused.received = {"keyid": said}
        raise refused
    if parameters.get("alg", key.kind) != key.kind:
        raise _about(
            said,
            "this key signs by another algorithm",
            slug="algorithm-not-bound",
            remedy=f"Sign with {key.kind}, to which the key is bound; or leave alg out.",
        )
    return key


def _about(keyid: str, detail: str, *, slug: str, remedy: str, where: str = INPUT) -> Untrusted:
    refused = Untrusted(detail, slug=slug, where=where, remedy=remedy)
    refused.received = {"keyid": keyid}
    return refused


# ── 3. The time ──────────────────────────────────────────────────────────────────────────────


def _time(parameters: Parameters, now: datetime) -> None:
    created = _seconds(parameters, "created")
    if created is None:
        raise malformed_time("", INPUT)
    judge_time(created, now, INPUT)
    expires = _seconds(parameters, "expires")
    if expires is not None and expires <= now.timestamp():
        raise Untrusted(
            f"the signature expired {int(now.timestamp()) - expires} s ago by its own word",
            slug="timestamp-too-old",
            where=INPUT,
            remedy="Sign each attempt anew.",
        )


def _seconds(parameters: Parameters, name: str) -> int | None:
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**12:
        raise malformed_time(str(value), INPUT)
    return value


# ── 4. Body, coverage, signature ─────────────────────────────────────────────────────────────


def _digest(message: Message) -> None:
    sent = message.headers.get(DIGEST)
    if not sent:
        raise _no_digest("there is no Content-Digest")
    try:
        digests = structured_fields.byte_sequences(sent)
    except Malformed as problem:
        raise _malformed(DIGEST, str(problem)) from problem
    if "sha-256" not in digests:
        raise _no_digest(f"Content-Digest is of {', '.join(sorted(digests))} only")
    ours = hashlib.sha256(message.body).digest()
    if digests["sha-256"] != ours:
        shown = f"sha-256=:{base64.b64encode(ours).decode()}:"
        raise Untrusted(
            f"Content-Digest is not of the {len(message.body)} bytes received, which are {shown}",
            slug="digest-mismatch",
            where=DIGEST,
            remedy="Digest the bytes as sent: JSON printed again, or recoded by a proxy, is"
            " another body.",
        )


def _no_digest(why: str) -> Untrusted:
    return Untrusted(
        why,
        slug="digest-missing",
        where=DIGEST,
        remedy="Send Content-Digest: sha-256=:BASE64: of the body, and cover it.",
    )


def _coverage(signed: InnerList, headers: Mapping[str, str]) -> None:
    covered = {name for name, _ in signed.items}
    missing = [name for name in COVERED if name not in covered]
    if missing:
        raise Untrusted(
            f"the signature does not cover {', '.join(missing)}",
            slug="coverage-incomplete",
            where=INPUT,
            remedy=f"Cover at least {', '.join(COVERED)}.",
        )
    absent = sorted(name for name in covered if not name.startswith("@") and name not in headers)
    if absent:
        raise _malformed(INPUT, f"it covers {absent[0]}, and there is no such header")


def _component(message: Message, name: str) -> str:
    """The value of one component (RFC 9421 sections 2.1 and 2.2)."""
    address = urlsplit(message.target)
    path = address.path or "/"
    derived = {
        "@method": message.method,
        "@authority": _authority(message.target),
        "@target-uri": message.target,
        "@scheme": address.scheme,
        "@path": path,
        "@query": f"?{address.query}",
        "@request-target": path + (f"?{address.query}" if address.query else ""),
    }
    return derived.get(name) or message.headers.get(name, "").strip()


def _authority(target: str) -> str:
    """Host and port in lower case, the scheme's own port left out."""
    address = urlsplit(target)
    usual = {"https": ":443", "http": ":80"}.get(address.scheme, "")
    return address.netloc.lower().removesuffix(usual) if usual else address.netloc.lower()


def _signs(key: Key, value: bytes, base: bytes) -> bool:
    if len(key.material) not in KEY_SIZES[key.kind]:
        return False
    try:
        if key.kind == "ed25519":
            Ed25519PublicKey.from_public_bytes(key.material).verify(value, base)
        else:
            pair = int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big")
            EllipticCurvePublicKey.from_encoded_point(SECP256R1(), key.material).verify(
                encode_dss_signature(*pair), base, ECDSA(SHA256())
            )
    except (InvalidSignature, ValueError):
        return False
    return True


def _mismatch(
    message: Message, signed: InnerList, key: Key, value: bytes, base: bytes
) -> Untrusted:
    for target in message.elsewhere:
        other = Message(message.method, target, message.headers, message.body)
        if _signs(key, value, signature_base(other, signed)):
            return _about(
                key.name,
                "the signature is good, but for another address than this one",
                slug="target-mismatch",
                remedy=f"Sign for {message.target}, authority {_authority(message.target)}.",
                where=SIGNATURE,
            )
    refused = _about(
        key.name,
        "the signature is not of this request by that key",
        slug="signature-mismatch",
        remedy="Compare your signature base with ours, line by line.",
        where=SIGNATURE,
    )
    refused.received = {"keyid": key.name, "signature_base": base.decode()[:SHOWN]}
    return refused
