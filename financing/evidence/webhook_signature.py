"""Signatures of events that banks send: by Standard Webhooks, or by RFC 9421.

How a bank signs is its registration, never the message's word: only the ways for which it has
keys are looked at. Nothing of the body is parsed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from financing.errors import Untrusted
from financing.evidence import http_signature, standard_webhooks
from financing.evidence.http_signature import Message
from financing.evidence.webhook_key import (
    HTTP_SIGNATURES,
    STANDARD_WEBHOOKS,
    Key,
    Unfit,
    no_key,
)
from financing.values.times import rfc3339

# Each way of signing: its headers, its kinds of keys, its name, and what a message needs.
_WAYS: Final = (
    (
        ("signature-input", "signature"),
        HTTP_SIGNATURES,
        "RFC 9421 HTTP Message Signatures",
        "webhook-id, Content-Digest, Signature-Input, and Signature",
    ),
    (
        ("webhook-signature",),
        STANDARD_WEBHOOKS,
        "Standard Webhooks",
        "webhook-id, webhook-timestamp, and webhook-signature",
    ),
)
_SIGNED_SOMEHOW: Final = (*(name for way in _WAYS for name in way[0]), "x-jws-signature")


def verify(message: Message, keys: Sequence[Key], now: datetime) -> tuple[str, Key]:
    """Check that a message is a bank's; its id, and the key that signed it.

    Args:
        keys: all keys that the bank ever registered.
        now: the wall clock.
    Raises:
        Unfit: nothing is signed, or the headers are malformed.
        Untrusted: what does not hold, and `received`: what we saw of it. Never a secret, the
            signature that would have been right, or what other banks have.
    """
    try:
        return _verified(message, keys, now)
    except Untrusted as refused:
        refused.received = {
            **refused.received,
            "headers": sorted(message.headers),
            "bytes": len(message.body),
            "at": rfc3339(now),
        }
        raise


def _verified(message: Message, keys: Sequence[Key], now: datetime) -> tuple[str, Key]:
    if not keys:
        raise no_key()
    agreed = [way for way in _WAYS if any(key.kind in way[1] for key in keys)]
    for headers, kinds, _, _ in agreed:
        if any(message.headers.get(name) for name in headers):
            bound = [key for key in keys if key.kind in kinds]
            if kinds is HTTP_SIGNATURES:
                return http_signature.verify(message, bound, now)
            return standard_webhooks.verify(message.headers, message.body, bound, now)
    names = " or ".join(way[2] for way in agreed)
    if any(message.headers.get(name) for name in _SIGNED_SOMEHOW):
        raise Untrusted(
            "the message is signed in a way that is not agreed with this bank",
            slug="signature-kind-not-agreed",
            where="signature",
            remedy=f"Sign as registered: {names}; or have a key of the other kind registered.",
        )
    raise Unfit(
        "the message is not signed",
        slug="signature-missing",
        where="signature",
        remedy=f"Sign as registered, {names}: send {' or '.join(way[3] for way in agreed)}.",
    )
