"""The `rest_jws` profile: JSON over HTTPS, every request and answer signed by a detached JWS.

Any bank may offer it; docs/banks.md describes the messages. The bank keeps request ids for ever,
so the same submission again is answered as the first was.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from bank_adapters.port import (
    Acceptance,
    Answer,
    Call,
    Cancellation,
    Capabilities,
    Condition,
    Delivery,
    Echo,
    Fee,
    Garbled,
    Need,
    Offer,
    Outcome,
    PollPage,
    PollQuery,
    Receipt,
    Refusal,
    Report,
    Split,
    Status,
    Submission,
)
from financing.errors import FinancingError
from financing.rules.reasons import OTHER, REASONS
from financing.values import canonical, strict_json
from financing.values.money import Money, money_json
from schemas.application import PageIn, ReceiptIn, ReceiptsIn
from schemas.event import EVENTS, STATUSES, EventIn, Kind, SaidIn, missing
from schemas.fields import read
from schemas.offer import canonical_offer

BATCH: Final = 50
PING: Final = "ping"
_BATCH_BYTES: Final = 8 << 20  # packets are heavy: fewer than 50 where they are
_ANSWER_BYTES: Final = 5 << 20
_OUTCOMES: Final[Mapping[str, Outcome]] = {
    "taken": "taken",
    "delivered": "delivered",
    "refused": "refused",
}


class RestJws:
    """The adapter of the profile."""

    name: Final = "rest_jws"
    capabilities: Final = Capabilities(
        batch_submit=BATCH,
        batch_poll=BATCH,
        poll_since=True,
        events="standard_webhooks",
        signature_out="jws_detached",
        signature_algorithm="ES256",
        encryption="none",
        keeps_request_ids=True,
        settle_s=60,
        can_cancel=True,
        cancel_until=Status.ACCOUNT_LOCKED,
        partial_disbursement=True,
        poll_interval_s=60,
        poll_floor_s=1,
    )

    def submit(self, call: Call, items: Sequence[Submission]) -> Sequence[Receipt]:
        """Hand over applications, at most 50 and 8 MiB of packets in one request."""
        receipts: list[Receipt] = []
        for batch in _batches(items):
            body = canonical.dumps({"items": [_submission(item) for item in batch]})
            try:
                receipts += _receipts(call.http.request("POST", "/applications", body=body))
            except FinancingError:
                if not receipts:
                    raise
                break  # receipts that we hold are worth more; the host asks for the others
        return receipts

    def poll(self, call: Call, query: PollQuery) -> PollPage:
        """Ask for what is known of these cases, or for all that changed after the cursor."""
        if not query.cases:
            asked = {"limit": str(query.limit)}
            if query.cursor is not None:
                asked["since"] = query.cursor
            return _page(call.http.request("GET", "/applications", query=asked))
        reports: list[Report] = []
        never_seen: list[str] = []
        cases = iter(query.cases)
        while batch := list(islice(cases, BATCH)):
            ids = ",".join(case.request_id for case in batch)
            page = _page(call.http.request("GET", "/applications", query={"request_id": ids}))
            reports += page.reports
            never_seen += page.missing
        return PollPage(tuple(reports), query.cursor, more=False, missing=tuple(never_seen))

    def accept(self, call: Call, items: Sequence[Acceptance]) -> Sequence[Receipt]:
        """Confirm offers, one request each."""
        return _one_by_one(
            call,
            [
                (
                    f"/applications/{quote(item.bank_reference, safe='')}/acceptance",
                    {
                        "request_id": item.request_id,
                        "application": item.application,
                        "offer": {
                            "reference": item.offer_reference,
                            "revision": item.offer_revision,
                            "digest": item.offer_digest,
                        },
                        "amount": money_json(item.amount.fen, item.amount.currency),
                    },
                )
                for item in items
            ],
        )

    def cancel(self, call: Call, items: Sequence[Cancellation]) -> Sequence[Receipt]:
        """Ask the bank to end applications, one request each."""
        return _one_by_one(
            call,
            [
                (
                    f"/applications/{quote(item.bank_reference, safe='')}/cancellation",
                    {
                        "request_id": item.request_id,
                        "application": item.application,
                        "reason": item.reason,
                    },
                )
                for item in items
            ],
        )

    def parse_event(self, delivery: Delivery) -> Sequence[Report]:
        """Read one event, or one item of the feed; a `ping` gives no report."""
        try:
            body = strict_json.loads(delivery.body)
            if isinstance(body, dict) and "type" not in body and "status" in body:
                return (_readable(_item(body, 0)),)
            event = read(EventIn(), body)
            if event["type"] == PING:
                return ()
            kind = EVENTS.get(event["type"])
            data = event["data"] if isinstance(event["data"], dict) or kind else {}
            said = read(SaidIn(), data, at=("data",))
        except FinancingError as problem:
            raise Garbled(
                f"the event cannot be read: {problem.detail}",
                where=problem.where,
                remedy="Send it as documented; the one received is kept.",
            ) from problem
        # By its status the feed reads the same report: both must mean the same.
        kind = kind or STATUSES.get(said["status"] or "", Kind("unknown"))
        word = said["status"] or event["type"]
        absent = missing(kind, said)
        if absent:
            raise Garbled(
                f"an event {event['type']} lacks {', '.join(absent)}",
                where=f"/data/{absent[0]}",
                remedy="Send it as documented; the one received is kept.",
            )
        occurred_at = said["occurred_at"] or event["timestamp"]
        return (_report(kind, word, occurred_at, said, data),)


# ── What we write ────────────────────────────────────────────────────────────────────────────


def _batches(items: Sequence[Submission]) -> Iterator[list[Submission]]:
    batch: list[Submission] = []
    size = 0
    for item in items:
        if batch and (len(batch) == BATCH or size + len(item.packet) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item.packet)
    if batch:
        yield batch


def _submission(item: Submission) -> dict[str, object]:
    return {
        "request_id": item.request_id,
        "application": item.application,
        "contract": {"number": item.contract_number, "purchaser": item.purchaser.id},
        "supplier": item.supplier.id,
        "amount": money_json(item.amount.fen, item.amount.currency),
        "tenor_days": item.tenor_days,
        "product": item.product,
        "packet_digest": item.packet_digest,
        "account_digest": item.account_digest,
        "supersedes": item.supersedes,
        "packet": base64.b64encode(item.packet).decode("ascii"),
    }


def _one_by_one(call: Call, messages: Sequence[tuple[str, dict[str, object]]]) -> list[Receipt]:
    receipts: list[Receipt] = []
    for path, message in messages:
        try:
            answer = call.http.request("POST", path, body=canonical.dumps(message))
            receipts.append(_receipt(read(ReceiptIn(), _json(answer))))
        except FinancingError:
            if not receipts:
                raise
            break
    return receipts


# ── What we read ─────────────────────────────────────────────────────────────────────────────


def _json(answer: Answer) -> object:
    return strict_json.loads(answer.body, max_bytes=_ANSWER_BYTES)


def _receipts(answer: Answer) -> list[Receipt]:
    return [_receipt(said) for said in read(ReceiptsIn(), _json(answer))["receipts"]]


def _receipt(said: Any) -> Receipt:
    refusal = said["refusal"]
    outcome = _OUTCOMES.get(said["outcome"], "unknown")
    if outcome == "refused" and refusal is None:
        refusal = {"code": "", "text": ""}
    return Receipt(
        request_id=said["request_id"],
        outcome=outcome,
        bank_reference=said["bank_reference"],
        refusal=_refusal(refusal["code"], refusal["text"]) if outcome == "refused" else None,
        echo=_echo(said),
        retry_after_s=said["retry_after_s"],
    )


def _refusal(code: str, text: str | None) -> Refusal:
    return Refusal(code if code in REASONS else OTHER.code, text or "", code)


def _page(answer: Answer) -> PollPage:
    page = read(PageIn(), _json(answer))
    return PollPage(
        reports=tuple(_item(item, i) for i, item in enumerate(page["items"])),
        cursor=page["cursor"],
        more=page["more"],
        missing=tuple(page["never_seen"]),
    )


def _item(item: Any, index: int) -> Report:
    """One item of the feed; one that cannot be read does not keep the others from us."""
    try:
        said = read(SaidIn(), item, at=("items", index))
        if said["status"] is None or said["occurred_at"] is None:
            return _unreadable(item, f"/items/{index} lacks status or occurred_at")
        kind = STATUSES.get(said["status"], Kind("unknown"))
        absent = missing(kind, said)
        if absent:
            return _unreadable(item, f"/items/{index} lacks {', '.join(absent)}")
        return _report(kind, said["status"], said["occurred_at"], said, item)
    except FinancingError as problem:
        return _unreadable(item, f"{problem.where}: {problem.detail}")


_NEVER: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _unreadable(item: Any, why: str) -> Report:
    """An item that the host parks with its bytes."""
    return Report(Status.UNKNOWN, "", _NEVER, Echo(), unreadable=why[:200], raw=_bytes(item))


def _readable(item: Report) -> Report:
    if item.unreadable:
        raise Garbled(f"the item cannot be read: {item.unreadable}", where="/")
    return item


def _report(kind: Kind, word: str, occurred_at: datetime, said: Any, received: Any) -> Report:
    split = said["split"]
    code = said["reason_code"]
    return Report(
        status=Status(kind.status),
        bank_status=word,
        occurred_at=occurred_at,
        echo=_echo(said),
        bank_event_id=said["event_id"],
        bank_reference=said["bank_reference"],
        sequence=said["sequence"],
        offer=_offer(said["offer"], received["offer"]) if said["offer"] else None,
        offer_reference=said["offer_reference"],
        refusal=_refusal(code, said["text"]) if kind.status == "refused" else None,
        needs=tuple(Need(need["code"], need["text"], need["until"]) for need in said["needs"]),
        money=said["money"],
        split=split
        and Split(split["principal"], split["interest"], split["fee"], split["penalty"]),
        on=said["on"],
        due_on=said["due_on"],
        loan_reference=said["loan_reference"],
        flow_reference=said["flow_reference"],
        part=said["part"],
        parts=said["parts"],
        next_step=said["next_step"],
        raw=_bytes(received),
    )


def _bytes(received: Any) -> bytes:
    """What the bank said, as bytes to keep; any JSON, not only what has a canonical form."""
    return json.dumps(received, ensure_ascii=False, sort_keys=True, default=str).encode()


def _echo(said: Any) -> Echo:
    echo = said["echo"] or {}
    return Echo(
        request_id=said["request_id"],
        application=said["application"],
        contract_number=echo.get("contract_number"),
        packet_digest=echo.get("packet_digest"),
        account_digest=echo.get("account_digest") or said.get("account_digest"),
        amount=echo.get("amount"),
    )


def _offer(said: Any, received: dict[str, Any]) -> Offer:
    """The offer in our terms.

    Raises:
        Garbled: the digest that the bank states is not that of the offer it sent.
    """
    raw = canonical_offer(received)
    digest = canonical.digest(raw)
    if said["digest"] is not None and said["digest"] != digest:
        raise Garbled(
            "the digest of the offer is of another offer",
            where="/offer/digest",
            remedy="It is SHA-256 over the offer without its digest, in RFC 8785 form.",
        )
    currency = said["amount"].currency
    return Offer(
        reference=said["reference"],
        revision=said["revision"],
        amount=said["amount"],
        rate_bp=said["rate_bp"],
        rate_kind=said["rate_kind"],
        benchmark=said["benchmark"],
        spread_bp=said["spread_bp"],
        day_basis=said["day_basis"],
        tenor_days=said["tenor_days"],
        matures_on=said["matures_on"],
        repayment=said["repayment"],
        fees=tuple(
            Fee(fee["code"], fee["payer"], Money(fee["fen"], currency), fee["due"], fee["to"])
            for fee in said["fees"]
        ),
        prepayment=said["prepayment"],
        penalty_bp=said["penalty_bp"],
        conditions=tuple(
            Condition(item["code"], item["text"], item["due"]) for item in said["conditions"]
        ),
        valid_until=said["valid_until"],
        digest=digest,
        canonical=raw,
    )
