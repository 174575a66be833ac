"""What is late today against the dated rules, counted in Chinese working days.

1. `late` every obligation that is open on a day and whose term has run out, most overdue first

One query per rule over all contracts; terms are reckoned in Python, once per trigger day. A
trigger that nobody knows makes no obligation. A breach of the law and one of the city's plan are
two rows, never one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from financing import words
from financing.journeys.confirmation import is_sme
from financing.rules.calendar import Holidays, is_guess_between, working_days_between
from financing.rules.deadlines import (
    AWARD_HISTORY_DAYS,
    Obligation,
    obligations,
    pay_clock,
    pay_term,
)
from financing.rules.profiles import PROFILES, profile
from financing.store import holidays
from financing.store.db import Tx
from financing.values.contract_facts import ContractFacts, from_json
from financing.values.times import civil, end_of


@dataclass(frozen=True, slots=True)
class Late:
    """One obligation that is late.

    Args:
        contract: its number, or which award it will be under; `contract_id` is ours.
        who: the one who has to act.
        what: the part of the price, for payments by milestone; else empty.
        kind: `statutory`, `plan`, or `notice`.
        provisional: a holiday notice is missing, or the text of the rule is unconfirmed.
    """

    rule: str
    contract: str
    contract_id: UUID
    who: str
    what: str
    due: date
    working_days_late: int
    kind: str
    source: str
    provisional: bool


@dataclass(frozen=True, slots=True)
class _Open:
    """One obligation that is open, before its term is reckoned."""

    rule: str
    trigger: str
    on: date
    row: Any
    what: str = ""
    is_sme: bool | None = None
    limit: int | None = None


# What happened after the day that is asked about had not happened yet on it.
_CONTRACT: Final = """
    SELECT c.id, c.number, c.profile, p.name AS purchaser, v.facts, {columns}
      FROM contract c
      JOIN organisation p ON p.id = c.purchaser_id
      JOIN contract_version v ON v.id = c.current_version_id
      {joins}
     WHERE c.profile = ANY(:profiles) AND c.state <> 'terminated' AND {where}
"""
_SIGN: Final = text(
    _CONTRACT.format(
        columns="c.award_on AS since",
        joins="",
        where="c.award_on < :on AND (c.signed_on IS NULL OR c.signed_on > :on)"
        " AND (c.number <> '' OR c.award_on >= :history"
        "      + CAST(c.created_at AT TIME ZONE INTERVAL '8 hours' AS date))",
    )
)
_FILE: Final = text(
    _CONTRACT.format(
        columns="c.signed_on AS since",
        joins="",
        where="c.signed_on < :on AND (c.filed_on IS NULL OR c.filed_on > :on)",
    )
)
_ANN: Final = text(
    _CONTRACT.format(
        columns="c.signed_on AS since",
        joins="",
        where="c.signed_on < :on AND (c.announced_on IS NULL OR c.announced_on > :on)",
    )
)
_CONFIRM: Final = text(
    _CONTRACT.format(
        columns="q.asked_at AS since",
        joins="JOIN confirmation q ON q.contract_id = c.id",
        where="q.asked_at < :until AND (q.state = 'asked' OR q.answered_at >= :until)",
    )
)
_ACC: Final = text(
    _CONTRACT.format(
        columns="c.signed_on AS since",
        joins="",
        where="c.signed_on < :on AND (c.accepted_on IS NULL OR c.accepted_on > :on)",
    )
)
_TELL: Final = text(
    _CONTRACT.format(
        columns="c.created_at AS since",
        joins="LEFT JOIN telling t ON t.contract_id = c.id AND t.kind = 'general'"
        " AND t.channel = 'inbox' AND t.sent_at < :until",
        where="c.created_at < :until AND t.id IS NULL"
        " AND (c.award_on IS NOT NULL OR c.number = '')",
    )
)
_PAY: Final = text(
    _CONTRACT.format(
        columns="""
           m.code, m.title AS part, m.due_on, c.delivered_on AS whole_delivered_on,
           c.accepted_on AS whole_accepted_on, m.delivered_on, m.accepted_on,
           m.amount_fen - m.retention_fen - m.advance_fen AS owed_fen,
           GREATEST(
             (SELECT COALESCE(SUM(l.debit_fen - l.credit_fen), 0) FROM ledger l
               WHERE l.book = 'contract' AND l.subject_id = c.id AND l.account = 'CASH'
                 AND l."on" <= :on),
             (SELECT COALESCE(SUM(f.amount_fen), 0) FROM published_payment f
               WHERE f.contract_id = c.id AND f.currency = c.currency AND f.paid_on <= :on)
           ) AS paid_fen""",
        joins="JOIN milestone m ON m.contract_id = c.id",
        where="c.signed_on < :on ORDER BY c.id, m.position",
    )
)


def late(tx: Tx, on: date | None = None) -> list[Late]:
    """Every obligation that is late on a day (today, unless another is given).

    Source: the rows of `rules/deadlines.py`, each with its own source.
    """
    day = on or tx.today
    known = holidays.known(tx)
    found = []
    for item in _open(tx, day):
        for owed in _owed(item, known):
            if owed.due.on < day:
                found.append(_late(tx, item, owed, day, known))
    return sorted(found, key=lambda each: (each.due, each.rule, each.contract, each.kind))


def _open(tx: Tx, day: date) -> Iterator[_Open]:
    """Open obligations of all rules whose trigger is recorded.

    The day on which a winner is decided is in no record, so NOTICE has no rows.
    """
    asked = {
        "on": day,
        "until": end_of(day),
        "history": -AWARD_HISTORY_DAYS,
        "profiles": [name for name, row in PROFILES.items() if row.scopes],
    }
    for row in tx.rows(_SIGN, asked):
        yield _Open("SIGN", "award-notice", row.since, row)
    for row in tx.rows(_ANN, asked):
        if not _facts(row).secret:
            yield _Open("ANN", "contract-signed", row.since, row)
    for row in tx.rows(_FILE, asked):
        yield _Open("FILE", "contract-signed", row.since, row)
    for row in tx.rows(_CONFIRM, asked):
        yield _Open("CONFIRM", "confirm-asked", civil(row.since), row, is_sme=is_sme(_facts(row)))
    for row in tx.rows(_ACC, asked):
        ends_on = _facts(row).inspection_ends_on
        if ends_on is not None:
            yield _Open("ACC", "inspection-ends", ends_on, row)
    yield from _unpaid(tx, asked, day)
    for row in tx.rows(_TELL, asked):
        yield _Open("TELL-WINNER", "award-known", civil(row.since), row)


def _unpaid(tx: Tx, asked: dict[str, Any], day: date) -> Iterator[_Open]:
    """Parts of prices whose term of payment runs and that no payment covers.

    Payments cover the parts in their order. A part that nobody reported as delivered or accepted
    is not owed yet, whatever day the contract names for it.
    """
    left: dict[UUID, int] = {}
    for row in tx.rows(_PAY, asked):
        have = left.setdefault(row.id, row.paid_fen)
        left[row.id] = max(0, have - row.owed_fen)
        if have >= row.owed_fen:
            continue
        facts = _facts(row)
        is_small = is_sme(facts)
        delivered = _until(day, row.delivered_on or row.whole_delivered_on)
        accepted = _until(day, row.accepted_on or row.whole_accepted_on)
        if is_small:
            clock = pay_clock(
                facts.payment_start,
                accepted_on=accepted,
                inspection_ends_on=facts.inspection_ends_on,
                delivered_on=delivered,
            )
            if clock is not None:
                limit = pay_term(facts.payment_days).days
                yield _Open("PAY", "pay-clock", clock.on, row, row.part, True, limit)
        elif row.due_on is not None and (delivered or accepted):
            yield _Open("PAY", "contract-due", row.due_on, row, row.part, is_small)


def _until(day: date, known: date | None) -> date | None:
    return known if known is not None and known <= day else None


def _facts(row: Any) -> ContractFacts:
    return from_json(row.facts)


def _owed(item: _Open, known: Holidays) -> list[Obligation]:
    return obligations(
        item.rule,
        profile(item.row.profile),
        item.on,
        known,
        is_sme=item.is_sme,
        trigger=item.trigger,
        limit=item.limit,
    )


def _late(tx: Tx, item: _Open, owed: Obligation, day: date, known: Holidays) -> Late:
    is_ours = owed.rule.owner == "operator"
    return Late(
        rule=owed.rule.id,
        contract=item.row.number
        or words.t("award.named", tx.actor.lang, award=_facts(item.row).award_id),
        contract_id=item.row.id,
        who=words.t("rule.owner.operator", tx.actor.lang) if is_ours else item.row.purchaser,
        what=item.what,
        due=owed.due.on,
        working_days_late=working_days_between(owed.due.on, day, known),
        kind=owed.rule.kind,
        source=owed.rule.source,
        provisional=owed.due.provisional
        or not owed.rule.confirmed
        or is_guess_between(owed.due.on, day, known),
    )
