"""The bank's answers: by poll and by signed event, one code path (`reporting.py`).

1. `answer_due`   signed events (`receiving.py` kept them) are read and reported, in order
2. `replay`       an event or an item of the feed that was parked is reported again
3. `poll_due`     errand: the bank's feed since our cursor, page by page
4. `take_receipt` what the bank said when it took a request
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update

from bank_adapters import registry
from bank_adapters.port import Adapter, BankError, Delivery, Echo, PollQuery, Receipt, Report
from financing.context import Context
from financing.journeys import banks, reporting
from financing.journeys.outcome import Outcome
from financing.store import outbox
from financing.store.db import Tx
from financing.store.move import move
from financing.store.outbox import Work
from financing.store.parking import park
from financing.store.tables import (
    bank,
    inbox,
)
from financing.values import ids
from financing.values.parked import Parked
from financing.values.times import wall_now

LIVE = (
    "draft",
    "sending",
    "asking",
    "submitted",
    "reviewing",
    "action-required",
    "offered",
    "accepted",
    "contracted",
    "locked",
    "drawn",
)
GAP_WAIT_S = 60
EVENT = "event "  # of a parked thing's place: before the id under which the inbox keeps it
MAX_PAGES = 20


# ── 1. Events that were kept ──────────────────────────────────────────────────────────────────


def answer_due(tx: Tx, works: Sequence[Work]) -> list[Work]:
    """Read kept events and report them; returns the rows that wait for an earlier event."""
    rows = {
        row.id: row
        for row in tx.rows(select(inbox).where(inbox.c.id.in_([work.subject_id for work in works])))
    }
    said = {row.id: _read(tx, row.source, row.raw) for row in rows.values() if not row.outcome}
    reporting.lock_all(tx, [item for read in said.values() for item in read.reports])
    waiting = []
    for work in works:
        row = rows[work.subject_id] if work.subject_id else None
        if row is None or row.outcome is not None:
            continue
        overdue = (wall_now() - row.received_at).total_seconds() > GAP_WAIT_S
        outcome = _reported(tx, said[row.id], forced=overdue)
        if outcome.word == "waits":
            outbox.later(tx, work, 0.5, error=outcome.why, failed=False)
            waiting.append(work)
            continue
        if outcome.word == "parked":
            put_aside(tx, row.source, f"{EVENT}{row.message_id}", row.raw, outcome.why)
        settle(tx, row.id, outcome)
    return waiting


def parse(adapter: Adapter, raw: bytes) -> Sequence[Report]:
    """What a signed message reports; none for a ping.

    Raises:
        BankError: it cannot be read; `unreadable` says so in one line.
    """
    return adapter.parse_event(
        Delivery(
            body=raw,
            content_type="application/json",
            headers={},
            signed=True,
            received_at=wall_now(),
        )
    )


def unreadable(problem: BankError) -> Outcome:
    """An event that its adapter cannot read."""
    place = f" ({problem.where})" if problem.where else ""
    return Outcome("parked", f"EVENT-UNREADABLE: {problem.detail}{place}")


@dataclass(frozen=True, slots=True)
class _Said:
    """A kept event as its adapter read it."""

    bank_row: Row[Any]
    reports: Sequence[Report] = ()
    fault: Outcome | None = None


def _read(tx: Tx, source: str, raw: bytes) -> _Said:
    bank_row = banks.by_code(tx, source)
    try:
        return _Said(bank_row, parse(registry.adapter(bank_row.adapter), raw))
    except BankError as problem:
        return _Said(bank_row, fault=unreadable(problem))


def _reported(tx: Tx, said: _Said, *, forced: bool) -> Outcome:
    if said.fault is not None:
        return said.fault
    if not said.reports:
        return Outcome("kept", "a kind of event that moves nothing")
    outcomes = [reporting.report(tx, said.bank_row, one, forced=forced) for one in said.reports]
    return next((one for one in outcomes if one.word == "parked"), outcomes[0])


def settle(tx: Tx, event_id: UUID, outcome: Outcome) -> None:
    """Write down what became of a kept event."""
    tx.db.execute(
        update(inbox)
        .where(inbox.c.id == event_id)
        .values(outcome=outcome.word, outcome_why=outcome.why, handled_at=wall_now())
    )


def put_aside(tx: Tx, source: str, place: str, raw: bytes, why: str) -> None:
    """Keep what a bank said and nobody can use, for a person, with its bytes."""
    park(
        tx,
        [
            Parked(
                kind="event",
                source=source,
                where=place,
                value=place.partition(" ")[2],
                reason=why,
                remedy=(
                    "Ask the bank to send it as documented."
                    if why.startswith("EVENT-UNREADABLE")
                    else "Ask the bank which application it means, then replay."
                ),
                raw=raw,
            )
        ],
    )


# ── 2. What was put aside, again ─────────────────────────────────────────────────────────────


def replay(tx: Tx, row: Row[Any]) -> bool:
    """Report a parked event, or item of a feed, again; whether it could be used now."""
    outcome = _reported(tx, _read(tx, row.source, row.raw), forced=True)
    if outcome.word == "parked":
        return False
    if row.place.startswith(EVENT):
        event_id = tx.db.execute(
            select(inbox.c.id).where(
                inbox.c.source == row.source, inbox.c.message_id == row.place[len(EVENT) :]
            )
        ).scalar_one()
        settle(tx, event_id, outcome)
    return True


# ── 3. The feed is polled ────────────────────────────────────────────────────────────────────


def poll_due(ctx: Context, bank_code: str, works: Sequence[Work]) -> None:
    """Read everything since our cursor; each page commits together with the cursor."""
    with ctx.begin() as tx:
        row = banks.by_code(tx, bank_code)
    adapter, call = banks.line(ctx, row, "poll")
    cursor = row.cursor
    for _ in range(MAX_PAGES):
        page = adapter.poll(call, PollQuery(cases=[], cursor=cursor, limit=200))
        with ctx.begin() as tx:
            reporting.lock_all(tx, page.reports)
            for item in page.reports:
                outcome = reporting.report(tx, row, item, forced=True)
                if outcome.word == "parked":
                    named = item.bank_reference or item.bank_event_id or item.bank_status
                    put_aside(tx, row.code, f"poll {named}"[:200], item.raw, outcome.why)
            tx.db.execute(
                update(bank)
                .where(bank.c.id == row.id)
                .values(cursor=page.cursor, cursor_at=wall_now())
            )
        cursor = page.cursor
        if not page.more:
            break
    with ctx.begin() as tx:
        outbox.done(tx, works)


# ── 4. The receipt of a request ──────────────────────────────────────────────────────────────


def take_receipt(tx: Tx, bank_row: Row[Any], application_id: UUID, receipt: Receipt | None) -> None:
    """Record what the bank said when it was given an application; missing means ask."""
    case = reporting.locked(tx, application_id)
    if case.state not in ("sending", "asking"):
        return  # an event was faster
    if receipt is not None and _is_about_another(case, receipt.echo):
        reporting.hold(tx, case, "the receipt names another application")
        receipt = None
    if receipt is None or receipt.outcome == "unknown":
        if case.state == "sending":
            move(tx, "application", case.id, "unclear")
        return
    if receipt.outcome == "delivered":
        return
    if receipt.outcome == "refused":
        code = receipt.refusal.code if receipt.refusal else "R99"
        case = reporting.acked(tx, case, receipt.bank_reference)
        reporting.refuse(tx, case, code, receipt.refusal.text if receipt.refusal else "")
        return
    case = reporting.acked(tx, case, receipt.bank_reference)
    fault = reporting.echo_fault(tx, case, receipt.echo, amount_at_most=None)
    if fault:
        reporting.hold(tx, case, fault)


def _is_about_another(case: Row[Any], echo: Echo) -> bool:
    return echo.application is not None and echo.application != ids.show("ap", case.id)
