"""From a matched payment to both books: the contract's receivable, then the loans', then the rest.

1. `open_books`       the contract's book holds what its record says: price, accepted milestones
2. `accept_milestone` a milestone accepted by the purchaser falls due
3. `allocate`         payments, as a set: contract, bank's order, remainder to the supplier
4. `divert`           payments to another account: the debt stays
5. `reverse`          a payment that went back is undone in both books
6. `accrue`           interest up to a day
7. `settle_if_due`    the loan ends when the bank has said so and our books agree
8. `close_if_paid`    the contract is paid when nothing of its price is open

Callers hold no lock of a later kind; rows are locked here in the order of `store/db.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import Row, select, text, update

from financing.journeys import claims, owing_again, receivable
from financing.rules import lifecycles, postings
from financing.rules.rates import interest
from financing.store import ledger
from financing.store.db import Tx, lock
from financing.store.ledger import Posting
from financing.store.move import move, move_many
from financing.store.tables import (
    account_version,
    bank_repayment,
    contract,
    drawdown,
    loan,
    milestone,
    payment,
)

LIVE: Final = ("active", "repaying", "overdue")
REPEAT_DAYS: Final = 7  # an equal payment within this time is taken for a second sending


# ── 1. and 2. The contract's book ────────────────────────────────────────────────────────────


def open_books(tx: Tx, contracts: Sequence[Row[Any]]) -> defaultdict[UUID, Any]:
    """Bring the books of locked contracts to what their records say; returns the balances.

    Posts the price, its amendments, and milestones that a record calls accepted; what is posted
    already is not posted again.
    """
    ids = [row.id for row in contracts]
    books = ledger.balances(tx, "contract", ids)
    parts = tx.rows(
        select(milestone)
        .where(milestone.c.contract_id.in_(ids))
        .order_by(milestone.c.contract_id, milestone.c.position)
    )
    known = ledger.posted(tx, [_acceptance(part.id) for part in parts if part.accepted_on])
    found: list[Posting] = []
    for row in contracts:
        book = books[row.id]
        price = postings.priced(book, row.amount_fen or 0)
        if price is not None:
            found.append(_posting("contract", row, price, row.signed_on or tx.today, book))
        mine = [part for part in parts if part.contract_id == row.id]
        for part in mine:
            if part.accepted_on and _acceptance(part.id) not in known:
                found.append(_accepted(row, part, mine, part.accepted_on, book))
    ledger.post_many(tx, found)
    return books


def accept_milestone(tx: Tx, row: Row[Any], part: Row[Any], on: date) -> None:
    """Post the acceptance of one milestone (验收): it falls due, less advance and retention.

    Args:
        row: the contract, locked; part: its milestone, before it is marked accepted.
    """
    books = open_books(tx, [row])
    parts = tx.rows(select(milestone).where(milestone.c.contract_id == row.id))
    if not ledger.posted(tx, [_acceptance(part.id)]):
        found = [_accepted(row, part, parts, on, books[row.id])]
        ledger.post_many(tx, found + _evened(row, books[row.id], on))


def _evened(row: Row[Any], book: Any, on: date) -> list[Posting]:
    event = postings.evened(book)
    return [] if event is None else [_posting("contract", row, event, on, book)]


def _acceptance(milestone_id: UUID) -> UUID:
    """The one event that a milestone's acceptance is, however often it is told."""
    return uuid5(milestone_id, "accepted")


def _accepted(
    row: Row[Any], part: Row[Any], parts: Iterable[Row[Any]], on: date, book: Any
) -> Posting:
    later = [each for each in parts if each.accepted_on is None and each.id != part.id]
    event = postings.accepted(
        book,
        part.amount_fen,
        retention_fen=part.retention_fen,
        planned_recovery_fen=part.advance_fen,
        later_recovery_fen=sum(each.advance_fen for each in later),
    )
    return _posting("contract", row, event, on, book, event_id=_acceptance(part.id))


def _posting(
    kind: ledger.Book,
    row: Row[Any],
    event: postings.Event,
    on: date,
    book: Any,
    *,
    payment_id: UUID | None = None,
    event_id: UUID | None = None,
) -> Posting:
    """An event of the contract's or loan's book, applied to the balances at hand."""
    for account, debit, credit in event.lines:
        book[account] += debit - credit
    given = {} if event_id is None else {"event_id": event_id}
    return Posting(
        kind, row.id, event.name, event.lines, on, row.currency, payment_id=payment_id, **given
    )


# ── 3. Allocation ────────────────────────────────────────────────────────────────────────────

REPEATS: Final = text("""
    SELECT p.id FROM payment p
     WHERE p.id = ANY(:ids) AND EXISTS (
           SELECT 1 FROM payment o
            WHERE o.contract_id = p.contract_id AND o.id < p.id AND o.amount_fen = p.amount_fen
              AND o.payer_key = p.payer_key AND o.search = p.search
              AND o.state IN ('matched', 'allocated')
              AND abs(o.value_on - p.value_on) <= :days)
""")


@dataclass(slots=True)
class _Loan:
    """A live loan while payments of its contract are allocated."""

    row: Row[Any]
    book: Any
    drawn_from: date
    interest_from: date
    got_fen: int = 0


@dataclass(slots=True)
class _Allocation:
    """What one set of payments leads to."""

    postings: list[Posting] = field(default_factory=list)
    outcomes: dict[UUID, str] = field(default_factory=dict)
    facts: dict[UUID, dict[str, Any]] = field(default_factory=dict)


def allocate(tx: Tx, payments: Sequence[Row[Any]]) -> None:
    """Allocate matched payments: what is due, the bank's order, the remainder to the supplier.

    Sums are conserved to the fen: each payment is the sum of what its contract's book received,
    and what a loan's book collected is what it repaid and what it passed on.

    Args:
        payments: in state `matched`; their contracts are locked here.
    """
    if not payments:
        return
    contracts = {row.id: row for row in lock(tx, contract, {each.contract_id for each in payments})}
    books = open_books(tx, list(contracts.values()))
    loans = _live_loans(tx, list(contracts))
    repeats = set(
        tx.db.execute(
            REPEATS, {"ids": [each.id for each in payments], "days": REPEAT_DAYS}
        ).scalars()
    )
    done = _Allocation()
    for each in sorted(payments, key=lambda row: (row.value_on, row.id)):
        row = contracts[each.contract_id]
        got = postings.received(books[row.id], each.amount_fen, is_repeat=each.id in repeats)
        for event in got.events:
            done.postings.append(
                _posting("contract", row, event, each.value_on, books[row.id], payment_id=each.id)
            )
        split = _repay(tx, each, loans[row.id], done.postings)
        done.outcomes[each.id] = got.outcome
        done.facts[each.id] = {
            "contract": row.id,
            "amount_fen": each.amount_fen,
            "outcome": got.outcome,
            "due_fen": got.due_fen,
            "advance_fen": got.advance_fen,
            "over_fen": got.over_fen,
            "loans": split,
        }
    ledger.post_many(tx, done.postings)
    _tell(tx, done)
    refresh_open(tx, list(contracts))
    for each_loan in (one for several in loans.values() for one in several):
        _after_repayment(tx, each_loan)
    for row in contracts.values():
        _after_payment(tx, row, books[row.id])


def _live_loans(tx: Tx, contract_ids: Sequence[UUID]) -> defaultdict[UUID, list[_Loan]]:
    rows = tx.rows(
        select(loan)
        .where(loan.c.contract_id.in_(contract_ids), loan.c.state.in_(LIVE))
        .order_by(loan.c.id)
        .with_for_update()
    )
    books = ledger.balances(tx, "loan", [row.id for row in rows])
    first: dict[UUID, date] = {}
    for paid_out in tx.rows(
        select(drawdown.c.loan_id, drawdown.c.on).where(
            drawdown.c.loan_id.in_([row.id for row in rows])
        )
    ):
        known = first.get(paid_out.loan_id, paid_out.on)
        first[paid_out.loan_id] = min(known, paid_out.on)
    found: defaultdict[UUID, list[_Loan]] = defaultdict(list)
    for row in sorted(rows, key=lambda each: (each.signed_on, each.id)):
        drawn_from = first.get(row.id, row.signed_on)
        found[row.contract_id].append(
            _Loan(row, books[row.id], drawn_from, row.interest_from or drawn_from)
        )
    return found


def _repay(
    tx: Tx, each: Row[Any], loans: Sequence[_Loan], found: list[Posting]
) -> dict[str, dict[str, int]]:
    """Let a payment serve the loans of its contract, the oldest first; the last passes the rest on.

    A loan that was not yet drawn on the day of the money took nothing of it.
    """
    split: dict[str, dict[str, int]] = {}
    left = each.amount_fen
    owing = [
        one for one in loans if one.drawn_from <= each.value_on and postings.owed_fen(one.book)
    ]
    for one in owing:
        if not left:
            break
        found += _accrued(one, each.value_on)
        is_last = one is owing[-1]
        fen = left if is_last else min(left, postings.owed_fen(one.book))
        taken = postings.taken(one.book, fen)
        for event in taken.events:
            found.append(
                _posting("loan", one.row, event, each.value_on, one.book, payment_id=each.id)
            )
        one.got_fen += fen - taken.rest_fen
        left -= fen
        split[str(one.row.id)] = {**taken.split, "rest": taken.rest_fen}
    return split


def _accrued(one: _Loan, on: date) -> list[Posting]:
    """Interest from the last change of the principal; the first day does not count."""
    days = (on - one.interest_from).days
    if days <= 0:
        return []
    one.interest_from = on
    fen = interest(max(0, one.book["PRINCIPAL"]), one.row.rate_bp, days, one.row.day_basis)
    event = postings.Event("interest", (("INTEREST_DUE", fen, 0), ("INTEREST", 0, fen)))
    return [_posting("loan", one.row, event, on, one.book)] if fen else []


def _tell(tx: Tx, done: _Allocation) -> None:
    ids = list(done.outcomes)
    move_many(
        tx,
        "payment",
        "allocate",
        ids,
        values=[{"outcome": done.outcomes[each]} for each in ids],
        facts=[done.facts[each] for each in ids],
    )


def refresh_open(tx: Tx, contract_ids: Sequence[UUID]) -> None:
    """Keep what each contract still leaves open beside it, as capacity reckons it."""
    known = receivable.receivables(tx, contract_ids)
    tx.db.execute(
        text(
            "UPDATE contract c SET open_fen = n.fen"
            "  FROM unnest(CAST(:ids AS uuid[]), CAST(:fen AS bigint[])) AS n(id, fen)"
            " WHERE c.id = n.id AND c.open_fen IS DISTINCT FROM n.fen"
        ),
        {"ids": list(known), "fen": [money.open_fen for money in known.values()]},
    )


def _after_repayment(tx: Tx, one: _Loan) -> None:
    if not one.got_fen:
        return
    move(
        tx,
        "loan",
        one.row.id,
        "repay",
        facts={"amount_fen": one.got_fen, "owed_fen": postings.owed_fen(one.book)},
        interest_from=one.interest_from,
    )
    claims.reduce(tx, one.row.application_id, _outstanding_fen(one.row, one.book))
    settle_if_due(tx, one.row.id)


def _outstanding_fen(row: Row[Any], book: Any) -> int:
    """What a claim must still carry: principal owed, and what may yet be drawn."""
    return int(max(0, book["PRINCIPAL"]) + row.principal_fen - row.drawn_fen)


def _after_payment(tx: Tx, row: Row[Any], book: Any) -> None:
    event = "pay" if postings.is_paid(book) else "start"
    if lifecycles.step("contract", event, row.state) is not None:
        move(tx, "contract", row.id, event, facts={"open_fen": max(0, book["RECEIVABLE"])})


# ── 4. Diversion ─────────────────────────────────────────────────────────────────────────────


def divert(tx: Tx, payments: Sequence[Row[Any]]) -> None:
    """Post payments that reached another account than the designated one (挪付).

    Args:
        payments: already moved to `diverted`, with the contract that they name.
    """
    if not payments:
        return
    contracts = {row.id: row for row in lock(tx, contract, {each.contract_id for each in payments})}
    books = open_books(tx, list(contracts.values()))
    ledger.post_many(
        tx,
        [
            _posting(
                "contract",
                contracts[each.contract_id],
                postings.diverted(each.amount_fen),
                each.value_on,
                books[each.contract_id],
                payment_id=each.id,
            )
            for each in payments
        ],
    )
    refresh_open(tx, list(contracts))


# ── 5. Reversal ──────────────────────────────────────────────────────────────────────────────


def reverse(tx: Tx, pairs: Sequence[tuple[UUID, UUID]], on: dict[UUID, date]) -> None:
    """Undo the payments of booked entries; each event of theirs is reversed once.

    The money was with the bank in between, so interest runs on from the day it went back.

    Args:
        pairs: the entry that went out, and the entry that it undoes.
        on: value date of each entry that went out.
    """
    by_entry = {entry_id: return_id for return_id, entry_id in pairs}
    found = select(payment).where(
        payment.c.entry_id.in_(list(by_entry)), payment.c.state != "reversed"
    )
    touched = {row.contract_id for row in tx.rows(found) if row.contract_id is not None}
    contracts = lock(tx, contract, touched)
    loans = _loans_paid_by(tx, list(by_entry))
    rows = tx.rows(found.order_by(payment.c.id).with_for_update())
    by_day: defaultdict[date, list[UUID]] = defaultdict(list)
    for row in rows:
        by_day[on[by_entry[row.entry_id]]].append(row.id)
    for day, ids in sorted(by_day.items()):
        for row in loans:
            accrue(tx, row, day)
        ledger.undo(tx, ids, on=day)
    move_many(
        tx,
        "payment",
        "reverse",
        [row.id for row in rows],
        values=[{"outcome": "reversed", "reversed_by": by_entry[row.entry_id]} for row in rows],
        facts=[{"amount_fen": row.amount_fen, "by": by_entry[row.entry_id]} for row in rows],
    )
    _restore(tx, contracts, loans, max(by_day, default=tx.today))


def _loans_paid_by(tx: Tx, entry_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    ids = tx.db.execute(
        text(
            "SELECT DISTINCT l.subject_id FROM ledger l JOIN payment p ON p.id = l.payment_id"
            " WHERE l.book = 'loan' AND p.entry_id = ANY(:ids) AND p.state <> 'reversed'"
        ),
        {"ids": list(entry_ids)},
    ).scalars()
    return lock(tx, loan, list(ids))


def _restore(tx: Tx, contracts: Sequence[Row[Any]], loans: Sequence[Row[Any]], on: date) -> None:
    owed = ledger.balances(tx, "loan", [row.id for row in loans])
    for row in loans:
        fen = postings.owed_fen(owed[row.id])
        if lifecycles.step("loan", "unpay", row.state) is not None:
            move(tx, "loan", row.id, "unpay", facts={"owed_fen": fen})
        claims.reduce(tx, row.application_id, _outstanding_fen(row, owed[row.id]))
    books = ledger.balances(tx, "contract", [row.id for row in contracts])
    ledger.post_many(tx, [each for row in contracts for each in _evened(row, books[row.id], on)])
    refresh_open(tx, [row.id for row in contracts])
    for row in loans:
        if row.state == "settled":
            owing_again.restore(tx, row, _outstanding_fen(row, owed[row.id]))
    for row in contracts:
        if row.state == "paid" and not postings.is_paid(books[row.id]):
            move(tx, "contract", row.id, "unpay")


# ── 6. and 7. The loan ───────────────────────────────────────────────────────────────────────


def accrue(tx: Tx, row: Row[Any], on: date) -> None:
    """Post a loan's interest up to a day; the loan is locked by the caller."""
    current = tx.db.execute(select(loan).where(loan.c.id == row.id)).one()
    since = current.interest_from
    if since is None or on <= since:
        return
    book = ledger.balances(tx, "loan", [row.id])[row.id]
    ledger.post_many(tx, _accrued(_Loan(current, book, since, since), on))
    tx.db.execute(update(loan).where(loan.c.id == row.id).values(interest_from=on))


def settle_if_due(tx: Tx, loan_id: UUID) -> bool:
    """Settle a loan (结清) that the bank calls settled and that owes nothing in our book.

    Frees the claim, the account, and ends the application. Where both have counted the same money
    and we still see a balance, bank and operator are told of the difference. Again changes nothing.
    """
    row = lock(tx, loan, [loan_id])[0]
    if row.state not in LIVE or row.bank_settled_on is None or not row.drawn_fen:
        return False
    book = ledger.balances(tx, "loan", [loan_id])[loan_id]
    owed = postings.owed_fen(book)
    if owed:
        told = tx.db.execute(
            select(bank_repayment.c.amount_fen).where(bank_repayment.c.loan_id == loan_id)
        ).scalars()
        if sum(told) == book["COLLECTED"]:
            move(tx, "loan", loan_id, "differ", facts={"owed_fen": owed})
        return False
    move(tx, "loan", loan_id, "settle", facts={"bank_on": row.bank_settled_on})
    claims.discharge(tx, row.application_id)
    locked = tx.one(
        select(account_version.c.id).where(
            account_version.c.locked_by == row.application_id,
            account_version.c.state == "locked",
        )
    )
    if locked is not None:
        move(tx, "account_version", locked.id, "release", locked_by=None)
    move(tx, "application", row.application_id, "close", facts={"loan": loan_id})
    return True


# ── 8. The contract ──────────────────────────────────────────────────────────────────────────


def close_if_paid(tx: Tx, row: Row[Any]) -> Row[Any]:
    """Call a locked contract paid when nothing of its price is open; returns it as it is then."""
    book = ledger.balances(tx, "contract", [row.id])[row.id]
    if not postings.is_paid(book) or lifecycles.step("contract", "pay", row.state) is None:
        return row
    return move(tx, "contract", row.id, "pay", facts={"open_fen": 0})
