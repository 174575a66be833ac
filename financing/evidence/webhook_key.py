"""A bank's key for its events: bound to one way of signing, alive for a time.

Kind and key are the bank's registration, never a message's word. What fails here is the same for
every way of signing: nobody's key, a key out of its life, a time outside the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Final

from financing.errors import Untrusted
from financing.values.times import rfc3339

WINDOW: Final = timedelta(seconds=300)
# Kinds of Standard Webhooks, and algorithms of RFC 9421.
STANDARD_WEBHOOKS: Final = ("v1", "v1a")
HTTP_SIGNATURES: Final = ("ed25519", "ecdsa-p256-sha256")
KINDS: Final = (*STANDARD_WEBHOOKS, *HTTP_SIGNATURES)
# Bytes of the key: a shared secret, a public key, a point (X9.62, uncompressed).
KEY_SIZES: Final[Mapping[str, range]] = {
    "v1": range(24, 65),
    "v1a": range(32, 33),
    "ed25519": range(32, 33),
    "ecdsa-p256-sha256": range(65, 66),
}


class Unfit(Untrusted):
    """Headers that are missing or malformed: the message was not even signed."""

    status: ClassVar[int] = 400


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a bank.

    Args:
        kind: one of `KINDS`; what it signs otherwise is not signed.
        material: bytes as in `KEY_SIZES`; of `v1` the secret itself.
        live_to: end of its life; None while none is set.
        revoked_at: from then on it counts for nothing, whatever its life.
        name: the bank's name for it, which a message by RFC 9421 must say (`keyid`).
    """

    kind: str
    material: bytes = field(repr=False)
    live_from: datetime
    live_to: datetime | None = None
    revoked_at: datetime | None = None
    name: str = ""


def life(key: Key, now: datetime) -> str:
    """In which part of its life a key is: live, revoked, not-yet-valid, expired."""
    if key.revoked_at is not None and key.revoked_at <= now:
        return "revoked"
    if now < key.live_from:
        return "not-yet-valid"
    if key.live_to is not None and key.live_to <= now:
        return "expired"
    return "live"


def dead(keys: Sequence[Key], now: datetime, where: str) -> Untrusted:
    """Why none of these keys counts; of several the one that was live last."""
    key = max(keys, key=lambda key: key.live_from)
    part = life(key, now)
    when = {
        "revoked": key.revoked_at,
        "expired": key.live_to,
        "not-yet-valid": key.live_from,
    }[part]
    said = {"revoked": "was revoked at", "expired": "ended at", "not-yet-valid": "begins at"}[part]
    return Untrusted(
        f"the key {said} {rfc3339(when or now)}",
        slug=f"key-{part}",
        where=where,
        remedy="Sign with a key that is live, or have a new one registered; both live in between.",
    )


def no_key() -> Untrusted:
    """The bank has no key at all."""
    return Untrusted(
        "this bank has no key registered",
        slug="key-unknown",
        where="signature",
        remedy="Have the operator register one: `financing banks`.",
    )


def judge_time(sent_at: int, now: datetime, where: str) -> None:
    """Refuse a message whose time is not near ours.

    Args:
        sent_at: seconds since 1970.
    Raises:
        Untrusted: `timestamp-too-old`, `timestamp-in-future`.
    """
    ahead = sent_at - int(now.timestamp())
    if abs(ahead) <= WINDOW.total_seconds():
        return
    future = ahead > 0
    raise Untrusted(
        f"the timestamp {sent_at} is {abs(ahead)} s {'ahead of' if future else 'behind'} our clock"
        f" ({int(now.timestamp())})",
        slug="timestamp-in-future" if future else "timestamp-too-old",
        where=where,
        remedy="Set the clock by NTP and sign each attempt anew.",
    )


def malformed_time(shown: str, where: str) -> Unfit:
    """A time that is none; milliseconds are named as such."""
    milliseconds = shown.isdecimal() and len(shown) == 13
    return Unfit(
        "the timestamp is in milliseconds" if milliseconds else "the timestamp is malformed",
        slug="timestamp-malformed",
        where=where,
        remedy="Send whole seconds since 1970, digits only.",
    )
