"""`financing figures`: the bureau's figures of a period."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import click

from financing import words
from financing.cli import shared
from financing.errors import Invalid
from financing.journeys import figures as reckoning
from financing.journeys.figures import Period, Standing
from financing.values.times import end_of, parse_date


@click.command("figures", epilog="Example: financing figures --period 2026-01-01..2026-03-31")
@click.option("--on", metavar="DATE", help="Day to judge (default: the store's business date).")
@click.option("--period", metavar="FROM..TO", help="Days of the period (default: the quarter).")
@shared.options
def figures(on: str | None, period: str | None, as_json: bool, lang: str) -> None:
    """Show what banks, purchasers, and this service achieved, each figure with its definition."""
    with shared.opened() as ctx, ctx.begin() as tx:
        now = end_of(parse_date(on)) - timedelta(seconds=1) if on else tx.now
        asof = replace(tx, now=now)
        chosen = _period(period) if period else reckoning.quarter(asof.today)
        found = reckoning.figures(asof, chosen)
    if as_json:
        shared.emit({"period": _days(chosen), "figures": [_document(one) for one in found]})
        return
    shared.say(f"{chosen.first_on} – {chosen.last_on}")
    for one in found:
        _line(one, lang)


def _period(given: str) -> Period:
    first, dots, last = given.partition("..")
    if not dots:
        raise Invalid(f"{given!r} is no period", where="--period", remedy="Write FROM..TO.")
    chosen = Period(parse_date(first), parse_date(last))
    if chosen.last_on < chosen.first_on:
        raise Invalid("the period ends before it begins", where="--period", remedy="Swap them.")
    return chosen


def _days(period: Period) -> dict[str, str]:
    return {"from": period.first_on.isoformat(), "to": period.last_on.isoformat()}


def _document(one: Standing) -> dict[str, object]:
    figure = one.figure
    return {
        "id": figure.id,
        "subject": figure.subject,
        "numerator": one.numerator,
        "denominator": one.denominator,
        "value": None if one.value is None else str(one.value),
        "unit": figure.unit,
        "too_few": one.is_few,
        "provisional": one.provisional,
        "statutory": one.lawful and {"numerator": one.lawful[0], "denominator": one.lawful[1]},
        "name": words.both(f"figure.{figure.id}.name"),
        "definition": words.both(f"figure.{figure.id}.definition"),
        "version": figure.version,
        "source": figure.source,
    }


def _line(one: Standing, lang: str) -> None:
    name = words.t(f"figure.{one.figure.id}.name", lang)
    value = "—" if one.value is None else f"{one.value} {words.t(f'unit.{one.figure.unit}', lang)}"
    few = f"  ({words.t('figure.few', lang)})" if one.is_few else ""
    shared.say(f"{one.figure.id:7} {name}: {value}  {one.numerator}/{one.denominator}{few}")
