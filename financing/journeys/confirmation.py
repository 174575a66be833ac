"""The purchaser's confirmation (采购人确认): contract real, so much paid, this account.

1. `ask`    the supplier asks; what the purchaser will read is fixed with its digest
2. `answer` the purchaser says whether the figures are theirs, and what was paid so far
3. `lapse`  a question that nobody answered ends, so that it can be asked anew

A confirmation states facts; it is no guarantee (确认的是事实，不是担保).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, func, select

from financing import words
from financing.errors import Conflict, Invalid, NotFound
from financing.rules.deadlines import obligations
from financing.rules.profiles import profile
from financing.store import holidays
from financing.store.db import Tx
from financing.store.move import create, move, move_many
from financing.store.tables import (
    account_version,
    bank_account,
    confirmation,
    contract,
    contract_version,
    organisation,
    payment,
    published_payment,
)
from financing.store.visible import find_locked
from financing.values import canonical
from financing.values.contract_facts import ContractFacts, from_json
from financing.values.money import MOST_MINOR, money_json
from financing.values.text import clean
from financing.values.times import start_of

SME_SIZES: Final = ("micro", "small", "medium", "sme")
MOST_NOTE: Final = 500


def ask(tx: Tx, contract_id: UUID) -> Row[Any]:
    """Ask the purchaser to confirm the contract as it stands; an open question is returned.

    A question about an older version is ended and asked anew.

    Raises:
        NotFound: no such contract, or not this supplier's.
        Conflict: the contract is not signed yet, or has ended.
    Source: 保障中小企业款项支付条例, art. 14 (728), art. 16 (802).
    """
    row = find_locked(tx, "contract", contract_id)
    if row.state not in ("signed", "performing", "accepted"):
        raise Conflict(
            words.t("confirm.not_now", tx.actor.lang),
            where="/contract",
            remedy=words.t("confirm.when_signed", tx.actor.lang),
        )
    shown = what_is_shown(tx, row)
    digest = canonical.digest_of(shown)
    for old in _open(tx, row.id):
        if old.shown_digest == digest:
            return old
        move(tx, "confirmation", old.id, "lapse", facts={"contract": row.id})
    return create(
        tx,
        "confirmation",
        "ask",
        facts={"contract": row.id, "shown": digest},
        contract_id=row.id,
        contract_version_id=row.current_version_id,
        shown_digest=digest,
        shown=shown,
        asked_at=tx.now,
        due_on=_due_on(tx, row),
    )


def answer(
    tx: Tx,
    contract_id: UUID,
    *,
    same: bool,
    note: str = "",
    paid_fen: int | None = None,
    shown_digest: str | None = None,
) -> Row[Any]:
    """The purchaser's answer to the open question; the same answer again changes nothing.

    Args:
        same: whether the figures shown are the purchaser's own.
        note: which of them differs; needed when not the same.
        paid_fen: what was paid so far, where it differs from what was shown.
        shown_digest: digest of what stood on the purchaser's screen.
    Raises:
        NotFound: no such contract, or not this purchaser's; or nothing was asked.
        Invalid: no reason given, or a sum that was not paid on this contract.
        Conflict: answered otherwise already, or the contract has changed since it was asked.
    """
    row = find_locked(tx, "contract", contract_id)
    lang = tx.actor.lang
    note = clean(note)
    event = "confirm" if same else "refuse"
    asked = _open(tx, row.id)
    if not asked:
        return _again(tx, row, event)
    question = asked[0]
    if shown_digest not in (None, question.shown_digest) or not is_of(row, question.shown):
        raise Conflict(
            words.t("confirm.changed", lang),
            where="/contract",
            remedy=words.t("confirm.ask_anew", lang),
        )
    if not same and not note:
        raise Invalid(
            words.t("confirm.no_reason", lang),
            where="/note",
            remedy=words.t("confirm.say_which", lang),
        )
    if len(note) > MOST_NOTE:
        raise Invalid(
            words.t("confirm.note_long", lang, n=MOST_NOTE),
            where="/note",
            remedy=words.t("confirm.shorter", lang),
        )
    paid = question.shown["paid_fen"] if paid_fen is None else paid_fen
    if not 0 <= paid <= min(MOST_MINOR, row.amount_fen or MOST_MINOR):
        raise Invalid(
            words.t("confirm.paid_outside", lang),
            where="/paid_fen",
            remedy=words.t("confirm.paid_within", lang),
        )
    return move(
        tx,
        "confirmation",
        question.id,
        event,
        facts={"contract": row.id, "shown": question.shown_digest, "paid_fen": paid},
        answered_at=tx.now,
        answered_by=tx.actor.login_id,
        paid_fen=paid if same else None,
        note=note,
    )


def lapse(tx: Tx) -> int:
    """End questions that stayed open longer than a confirmation would carry; says how many."""
    ended = 0
    for name in ("zhengzhou", "generic"):
        oldest = start_of(tx.today - timedelta(days=profile(name).confirmation_days))
        rows = tx.rows(
            select(confirmation.c.id, confirmation.c.contract_id)
            .join(contract, contract.c.id == confirmation.c.contract_id)
            .where(
                confirmation.c.state == "asked",
                confirmation.c.asked_at < oldest,
                contract.c.profile == name,
            )
            .order_by(confirmation.c.id)
            .limit(1000)
        )
        move_many(
            tx,
            "confirmation",
            "lapse",
            [row.id for row in rows],
            facts=[{"contract": row.contract_id} for row in rows],
        )
        ended += len(rows)
    return ended


def what_is_shown(tx: Tx, row: Row[Any]) -> dict[str, Any]:
    """What the purchaser reads and answers: parties, figures, what was paid, the account."""
    names = {
        each.id: each
        for each in tx.rows(
            select(organisation).where(organisation.c.id.in_([row.purchaser_id, row.supplier_id]))
        )
    }
    account = tx.one(
        select(bank_account.c.holder, bank_account.c.bank_name, bank_account.c.last4)
        .join(account_version, account_version.c.account_id == bank_account.c.id)
        .where(
            account_version.c.contract_id == row.id,
            account_version.c.state.in_(("proposed", "active", "locked")),
        )
        .order_by(account_version.c.n.desc())
    )
    return {
        "number": row.number,
        "title": row.title,
        "purchaser": names[row.purchaser_id].name,
        "supplier": names[row.supplier_id].name,
        "supplier_id": names[row.supplier_id].identifier,
        "amount": money_json(row.amount_fen, row.currency) if row.amount_fen is not None else None,
        "signed_on": row.signed_on.isoformat() if row.signed_on else None,
        "paid_fen": _paid_fen(tx, row),
        "account": {str(name): value for name, value in account._mapping.items()}
        if account
        else None,
    }


def is_of(row: Row[Any], shown: dict[str, Any]) -> bool:
    """Whether figures that were shown are those of the contract's current version.

    A later release that only adds a filing or an acceptance leaves the confirmation standing.
    """
    amount = money_json(row.amount_fen, row.currency) if row.amount_fen is not None else None
    return bool(shown["amount"] == amount and shown["number"] == row.number)


def is_sme(facts: ContractFacts) -> bool | None:
    """Whether the supplier was small or medium-sized when it concluded this contract.

    None while neither a declaration nor the record says so.
    Source: 保障中小企业款项支付条例, art. 3.
    """
    size = facts.sme_declared or facts.supplier.size
    return size in SME_SIZES if size else None


def _due_on(tx: Tx, row: Row[Any]) -> date | None:
    """The earliest day that a dated rule gives for the answer; None where no rule does."""
    facts = from_json(
        tx.db.execute(
            select(contract_version.c.facts).where(contract_version.c.id == row.current_version_id)
        ).scalar_one()
    )
    owed = obligations(
        "CONFIRM", profile(row.profile), tx.today, holidays.known(tx), is_sme=is_sme(facts)
    )
    return min((each.due.on for each in owed), default=None)


def _paid_fen(tx: Tx, row: Row[Any]) -> int:
    """What is known to be paid: the record's payments or the booked ones, whichever is more."""
    published = select(func.coalesce(func.sum(published_payment.c.amount_fen), 0)).where(
        published_payment.c.contract_id == row.id, published_payment.c.currency == row.currency
    )
    booked = select(func.coalesce(func.sum(payment.c.amount_fen), 0)).where(
        payment.c.contract_id == row.id, payment.c.state == "allocated"
    )
    known = (int(tx.db.execute(query).scalar_one()) for query in (published, booked))
    return min(max(known), row.amount_fen or MOST_MINOR)


def _open(tx: Tx, contract_id: UUID) -> list[Row[Any]]:
    return list(
        tx.rows(
            select(confirmation)
            .where(confirmation.c.contract_id == contract_id, confirmation.c.state == "asked")
            .with_for_update()
        )
    )


def _again(tx: Tx, row: Row[Any], event: str) -> Row[Any]:
    """What a repeated answer gets: the answer that stands, if it is the same one."""
    last = tx.one(
        select(confirmation)
        .where(confirmation.c.contract_id == row.id)
        .order_by(confirmation.c.asked_at.desc(), confirmation.c.id.desc())
    )
    lang = tx.actor.lang
    if last is None or last.state == "expired":
        raise NotFound(
            words.t("confirm.nothing_asked", lang),
            where="confirmation",
            remedy=words.t("confirm.supplier_asks", lang),
        )
    if last.state != {"confirm": "confirmed", "refuse": "refused"}[event]:
        raise Conflict(
            words.t("confirm.answered", lang),
            where="/state",
            remedy=words.t("confirm.supplier_asks", lang),
        )
    return last
