"""Notices of an organisation: what is new, about which contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, select, update

from financing.reads.listing import Piece, Window, newest_first
from financing.store.db import Tx
from financing.store.tables import contract, notice
from financing.store.visible import own

MOST = 100
NAMED = select(
    notice,
    contract.c.title,
    contract.c.number,
    contract.c.id.label("of_contract"),
).outerjoin(contract, contract.c.id == notice.c.contract_id)


def notices(tx: Tx) -> Sequence[Row[Any]]:
    """The newest notices of the actor's organisation, unread ones first."""
    return tx.rows(
        NAMED.where(own(tx.actor, "notice"))
        .order_by(notice.c.opened_at.is_not(None), notice.c.at.desc(), notice.c.id.desc())
        .limit(MOST)
    )


def piece(tx: Tx, window: Window) -> Piece:
    """The notices of the actor's organisation."""
    query = NAMED.where(own(tx.actor, "notice"))
    return newest_first(tx, query, notice.c.at, notice.c.id, window)


def unread(tx: Tx) -> int:
    """How many notices nobody has opened."""
    return int(
        tx.db.execute(
            select(func.count())
            .select_from(notice)
            .where(own(tx.actor, "notice"), notice.c.opened_at.is_(None))
        ).scalar_one()
    )


def open_all(tx: Tx) -> int:
    """Record that the organisation has read its notices; again changes nothing."""
    return tx.db.execute(
        update(notice)
        .where(own(tx.actor, "notice"), notice.c.opened_at.is_(None))
        .values(opened_at=tx.now)
    ).rowcount
