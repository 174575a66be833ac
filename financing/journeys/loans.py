"""From the bank's offer (授信方案) to the settled loan (结清).

1. `take_offer`    the bank's terms arrive, better ones replace the open offer
2. `accept_offer`  the supplier accepts exactly what was on the screen; the claim is held
3. `decline_offer` the supplier goes another way
4. `accept_due`    errand: the acceptance goes to the bank
5. `sign`          the loan contract is signed
6. `lock_account`  the designated account is locked for this loan
7. `draw`          money is paid out
8. `bank_repaid`, `bank_settled`, `overdue`  the bank's word on repayment
9. `fail`          the bank steps back after acceptance; the claim is released
10. `expire_offers` offers whose time is over
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert as upsert

from bank_adapters.port import (
    Acceptance,
    AuthFailed,
    BankError,
    Case,
    NotSent,
    Offer,
    PollQuery,
    Receipt,
    Report,
    Status,
    Throttled,
    Unavailable,
)
from financing import words
from financing.context import Context
from financing.errors import Conflict, Invalid
from financing.journeys import allocation, banks, claims
from financing.journeys.outcome import Outcome
from financing.rules import lifecycles
from financing.store import ledger, outbox
from financing.store.db import Tx, lock
from financing.store.move import create, move, move_many
from financing.store.outbox import Work
from financing.store.tables import (
    account_version,
    application,
    bank_repayment,
    contract,
    drawdown,
    loan,
    offer,
)
from financing.store.visible import find
from financing.values import ids, strict_json
from financing.values.ids import new_id
from financing.values.money import Money
from financing.values.times import rfc3339

Hold = Callable[[str], Outcome]


# ── 1. The offer ─────────────────────────────────────────────────────────────────────────────


def take_offer(tx: Tx, case: Row[Any], terms: Offer, hold: Hold) -> Outcome:
    """Record the bank's offer; the same revision again is nothing, a new one replaces it."""
    known = tx.one(
        select(offer.c.id).where(
            offer.c.application_id == case.id,
            offer.c.reference == terms.reference,
            offer.c.revision == terms.revision,
        )
    )
    if known is not None:
        return Outcome("confirmed", "offer known already")
    if not 0 < terms.amount.fen <= case.amount_fen or terms.amount.currency != case.currency:
        return hold("the offer's amount is not within what was applied for")
    end_open_offer(tx, case.id, "replace")
    create(
        tx,
        "offer",
        "make",
        facts={"application": case.id, "digest": terms.digest},
        application_id=case.id,
        reference=terms.reference,
        revision=terms.revision,
        amount_fen=terms.amount.fen,
        currency=terms.amount.currency,
        rate_bp=terms.rate_bp,
        day_basis=terms.day_basis,
        tenor_days=terms.tenor_days or _days_to(tx, terms),
        repayment=terms.repayment,
        fees_fen=sum(fee.amount.fen for fee in terms.fees if fee.payer == "supplier"),
        terms=strict_json.loads(terms.canonical),
        digest=terms.digest,
        valid_until=terms.valid_until,
        made_at=tx.now,
    )
    move(
        tx,
        "application",
        case.id,
        "offer",
        facts={"amount_fen": terms.amount.fen, "reference": terms.reference},
        decided_at=case.decided_at or tx.now,
    )
    return Outcome("applied")


def _days_to(tx: Tx, terms: Offer) -> int:
    if terms.matures_on is None:
        raise Invalid("an offer names neither a term nor a day", where="/offer/tenor_days")
    return (terms.matures_on - tx.today).days


def end_open_offer(tx: Tx, application_id: UUID, event: str) -> bool:
    """Let an event happen to the open offer of an application; False where none is open."""
    row = open_offer(tx, application_id)
    if row is not None:
        move(tx, "offer", row.id, event)
    return row is not None


def open_offer(tx: Tx, application_id: UUID) -> Row[Any] | None:
    """The offer of an application that may still be accepted, if there is one."""
    return tx.one(
        select(offer).where(offer.c.application_id == application_id, offer.c.state == "open")
    )


def lose_offer(tx: Tx, case: Row[Any], event: str) -> Outcome:
    """The bank takes its offer back, or says that its time is over."""
    if not end_open_offer(tx, case.id, event):
        return Outcome("confirmed", "no offer is open")
    if case.state == "offered":
        move(tx, "application", case.id, "expire")
    return Outcome("applied")


# ── 2. The supplier decides ──────────────────────────────────────────────────────────────────


def accept_offer(tx: Tx, application_id: UUID, offer_digest: str) -> Row[Any]:
    """Accept a bank's offer (接受授信方案) exactly as the supplier saw it.

    The same acceptance again returns the application unchanged.

    Args:
        offer_digest: `sha-256:<hex>` of the offer that was on the supplier's screen.
    Raises:
        NotFound: no such application, or not this supplier's.
        Conflict: the offer was replaced or has ended, the application is on hold, or the
            contract's capacity is taken.
    Source: rulebook, "offer live and claim held in one transaction".
    """
    case = find(tx, "application", application_id)
    lock(tx, contract, [case.contract_id])
    case = lock(tx, application, [application_id])[0]
    lang = tx.actor.lang
    newest = tx.one(
        select(offer)
        .where(offer.c.application_id == case.id)
        .order_by(offer.c.made_at.desc(), offer.c.id.desc())
    )
    if case.state == "accepted" and newest is not None and newest.digest == offer_digest:
        return case
    if case.state in ("accepted", "contracted", "locked", "drawn", "closed"):
        raise Conflict(
            words.t("offer.taken", lang),
            where="/offer_digest",
            remedy=words.t("offer.follow", lang),
        )
    if case.hold_at is not None:
        # Nobody binds himself to an offer while the bank contradicts itself.
        raise Conflict(
            words.t("offer.held", lang),
            where="/offer_digest",
            remedy=words.t("offer.wait", lang),
        )
    if newest is None or newest.digest != offer_digest:
        raise Conflict(
            words.t("offer.replaced", lang),
            where="/offer_digest",
            remedy=words.t("offer.read_anew", lang),
        )
    if newest.state != "open" or newest.valid_until <= tx.now:
        raise Conflict(
            words.t("offer.ended", lang, at=rfc3339(newest.valid_until)),
            where="/offer_digest",
            remedy=words.t("offer.ask_anew", lang),
        )
    claims.hold(tx, case, newest.amount_fen)
    move(tx, "offer", newest.id, "accept", facts={"digest": newest.digest})
    return move(
        tx,
        "application",
        case.id,
        "accept_offer",
        facts={"offer": newest.digest, "amount_fen": newest.amount_fen},
    )


def decline_offer(tx: Tx, application_id: UUID) -> Row[Any]:
    """Decline the open offer; again changes nothing."""
    case = find(tx, "application", application_id)
    lock(tx, contract, [case.contract_id])
    case = lock(tx, application, [application_id])[0]
    if case.state == "declined":
        return case
    end_open_offer(tx, case.id, "decline")
    return move(tx, "application", case.id, "decline")


def accept_due(ctx: Context, bank_code: str, works: Sequence[Work]) -> None:
    """Tell the bank which offers were accepted; an unknown outcome is asked for, then repeated.

    The acceptance's request id is derived from the offer, so that every try names the same one.
    """
    with ctx.begin() as tx:
        row = banks.by_code(tx, bank_code)
        pairs = {
            pair.id: pair
            for pair in tx.rows(
                select(
                    application,
                    offer.c.id.label("offer_id"),
                    offer.c.reference.label("offer_reference"),
                    offer.c.revision.label("offer_revision"),
                    offer.c.digest.label("offer_digest"),
                    offer.c.amount_fen.label("offer_fen"),
                )
                .join(
                    offer,
                    (offer.c.application_id == application.c.id) & (offer.c.state == "accepted"),
                )
                .where(application.c.id.in_([work.subject_id for work in works]))
            )
            if pair.state == "accepted"
        }
        outbox.done(tx, [work for work in works if work.subject_id not in pairs])
        sending = [work for work in works if work.subject_id in pairs]
    if not sending:
        return
    adapter, call = banks.line(ctx, row, "accept")
    unknown = [work for work in sending if work.sent_at is not None]
    if unknown:
        # The answer to an earlier try is missing: what does the bank say of these cases?
        page = adapter.poll(
            call,
            PollQuery(
                cases=[_as_case(pairs[w.subject_id]) for w in unknown if w.subject_id],
                cursor=None,
                limit=200,
            ),
        )
        knows = {
            report.echo.application
            for report in page.reports
            if report.status not in ("offered", "reviewing", "received", "unknown")
        }
        taken = [w for w in unknown if w.subject_id and ids.show("ap", w.subject_id) in knows]
        with ctx.begin() as tx:
            outbox.done(tx, taken)
        sending = [work for work in sending if work not in taken]
    if not sending:
        return
    with ctx.begin() as tx:
        outbox.mark_sent(tx, sending)
    items = [
        Acceptance(
            request_id=_acceptance_id(pairs[work.subject_id].offer_id),
            application=ids.show("ap", pairs[work.subject_id].id),
            bank_reference=pairs[work.subject_id].bank_reference,
            offer_reference=pairs[work.subject_id].offer_reference,
            offer_revision=pairs[work.subject_id].offer_revision,
            offer_digest=pairs[work.subject_id].offer_digest,
            amount=Money(pairs[work.subject_id].offer_fen, pairs[work.subject_id].currency),
            step=None,
        )
        for work in sending
        if work.subject_id
    ]
    try:
        receipts = {r.request_id: r for r in adapter.accept(call, items)}
    except BankError as problem:
        sure = isinstance(problem, NotSent | Unavailable | Throttled | AuthFailed)
        with ctx.begin() as tx:
            for work in sending:
                outbox.later(
                    tx,
                    work,
                    5 * 2 ** min(work.attempt, 6),
                    error=str(problem),
                    unsent=sure,
                )
        return
    with ctx.begin() as tx:
        for work, item in zip(sending, items, strict=True):
            _acceptance_settled(tx, work, receipts.get(item.request_id))


def _acceptance_settled(tx: Tx, work: Work, receipt: Receipt | None) -> None:
    if receipt is None or receipt.outcome == "unknown":
        outbox.later(tx, work, 10, error="no receipt for this acceptance")
        return
    if receipt.outcome == "refused" and work.subject_id is not None:
        code = receipt.refusal.code if receipt.refusal else "R82"
        text = receipt.refusal.text if receipt.refusal else ""
        case = lock(tx, application, [work.subject_id])[0]
        if case.state == "accepted":
            fail(tx, case, code, text)
    outbox.done(tx, [work])


def _acceptance_id(offer_id: UUID) -> str:
    return ids.show("rq", uuid5(offer_id, "accept"))


def _as_case(pair: Row[Any]) -> Case:
    return Case(
        request_id=ids.show("rq", pair.request_id),
        application=ids.show("ap", pair.id),
        bank_reference=pair.bank_reference,
        loan_reference=None,
        status=Status.OFFERED,
    )


# ── 5. Signing, locking, paying out ──────────────────────────────────────────────────────────


def of_application(tx: Tx, application_id: UUID) -> Row[Any] | None:
    """The loan of an application, locked, if it is signed."""
    return tx.one(select(loan).where(loan.c.application_id == application_id).with_for_update())


def sign(tx: Tx, case: Row[Any], item: Report, hold: Hold) -> Outcome:
    """The loan contract is signed, within the accepted offer."""
    terms = tx.db.execute(
        select(offer).where(offer.c.application_id == case.id, offer.c.state == "accepted")
    ).one()
    principal = item.money.fen if item.money else terms.amount_fen
    if principal > terms.amount_fen:
        return hold("the bank contracts more than it offered")
    signed_on = item.on or tx.today
    create(
        tx,
        "loan",
        "sign",
        facts={
            "application": case.id,
            "offer": terms.digest,
            "principal_fen": principal,
        },
        application_id=case.id,
        offer_id=terms.id,
        contract_id=case.contract_id,
        bank_id=case.bank_id,
        reference=item.loan_reference,
        principal_fen=principal,
        currency=case.currency,
        rate_bp=terms.rate_bp,
        day_basis=terms.day_basis,
        drawn_fen=0,
        signed_on=signed_on,
        due_on=item.due_on or signed_on + timedelta(days=terms.tenor_days),
    )
    move(tx, "application", case.id, "contract", facts={"principal_fen": principal})
    return Outcome("applied")


def lock_account(tx: Tx, case: Row[Any], version: Row[Any], hold: Hold) -> Outcome:
    """The bank has verified and locked the designated account for this loan."""
    if version.state == "active":
        move(
            tx,
            "account_version",
            version.id,
            "lock",
            facts={"application": case.id, "digest": version.digest},
            locked_by=case.id,
        )
    elif version.locked_by != case.id:
        return hold("the account is locked by another loan")
    move(tx, "application", case.id, "lock", facts={"digest": version.digest})
    return Outcome("applied")


def draw(tx: Tx, case: Row[Any], item: Report, hold: Hold) -> Outcome:
    """The bank paid out, in one or several parts; the same flow reference again is nothing."""
    row = of_application(tx, case.id)
    if row is None or item.money is None:
        return hold("a payout without a loan or an amount")
    flow = item.flow_reference or f"part-{item.part or 1}"
    if item.money.currency != row.currency or row.drawn_fen + item.money.fen > row.principal_fen:
        known = tx.one(
            select(drawdown.c.id).where(
                drawdown.c.loan_id == row.id, drawdown.c.flow_reference == flow
            )
        )
        return Outcome("confirmed") if known else hold("the bank paid out more than was contracted")
    on = item.on or tx.today
    fresh = tx.one(
        upsert(drawdown)
        .values(
            id=new_id(),
            loan_id=row.id,
            flow_reference=flow,
            amount_fen=item.money.fen,
            on=on,
        )
        .on_conflict_do_nothing(index_elements=["loan_id", "flow_reference"])
        .returning(drawdown.c.id)
    )
    if fresh is None:
        return Outcome("confirmed", "payout known already")
    if row.drawn_fen:
        allocation.accrue(tx, row, on)  # interest on the first part up to the second payout
    ledger.post(
        tx,
        "loan",
        row.id,
        "drawdown",
        [("PRINCIPAL", item.money.fen, 0), ("DISBURSED", 0, item.money.fen)],
        on=on,
        currency=row.currency,
    )
    move(
        tx,
        "loan",
        row.id,
        "draw",
        facts={"amount_fen": item.money.fen, "flow": flow},
        drawn_fen=row.drawn_fen + item.money.fen,
        interest_from=on,
        reference=item.loan_reference or row.reference,
    )
    if case.state == "locked":
        move(tx, "application", case.id, "draw", facts={"amount_fen": item.money.fen})
    return Outcome("applied")


# ── 8. The bank's word on repayment ──────────────────────────────────────────────────────────


def bank_repaid(tx: Tx, case: Row[Any], item: Report, hold: Hold) -> Outcome:
    """Keep the bank's split of a repayment; our own allocation comes from the statement."""
    row = of_application(tx, case.id)
    if row is None or item.money is None or item.split is None:
        return hold("a repayment without a loan, an amount, or its split")
    tx.db.execute(
        upsert(bank_repayment)
        .values(
            id=new_id(),
            loan_id=row.id,
            flow_reference=item.flow_reference or item.bank_event_id or str(item.sequence),
            amount_fen=item.money.fen,
            principal_fen=item.split.principal_fen,
            interest_fen=item.split.interest_fen,
            fees_fen=item.split.fee_fen + item.split.penalty_fen,
            on=item.on or tx.today,
        )
        .on_conflict_do_nothing(index_elements=["loan_id", "flow_reference"])
    )
    return Outcome("applied")


def bank_settled(tx: Tx, case: Row[Any], item: Report, hold: Hold) -> Outcome:
    """The bank says settled; the loan settles when our own books agree."""
    row = of_application(tx, case.id)
    if row is None:
        return hold("a settlement without a loan")
    if row.bank_settled_on is not None or row.state in (
        "settled",
        "written-off",
        "cancelled",
    ):
        return Outcome("confirmed", "known already")
    move(tx, "loan", row.id, "bank_settled", bank_settled_on=item.on or tx.today)
    allocation.settle_if_due(tx, row.id)
    return Outcome("applied")


def overdue(tx: Tx, case: Row[Any]) -> Outcome:
    """The bank says that the due day has passed with money outstanding."""
    row = of_application(tx, case.id)
    if row is None or row.state not in ("active", "repaying"):
        return Outcome("confirmed", "nothing is outstanding here")
    move(tx, "loan", row.id, "fall_due")
    return Outcome("applied")


def write_off(tx: Tx, case: Row[Any]) -> Outcome:
    """The bank gives the loan up; its claim ends, the account stays locked until it is freed.

    Source: rulebook, life cycle of the loan: only a settled loan frees its account.
    """
    row = of_application(tx, case.id)
    if row is None or lifecycles.step("loan", "write_off", row.state) is None:
        return Outcome("confirmed", "nothing is outstanding here")
    move(tx, "loan", row.id, "write_off")
    claims.release(tx, case.id)
    move(tx, "application", case.id, "close", facts={"loan": row.id})
    return Outcome("applied")


# ── 9. The bank steps back ───────────────────────────────────────────────────────────────────


def fail(tx: Tx, case: Row[Any], code: str, text: str) -> Outcome:
    """After acceptance the bank does not lend after all; the claim is free again."""
    claims.release(tx, case.id)
    version = tx.one(
        select(account_version).where(
            account_version.c.locked_by == case.id, account_version.c.state == "locked"
        )
    )
    if version is not None:
        move(tx, "account_version", version.id, "release", locked_by=None)
    row = of_application(tx, case.id)
    if row is not None and row.state == "signed":
        move(tx, "loan", row.id, "cancel")
    move(
        tx,
        "application",
        case.id,
        "fail",
        facts={"reason": code},
        reason_code=code,
        reason_text=text,
    )
    return Outcome("applied")


# ── 10. Time ─────────────────────────────────────────────────────────────────────────────────


def expire_offers(tx: Tx) -> int:
    """End offers whose time is over, and their applications, as a set."""
    rows = tx.rows(
        select(offer.c.id, offer.c.application_id, application.c.state)
        .join(application, application.c.id == offer.c.application_id)
        .where(offer.c.state == "open", offer.c.valid_until <= tx.now)
        .limit(1000)
    )
    cases = sorted(row.application_id for row in rows if row.state == "offered")
    move_many(tx, "application", "expire", cases)
    move_many(tx, "offer", "expire", [row.id for row in rows])
    return len(rows)
