"""What a payment does to contract, loan, and claim; sums are conserved to the fen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text

from financing.context import Context
from financing.journeys import allocation
from financing.store.db import lock
from financing.store.tables import contract, milestone
from tests.paying import DRAWN, NOW, SIGNED, Case, Part, World, case
from tests.statements_made import Line, Made

PRICE = 1_000_00


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(NOW)
    return World(ctx, owner)


def pay(known: Case, *amounts: str, on: str = "2026-03-03", **line: Any) -> None:
    """Let the purchaser pay into the designated account, naming the contract."""
    lines = tuple(
        Line(amount, f"{known.number} 第{n}期", ref=f"{on}-{n}-{amount}", on=on, **line)
        for n, amount in enumerate(amounts)
    )
    known.world.arrive(Made(lines, on=on, opening="0.00"), f"{on}-{amounts}.xml")


def accept(known: Case, position: int, on: date = SIGNED) -> None:
    with known.world.ctx.begin() as tx:
        row = lock(tx, contract, [known.contract])[0]
        part = tx.db.execute(
            text("SELECT * FROM milestone WHERE contract_id = :id AND position = :n"),
            {"id": row.id, "n": position},
        ).one()
        allocation.accept_milestone(tx, row, part, on)
        tx.db.execute(milestone.update().where(milestone.c.id == part.id).values(accepted_on=on))


def outcomes(known: Case) -> list[str]:
    return [row.outcome for row in known.world.payments()]


def state(known: Case, table: str) -> str:
    return str(known.world.rows(f"SELECT state FROM {table}")[0].state)


# The contract's side


def test_a_payment_of_all_that_is_due_is_allocated_and_the_contract_is_paid(world: World) -> None:
    known = case(world, PRICE)
    pay(known, "1000.00")
    assert outcomes(known) == ["allocated"]
    assert world.book("contract", known.contract) == {"PRICE": -PRICE, "CASH": PRICE}
    assert state(known, "contract") == "paid"
    assert world.rows("SELECT open_fen FROM contract")[0].open_fen == 0


def test_a_payment_in_two_parts_is_partial_then_whole(world: World) -> None:
    known = case(world, PRICE)
    pay(known, "400.00")
    assert (outcomes(known), state(known, "contract")) == (["partial"], "performing")
    assert world.rows("SELECT open_fen FROM contract")[0].open_fen == 600_00
    pay(known, "600.00", on="2026-03-05")
    assert (outcomes(known), state(known, "contract")) == (["partial", "allocated"], "paid")


def test_more_than_the_price_is_over(world: World) -> None:
    known = case(world, PRICE)
    pay(known, "1200.00")
    assert outcomes(known) == ["over"]
    assert world.book("contract", known.contract)["OVERPAID"] == -200_00


def test_the_same_payment_twice_is_double(world: World) -> None:
    known = case(world, PRICE)
    same = Line("1000.00", known.number, ref="1", on="2026-03-03")
    world.arrive(Made((same, replace(same, ref="2", on="2026-03-05")), on="2026-03-05"))
    assert outcomes(known) == ["allocated", "double"]
    assert world.book("contract", known.contract)["OVERPAID"] == -PRICE


def test_a_payment_before_delivery_is_early_and_recovered_at_acceptance(world: World) -> None:
    known = case(world, PRICE, [Part(600_00), Part(400_00)])
    pay(known, "500.00")
    assert outcomes(known) == ["early"]
    assert world.book("contract", known.contract)["ADVANCE"] == -500_00
    accept(known, 0)
    book = world.book("contract", known.contract)
    assert (book["RECEIVABLE"], book.get("ADVANCE", 0)) == (100_00, 0)
    accept(known, 0)
    assert world.book("contract", known.contract) == book  # told twice, posted once


def test_retention_waits_and_its_payment_shows_that_it_fell_due(world: World) -> None:
    known = case(world, PRICE, [Part(PRICE, retention_fen=50_00, accepted_on=SIGNED)])
    pay(known, "950.00")
    assert (outcomes(known), state(known, "contract")) == (["allocated"], "performing")
    assert world.book("contract", known.contract)["RETENTION"] == 50_00
    pay(known, "50.00", on="2026-03-20")
    assert (outcomes(known), state(known, "contract")) == (["allocated", "allocated"], "paid")


def test_what_is_not_delivered_yet_is_served_before_retained_money(world: World) -> None:
    parts = [Part(600_00, retention_fen=60_00, accepted_on=SIGNED), Part(400_00)]
    known = case(world, PRICE, parts)
    pay(known, "700.00")
    book = world.book("contract", known.contract)
    assert (outcomes(known), book["ADVANCE"], book["RETENTION"]) == (["early"], -160_00, 60_00)


def test_a_planned_advance_is_recovered_part_by_part(world: World) -> None:
    parts = [Part(500_00, advance_fen=100_00), Part(500_00, advance_fen=200_00)]
    known = case(world, PRICE, parts)
    pay(known, "300.00")
    accept(known, 0)
    assert world.book("contract", known.contract)["RECEIVABLE"] == 400_00
    accept(known, 1)
    assert world.book("contract", known.contract)["RECEIVABLE"] == 700_00


def test_an_amended_price_is_posted_once(world: World) -> None:
    known = case(world, PRICE, [Part(PRICE)])
    pay(known, "1.00")
    with world.owner.begin() as link:
        link.execute(text("UPDATE contract SET amount_fen = 110000"))
    pay(known, "2.00", on="2026-03-04")
    pay(known, "3.00", on="2026-03-05")
    book = world.book("contract", known.contract)
    assert (book["PRICE"], book["UNDELIVERED"]) == (-1_100_00, 1_100_00)
    rows = world.rows("SELECT event FROM ledger WHERE account = 'PRICE' ORDER BY id")
    assert [row.event for row in rows] == ["signed", "amended"]


# The loan's side


def test_the_bank_takes_interest_then_principal_and_the_rest_passes_on(world: World) -> None:
    known = case(world, PRICE)
    loan = world.loan(known.contract, "bank-a", 500_00)  # 3.6 % on ACT/360: 1 bp a day
    pay(known, "1000.00", on="2026-03-03")  # 30 days after the payout
    interest = 500_00 * 30 // 10_000
    assert interest == 150
    assert world.book("loan", loan) == {
        "DISBURSED": -500_00, "INTEREST": -interest, "COLLECTED": 500_00 + interest,
    }  # fmt: skip
    moved = world.rows(
        "SELECT account, sum(debit_fen) AS fen FROM ledger WHERE book = 'loan'"
        " AND account IN ('CLEARING', 'REMAINDER') GROUP BY account ORDER BY account"
    )
    assert [tuple(row) for row in moved] == [
        ("CLEARING", PRICE), ("REMAINDER", PRICE - 500_00 - interest),
    ]  # fmt: skip


def test_a_part_serves_interest_first_and_shrinks_the_claim(world: World) -> None:
    known = case(world, PRICE)
    loan = world.loan(known.contract, "bank-a", 500_00)
    held = world.rows("SELECT held_fen FROM claim")[0].held_fen
    assert held == -(-500_00 * 10 // 7)
    pay(known, "101.50")
    book = world.book("loan", loan)
    assert (book["PRINCIPAL"], book.get("INTEREST_DUE", 0)) == (400_00, 0)
    assert world.rows("SELECT held_fen FROM claim")[0].held_fen == -(-400_00 * 10 // 7)
    row = world.rows("SELECT held_fen, open_fen FROM contract")[0]
    assert (row.held_fen, row.open_fen) == (-(-400_00 * 10 // 7), PRICE - 101_50)
    assert state(known, "loan") == "repaying"


def test_interest_runs_on_what_is_left(world: World) -> None:
    known = case(world, PRICE)
    loan = world.loan(known.contract, "bank-a", 500_00)
    pay(known, "101.50", on="2026-03-03")
    pay(known, "100.00", on="2026-03-13")
    book = world.book("loan", loan)
    assert book["PRINCIPAL"] == 400_00 - (100_00 - 400_00 * 10 // 10_000)


def test_money_from_before_the_payout_repays_nothing(world: World) -> None:
    known = case(world, PRICE)
    loan = world.loan(known.contract, "bank-a", 500_00)
    pay(known, "400.00", on="2026-01-20")
    assert world.book("loan", loan) == {"PRINCIPAL": 500_00, "DISBURSED": -500_00}
    assert state(known, "loan") == "active"


def test_of_two_loans_the_older_is_served_first_and_the_last_passes_on(world: World) -> None:
    known = case(world, PRICE)
    first = world.loan(known.contract, "bank-a", 200_00, rate_bp="0")
    second = world.loan(known.contract, "bank-b", 300_00, rate_bp="0", on=DRAWN + timedelta(2))
    pay(known, "350.00")
    assert world.book("loan", first).get("PRINCIPAL", 0) == 0
    assert world.book("loan", second)["PRINCIPAL"] == 150_00
    pay(known, "650.00", on="2026-03-05")
    assert world.book("loan", second).get("PRINCIPAL", 0) == 0
    passed = world.rows("SELECT sum(debit_fen) AS fen FROM ledger WHERE account = 'REMAINDER'")
    assert passed[0].fen == 500_00


# Settlement, from both sides


@pytest.mark.parametrize("bank_first", [True, False])
def test_a_loan_settles_when_the_bank_said_so_and_our_books_agree(
    world: World, bank_first: bool
) -> None:
    known = case(world, PRICE)
    loan = world.loan(known.contract, "bank-a", 500_00)
    if bank_first:
        assert not world.bank_says_settled(loan)
        assert state(known, "loan") == "active"
        pay(known, "1000.00")
    else:
        pay(known, "1000.00")
        assert state(known, "loan") == "repaying"
        assert world.bank_says_settled(loan)
    assert [state(known, name) for name in ("loan", "claim", "application", "account_version")] == [
        "settled", "discharged", "closed", "active",
    ]  # fmt: skip
    assert world.rows("SELECT held_fen FROM contract")[0].held_fen == 0
    assert world.rows("SELECT locked_by FROM account_version")[0].locked_by is None
    with world.ctx.begin() as tx:
        assert not allocation.settle_if_due(tx, loan)  # again: nothing


def test_a_loan_that_owes_by_our_books_does_not_settle_and_the_difference_is_told(
    world: World,
) -> None:
    known = case(world, PRICE)
    loan = world.loan(known.contract, "bank-a", 500_00)
    pay(known, "500.00")
    with world.owner.begin() as link:
        link.execute(
            text(
                "INSERT INTO bank_repayment (id, loan_id, flow_reference, amount_fen,"
                ' principal_fen, interest_fen, fees_fen, "on")'
                " VALUES (gen_random_uuid(), :loan, 'F', 50000, 50000, 0, 0, '2026-03-03')"
            ),
            {"loan": loan},
        )
    assert not world.bank_says_settled(loan)
    assert state(known, "loan") == "repaying"
    assert [row.event for row in world.rows("SELECT event FROM audit WHERE event = 'differ'")] == [
        "differ"
    ]


# Reversal


def test_a_reversal_restores_both_books(world: World) -> None:
    known = case(world, PRICE)
    loan = world.loan(known.contract, "bank-a", 500_00)
    pay(known, "1000.00", on="2026-03-03")
    assert state(known, "contract") == "paid"
    back = Line("-1000.00", "退回", reversal=True, ref="B", on="2026-03-13")
    world.arrive(Made((back,), opening="1000.00", on="2026-03-13"))
    assert (outcomes(known), state(known, "payment")) == (["reversed"], "reversed")
    book = world.book("contract", known.contract)
    assert book == {"PRICE": -PRICE, "RECEIVABLE": PRICE}
    assert world.book("loan", loan) == {
        "PRINCIPAL": 500_00, "DISBURSED": -500_00, "INTEREST_DUE": 150, "INTEREST": -150,
    }  # fmt: skip
    assert state(known, "contract") == "accepted"
    assert world.rows("SELECT held_fen FROM claim")[0].held_fen == -(-500_00 * 10 // 7)
    assert world.rows("SELECT open_fen FROM contract")[0].open_fen == PRICE
    pay(known, "1000.00", on="2026-03-23")  # ten days on the whole principal again
    assert world.book("loan", loan)["COLLECTED"] == 500_00 + 150 + 50


def test_a_reversed_diversion_leaves_no_trace_in_the_balances(world: World) -> None:
    known = case(world, PRICE)
    said = Line("1000.00", known.number, ref="1", on="2026-03-03")
    world.arrive(Made((said,), account="4100555566667777"))
    back = replace(said, amount="-1000.00", reversal=True, ref="2")
    world.arrive(Made((back,), account="4100555566667777", opening="1000.00"))
    assert outcomes(known) == ["reversed"]
    assert "DIVERTED" not in world.book("contract", known.contract)
    assert world.rows("SELECT open_fen FROM contract")[0].open_fen == PRICE


def give_back(known: Case, amount: str, end_to_end: str, on: str) -> None:
    line = Line(
        f"-{amount}", "退回", reversal=True, ref=f"B{end_to_end}", end_to_end=end_to_end, on=on
    )
    known.world.arrive(Made((line,), opening="9999.00", on=on), f"{end_to_end}.xml")


def test_an_advance_that_was_recovered_and_went_back_is_owed_again(world: World) -> None:
    known = case(world, PRICE, [Part(PRICE)])
    pay(known, "500.00", end_to_end="E")
    accept(known, 0)
    give_back(known, "500.00", "E", "2026-03-09")
    assert world.book("contract", known.contract) == {"PRICE": -PRICE, "RECEIVABLE": PRICE}


def test_an_overpayment_serves_the_debt_that_a_return_left(world: World) -> None:
    known = case(world, PRICE)
    pay(known, "1000.00", end_to_end="E1", on="2026-03-03")
    pay(known, "1000.00", end_to_end="E2", on="2026-03-20")
    give_back(known, "1000.00", "E1", "2026-03-21")
    assert world.book("contract", known.contract) == {"PRICE": -PRICE, "CASH": PRICE}
    assert state(known, "contract") == "paid"
    give_back(known, "1000.00", "E2", "2026-03-22")
    assert world.book("contract", known.contract) == {"PRICE": -PRICE, "RECEIVABLE": PRICE}
    assert state(known, "contract") == "accepted"


# Any history against a plain model

PARTS = (Part(300_00), Part(300_00, retention_fen=30_00), Part(400_00, retention_fen=20_00))
LOAN = 450_00


class Paying(RuleBasedStateMachine):
    """Payments, acceptances, and returns in any order; a plain model counts beside the books."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        with self.world.owner.begin() as link:
            link.execute(text("SET LOCAL session_replication_role = replica"))
            for (name,) in link.execute(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            ).all():
                if name not in ("alembic_version", "store_mark"):
                    link.execute(text(f'DELETE FROM "{name}"'))
        self.known = case(self.world, PRICE, PARTS)
        self.loan = self.world.loan(self.known.contract, "bank-a", LOAN)
        self.day = DRAWN
        self.balance = 0
        self.book = dict.fromkeys(("due", "ahead", "over", "kept", "cash"), 0)
        self.undelivered = PRICE
        self.next_part = 0
        self.owed = {"interest": 0, "principal": LOAN}
        self.passed = 0
        self.since = DRAWN
        self.live: dict[str, dict[str, int]] = {}
        self.expected: list[tuple[int, str]] = []

    def _to(self, days: int) -> str:
        self.day += timedelta(days)
        return self.day.isoformat()

    def _accrue(self) -> None:
        days = (self.day - self.since).days
        self.owed["interest"] += (self.owed["principal"] * days * 2 + 10_000) // 20_000
        self.since = self.day

    def _arrive(self, line: Line, fen: int) -> None:
        opening = f"{self.balance / 100:.2f}"
        self.balance += fen
        self.world.arrive(Made((line,), on=line.on, opening=opening), f"{line.ref}.xml")

    @precondition(lambda self: len(self.expected) < 12)
    @rule(fen=st.integers(1, 700_00), days=st.integers(0, 3))
    def pay(self, fen: int, days: int) -> None:
        on, ref = self._to(days), f"P{len(self.expected)}"
        book, left = self.book, fen
        did = dict.fromkeys(("due", "ahead", "over", "kept", "interest", "principal", "rest"), 0)
        may_be_ahead = self.undelivered - book["ahead"]
        if not may_be_ahead:
            did["kept"] = min(book["kept"], max(0, left - book["due"]))
        did["due"] = min(left, book["due"] + did["kept"])
        whole = did["due"] == book["due"] + did["kept"]
        left -= did["due"]
        did["ahead"] = min(left, may_be_ahead)
        did["over"] = left - did["ahead"]
        outcome = "over" if did["over"] else "early" if did["ahead"] else "allocated"
        outcome = outcome if whole else "partial"
        if sum(self.owed.values()):
            self._accrue()
            did["interest"] = min(fen, self.owed["interest"])
            did["principal"] = min(fen - did["interest"], self.owed["principal"])
            did["rest"] = fen - did["interest"] - did["principal"]
        self._apply(did, 1)
        book["cash"] += fen
        self.live[ref] = did | {"fen": fen}
        self.expected.append((fen, outcome))
        self._arrive(
            Line(f"{fen / 100:.2f}", f"{self.known.number} {ref}", ref=ref, end_to_end=ref, on=on),
            fen,
        )

    def _even(self) -> None:
        """Money that went back is owed again; what is overpaid serves what is due."""
        for part in ("ahead", "over"):
            if self.book[part] < 0:
                self.book["due"] -= self.book[part]
                self.book[part] = 0
        served = min(self.book["over"], self.book["due"])
        self.book["over"] -= served
        self.book["due"] -= served

    def _apply(self, did: dict[str, int], sign: int) -> None:
        self.book["due"] -= sign * (did["due"] - did["kept"])
        self.book["kept"] -= sign * did["kept"]
        self.book["ahead"] += sign * did["ahead"]
        self.book["over"] += sign * did["over"]
        self.owed["interest"] -= sign * did["interest"]
        self.owed["principal"] -= sign * did["principal"]
        self.passed += sign * did["rest"]

    @precondition(lambda self: self.next_part < len(PARTS))
    @rule()
    def accept(self) -> None:
        part = PARTS[self.next_part]
        accept(self.known, self.next_part, self.day)
        recovered = min(self.book["ahead"], part.fen - part.retention_fen)
        self.undelivered -= part.fen
        self.book["ahead"] -= recovered
        self.book["due"] += part.fen - part.retention_fen - recovered
        self.book["kept"] += part.retention_fen
        self.next_part += 1
        self._even()

    @precondition(lambda self: bool(self.live))
    @rule(data=st.data(), days=st.integers(0, 2))
    def give_back(self, data: st.DataObject, days: int) -> None:
        ref = data.draw(st.sampled_from(sorted(self.live)))
        did, on = self.live.pop(ref), self._to(days)
        if did["interest"] + did["principal"]:
            self._accrue()
        self._apply(did, -1)
        self._even()
        self.book["cash"] -= did["fen"]
        at = int(ref[1:])
        self.expected[at] = (did["fen"], "reversed")
        amount = f"-{did['fen'] / 100:.2f}"
        self._arrive(
            Line(amount, "退回", ref=f"B{ref}", end_to_end=ref, on=on, reversal=True), -did["fen"]
        )

    @invariant()
    def books_agree(self) -> None:
        book = self.world.book("contract", self.known.contract)
        if book:
            assert book.get("CASH", 0) == self.book["cash"]
            assert book.get("RECEIVABLE", 0) == self.book["due"]
            assert -book.get("ADVANCE", 0) == self.book["ahead"]
            assert -book.get("OVERPAID", 0) == self.book["over"]
            assert book.get("RETENTION", 0) == self.book["kept"]
            assert book.get("UNDELIVERED", 0) == self.undelivered
        owed = self.world.book("loan", self.loan)
        assert owed.get("PRINCIPAL", 0) == self.owed["principal"]
        assert owed.get("INTEREST_DUE", 0) == self.owed["interest"]
        assert owed.get("CLEARING", 0) == owed.get("REMAINDER", 0) == 0
        paid = self.world.rows("SELECT amount_fen, outcome FROM payment ORDER BY created_at, id")
        assert [tuple(row) for row in paid] == self.expected
        held = self.world.rows("SELECT sum(held_fen) AS fen FROM claim")[0].fen
        assert held == self.world.rows("SELECT held_fen FROM contract")[0].held_fen
        assert held == -(-self.owed["principal"] * 10 // 7)


def test_any_history_agrees_with_a_plain_model(world: World) -> None:
    machine = type("Paying", (Paying,), {"world": world})
    run_state_machine_as_test(
        machine, settings=hypothesis_settings(max_examples=12, stateful_step_count=12)
    )
