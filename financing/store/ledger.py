"""The two books in double entry: a contract's receivable and a loan's debt.

Rows are only ever added. The rows of one event sum to zero and arrive in one statement, so that
the database can refuse an unbalanced event; a correction is an event that names what it reverses.
A balance is a sum: debits less credits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import func, insert, select

from financing.errors import Broken
from financing.store.db import Tx
from financing.store.tables import ledger
from financing.values.ids import new_id

Book = Literal["contract", "loan"]
Line = tuple[str, int, int]  # account, debit, credit

# The accounts of each book; an event on any other is a mistake of ours.
ACCOUNTS: Final[Mapping[Book, frozenset[str]]] = {
    "contract": frozenset(
        (
            "PRICE", "UNDELIVERED", "RECEIVABLE", "RETENTION", "ADVANCE", "DEDUCTED", "CASH",
            "OVERPAID", "DIVERTED", "DIVERSION_OPEN", "INTEREST_DUE", "LATE_INTEREST",
        )
    ),
    "loan": frozenset(
        (
            "PRINCIPAL", "DISBURSED", "INTEREST_DUE", "FEES_DUE", "PENALTY_DUE", "INTEREST",
            "FEES", "PENALTY", "COLLECTED", "CLEARING", "REMAINDER", "OWN_FUNDS", "LOSS",
        )
    ),
}  # fmt: skip
MOST_ROWS: Final = 2000  # in one statement; the wire allows 65,535 values


@dataclass(frozen=True, slots=True)
class Posting:
    """One event of one book.

    Args:
        lines: account, debit, credit; lines of zero are left out.
        reverses: the event that this one undoes.
        event_id: given where the same event must not be posted twice.
    """

    book: Book
    subject_id: UUID
    event: str
    lines: Sequence[Line]
    on: date
    currency: str
    payment_id: UUID | None = None
    reverses: UUID | None = None
    event_id: UUID = field(default_factory=new_id)


def post(
    tx: Tx,
    book: Book,
    subject_id: UUID,
    event: str,
    lines: Sequence[Line],
    *,
    on: date,
    currency: str,
    payment_id: UUID | None = None,
) -> None:
    """Post one event."""
    post_many(tx, [Posting(book, subject_id, event, lines, on, currency, payment_id)])


def post_many(tx: Tx, postings: Iterable[Posting]) -> None:
    """Post whole events in one statement; an event without any amount is none.

    Raises:
        Broken: an event does not sum to zero, or names an account that its book does not have.
    """
    rows: list[dict[str, object]] = []
    for posting in postings:
        lines = [line for line in posting.lines if line[1] or line[2]]
        is_known = ACCOUNTS[posting.book].issuperset(line[0] for line in lines)
        if sum(debit - credit for _, debit, credit in lines) or not is_known:
            raise Broken(
                f"the event {posting.event} does not balance",
                where=f"{posting.book} {posting.subject_id}",
            )
        if len(rows) + len(lines) > MOST_ROWS:  # never in the middle of an event
            tx.db.execute(insert(ledger).values(rows))
            rows = []
        rows += [
            {
                "book": posting.book,
                "subject_id": posting.subject_id,
                "event_id": posting.event_id,
                "event": posting.event,
                "account": account,
                "debit_fen": debit,
                "credit_fen": credit,
                "currency": posting.currency,
                "on": posting.on,
                "payment_id": posting.payment_id,
                "reverses": posting.reverses,
                "at": tx.now,
            }
            for account, debit, credit in lines
        ]
    if rows:
        tx.db.execute(insert(ledger).values(rows))


def balances(
    tx: Tx, book: Book, subject_ids: Iterable[UUID]
) -> defaultdict[UUID, defaultdict[str, int]]:
    """Debits less credits by account of these subjects, in minor units."""
    found: defaultdict[UUID, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    rows = tx.rows(
        select(
            ledger.c.subject_id,
            ledger.c.account,
            func.sum(ledger.c.debit_fen - ledger.c.credit_fen).label("fen"),
        )
        .where(ledger.c.book == book, ledger.c.subject_id.in_(list(subject_ids)))
        .group_by(ledger.c.subject_id, ledger.c.account)
    )
    for row in rows:
        found[row.subject_id][row.account] = int(row.fen)
    return found


def posted(tx: Tx, event_ids: Iterable[UUID]) -> set[UUID]:
    """Which of these events are in the books."""
    wanted = list(event_ids)
    return set(
        tx.db.execute(
            select(ledger.c.event_id).where(ledger.c.event_id.in_(wanted)).distinct()
        ).scalars()
    )


def undo(tx: Tx, payment_ids: Sequence[UUID], *, on: date) -> None:
    """Reverse every event that these payments caused; a payment is undone once in its life."""
    events: dict[UUID, list[Line]] = defaultdict(list)
    heads = {}
    for row in tx.rows(
        select(ledger).where(ledger.c.payment_id.in_(list(payment_ids))).order_by(ledger.c.id)
    ):
        events[row.event_id].append((row.account, row.credit_fen, row.debit_fen))
        heads[row.event_id] = row
    post_many(
        tx,
        [
            Posting(
                head.book,
                head.subject_id,
                f"{head.event}-reversed",
                events[event_id],
                on,
                head.currency,
                payment_id=head.payment_id,
                reverses=event_id,
            )
            for event_id, head in heads.items()
        ],
    )
