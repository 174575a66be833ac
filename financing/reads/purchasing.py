"""The purchaser's questions: what must be confirmed, accepted, and by when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, exists, select

from financing.errors import NotFound
from financing.reads.listing import Piece, Window, newest_first
from financing.store.db import Tx
from financing.store.tables import (
    account_version,
    bank_account,
    confirmation,
    contract,
    milestone,
    organisation,
)
from financing.store.visible import own

MOST = 200
NAMED = (
    select(
        confirmation,
        contract.c.number,
        contract.c.title,
        contract.c.amount_fen,
        contract.c.currency,
        organisation.c.name.label("supplier_name"),
    )
    .join(contract, contract.c.id == confirmation.c.contract_id)
    .join(organisation, organisation.c.id == contract.c.supplier_id)
)


def confirmations(tx: Tx) -> Sequence[Row[Any]]:
    """Questions to the actor's office: open ones first, by due day; then the answered ones."""
    return tx.rows(
        NAMED.where(own(tx.actor, "contract"), confirmation.c.state != "expired")
        .order_by(
            confirmation.c.state != "asked",
            confirmation.c.due_on.asc().nulls_last(),
            confirmation.c.asked_at.desc(),
        )
        .limit(MOST)
    )


def piece(tx: Tx, window: Window) -> Piece:
    """Every question about a contract that the actor may see."""
    query = NAMED.where(own(tx.actor, "contract"))
    return newest_first(tx, query, confirmation.c.asked_at, confirmation.c.id, window)


def one(tx: Tx, confirmation_id: UUID) -> Row[Any]:
    """One visible question.

    Raises:
        NotFound: absent, or not for this office.
    """
    row = tx.one(NAMED.where(confirmation.c.id == confirmation_id, own(tx.actor, "contract")))
    if row is None:
        raise NotFound("no such confirmation", where="confirmation")
    return row


def proposed_accounts(tx: Tx) -> Sequence[Row[Any]]:
    """Accounts that suppliers proposed and the actor's office has not set yet."""
    return tx.rows(
        select(
            contract.c.id,
            contract.c.number,
            contract.c.title,
            organisation.c.name.label("supplier_name"),
            bank_account.c.bank_name,
            bank_account.c.last4,
            account_version.c.changed_at,
        )
        .join(account_version, account_version.c.contract_id == contract.c.id)
        .join(bank_account, bank_account.c.id == account_version.c.account_id)
        .join(organisation, organisation.c.id == contract.c.supplier_id)
        .where(own(tx.actor, "contract"), account_version.c.state == "proposed")
        .order_by(account_version.c.changed_at)
        .limit(MOST)
    )


def to_accept(tx: Tx) -> Sequence[Row[Any]]:
    """Signed contracts of the actor's office of which a part is not accepted yet."""
    is_open = exists().where(
        milestone.c.contract_id == contract.c.id, milestone.c.accepted_on.is_(None)
    )
    return tx.rows(
        select(contract, organisation.c.name.label("supplier_name"))
        .join(organisation, organisation.c.id == contract.c.supplier_id)
        .where(own(tx.actor, "contract"), contract.c.state.in_(("signed", "performing")), is_open)
        .order_by(contract.c.delivered_on.asc().nulls_last(), contract.c.signed_on, contract.c.id)
        .limit(MOST)
    )
