"""The `rest_jws` adapter against a bank in a process of its own, over real sockets."""

from __future__ import annotations

import base64
import json
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bank_adapters import registry
from bank_adapters.call import Call
from bank_adapters.port import (
    Acceptance,
    Adapter,
    AuthFailed,
    BankError,
    Cancellation,
    Case,
    Delivery,
    Garbled,
    OutcomeUnknown,
    Party,
    PollPage,
    PollQuery,
    Receipt,
    Report,
    Status,
    Submission,
    Throttled,
    Unavailable,
)
from financing.evidence.keys import Keys
from financing.values.money import Money
from financing.values.times import wall_now
from tests.sandbox import SHOP, Bank, Wish, bank, line, submission, wait_for

DAY = date(2026, 3, 2)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.open(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[Bank]:
    """One bank for many tests, which each bring their own firm and contract."""
    with bank(tmp_path_factory.mktemp("bank"), keys) as running:
        running.set_clock(DAY)
        yield running
        assert running.control("GET", "/cases")["stuck"] == []


@pytest.fixture
def call(house: Bank, keys: Keys) -> Iterator[Call]:
    made = line(house, keys)
    yield made
    made.close()
    house.control("DELETE", "/faults")


@pytest.fixture(scope="module")
def adapter() -> Adapter:
    return registry.adapter("rest_jws")


_numbers = iter(range(1, 1000))


def wish(**facts: Any) -> Wish:
    """A contract of its own for each test; accounts too, so that payments do not mix."""
    n = next(_numbers)
    return Wish(number=f"ZZCG-2026-{n:04d}", account=f"60110201234567{n:05d}").but(**facts)


def firm(code: str) -> Party:
    return replace(SHOP, id=code)


def one(receipts: Any) -> Receipt:
    (receipt,) = receipts
    return receipt  # type: ignore[no-any-return]


def reports(adapter: Adapter, call: Call, item: Submission) -> tuple[Report, ...]:
    return adapter.poll(call, PollQuery(cases=[Case(item.request_id, item.application)])).reports


def until(adapter: Adapter, call: Call, item: Submission, status: Status) -> Report:
    """The report of this status, once the bank has said it."""
    return wait_for(
        lambda: next((r for r in reports(adapter, call, item) if r.status == status), None),
        f"{status} of {item.application}",
    )


def acceptance(item: Submission, offered: Report, request_id: str = "rq_accept") -> Acceptance:
    assert offered.offer is not None and offered.bank_reference is not None
    return Acceptance(
        request_id=f"{request_id}_{item.application}",
        application=item.application,
        bank_reference=offered.bank_reference,
        offer_reference=offered.offer.reference,
        offer_revision=offered.offer.revision,
        offer_digest=offered.offer.digest,
        amount=offered.offer.amount,
    )


def cancellation(item: Submission, reference: str | None) -> Cancellation:
    assert reference is not None
    return Cancellation(f"rq_cancel_{item.application}", item.application, reference, "withdrawn")


# ── Submitting ───────────────────────────────────────────────────────────────────────────────


def test_a_batch_has_a_receipt_for_each_and_echoes_what_was_sent(
    adapter: Adapter, call: Call, keys: Keys
) -> None:
    items = [submission(keys, wish()) for _ in range(3)]
    receipts = {r.request_id: r for r in adapter.submit(call, items)}
    assert len({r.bank_reference for r in receipts.values()}) == 3
    for item in items:
        receipt = receipts[item.request_id]
        assert receipt.outcome == "taken"
        assert receipt.echo.application == item.application
        assert receipt.echo.amount == item.amount
        assert receipt.echo.contract_number == item.contract_number
        assert receipt.echo.packet_digest == item.packet_digest
        assert receipt.echo.account_digest == item.account_digest


def test_the_same_request_again_is_answered_as_before_and_is_one_case(
    adapter: Adapter, call: Call, keys: Keys, house: Bank
) -> None:
    item = submission(keys, wish())
    before = len(house.control("GET", "/cases")["cases"])
    first, second = one(adapter.submit(call, [item])), one(adapter.submit(call, [item]))
    assert first == second and first.outcome == "taken"
    assert len(house.control("GET", "/cases")["cases"]) == before + 1
    other = replace(item, tenor_days=90)
    refused = one(adapter.submit(call, [other]))
    assert refused.outcome == "refused" and refused.refusal and refused.refusal.code == "R84"


def test_sixty_items_go_in_two_requests(adapter: Adapter, keys: Keys, house: Bank) -> None:
    seen: list[Any] = []
    item = submission(keys, wish())
    items = [
        replace(item, request_id=f"rq_many_{i}", application=f"ap_many_{i}") for i in range(60)
    ]
    receipts = adapter.submit(line(house, keys, seen.append), items)
    assert {r.request_id for r in receipts} == {i.request_id for i in items}
    assert [(x.method, x.status) for x in seen] == [("POST", 200), ("POST", 200)]


def test_one_wrong_item_does_not_touch_the_others(adapter: Adapter, call: Call, keys: Keys) -> None:
    good, bad = submission(keys, wish()), replace(submission(keys, wish()), contract_number="")
    receipts = {r.request_id: r for r in adapter.submit(call, [bad, good])}
    assert receipts[good.request_id].outcome == "taken"
    assert receipts[bad.request_id].outcome == "refused"


# ── Deciding ─────────────────────────────────────────────────────────────────────────────────


def test_an_offer_comes_with_its_terms_and_the_echo(
    adapter: Adapter, call: Call, keys: Keys
) -> None:
    item = submission(keys, wish())
    adapter.submit(call, [item])
    offered = until(adapter, call, item, Status.OFFERED)
    known = reports(adapter, call, item)
    assert [r.status for r in known] == ["received", "reviewing", "offered"]
    assert [r.sequence for r in known] == [1, 2, 3]
    offer = offered.offer
    assert offer is not None
    assert (offer.amount, offer.rate_bp, offer.day_basis) == (item.amount, "435", "ACT/360")
    assert offer.tenor_days == 180
    assert offer.valid_until == datetime(2026, 3, 16, 2, tzinfo=UTC)
    assert [c.code for c in offer.conditions] == ["account_lock"]
    assert offered.echo.account_digest == item.account_digest
    assert offered.echo.packet_digest == item.packet_digest
    assert offered.echo.amount == item.amount
    assert known[0].echo.account_digest is None  # nothing of the packet was read yet


def test_a_bank_lends_in_the_contracts_currency(adapter: Adapter, call: Call, keys: Keys) -> None:
    item = submission(
        keys,
        wish(
            contract=Money(900_000_00, "MXN"),
            amount=Money(500_000_00, "MXN"),
            supplier=Party("MX-RFC", "XAXX010101000", "Alumbrado Ejemplo SA de CV"),
        ),
    )
    adapter.submit(call, [item])
    offered = until(adapter, call, item, Status.OFFERED)
    assert offered.offer is not None and offered.offer.amount == Money(500_000_00, "MXN")


def test_a_check_that_does_not_block_keeps_no_bank_from_offering(
    adapter: Adapter, call: Call, keys: Keys
) -> None:
    item = submission(keys, wish(checks=({"id": "LATE", "result": "fail", "blocks": False},)))
    adapter.submit(call, [item])
    until(adapter, call, item, Status.OFFERED)


def changed(item: Submission) -> Submission:
    """One byte of the packet changed, so that a part differs from its signed digest."""
    at = item.packet.index(b'"pass"')
    return replace(item, packet=item.packet[: at + 1] + b"P" + item.packet[at + 2 :])


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"supplier": firm("91410100MA9T00026A")}, "R41"),
        ({"supplier": firm("91410100MA9T000345")}, "R31"),
        ({"amount": Money(89_600_001)}, "R31"),  # 70 % of 128,000,000 is 89,600,000
        ({"tenor_days": 361}, "R33"),
        ({"bank": "sandbox-b"}, "R64"),
        ({"has_consent": False}, "R62"),
        ({"checks": ({"id": "SIGNED", "result": "fail", "blocks": True},)}, "R21"),
    ],
)
def test_the_bank_says_no_by_itself_and_why(
    facts: dict[str, Any], code: str, adapter: Adapter, call: Call, keys: Keys
) -> None:
    item = submission(keys, wish(**facts))
    adapter.submit(call, [item])
    refused = until(adapter, call, item, Status.REFUSED)
    assert refused.refusal is not None
    assert (refused.refusal.code, bool(refused.refusal.text)) == (code, True)
    assert Status.OFFERED not in [r.status for r in reports(adapter, call, item)]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (changed, "R62"),
        (lambda item: replace(item, packet_digest="sha-256:" + "0" * 64), "R62"),
        (lambda item: replace(item, amount=Money(70_000_000)), "R62"),
        (lambda item: replace(item, contract_number="ZZ-OTHER"), "R62"),
        (lambda item: replace(item, supplier=firm("91410100MA9T00018F")), "R62"),
        (lambda item: replace(item, account_digest="sha-256:" + "0" * 64), "R51"),
    ],
)
def test_the_bank_believes_the_packet_and_not_the_message(
    spoil: Any, code: str, adapter: Adapter, call: Call, keys: Keys
) -> None:
    item = spoil(submission(keys, wish()))
    assert one(adapter.submit(call, [item])).outcome == "taken"
    refused = until(adapter, call, item, Status.REFUSED)
    assert refused.refusal is not None and refused.refusal.code == code


def test_a_packet_signed_by_a_stranger_is_refused(
    adapter: Adapter, call: Call, tmp_path: Path
) -> None:
    item = submission(Keys.open(tmp_path / "stranger"), wish())
    adapter.submit(call, [item])
    refused = until(adapter, call, item, Status.REFUSED)
    assert refused.refusal is not None and refused.refusal.code == "R62"


def test_what_was_lent_on_a_contract_is_not_lent_again(
    adapter: Adapter, call: Call, keys: Keys
) -> None:
    first = wish(amount=Money(50_000_000))
    item = submission(keys, first)
    adapter.submit(call, [item])
    adapter.accept(call, [acceptance(item, until(adapter, call, item, Status.OFFERED))])
    until(adapter, call, item, Status.DISBURSED)
    second = submission(keys, first.but(amount=Money(39_600_001)))
    third = submission(keys, first.but(amount=Money(39_600_000)))
    adapter.submit(call, [second, third])
    refused = until(adapter, call, second, Status.REFUSED)
    assert refused.refusal is not None and refused.refusal.code == "R31"
    until(adapter, call, third, Status.OFFERED)


def test_a_smaller_amount_is_offered_after_the_first_was_too_much(
    adapter: Adapter, call: Call, keys: Keys
) -> None:
    asked = wish(supplier=firm("91410100MA9T000345"))
    item = submission(keys, asked)
    adapter.submit(call, [item])
    until(adapter, call, item, Status.REFUSED)
    smaller = submission(keys, asked.but(amount=Money(40_000_000)))
    adapter.submit(call, [smaller])
    until(adapter, call, smaller, Status.OFFERED)


def test_a_case_that_waits_for_a_person_goes_on_when_the_person_decides(
    adapter: Adapter, call: Call, keys: Keys, house: Bank
) -> None:
    item = submission(keys, wish(supplier=firm("91410100MA9T000420")))
    reference = one(adapter.submit(call, [item])).bank_reference
    asked = until(adapter, call, item, Status.INFO_REQUIRED)
    assert [need.code for need in asked.needs] == ["R61"]
    house.control("POST", f"/cases/{reference}", {"decision": "offer"})
    assert until(adapter, call, item, Status.OFFERED).sequence == 4


def test_an_amended_offer_is_a_new_revision_and_the_old_one_is_dead(
    adapter: Adapter, call: Call, keys: Keys
) -> None:
    item = submission(keys, wish(supplier=firm("91410100MA9T00069P")))
    adapter.submit(call, [item])
    wait_for(
        lambda: len(reports(adapter, call, item)) == 4 or None, "four reports, the last an offer"
    )
    first, second = (r for r in reports(adapter, call, item) if r.status == Status.OFFERED)
    assert first.offer and second.offer
    assert (first.offer.revision, second.offer.revision) == (1, 2)
    assert (first.offer.rate_bp, second.offer.rate_bp) == ("435", "415")
    refused = one(adapter.accept(call, [acceptance(item, first, "rq_old")]))
    assert refused.refusal is not None and refused.refusal.code == "R82"
    assert one(adapter.accept(call, [acceptance(item, second)])).outcome == "taken"


# ── Polling ──────────────────────────────────────────────────────────────────────────────────


def test_the_feed_gives_every_change_in_order_page_by_page(
    adapter: Adapter, call: Call, keys: Keys, house: Bank
) -> None:
    cursor = None
    while (page := adapter.poll(call, PollQuery(cursor=cursor))).more:
        cursor = page.cursor
    items = [submission(keys, wish()) for _ in range(2)]
    adapter.submit(call, items)
    for item in items:
        until(adapter, call, item, Status.OFFERED)
    pages: list[PollPage] = []
    cursor = page.cursor
    while not pages or pages[-1].more:
        pages.append(adapter.poll(call, PollQuery(cursor=cursor, limit=4)))
        cursor = pages[-1].cursor
    assert [len(p.reports) for p in pages] == [4, 2]
    for item in items:
        told = [r for p in pages for r in p.reports if r.echo.application == item.application]
        assert [r.sequence for r in told] == [1, 2, 3]
    empty = adapter.poll(call, PollQuery(cursor=cursor))
    assert (empty.reports, empty.cursor, empty.more) == ((), cursor, False)


def test_a_request_the_bank_never_saw_is_named(adapter: Adapter, call: Call, keys: Keys) -> None:
    sent, unsent = submission(keys, wish()), submission(keys, wish())
    adapter.submit(call, [sent])
    page = adapter.poll(
        call,
        PollQuery(cases=[Case(i.request_id, i.application) for i in (sent, unsent)]),
    )
    assert page.missing == (unsent.request_id,)
    assert {r.echo.application for r in page.reports} == {sent.application}


def test_many_cases_are_asked_for_in_few_requests(
    adapter: Adapter, keys: Keys, house: Bank
) -> None:
    seen: list[Any] = []
    cases = [Case(f"rq_nobody_{i}", f"ap_nobody_{i}") for i in range(120)]
    page = adapter.poll(line(house, keys, seen.append), PollQuery(cases=cases))
    assert len(page.missing) == 120
    assert len(seen) == 3


# ── Lending ──────────────────────────────────────────────────────────────────────────────────


def test_an_accepted_offer_becomes_a_loan_step_by_step(
    adapter: Adapter, call: Call, keys: Keys
) -> None:
    item = submission(keys, wish())
    adapter.submit(call, [item])
    said = acceptance(item, until(adapter, call, item, Status.OFFERED))
    assert one(adapter.accept(call, [said])).outcome == "taken"
    assert one(adapter.accept(call, [said])).outcome == "taken"
    until(adapter, call, item, Status.DISBURSED)
    accepted, contracted, locked, paid = reports(adapter, call, item)[3:]
    assert [r.status for r in (accepted, contracted, locked, paid)] == [
        "accepted",
        "contracted",
        "account_locked",
        "disbursed",
    ]
    assert (contracted.money, contracted.on, contracted.due_on) == (
        item.amount,
        DAY,
        date(2026, 8, 29),
    )
    assert locked.echo.account_digest == item.account_digest
    assert (paid.money, paid.on, paid.part, paid.parts) == (item.amount, DAY, 1, 1)
    assert paid.loan_reference == contracted.loan_reference is not None
    assert paid.flow_reference


def test_a_loan_in_two_parts_is_paid_out_in_two_flows(
    adapter: Adapter, call: Call, keys: Keys
) -> None:
    item = submission(keys, wish(supplier=firm("91410100MA9T00085D"), amount=Money(80_000_001)))
    adapter.submit(call, [item])
    adapter.accept(call, [acceptance(item, until(adapter, call, item, Status.OFFERED))])
    wait_for(lambda: len(reports(adapter, call, item)) == 8 or None, "the second payout")
    paid = [r for r in reports(adapter, call, item) if r.status == Status.DISBURSED]
    assert [(r.part, r.parts) for r in paid] == [(1, 2), (2, 2)]
    assert sum(r.money.fen for r in paid if r.money) == 80_000_001
    assert len({r.flow_reference for r in paid}) == 2


@pytest.mark.parametrize(
    ("code", "reason", "before"),
    [("91410100MA9T00077J", "R34", "accepted"), ("91410100MA9T00114Q", "R52", "contracted")],
)
def test_a_bank_that_steps_back_says_so(
    code: str, reason: str, before: str, adapter: Adapter, call: Call, keys: Keys
) -> None:
    item = submission(keys, wish(supplier=firm(code)))
    adapter.submit(call, [item])
    adapter.accept(call, [acceptance(item, until(adapter, call, item, Status.OFFERED))])
    refused = until(adapter, call, item, Status.REFUSED)
    assert refused.refusal is not None and refused.refusal.code == reason
    assert [r.status for r in reports(adapter, call, item)][-2:] == [before, "refused"]


def test_a_lapsed_offer_cannot_be_accepted(adapter: Adapter, keys: Keys, tmp_path: Path) -> None:
    with bank(tmp_path / "bank", keys) as own:
        own.set_clock(DAY, 10)
        call = line(own, keys)
        item = submission(keys, wish(supplier=firm("91410100MA9T00050T")))
        adapter.submit(call, [item])
        offered = until(adapter, call, item, Status.OFFERED)
        own.set_clock(DAY, 11)
        refused = one(adapter.accept(call, [acceptance(item, offered)]))
        assert refused.refusal is not None and refused.refusal.code == "R82"
        gone = until(adapter, call, item, Status.OFFER_EXPIRED)
        assert offered.offer is not None
        assert gone.offer_reference == offered.offer.reference


def test_a_bank_whose_clock_nobody_sets_lets_its_offers_lapse(
    adapter: Adapter, keys: Keys, tmp_path: Path
) -> None:
    with bank(tmp_path / "bank", keys, behaviour={"valid_s": 1}) as own:
        item = submission(keys, wish())
        adapter.submit(line(own, keys), [item])
        until(adapter, line(own, keys), item, Status.OFFER_EXPIRED)


def test_cancelling_ends_an_application_until_the_money_is_paid_out(
    adapter: Adapter, call: Call, keys: Keys
) -> None:
    early, late = submission(keys, wish()), submission(keys, wish())
    adapter.submit(call, [early, late])
    offered = until(adapter, call, early, Status.OFFERED)
    ended = cancellation(early, offered.bank_reference)
    assert one(adapter.cancel(call, [ended])).outcome == "taken"
    assert one(adapter.cancel(call, [ended])).outcome == "taken"
    assert [r.status for r in reports(adapter, call, early)][-1] == Status.CANCELLED
    refused = one(adapter.accept(call, [acceptance(early, offered)]))
    assert refused.outcome == "refused"
    adapter.accept(call, [acceptance(late, until(adapter, call, late, Status.OFFERED))])
    paid = until(adapter, call, late, Status.DISBURSED)
    too_late = one(adapter.cancel(call, [cancellation(late, paid.bank_reference)]))
    assert too_late.refusal is not None and too_late.refusal.code == "R83"


def test_another_applications_reference_is_unknown_here(
    adapter: Adapter, call: Call, keys: Keys
) -> None:
    mine, other = submission(keys, wish()), submission(keys, wish())
    adapter.submit(call, [mine, other])
    offered = until(adapter, call, other, Status.OFFERED)
    with pytest.raises(BankError, match="no such application"):
        adapter.cancel(call, [cancellation(mine, offered.bank_reference)])
    assert until(adapter, call, other, Status.OFFERED)


# ── Repaying, by the bank's clock ────────────────────────────────────────────────────────────


def lent(
    adapter: Adapter, call: Call, keys: Keys, on: Bank, asked: Wish
) -> tuple[Submission, Report]:
    item = submission(keys, asked)
    adapter.submit(call, [item])
    adapter.accept(call, [acceptance(item, until(adapter, call, item, Status.OFFERED))])
    return item, until(adapter, call, item, Status.DISBURSED)


def test_payments_repay_interest_first_and_settle_with_the_remainder_left(
    adapter: Adapter, keys: Keys, tmp_path: Path
) -> None:
    asked = wish()
    with bank(tmp_path / "bank", keys) as own:
        own.set_clock(DAY)
        call = line(own, keys)
        item, _ = lent(adapter, call, keys, own, asked)
        halfway, end = date(2026, 5, 31), date(2026, 8, 29)  # 90 and 180 days after
        own.set_clock(halfway)
        first = own.pay(asked.account, Money(30_000_000), halfway, remittance="ZZCG 第一笔")
        own.set_clock(end)
        second = own.pay(asked.account, Money(60_000_000), end, end_to_end="E2E-2")
        # 80,000,000 × 4.35 % × 90 / 360 = 870,000; then on 50,870,000: 553,211.25 → 553,211
        told = [r for r in reports(adapter, call, item) if r.status == Status.REPAID]
        assert [r.split and (r.split.principal_fen, r.split.interest_fen) for r in told] == [
            (29_130_000, 870_000),
            (50_870_000, 553_211),
        ]
        assert [r.money for r in told] == [Money(30_000_000), Money(51_423_211)]
        assert [r.flow_reference for r in told] == [first["reference"], second["reference"]]
        assert second["collected"] == 51_423_211
        settled = until(adapter, call, item, Status.SETTLED)
        assert (settled.on, settled.money) == (end, Money(0))

        content = own.control(
            "GET",
            "/statement",
            account=asked.account,
            **{"from": DAY.isoformat(), "to": end.isoformat()},
        )
        again = own.control(
            "GET",
            "/statement",
            account=asked.account,
            **{"from": DAY.isoformat(), "to": end.isoformat()},
        )
        assert content == again
        assert_balanced(
            content,
            asked.account,
            ["300000.00", "-300000.00", "600000.00", "-514232.11"],
        )


def assert_balanced(content: bytes, account: str, amounts: list[str]) -> None:
    """The statement is of this account, holds these entries, and its balances agree with them."""
    space = {"c": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"}
    (statement,) = ET.fromstring(content).findall("c:BkToCstmrStmt/c:Stmt", space)

    def signed(node: ET.Element) -> Decimal:
        amount = Decimal(node.findtext("c:Amt", "", space))
        return amount if node.findtext("c:CdtDbtInd", "", space) == "CRDT" else -amount

    assert statement.findtext("c:Acct/c:Id/c:Othr/c:Id", "", space) == account
    entries = statement.findall("c:Ntry", space)
    assert [signed(entry) for entry in entries] == [Decimal(amount) for amount in amounts]
    opening, closing = (signed(balance) for balance in statement.findall("c:Bal", space))
    assert opening + sum(signed(entry) for entry in entries) == closing
    references = [entry.findtext("c:AcctSvcrRef", "", space) for entry in entries]
    assert len(set(references)) == len(references)
    assert {entry.findtext("c:Sts/c:Cd", "", space) for entry in entries} == {"BOOK"}


def test_money_in_another_account_repays_nothing_and_is_in_that_accounts_statement(
    adapter: Adapter, keys: Keys, tmp_path: Path
) -> None:
    asked = wish()
    with bank(tmp_path / "bank", keys) as own:
        own.set_clock(DAY)
        call = line(own, keys)
        item, _ = lent(adapter, call, keys, own, asked)
        paid = own.pay("6011 0299 9999 9999 999", Money(10_000_000), DAY, holder=SHOP.name)
        assert paid["collected"] == 0
        assert Status.REPAID not in [r.status for r in reports(adapter, call, item)]
        content = own.control(
            "GET",
            "/statement",
            account="6011029999999999999",
            **{"from": DAY.isoformat(), "to": DAY.isoformat()},
        )
        assert_balanced(content, "6011029999999999999", ["100000.00"])


def test_a_loan_falls_due_by_the_banks_clock_and_a_late_payment_settles_it(
    adapter: Adapter, keys: Keys, tmp_path: Path
) -> None:
    asked = wish(supplier=firm("91410100MA9T00106X"), tenor_days=30)
    with bank(tmp_path / "bank", keys) as own:
        own.set_clock(DAY)
        call = line(own, keys)
        item, _ = lent(adapter, call, keys, own, asked)
        own.set_clock(date(2026, 4, 1))
        assert Status.OVERDUE not in [r.status for r in reports(adapter, call, item)]
        own.set_clock(date(2026, 4, 2))
        late = until(adapter, call, item, Status.OVERDUE)
        assert (late.on, late.money) == (date(2026, 4, 2), asked.amount)
        own.pay(asked.account, Money(90_000_000), date(2026, 4, 2))
        until(adapter, call, item, Status.SETTLED)


def test_a_bank_that_is_started_again_goes_on_where_it_was(
    adapter: Adapter, keys: Keys, tmp_path: Path
) -> None:
    item = submission(keys, wish(supplier=firm("91410100MA9T00122K")))
    with bank(tmp_path / "bank", keys) as own:
        own.set_clock(DAY)
        reference = one(adapter.submit(line(own, keys), [item])).bank_reference
        until(adapter, line(own, keys), item, Status.REVIEWING)
        pem = own.answer_key_pem
    with bank(tmp_path / "bank", keys) as own:
        assert own.answer_key_pem == pem
        assert own.control("GET", "/clock")["today"] == DAY.isoformat()
        assert one(adapter.submit(line(own, keys), [item])).bank_reference == reference
        own.control("POST", f"/cases/{reference}", {"decision": "refuse", "reason_code": "R24"})
        refused = until(adapter, line(own, keys), item, Status.REFUSED)
        assert refused.refusal is not None and refused.refusal.code == "R24"


# ── Faults of a bank, and what an adapter makes of them ──────────────────────────────────────


@pytest.mark.parametrize(
    ("slug", "kind", "is_taken"),
    [
        ("timeout-before", OutcomeUnknown, False),
        ("timeout-after", OutcomeUnknown, True),
        ("error-after", OutcomeUnknown, True),
        ("slow-drip", OutcomeUnknown, True),
        ("endless", Garbled, True),
        ("html-200", Garbled, False),
        ("maintenance", Unavailable, False),
        ("busy", Throttled, False),
    ],
)
def test_a_fault_while_submitting_has_its_kind_and_the_bank_can_be_asked(
    slug: str, kind: type[BankError], is_taken: bool, adapter: Adapter, keys: Keys, house: Bank
) -> None:
    item = submission(keys, wish())
    house.fault(slug)
    with pytest.raises(BankError) as caught:
        adapter.submit(line(house, keys, deadline_s=1), [item])
    assert type(caught.value) is kind
    page = adapter.poll(
        line(house, keys), PollQuery(cases=[Case(item.request_id, item.application)])
    )
    assert page.missing == (() if is_taken else (item.request_id,))
    assert one(adapter.submit(line(house, keys), [item])).outcome == "taken"
    cases = house.control("GET", "/cases")["cases"]
    assert [c["application"] for c in cases].count(item.application) == 1
    assert house.control("GET", "/faults")["history"][-1]["slug"] == slug


def test_waiting_times_of_a_closed_and_of_a_busy_bank_are_told(
    adapter: Adapter, call: Call, house: Bank
) -> None:
    house.fault("maintenance", seconds=1800)
    with pytest.raises(Unavailable) as closed:
        adapter.poll(call, PollQuery())
    house.fault("busy", seconds=90)
    with pytest.raises(Throttled) as busy:
        adapter.poll(call, PollQuery())
    assert closed.value.retry_after_s == 1800
    assert 80 <= (busy.value.retry_after_s or 0) <= 90


def test_receipts_that_come_twice_are_one_case(
    adapter: Adapter, call: Call, keys: Keys, house: Bank
) -> None:
    item = submission(keys, wish())
    house.fault("duplicate")
    receipts = adapter.submit(call, [item])
    assert [r.request_id for r in receipts] == [item.request_id] * 2
    assert len({r.bank_reference for r in receipts}) == 1


def test_a_word_nobody_documented_moves_nothing_and_is_kept(
    adapter: Adapter, call: Call, keys: Keys, house: Bank
) -> None:
    item = submission(keys, wish())
    house.fault("unknown-status")
    adapter.submit(call, [item])
    until(adapter, call, item, Status.OFFERED)
    known = reports(adapter, call, item)
    assert [(r.status, r.bank_status) for r in known][1] == ("unknown", "precheck_passed")
    assert [r.sequence for r in known] == [1, 2, 3, 4]


@pytest.mark.parametrize("code", ["91410100MA9T000938", "fault"])
def test_a_silent_bank_has_the_application_and_says_nothing_more(
    code: str, adapter: Adapter, call: Call, keys: Keys, house: Bank
) -> None:
    if code == "fault":
        house.fault("silence")
    item = submission(keys, wish() if code == "fault" else wish(supplier=firm(code)))
    after = submission(keys, wish())
    adapter.submit(call, [item])
    adapter.submit(call, [after])
    until(adapter, call, after, Status.OFFERED)  # the bank works in order: it has passed ours
    (said,) = reports(adapter, call, item)
    assert (said.status, said.sequence) == (Status.RECEIVED, None)


def test_our_signature_by_another_key_is_not_taken(
    adapter: Adapter, keys: Keys, house: Bank, tmp_path: Path
) -> None:
    stranger = Keys.open(tmp_path / "stranger")
    item = submission(keys, wish())
    wrong = replace(line(house, keys), sign=stranger.sign_request)
    for verb in (
        lambda: adapter.submit(wrong, [item]),
        lambda: adapter.poll(wrong, PollQuery()),
    ):
        with pytest.raises(AuthFailed):
            verb()
    assert house.case(item.application) is None


def test_a_question_that_was_changed_on_its_way_is_not_answered(
    adapter: Adapter, keys: Keys, house: Bank
) -> None:
    token = keys.sign_request(b"/applications?limit=1")
    with pytest.raises(AuthFailed):
        adapter.poll(replace(line(house, keys), sign=lambda _: token), PollQuery(limit=2))


def test_an_answer_by_another_key_is_garbled(adapter: Adapter, keys: Keys, house: Bank) -> None:
    other = replace(house, answer_key_pem=keys.request_public_pem)
    with pytest.raises(Garbled, match="signature"):
        adapter.poll(line(other, keys), PollQuery())


# ── Webhooks ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Broker:
    """Takes webhooks as a broker would, and keeps each attempt."""

    url: str
    attempts: list[tuple[dict[str, str], bytes]]
    answers: list[int]

    def of(self, item: Submission) -> list[tuple[dict[str, str], bytes]]:
        return [(h, b) for h, b in self.attempts if item.application.encode() in b]


@contextmanager
def broker() -> Iterator[Broker]:
    attempts: list[tuple[dict[str, str], bytes]] = []
    answers: list[int] = []
    lock = threading.Lock()

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                headers = {name.lower(): value for name, value in self.headers.items()}
                attempts.append(({**headers, ":path": self.path}, body))
                status = answers.pop(0) if answers else 202
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Broker(f"http://127.0.0.1:{server.server_port}", attempts, answers)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def is_signed(to: Bank, headers: dict[str, str], body: bytes) -> bool:
    """Standard Webhooks v1a, checked by hand against the bank's public key."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(to.webhook_key[5:]))
    kind, _, encoded = headers["webhook-signature"].partition(",")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    try:
        key.verify(base64.b64decode(encoded), signed)
    except InvalidSignature:
        return False
    return kind == "v1a"


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Iterator[tuple[Bank, Broker]]:
    with (
        broker() as desk,
        bank(tmp_path_factory.mktemp("speaking"), keys, broker_url=desk.url) as own,
    ):
        own.set_clock(DAY)
        yield own, desk


def deliveries(to: Broker, item: Submission, count: int) -> list[tuple[dict[str, str], bytes]]:
    wait_for(lambda: len(to.of(item)) >= count or None, f"{count} deliveries")
    return to.of(item)


def test_events_say_the_same_as_the_feed(
    adapter: Adapter, keys: Keys, speaking: tuple[Bank, Broker]
) -> None:
    own, desk = speaking
    item = submission(keys, wish())
    adapter.submit(line(own, keys), [item])
    sent = deliveries(desk, item, 3)
    for headers, body in sent:
        assert is_signed(own, headers, body)
        assert headers[":path"] == "/api/v1/webhooks/banks/sandbox-a"
        assert abs(int(headers["webhook-timestamp"]) - wall_now().timestamp()) < 60
    told = [
        report
        for headers, body in sent
        for report in adapter.parse_event(
            Delivery(body, "application/json", headers, True, wall_now())
        )
    ]
    polled = reports(adapter, line(own, keys), item)
    assert [replace(r, raw=b"") for r in told] == [replace(r, raw=b"") for r in polled]
    assert [r.bank_event_id for r in polled] == [h["webhook-id"] for h, _ in sent]


def test_a_delivery_that_failed_is_signed_anew_with_the_same_id_and_bytes(
    adapter: Adapter, keys: Keys, speaking: tuple[Bank, Broker]
) -> None:
    own, desk = speaking
    desk.answers.extend([500, 401])
    item = submission(keys, wish(supplier=firm("91410100MA9T00122K")))
    adapter.submit(line(own, keys), [item])
    sent = deliveries(desk, item, 4)
    by_id: dict[str, set[bytes]] = {}
    for headers, body in sent:
        assert is_signed(own, headers, body)
        by_id.setdefault(headers["webhook-id"], set()).add(body)
    assert len(sent) == 4 and all(len(bodies) == 1 for bodies in by_id.values())
    case = own.reaches(item.application, "reviewing")
    assert sum(change["attempts"] for change in case["changes"]) == 4


def test_an_event_that_the_broker_will_never_take_is_given_up(
    adapter: Adapter, keys: Keys, speaking: tuple[Bank, Broker]
) -> None:
    own, desk = speaking
    desk.answers.append(422)
    item = submission(keys, wish(supplier=firm("91410100MA9T00122K")))
    adapter.submit(line(own, keys), [item])
    deliveries(desk, item, 2)

    def given_up() -> Any:
        states = [change["delivery"] for change in own.case(item.application)["changes"]]
        return states if states == ["failed", "done"] else None

    wait_for(given_up, "the first given up, the second delivered")


@pytest.mark.parametrize("slug", ["bad-signature", "old-timestamp"])
def test_a_wrongly_signed_attempt_is_followed_by_a_good_one(
    slug: str, adapter: Adapter, keys: Keys, speaking: tuple[Bank, Broker]
) -> None:
    own, desk = speaking
    own.fault(slug)
    desk.answers.append(401)
    item = submission(keys, wish(supplier=firm("91410100MA9T00122K")))
    adapter.submit(line(own, keys), [item])
    sent = deliveries(desk, item, 3)
    first, *others = sent
    age = wall_now().timestamp() - int(first[0]["webhook-timestamp"])
    if slug == "bad-signature":
        assert not is_signed(own, *first)
    else:
        assert is_signed(own, *first) and age > 590
    assert all(is_signed(own, *attempt) for attempt in others)
    assert first[0]["webhook-id"] in [headers["webhook-id"] for headers, _ in others]


def test_a_duplicate_is_the_same_id_and_bytes_twice(
    adapter: Adapter, keys: Keys, speaking: tuple[Bank, Broker]
) -> None:
    own, desk = speaking
    item = submission(keys, wish(supplier=firm("91410100MA9T00122K")))
    own.fault("duplicate", next=3)  # the receipt and both events
    adapter.submit(line(own, keys), [item])
    sent = deliveries(desk, item, 4)
    ids = [headers["webhook-id"] for headers, _ in sent]
    assert len(ids) == 4 and len(set(ids)) == 2
    assert len({body for _, body in sent}) == 2


def test_three_events_come_in_reverse(
    adapter: Adapter, keys: Keys, speaking: tuple[Bank, Broker]
) -> None:
    own, desk = speaking
    own.fault("reordered", next=3)
    item = submission(keys, wish())
    adapter.submit(line(own, keys), [item])
    sent = deliveries(desk, item, 3)
    assert [json.loads(body)["data"]["sequence"] for _, body in sent] == [3, 2, 1]


def test_a_late_event_comes_hours_later_by_the_banks_clock(
    adapter: Adapter, keys: Keys, speaking: tuple[Bank, Broker]
) -> None:
    own, desk = speaking
    own.fault("late", seconds=3 * 3600)
    item = submission(keys, wish())
    adapter.submit(line(own, keys), [item])
    sent = deliveries(desk, item, 2)
    assert [json.loads(body)["data"]["sequence"] for _, body in sent] == [2, 3]
    own.set_clock(DAY, 13)
    late = deliveries(desk, item, 3)[-1]
    assert json.loads(late[1])["data"]["sequence"] == 1
    assert is_signed(own, *late)
