"""An application (融资申请) on its way to one bank.

1. `apply`       one amount, one consent per bank, one packet per bank; all or nothing
2. `submit_due`  errand: send what waits for this bank; request ids were stored before
3. `ask_due`     errand: the outcome of a send is unknown, so ask, never resend by guess
4. `withdraw`    the supplier takes it back
5. `cancel_due`  errand: tell the bank that the supplier went another way
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Row, insert, select, update

from bank_adapters.port import (
    AuthFailed,
    BankError,
    Cancellation,
    CancelReason,
    Case,
    Garbled,
    NotSent,
    OutcomeUnknown,
    Party,
    PollQuery,
    Receipt,
    Status,
    Submission,
    Throttled,
    Unavailable,
)
from financing import words
from financing.context import Context
from financing.errors import Conflict, Invalid
from financing.journeys import answers, banks, loans, packets, reporting, verification
from financing.store import outbox
from financing.store.db import Tx
from financing.store.move import create, move
from financing.store.outbox import Work
from financing.store.tables import (
    application,
    consent,
    contract,
    organisation,
    packet,
    product,
)
from financing.store.visible import find, find_locked
from financing.values import canonical, ids
from financing.values.ids import new_id
from financing.values.money import Money, show_money
from financing.values.times import wall_now

CONSENT_VERSION = "consent/1"
ASK_AGAIN_S = (5, 60, 300, 1200, 3600)
CANCEL_REASONS: Mapping[str, CancelReason] = {
    "expired": "expired",
    "stale": "superseded",
    "declined": "other_offer",
}
NEVER_SEEN_APART = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Consent:
    """The text that a supplier agrees to for one bank, in both languages."""

    version: str
    zh: str
    en: str

    @property
    def digest(self) -> str:
        return canonical.digest(
            canonical.dumps({"version": self.version, "zh": self.zh, "en": self.en})
        )


def consent_for(bank_name: str, contract_number: str) -> Consent:
    """The consent text that names this bank and this contract (Source: PIPL arts. 23, 29)."""
    both = words.both("consent.text", bank=bank_name, number=contract_number)
    return Consent(CONSENT_VERSION, both["zh"], both["en"])


def apply(
    tx: Tx,
    contract_id: UUID,
    *,
    bank_ids: Sequence[UUID],
    amount_fen: int,
    tenor_days: int,
    consents: Mapping[UUID, str],
) -> list[Row[Any]]:
    """Apply to one or more banks for one amount on one contract.

    Args:
        consents: for each bank, the digest of the consent text that was on the screen.
    Raises:
        NotFound: no such contract, or not this supplier's.
        Conflict: the contract may not be financed now, or an application there is live.
        Invalid: a bank, the amount, the term, or a consent; all faults at once.
    """
    row = find_locked(tx, "contract", contract_id)
    if not row.financeable:
        raise Conflict(
            row.sentence.get(tx.actor.lang, "this contract may not be financed now"),
            where="/contract",
            remedy=words.t("apply.see_contract", tx.actor.lang),
        )
    products = chosen_products(tx, row, bank_ids, amount_fen, tenor_days, consents)
    return [
        _submit_one(tx, row, products[bank_id], amount_fen, tenor_days)
        for bank_id in sorted(set(bank_ids))
    ]


def chosen_products(
    tx: Tx,
    row: Row[Any],
    bank_ids: Sequence[UUID],
    amount_fen: int,
    tenor_days: int,
    consents: Mapping[UUID, str],
) -> dict[UUID, Row[Any]]:
    """Each chosen bank's product, once all that was chosen and typed holds; a check page asks too.

    Raises:
        Invalid: a bank, the amount, the term, or a consent; all faults at once.
    """
    lang = tx.actor.lang
    names = {
        known.id: known.name
        for known in tx.rows(
            select(organisation.c.id, organisation.c.name).where(organisation.c.id.in_(bank_ids))
        )
    }
    products = banks.products_of(tx, bank_ids, row.currency)
    faults: list[tuple[str, str, str]] = []
    if not bank_ids:
        faults.append(("/banks", words.t("apply.no_bank", lang), words.t("apply.tick_one", lang)))
    for bank_id in bank_ids:
        chosen = products.get(bank_id)
        if chosen is None:
            faults.append(
                (
                    "/banks",
                    words.t("apply.no_product", lang, bank=names.get(bank_id, "?")),
                    words.t("apply.leave_out", lang),
                )
            )
            continue
        most = verification.capacity(tx, row.id, chosen).fen
        if not chosen.min_fen <= amount_fen <= most:
            faults.append(
                (
                    "/amount",
                    words.t("apply.amount_outside", lang, bank=names[bank_id]),
                    words.t(
                        "apply.amount_within",
                        lang,
                        least=show_money(chosen.min_fen, row.currency, lang),
                        most=show_money(most, row.currency, lang),
                    ),
                )
            )
        if not chosen.tenor_min_days <= tenor_days <= chosen.tenor_max_days:
            faults.append(
                (
                    "/tenor_days",
                    words.t("apply.tenor_outside", lang, bank=names[bank_id]),
                    words.t(
                        "apply.tenor_within",
                        lang,
                        least=chosen.tenor_min_days,
                        most=chosen.tenor_max_days,
                    ),
                )
            )
        if consents.get(bank_id) != consent_for(names[bank_id], row.number).digest:
            faults.append(
                (
                    f"/consent/{bank_id}",
                    words.t("apply.no_consent", lang, bank=names[bank_id]),
                    words.t("apply.give_consent", lang),
                )
            )
    live = tx.rows(
        select(application.c.bank_id).where(
            application.c.contract_id == row.id,
            application.c.bank_id.in_(bank_ids),
            application.c.state.in_(answers.LIVE),
        )
    )
    faults += [
        (
            "/banks",
            words.t("apply.already", lang, bank=names[known.bank_id]),
            words.t("apply.follow", lang),
        )
        for known in live
    ]
    if faults:
        raise Invalid(faults[0][1], where=faults[0][0], remedy=faults[0][2], fields=tuple(faults))
    return products


def _submit_one(
    tx: Tx, row: Row[Any], chosen: Row[Any], amount_fen: int, tenor_days: int
) -> Row[Any]:
    bank_name = tx.db.execute(
        select(organisation.c.name).where(organisation.c.id == chosen.bank_id)
    ).scalar_one()
    text = consent_for(bank_name, row.number)
    consent_id = new_id()
    tx.db.execute(
        insert(consent).values(
            id=consent_id,
            contract_id=row.id,
            contract_version_id=row.current_version_id,
            bank_id=chosen.bank_id,
            supplier_id=row.supplier_id,
            text_version=text.version,
            text_digest=text.digest,
            given_by=tx.actor.login_id,
            given_at=tx.now,
        )
    )
    draft = create(
        tx,
        "application",
        "draft",
        facts={"contract": row.id, "bank": chosen.bank_id, "amount_fen": amount_fen},
        contract_id=row.id,
        contract_version_id=row.current_version_id,
        bank_id=chosen.bank_id,
        supplier_id=row.supplier_id,
        product_id=chosen.id,
        amount_fen=amount_fen,
        currency=row.currency,
        tenor_days=tenor_days,
        consent_id=consent_id,
        created_at=tx.now,
    )
    sealed = packets.issue(tx, draft)
    return move(
        tx,
        "application",
        draft.id,
        "submit",
        facts={"packet": sealed.identity, "consent": text.digest},
        packet_id=sealed.id,
        request_id=new_id(),
    )


def submit_due(ctx: Context, bank_code: str, works: Sequence[Work]) -> None:
    """Send applications to a bank in as few requests as it takes."""
    with ctx.begin() as tx:
        row = banks.by_code(tx, bank_code)
        if row.stopped_at is not None:
            _postpone(tx, works, 60, "the bank is stopped")
            return
        waiting = {case.id: case for case in _cases(tx, works) if case.state == "sending"}
        # A worker died after its bytes may have left: the bank is asked, nothing is resent.
        for work in works:
            if work.sent_at is not None and work.subject_id and work.subject_id in waiting:
                move(tx, "application", work.subject_id, "unclear")
        sending = [w for w in works if w.subject_id in waiting and w.sent_at is None]
        outbox.done(tx, [work for work in works if work not in sending])
        items = _submissions(tx, [waiting[work.subject_id] for work in sending if work.subject_id])
    adapter, call = banks.line(ctx, row, "submit")
    size = adapter.capabilities.batch_submit
    for start in range(0, len(items), size):
        batch, batch_works = items[start : start + size], sending[start : start + size]
        with ctx.begin() as tx:
            outbox.mark_sent(tx, batch_works)
        try:
            receipts: Sequence[Receipt] = adapter.submit(call, batch)
        except BankError as problem:
            _submit_failed(ctx, row, batch_works, problem)
        else:
            _submit_settled(ctx, row, batch_works, batch, receipts)


def _cases(tx: Tx, works: Sequence[Work]) -> list[Row[Any]]:
    wanted = [work.subject_id for work in works if work.subject_id]
    return list(
        tx.rows(
            select(application)
            .where(application.c.id.in_(wanted))
            .order_by(application.c.id)
            .with_for_update()
        )
    )


def _submissions(tx: Tx, cases: Sequence[Row[Any]]) -> list[Submission]:
    supplier, purchaser = (
        organisation.alias("supplier"),
        organisation.alias("purchaser"),
    )
    facts = {
        row.id: row
        for row in tx.rows(
            select(
                application.c.id,
                contract.c.number,
                packet.c.identity,
                packet.c.account_digest,
                product.c.code.label("product"),
                supplier.c.scheme.label("supplier_scheme"),
                supplier.c.identifier.label("supplier_identifier"),
                supplier.c.name.label("supplier_name"),
                purchaser.c.scheme.label("purchaser_scheme"),
                purchaser.c.identifier.label("purchaser_identifier"),
                purchaser.c.name.label("purchaser_name"),
            )
            .join(contract, contract.c.id == application.c.contract_id)
            .join(supplier, supplier.c.id == contract.c.supplier_id)
            .join(purchaser, purchaser.c.id == contract.c.purchaser_id)
            .join(packet, packet.c.id == application.c.packet_id)
            .join(product, product.c.id == application.c.product_id)
            .where(application.c.id.in_([case.id for case in cases]))
        )
    }
    containers = packets.containers(tx, [case.packet_id for case in cases])
    return [
        Submission(
            request_id=ids.show("rq", case.request_id),
            application=ids.show("ap", case.id),
            contract_number=facts[case.id].number,
            supplier=Party(
                facts[case.id].supplier_scheme,
                facts[case.id].supplier_identifier,
                facts[case.id].supplier_name,
            ),
            purchaser=Party(
                facts[case.id].purchaser_scheme,
                facts[case.id].purchaser_identifier,
                facts[case.id].purchaser_name,
            ),
            amount=Money(case.amount_fen, case.currency),
            tenor_days=case.tenor_days,
            product=facts[case.id].product,
            packet=containers[case.packet_id],
            packet_digest=facts[case.id].identity,
            account_digest=facts[case.id].account_digest,
            supersedes=None,
        )
        for case in cases
    ]


def _submit_failed(ctx: Context, row: Row[Any], works: Sequence[Work], problem: BankError) -> None:
    with ctx.begin() as tx:
        if isinstance(problem, OutcomeUnknown | Garbled):
            for case in _cases(tx, works):
                if case.state == "sending":  # else an event was faster
                    move(tx, "application", case.id, "unclear")
            outbox.done(tx, works)
            return
        if isinstance(problem, AuthFailed):
            banks.stop(tx, row.id, str(problem), wall_now())
        wait = 5.0
        if isinstance(problem, Unavailable | Throttled) and problem.retry_after_s:
            wait = problem.retry_after_s
        # Nothing was taken: the same request id goes again, and nobody has to be asked.
        parkable = not isinstance(problem, NotSent | Unavailable | Throttled | AuthFailed)
        for work in works:
            outbox.later(
                tx,
                work,
                wait * 2 ** min(work.attempt, 8),
                error=str(problem),
                park=parkable,
                unsent=True,
            )


def _submit_settled(
    ctx: Context,
    row: Row[Any],
    works: Sequence[Work],
    items: Sequence[Submission],
    receipts: Sequence[Receipt],
) -> None:
    by_request = {receipt.request_id: receipt for receipt in receipts}
    with ctx.begin() as tx:
        reporting.lock_cases(tx, [work.subject_id for work in works if work.subject_id])
        for work, item in zip(works, items, strict=True):
            receipt = by_request.get(item.request_id)
            if work.subject_id is not None:
                answers.take_receipt(tx, row, work.subject_id, receipt)
        outbox.done(tx, works)


def ask_due(ctx: Context, bank_code: str, works: Sequence[Work]) -> None:
    """Ask the bank whether it has seen requests whose outcome is unknown."""
    with ctx.begin() as tx:
        row = banks.by_code(tx, bank_code)
        asking = {case.id: case for case in _cases(tx, works) if case.state == "asking"}
        outbox.done(tx, [work for work in works if work.subject_id not in asking])
    open_works = [work for work in works if work.subject_id in asking]
    if not open_works:
        return
    adapter, call = banks.line(ctx, row, "ask")
    query = PollQuery(
        cases=[
            Case(
                request_id=ids.show("rq", case.request_id),
                application=ids.show("ap", case.id),
                bank_reference=case.bank_reference,
                loan_reference=None,
                status=Status.UNKNOWN,
            )
            for case in asking.values()
        ],
        cursor=None,
        limit=200,
    )
    try:
        page = adapter.poll(call, query)
    except BankError as problem:
        with ctx.begin() as tx:
            for work in open_works:
                wait = ASK_AGAIN_S[min(work.attempt, len(ASK_AGAIN_S) - 1)]
                outbox.later(tx, work, wait, error=str(problem))
        return
    missing = set(page.missing)
    with ctx.begin() as tx:
        reporting.lock_cases(tx, list(asking))
        for report in page.reports:
            reporting.report(tx, row, report, forced=True)
        for work in open_works:
            case = asking[work.subject_id] if work.subject_id else None
            if case is not None and ids.show("rq", case.request_id) in missing:
                _never_seen(tx, adapter.capabilities.keeps_request_ids, work, case)
            elif case is not None and _still_asking(tx, case.id):
                outbox.later(tx, work, ASK_AGAIN_S[min(work.attempt, len(ASK_AGAIN_S) - 1)])
            else:
                outbox.done(tx, [work])


def _still_asking(tx: Tx, application_id: UUID) -> bool:
    state = tx.db.execute(
        select(application.c.state).where(application.c.id == application_id)
    ).scalar_one()
    return bool(state == "asking")


def _never_seen(tx: Tx, keeps_request_ids: bool, work: Work, case: Row[Any]) -> None:
    """Twice, a minute apart, from a bank that keeps request ids: only then the same id again."""
    now = wall_now()
    first = case.never_seen_at
    if first is not None and now - first >= NEVER_SEEN_APART and keeps_request_ids:
        move(tx, "application", case.id, "not_found", never_seen=0, never_seen_at=None)
        outbox.done(tx, [work])
        return
    if first is None:
        tx.db.execute(
            update(application)
            .where(application.c.id == case.id)
            .values(never_seen=1, never_seen_at=now)
        )
    if first is not None and not keeps_request_ids:
        outbox.later(tx, work, 0, error="the bank has never seen it; a person decides", park=True)
    else:
        outbox.later(tx, work, NEVER_SEEN_APART.total_seconds() + 1, error="never seen")


def withdraw(tx: Tx, application_id: UUID) -> Row[Any]:
    """Take an application back before an offer was accepted; again changes nothing."""
    row = find(tx, "application", application_id)
    find_locked(tx, "contract", row.contract_id)
    row = find_locked(tx, "application", application_id)
    if row.state == "withdrawn":
        return row
    loans.end_open_offer(tx, row.id, "decline")
    return move(tx, "application", row.id, "withdraw")


def cancel_due(ctx: Context, bank_code: str, works: Sequence[Work]) -> None:
    """Tell the bank that these applications ended on the supplier's side."""
    with ctx.begin() as tx:
        row = banks.by_code(tx, bank_code)
        told = [case for case in _cases(tx, works) if case.bank_reference]
        with_reference = {case.id for case in told}
        outbox.done(tx, [work for work in works if work.subject_id not in with_reference])
    open_works = [work for work in works if work.subject_id in with_reference]
    if not open_works:
        return
    items = [
        Cancellation(
            request_id=ids.show("rq", uuid5(case.id, "cancel")),
            application=ids.show("ap", case.id),
            bank_reference=case.bank_reference,
            reason=CANCEL_REASONS.get(case.state, "withdrawn"),
        )
        for case in told
    ]
    adapter, call = banks.line(ctx, row, "cancel")
    try:
        adapter.cancel(call, items)
    except BankError as problem:
        with ctx.begin() as tx:
            # A cancellation asks; the same id again is the same question.
            for work in open_works:
                outbox.later(tx, work, 5 * 2 ** min(work.attempt, 8), error=str(problem))
        return
    with ctx.begin() as tx:
        outbox.done(tx, open_works)


def _postpone(tx: Tx, works: Sequence[Work], seconds: float, why: str) -> None:
    for work in works:
        outbox.later(tx, work, seconds, error=why, failed=False)
