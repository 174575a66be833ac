"""What waits for a person, piece by piece: parked records and lines, and parked work."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from financing.errors import NotFound
from financing.reads.desk import SLUG
from financing.reads.listing import Piece, Window, newest_first
from financing.store.db import Tx
from financing.store.tables import outbox, parked
from financing.store.visible import own

COLUMNS = (
    parked.c.id,
    parked.c.kind,
    parked.c.source,
    parked.c.place,
    parked.c.value,
    parked.c.reason,
    parked.c.remedy,
    parked.c.state,
    parked.c.at,
)


def things(tx: Tx, window: Window, cause: str | None) -> Piece:
    """What is parked and open, or what is so for one cause; without its bytes."""
    query = select(*COLUMNS).where(own(tx.actor, "parked"), parked.c.state == "open")
    if cause is not None:
        query = query.where(SLUG.op("=")(cause))
    return newest_first(tx, query, parked.c.at, parked.c.id, window)


def known(tx: Tx, wanted: Sequence[UUID]) -> None:
    """Whether each of these is parked, or was.

    Raises:
        NotFound: one of them is not, or not the actor's.
    """
    found = tx.rows(
        select(parked.c.id).where(own(tx.actor, "parked"), parked.c.id.in_(list(wanted)))
    )
    if len(found) != len(set(wanted)):
        raise NotFound("no such parked thing", where="parked")


def work(tx: Tx, window: Window) -> Piece:
    """Work that was parked because it cannot succeed by itself."""
    query = select(outbox).where(outbox.c.parked.is_not(None), outbox.c.done.is_(None))
    return newest_first(tx, query, outbox.c.created_at, outbox.c.id, window)


def work_of(tx: Tx, key: str) -> int:
    """The row of parked work by its key.

    Raises:
        NotFound: no such work, or it is not parked.
    """
    row = tx.one(
        select(outbox.c.id).where(
            outbox.c.key == key, outbox.c.parked.is_not(None), outbox.c.done.is_(None)
        )
    )
    if row is None:
        raise NotFound("no such parked work", where="job")
    return int(row.id)
