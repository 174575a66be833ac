"""Questions about what passes between a firm and a bank: consents, offers, loans, payments, calls.

1. `consents`, `offers`, `loans`, `payments` each beside the bank or contract that it is of
2. `requests`, `events` what we asked a bank, and what it told us
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select

from financing.errors import NotFound
from financing.reads.listing import Piece, Window, newest_first
from financing.store.db import Tx
from financing.store.tables import (
    application,
    bank,
    consent,
    inbox,
    loan,
    offer,
    payment,
    transcript,
)
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


def payments(tx: Tx, window: Window, contract_id: UUID | None, state: str | None) -> Piece:
    """The payments that belong to contracts the actor may see: of one of them, in one state."""
    query = select(payment).where(own(tx.actor, "payment"), payment.c.contract_id.is_not(None))
    if state is not None:
        query = query.where(payment.c.state == state)
    if contract_id is not None:
        query = query.where(payment.c.contract_id == contract_id)
    return newest_first(tx, query, payment.c.created_at, payment.c.id, window)


def consents(tx: Tx, window: Window) -> Piece:
    """The consents that the actor gave, each beside the bank that it names."""
    query = (
        select(consent, bank.c.code.label("bank_code"))
        .join(bank, bank.c.id == consent.c.bank_id)
        .where(own(tx.actor, "consent"))
    )
    return newest_first(tx, query, consent.c.given_at, consent.c.id, window)


def requests(tx: Tx, window: Window) -> Piece:
    """What we asked the actor's bank, and how it answered; never a body."""
    query = select(transcript).where(own(tx.actor, "transcript"))
    return newest_first(tx, query, transcript.c.at, transcript.c.id, window)


def events(tx: Tx, window: Window) -> Piece:
    """What the actor's bank told us, and what became of it; without its bytes."""
    query = select(
        inbox.c.message_id,
        inbox.c.digest,
        inbox.c.received_at,
        inbox.c.handled_at,
        inbox.c.outcome,
        inbox.c.outcome_why,
    ).where(own(tx.actor, "inbox"))
    return newest_first(tx, query, inbox.c.received_at, inbox.c.id, window)


def _one(tx: Tx, query: Select[Any], what: str) -> Row[Any]:
    row = tx.one(query)
    if row is None:
        raise NotFound(f"no such {what}", where=what)
    return row
