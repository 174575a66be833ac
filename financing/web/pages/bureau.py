"""The bureau's pages: what is late today, who must act, and what was achieved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from sqlalchemy import select

from financing.errors import NotFound
from financing.journeys import figures as reckoning
from financing.journeys import lateness
from financing.journeys.figures import Period
from financing.journeys.lateness import Late
from financing.rules.figures import BY_ID
from financing.store.db import Tx
from financing.store.tables import contract, payment
from financing.store.visible import own
from financing.web.routes import Ask, Page, route

RULES = ("SIGN", "ANN", "FILE", "CONFIRM", "ACC", "PAY", "TELL-WINNER")
QUARTERS = 4


class Link(NamedTuple):
    """One rule of the chain of deadlines today: a breach of the plan and of the law apart."""

    rule: str
    due_today: int
    late: int
    late_by_law: int
    longest: int


def chain(today: Sequence[Late], late: Sequence[Late]) -> list[Link]:
    """What is due today and what is late, by rule."""
    found = []
    for rule in RULES:
        mine = [row for row in late if row.rule == rule]
        found.append(
            Link(
                rule,
                len({(row.contract_id, row.what) for row in today if row.rule == rule}),
                len({(row.contract_id, row.what) for row in mine}),
                len({(row.contract_id, row.what) for row in mine if row.kind == "statutory"}),
                max((row.working_days_late for row in mine), default=0),
            )
        )
    return found


def _due_today(tx: Tx) -> list[Late]:
    """What runs out with this day: late tomorrow, unless it is done today."""
    return [row for row in lateness.late(tx, tx.today + timedelta(days=1)) if row.due == tx.today]


def period_of(ask: Ask, today: date) -> Period:
    """The quarter that the reader chose: `2026-Q1`; the current one otherwise."""
    year, _, number = ask.text("period").partition("-Q")
    if year.isdigit() and number in ("1", "2", "3", "4") and 2000 <= int(year) <= today.year:
        return reckoning.quarter(date(int(year), 3 * int(number), 1))
    return reckoning.quarter(today)


def quarters(today: date) -> list[Period]:
    """The current quarter and those before it."""
    found = [reckoning.quarter(today)]
    while len(found) < QUARTERS:
        found.append(reckoning.quarter(found[-1].first_on - timedelta(days=1)))
    return found


def _figures(tx: Tx, ask: Ask) -> tuple[Period, list[reckoning.Standing]]:
    """The chosen quarter; without a choice the newest of the last four with most figures in it."""
    current = period_of(ask, tx.today)
    candidates = [current] if ask.text("period") else quarters(tx.today)
    for period in candidates:
        found = reckoning.figures(tx, period)
        if 2 * sum(1 for standing in found if standing.denominator) > len(found):
            return period, found
    return current, reckoning.figures(tx, current)


@route("GET", "/figures", permit="figures.read")
def figures_page(tx: Tx, ask: Ask) -> Page:
    """What is due and late today, and what was achieved?"""
    late, today = lateness.late(tx), _due_today(tx)
    links = chain(today, late)
    period, figures = _figures(tx, ask)
    return Page(
        "bureau/figures.html",
        {
            "chain": links,
            "due_today": sum(link.due_today for link in links),
            "late": sum(link.late for link in links),
            "worst": max(links, key=lambda link: (link.late, link.longest)),
            "provisional": any(row.provisional for row in late),
            "figures": figures,
            "period": period,
            "quarters": quarters(tx.today),
            "diverted": tx.rows(
                select(payment, contract.c.number, contract.c.title)
                .join(contract, contract.c.id == payment.c.contract_id)
                .where(own(tx.actor, "payment"), payment.c.state == "diverted")
                .order_by(payment.c.value_on.desc())
            ),
        },
    )


@route("GET", "/figures/<figure_id>", permit="figures.read")
def figure_page(tx: Tx, ask: Ask, figure_id: str) -> Page:
    """Is this number right? Every line of which it is made."""
    if figure_id not in BY_ID:
        raise NotFound("no such figure", where="figure")
    standing, found = reckoning.standing(tx, figure_id, period_of(ask, tx.today))
    return Page(
        "bureau/figure.html",
        {
            "standing": standing,
            "lines": found,
            "parties": (
                [] if standing.figure.subject == "service" else reckoning.by_who(standing, found)
            ),
        },
    )


@route("GET", "/deadlines", permit="deadlines.read")
def deadlines_page(tx: Tx, ask: Ask) -> Page:
    """Who must act today?"""
    chosen = ask.text("rule") if ask.text("rule") in RULES else ""
    late = [row for row in lateness.late(tx) if chosen in ("", row.rule)]
    today = [row for row in _due_today(tx) if chosen in ("", row.rule)]
    return Page(
        "bureau/deadlines.html",
        {
            "late": late,
            # One duty that is late by plan and by law stands in two rows, and is one duty.
            "duties": len({(row.contract_id, row.rule, row.what) for row in late}),
            "today_due": today,
            "rules": RULES,
            "chosen": chosen,
            "owners": len({row.who for row in late}),
            "provisional": any(row.provisional for row in late),
        },
    )
