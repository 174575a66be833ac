"""Each line is booked once, however often, in whatever pieces, and in whatever order it comes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from random import Random

import pytest
from sqlalchemy import Engine

from financing.context import Context
from financing.errors import Unreadable
from financing.journeys import files
from financing.journeys.statements import Counts
from tests.paying import NOW, Case, World, case
from tests.statements_made import Line, Made, camt

A, B, C = Line("100.00", "a", ref="A"), Line("200.00", "b", ref="B"), Line("300.00", "c", ref="C")


@pytest.fixture
def world(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> World:
    set_clock(NOW)
    return World(ctx, owner)


@pytest.fixture
def known(world: World) -> Case:
    return case(world)


def booked(world: World) -> list[tuple[int, int]]:
    rows = world.rows("SELECT amount_fen, ordinal FROM entry ORDER BY booking_on, amount_fen, id")
    return [(row.amount_fen, row.ordinal) for row in rows]


def test_each_line_is_booked_and_what_came_in_becomes_a_payment(known: Case) -> None:
    counts = known.world.imports(Made((A, replace(B, amount="-200.00"), Line("0.00", "fee"))))
    assert counts == Counts(read=3, new=3)
    assert [row.amount_fen for row in known.world.payments()] == [100_00]
    assert known.world.rows("SELECT lines, holds FROM statement") == [(3, True)]
    assert len(known.world.rows("SELECT 1 FROM entry_source")) == 3


def test_the_same_file_again_changes_nothing(known: Case) -> None:
    made = camt(Made((A, B)))
    known.world.imports(made)
    before = known.world.rows("SELECT count(*) FROM audit"), booked(known.world)
    assert known.world.imports(made, "renamed.xml") == Counts(read=2, unchanged=2)
    assert (known.world.rows("SELECT count(*) FROM audit"), booked(known.world)) == before
    assert len(known.world.rows("SELECT 1 FROM statement")) == 1


def test_another_spelling_of_the_same_statement_changes_nothing(known: Case) -> None:
    made = camt(Made((A, Line("5.00", "ZZCG-2026-001 款"))))
    known.world.imports(made)
    for again in (
        made.replace(b"><", b">\r\n  <"),
        b"\xef\xbb\xbf" + made,
        made.replace("ZZCG-2026-001 款".encode(), "ZZCG-2026-\n001款".encode()),
        camt(Made((A, Line("5.00", "ZZCG-2026-\n001 款"))), version=4, message_id="M2"),
    ):
        assert known.world.imports(again).new == 0
    assert booked(known.world) == [(5_00, 1), (100_00, 1)]
    assert len(known.world.payments()) == 2


def test_two_equal_payments_in_one_statement_are_two(known: Case) -> None:
    equal = Line("100.00", "same")
    known.world.imports(Made((equal, equal)))
    assert booked(known.world) == [(100_00, 1), (100_00, 2)]
    known.world.imports(Made((equal, equal, C)))
    assert booked(known.world) == [(100_00, 1), (100_00, 2), (300_00, 1)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_halves_that_overlap_by_a_day_are_their_union(known: Case, order: tuple[int, int]) -> None:
    days = [replace(A, on="2026-03-01"), replace(B, on="2026-03-02"), replace(C, on="2026-03-03")]
    halves = [
        Made(tuple(days[:2]), closing="300.00"),
        Made(tuple(days[1:]), opening="100.00", closing="600.00", on="2026-03-03"),
    ]
    for n in order:
        known.world.imports(halves[n])
    assert booked(known.world) == [(100_00, 1), (200_00, 1), (300_00, 1)]


def test_equal_lines_of_two_numbered_statements_are_two_payments(known: Case) -> None:
    equal = Line("100.00", "same")
    known.world.imports(Made((equal,), number="1"))
    known.world.imports(Made((equal,), number="2", opening="100.00"))
    assert booked(known.world) == [(100_00, 1), (100_00, 2)]


def test_equal_lines_without_numbers_are_one_payment_sent_twice(known: Case) -> None:
    equal = Line("100.00", "same")
    known.world.imports(Made((equal,)))
    known.world.imports(Made((equal,), opening="100.00"))
    assert booked(known.world) == [(100_00, 1)]


def test_whole_days_in_any_order_and_overlap_never_double_and_never_lose(
    known: Case, owner: Engine
) -> None:
    random = Random(7)
    for _ in range(25):
        with owner.begin() as link:
            link.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for table in ("entry_source", "payment", "entry", "statement", "import_file", "audit"):
                link.exec_driver_sql(f"DELETE FROM {table}")
        history = [
            Line(
                random.choice(["1.00", "2.00"]),
                random.choice(["x", "y"]),
                on=f"2026-03-0{random.randint(1, 4)}",
            )
            for _ in range(random.randint(2, 9))
        ]
        spans = [(1, 4), *(sorted(random.choices(range(1, 5), k=2)) for _ in range(3))]
        random.shuffle(spans)
        for first, last in spans:
            days = {f"2026-03-0{day}" for day in range(first, last + 1)}
            inside = tuple(line for line in history if line.on in days)
            random.shuffle(history)
            known.world.imports(Made(inside, on=f"2026-03-0{last}"), f"{random.random()}.xml")
        entries = known.world.rows(
            "SELECT booking_on::text AS day, amount_fen, remittance FROM entry"
        )
        expected = [(line.on, int(line.amount[0]) * 100, line.text) for line in history]
        assert sorted(tuple(row) for row in entries) == sorted(expected)


def test_a_broken_balance_books_nothing_and_the_next_statement_goes_on(known: Case) -> None:
    broken = Made((A, B), closing="100.00")
    counts = known.world.imports(camt(broken, Made((C,), account="4100555566667777")))
    assert counts == Counts(read=3, new=1, parked=2)
    assert booked(known.world) == [(300_00, 1)]
    assert known.world.parked() == ["BALANCE-BROKEN"]
    reason = known.world.rows("SELECT reason FROM parked")[0].reason
    assert reason.endswith("it would hold if Stmt[1]/Ntry[2] is counted twice")
    assert known.world.imports(camt(broken, Made((C,), account="4100555566667777"))) == Counts(
        read=3, unchanged=3
    )


def test_a_wrong_sign_that_explains_the_difference_is_named(known: Case) -> None:
    known.world.imports(Made((A, B), closing="-100.00"))
    reason = known.world.rows("SELECT reason FROM parked")[0].reason
    assert reason.endswith("it would hold if Stmt[1]/Ntry[2] has the wrong sign")


def test_a_truncated_file_books_nothing_of_the_statement_that_was_cut(known: Case) -> None:
    data = camt(Made((A,)), Made((B, C), opening="100.00", on="2026-03-03"))
    counts = known.world.imports(data[: data.rindex(b"<Ntry>")])
    assert (counts.new, counts.parked) == (1, 1)
    assert booked(known.world) == [(100_00, 1)]
    assert known.world.parked() == ["TRUNCATED"]
    known.world.imports(data)
    assert booked(known.world) == [(100_00, 1), (200_00, 1), (300_00, 1)]


def test_a_file_that_is_no_statement_is_refused_and_leaves_nothing(known: Case) -> None:
    with pytest.raises(Unreadable, match="NOT-A-STATEMENT"):
        known.world.imports(b"%PDF-1.7")
    assert known.world.rows("SELECT 1 FROM import_file") == []


def test_an_unknown_account_is_parked_and_booked_once_it_is_registered(world: World) -> None:
    supplier = world.party("supplier", "甲公司")
    assert world.imports(Made((A, B))) == Counts(read=2, parked=2)
    assert world.parked() == ["UNKNOWN-ACCOUNT"]
    assert world.rows("SELECT value FROM parked")[0].value == "2233"
    with world.ctx.begin() as tx:
        assert list(files.replay(tx).values()) == [False]
    world.account(supplier, "6222 0202-0011 2233")
    with world.ctx.begin() as tx:
        assert list(files.replay(tx).values()) == [True]
    assert booked(world) == [(100_00, 1), (200_00, 1)]
    assert world.parked() == []
    assert world.imports(Made((A, B))) == Counts(read=2, unchanged=2)


def test_an_account_in_another_currency_is_parked(known: Case) -> None:
    known.world.imports(Made((A,), currency="EUR"))
    assert known.world.parked() == ["CURRENCY-NOT-ACCOUNTS"]
    assert booked(known.world) == []


def test_a_line_that_cannot_be_used_is_parked_and_the_rest_is_booked(known: Case) -> None:
    counts = known.world.imports(Made((A, Line("5.00", on="2026-02-30"))))
    assert counts == Counts(read=2, new=1, parked=1)
    assert known.world.parked() == ["DATE-IMPOSSIBLE"]
    assert known.world.rows("SELECT holds FROM statement")[0].holds is True


def test_a_day_that_has_not_come_is_parked(known: Case) -> None:
    known.world.imports(Made((A, replace(B, on="2026-04-01"))))
    assert known.world.parked() == ["DATE-IN-FUTURE"]
    assert booked(known.world) == [(100_00, 1)]


def test_a_missing_balance_is_booked_and_marked(known: Case) -> None:
    known.world.imports(Made((A,), opening=None, closing="none"))
    row = known.world.rows("SELECT holds, marks FROM statement")[0]
    assert (row.holds, row.marks["marks"]) == (None, ["UNPROVEN"])
    assert booked(known.world) == [(100_00, 1)]


def test_a_gap_in_the_chain_of_balances_is_marked(known: Case) -> None:
    known.world.imports(Made((A,)))
    known.world.imports(Made((B,), opening="150.00", on="2026-03-03"))
    marks = known.world.rows("SELECT marks FROM statement ORDER BY opening_on")
    assert [row.marks["marks"] for row in marks] == [[], ["CHAIN-GAP"]]


def test_sub_accounts_of_one_number_have_chains_of_their_own(known: Case) -> None:
    known.world.imports(Made((A,), kind="X"))
    known.world.imports(Made((A,), kind="Y", opening="9.00", on="2026-03-03"))
    assert [row.marks["marks"] for row in known.world.rows("SELECT marks FROM statement")] == [
        [], [],
    ]  # fmt: skip
    assert booked(known.world) == [(100_00, 1), (100_00, 1)]


def test_a_line_first_pending_then_booked_is_one_payment(known: Case) -> None:
    known.world.imports(Made((replace(A, status="PDNG"),)))
    assert known.world.payments() == []
    counts = known.world.imports(Made((A,)))
    assert counts == Counts(read=1, changed=1)
    assert [row.status for row in known.world.rows("SELECT status FROM entry")] == ["booked"]
    known.world.imports(Made((replace(A, status="PDNG"),), opening="1.00"))
    assert [row.status for row in known.world.rows("SELECT status FROM entry")] == ["booked"]
    assert len(known.world.payments()) == 1


def test_fuller_details_of_a_known_line_win(known: Case) -> None:
    known.world.imports(Made((replace(A, text=""),)))
    known.world.imports(Made((A,)))
    assert known.world.rows("SELECT remittance FROM entry") == [("a",)]
    assert len(known.world.rows("SELECT 1 FROM entry_source")) == 2


def test_a_batch_that_adds_up_is_one_payment_for_each_part(known: Case) -> None:
    known.world.imports(Made((Line("10.00", ref="R", parts=(("4.00", "x"), ("6.00", "y"))),)))
    known.world.imports(Made((Line("7.00", ref="S", parts=(("4.00", "x"), ("6.00", "y"))),)))
    found = [(row.amount_fen, row.part) for row in known.world.payments()]
    assert sorted(found) == [(4_00, 1), (6_00, 2), (7_00, 1)]


def test_account_numbers_are_not_kept_in_the_clear(known: Case) -> None:
    known.world.imports(
        Made((replace(A, account="999988887777"), Line("5.00", account="999988887777")))
    )
    written = b"999988887777"
    for table in ("entry", "entry_source", "payment", "statement", "import_file"):
        for row in known.world.rows(f"SELECT t::text AS shown FROM {table} t"):
            assert written.decode() not in row.shown
            assert written.hex() not in row.shown


# Reversals and returns


def test_a_reversal_undoes_exactly_one_payment_and_once(known: Case) -> None:
    back = Line("-100.00", "back", ref="R", reversal=True)
    known.world.imports(
        Made((A, replace(A, ref="A2", end_to_end="E2"), replace(back, end_to_end="E2")))
    )
    assert sorted(row.state for row in known.world.payments()) == ["reversed", "unmatched"]
    undone = known.world.rows("SELECT end_to_end FROM entry e JOIN payment p ON p.entry_id = e.id"
                              " WHERE p.state = 'reversed'")  # fmt: skip
    assert undone == [("E2",)]
    known.world.imports(Made((replace(back, end_to_end="E2"),), opening="200.00"))
    assert sorted(row.state for row in known.world.payments()) == ["reversed", "unmatched"]


def test_a_return_without_a_reference_undoes_the_only_payment_it_may_mean(known: Case) -> None:
    known.world.imports(Made((A, B)))
    known.world.imports(Made((Line("-200.00", "退回", returned="AC04", on="2026-03-09"),),
                             opening="300.00", on="2026-03-09"))  # fmt: skip
    assert [(row.amount_fen, row.state) for row in known.world.payments()] == [
        (100_00, "unmatched"), (200_00, "reversed"),
    ]  # fmt: skip


def test_a_return_that_may_mean_two_payments_is_a_case(known: Case) -> None:
    known.world.imports(Made((A, replace(A, ref="A2"), Line("-100.00", reversal=True))))
    assert {row.state for row in known.world.payments()} == {"unmatched"}
    assert known.world.parked() == ["REVERSAL-AMBIGUOUS"]


def test_a_return_that_comes_before_its_original_waits_for_it(known: Case) -> None:
    known.world.imports(Made((Line("-100.00", reversal=True),), opening="100.00"))
    assert known.world.parked() == ["REVERSAL-WITHOUT-ORIGINAL"]
    known.world.imports(Made((A,)))
    assert [row.state for row in known.world.payments()] == ["reversed"]
    assert known.world.parked() == []


def test_returns_inside_a_batch_are_a_case_and_no_payments(known: Case) -> None:
    batch = Line("10.00", ref="R", parts=(("14.00", "x"), ("-4.00", "y")))
    made = camt(Made((batch,)))
    returned = b"</RmtInf><RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf></TxDtls></NtryDtls>"
    known.world.imports(made.replace(b"</RmtInf></TxDtls></NtryDtls>", returned))
    assert [row.amount_fen for row in known.world.payments()] == [14_00]
    assert known.world.parked() == ["REVERSAL-IN-BATCH"]
    reason = known.world.rows("SELECT reason FROM parked")[0].reason
    assert "1 of 2 payments of Stmt[1]/Ntry[1]" in reason
    known.world.imports(made.replace(b"</RmtInf></TxDtls></NtryDtls>", returned), "again.xml")
    assert known.world.parked() == ["REVERSAL-IN-BATCH"]


def test_money_that_comes_back_to_us_is_no_payment(known: Case) -> None:
    known.world.imports(Made((Line("50.00", reversal=True), Line("60.00", returned="AC04"))))
    assert known.world.payments() == []
    assert len(booked(known.world)) == 2


# Others at the same time


def test_overlapping_files_imported_at_once_are_still_their_union(known: Case) -> None:
    days = [replace(A, ref=f"R{n}", text=str(n), on=f"2026-03-0{n + 1}") for n in range(4)]
    made = [
        Made(tuple(days[first:last]), opening=f"{first}00.00", on=f"2026-03-0{last}")
        for first, last in ((0, 2), (1, 3), (2, 4), (0, 4))
    ]
    with ThreadPoolExecutor(4) as pool:
        total = list(pool.map(known.world.imports, [*made, *made]))
    assert sum(each.new for each in total) == 4
    assert booked(known.world) == [(100_00, 1)] * 4
    assert len(known.world.payments()) == 4
    assert len(known.world.rows("SELECT 1 FROM statement")) == 4


def test_a_statement_longer_than_a_set_is_booked_whole(known: Case) -> None:
    lines = tuple(replace(A, ref=f"R{n}", amount=f"{n}.00") for n in range(1, 2102))
    assert known.world.imports(Made(lines)) == Counts(read=2101, new=2101)
    found = known.world.rows("SELECT count(*) AS n, sum(amount_fen) AS fen FROM payment")
    assert [tuple(row) for row in found] == [(2101, sum(range(1, 2102)) * 100)]
