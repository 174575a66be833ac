"""Capacity (可融资额度): how much of a contract may still be financed, term by term.

open      = amount − paid − advances − retention − deductions − diverted     never below 0
available = open − held by other claims
capacity  = min(⌊available × share⌋, product cap, the firm's limit at that bank)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

WHOLE_BP: Final = 10_000

TermName = Literal[
    "amount", "paid", "advances", "retention", "deducted", "diverted", "open",
    "held", "available", "share", "cap", "limit", "capacity",
]  # fmt: skip


Source = Literal[
    "record", "statement", "purchaser", "treasury", "claims", "reckoned", "product", "bank"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Term:
    """One line of the reckoning as it is shown; words are `capacity.<name>`.

    Args:
        fen: what is taken off is negative.
        source: where the figure comes from; words are `capacity.from.<source>`.
        on: the day from which the figure is.
    """

    name: TermName
    fen: int
    source: Source
    on: date | None


@dataclass(frozen=True, slots=True)
class Receivable:
    """What is known of a contract's money, each figure with its source and day.

    Args:
        paid: cash on milestones, net of reversals, without advances.
        advances: all advances and early payments received.
        retention: all retention not yet due, withheld or to come.
        deducted: penalties and price cuts.
        diverted: paid to another account and not made good.
    """

    amount: Term
    paid: Term
    advances: Term
    retention: Term
    deducted: Term
    diverted: Term


@dataclass(frozen=True, slots=True)
class Capacity:
    """The reckoning for one bank's product, line by line; `fen` is its last line."""

    terms: tuple[Term, ...]
    fen: int


def open_fen(known: Receivable) -> int:
    """The open receivable of a contract: never below 0."""
    less = (known.paid, known.advances, known.retention, known.deducted, known.diverted)
    return max(0, known.amount.fen - sum(abs(term.fen) for term in less))


def retention_fen(base_fen: int, share_bp: int) -> int:
    """Retention of a share, rounded up: what is withheld is never counted as open."""
    return -(-base_fen * share_bp // WHOLE_BP)


def held_by(loan_fen: int, share_bp: int) -> int:
    """What a loan at a share takes of the receivable, rounded up so that nothing is taken twice."""
    return -(-loan_fen * WHOLE_BP // share_bp)


def capacity(
    known: Receivable,
    *,
    held_fen: int,
    share_bp: int,
    cap_fen: int,
    limit_fen: int | None = None,
    today: date | None = None,
) -> Capacity:
    """How much one product may lend on a contract.

    Args:
        held_fen: claims held by accepted offers, in receivable terms.
        share_bp: the product's share of the receivable.
        cap_fen: the product's largest loan.
        limit_fen: the firm's limit at that bank, where the bank has told one.
    """
    opened = open_fen(known)
    available = max(0, opened - held_fen)
    by_share = available * share_bp // WHOLE_BP
    limits = [by_share, cap_fen] + ([] if limit_fen is None else [limit_fen])
    result = max(0, min(limits))
    less = (known.paid, known.advances, known.retention, known.deducted, known.diverted)
    terms = [
        known.amount,
        *(Term(term.name, -abs(term.fen), term.source, term.on) for term in less),
        Term("open", opened, "reckoned", today),
        Term("held", -held_fen, "claims", today),
        Term("available", available, "reckoned", today),
        Term("share", by_share, "product", today),
        Term("cap", cap_fen, "product", today),
    ]
    if limit_fen is not None:
        terms.append(Term("limit", limit_fen, "bank", today))
    terms.append(Term("capacity", result, "reckoned", today))
    return Capacity(tuple(terms), result)
