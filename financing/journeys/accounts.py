"""The designated account (指定账户): the only account into which a contract may be paid.

1. `register_account` an account of an organisation becomes known: statements of it can be read
2. `propose`          the supplier names it for a contract; the holder must be the supplier
3. `confirm`          the purchaser sets it; both consents are over the digest of this version

The bank locks it after the loan is signed (`loans.lock_account`); the last settlement releases it.
The number is sealed at rest, found by a keyed index, and shown by its last four digits.
"""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from financing import words
from financing.errors import Conflict, Invalid, NotFound
from financing.store import sealing
from financing.store.db import Tx
from financing.store.move import create, move
from financing.store.tables import (
    account_consent,
    account_version,
    bank_account,
    organisation,
)
from financing.store.visible import find_locked
from financing.values import accounts, canonical
from financing.values.ids import new_id
from financing.values.text import name_key


def account_object(
    *,
    cnaps: str,
    identity: str,
    holder: str,
    holder_id: str,
    number: str,
    salt: str,
    version: int,
) -> dict[str, Any]:
    """The canonical account object; its SHA-256 is the account digest on the wire.

    The salt is needed because account numbers can be guessed.
    """
    return {
        "bank": cnaps,
        "contract": identity,
        "holder": name_key(holder),
        "holder_id": holder_id,
        "number": accounts.normalise(number),
        "salt": salt,
        "version": version,
    }


def register_account(
    tx: Tx,
    organisation_id: UUID,
    *,
    holder: str,
    bank_name: str,
    cnaps: str,
    number: str,
    currency: str,
) -> Row[Any]:
    """Make an account known; the same number again is the same account.

    Raises:
        Invalid: the number or the bank's code is not one.
        Conflict: the number is registered for another organisation.
    """
    digits = accounts.normalise(number)
    index = sealing.blind_index(tx.keys, digits)
    row_id = new_id()
    tx.db.execute(
        upsert(bank_account)
        .values(
            id=row_id,
            organisation_id=organisation_id,
            holder=holder,
            holder_key=name_key(holder),
            bank_name=bank_name,
            cnaps=cnaps,
            number_sealed=sealing.seal(
                tx.keys, "bank_account", "number_sealed", row_id, digits.encode()
            ),
            number_index=index,
            last4=accounts.last4(digits),
            currency=currency,
            created_at=tx.now,
        )
        .on_conflict_do_nothing(index_elements=["number_index"])
    )
    row = tx.db.execute(select(bank_account).where(bank_account.c.number_index == index)).one()
    if row.organisation_id != organisation_id:
        raise Conflict(
            words.t("account.of_another", tx.actor.lang),
            where="/number",
            remedy=words.t("account.check_number", tx.actor.lang),
        )
    return row


def number_of(tx: Tx, account: Row[Any]) -> str:
    """The whole number of an account; for packets and for those entitled only."""
    return sealing.unseal(
        tx.keys, "bank_account", "number_sealed", account.id, account.number_sealed
    ).decode()


def propose(
    tx: Tx,
    contract_id: UUID,
    *,
    holder: str,
    bank_name: str,
    cnaps: str,
    number: str,
) -> Row[Any]:
    """The supplier names the account into which this contract is to be paid.

    The same account again returns the open proposal.

    Raises:
        NotFound: no such contract, or not this supplier's.
        Invalid: number, bank code, or a holder who is not the supplier; all faults at once.
        Conflict: an account is in force already; a change needs every consent. Or only the award
            is known: an account belongs to a contract, and its digest names it.
    """
    row = find_locked(tx, "contract", contract_id)
    lang = tx.actor.lang
    if not row.number:
        raise Conflict(
            words.t("award.account_when_signed", lang),
            where="/contract",
            remedy=words.t("award.sign_first", lang),
        )
    firm = tx.db.execute(select(organisation).where(organisation.c.id == row.supplier_id)).one()
    faults: list[tuple[str, str, str]] = []
    if name_key(holder) != firm.name_key:
        faults.append(
            (
                "/holder",
                words.t("account.other_holder", lang),
                words.t("account.holder_must_be", lang, name=firm.name),
            )
        )
    if not bank_name.strip():
        faults.append(
            (
                "/bank_name",
                words.t("account.no_bank", lang),
                words.t("account.name_bank", lang),
            )
        )
    if problem := accounts.cnaps_problem(cnaps):
        faults.append(
            (
                "/cnaps",
                words.t(f"account.cnaps.{problem}", lang),
                words.t("account.cnaps_remedy", lang),
            )
        )
    if accounts.problem(number):
        faults.append(
            (
                "/number",
                words.t("account.number_form", lang),
                words.t("account.number_remedy", lang),
            )
        )
    if faults:
        raise Invalid(faults[0][1], where=faults[0][0], remedy=faults[0][2], fields=tuple(faults))
    account = register_account(
        tx,
        row.supplier_id,
        holder=holder,
        bank_name=bank_name,
        cnaps=cnaps,
        number=number,
        currency=row.currency,
    )
    known = tx.rows(
        select(account_version).where(
            account_version.c.contract_id == row.id,
            account_version.c.state.in_(("proposed", "active", "locked")),
        )
    )
    for version in known:
        if version.account_id == account.id:
            return version
    if known:
        raise Conflict(
            words.t("account.in_force", lang),
            where="/number",
            remedy=words.t("account.change_needs_consents", lang),
        )
    return _new_version(tx, row, account, firm)


def _new_version(tx: Tx, row: Row[Any], account: Row[Any], firm: Row[Any]) -> Row[Any]:
    n = (
        1
        + tx.db.execute(
            select(func.count()).where(account_version.c.contract_id == row.id)
        ).scalar_one()
    )
    salt = secrets.token_hex(16)
    digest = canonical.digest(
        canonical.dumps(
            account_object(
                cnaps=account.cnaps,
                identity=row.identity,
                holder=account.holder,
                holder_id=firm.identifier,
                number=number_of(tx, account),
                salt=salt,
                version=n,
            )
        )
    )
    version = create(
        tx,
        "account_version",
        "propose",
        facts={"contract": row.id, "digest": digest, "n": n},
        contract_id=row.id,
        n=n,
        account_id=account.id,
        salt=salt,
        digest=digest,
    )
    _consent(tx, version, "supplier")
    return version


def confirm(tx: Tx, contract_id: UUID) -> Row[Any]:
    """The purchaser sets the proposed account; again changes nothing.

    Raises:
        NotFound: no such contract, or not this purchaser's; or nothing is proposed.
    """
    row = find_locked(tx, "contract", contract_id)
    version = tx.one(
        select(account_version)
        .where(
            account_version.c.contract_id == row.id,
            account_version.c.state.in_(("proposed", "active", "locked")),
        )
        .order_by(account_version.c.n.desc())
        .with_for_update()
    )
    if version is None:
        raise NotFound(
            words.t("account.none_proposed", tx.actor.lang),
            where="account",
            remedy=words.t("account.supplier_proposes", tx.actor.lang),
        )
    if version.state != "proposed":
        return version
    _consent(tx, version, "purchaser")
    return move(
        tx,
        "account_version",
        version.id,
        "confirm",
        facts={"digest": version.digest},
        from_on=tx.today,
    )


def _consent(tx: Tx, version: Row[Any], role: str) -> None:
    tx.db.execute(
        insert(account_consent).values(
            id=new_id(),
            account_version_id=version.id,
            role=role,
            digest=version.digest,
            login_id=tx.actor.login_id,
            at=tx.now,
        )
    )


def in_force(tx: Tx, contract_id: UUID) -> Row[Any] | None:
    """The account version in force of a contract, if there is one."""
    return tx.one(
        select(account_version).where(
            account_version.c.contract_id == contract_id,
            account_version.c.state.in_(("active", "locked")),
        )
    )
