"""The bank's answers: by poll and by signed event, one code path.

1. `receive`      a signed event: kept before it is answered, its effect follows from the outbox
2. `answer_due`   kept events are read and reported, in order of their sequence
3. `poll_due`     errand: the bank's feed since our cursor, page by page
4. `take_receipt` what the bank said when it took a request
5. `report`       one report about one application moves it, or is recorded and changes nothing

A repeated, late, or reordered report changes nothing. One that contradicts what we sent (the
echo) is held for a person: no transition, the bank and the operator are told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update

from bank_adapters import registry
from bank_adapters.port import BankError, Delivery, Echo, PollQuery, Receipt, Report
from financing.context import Context
from financing.errors import Conflict, Invalid, NotFound, Unreadable
from financing.evidence import webhook_signature
from financing.journeys import banks, loans
from financing.journeys.outcome import Outcome
from financing.rules import lifecycles
from financing.store import inbox as kept
from financing.store import outbox
from financing.store.db import Tx, lock
from financing.store.move import move
from financing.store.outbox import Work
from financing.store.parking import park
from financing.store.tables import (
    account_version,
    application,
    bank,
    bank_key,
    contract,
    inbox,
    packet,
)
from financing.values import canonical, ids
from financing.values.parked import Parked
from financing.values.times import rfc3339, wall_now

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
MAX_PAGES = 20


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and body of the answer to a bank's event."""

    status: int
    body: Mapping[str, Any]


# ── 1. A signed event comes in ───────────────────────────────────────────────────────────────


def receive(ctx: Context, bank_code: str, headers: Mapping[str, str], body: bytes) -> Reply:
    """Check the signature, keep the event, answer; nothing of the body is read before.

    Raises:
        NotFound: no such bank.
        Untrusted: the signature, its key, or its time does not hold; says which.
        Conflict: the event's id is known with other bytes.
    Source: Standard Webhooks; order of checks in docs/banks.md.
    """
    with ctx.begin() as tx:
        row = banks.by_code(tx, bank_code)
        keys = [
            webhook_signature.Key(
                kind=key.kind,
                material=key.material,
                live_from=key.live_from,
                live_to=key.live_to,
                revoked_at=key.revoked_at,
            )
            for key in tx.rows(select(bank_key).where(bank_key.c.bank_id == row.id))
        ]
    message_id = webhook_signature.verify(headers, body, keys, wall_now())
    digest = hashlib.sha256(body).hexdigest()
    with ctx.begin() as tx:
        fresh = kept.keep(tx, bank_code, message_id, digest, body, headers)
        if fresh is None:
            known = kept.known(tx, bank_code, message_id)
            if known.digest != digest:
                raise Conflict(
                    f"the event id {message_id} was used before with another body",
                    where="webhook-id",
                    remedy="Use a new id for a new event.",
                )
            return Reply(200, {"id": message_id, "duplicate": True})
        outbox.enqueue(tx, "answer", f"answer:{fresh}", subject_id=fresh)
    return Reply(202, {"id": message_id, "received_at": rfc3339(wall_now())})


def answer_due(tx: Tx, works: Sequence[Work]) -> list[Work]:
    """Read kept events and report them; returns the rows that wait for an earlier event."""
    rows = {
        row.id: row
        for row in tx.rows(
            select(inbox, bank.c.adapter, bank.c.id.label("bank_id"), bank.c.code)
            .join(bank, bank.c.code == inbox.c.source)
            .where(inbox.c.id.in_([work.subject_id for work in works]))
        )
    }
    waiting = []
    for work in works:
        row = rows[work.subject_id] if work.subject_id else None
        if row is None or row.outcome is not None:
            continue
        outcome = _read_event(tx, row)
        if outcome.word == "waits":
            outbox.later(tx, work, 0.5, error=outcome.why, failed=False)
            waiting.append(work)
            continue
        tx.db.execute(
            update(inbox)
            .where(inbox.c.id == row.id)
            .values(outcome=outcome.word, outcome_why=outcome.why, handled_at=wall_now())
        )
    return waiting


def _read_event(tx: Tx, row: Row[Any]) -> Outcome:
    delivery = Delivery(
        body=row.raw,
        content_type="application/json",
        headers=row.headers,
        signed=True,
        received_at=row.received_at,
    )
    try:
        reports = registry.adapter(row.adapter).parse_event(delivery)
    except (BankError, Unreadable, Invalid) as problem:
        return _park(tx, row.source, row.message_id, row.raw, f"EVENT-UNREADABLE: {problem}")
    if not reports:
        return Outcome("kept", "a kind of event that moves nothing")
    overdue = (wall_now() - row.received_at).total_seconds() > GAP_WAIT_S
    bank_row = banks.by_code(tx, row.source)
    outcomes = [report(tx, bank_row, item, forced=overdue) for item in reports]
    for outcome in outcomes:
        if outcome.word == "parked":
            return _park(tx, row.source, row.message_id, row.raw, outcome.why)
    return outcomes[0]


def _park(tx: Tx, source: str, message_id: str, raw: bytes, why: str) -> Outcome:
    park(
        tx,
        [
            Parked(
                kind="event",
                source=source,
                where=f"event {message_id}",
                value=message_id,
                reason=why,
                remedy="Ask the bank which application it means, then replay.",
                raw=raw,
            )
        ],
    )
    return Outcome("parked", why)


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
                    reference = item.bank_reference or item.bank_status
                    _park(tx, row.code, f"poll {reference}", item.raw, outcome.why)
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
    case = _case_of(tx, bank_row, item)
    if case is None:
        named = item.echo.application or item.echo.request_id or item.bank_reference or "nothing"
        said = f"APPLICATION-UNKNOWN: {item.bank_status}: the report names {named}"
        return Outcome("parked", said)
    if item.sequence is not None:
        if item.sequence == case.sequence and item.bank_status != case.bank_status:
            return _hold(tx, case, f"two answers under sequence {item.sequence}")
        if item.sequence <= case.sequence:
            return Outcome("confirmed", "known already")
        if item.sequence > case.sequence + 1 and not forced:
            return Outcome("waits", f"sequence {case.sequence + 1} is missing")
    if case.hold_at is not None and item.sequence is None:
        return Outcome("held", str(case.hold_why))
    act = ACTS.get(item.status)
    if act is None:
        _seen(tx, case, item)
        return Outcome("kept", f"status {item.bank_status} moves nothing")
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
    return loans.take_offer(tx, case, item.offer)


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
    return held or loans.sign(tx, case, item)


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
    return loans.lock_account(tx, case, version)


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
    "cancelled": _cancelled,
}
