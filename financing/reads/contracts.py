"""Questions about contracts: what a supplier may finance, and why not; each starts from `own`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, case, func, or_, select

from financing.errors import NotFound
from financing.reads import mails
from financing.reads.listing import Piece, Window, newest_first
from financing.store.db import Tx
from financing.store.tables import (
    account_version,
    application,
    bank,
    bank_account,
    check_result,
    confirmation,
    contract,
    milestone,
    offer,
    organisation,
    payment,
    product,
    telling,
)
from financing.store.visible import own

ENDED = ("refused", "declined", "expired", "withdrawn", "stale", "failed", "closed")
MOST = 200

supplier, purchaser = organisation.alias("supplier"), organisation.alias("purchaser")

NAMED = (
    select(
        contract,
        purchaser.c.name.label("purchaser_name"),
        supplier.c.name.label("supplier_name"),
        supplier.c.identifier.label("supplier_identifier"),
        supplier.c.size.label("supplier_size"),
    )
    .join(purchaser, purchaser.c.id == contract.c.purchaser_id)
    .join(supplier, supplier.c.id == contract.c.supplier_id)
)


TAKEN = frozenset(("accepted", "contracted", "locked", "drawn"))


@dataclass(frozen=True, slots=True)
class Mine:
    """One contract of the supplier with what is under way on it.

    Args:
        group: `act` (the supplier must decide), `can`, `cannot`, or `ended` (under way or over).
        most_fen: the largest amount that one bank could lend on it.
    """

    contract: Row[Any]
    group: str
    most_fen: int
    applications: tuple[Row[Any], ...]

    @property
    def asked_fen(self) -> int:
        return max((row.amount_fen for row in self.applications), default=0)

    @property
    def open_offers(self) -> int:
        """Offers that wait for a choice; once one is accepted, none does."""
        states = [row.state for row in self.applications]
        return 0 if TAKEN.intersection(states) else states.count("offered")


def mine(tx: Tx) -> list[Mine]:
    """The contracts that the actor may see, newest first, each with its live applications."""
    rows = tx.rows(
        select(contract, purchaser.c.name.label("purchaser_name"))
        .join(purchaser, purchaser.c.id == contract.c.purchaser_id)
        .where(own(tx.actor, "contract"))
        .order_by(
            func.coalesce(contract.c.signed_on, contract.c.award_on).desc().nulls_last(),
            contract.c.id,
        )
        .limit(MOST)
    )
    live: dict[UUID, list[Row[Any]]] = {row.id: [] for row in rows}
    for each in applications(tx, list(live)):
        live[each.contract_id].append(each)
    most = most_fen(tx, list(live))
    return [
        Mine(row, _group(row, live[row.id]), most.get(row.id, 0), tuple(live[row.id]))
        for row in rows
    ]


def piece(tx: Tx, window: Window) -> Piece:
    """The contracts that the actor may see, with the names of their parties."""
    query = NAMED.where(own(tx.actor, "contract"))
    return newest_first(tx, query, contract.c.created_at, contract.c.id, window)


def _group(row: Row[Any], cases: Sequence[Row[Any]]) -> str:
    states = {each.state for each in cases}
    if "action-required" in states or ("offered" in states and not states & TAKEN):
        return "act"
    if states - set(ENDED) or row.state in ("paid", "terminated"):
        return "ended"
    return "can" if row.financeable else "cannot"


def total(tx: Tx) -> int:
    """How many contracts the actor may see."""
    return int(
        tx.db.execute(
            select(func.count()).select_from(contract).where(own(tx.actor, "contract"))
        ).scalar_one()
    )


def most_fen(tx: Tx, contract_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The largest loan that one product carries on each contract, in minor units."""
    free = func.greatest(contract.c.open_fen - contract.c.held_fen, 0)
    rows = tx.rows(
        select(
            contract.c.id,
            func.max(func.least(free * product.c.share_bp / 10_000, product.c.cap_fen)).label(
                "most"
            ),
        )
        .join(product, product.c.currency == contract.c.currency)
        .where(
            contract.c.id.in_(contract_ids),
            product.c.valid_from <= tx.today,
            or_(product.c.valid_to.is_(None), product.c.valid_to >= tx.today),
        )
        .group_by(contract.c.id)
    )
    return {row.id: int(row.most) for row in rows}


def applications(tx: Tx, contract_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Applications on these contracts that the actor may see, with the bank's name."""
    return tx.rows(
        select(
            application.c.id,
            application.c.contract_id,
            application.c.amount_fen,
            application.c.currency,
            application.c.state,
            application.c.bank_id,
            application.c.reason_code,
            application.c.reason_text,
            application.c.submitted_at,
            application.c.decided_at,
            application.c.created_at,
            organisation.c.name.label("bank_name"),
            bank.c.answer_days,
            offer.c.valid_until,
        )
        .join(organisation, organisation.c.id == application.c.bank_id)
        .join(bank, bank.c.id == application.c.bank_id)
        .outerjoin(offer, (offer.c.application_id == application.c.id) & (offer.c.state == "open"))
        .where(application.c.contract_id.in_(contract_ids), own(tx.actor, "application"))
        .order_by(application.c.created_at.desc(), application.c.id)
    )


def named(tx: Tx, contract_id: UUID) -> Row[Any]:
    """One visible contract with the names of its parties.

    Raises:
        NotFound: absent, or not the actor's.
    """
    row = tx.one(NAMED.where(contract.c.id == contract_id, own(tx.actor, "contract")))
    if row is None:
        raise NotFound("no such contract", where="contract")
    return row


def checks(tx: Tx, contract_id: UUID) -> Sequence[Row[Any]]:
    """The results of all checks: failed first, then unknown, then the rest in table order."""
    urgency = case(
        (check_result.c.result == "fail", 0),
        (check_result.c.result == "unknown", 1),
        (check_result.c.result == "pass", 2),
        else_=3,
    )
    return tx.rows(
        select(check_result)
        .where(check_result.c.contract_id == contract_id)
        .order_by(urgency, check_result.c.position)
    )


def account(tx: Tx, contract_id: UUID) -> Row[Any] | None:
    """The account in force of a contract, or the proposed one; never its whole number."""
    return tx.one(
        select(
            account_version.c.id,
            account_version.c.state,
            account_version.c.n,
            account_version.c.digest,
            account_version.c.from_on,
            bank_account.c.holder,
            bank_account.c.bank_name,
            bank_account.c.last4,
        )
        .join(bank_account, bank_account.c.id == account_version.c.account_id)
        .where(
            account_version.c.contract_id == contract_id,
            account_version.c.state.in_(("proposed", "active", "locked")),
        )
        .order_by(account_version.c.n.desc())
    )


def last_confirmation(tx: Tx, contract_id: UUID) -> Row[Any] | None:
    """The newest question to the purchaser about a contract."""
    return tx.one(
        select(confirmation)
        .where(confirmation.c.contract_id == contract_id)
        .order_by(confirmation.c.asked_at.desc(), confirmation.c.id.desc())
    )


def milestones(tx: Tx, contract_id: UUID) -> Sequence[Row[Any]]:
    """The parts of the price in their order."""
    return tx.rows(
        select(milestone)
        .where(milestone.c.contract_id == contract_id)
        .order_by(milestone.c.position)
    )


def payments(tx: Tx, contract_id: UUID) -> Sequence[Row[Any]]:
    """Payments found in statements that belong to a contract, newest first."""
    return tx.rows(
        select(payment)
        .where(payment.c.contract_id == contract_id)
        .order_by(payment.c.value_on.desc(), payment.c.id)
    )


def tellings(tx: Tx, contract_id: UUID) -> Sequence[Row[Any]]:
    """How the supplier was told that the contract may be financed."""
    return tx.rows(
        select(telling, mails.came_back().label("came_back"))
        .where(telling.c.contract_id == contract_id)
        .order_by(telling.c.sent_at)
    )
