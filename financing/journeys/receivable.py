"""What is known of a contract's money, as a set: from its record, its people, and its books.

1. `receivables` amount, payments, advances, retention, deductions, and diversions of contracts

Three witnesses tell of payments: the published record, the purchaser's confirmation, and the
booked statements. They tell of the same money, so the largest counts, never their sum; what was
booked after the purchaser spoke comes on top of the purchaser's word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from financing.rules.capacity import Receivable, Source, Term, open_fen, retention_fen
from financing.store.db import Tx
from financing.values.times import parse_date

_MONEY: Final = text("""
    SELECT c.id, c.number, c.amount_fen, c.currency, c.held_fen, c.signed_on,
           book.*, told.paid_fen AS told_fen, told.answered_on, v.facts,
           record.fen AS record_fen, record.first_on AS record_first_on,
           record.last_on AS record_last_on, kept.to_come_fen
      FROM contract c
      LEFT JOIN contract_version v ON v.id = c.current_version_id
      LEFT JOIN LATERAL (
           SELECT q.paid_fen, (q.answered_at AT TIME ZONE INTERVAL '8 hours')::date AS answered_on
             FROM confirmation q WHERE q.contract_id = c.id AND q.state = 'confirmed'
            ORDER BY q.answered_at DESC LIMIT 1) told ON true
      LEFT JOIN LATERAL (
           SELECT SUM(l.debit_fen - l.credit_fen) FILTER (WHERE account = 'CASH') AS cash_fen,
                  SUM(l.debit_fen - l.credit_fen) FILTER (
                      WHERE account = 'CASH' AND l."on" > told.answered_on) AS cash_since_fen,
                  SUM(l.credit_fen - l.debit_fen) FILTER (
                      WHERE account = 'ADVANCE' AND payment_id IS NOT NULL) AS advance_fen,
                  SUM(l.debit_fen - l.credit_fen) FILTER (
                      WHERE account = 'RETENTION') AS retained_fen,
                  SUM(l.debit_fen - l.credit_fen) FILTER (
                      WHERE account = 'DEDUCTED') AS deducted_fen,
                  SUM(l.debit_fen - l.credit_fen) FILTER (
                      WHERE account = 'DIVERTED') AS diverted_fen,
                  MIN(l."on") FILTER (WHERE account = 'CASH') AS cash_first_on,
                  MAX(l."on") FILTER (WHERE account = 'CASH') AS cash_last_on
             FROM ledger l WHERE l.book = 'contract' AND l.subject_id = c.id) book ON true
      LEFT JOIN LATERAL (
           SELECT SUM(f.amount_fen) AS fen, MIN(f.paid_on) AS first_on, MAX(f.paid_on) AS last_on
             FROM published_payment f
            WHERE f.contract_id = c.id AND f.currency = c.currency
              AND (f.paid_on IS NULL OR f.paid_on <= :today)) record ON true
      LEFT JOIN LATERAL (
           SELECT SUM(m.retention_fen) AS to_come_fen FROM milestone m
            WHERE m.contract_id = c.id AND m.accepted_on IS NULL) kept ON true
     WHERE c.id = ANY(:ids)
""")


@dataclass(frozen=True, slots=True)
class Money:
    """One contract's money.

    Args:
        paid: what each witness says was paid: `record`, `purchaser`, `statement`.
        has_feed: a record or statement tells of payments.
        known: the terms of the reckoning, from which the open receivable follows.
    """

    paid: tuple[tuple[Source, int], ...]
    has_feed: bool
    first_paid_on: date | None
    last_paid_on: date | None
    held_fen: int
    known: Receivable

    @property
    def open_fen(self) -> int:
        return open_fen(self.known)


def receivables(tx: Tx, ids: Sequence[UUID]) -> Mapping[UUID, Money]:
    """What is known of the money of these contracts, in one query.

    Source: rules of capacity; 民法典 第五百五十七条 for what payment ends.
    """
    rows = tx.rows(_MONEY, {"ids": list(ids), "today": tx.today})
    return {row.id: _money(row, tx.today) for row in rows}


def _money(row: Any, today: date) -> Money:
    paid: dict[Source, tuple[int, date | None]] = {}
    if row.record_fen is not None:
        paid["record"] = (int(row.record_fen), row.record_last_on)
    if row.told_fen is not None:
        paid["purchaser"] = (int(row.told_fen) + int(row.cash_since_fen or 0), row.answered_on)
    if row.cash_fen is not None:
        paid["statement"] = (int(row.cash_fen), row.cash_last_on)
    source: Source = max(paid, key=lambda name: paid[name][0], default="record")
    paid_fen, paid_on = paid.get(source, (0, None))
    advance_fen = int(row.advance_fen or 0)
    days = [row.record_first_on, row.record_last_on, row.cash_first_on, row.cash_last_on]
    known_days = [day for day in days if day is not None]
    return Money(
        paid=tuple((name, fen) for name, (fen, _) in paid.items()),
        has_feed=row.record_fen is not None or row.cash_fen is not None,
        first_paid_on=min(known_days, default=None),
        last_paid_on=max(known_days, default=None),
        held_fen=row.held_fen,
        known=Receivable(
            amount=Term("amount", row.amount_fen or 0, "record", row.signed_on),
            paid=Term("paid", max(0, paid_fen - advance_fen), source, paid_on),
            advances=Term("advances", advance_fen, "statement", row.cash_last_on),
            retention=Term(
                "retention",
                _retention_fen(row, today),
                "record",
                row.signed_on,
            ),
            deducted=Term("deducted", int(row.deducted_fen or 0), "record", None),
            diverted=Term("diverted", int(row.diverted_fen or 0), "treasury", None),
        ),
    )


def _retention_fen(row: Any, today: date) -> int:
    """Retention (质保金) not due yet: by parts of the price, or by the contract as a whole."""
    facts = row.facts or {}
    until = facts.get("retention_until")
    if until and parse_date(until) <= today:
        return 0
    by_parts = int(row.retained_fen or 0) + int(row.to_come_fen or 0)
    agreed_fen: int | None = facts.get("retention_fen")
    if agreed_fen is None:
        agreed_fen = retention_fen(row.amount_fen or 0, facts.get("retention_bp") or 0)
    return max(by_parts, agreed_fen)
