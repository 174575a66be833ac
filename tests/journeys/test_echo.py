"""What a bank echoes is compared before anything moves: one row for each line of the rule.

A held case has moved nothing; the supplier, the bank, and the operator see which field differs.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from bank_adapters.port import Echo, Receipt
from financing.journeys import answers, banks, loans
from financing.values import ids
from financing.values.money import Money
from tests.journeys.test_answers import (  # noqa: F401 - the two fixtures of these tests
    FEN,
    Lender,
    digest_of,
    lender,
    world,
)
from tests.verifying import World

WRONG = "sha-256:" + "0" * 64
MONEY = {"fen": FEN, "currency": "CNY"}
LOCKED = {"account_digest": WRONG}
OTHER = {
    "amount": {"fen": FEN + 1, "currency": "CNY"},
    "currency": {"minor": FEN, "currency": "USD"},
}


def reach(one: Lender, state: str) -> int:
    """Bring the case up to this state by answers that fit; gives the next sequence."""
    one.tell("application.received", 1)
    one.tell("offer.made", 2, offer=one.terms())
    if state == "offered":
        return 3
    with one.world.ctx.begin(one.world.actor(one.row(), "supplier")) as tx:
        loans.accept_offer(tx, one.row().id, digest_of(one.world))
    if state == "accepted":
        return 3
    one.tell("loan.contracted", 3, loan_reference="LN1", money=MONEY, on="2026-03-02")
    if state == "contracted":
        return 4
    one.tell("account.locked", 4, account_digest=account_of(one))
    return 5


def account_of(one: Lender) -> str:
    return str(json.loads(one.event("x", 9))["data"]["echo"]["account_digest"])


@pytest.mark.parametrize(
    ("before", "event", "said", "echo", "field"),
    [
        ("offered", "offer.amended", {"offer": {}}, {"amount": OTHER["amount"]}, "amount"),
        ("offered", "offer.amended", {"offer": {}}, {"amount": OTHER["currency"]}, "currency"),
        ("offered", "offer.amended", {"offer": {}}, {"contract_number": "X"}, "contract_number"),
        ("offered", "offer.amended", {"offer": {}}, {"packet_digest": WRONG}, "packet_digest"),
        ("offered", "offer.amended", {"offer": {}}, {"account_digest": WRONG}, "account_digest"),
        ("accepted", "loan.contracted", {"money": MONEY}, {"contract_number": "X"}, "contract_num"),
        ("accepted", "loan.contracted", {"money": MONEY}, {"packet_digest": WRONG}, "packet_dig"),
        ("accepted", "loan.contracted", {"money": MONEY}, {"packet_digest": None}, "lacks"),
        ("accepted", "loan.contracted", {"money": OTHER["amount"]}, {}, "more than it offered"),
        ("contracted", "account.locked", LOCKED, {"account_digest": WRONG}, "account_digest"),
        ("contracted", "account.locked", LOCKED, {"account_digest": None}, "account_digest"),
        ("locked", "loan.disbursed", {"money": OTHER["amount"]}, {}, "more than was contracted"),
    ],
)  # fmt: skip
def test_an_answer_about_something_else_moves_nothing(
    lender: Lender,  # noqa: F811 - the fixture
    before: str,
    event: str,
    said: dict[str, Any],
    echo: dict[str, Any],
    field: str,
) -> None:
    number = reach(lender, before)
    body = {"loan_reference": "LN1", "on": "2026-03-02", "flow_reference": "F1"} | said
    if "offer" in said:
        body = {"offer": lender.terms(revision=2)}
    assert lender.tell(event, number, **body, echo=echo) == before
    row = lender.row()
    assert field in row.hold_why, row.hold_why
    assert lender.world.count("SELECT count(*) FROM drawdown") == 0


@pytest.mark.parametrize(
    ("echo", "field"),
    [
        ({"amount": Money(FEN + 1)}, "amount"),
        ({"amount": Money(FEN, "USD")}, "currency"),
        ({"contract_number": "X"}, "contract_number"),
        ({"packet_digest": WRONG}, "packet_digest"),
        ({"account_digest": WRONG}, "account_digest"),
    ],
)
def test_a_receipt_about_something_else_is_held(
    lender: Lender,  # noqa: F811 - the fixture
    world: World,  # noqa: F811 - the fixture
    echo: dict[str, Any],
    field: str,
) -> None:
    known = {
        "request_id": None, "application": None, "contract_number": None, "amount": None,
        "packet_digest": None, "account_digest": None,
    }  # fmt: skip
    receipt = Receipt(
        request_id=ids.show("rq", lender.row().request_id),
        outcome="taken",
        bank_reference="ZC1",
        refusal=None,
        echo=Echo(**{**known, **echo}),
        retry_after_s=None,
    )
    with world.ctx.begin() as tx:
        answers.take_receipt(tx, banks.by_code(tx, lender.code), lender.row().id, receipt)
    assert field in lender.row().hold_why


def test_a_loan_given_up_ends_its_claim_and_keeps_its_account_locked(
    lender: Lender,  # noqa: F811 - the fixture
    world: World,  # noqa: F811 - the fixture
) -> None:
    number = reach(lender, "locked")
    lender.tell("loan.disbursed", number, money=MONEY, on="2026-03-02", flow_reference="F1")
    lender.tell("loan.overdue", number + 1, money=MONEY, on="2026-09-01")
    assert lender.tell("loan.written_off", number + 2, money=MONEY, on="2026-12-01") == "closed"
    assert world.count("SELECT count(*) FROM loan WHERE state = 'written-off'") == 1
    assert world.count("SELECT count(*) FROM claim WHERE state = 'released'") == 1
    assert world.count("SELECT count(*) FROM account_version WHERE state = 'locked'") == 1
