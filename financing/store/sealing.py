"""Fields that the database holds only sealed, and a keyed index to find them.

A sealed field opens only in the row and column it was sealed for, so a copy moved elsewhere by
someone with access to the database is refused. Stored form: key version (1 byte), nonce (12),
ciphertext with tag.

Source: NIST SP 800-38D (AES-GCM).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from financing.errors import Broken
from financing.evidence.keys import Keys

_VERSION: Final = 1  # of the key that new values are sealed with; old ones name their own
_NONCE: Final = 12


def seal(keys: Keys, table: str, column: str, row_id: UUID, value: bytes) -> bytes:
    """Seal a value for one field of one row; sealing again gives other bytes."""
    nonce = os.urandom(_NONCE)
    cipher = AESGCM(_key(keys, _VERSION))
    return (
        bytes((_VERSION,))
        + nonce
        + cipher.encrypt(nonce, value, _place(table, column, row_id, _VERSION))
    )


def unseal(keys: Keys, table: str, column: str, row_id: UUID, sealed: bytes) -> bytes:
    """Open a sealed field.

    Raises:
        Broken: sealed for another field or row, changed, or sealed with a key we do not have.
    """
    version, nonce, rest = sealed[0] if sealed else 0, sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
    try:
        if version != _VERSION:
            raise InvalidTag
        return AESGCM(_key(keys, version)).decrypt(
            nonce, rest, _place(table, column, row_id, version)
        )
    except (InvalidTag, ValueError) as problem:
        raise Broken(
            "a sealed field does not open",
            where=f"{table}.{column} of {row_id}",
            remedy="Check that the key store belongs to this database.",
        ) from problem


def blind_index(keys: Keys, value: str) -> bytes:
    """32 bytes by which an equal value is found without storing it.

    Keyed, because values such as account numbers can be guessed and compared.
    """
    return hmac.digest(keys.subkey("blind-index/1"), value.encode(), hashlib.sha256)


def _key(keys: Keys, version: int) -> bytes:
    return keys.subkey(f"sealed-field/{version}")


def _place(table: str, column: str, row_id: UUID, version: int) -> bytes:
    return f"{table}|{column}|{row_id}|{version}".encode()
