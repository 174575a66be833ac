"""Claims (权利主张): a bank's share of what a contract may still pay.

1. `hold`      exclusive from the acceptance of an offer on
2. `reduce`    smaller with each repayment
3. `release`   the application came to nothing
4. `discharge` the loan is settled

A claim proves order within this service; it is not a registered pledge.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text, update

from financing.errors import Conflict
from financing.rules.capacity import held_by
from financing.store.db import Tx
from financing.store.move import create, move
from financing.store.tables import claim, contract, product
from financing.values.money import show_money

TAKE = text("""
    UPDATE contract SET held_fen = held_fen + :fen
     WHERE id = :id AND held_fen + :fen <= open_fen
    RETURNING held_fen, open_fen
""")


def left_fen(tx: Tx, application: Row[Any]) -> int:
    """The largest loan of this application's product that the contract still carries."""
    row = tx.one(
        select(contract.c.open_fen, contract.c.held_fen, product.c.share_bp)
        .join(product, product.c.id == application.product_id)
        .where(contract.c.id == application.contract_id)
    )
    return max(0, (row.open_fen - row.held_fen) * row.share_bp // 10000) if row else 0


def hold(tx: Tx, application: Row[Any], loan_fen: int) -> Row[Any]:
    """Hold the claim for an accepted offer; the contract's row must be locked by the caller.

    Raises:
        Conflict: the open receivable no longer carries it.
    """
    share_bp = tx.db.execute(
        select(product.c.share_bp).where(product.c.id == application.product_id)
    ).scalar_one()
    fen = held_by(loan_fen, share_bp)
    if tx.one(TAKE, {"id": application.contract_id, "fen": fen}) is None:
        left = left_fen(tx, application)
        raise Conflict(
            "what the contract may still carry is taken:"
            f" {show_money(left, application.currency, tx.actor.lang)} is left for this bank",
            where="/offer_digest",
            remedy="Ask the bank for an offer within what is left.",
        )
    return create(
        tx,
        "claim",
        "hold",
        facts={"held_fen": fen, "application": application.id},
        contract_id=application.contract_id,
        application_id=application.id,
        loan_fen=loan_fen,
        share_bp=share_bp,
        held_fen=fen,
    )


def live(tx: Tx, application_id: UUID) -> Row[Any] | None:
    """The held claim of an application, if there is one."""
    return tx.one(
        select(claim).where(claim.c.application_id == application_id, claim.c.state == "held")
    )


def reduce(tx: Tx, application_id: UUID, outstanding_fen: int) -> None:
    """Shrink the claim to what the loan still owes or may still draw."""
    row = live(tx, application_id)
    if row is None:
        return
    fen = held_by(outstanding_fen, row.share_bp)
    if fen != row.held_fen:
        _give(tx, row, fen)
        move(tx, "claim", row.id, "reduce", facts={"held_fen": fen}, held_fen=fen)


def release(tx: Tx, application_id: UUID) -> None:
    """Free the claim of an application that came to nothing; again changes nothing."""
    _end(tx, application_id, "release")


def discharge(tx: Tx, application_id: UUID) -> None:
    """Free the claim of a settled loan; again changes nothing."""
    _end(tx, application_id, "discharge")


def restore(tx: Tx, application_id: UUID, outstanding_fen: int) -> None:
    """Hold the claim of a loan that owes again, as far as the contract still carries it.

    Nothing is held where another loan has taken all of it meanwhile.
    """
    row = tx.one(
        select(claim).where(claim.c.application_id == application_id, claim.c.state == "discharged")
    )
    if row is None:
        return
    room = tx.db.execute(
        select(contract.c.open_fen - contract.c.held_fen).where(contract.c.id == row.contract_id)
    ).scalar_one()
    fen = min(held_by(outstanding_fen, row.share_bp), room)
    if fen > 0:
        _give(tx, row, fen)
        move(tx, "claim", row.id, "restore", facts={"held_fen": fen}, held_fen=fen)


def _end(tx: Tx, application_id: UUID, event: str) -> None:
    row = live(tx, application_id)
    if row is not None:
        _give(tx, row, 0)
        move(tx, "claim", row.id, event, facts={"held_fen": 0}, held_fen=0)


def _give(tx: Tx, row: Row[Any], fen: int) -> None:
    tx.db.execute(
        update(contract)
        .where(contract.c.id == row.contract_id)
        .values(held_fen=contract.c.held_fen - row.held_fen + fen)
    )
