"""The inbox: what others sent, as bytes, kept before it is answered; an id is known for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from financing.store.db import Tx
from financing.store.tables import inbox
from financing.values.ids import new_id
from financing.values.times import wall_now

SIGNED_BY = ("content-digest", "signature-input", "signature")


def keep(
    tx: Tx,
    source: str,
    message_id: str,
    raw: bytes,
    headers: Mapping[str, str],
    *,
    key_id: UUID,
) -> UUID | None:
    """Keep a message with its signature; returns its row's id, or None when the id is known.

    Args:
        key_id: of the key that signed it.
    """
    row_id = new_id()
    kept = tx.one(
        insert(inbox)
        .values(
            id=row_id,
            source=source,
            message_id=message_id,
            digest=hashlib.sha256(raw).hexdigest(),
            raw=raw,
            headers={
                name: value
                for name, value in headers.items()
                if name.startswith("webhook-") or name in SIGNED_BY
            },
            key_id=key_id,
            received_at=wall_now(),
        )
        .on_conflict_do_nothing(index_elements=["source", "message_id"])
        .returning(inbox.c.id)
    )
    return row_id if kept is not None else None


def known(tx: Tx, source: str, message_id: str) -> Row[Any]:
    """The message that was kept under this id."""
    return tx.db.execute(
        select(inbox).where(inbox.c.source == source, inbox.c.message_id == message_id)
    ).one()
