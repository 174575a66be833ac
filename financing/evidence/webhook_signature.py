"""Signatures of events that banks send: Standard Webhooks, kinds `v1` and `v1a`.

Checks come in a fixed order and the first that fails answers. Kind and keys are the bank's
registration, never the message's; nothing of the body is parsed here. An answer never holds a
secret, nor the signature that would have been right.

Source: Standard Webhooks; RFC 8032 (Ed25519); RFC 2104 (HMAC).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from financing.errors import Untrusted
from financing.values.times import rfc3339

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
WINDOW: Final = timedelta(seconds=300)
MOST_ENTRIES: Final = 16

# Bytes of a signature and of the key that makes or checks it, by kind.
_SIZE: Final = {"v1": 32, "v1a": 64}
_KEY_SIZE: Final = {"v1": range(24, 65), "v1a": range(32, 33)}
_NAME: Final = {"v1": "HMAC-SHA256 (v1)", "v1a": "Ed25519 (v1a)"}
_OTHER_KINDS: Final = ("signature", "signature-input", "x-jws-signature")
_ID_FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


class Unfit(Untrusted):
    """Headers that are missing or malformed: the message was not even signed."""

    status: ClassVar[int] = 400


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a bank.

    Args:
        kind: `v1` (shared secret, 24 to 64 bytes) or `v1a` (public key, 32 bytes).
        live_to: end of its life; None while none is set.
        revoked_at: from then on it counts for nothing, whatever its life.
    """

    kind: str
    material: bytes = field(repr=False)
    live_from: datetime
    live_to: datetime | None = None
    revoked_at: datetime | None = None


def verify(headers: Mapping[str, str], body: bytes, keys: Sequence[Key], now: datetime) -> str:
    """Check the signature of a message over these bytes and return the message's id.

    Args:
        headers: as received; one that came twice is joined with a comma, and so refused.
        keys: all keys that the bank ever registered.
        now: the wall clock.
    Raises:
        Unfit: `signature-missing`, `signature-header-malformed`, `timestamp-malformed`.
        Untrusted: `signature-kind-not-agreed`, `key-unknown`, `key-not-yet-valid`, `key-expired`,
            `key-revoked`, `timestamp-too-old`, `timestamp-in-future`, `signature-mismatch`.
    """
    known = {name.lower(): value for name, value in headers.items()}
    message_id, sent_at = _identified(known)
    if not keys:
        raise Untrusted(
            "this bank has no key registered",
            slug="key-unknown",
            where=SIGNATURE,
            remedy="Have a key registered on the bank desk.",
        )
    entries = _entries(known[SIGNATURE], {key.kind for key in keys})
    live = [key for key in keys if _life(key, now) == "live"]
    if not live:
        raise _dead(keys, now)
    _judge_time(sent_at, now)
    signed = b".".join((message_id.encode(), known[TIMESTAMP].encode(), body))
    if _any_signs(live, entries, signed):
        return message_id
    # A signature by a key of ours that is out of its life is no stranger's: say which way it is.
    dead = [key for key in keys if key not in live and _any_signs([key], entries, signed)]
    if dead:
        raise _dead(dead, now)
    raise Untrusted(
        f"no signature is of these {len(body)} bytes by a live key of this bank",
        slug="signature-mismatch",
        where=SIGNATURE,
        remedy=f"Sign ID.TIMESTAMP.BODY with the bytes as sent: {message_id}.{known[TIMESTAMP]}."
        " and the body; JSON printed again is another body.",
    )


def _identified(known: Mapping[str, str]) -> tuple[str, int]:
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not known.get(name)]
    if SIGNATURE in missing and any(known.get(name) for name in _OTHER_KINDS):
        raise Untrusted(
            "the message is signed in a way that is not agreed with this bank",
            slug="signature-kind-not-agreed",
            where=SIGNATURE,
            remedy="Sign as registered: Standard Webhooks.",
        )
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
        milliseconds = stamp.isdecimal() and len(stamp) == 13
        raise Unfit(
            "the timestamp is in milliseconds" if milliseconds else "the timestamp is malformed",
            slug="timestamp-malformed",
            where=TIMESTAMP,
            remedy="Send whole seconds since 1970, digits only.",
        )
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


def _life(key: Key, now: datetime) -> str:
    if key.revoked_at is not None and key.revoked_at <= now:
        return "revoked"
    if now < key.live_from:
        return "not-yet-valid"
    if key.live_to is not None and key.live_to <= now:
        return "expired"
    return "live"


def _dead(keys: Sequence[Key], now: datetime) -> Untrusted:
    """Why none of these keys counts; of several the one that was live last."""
    key = max(keys, key=lambda key: key.live_from)
    life = _life(key, now)
    when = {
        "revoked": key.revoked_at,
        "expired": key.live_to,
        "not-yet-valid": key.live_from,
    }[life]
    said = {"revoked": "was revoked at", "expired": "ended at", "not-yet-valid": "begins at"}[life]
    return Untrusted(
        f"the key {said} {rfc3339(when or now)}",
        slug=f"key-{life}",
        where=SIGNATURE,
        remedy="Sign with a key that is live, or have a new one registered; both live in between.",
    )


def _judge_time(sent_at: int, now: datetime) -> None:
    ahead = sent_at - int(now.timestamp())
    if abs(ahead) <= WINDOW.total_seconds():
        return
    future = ahead > 0
    raise Untrusted(
        f"the timestamp {sent_at} is {abs(ahead)} s {'ahead of' if future else 'behind'} our clock"
        f" ({int(now.timestamp())})",
        slug="timestamp-in-future" if future else "timestamp-too-old",
        where=TIMESTAMP,
        remedy="Set the clock by NTP and sign each attempt anew.",
    )


def _any_signs(keys: Sequence[Key], entries: Sequence[tuple[str, bytes]], signed: bytes) -> bool:
    return any(
        _signs(key, value, signed) for key in keys for kind, value in entries if kind == key.kind
    )


def _signs(key: Key, value: bytes, signed: bytes) -> bool:
    if len(key.material) not in _KEY_SIZE[key.kind]:
        return False
    if key.kind == "v1":
        return hmac.compare_digest(hmac.digest(key.material, signed, "sha256"), value)
    try:
        Ed25519PublicKey.from_public_bytes(key.material).verify(value, signed)
    except InvalidSignature:
        return False
    return True
