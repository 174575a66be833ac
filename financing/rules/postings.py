"""How money is written into the two books, as pure arithmetic on balances.

A balance is debits less credits, so what is owed to somebody is negative. Every function returns
the lines of whole events; the lines of each sum to zero, whatever the balances are.

Source: rulebook, contract ledger and loan ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Line = tuple[str, int, int]  # account, debit, credit
Balances = Mapping[str, int]
Outcome = Literal[
    "allocated", "partial", "over", "double", "early", "reversed", "diverted", "exception",
    "unmatched",
]  # fmt: skip

# The bank's order (还款顺序): what a payment serves first.
ORDER: Final = ("FEES_DUE", "PENALTY_DUE", "INTEREST_DUE", "PRINCIPAL")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a book: its word and its lines."""

    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Received:
    """What a payment did in the contract's book.

    Args:
        due_fen: served what was due; advance_fen: came before delivery; over_fen: owed back.
    """

    events: tuple[Event, ...]
    outcome: Outcome
    due_fen: int
    advance_fen: int
    over_fen: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What a payment did in a loan's book.

    Args:
        split: what each account of `ORDER` got.
        rest_fen: what passed on to the supplier.
    """

    events: tuple[Event, ...]
    split: Mapping[str, int]
    rest_fen: int


def owed_fen(loan: Balances) -> int:
    """All that a borrower still owes."""
    return sum(max(0, loan.get(account, 0)) for account in ORDER)


def priced(book: Balances, amount_fen: int) -> Event | None:
    """Bring the price in the book to the contract's amount: signed, or amended."""
    known = -book.get("PRICE", 0)
    more = amount_fen - known
    if not more:
        return None
    lines = (("UNDELIVERED", max(more, 0), max(-more, 0)), ("PRICE", max(-more, 0), max(more, 0)))
    return Event("amended" if known else "signed", lines)


def accepted(
    book: Balances,
    milestone_fen: int,
    *,
    retention_fen: int = 0,
    planned_recovery_fen: int = 0,
    later_recovery_fen: int = 0,
) -> Event:
    """The purchaser accepts a milestone: what was undelivered falls due.

    Less what is retained, and less what was paid in advance: the recovery that the contract plans
    for this milestone, and whatever was paid early beyond all planned recoveries.
    """
    part = max(0, min(milestone_fen, book.get("UNDELIVERED", 0)))
    retained = min(retention_fen, part)
    paid_ahead = max(0, -book.get("ADVANCE", 0))
    beyond_plan = max(0, paid_ahead - planned_recovery_fen - later_recovery_fen)
    recovered = min(part - retained, paid_ahead, planned_recovery_fen + beyond_plan)
    lines = (
        ("RECEIVABLE", part - retained - recovered, 0),
        ("RETENTION", retained, 0),
        ("ADVANCE", recovered, 0),
        ("UNDELIVERED", 0, part),
    )
    return Event("accepted", lines)


def received(book: Balances, fen: int, *, is_repeat: bool = False) -> Received:
    """A payment reaches the account: first what is due, then in advance, then owed back.

    Where only retained money is left, the payment itself shows that the retention fell due.

    Args:
        is_repeat: an equal payment came just before.
    """
    ahead = max(0, book.get("UNDELIVERED", 0) + book.get("ADVANCE", 0))
    due = max(0, book.get("RECEIVABLE", 0))
    events: list[Event] = []
    released = min(max(0, fen - due), max(0, book.get("RETENTION", 0))) if not ahead else 0
    if released:
        lines = (("RECEIVABLE", released, 0), ("RETENTION", 0, released))
        events.append(Event("retention-due", lines))
        due += released
    to_due = min(fen, due)
    to_advance = min(fen - to_due, ahead)
    over = fen - to_due - to_advance
    outcome: Outcome = "allocated"
    if is_repeat and not to_due:
        outcome = "double"
    elif over:
        outcome = "over"
    elif to_advance:
        outcome = "early"
    elif to_due < due:
        outcome = "partial"
    lines4 = (
        ("CASH", fen, 0),
        ("RECEIVABLE", 0, to_due),
        ("ADVANCE", 0, to_advance),
        ("OVERPAID", 0, over),
    )
    events.append(Event("paid", lines4))
    return Received(tuple(events), outcome, to_due, to_advance, over)


def evened(book: Balances) -> Event | None:
    """What a returned payment, or a new debt, leaves to be set off inside the book; or None.

    An advance that was recovered, or an overpayment that was used, and whose money went back, is
    owed again; what is still overpaid serves what is due.
    """
    again = max(0, book.get("ADVANCE", 0))
    used = max(0, book.get("OVERPAID", 0))
    due = max(0, book.get("RECEIVABLE", 0)) + again + used
    serves = min(due, max(0, -book.get("OVERPAID", 0)))
    if not (again or used or serves):
        return None
    lines = (
        ("RECEIVABLE", max(0, again + used - serves), max(0, serves - again - used)),
        ("ADVANCE", 0, again),
        ("OVERPAID", serves, used),
    )
    return Event("set-off", lines)


def diverted(fen: int) -> Event:
    """A payment went to another account: the debt is not called paid by us."""
    return Event("diverted", (("DIVERTED", fen, 0), ("DIVERSION_OPEN", 0, fen)))


def taken(loan: Balances, fen: int) -> Taken:
    """Money of the contract is in the locked account: the bank takes its part, the rest passes."""
    split: dict[str, int] = {}
    left = fen
    for account in ORDER:
        split[account] = min(left, max(0, loan.get(account, 0)))
        left -= split[account]
    events = [
        Event("collected", (("COLLECTED", fen, 0), ("CLEARING", 0, fen))),
        Event(
            "repaid",
            (
                ("CLEARING", fen - left, 0),
                *((account, 0, part) for account, part in split.items()),
            ),
        ),
    ]
    if left:
        events.append(Event("remainder", (("CLEARING", left, 0), ("REMAINDER", 0, left))))
        events.append(Event("released", (("REMAINDER", left, 0), ("COLLECTED", 0, left))))
    return Taken(tuple(events), split, left)


def is_paid(book: Balances) -> bool:
    """Whether everything was delivered and nothing of the price is open, retention included."""
    parts = ("UNDELIVERED", "RECEIVABLE", "RETENTION", "DIVERSION_OPEN")
    return book.get("PRICE", 0) < 0 and not any(book.get(part, 0) for part in parts)
