"""Banks' messages are read strictly where they bind, and kept where they surprise."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema

from bank_adapters import registry
from bank_adapters.port import Delivery, Garbled, Status
from financing.errors import Invalid
from financing.values import canonical
from financing.values.money import Money as Amount
from schemas.application import ReceiptIn
from schemas.event import EVENTS, EventIn
from schemas.fields import Count, Day, Digest, Instant, Money, Rate, Text, Truth, read

DIGEST = "sha-256:" + "9f" * 32
OFFER = {
    "reference": "SX1",
    "revision": 1,
    "amount": {"fen": 80_000_000, "currency": "CNY"},
    "rate_bp": "435",
    "day_basis": "ACT/360",
    "tenor_days": 180,
    "repayment": "on_contract_payment",
    "valid_until": "2026-03-10T16:00:00Z",
}


def one(field: Any, value: object) -> Any:
    schema = Schema.from_dict({"x": field})()
    return read(schema, {"x": value})["x"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Count(), "12"),
        (Count(), 12.0),
        (Count(), Decimal("12.5")),
        (Count(), True),
        (Count(), "１２"),
        (Count(), -1),
        (Count(most=5), 6),
        (Truth(), 1),
        (Truth(), "yes"),
        (Text(), "a\x00b"),
        (Text(), "a\nb"),
        (Text(3), "abcd"),
        (Text(), 7),
        (Text(pattern="[a-z]+"), "A"),
        (Rate(), 435),
        (Rate(), "4.35%"),
        (Rate(), "435.12345"),
        (Rate(), "-1"),
        (Rate(), "0435"),
        (Instant(), "2026-03-02T01:30:00"),
        (Instant(), "2026-02-30T01:30:00Z"),
        (Instant(), 1772415000),
        (Day(), "2026-02-30"),
        (Day(), "20260302"),
        (Digest(), "9f" * 32),
        (Digest(), "sha-256:" + "9F" * 32),
    ],
)
def test_what_a_lax_reader_would_bend_is_refused(field: Any, value: object) -> None:
    with pytest.raises(Invalid) as caught:
        one(field, value)
    assert caught.value.where == "/x"


@pytest.mark.parametrize(
    "value",
    [
        {"fen": "80000000", "currency": "CNY"},
        {"fen": 800000.00, "currency": "CNY"},
        {"fen": True, "currency": "CNY"},
        {"fen": 0, "currency": "CNY"},
        {"fen": -1, "currency": "CNY"},
        {"fen": 10**15 + 1, "currency": "CNY"},
        {"minor": 1, "currency": "CNY"},
        {"fen": 1, "currency": "MXN"},
        {"fen": 1, "currency": "XXX"},
        {"fen": 1},
        {"fen": 1, "currency": "CNY", "yuan": 1},
        100,
        None,
    ],
)
def test_money_is_whole_minor_units_of_a_known_currency(value: object) -> None:
    with pytest.raises(Invalid):
        one(Money(), value)


def test_money_in_two_currencies_is_read() -> None:
    assert one(Money(), {"fen": 5, "currency": "CNY"}) == Amount(5, "CNY")
    assert one(Money(), {"minor": 5, "currency": "MXN"}) == Amount(5, "MXN")
    assert one(Money(0), {"fen": 0, "currency": "CNY"}) == Amount(0, "CNY")


def test_text_is_composed_and_times_are_utc() -> None:
    assert one(Text(), "e\u0301") == "\u00e9"
    assert one(Text(lines=True), "a\nb") == "a\nb"
    assert one(Instant(), "2026-03-02T09:30:00+08:00") == datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    assert one(Day(), "2026-03-02") == date(2026, 3, 2)
    assert one(Rate(signed=True), "-5.5") == "-5.5"


def test_all_wrong_fields_are_told_at_once_with_their_places() -> None:
    with pytest.raises(Invalid) as caught:
        read(ReceiptIn(), {"outcome": 5, "echo": {"amount": {"fen": "1", "currency": "CNY"}}})
    assert {pointer for pointer, _, _ in caught.value.fields} == {
        "/request_id",
        "/outcome",
        "/echo/amount",
    }


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_whatever_json_a_bank_sends_is_read_or_named_invalid(value: object) -> None:
    for sent in (value, {"type": value}, {"type": "ping", "timestamp": value, "data": value}):
        try:
            read(EventIn(), sent)
        except Invalid as problem:
            assert problem.fields


# ── Events ───────────────────────────────────────────────────────────────────────────────────

GOLDEN = (
    b'{"type":"application.refused","timestamp":"2026-03-02T01:29:58Z","data":{"application":'
    b'"ap_01JNB3K4","sequence":2,"request_id":"rq_01JNB3K5","reason_code":"R31"}}'
)


def delivery(body: bytes | dict[str, Any]) -> Delivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Delivery(raw, "application/json", {}, True, datetime(2026, 3, 2, tzinfo=UTC))


def event(kind: str, **data: Any) -> Delivery:
    said = {"application": "ap_1", "request_id": "rq_1", "sequence": 4, **data}
    return delivery({"type": kind, "timestamp": "2026-03-02T01:29:58Z", "data": said})


def test_the_golden_event_is_a_refusal() -> None:
    assert len(GOLDEN) == 162
    (report,) = registry.adapter("rest_jws").parse_event(delivery(GOLDEN))
    assert (report.status, report.bank_status) == (Status.REFUSED, "application.refused")
    assert (report.echo.application, report.sequence) == ("ap_01JNB3K4", 2)
    assert report.refusal is not None and report.refusal.code == "R31"
    assert report.occurred_at == datetime(2026, 3, 2, 1, 29, 58, tzinfo=UTC)


def test_a_reason_that_is_not_ours_becomes_other_with_the_banks_own_word() -> None:
    (report,) = registry.adapter("rest_jws").parse_event(
        event("application.refused", reason_code="X7", text="no")
    )
    assert report.refusal is not None
    assert (report.refusal.code, report.refusal.bank_code, report.refusal.text) == (
        "R99",
        "X7",
        "no",
    )


def test_an_offer_is_named_by_the_digest_of_what_was_received() -> None:
    odd = {**OFFER, "gift": {"zh": "无"}}
    (report,) = registry.adapter("rest_jws").parse_event(event("offer.made", offer=odd))
    assert report.offer is not None
    assert report.offer.canonical == canonical.dumps(odd)
    assert report.offer.digest == canonical.digest_of(odd)
    again = {**odd, "digest": report.offer.digest}
    (second,) = registry.adapter("rest_jws").parse_event(event("offer.made", offer=again))
    assert second.offer is not None and second.offer.digest == report.offer.digest


def test_an_offer_with_the_digest_of_another_is_refused() -> None:
    with pytest.raises(Garbled, match="another offer"):
        registry.adapter("rest_jws").parse_event(
            event("offer.made", offer={**OFFER, "digest": DIGEST})
        )


@pytest.mark.parametrize("kind", sorted(k for k, row in EVENTS.items() if row.needs))
def test_an_event_without_what_it_is_about_is_named(kind: str) -> None:
    with pytest.raises(Garbled, match="lacks"):
        registry.adapter("rest_jws").parse_event(event(kind))


@pytest.mark.parametrize("fields", [{"principal": 1, "interest": 1}, {"principal": "2"}])
def test_a_repayment_whose_parts_do_not_add_up_is_refused(fields: dict[str, Any]) -> None:
    split = {"interest": 0, **fields}
    with pytest.raises(Garbled):
        registry.adapter("rest_jws").parse_event(
            event(
                "loan.repaid",
                money={"fen": 3, "currency": "CNY"},
                split=split,
                on="2026-03-02",
            )
        )


def test_a_word_nobody_documented_is_kept_and_moves_nothing() -> None:
    (report,) = registry.adapter("rest_jws").parse_event(
        event("application.pondered", mood="good", status="pondering")
    )
    assert (report.status, report.bank_status) == (Status.UNKNOWN, "pondering")
    assert json.loads(report.raw)["mood"] == "good"


@pytest.mark.parametrize("data", [{}, {"note": 1}, None, [1]])
def test_a_ping_says_nothing(data: object) -> None:
    body = {"type": "ping", "timestamp": "2026-03-02T01:29:58Z", "data": data}
    assert registry.adapter("rest_jws").parse_event(delivery(body)) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"type":"ping"',
        b"[]",
        b'{"type":"loan.repaid","timestamp":"2026-03-02","data":{}}',
        b'{"type":"loan.repaid","timestamp":"2026-03-02T01:29:58Z","data":[]}',
        b'{"type":"ping","type":"ping","timestamp":"2026-03-02T01:29:58Z"}',
    ],
)
def test_a_broken_event_is_garbled_and_names_its_remedy(body: bytes) -> None:
    with pytest.raises(Garbled) as caught:
        registry.adapter("rest_jws").parse_event(delivery(body))
    assert caught.value.remedy
