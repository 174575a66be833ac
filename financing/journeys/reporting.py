"""What one report of a bank about one application does, however it came.

1. `report`       it moves the application, or is recorded and changes nothing
2. `acked`        the bank has the application: whatever it said first
3. `hold`         a person looks first: no transition, the bank and the operator are told
4. `echo_fault`   what the bank speaks of against what we sent

A repeated, late, or reordered report changes nothing. One that contradicts what we sent (the
echo), or what the bank itself said, is held.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from bank_adapters.port import Echo, Report
from financing.errors import NotFound
from financing.journeys import loans
from financing.journeys.outcome import Outcome
from financing.rules import lifecycles
from financing.store import outbox
from financing.store.db import Tx, lock
from financing.store.move import move
from financing.store.tables import account_version, application, bank_word, contract, packet
from financing.values import canonical, ids

# A bank that says these once the loan is signed goes back: nothing moves, a person looks.
BEGINNINGS = ("received", "reviewing", "info_required", "offered")
BOUND = ("contracted", "locked", "drawn", "closed")


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
        case = acked(tx, case, item.bank_reference)
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
        return hold(tx, case, f"two answers under sequence {item.sequence}")
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


def acked(tx: Tx, case: Row[Any], reference: str | None) -> Row[Any]:
    """The bank has the application: it is submitted, with the bank's reference."""
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
    return locked(tx, found.id)


def lock_all(tx: Tx, items: Iterable[Report]) -> None:
    """Lock what these reports speak of before the first takes effect.

    A set that locked one by one, in the order of its reports, would meet another set half-way.
    """
    named: dict[str, set[UUID]] = {"ap": set(), "rq": set()}
    for item in items:
        for prefix, said in (("ap", item.echo.application), ("rq", item.echo.request_id)):
            with suppress(NotFound):
                named[prefix].add(ids.read(prefix, said or ""))
    found = tx.rows(
        select(application.c.id).where(
            application.c.id.in_(named["ap"]) | application.c.request_id.in_(named["rq"])
        )
    )
    lock_cases(tx, [row.id for row in found])


def lock_cases(tx: Tx, application_ids: Collection[UUID]) -> None:
    """Lock applications of a set after their contracts, each kind in ascending order."""
    contracts = tx.rows(
        select(application.c.contract_id).where(application.c.id.in_(application_ids))
    )
    lock(tx, contract, [row.contract_id for row in contracts])
    lock(tx, application, application_ids)


def locked(tx: Tx, application_id: UUID) -> Row[Any]:
    """The application, locked after its contract."""
    contract_id = tx.db.execute(
        select(application.c.contract_id).where(application.c.id == application_id)
    ).scalar_one()
    lock(tx, contract, [contract_id])
    return lock(tx, application, [application_id])[0]


def echo_fault(tx: Tx, case: Row[Any], echo: Echo, *, amount_at_most: int | None) -> str | None:
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


def hold(tx: Tx, case: Row[Any], why: str) -> Outcome:
    """Stop at what a person must look at; the bank and the operator are told."""
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
        return hold(tx, case, "the echo lacks amount or packet_digest")
    fault = echo_fault(tx, case, item.echo, amount_at_most=case.amount_fen)
    return hold(tx, case, fault) if fault else None


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
        return hold(tx, case, "an offer without terms")
    held = _must_echo(tx, case, item)
    if held:
        return held
    return loans.take_offer(tx, case, item.offer, lambda why: hold(tx, case, why))


def _offer_gone(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return loans.lose_offer(tx, case, "expire" if item.status == "offer_expired" else "withdraw")


def _refused(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    code = item.refusal.code if item.refusal else "R99"
    text = item.refusal.text if item.refusal else ""
    if case.state in ("accepted", "contracted", "locked"):
        return loans.fail(tx, case, code, text)
    if case.state not in ("submitted", "reviewing", "action-required"):
        return Outcome("confirmed", f"application is {case.state}")
    refuse(tx, case, code, text)
    return Outcome("applied")


def refuse(tx: Tx, case: Row[Any], code: str, text: str) -> None:
    """The bank declines, in an answer or already in its receipt."""
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


def _accepted(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return Outcome("confirmed", "the bank confirms the acceptance")


def _contracted(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    if case.state in ("contracted", "locked", "drawn", "closed"):
        return Outcome("confirmed", f"application is {case.state}")
    if case.state != "accepted":
        return hold(tx, case, f"the bank contracts what is {case.state}")
    held = _must_echo(tx, case, item)
    return held or loans.sign(tx, case, item, lambda why: hold(tx, case, why))


def _locked_account(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    if case.state in ("locked", "drawn", "closed"):
        return Outcome("confirmed", f"application is {case.state}")
    if case.state != "contracted":
        return hold(tx, case, f"the bank locks the account of what is {case.state}")
    version = tx.one(
        select(account_version).where(
            account_version.c.contract_id == case.contract_id,
            account_version.c.state.in_(("active", "locked")),
        )
    )
    if version is None or item.echo.account_digest != version.digest:
        return hold(tx, case, "account_digest")
    return loans.lock_account(tx, case, version, lambda why: hold(tx, case, why))


def _disbursed(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    if case.state not in ("locked", "drawn"):
        return hold(tx, case, f"the bank pays out what is {case.state}")
    return loans.draw(tx, case, item, lambda why: hold(tx, case, why))


def _repaid(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return loans.bank_repaid(tx, case, item, lambda why: hold(tx, case, why))


def _settled(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return loans.bank_settled(tx, case, item, lambda why: hold(tx, case, why))


def _overdue(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    return loans.overdue(tx, case)


def _payment_received(tx: Tx, case: Row[Any], item: Report) -> Outcome:
    """Money came, says the bank: the supplier and the operator are told, and nothing is booked."""
    if case.state not in ("locked", "drawn") or item.money is None:
        return Outcome("kept", f"a payment is said, and the application is {case.state}")
    if item.money.currency != case.currency:
        return hold(tx, case, "currency")
    if item.echo.account_digest is not None:
        fault = echo_fault(
            tx, case, Echo(account_digest=item.echo.account_digest), amount_at_most=None
        )
        if fault:
            return hold(tx, case, fault)
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
