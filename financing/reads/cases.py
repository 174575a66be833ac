"""Questions about applications: the supplier's and the bank's view of the same case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select

from financing.errors import NotFound
from financing.reads.listing import Piece, Window, newest_first
from financing.rules.calendar import Due, add_working_days
from financing.store import holidays
from financing.store.db import Tx
from financing.store.tables import (
    application,
    audit,
    bank,
    blob,
    claim,
    consent,
    contract,
    drawdown,
    ledger,
    loan,
    offer,
    organisation,
    packet,
    packet_part,
    payment,
)
from financing.store.visible import own
from financing.values.times import civil

supplier, purchaser, lender = (
    organisation.alias("supplier"),
    organisation.alias("purchaser"),
    organisation.alias("lender"),
)

CASE = (
    select(
        application,
        contract.c.number,
        contract.c.title,
        supplier.c.name.label("supplier_name"),
        supplier.c.identifier.label("supplier_identifier"),
        supplier.c.size.label("supplier_size"),
        purchaser.c.name.label("purchaser_name"),
        lender.c.name.label("bank_name"),
        bank.c.code.label("bank_code"),
        bank.c.answer_days,
        bank.c.stopped_at,
    )
    .join(contract, contract.c.id == application.c.contract_id)
    .join(supplier, supplier.c.id == application.c.supplier_id)
    .join(purchaser, purchaser.c.id == contract.c.purchaser_id)
    .join(lender, lender.c.id == application.c.bank_id)
    .join(bank, bank.c.id == application.c.bank_id)
)
MOST = 200
WAITS_FOR_BANK = ("submitted", "reviewing")


def listed(tx: Tx) -> Sequence[Row[Any]]:
    """All cases that the actor may see, newest first."""
    return tx.rows(
        CASE.where(own(tx.actor, "application"))
        .order_by(application.c.created_at.desc(), application.c.id)
        .limit(MOST)
    )


def piece(tx: Tx, window: Window, state: str | None) -> Piece:
    """The cases that the actor may see, or those of one state."""
    query = CASE.where(own(tx.actor, "application"))
    if state is not None:
        query = query.where(application.c.state == state)
    return newest_first(tx, query, application.c.created_at, application.c.id, window)


def one(tx: Tx, application_id: UUID) -> Row[Any]:
    """One visible case with the names around it.

    Raises:
        NotFound: absent, or not the actor's.
    """
    row = tx.one(CASE.where(application.c.id == application_id, own(tx.actor, "application")))
    if row is None:
        raise NotFound("no such application", where="application")
    return row


def siblings(tx: Tx, contract_id: UUID) -> Sequence[Row[Any]]:
    """All visible applications on a contract: the offers to compare."""
    return tx.rows(
        CASE.where(application.c.contract_id == contract_id, own(tx.actor, "application")).order_by(
            application.c.created_at, application.c.id
        )
    )


def open_offers(tx: Tx, application_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Offers of these applications that may be accepted or were, newest revision each."""
    return tx.rows(
        select(offer)
        .where(
            offer.c.application_id.in_(application_ids),
            offer.c.state.in_(("open", "accepted")),
            own(tx.actor, "offer"),
        )
        .order_by(offer.c.made_at)
    )


def packet_of(tx: Tx, packet_id: UUID | None) -> Row[Any] | None:
    """A visible packet without its parts."""
    if packet_id is None:
        return None
    return tx.one(select(packet).where(packet.c.id == packet_id, own(tx.actor, "packet")))


def parts(tx: Tx, packet_id: UUID) -> Sequence[Row[Any]]:
    """Names, kinds, and sizes of a packet's parts, in their order."""
    return tx.rows(
        select(packet_part.c.name, packet_part.c.media_type, packet_part.c.digest)
        .join(blob, blob.c.digest == packet_part.c.digest)
        .where(packet_part.c.packet_id == packet_id)
        .order_by(packet_part.c.position)
    )


def claim_of(tx: Tx, application_id: UUID) -> Row[Any] | None:
    """The newest claim of a visible application."""
    return tx.one(
        select(claim)
        .where(claim.c.application_id == application_id, own(tx.actor, "claim"))
        .order_by(claim.c.id.desc())
    )


def loan_of(tx: Tx, application_id: UUID) -> Row[Any] | None:
    """The loan of a visible application."""
    return tx.one(
        select(loan).where(loan.c.application_id == application_id, own(tx.actor, "loan"))
    )


def drawdowns(tx: Tx, loan_id: UUID) -> Sequence[Row[Any]]:
    """What was paid out on a loan, in order."""
    return tx.rows(select(drawdown).where(drawdown.c.loan_id == loan_id).order_by(drawdown.c.on))


def diverted(tx: Tx, contract_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the contracts of which a payment went to another account."""
    found = select(payment.c.contract_id).where(
        payment.c.contract_id.in_(list(contract_ids)), payment.c.state == "diverted"
    )
    return set(tx.db.execute(found).scalars())


def repaid(tx: Tx, payment_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How much of each payment repaid loans, in minor units; the rest is the supplier's."""
    return {
        row.payment_id: int(row.fen)  # a sum of integers comes as a decimal
        for row in tx.rows(
            select(
                ledger.c.payment_id, func.sum(ledger.c.debit_fen - ledger.c.credit_fen).label("fen")
            )
            .where(
                ledger.c.book == "loan",
                ledger.c.event == "repaid",
                ledger.c.account == "CLEARING",
                ledger.c.payment_id.in_(list(payment_ids)),
            )
            .group_by(ledger.c.payment_id)
        )
    }


def consent_of(tx: Tx, consent_id: UUID | None) -> Row[Any] | None:
    """The consent behind an application."""
    if consent_id is None:
        return None
    return tx.one(select(consent).where(consent.c.id == consent_id))


def events(tx: Tx, subjects: Sequence[UUID]) -> Sequence[Row[Any]]:
    """What happened to these rows, newest first: kind, event, time."""
    return tx.rows(
        select(audit.c.kind, audit.c.event, audit.c.at, audit.c.case, audit.c.to_state)
        .where(audit.c.case.in_(subjects))
        .order_by(audit.c.id.desc())
        .limit(100)
    )


def answer_by(tx: Tx, row: Row[Any]) -> Due | None:
    """The day up to which the bank promised to answer, in Chinese working days."""
    if row.submitted_at is None or row.state not in WAITS_FOR_BANK:
        return None
    return add_working_days(civil(row.submitted_at), row.answer_days, holidays.known(tx))
