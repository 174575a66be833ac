"""What each bank could lend on a contract: the same reckoning on the contract and when applying."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, select

from financing.journeys import applications, verification
from financing.reads import contracts
from financing.rules.capacity import Capacity
from financing.store.db import Tx
from financing.store.tables import bank, organisation, product


class BankTerms(NamedTuple):
    """One bank's product on one contract: what it could lend, line by line."""

    bank_id: UUID
    bank: str
    product: Row[Any]
    answer_days: int
    capacity: Capacity
    consent: applications.Consent
    live: Row[Any] | None

    @property
    def fen(self) -> int:
        return self.capacity.fen


def bank_terms(tx: Tx, row: Row[Any]) -> list[BankTerms]:
    """What each bank with a product in the contract's currency could lend on it.

    Nothing while only the award is known: there is no price to lend on.
    """
    if not row.number:
        return []
    offered = tx.rows(
        select(
            product,
            organisation.c.name.label("bank_name"),
            bank.c.code.label("bank_code"),
            bank.c.answer_days,
        )
        .join(organisation, organisation.c.id == product.c.bank_id)
        .join(bank, bank.c.id == product.c.bank_id)
        .where(product.c.currency == row.currency, product.c.valid_from <= tx.today)
        .where((product.c.valid_to.is_(None)) | (product.c.valid_to >= tx.today))
        .order_by(product.c.share_bp.desc(), organisation.c.name)
    )
    live = {
        each.bank_id: each
        for each in contracts.applications(tx, [row.id])
        if each.state not in contracts.ENDED
    }
    return [
        BankTerms(
            each.bank_id,
            each.bank_name,
            each,
            each.answer_days,
            verification.capacity(tx, row.id, each),
            applications.consent_for(each.bank_name, row.number),
            live.get(each.bank_id),
        )
        for each in offered
    ]
