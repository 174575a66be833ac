"""The purchaser's pages: is this our contract, is this the account, is it delivered?"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from financing import words
from financing.errors import Invalid, NotFound
from financing.journeys import accounts, confirmation, performance
from financing.reads import contracts, purchasing
from financing.rules.calendar import is_guess_between
from financing.store import holidays
from financing.store.db import Tx
from financing.values.times import civil
from financing.values.typed import typed_date, typed_minor
from financing.web.routes import Ask, Page, See, route


@route("GET", "/confirmations", permit="contract.confirm")
def confirmations_page(tx: Tx, _ask: Ask) -> Page:
    """What waits for our confirmation, and by when?"""
    rows = purchasing.confirmations(tx)
    asked = [row for row in rows if row.state == "asked"]
    return Page(
        "purchaser/confirmations.html",
        {
            "asked": asked,
            "answered": [row for row in rows if row.state != "asked"],
            "due_today": sum(1 for row in asked if row.due_on == tx.today),
            "late": sum(1 for row in asked if row.due_on and row.due_on < tx.today),
            "accounts": purchasing.proposed_accounts(tx),
            "guessed": {row.id for row in asked if _is_guess(tx, row)},
        },
    )


@route("GET", "/confirmations/<cf:confirmation_id>", permit="contract.confirm")
def confirmation_page(tx: Tx, _ask: Ask, confirmation_id: UUID) -> Page:
    """Is this our contract?"""
    row = purchasing.one(tx, confirmation_id)
    return Page(
        "purchaser/confirmation.html",
        {
            "confirmation": row,
            "shown_facts": row.shown,
            "is_late": row.state == "asked" and row.due_on is not None and row.due_on < tx.today,
            "account": contracts.account(tx, row.contract_id),
            "provisional": _is_guess(tx, row),
        },
    )


def _is_guess(tx: Tx, row: Row[Any]) -> bool:
    """Whether the day of the answer rests on holidays that nobody has announced yet."""
    if row.due_on is None:
        return False
    return is_guess_between(civil(row.asked_at), row.due_on, holidays.known(tx))


@route(
    "POST",
    "/confirmations/<cf:confirmation_id>",
    permit="contract.confirm",
    form=confirmation_page,
)
def confirm(tx: Tx, ask: Ask, confirmation_id: UUID) -> See:
    """Say whether the figures are ours, and what was paid so far."""
    row = purchasing.one(tx, confirmation_id)
    lang, choice = ask.lang, ask.text("same")
    if choice not in ("yes", "no"):
        raise Invalid(
            words.t("confirm.not_chosen", lang),
            where="/same",
            remedy=words.t("confirm.choose", lang),
        )
    confirmation.answer(
        tx,
        row.contract_id,
        same=choice == "yes",
        note=ask.text("note"),
        paid_fen=_paid(ask, row.currency) if choice == "yes" else None,
        shown_digest=ask.text("shown_digest"),
    )
    return See("/confirmations", told=f"confirmation-{choice}")


def _paid(ask: Ask, currency: str) -> int | None:
    """The sum paid so far as typed; an empty field leaves what was shown."""
    if not ask.text("paid"):
        return None
    try:
        return typed_minor(ask.text("paid"), currency)
    except Invalid as refusal:
        raise Invalid(
            words.t("confirm.paid_unreadable", ask.lang),
            where="/paid_fen",
            remedy=words.t("apply.amount_as", ask.lang),
        ) from refusal


@route("GET", "/accounts/<ct:contract_id>", permit="account.approve")
def account_page(tx: Tx, _ask: Ask, contract_id: UUID) -> Page:
    """Is this the account into which we shall pay?"""
    row = contracts.named(tx, contract_id)
    account = contracts.account(tx, contract_id)
    if account is None:
        raise NotFound("no account is proposed", where="account")
    return Page("purchaser/account.html", {"contract": row, "account": account})


@route("POST", "/accounts/<ct:contract_id>", permit="account.approve", form=account_page)
def set_account(tx: Tx, _ask: Ask, contract_id: UUID) -> See:
    """Set the account that the supplier proposed."""
    accounts.confirm(tx, contract_id)
    return See("/confirmations", told="account-set")


@route("GET", "/acceptances", permit="performance.accept")
def acceptances_page(tx: Tx, _ask: Ask) -> Page:
    """What is to be accepted?"""
    return Page("purchaser/acceptances.html", {"contracts": purchasing.to_accept(tx)})


@route("GET", "/acceptances/<ct:contract_id>", permit="performance.accept")
def acceptance_page(tx: Tx, _ask: Ask, contract_id: UUID) -> Page:
    """What of this contract is delivered as agreed, and since when?"""
    return Page(
        "purchaser/acceptance.html",
        {
            "contract": contracts.named(tx, contract_id),
            "milestones": contracts.milestones(tx, contract_id),
        },
    )


@route("POST", "/acceptances/<ct:contract_id>", permit="performance.accept", form=acceptance_page)
def accept(tx: Tx, ask: Ask, contract_id: UUID) -> See:
    """Accept one part, or all that is left."""
    try:
        on = typed_date(ask.text("on"))
    except Invalid as refusal:
        raise Invalid(
            words.t("accept.day_unreadable", ask.lang),
            where="/on",
            remedy=words.t("accept.day_as", ask.lang),
        ) from refusal
    chosen = ask.text("milestone", "all")
    parts = {str(part.id): part.id for part in contracts.milestones(tx, contract_id)}
    if chosen != "all" and chosen not in parts:
        raise NotFound("no such milestone", where="milestone")
    performance.accept_performance(tx, contract_id, on, parts.get(chosen))
    return See("/acceptances", told="performance-accepted")
