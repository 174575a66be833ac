"""Figures and deadlines for the bureau's software, each figure open to its lines."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

from financing import words
from financing.errors import NotFound
from financing.journeys import figures as reckoning
from financing.journeys import lateness
from financing.journeys.figures import Line, Period, Standing
from financing.journeys.lateness import Late
from financing.reads.listing import Piece, in_order
from financing.rules.figures import BY_ID
from financing.store.db import Tx
from financing.web.api.table import Call, operation
from schemas import desk as shown
from schemas.fields import Day, Text
from schemas.shown import Asked


class OfQuarter(Asked):
    """Of one quarter; the current one otherwise."""

    period = Text(7, pattern=r"20[0-9]{2}-Q[1-4]", load_default="", metadata={"example": "2026-Q1"})


class OfRule(Asked):
    """Late on one day, by one rule."""

    on = Day(load_default=None)
    rule = Text(20, load_default=None, metadata={"example": "PAY"})


@operation(
    "GET",
    "/figures",
    permits=("figures.read",),
    asks=OfQuarter(),
    gives=shown.Figure(),
    is_list=True,
)
def list_figures(tx: Tx, call: Call) -> Piece:
    """Every figure of a quarter, as of today."""
    found = reckoning.figures(tx, _period(tx, call))
    return in_order(
        [_figure(each, call) for each in found], lambda each: (each.figure.id,), call.window
    )


@operation(
    "GET",
    "/figures/<figure>",
    permits=("figures.read",),
    asks=OfQuarter(),
    gives=shown.Figure(),
)
def get_figure(tx: Tx, call: Call, figure: str) -> SimpleNamespace:
    """One figure."""
    return _figure(_standing(tx, call, figure)[0], call)


@operation(
    "GET",
    "/figures/<figure>/rows",
    permits=("figures.read",),
    asks=OfQuarter(),
    gives=shown.FigureLine(),
    is_list=True,
)
def list_figure_rows(tx: Tx, call: Call, figure: str) -> Piece:
    """Every line of which a figure is made, oldest first."""
    return in_order(_standing(tx, call, figure)[1], _place_of_line, call.window)


@operation(
    "GET",
    "/deadlines",
    permits=("deadlines.read",),
    asks=OfRule(),
    gives=shown.Late(),
    is_list=True,
)
def list_deadlines(tx: Tx, call: Call) -> Piece:
    """What is late against the dated rules, most overdue first."""
    found = [
        row for row in lateness.late(tx, call.query["on"]) if call.query["rule"] in (None, row.rule)
    ]
    return in_order(found, _place_of_late, call.window)


def _place_of_line(line: Line) -> tuple[str, ...]:
    return (line.since.isoformat(), line.number, str(line.contract_id))


def _place_of_late(row: Late) -> tuple[str, ...]:
    return (row.due.isoformat(), row.rule, row.contract, row.kind, row.what, str(row.contract_id))


def _period(tx: Tx, call: Call) -> Period:
    year, _, number = call.query["period"].partition("-Q")
    return reckoning.quarter(date(int(year), 3 * int(number), 1) if year else tx.today)


def _standing(tx: Tx, call: Call, figure_id: str) -> tuple[Standing, list[Line]]:
    if figure_id not in BY_ID:
        raise NotFound("no such figure", where="figure")
    return reckoning.standing(tx, figure_id, _period(tx, call))


def _figure(each: Standing, call: Call) -> SimpleNamespace:
    law = each.lawful
    return SimpleNamespace(
        figure=each.figure,
        period=each.period,
        numerator=each.numerator,
        denominator=each.denominator,
        value=each.value,
        is_few=each.is_few,
        provisional=each.provisional,
        name=words.t(f"figure.{each.figure.id}.name", call.lang),
        definition=words.t(f"figure.{each.figure.id}.definition", call.lang),
        by_law=SimpleNamespace(numerator=law[0], denominator=law[1]) if law else None,
    )
