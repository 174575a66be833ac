"""The bank's answers: by poll and by signed event, one code path.

1. `answer_due`   signed events (`receiving.py` kept them) are read and reported, in order
2. `replay`       an event or an item of the feed that was parked is reported again
3. `poll_due`     errand: the bank's feed since our cursor, page by page
4. `take_receipt` what the bank said when it took a request
5. `report`       one report about one application moves it, or is recorded and changes nothing

A repeated, late, or reordered report changes nothing. One that contradicts what we sent (the
echo) is held for a person: no transition, the bank and the operator are told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from bank_adapters import registry
from bank_adapters.port import Adapter, BankError, Delivery, Echo, PollQuery, Receipt, Report
from financing.context import Context
from financing.errors import NotFound
from financing.journeys import banks, loans
from financing.journeys.outcome import Outcome
from financing.rules import lifecycles
from financing.store import outbox
from financing.store.db import Tx, lock
from financing.store.move import move
from financing.store.outbox import Work
from financing.store.parking import park
from financing.store.tables import (
    account_version,
    application,
    bank,
    bank_word,
    contract,
    inbox,
    packet,
)
from financing.values import canonical, ids
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
# A bank that says these once the loan is signed goes back: nothing moves, a person looks.
BEGINNINGS = ("received", "reviewing", "info_required", "offered")
BOUND = ("contracted", "locked", "drawn", "closed")
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
    waiting = []
    for work in works:
        row = rows[work.subject_id] if work.subject_id else None
        if row is None or row.outcome is not None:
            continue
        overdue = (wall_now() - row.received_at).total_seconds() > GAP_WAIT_S
        outcome = _read(tx, row.source, row.raw, forced=overdue)
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


def _read(tx: Tx, source: str, raw: bytes, *, forced: bool) -> Outcome:
    bank_row = banks.by_code(tx, source)
    try:
        reports = parse(registry.adapter(bank_row.adapter), raw)
    except BankError as problem:
        return unreadable(problem)
    if not reports:
        return Outcome("kept", "a kind of event that moves nothing")
    outcomes = [report(tx, bank_row, item, forced=forced) for item in reports]
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
                remedy="Ask the bank which application it means, then replay.",
                raw=raw,
            )
        ],
    )


# ── 2. What was put aside, again ─────────────────────────────────────────────────────────────


def replay(tx: Tx, row: Row[Any]) -> bool:
    """Report a parked event, or item of a feed, again; whether it could be used now."""
    outcome = _read(tx, row.source, row.raw, forced=True)
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
            for item in page.reports:
                outcome = report(tx, row, item, forced=True)
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
    case = _locked(tx, application_id)
    if case.state not in ("sending", "asking"):
        return  # an event was faster
    if receipt is not None and _is_about_another(case, receipt.echo):
        _hold(tx, case, "the receipt names another application")
        receipt = None
    if receipt is None or receipt.outcome == "unknown":
        if case.state == "sending":
            move(tx, "application", case.id, "unclear")
        return
    if receipt.outcome == "delivered":
        return
    if receipt.outcome == "refused":
        code = receipt.refusal.code if receipt.refusal else "R99"
        case = _acked(tx, case, receipt.bank_reference)
        move(
            tx,
            "application",
            case.id,
            "refuse",
            facts={"reason": code},
            reason_code=code,
            reason_text=receipt.refusal.text if receipt.refusal else "",
            decided_at=tx.now,
        )
        return
    case = _acked(tx, case, receipt.bank_reference)
    fault = _echo_fault(tx, case, receipt.echo, amount_at_most=None)
    if fault:
        _hold(tx, case, fault)


def _is_about_another(case: Row[Any], echo: Echo) -> bool:
    return echo.application is not None and echo.application != ids.show("ap", case.id)


def _acked(tx: Tx, case: Row[Any], reference: str | None) -> Row[Any]:
    if case.state not in ("sending", "asking"):
        return case
    return move(
        tx,
        "application",
        case.id,
        "acked",
        submitted_at=tx.now,
        bank_reference=reference or case.bank_reference,
    )


# ── 5. One report about one application ──────────────────────────────────────────────────────


def report(tx: Tx, bank_row: Row[Any], item: Report, *, forced: bool = False) -> Outcome:
    """Let one report of a bank take its effect, once.

    Args:
        forced: apply although an earlier report is missing (feed in order, or waited long enough).
    """
    case = _attributed(tx, bank_row, item)
    if isinstance(case, Outcome):
        return case
    early = _out_of_turn(tx, case, item, forced=forced)
    if early is not None:
        return early
    act = ACTS.get(item.status)
    if act is None or (item.status in BEGINNINGS and case.state in BOUND):
        word = item.bank_status if act is None else f"{item.bank_status} after {case.state}"
        _note_word(tx, bank_row.id, word)
        _seen(tx, case, item)
        return Outcome("kept", f"{word} moves nothing")
    if case.state in ("sending", "asking"):
        case = _acked(tx, case, item.bank_reference)
    outcome = act(tx, case, item)
    if outcome.word != "waits":
        _seen(tx, case, item)
    if outcome.word == "applied" and case.hold_at is not None:
        # The bank has answered again, and this answer fits: nothing is left to look into.
        end = update(application).where(application.c.id == case.id)
        tx.db.execute(end.values(hold_at=None, hold_why=None))
    return outcome


def _attributed(tx: Tx, bank_row: Row[Any], item: Report) -> Row[Any] | Outcome:
    """The application that a report speaks of, locked; or what becomes of one that has none."""
    if item.unreadable:
        return Outcome("parked", f"ITEM-UNREADABLE: {item.unreadable}")
    case = _case_of(tx, bank_row, item)
    if case is not None:
        return case
    if item.status == "unknown" and not _names_a_case(item):
        _note_word(tx, bank_row.id, item.bank_status)
        return Outcome("kept", f"{item.bank_status} moves nothing")
    named = item.echo.application or item.echo.request_id or item.bank_reference or "nothing"
    said = f"APPLICATION-UNKNOWN: {item.bank_status}: the report names {named}"
    return Outcome("parked", said)


def _out_of_turn(tx: Tx, case: Row[Any], item: Report, *, forced: bool) -> Outcome | None:
    """What becomes of a report that is not the next one of its application."""
    if item.sequence is None:
        return None if case.hold_at is None else Outcome("held", str(case.hold_why))
    if item.sequence == case.sequence and item.bank_status != case.bank_status:
        return _hold(tx, case, f"two answers under sequence {item.sequence}")
    if item.sequence <= case.sequence:
        return Outcome("confirmed", "known already")
    if item.sequence > case.sequence + 1 and not forced:
        return Outcome("waits", f"sequence {case.sequence + 1} is missing")
    return None


def _names_a_case(item: Report) -> bool:
    return bool(item.echo.application or item.echo.request_id or item.bank_reference)


def _note_word(tx: Tx, bank_id: UUID, word: str) -> None:
    """Count a word that nobody here knows; the operator is told of each once."""
    new = tx.one(
        upsert(bank_word)
        .values(bank_id=bank_id, word=word, times=1, first_at=tx.now, last_at=tx.now)
        .on_conflict_do_nothing(index_elements=["bank_id", "word"])
        .returning(bank_word.c.word)
    )
    if new is None:
        tx.db.execute(
            update(bank_word)
            .where(bank_word.c.bank_id == bank_id, bank_word.c.word == word)
            .values(times=bank_word.c.times + 1, last_at=tx.now)
        )
        return
    outbox.enqueue(
        tx,
        "notify",
        f"notify:word:{bank_id}:{word}",
        subject_id=bank_id,
        args={"kind": "bank", "notices": ["NEW-WORD"], "facts": {"word": word}},
    )


def _seen(tx: Tx, case: Row[Any], item: Report) -> None:
    values: dict[str, Any] = {"bank_status": item.bank_status}
    if item.sequence is not None:
        values["sequence"] = item.sequence
    tx.db.execute(update(application).where(application.c.id == case.id).values(**values))


def _case_of(tx: Tx, bank_row: Row[Any], item: Report) -> Row[Any] | None:
    found = None
    try:
        if item.echo.application:
            wanted = ids.read("ap", item.echo.application)
            found = tx.one(
                select(application.c.id, application.c.bank_id).where(application.c.id == wanted)
            )
        elif item.echo.request_id:
            wanted = ids.read("rq", item.echo.request_id)
            found = tx.one(
                select(application.c.id, application.c.bank_id).where(
                    application.c.request_id == wanted
                )
            )
    except NotFound:
        return None
    if found is None or found.bank_id != bank_row.id:
        return None  # another bank's case is as unknown to this bank as none
    return _locked(tx, found.id)


def _locked(tx: Tx, application_id: UUID) -> Row[Any]:
    contract_id = tx.db.execute(
        select(application.c.contract_id).where(application.c.id == application_id)
    ).scalar_one()
    lock(tx, contract, [contract_id])
    return lock(tx, application, [application_id])[0]


def _echo_fault(tx: Tx, case: Row[Any], echo: Echo, *, amount_at_most: int | None) -> str | None:
    """What in the echo differs from what we sent; silence is no fault here."""
    facts = tx.db.execute(
        select(contract.c.number, packet.c.identity, packet.c.account_digest)
        .join(application, application.c.contract_id == contract.c.id)
        .join(packet, packet.c.id == application.c.packet_id)
        .where(application.c.id == case.id)
    ).one()
    if echo.packet_digest is not None and echo.packet_digest != facts.identity:
        return "packet_digest"
    if echo.contract_number is not None and echo.contract_number != facts.number:
        return "contract_number"
    if echo.account_digest is not None and echo.account_digest != facts.account_digest:
        return "account_digest"
    if echo.amount is not None:
        if echo.amount.currency != case.currency:
            return "currency"
        if amount_at_most is None and echo.amount.fen != case.amount_fen:
            return "amount"
        if amount_at_most is not None and echo.amount.fen > amount_at_most:
            return "amount"
    return None


def _hold(tx: Tx, case: Row[Any], why: str) -> Outcome:
    if lifecycles.step("application", "hold", case.state) is None:
        _note_word(tx, case.bank_id, f"{why}, {case.state}")
        return Outcome("kept", f"{why}; the application has ended: {case.state}")
    move(
        tx,
        "application",
        case.id,
        "hold",
        facts={"why": canonical.digest(why.encode())},
        hold_at=tx.now,
        hold_why=f"echo-mismatch: {why}" if " " not in why else why,
    )
    return Outcome("held", why)


def _must_echo(tx: Tx, case: Row[Any], item: Report) -> Outcome | None:
    """Amount and packet digest must come back on what binds; absent or different is held."""
    if item.echo.packet_digest is None or item.echo.amount is None:
        return _hold(tx, case, "the echo lacks amount or packet_digest")
    fault = _echo_fault(tx, case, item.echo, amount_at_most=case.amount_fen)
    return _hold(tx, case, fault) if fault else None


def _received(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return Outcome("applied" if case.state == "submitted" else "confirmed")


def _reviewing(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    if case.state not in ("submitted", "action-required"):
        return Outcome("confirmed", f"application is {case.state}")
    move(tx, "application", case.id, "review")
    return Outcome("applied")


def _info_required(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    if case.state not in ("submitted", "reviewing"):
        return Outcome("confirmed", f"application is {case.state}")
    needs = [{"code": need.code, "text": need.text} for need in item.needs]
    move(tx, "application", case.id, "need_more", needs={"items": needs})
    return Outcome("applied")


def _offered(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    if case.state not in ("submitted", "reviewing", "action-required", "offered"):
        return Outcome("confirmed", f"application is {case.state}")
    if item.offer is None:
        return _hold(tx, case, "an offer without terms")
    held = _must_echo(tx, case, item)
    if held:
        return held
    return loans.take_offer(tx, case, item.offer, lambda why: _hold(tx, case, why))


def _offer_gone(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return loans.lose_offer(tx, case, "expire" if item.status == "offer_expired" else "withdraw")


def _refused(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    code = item.refusal.code if item.refusal else "R99"
    text = item.refusal.text if item.refusal else ""
    if case.state in ("accepted", "contracted", "locked"):
        return loans.fail(tx, case, code, text)
    if case.state not in ("submitted", "reviewing", "action-required"):
        return Outcome("confirmed", f"application is {case.state}")
    move(
        tx,
        "application",
        case.id,
        "refuse",
        facts={"reason": code},
        reason_code=code,
        reason_text=text,
        decided_at=tx.now,
    )
    return Outcome("applied")


def _accepted(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return Outcome("confirmed", "the bank confirms the acceptance")


def _contracted(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    if case.state in ("contracted", "locked", "drawn", "closed"):
        return Outcome("confirmed", f"application is {case.state}")
    if case.state != "accepted":
        return _hold(tx, case, f"the bank contracts what is {case.state}")
    held = _must_echo(tx, case, item)
    return held or loans.sign(tx, case, item, lambda why: _hold(tx, case, why))


def _locked_account(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    if case.state in ("locked", "drawn", "closed"):
        return Outcome("confirmed", f"application is {case.state}")
    if case.state != "contracted":
        return _hold(tx, case, f"the bank locks the account of what is {case.state}")
    version = tx.one(
        select(account_version).where(
            account_version.c.contract_id == case.contract_id,
            account_version.c.state.in_(("active", "locked")),
        )
    )
    if version is None or item.echo.account_digest != version.digest:
        return _hold(tx, case, "account_digest")
    return loans.lock_account(tx, case, version, lambda why: _hold(tx, case, why))


def _disbursed(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    if case.state not in ("locked", "drawn"):
        return _hold(tx, case, f"the bank pays out what is {case.state}")
    return loans.draw(tx, case, item, lambda why: _hold(tx, case, why))


def _repaid(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return loans.bank_repaid(tx, case, item, lambda why: _hold(tx, case, why))


def _settled(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return loans.bank_settled(tx, case, item, lambda why: _hold(tx, case, why))


def _overdue(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return loans.overdue(tx, case)


def _payment_received(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    """Money came, says the bank: the supplier and the operator are told, and nothing is booked."""
    if case.state not in ("locked", "drawn") or item.money is None:
        return Outcome("kept", f"a payment is said, and the application is {case.state}")
    if item.money.currency != case.currency:
        return _hold(tx, case, "currency")
    if item.echo.account_digest is not None:
        fault = _echo_fault(
            tx, case, Echo(account_digest=item.echo.account_digest), amount_at_most=None
        )
        if fault:
            return _hold(tx, case, fault)
    move(
        tx,
        "application",
        case.id,
        "payment_said",
        facts={"amount_fen": item.money.fen, "flow": item.flow_reference, "on": item.on},
    )
    return Outcome("applied", "told; it is booked when a statement shows it")


def _written_off(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return loans.write_off(tx, case)


def _cancelled(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    if case.state in ("submitted", "reviewing", "action-required", "offered"):
        loans.lose_offer(tx, case, "withdraw")
        move(tx, "application", case.id, "cancelled")
        return Outcome("applied")
    if case.state in ("accepted", "contracted", "locked"):
        return loans.fail(tx, case, "R99", "")
    return Outcome("confirmed", f"application is {case.state}")


Act = Callable[[Tx, Any, Report], Outcome]

# The bank's status, in the port's words, and what it does here.
ACTS: dict[str, Act] = {
    "received": _received,
    "reviewing": _reviewing,
    "info_required": _info_required,
    "offered": _offered,
    "offer_withdrawn": _offer_gone,
    "offer_expired": _offer_gone,
    "refused": _refused,
    "accepted": _accepted,
    "contracted": _contracted,
    "account_locked": _locked_account,
    "disbursed": _disbursed,
    "repaid": _repaid,
    "settled": _settled,
    "overdue": _overdue,
    "written_off": _written_off,
    "cancelled": _cancelled,
    "payment_received": _payment_received,
}
