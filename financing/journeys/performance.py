"""Delivery and acceptance (履约验收): what makes the purchaser owe the money.

1. `accept_performance` the purchaser accepts a milestone, or all that is left of the contract

Acceptance moves the accepted part of the price from undelivered to receivable in the contract's
ledger, less what was paid in advance and what is retained.
"""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update

from financing import words
from financing.errors import Conflict, Invalid
from financing.journeys import allocation
from financing.store.db import Tx
from financing.store.move import move
from financing.store.tables import milestone
from financing.store.visible import find_locked


def accept_performance(
    tx: Tx, contract_id: UUID, on: date, milestone_id: UUID | None = None
) -> Row[Any]:
    """The purchaser accepts one milestone, or everything that is not accepted yet.

    Raises:
        NotFound: no such contract, or not this purchaser's.
        Invalid: the day lies in the future or before the contract was signed.
        Conflict: everything is accepted already.
    Source: Government Procurement Law art. 41.
    """
    row = find_locked(tx, "contract", contract_id)
    lang = tx.actor.lang
    if on > tx.today or (row.signed_on is not None and on < row.signed_on):
        raise Invalid(
            words.t("accept.day_outside", lang),
            where="/on",
            remedy=words.t("accept.day_within", lang, day=tx.today.isoformat()),
        )
    parts = tx.rows(
        select(milestone)
        .where(milestone.c.contract_id == row.id, milestone.c.accepted_on.is_(None))
        .order_by(milestone.c.position)
    )
    chosen = [part for part in parts if milestone_id in (None, part.id)]
    if not chosen:
        raise Conflict(
            words.t("accept.nothing_left", lang),
            where="/milestone",
            remedy=words.t("accept.see_contract", lang),
        )
    for part in chosen:
        allocation.accept_milestone(tx, row, part, on)
    tx.db.execute(
        update(milestone)
        .where(milestone.c.id.in_([part.id for part in chosen]))
        .values(accepted_on=on, delivered_on=on)
    )
    is_whole = len(chosen) == len(parts)
    moved = move(
        tx,
        "contract",
        row.id,
        "accept" if is_whole else "accept_milestone",
        facts={"milestones": [part.id for part in chosen], "on": on},
        **({"accepted_on": on, "delivered_on": row.delivered_on or on} if is_whole else {}),
    )
    return allocation.close_if_paid(tx, moved)  # what was paid early may be all there is
