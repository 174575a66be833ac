"""Where a list goes on: the last row's place, sealed to its list, its filters, and its reader.

A cursor is opaque and ours: another one's, another list's, or a changed one is refused, so that
nobody walks a list by guessing places.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Final

from financing.errors import Invalid
from financing.evidence.keys import Keys

_MAC: Final = 16
LONGEST: Final = 1000


def seal(keys: Keys, of: str, place: tuple[str, ...]) -> str:
    """A place as text that only `opened` with the same `of` reads."""
    said = json.dumps(place, ensure_ascii=False, separators=(",", ":")).encode()
    return urlsafe_b64encode(_mac(keys, of, said) + said).decode().rstrip("=")


def opened(keys: Keys, of: str, text: str) -> tuple[str, ...]:
    """The place that a cursor holds.

    Raises:
        Invalid: not a cursor of this list, these filters, and this reader.
    """
    try:
        raw = urlsafe_b64decode(text[:LONGEST] + "=" * (-len(text[:LONGEST]) % 4))
    except (Error, ValueError):
        raw = b""
    mac, said = raw[:_MAC], raw[_MAC:]
    if not said or not hmac.compare_digest(mac, _mac(keys, of, said)):
        raise Invalid("not a cursor of this list", where="/after")
    return tuple(json.loads(said))


def _mac(keys: Keys, of: str, said: bytes) -> bytes:
    bound = of.encode() + b"\x00" + said
    return hmac.digest(keys.subkey("cursor/1"), bound, hashlib.sha256)[:_MAC]
