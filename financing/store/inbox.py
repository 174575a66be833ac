"""The inbox: what others sent, as bytes, kept before it is answered; an id is known for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from financing.store.db import Tx
from financing.store.tables import inbox
from financing.values.ids import new_id
from financing.values.times import wall_now


def keep(
    tx: Tx,
    source: str,
    message_id: str,
    digest: str,
    raw: bytes,
    headers: Mapping[str, str],
) -> UUID | None:
    """Keep a message; returns its row's id, or None when the id is known."""
    row_id = new_id()
    kept = tx.one(
        insert(inbox)
        .values(
            id=row_id,
            source=source,
            message_id=message_id,
            digest=digest,
            raw=raw,
            headers={name: value for name, value in headers.items() if name.startswith("webhook-")},
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
