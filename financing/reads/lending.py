"""Questions about offers, loans, and payments, each beside the bank or contract that it is of."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select

from financing.errors import NotFound
from financing.reads.listing import Piece, Window, newest_first
from financing.store.db import Tx
from financing.store.tables import application, bank, loan, offer, payment
from financing.store.visible import own

asked = application.alias("asked")  # `own` looks into the table itself
OFFER = (
    select(offer, bank.c.code.label("bank_code"))
    .join(asked, asked.c.id == offer.c.application_id)
    .join(bank, bank.c.id == asked.c.bank_id)
)
LOAN = (
    select(loan, bank.c.code.label("bank_code"))
    .join(asked, asked.c.id == loan.c.application_id)
    .join(bank, bank.c.id == loan.c.bank_id)
)


def offers(tx: Tx, window: Window, application_id: UUID | None) -> Piece:
    """The offers that the actor may see, or those to one application."""
    query = OFFER.where(own(tx.actor, "offer"))
    if application_id is not None:
        query = query.where(offer.c.application_id == application_id)
    return newest_first(tx, query, offer.c.made_at, offer.c.id, window)


def offer_of(tx: Tx, offer_id: UUID) -> Row[Any]:
    """One visible offer."""
    return _one(tx, OFFER.where(offer.c.id == offer_id, own(tx.actor, "offer")), "offer")


def loans(tx: Tx, window: Window) -> Piece:
    """The loans that the actor may see."""
    query = LOAN.where(own(tx.actor, "loan"))
    return newest_first(tx, query, asked.c.created_at, loan.c.id, window)


def loan_of(tx: Tx, loan_id: UUID) -> Row[Any]:
    """One visible loan."""
    return _one(tx, LOAN.where(loan.c.id == loan_id, own(tx.actor, "loan")), "loan")


def payments(tx: Tx, window: Window, contract_id: UUID | None) -> Piece:
    """The payments that belong to contracts the actor may see, or to one of them."""
    query = select(payment).where(own(tx.actor, "payment"))
    if contract_id is not None:
        query = query.where(payment.c.contract_id == contract_id)
    return newest_first(tx, query, payment.c.created_at, payment.c.id, window)


def _one(tx: Tx, query: Select[Any], what: str) -> Row[Any]:
    row = tx.one(query)
    if row is None:
        raise NotFound(f"no such {what}", where=what)
    return row
