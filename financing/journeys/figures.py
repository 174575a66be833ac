"""The bureau's figures (激励机制), each made of its lines and opened to them.

1. `figures` every figure of a period as it stands on a day
2. `lines`   the lines of one figure: what was counted, how, and about whom
3. `by_who`  the same figure of each bank or purchaser apart
4. `quarter` the period that a day falls in

Excluded: nothing yet; a case that we parked is in no line, because no contract of it exists.
Source: the table `rules/figures.py`, each row with its own source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text

from financing.errors import NotFound
from financing.rules.calendar import Holidays, working_days_between
from financing.rules.deadlines import Obligation, obligations
from financing.rules.figures import BY_ID, FIGURES, Figure
from financing.rules.profiles import profile
from financing.store import holidays
from financing.store.db import Tx
from financing.values.times import civil, end_of, start_of

HOUR_S = 3600


class Period(NamedTuple):
    """Days of a period, both included."""

    first_on: date
    last_on: date


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a figure counts.

    Args:
        who: the bank, purchaser, or supplier whom it is about.
        counts: whether it is in the numerator.
        by_law: the same against the statutory term, where the figure has one apart.
        measure: hours or days from since to until; of what is still open, the time so far.
        due: the last day of the term by which it was judged.
        provisional: the term rests on a holiday notice or a text that is not confirmed.
    """

    contract_id: UUID
    number: str
    who: str
    since: date
    until: date | None
    counts: bool
    by_law: bool | None = None
    measure: int | None = None
    due: date | None = None
    provisional: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A figure of a period.

    Args:
        numerator, denominator: lines that count, of all lines.
        value: percent with one digit, or the middle value in the figure's unit; None without lines.
        lawful: numerator and denominator against the statutory term, where that is apart.
        is_few: fewer lines than a figure may be made of.
    """

    figure: Figure
    period: Period
    numerator: int
    denominator: int
    value: Decimal | None
    lawful: tuple[int, int] | None
    is_few: bool
    provisional: bool


def quarter(day: date) -> Period:
    """The calendar quarter of a day."""
    first = date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
    following = (first + timedelta(days=100)).replace(day=1)
    return Period(first, following - timedelta(days=1))


def figures(tx: Tx, period: Period | None = None) -> list[Standing]:
    """Every figure of a period (the current quarter, unless another is given), as of today."""
    chosen = period or quarter(tx.today)
    return [_standing(row, chosen, lines(tx, row.id, chosen)) for row in FIGURES]


def standing(tx: Tx, figure_id: str, period: Period) -> tuple[Standing, list[Line]]:
    """One figure with the lines of which it is made."""
    found = lines(tx, figure_id, period)
    return _standing(BY_ID[figure_id], period, found), found


def by_who(whole: Standing, found: Sequence[Line]) -> list[tuple[str, Standing]]:
    """The figure of each one whom it measures, made of that one's lines, by name."""
    lines_of: dict[str, list[Line]] = {}
    for line in found:
        lines_of.setdefault(line.who, []).append(line)
    return [
        (who, _standing(whole.figure, whole.period, mine)) for who, mine in sorted(lines_of.items())
    ]


def lines(tx: Tx, figure_id: str, period: Period) -> list[Line]:
    """The lines of one figure, in order of time.

    Raises:
        NotFound: no figure of that name.
    """
    figure = BY_ID.get(figure_id)
    if figure is None:
        raise NotFound("no such figure", where="figure")
    until = end_of(period.last_on)
    rows = tx.rows(
        text(figure.facts),
        {
            "since": start_of(period.first_on),
            "until": until,
            "first_on": period.first_on,
            "last_on": period.last_on,
            "now": tx.now,
        },
    )
    known = holidays.known(tx)
    if figure.judge == "deadline":
        return [line for row in rows for line in _by_deadline(tx, figure, row, period, known)]
    if figure.judge == "told":
        return [line for row in rows for line in _told(tx, figure, row, known)]
    asof = min(tx.now, until)
    return [_measured(figure, row, asof) for row in rows]


def _measured(figure: Figure, row: Any, asof: datetime) -> Line:
    ended = row.until or asof
    seconds = int((ended - row.since).total_seconds())
    measure = None
    if figure.judge == "hours":
        measure = max(0, seconds - int(row.supplier_s)) // HOUR_S
    elif figure.judge == "days":
        measure = (civil(ended) - civil(row.since)).days
    return Line(
        row.contract_id,
        row.number,
        row.who,
        civil(row.since),
        civil(row.until) if row.until else None,
        row.is_done,
        measure=measure,
    )


def _owed(figure: Figure, row: Any, since: date, known: Holidays) -> dict[bool, Obligation]:
    """The terms of a row: of the plan or a notice (False), and the statutory one (True)."""
    found = obligations(figure.rule, profile(row.profile), since, known)
    return {owed.rule.kind == "statutory": owed for owed in found}


def _by_deadline(
    tx: Tx, figure: Figure, row: Any, period: Period, known: Holidays
) -> Sequence[Line]:
    """A line whose stricter term fell due in the period; what is open past it does not count."""
    owed = _owed(figure, row, row.since, known)
    term = owed.get(False) or owed.get(True)
    if term is None or not period.first_on <= term.due.on <= min(period.last_on, tx.today):
        return ()
    done = row.until if row.until is not None and row.until <= tx.today else None
    if done is None and term.due.on == tx.today:
        return ()  # the day is not over
    law = owed.get(True)
    if law is not None and done is None and law.due.on >= tx.today:
        law = None  # the term of the law runs yet: neither kept nor broken
    return (
        Line(
            row.contract_id,
            row.number,
            row.who,
            row.since,
            done,
            done is not None and done <= term.due.on,
            by_law=None if law is None else (done or tx.today) <= law.due.on,
            measure=working_days_between(term.due.on, done or tx.today, known),
            due=term.due.on,
            provisional=term.due.provisional or not term.rule.confirmed,
        ),
    )


def _told(tx: Tx, figure: Figure, row: Any, known: Holidays) -> Sequence[Line]:
    """A winner who was to be told: told in time, with evidence of delivery."""
    since = civil(row.since)
    term = _owed(figure, row, since, known).get(False)
    told = civil(row.until) if row.until else None
    if term is None or (told is None and term.due.on >= tx.today):
        return ()
    return (
        Line(
            row.contract_id,
            row.number,
            row.who,
            since,
            told,
            told is not None and told <= term.due.on,
            due=term.due.on,
            provisional=term.due.provisional,
        ),
    )


def _standing(figure: Figure, period: Period, found: Sequence[Line]) -> Standing:
    numerator, denominator = sum(line.counts for line in found), len(found)
    lawful = [line.by_law for line in found if line.by_law is not None]
    value: Decimal | None = None
    if figure.unit == "percent" and denominator:
        value = (Decimal(100 * numerator) / denominator).quantize(Decimal("0.1"), ROUND_HALF_UP)
    elif found:
        # Nearest rank: the middle line itself, never a number between two lines.
        ranked = sorted(line.measure or 0 for line in found)
        value = Decimal(ranked[(denominator - 1) // 2])
    return Standing(
        figure,
        period,
        numerator,
        denominator,
        value,
        (sum(lawful), len(lawful)) if lawful else None,
        denominator < figure.fewest,
        any(line.provisional for line in found),
    )
