"""One account, several formats and messages: each booking is still booked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from io import BytesIO

import pytest
from sqlalchemy import Engine

from financing.context import Context
from financing.formats.mapping import parse
from financing.journeys import announced, checking, files, statements
from financing.journeys.statements import Counts
from tests.paying import NOW, Case, World, case
from tests.statements_made import Line, Made, camt, mt940, told

A, B, C = Line("100.00", "a", ref="A"), Line("200.00", "b", ref="B"), Line("300.00", "c", ref="C")
BATCH = Line("10.00", ref="R", text="", name="", parts=(("10.00", ""),), announced=2)
PARTS = replace(BATCH, parts=(("4.00", "ZZCG-2026-001"), ("6.00", "y")), announced=0)


@pytest.fixture
def known(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> Case:
    set_clock(NOW)
    return case(World(ctx, owner))


def booked(world: World) -> list[tuple[int, int]]:
    rows = world.rows(
        "SELECT amount_fen, ordinal FROM entry WHERE status = 'booked'"
        " ORDER BY booking_on, amount_fen, id"
    )
    return [(row.amount_fen, row.ordinal) for row in rows]


def holds(world: World) -> bool:
    with world.ctx.begin() as tx:
        return all(not found.rows for found in checking.check(tx, ["I12", "I13", "I14"]))


# MT940


def test_an_mt940_is_booked_and_matched_like_any_statement(known: Case) -> None:
    line = Line("1000.00", "付合同 ZZCG-2026-001 货款", ref="R1")
    counts = known.world.arrive(mt940(Made((line, replace(B, amount="-200.00")))))
    assert counts == Counts(read=2, new=2)
    assert known.world.outcomes() == [("allocated", "allocated")]
    assert holds(known.world)


def test_another_folding_and_other_line_ends_are_the_same_lines(known: Case) -> None:
    made = Made((A, Line("5.00", "款 ZZCG-2026-001 第二期 0123456789")))
    known.world.imports(mt940(made))
    for again in (
        mt940(made).replace(b"\r\n", b"\n"),
        mt940(made, width=10),
        b"\xef\xbb\xbf" + mt940(made),
        mt940(made).replace(b"?21", b"\r\n?21"),
    ):
        assert known.world.imports(again).new == 0
    assert booked(known.world) == [(5_00, 1), (100_00, 1)]


def test_a_reversal_of_a_credit_undoes_its_payment(known: Case) -> None:
    back = replace(A, amount="-100.00", reversal=True, ref="A")
    known.world.imports(mt940(Made((A, back))))
    assert [row.state for row in known.world.payments()] == ["reversed"]


def test_a_broken_message_is_parked_and_its_neighbour_is_booked(known: Case) -> None:
    data = mt940(Made((A, B), closing="100.00"), Made((C,), account="4100555566667777"))
    assert known.world.imports(data) == Counts(read=3, new=1, parked=2)
    assert known.world.parked() == ["BALANCE-BROKEN"]
    assert booked(known.world) == [(300_00, 1)]


@pytest.mark.parametrize(("opening", "marks"), [("300.00", []), ("200.00", ["CHAIN-GAP"])])
def test_the_next_opening_balance_proves_or_contradicts_a_statement_without_closing(
    known: Case, opening: str, marks: list[str]
) -> None:
    known.world.imports(mt940(Made((A,), on="2026-03-02")))
    known.world.imports(mt940(Made((B,), opening="100.00", closing="none", on="2026-03-03")))
    known.world.imports(mt940(Made((C,), opening=opening, on="2026-03-04")))
    found = known.world.rows("SELECT marks FROM statement ORDER BY opening_on")
    assert [row.marks["marks"] for row in found] == [[], ["UNPROVEN"], marks]


# One account in two formats, whose references differ


def swift(*lines: Line, **changed: str) -> bytes:
    return mt940(Made(tuple(replace(each, ref=f"S{each.ref}") for each in lines), **changed))


@pytest.mark.parametrize("camt_first", [True, False])
def test_the_same_days_in_another_format_are_second_sources(known: Case, camt_first: bool) -> None:
    lines = (A, replace(A, ref="A2"), B)
    first, other = camt(Made(lines)), swift(*lines)
    if not camt_first:
        first, other = other, first
    known.world.imports(first)
    for data in (other, other.replace(b"M1", b"M2")):
        assert known.world.imports(data) == Counts(read=3, unchanged=3)
    assert booked(known.world) == [(100_00, 1), (100_00, 1), (200_00, 1)]
    assert len(known.world.payments()) == 3
    assert holds(known.world)


def test_what_another_format_has_fewer_of_waits_for_a_person(known: Case) -> None:
    known.world.imports(camt(Made((A,))))
    counts = known.world.imports(swift(A, replace(A, ref="A2"), C))
    assert counts == Counts(read=3, new=1, unchanged=1, parked=1)
    assert known.world.parked() == ["POSSIBLE-DUPLICATE"]
    raw = known.world.rows("SELECT raw FROM parked")[0].raw
    assert bytes(raw).startswith(b":61:")
    assert booked(known.world) == [(100_00, 1), (300_00, 1)]
    assert holds(known.world)


def test_numbered_statements_of_another_format_are_told_apart(known: Case) -> None:
    known.world.imports(camt(Made((A, replace(A, ref="A2")))))
    known.world.imports(swift(A, number="1"))
    known.world.imports(swift(A, number="2", opening="100.00"))
    assert booked(known.world) == [(100_00, 1), (100_00, 1)]
    sources = known.world.rows(
        "SELECT count(*) AS n FROM entry_source GROUP BY entry_id ORDER BY entry_id"
    )
    assert [row.n for row in sources] == [2, 2]


# What only announces


def test_an_intraday_report_books_nothing_until_the_statement_comes(known: Case) -> None:
    assert known.world.imports(told(Made((A, B)), "052")) == Counts(read=2, new=2)
    assert known.world.payments() == []
    assert booked(known.world) == []
    assert known.world.imports(told(Made((A, B, C)), "052")) == Counts(read=3, new=1, unchanged=2)
    assert known.world.imports(camt(Made((A, B)))) == Counts(read=2, changed=2)
    assert booked(known.world) == [(100_00, 1), (200_00, 1)]
    assert len(known.world.payments()) == 2
    assert known.world.imports(told(Made((A, B)), "052", version=4)).new == 0
    assert booked(known.world) == [(100_00, 1), (200_00, 1)]
    assert holds(known.world)


def test_a_report_that_names_type_and_day_otherwise_still_means_the_same(known: Case) -> None:
    known.world.imports(told(Made((replace(A, on="2026-03-01"),), kind="X"), "052"))
    made = camt(Made((A,)))
    assert known.world.imports(made) == Counts(read=1, changed=1)
    assert known.world.imports(made.replace(b"M1", b"M2")) == Counts(read=1, unchanged=1)
    assert len(known.world.payments()) == 1
    assert known.world.rows("SELECT booking_on::text FROM entry") == [("2026-03-02",)]


def test_a_report_never_breaks_the_chain_of_balances(known: Case) -> None:
    known.world.imports(Made((A,)))
    known.world.imports(told(Made((C,), opening="55.00", closing="9.00"), "052"))
    known.world.imports(Made((B,), opening="100.00", on="2026-03-03"))
    marks = [row.marks for row in known.world.rows("SELECT marks FROM statement ORDER BY at, id")]
    assert [each["marks"] for each in marks] == [[], [], []]
    assert [each["kind"] for each in marks] == ["books", "intraday", "books"]


def test_an_mt942_announces_what_an_mt940_books(known: Case) -> None:
    data = mt940(Made((A,), opening="none", closing="none"))
    known.world.imports(data.replace(b":28C:0\r\n", b":28C:0\r\n:34F:CNYD0,\r\n"))
    assert (booked(known.world), known.world.payments()) == ([], [])
    known.world.imports(mt940(Made((A,))))
    assert booked(known.world) == [(100_00, 1)]


@pytest.mark.parametrize("version", [2, 8])
def test_a_notification_after_its_booking_takes_the_batch_apart(known: Case, version: int) -> None:
    known.world.arrive(camt(Made((BATCH,)), version=version))
    assert known.world.outcomes() == [("exception", "exception")]
    assert known.world.arrive(told(Made((PARTS,)), "054", version)) == Counts(read=1, changed=1)
    found = [(row.part, row.amount_fen, row.state) for row in known.world.payments()]
    assert sorted(found) == [(1, 4_00, "allocated"), (2, 6_00, "exception")]
    assert holds(known.world)
    assert known.world.imports(told(Made((PARTS,)), "054", version)) == Counts(read=1, unchanged=1)
    assert known.world.imports(camt(Made((BATCH,)), version=version)).new == 0
    assert len(known.world.payments()) == 2


def test_a_notification_before_its_booking_waits_for_it(known: Case) -> None:
    assert known.world.imports(told(Made((PARTS,)), "054")) == Counts(read=1, new=1)
    assert (booked(known.world), known.world.payments()) == ([], [])
    known.world.imports(camt(Made((BATCH,))))
    assert booked(known.world) == [(10_00, 1)]
    assert [(row.part, row.amount_fen) for row in known.world.payments()] == [(1, 4_00), (2, 6_00)]
    assert holds(known.world)


def test_a_notification_without_the_banks_reference_finds_day_amount_and_its_own(
    known: Case,
) -> None:
    named = b"<RvslInd>false</RvslInd><BookgDt>"
    plain = replace(BATCH, ref="", text="batch")

    def with_reference(data: bytes) -> bytes:
        return data.replace(b"<Ntry>", b"<Ntry><NtryRef>N1</NtryRef>").replace(b"<BookgDt>", named)

    known.world.imports(with_reference(camt(Made((plain,)))))
    known.world.imports(with_reference(told(Made((replace(PARTS, ref=""),)), "054")))
    assert [(row.part, row.amount_fen) for row in known.world.payments()] == [(1, 4_00), (2, 6_00)]


def test_a_decided_payment_keeps_its_parts_when_a_notification_comes(known: Case) -> None:
    whole = replace(BATCH, parts=(("10.00", "ZZCG-2026-001"),), name="金水区教育局")
    known.world.arrive(camt(Made((whole,))))
    assert [row.state for row in known.world.payments()] == ["allocated"]
    known.world.arrive(told(Made((PARTS,)), "054"))
    assert [row.state for row in known.world.payments()] == ["allocated"]
    assert holds(known.world)


def test_what_no_statement_confirms_in_three_working_days_is_a_case_until_it_is_booked(
    known: Case, set_clock: Callable[[datetime], None]
) -> None:
    known.world.imports(told(Made((replace(A, on="2026-03-27"), B)), "052"))  # a Friday
    known.world.imports(camt(Made((replace(C, status="PDNG"),))))  # the bank's own pending line

    def turn(day: int) -> list[str]:
        set_clock(NOW.replace(day=day))
        with known.world.ctx.begin() as tx:
            announced.lapse(tx)
        return known.world.parked()

    assert turn(5) == []
    assert turn(6) == ["NOT-CONFIRMED"]
    assert turn(31) == ["NOT-CONFIRMED"]
    known.world.imports(camt(Made((B,))))
    assert known.world.parked() == []


# Tables


TABLE = """
id = "basic"
version = 1
encoding = "gb18030"
account = { number = "6222020200112233" }
currency = "CNY"
date = { column = "日期", format = "%Y-%m-%d" }
amount = { signed = "金额" }
balance = "余额"
name = "户名"
text = ["摘要"]
"""


def rows(*lines: Line, opening: int = 0) -> bytes:
    """An export of these lines with its running balance, oldest first."""
    held, out = opening, ["日期,金额,余额,户名,摘要"]
    for each in lines:
        held += int(each.amount.replace(".", ""))
        out.append(f"{each.on},{each.amount},{held // 100}.{held % 100:02},{each.name},{each.text}")
    return ("\n".join(out) + "\n").encode("gb18030")


def test_a_table_is_booked_once_however_its_days_overlap(known: Case) -> None:
    mapping = parse(TABLE.encode(), "m.toml")
    days = [replace(A, on=f"2026-03-0{n}", ref="") for n in range(1, 5)]  # equal but for the day
    twice = [*days[:2], days[1], *days[2:]]

    def imports(data: bytes) -> Counts:
        with known.world.ctx.begin() as tx:
            return statements.import_statement(tx, BytesIO(data), "t.csv", mapping)

    assert imports(rows(*twice[:3])) == Counts(read=3, new=3)
    assert imports(rows(*twice[1:], opening=100_00)) == Counts(read=4, new=2, unchanged=2)
    header, *oldest_first = rows(*twice).strip().split(b"\n")
    assert imports(b"\n".join([header, *reversed(oldest_first)])) == Counts(read=5, unchanged=5)
    assert len(known.world.payments()) == 5
    assert holds(known.world)


def test_a_table_of_an_unknown_account_is_replayed_with_the_mapping_it_came_with(
    known: Case,
) -> None:
    mapping = parse(TABLE.replace("6222020200112233", "6217999900001111").encode(), "m.toml")
    with known.world.ctx.begin() as tx:
        data = BytesIO(rows(A, B))
        assert statements.import_statement(tx, data, "t.csv", mapping).parked == 2
    known.world.account(known.supplier, "6217 9999 0000 1111")
    with known.world.ctx.begin() as tx:
        assert list(files.replay(tx).values()) == [True]
    assert booked(known.world) == [(100_00, 1), (200_00, 1)]


def test_a_table_after_a_message_of_the_bank_books_nothing_twice(known: Case) -> None:
    known.world.imports(camt(Made((A, B))))
    with known.world.ctx.begin() as tx:
        mapping = parse(TABLE.encode(), "m.toml")
        counts = statements.import_statement(tx, BytesIO(rows(A, A, B)), "t.csv", mapping)
    assert counts == Counts(read=3, unchanged=2, parked=1)
    assert known.world.parked() == ["POSSIBLE-DUPLICATE"]
    assert booked(known.world) == [(100_00, 1), (200_00, 1)]
