"""Signatures of messages by Standard Webhooks, kinds `v1` and `v1a`.

Checks come in a fixed order and the first that fails answers. An answer never holds a secret, nor
the signature that would have been right.

Source: Standard Webhooks; RFC 8032 (Ed25519); RFC 2104 (HMAC).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from financing.errors import Untrusted
from financing.evidence.webhook_key import (
    KEY_SIZES,
    Key,
    Unfit,
    dead,
    judge_time,
    life,
    malformed_time,
)

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
MOST_ENTRIES: Final = 16

_SIZE: Final = {"v1": 32, "v1a": 64}  # bytes of a signature
_NAME: Final = {"v1": "HMAC-SHA256 (v1)", "v1a": "Ed25519 (v1a)"}
_ID_FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


def verify(
    headers: Mapping[str, str], body: bytes, keys: Sequence[Key], now: datetime
) -> tuple[str, Key]:
    """Check the signature of a message over these bytes; its id, and the key that signed it.

    Args:
        headers: names in lower case; one that came twice is joined with a comma, and so refused.
        keys: all of kinds `v1` and `v1a` that the bank ever registered, at least one.
        now: the wall clock.
    Raises:
        Unfit: `signature-missing`, `signature-header-malformed`, `timestamp-malformed`.
        Untrusted: `signature-kind-not-agreed`, `key-not-yet-valid`, `key-expired`, `key-revoked`,
            `timestamp-too-old`, `timestamp-in-future`, `signature-mismatch`.
    """
    message_id, sent_at = _identified(headers)
    entries = _entries(headers[SIGNATURE], {key.kind for key in keys})
    live = [key for key in keys if life(key, now) == "live"]
    if not live:
        raise dead(keys, now, SIGNATURE)
    judge_time(sent_at, now, TIMESTAMP)
    signed = b".".join((message_id.encode(), headers[TIMESTAMP].encode(), body))
    key = _signer(live, entries, signed)
    if key is not None:
        return message_id, key
    # A signature by a key of the bank's that is out of its life is no stranger's: say which way.
    gone = _signer([key for key in keys if key not in live], entries, signed)
    if gone is not None:
        raise dead([gone], now, SIGNATURE)
    raise Untrusted(
        f"no signature is of these {len(body)} bytes by a live key of this bank",
        slug="signature-mismatch",
        where=SIGNATURE,
        remedy=f"Sign ID.TIMESTAMP.BODY with the bytes as sent: {message_id}.{headers[TIMESTAMP]}."
        " and the body; JSON printed again is another body.",
    )


def _identified(known: Mapping[str, str]) -> tuple[str, int]:
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not known.get(name)]
    if missing:
        raise Unfit(
            f"there is no {missing[0]}",
            slug="signature-missing",
            where=missing[0],
            remedy=f"Send {ID}, {TIMESTAMP}, and {SIGNATURE}.",
        )
    if _ID_FORM.fullmatch(known[ID]) is None:
        raise Unfit(
            "the id of the message is malformed",
            slug="signature-header-malformed",
            where=ID,
            remedy="Use 1 to 64 letters, digits, dashes, or underscores; send the header once.",
        )
    stamp = known[TIMESTAMP]
    if _SECONDS.fullmatch(stamp) is None:
        raise malformed_time(stamp, TIMESTAMP)
    return known[ID], int(stamp)


def _entries(header: str, agreed: set[str]) -> list[tuple[str, bytes]]:
    entries: list[tuple[str, bytes]] = []
    words = header.split(" ")
    if len(words) > MOST_ENTRIES:
        raise _malformed(f"more than {MOST_ENTRIES} signatures")
    for position, word in enumerate(words, 1):
        kind, comma, value = word.partition(",")
        if not comma:
            raise _malformed(f"signature {position} has no comma")
        if kind in _SIZE:
            entries.append((kind, _decoded(kind, value, position)))
    if not any(kind in agreed for kind, _ in entries):
        wanted = " or ".join(_NAME[kind] for kind in sorted(agreed))
        raise Untrusted(
            "no signature is of the kind agreed with this bank",
            slug="signature-kind-not-agreed",
            where=SIGNATURE,
            remedy=f"Sign as registered: {wanted}; or have the registration changed.",
        )
    return entries


def _decoded(kind: str, value: str, position: int) -> bytes:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise _malformed(f"signature {position} is not base64") from problem
    if len(data) != _SIZE[kind]:
        hint = "; it looks like DER" if kind == "v1a" and data[:1] == b"\x30" else ""
        raise _malformed(f"signature {position} has {len(data)} bytes, not {_SIZE[kind]}{hint}")
    return data


def _malformed(why: str) -> Unfit:
    return Unfit(
        f"the signature header is malformed: {why}",
        slug="signature-header-malformed",
        where=SIGNATURE,
        remedy="Send v1,BASE64 or v1a,BASE64, separated by one space.",
    )


def _signer(keys: Sequence[Key], entries: Sequence[tuple[str, bytes]], signed: bytes) -> Key | None:
    for key in keys:
        if any(kind == key.kind and _signs(key, value, signed) for kind, value in entries):
            return key
    return None


def _signs(key: Key, value: bytes, signed: bytes) -> bool:
    if len(key.material) not in KEY_SIZES[key.kind]:
        return False
    if key.kind == "v1":
        return hmac.compare_digest(hmac.digest(key.material, signed, "sha256"), value)
    try:
        Ed25519PublicKey.from_public_bytes(key.material).verify(value, signed)
    except InvalidSignature:
        return False
    return True
