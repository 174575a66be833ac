"""What an actor may see: the SELECT that every question and every lock starts from.

Not visible and absent are the same answer. The permission to act on a visible row is
`rules/permissions.py`; this file is about whose row it is.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, exists, false, or_, select, true

from financing.errors import NotFound
from financing.store.db import Actor, Tx
from financing.store.tables import (
    account_version,
    application,
    bank,
    bank_account,
    claim,
    confirmation,
    consent,
    contract,
    inbox,
    loan,
    metadata,
    notice,
    offer,
    packet,
    payment,
    statement,
    transcript,
)

SEES_ALL = ("system", "bureau")
# A case without a request id was never sent: the bank was not told of it, and never sees it.


def own(actor: Actor, name: str) -> ColumnElement[bool]:
    """The predicate of table `name` that holds for rows this actor may see."""
    if name == "notice":
        return (
            true() if actor.role == "system" else notice.c.organisation_id == actor.organisation_id
        )
    if actor.role in SEES_ALL:
        return true()
    if name in ("parked", "statement", "bank_account"):
        return true() if actor.role == "operator" else _own_accounts(actor, name)
    if name in _DIRECT:
        return _DIRECT[name](actor)
    through_application = {
        offer: offer.c,
        packet: packet.c,
        loan: loan.c,
        claim: claim.c,
    }
    for table, columns in through_application.items():
        if name == table.name:
            return exists().where(
                application.c.id == columns.application_id, _own_application(actor)
            )
    through_contract = {
        account_version: account_version.c,
        confirmation: confirmation.c,
        payment: payment.c,
    }
    for table, columns in through_contract.items():
        if name == table.name:
            return exists().where(contract.c.id == columns.contract_id, _own_contract(actor))
    return false()


def _own_contract(actor: Actor) -> ColumnElement[bool]:
    organisation = actor.organisation_id
    if actor.role == "supplier":
        return contract.c.supplier_id == organisation
    if actor.role == "purchaser":
        return contract.c.purchaser_id == organisation
    if actor.role == "bank":
        return exists().where(
            application.c.contract_id == contract.c.id,
            application.c.bank_id == organisation,
            application.c.request_id.is_not(None),
        )
    return false()


def _own_application(actor: Actor) -> ColumnElement[bool]:
    organisation = actor.organisation_id
    if actor.role == "supplier":
        return application.c.supplier_id == organisation
    if actor.role == "bank":
        return (application.c.bank_id == organisation) & application.c.request_id.is_not(None)
    return false()


def _own_accounts(actor: Actor, name: str) -> ColumnElement[bool]:
    if name == "parked":
        return false()
    owner = bank_account.c.organisation_id == actor.organisation_id
    if name == "bank_account":
        return or_(owner, false())
    return exists().where(bank_account.c.id == statement.c.account_id, owner)


def _own_consent(actor: Actor) -> ColumnElement[bool]:
    return consent.c.supplier_id == actor.organisation_id


def _own_request(actor: Actor) -> ColumnElement[bool]:
    return exists().where(bank.c.code == transcript.c.bank, bank.c.id == actor.organisation_id)


def _own_event(actor: Actor) -> ColumnElement[bool]:
    return exists().where(bank.c.code == inbox.c.source, bank.c.id == actor.organisation_id)


_DIRECT = {
    "contract": _own_contract,
    "application": _own_application,
    "consent": _own_consent,
    "transcript": _own_request,  # what went to a bank
    "inbox": _own_event,  # what came from it
}


def visible(actor: Actor, name: str) -> Select[Any]:
    """All rows of a table that this actor may see."""
    return select(metadata.tables[name]).where(own(actor, name))


def find(tx: Tx, name: str, row_id: UUID) -> Row[Any]:
    """One visible row.

    Raises:
        NotFound: absent, or not this actor's.
    """
    table = metadata.tables[name]
    row = tx.one(visible(tx.actor, name).where(table.c.id == row_id))
    if row is None:
        raise NotFound(f"no such {name.replace('_', ' ')}", where=name)
    return row


def find_locked(tx: Tx, name: str, row_id: UUID) -> Row[Any]:
    """One visible row, locked until the transaction ends."""
    table = metadata.tables[name]
    row = tx.one(visible(tx.actor, name).where(table.c.id == row_id).with_for_update(of=table))
    if row is None:
        raise NotFound(f"no such {name.replace('_', ' ')}", where=name)
    return row
