"""The supplier's pages about contracts: which can be financed, why not, what to do.

Applying and following an application: `applying.py`.
"""

from __future__ import annotations

from uuid import UUID

from financing.journeys import accounts, confirmation
from financing.reads import contracts
from financing.store.db import Tx
from financing.values import ids
from financing.web.pages.terms import bank_terms
from financing.web.routes import Ask, Page, See, route

# ── My contracts ─────────────────────────────────────────────────────────────────────────────

GROUPS = ("act", "can", "cannot", "ended")


@route("GET", "/contracts", permit="contract.read")
def contracts_page(tx: Tx, _ask: Ask) -> Page:
    """Which of my contracts can I finance, and how much?"""
    mine = contracts.mine(tx)
    groups = {name: [each for each in mine if each.group == name] for name in GROUPS}
    can = groups["can"]
    currencies = {each.contract.currency for each in can}
    return Page(
        "supplier/contracts.html",
        {
            "groups": {name: found for name, found in groups.items() if found},
            "can": len(can),
            "most_fen": sum(each.most_fen for each in can) if len(currencies) == 1 else None,
            "currency": next(iter(currencies), "CNY"),
            "offers": sum(1 for each in mine if each.open_offers),
            "shown_count": len(mine),
            "total": contracts.total(tx),
        },
    )


# ── One contract ─────────────────────────────────────────────────────────────────────────────


@route("GET", "/contracts/<ct:contract_id>", permit="contract.read")
def contract_page(tx: Tx, _ask: Ask, contract_id: UUID) -> Page:
    """May I finance this contract, and if not, why, and what then?"""
    row = contracts.named(tx, contract_id)
    terms = bank_terms(tx, row)
    return Page(
        "supplier/contract.html",
        {
            "contract": row,
            "terms": terms,
            "best": max(terms, key=lambda each: each.fen, default=None),
            "checks": contracts.checks(tx, contract_id),
            "account": contracts.account(tx, contract_id),
            "confirmation": contracts.last_confirmation(tx, contract_id),
            "milestones": contracts.milestones(tx, contract_id),
            "payments": contracts.payments(tx, contract_id),
            "applications": contracts.applications(tx, [contract_id]),
            "tellings": contracts.tellings(tx, contract_id),
        },
    )


@route(
    "POST",
    "/contracts/<ct:contract_id>/confirmation",
    permit="confirmation.ask",
    form=contract_page,
)
def ask_confirmation(tx: Tx, _ask: Ask, contract_id: UUID) -> See:
    """Ask the purchaser to confirm the contract."""
    confirmation.ask(tx, contract_id)
    return See(f"/contracts/{ids.show('ct', contract_id)}", told="confirmation-asked")


@route("GET", "/contracts/<ct:contract_id>/account", permit="account.propose")
def account_page(tx: Tx, _ask: Ask, contract_id: UUID) -> Page:
    """Into which account shall the contract be paid?"""
    row = contracts.named(tx, contract_id)
    return Page(
        "supplier/account.html",
        {"contract": row, "account": contracts.account(tx, contract_id)},
    )


@route("POST", "/contracts/<ct:contract_id>/account", permit="account.propose", form=account_page)
def propose_account(tx: Tx, ask: Ask, contract_id: UUID) -> See:
    """Propose the designated account."""
    named = {name: ask.text(name) for name in ("holder", "bank_name", "cnaps", "number")}
    accounts.propose(tx, contract_id, **named)
    return See(f"/contracts/{ids.show('ct', contract_id)}", told="account-proposed")
