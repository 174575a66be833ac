"""Contracts for suppliers' and purchasers' software: what can be financed, confirmed, accepted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from financing.errors import Invalid
from financing.journeys import confirmation, performance
from financing.reads import contracts, purchasing
from financing.reads.listing import Piece, in_order
from financing.store.db import Tx
from financing.web.api.table import Call, operation
from financing.web.pages.terms import BankTerms, bank_terms
from schemas import contract as shown

OWN = ("contract.read", "purchase.read", "figures.read")  # the bureau sees every contract


@operation("GET", "/contracts", permits=OWN, gives=shown.Contract(), is_list=True)
def list_contracts(tx: Tx, call: Call) -> Piece:
    """Contracts of the machine's organisation."""
    return contracts.piece(tx, call.window)


@operation("GET", "/contracts/<ct:contract>", permits=OWN, gives=shown.ContractWhole())
def get_contract(tx: Tx, _call: Call, contract: UUID) -> SimpleNamespace:
    """One contract with its parts, its account, and the last question about it."""
    return whole(tx, contract)


@operation("GET", "/contracts/<ct:contract>/checks", permits=OWN, gives=shown.Check(), is_list=True)
def list_checks(tx: Tx, call: Call, contract: UUID) -> Piece:
    """What was checked of a contract, in the order of the table of checks."""
    contracts.named(tx, contract)
    return in_order(
        contracts.checks(tx, contract), lambda row: (f"{row.position:04}",), call.window
    )


@operation(
    "GET",
    "/contracts/<ct:contract>/capacity",
    permits=("contract.read",),
    gives=shown.Capacities(),
)
def get_capacity(tx: Tx, _call: Call, contract: UUID) -> SimpleNamespace:
    """What each bank could lend on a contract, and the consent that it needs."""
    row = contracts.named(tx, contract)
    return SimpleNamespace(
        contract=row.id, banks=[_terms(each, row.currency) for each in bank_terms(tx, row)]
    )


@operation(
    "GET",
    "/confirmations",
    permits=("contract.confirm", "confirmation.ask"),
    gives=shown.Confirmation(),
    is_list=True,
)
def list_confirmations(tx: Tx, call: Call) -> Piece:
    """Questions to purchasers."""
    return purchasing.piece(tx, call.window)


@operation(
    "GET",
    "/confirmations/<cf:confirmation>",
    permits=("contract.confirm", "confirmation.ask"),
    gives=shown.Confirmation(),
)
def get_confirmation(tx: Tx, _call: Call, confirmation: UUID) -> Row[Any]:
    """One question, with what was shown."""
    return purchasing.one(tx, confirmation)


@operation(
    "POST",
    "/confirmations",
    permits=("confirmation.ask",),
    takes=shown.AskConfirmation(),
    gives=shown.Confirmation(),
    status=201,
    refuses=(409,),
)
def ask_confirmation(tx: Tx, call: Call) -> Row[Any]:
    """Ask the purchaser; a question that is open stays the one."""
    return purchasing.one(tx, confirmation.ask(tx, call.body["contract"]).id)


@operation(
    "POST",
    "/confirmations/<cf:confirmation>/answer",
    permits=("contract.confirm",),
    takes=shown.AnswerConfirmation(),
    gives=shown.Confirmation(),
    refuses=(409,),
)
def answer_confirmation(tx: Tx, call: Call, confirmation: UUID) -> Row[Any]:
    """Say whether the figures shown are the purchaser's own."""
    row = purchasing.one(tx, confirmation)
    paid = call.body["paid"]
    if paid is not None and paid.currency != row.currency:
        raise Invalid(f"not the contract's currency, {row.currency}", where="/paid/currency")
    _answer(tx, row, call)
    return purchasing.one(tx, row.id)


def _answer(tx: Tx, row: Row[Any], call: Call) -> None:
    said = call.body
    try:
        confirmation.answer(
            tx,
            row.contract_id,
            same=said["same"],
            note=said["note"],
            paid_fen=said["paid"].fen if said["paid"] and said["same"] else None,
            shown_digest=said["shown_digest"],
        )
    except Invalid as refusal:
        fields = tuple(
            (where.replace("/paid_fen", "/paid"), *rest) for where, *rest in refusal.fields
        )
        raise Invalid(refusal.detail, fields=fields) from refusal  # type: ignore[arg-type]  # three each


@operation(
    "POST",
    "/acceptances",
    permits=("performance.accept",),
    takes=shown.AcceptPerformance(),
    gives=shown.ContractWhole(),
    refuses=(409,),
)
def accept_performance(tx: Tx, call: Call) -> SimpleNamespace:
    """Accept one part of a contract, or all that is left."""
    contract_id, chosen = call.body["contract"], call.body["milestone"]
    contracts.named(tx, contract_id)
    codes = {part.code: part.id for part in contracts.milestones(tx, contract_id)}
    if chosen is not None and chosen not in codes:
        raise Invalid("no such milestone", where="/milestone")
    performance.accept_performance(tx, contract_id, call.body["on"], codes.get(chosen))
    return whole(tx, contract_id)


def whole(tx: Tx, contract_id: UUID) -> SimpleNamespace:
    """One visible contract as `ContractWhole` shows it."""
    row = contracts.named(tx, contract_id)
    asked = contracts.last_confirmation(tx, contract_id)
    parts = [
        SimpleNamespace(**part._mapping, currency=row.currency)
        for part in contracts.milestones(tx, contract_id)
    ]
    return SimpleNamespace(
        **row._mapping,
        milestones=parts,
        account=contracts.account(tx, contract_id),
        confirmation=asked.id if asked else None,
        confirmation_state=asked.state if asked else None,
    )


def _terms(each: BankTerms, currency: str) -> SimpleNamespace:
    lines = [
        SimpleNamespace(
            name=term.name, fen=term.fen, source=term.source, on=term.on, currency=currency
        )
        for term in each.capacity.terms
    ]
    return SimpleNamespace(
        **each._asdict(),
        fen=each.fen,
        currency=currency,
        lines=lines,
        live_id=each.live.id if each.live else None,
    )
