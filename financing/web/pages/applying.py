"""The supplier's pages about applications: apply, follow, compare offers, decide."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row

from financing import words
from financing.errors import Conflict, Invalid, NotFound
from financing.journeys import applications, claims, loans, packets
from financing.reads import cases, contracts
from financing.rules import cost
from financing.rules.reasons import reason
from financing.store.db import Tx
from financing.values import ids
from financing.values.typed import typed_minor
from financing.web.pages.terms import bank_terms
from financing.web.routes import Ask, File, Page, See, route

# ── Apply ────────────────────────────────────────────────────────────────────────────────────


class Wish(NamedTuple):
    """What a supplier ticked and typed: banks with the consents that were on the screen."""

    bank_ids: tuple[UUID, ...]
    amount_fen: int
    tenor_days: int
    consents: dict[UUID, str]


def wish_of(ask: Ask, currency: str) -> Wish:
    """Read the application form.

    Raises:
        Invalid: the amount or the days cannot be read; both at once.
    """
    faults = []
    amount_fen = tenor_days = 0
    try:
        amount_fen = typed_minor(ask.text("amount"), currency)
    except Invalid:
        faults.append(_fault("amount", "apply.amount_unreadable", "apply.amount_as", ask.lang))
    try:
        tenor_days = int(ask.text("tenor_days"))
    except ValueError:
        faults.append(_fault("tenor_days", "apply.days_unreadable", "apply.days_as", ask.lang))
    bank_ids = []
    for each in ask.all("bank"):
        try:
            bank_ids.append(UUID(each))
        except ValueError:
            faults.append(_fault("banks", "apply.no_bank", "apply.tick_one", ask.lang))
    if faults:
        raise Invalid(faults[0][1], where=faults[0][0], fields=tuple(faults))
    consents = {bank_id: ask.text(f"consent-{bank_id}") for bank_id in bank_ids}
    return Wish(tuple(bank_ids), amount_fen, tenor_days, consents)


def _fault(field: str, problem: str, remedy: str, lang: str) -> tuple[str, str, str]:
    return f"/{field}", words.t(problem, lang), words.t(remedy, lang)


@route("GET", "/contracts/<ct:contract_id>/apply", permit="application.write")
def apply_page(tx: Tx, _ask: Ask, contract_id: UUID) -> Page:
    """How much at most, from whom, and on what consent?"""
    row = contracts.named(tx, contract_id)
    terms = bank_terms(tx, row)
    last_due = max(
        (m.due_on for m in contracts.milestones(tx, contract_id) if m.due_on), default=None
    )
    return Page(
        "supplier/apply.html",
        {
            "contract": row,
            "terms": terms,
            "best": max(terms, key=lambda each: each.fen, default=None),
            "account": contracts.account(tx, contract_id),
            "last_due": last_due,
            "days_to_last": (last_due - tx.today).days if last_due else None,
        },
    )


@route(
    "GET", "/contracts/<ct:contract_id>/apply/check", permit="application.write", form=apply_page
)
def apply_check(tx: Tx, ask: Ask, contract_id: UUID) -> Page:
    """Is this what I want to send, to whom? Nothing is sent yet."""
    row = contracts.named(tx, contract_id)
    if not row.financeable:
        raise Conflict(
            row.sentence.get(ask.lang, words.t("verification.sentence.pending", ask.lang)),
            remedy=words.t("apply.see_contract", ask.lang),
        )
    wish = wish_of(ask, row.currency)
    applications.chosen_products(
        tx, row, wish.bank_ids, wish.amount_fen, wish.tenor_days, wish.consents
    )
    chosen = [each for each in bank_terms(tx, row) if each.bank_id in wish.bank_ids]
    return Page(
        "supplier/apply_check.html",
        {
            "contract": row,
            "chosen": chosen,
            "wish": wish,
            "account": contracts.account(tx, contract_id),
        },
    )


@route("POST", "/contracts/<ct:contract_id>/apply", permit="application.write", form=apply_page)
def apply(tx: Tx, ask: Ask, contract_id: UUID) -> See:
    """Send the application to each bank that was ticked."""
    row = contracts.named(tx, contract_id)
    wish = wish_of(ask, row.currency)
    made = applications.apply(
        tx,
        contract_id,
        bank_ids=wish.bank_ids,
        amount_fen=wish.amount_fen,
        tenor_days=wish.tenor_days,
        consents=wish.consents,
    )
    return See(f"/applications/{ids.show('ap', made[0].id)}", told="applied")


# ── Follow and decide ────────────────────────────────────────────────────────────────────────

STEP_OF = {
    "draft": 1, "sending": 1, "asking": 1,
    "submitted": 2, "reviewing": 2, "action-required": 2,
    "offered": 3, "accepted": 3, "contracted": 4, "locked": 4, "drawn": 5, "closed": 6,
}  # fmt: skip
WITHDRAWABLE = (
    "draft", "sending", "asking", "submitted", "reviewing", "action-required", "offered",
)  # fmt: skip


class Column(NamedTuple):
    """One bank's offer as a column of the comparison."""

    case: Row[Any]
    offer: Row[Any]
    cost: cost.Cost | None


def columns(tx: Tx, together: Sequence[Row[Any]]) -> list[Column]:
    """The offers of these cases side by side, cheapest first."""
    by_id = {row.id: row for row in together}
    found = [
        Column(by_id[row.application_id], row, cost_of(row))
        for row in cases.open_offers(tx, list(by_id))
    ]
    dearest = Decimal(10**9)
    return sorted(found, key=lambda each: each.cost.simple_bp if each.cost else dearest)


def cost_of(row: Row[Any]) -> cost.Cost | None:
    """What an offer costs, fees apart by when they are due."""
    upfront = sum(fee["fen"] for fee in row.terms.get("fees", ()) if fee.get("due") == "upfront")
    return cost.cost(
        row.amount_fen,
        row.rate_bp,
        row.tenor_days,
        row.day_basis,
        upfront_fen=upfront,
        end_fen=row.fees_fen - upfront,
    )


@route("GET", "/applications/<ap:application_id>", permit="application.read")
def follow_page(tx: Tx, _ask: Ask, application_id: UUID) -> Page:
    """What must I do now, and what comes next?"""
    row = cases.one(tx, application_id)
    together = cases.siblings(tx, row.contract_id)
    loan = cases.loan_of(tx, row.id)
    offers = columns(tx, together)
    subjects = [each.id for each in together] + ([loan.id] if loan else [])
    due = cases.answer_by(tx, row)
    payments = contracts.payments(tx, row.contract_id)
    return Page(
        "supplier/follow.html",
        {
            "case": row,
            "together": together,
            "bank_of": {each.id: each.bank_name for each in together},
            "offers": offers,
            "room": {
                each.case.id: claims.left_fen(tx, each.case)
                for each in offers
                if each.offer.state == "open"
            },
            "step": STEP_OF.get(row.state),
            "mend": reason(row.reason_code).mend if row.reason_code else None,
            "due": due,
            "is_late": due is not None and due.on < tx.today,
            "can_withdraw": row.state in WITHDRAWABLE,
            "packet": cases.packet_of(tx, row.packet_id),
            "claim": cases.claim_of(tx, row.id),
            "loan": loan,
            "drawdowns": cases.drawdowns(tx, loan.id) if loan else (),
            "account": contracts.account(tx, row.contract_id),
            "milestones": contracts.milestones(tx, row.contract_id),
            "payments": payments,
            "repaid": cases.repaid(tx, [each.id for each in payments]),
            "consent": cases.consent_of(tx, row.consent_id),
            "events": cases.events(tx, subjects),
        },
    )


@route("GET", "/applications/<ap:application_id>/accept", permit="offer.accept")
def accept_page(tx: Tx, _ask: Ask, application_id: UUID) -> Page:
    """Is this the offer that I accept, and what does it bind me to?"""
    row = cases.one(tx, application_id)
    offers = [each for each in columns(tx, [row]) if each.offer.state == "open"]
    if not offers or row.hold_at is not None:
        raise NotFound("no offer is open", where="offer")
    others = [
        each
        for each in cases.siblings(tx, row.contract_id)
        if each.id != row.id and each.state not in contracts.ENDED
    ]
    return Page(
        "supplier/accept.html",
        {
            "case": row,
            "column": offers[0],
            "others": others,
            "account": contracts.account(tx, row.contract_id),
        },
    )


@route("POST", "/applications/<ap:application_id>/accept", permit="offer.accept", form=follow_page)
def accept(tx: Tx, ask: Ask, application_id: UUID) -> See:
    """Accept the offer exactly as it was shown."""
    loans.accept_offer(tx, application_id, ask.text("offer_digest"))
    return See(f"/applications/{ids.show('ap', application_id)}", told="accepted")


@route("POST", "/applications/<ap:application_id>/decline", permit="offer.accept", form=follow_page)
def decline(tx: Tx, _ask: Ask, application_id: UUID) -> See:
    """Decline the open offer."""
    loans.decline_offer(tx, application_id)
    return See(f"/applications/{ids.show('ap', application_id)}", told="declined")


@route(
    "POST",
    "/applications/<ap:application_id>/withdraw",
    permit="application.write",
    form=follow_page,
)
def withdraw(tx: Tx, _ask: Ask, application_id: UUID) -> See:
    """Take the application back."""
    applications.withdraw(tx, application_id)
    return See(f"/applications/{ids.show('ap', application_id)}", told="withdrawn")


@route("GET", "/packets/<pk:packet_id>", permit="packet.read")
def packet_file(tx: Tx, _ask: Ask, packet_id: UUID) -> File:
    """The signed packet, byte by byte as the bank got it."""
    if cases.packet_of(tx, packet_id) is None:
        raise NotFound("no such packet", where="packet")
    container = packets.containers(tx, [packet_id])[packet_id]
    return File(container, f"{ids.show('pk', packet_id)}.asice", "application/vnd.etsi.asic-e+zip")
