"""A payment of a settled loan goes back: claim, lock, and application come back with the debt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime

import pytest
from sqlalchemy import Engine

from financing.context import Context
from financing.journeys import checking
from tests.paying import NOW, Case, World, case
from tests.statements_made import Line, Made

PRICE = 1_000_00
PAID = Line("1000.00", "ZZCG-2026-001", ref="P", end_to_end="E", on="2026-03-03")
BACK = Line("-1000.00", "退回", ref="B", end_to_end="E", returned="AC04", on="2026-03-09")


@pytest.fixture
def known(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> Case:
    set_clock(NOW)
    return case(World(ctx, owner), PRICE)


def states(known: Case) -> list[str]:
    return [
        str(known.world.rows(f"SELECT state FROM {name} ORDER BY id")[0].state)
        for name in ("loan", "claim", "application", "account_version")
    ]


def wrong(known: Case) -> list[str]:
    """Invariants of money and states that do not hold."""
    names = [f"I{n}" for n in (1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 16, 19)]
    with known.world.ctx.begin() as tx:
        return [found.id for found in checking.check(tx, names) if not found.holds]


def settled(known: Case) -> None:
    loan = known.world.loan(known.contract, "bank-a", 500_00, rate_bp="0")
    known.world.arrive(Made((PAID,), on=PAID.on), "paid.xml")
    assert known.world.bank_says_settled(loan)
    assert states(known) == ["settled", "discharged", "closed", "active"]


def goes_back(known: Case) -> None:
    known.world.arrive(Made((BACK,), opening="1000.00", on=BACK.on), "back.xml")


def test_a_settled_loan_that_owes_again_takes_back_what_secured_it(known: Case) -> None:
    settled(known)
    goes_back(known)
    assert states(known) == ["repaying", "held", "drawn", "locked"]
    (claim,) = known.world.rows("SELECT held_fen FROM claim")
    (contract,) = known.world.rows("SELECT held_fen, state FROM contract")
    assert claim.held_fen == contract.held_fen > 500_00  # the loan and the bank's margin
    assert contract.state == "accepted"
    assert wrong(known) == []


def test_it_settles_again_when_the_money_comes_again(known: Case) -> None:
    settled(known)
    goes_back(known)
    again = Line("1000.00", "ZZCG-2026-001", ref="P2", on="2026-03-16")
    known.world.arrive(Made((again,), on=again.on), "again.xml")
    assert states(known) == ["settled", "discharged", "closed", "active"]
    assert wrong(known) == []


def test_what_another_loan_has_taken_meanwhile_stays_taken(known: Case) -> None:
    first = known.world.loan(known.contract, "bank-a", 500_00, rate_bp="0")
    part, back = replace(PAID, amount="600.00"), replace(BACK, amount="-600.00")
    known.world.arrive(Made((part,), on=part.on), "paid.xml")
    assert known.world.bank_says_settled(first)
    known.world.loan(known.contract, "bank-b", 280_00, rate_bp="0", on=date(2026, 3, 4))
    (second,) = known.world.rows("SELECT held_fen FROM claim WHERE state = 'held'")
    known.world.arrive(Made((back,), opening="600.00", on=back.on), "back.xml")
    claims = known.world.rows("SELECT state, held_fen FROM claim ORDER BY id")
    room = PRICE - second.held_fen  # less than the loan with the bank's margin asks for
    assert [tuple(row) for row in claims] == [("held", room), ("held", second.held_fen)]
    locks = known.world.rows(
        "SELECT b.code FROM account_version v JOIN application a ON a.id = v.locked_by"
        " JOIN bank b ON b.id = a.bank_id"
    )
    assert [row.code for row in locks] == ["bank-b"]
    assert wrong(known) == []
