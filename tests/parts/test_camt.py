"""camt in all its versions: what is read, what is parked, and why a statement is not booked."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest

from financing.errors import Unreadable
from financing.formats import camt
from financing.formats.statement import Entry, Statement, numbers, remittance, searched
from financing.values.parked import Parked
from tests.statements_made import Line, Made, told
from tests.statements_made import camt as made_file

ONE = Made((Line("100.00", "合同 ZZCG-2026-001", ref="R1"),))


def read(data: bytes) -> list[camt.Event]:
    return list(camt.read(BytesIO(data), "s.xml"))


def whole(data: bytes) -> Statement:
    return next(each for each in read(data) if isinstance(each, Statement))


def lines(data: bytes) -> list[Entry]:
    return [each for each in read(data) if isinstance(each, Entry)]


@pytest.mark.parametrize("version", range(1, 14))
def test_every_version_reads_alike(version: int) -> None:
    made = ONE.of(
        Line(
            "1234.50", "货款 ZZCG-2026-001\n第二期", ref="R1", end_to_end="E1", value="2026-03-03"
        ),
        Line("-34.50", "手续费", ref="R2"),
    )
    first, second, statement = read(made_file(made, version=version))
    assert isinstance(first, Entry)
    assert isinstance(second, Entry)
    assert isinstance(statement, Statement)
    assert (first.amount_fen, second.amount_fen) == (123450, -3450)
    assert (first.booking_on, first.value_on) == (date(2026, 3, 2), date(2026, 3, 3))
    detail = first.details[0]
    assert (detail.amount_fen, detail.end_to_end) == (123450, "E1")
    assert detail.counterparty == "金水区教育局"
    assert remittance(detail) == ("货款 ZZCG-2026-001", "第二期")
    assert (first.status, first.bank_ref, first.marks) == ("booked", "R1", ())
    assert statement.format == f"camt.053.001.{version:02}"
    assert (statement.holds, statement.fault, statement.marks) == (True, None, ())
    assert (statement.lines, statement.sum_fen) == (2, 120000)


@pytest.mark.parametrize("version", [1, 2, 6, 8, 13])
@pytest.mark.parametrize(("message", "kind"), [("052", "intraday"), ("054", "notice")])
def test_what_only_announces_reads_and_proves_nothing(
    message: str, kind: str, version: int
) -> None:
    first, statement = read(told(replace(ONE, closing="7.00"), message, version))
    assert isinstance(first, Entry)
    assert isinstance(statement, Statement)
    assert (first.amount_fen, first.bank_ref, first.status) == (10000, "R1", "booked")
    assert statement.format == f"camt.{message}.001.{version:02}"
    assert (statement.kind, statement.holds, statement.fault) == (kind, None, None)
    assert (statement.opening, statement.closing, statement.number) == (None, None, None)


def test_a_line_without_a_status_is_booked_on_a_statement_and_pending_on_a_report() -> None:
    made = ONE.of(replace(ONE.lines[0], status=""))
    assert [each.status for each in lines(made_file(made))] == ["booked"]
    assert [each.status for each in lines(told(made, "052"))] == ["pending"]
    assert [each.status for each in lines(told(made, "054"))] == ["booked"]


def test_an_envelope_or_a_missing_namespace_changes_nothing() -> None:
    plain = made_file(ONE)
    bare = plain.replace(b' xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"', b"")
    head, _, body = plain.partition(b"?>")
    wrapped = head + b"?><Envelope><AppHdr/>" + body + b"</Envelope>"
    assert whole(bare).holds
    assert whole(bare).marks == ("VERSION-UNKNOWN",)
    assert whole(wrapped).holds


def test_a_later_version_is_read_and_says_so() -> None:
    assert whole(made_file(ONE, version=14)).marks == ("VERSION-UNKNOWN",)


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "utf-16"])
def test_a_declared_encoding_is_read(encoding: str) -> None:
    text = made_file(ONE).decode().replace("UTF-8", encoding)
    assert lines(text.encode(encoding))[0].details[0].free == ("合同 ZZCG-2026-001",)


def test_balances_after_the_lines_and_without_sign_count() -> None:
    assert whole(made_file(ONE.of(*ONE.lines, balances_last=True))).holds
    unsigned = made_file(Made((), opening="5.00")).replace(b"<CdtDbtInd>CRDT</CdtDbtInd>", b"")
    assert whole(unsigned).holds
    assert "BALANCE-SIGN-MISSING" in whole(unsigned).marks


def test_a_line_without_status_and_day_is_booked_on_the_closing_day() -> None:
    entry = lines(made_file(ONE.of(Line("1.00", status="", on=""))))[0]
    assert (entry.status, entry.booking_on, entry.marks) == ("booked", None, ("DATE-MISSING",))


def test_a_broken_balance_faults_the_statement_and_not_the_next_one() -> None:
    broken = ONE.of(*ONE.lines, closing="99.99")
    first, second = (e for e in read(made_file(broken, ONE)) if isinstance(e, Statement))
    assert first.fault is not None
    assert first.fault.reason.startswith("BALANCE-BROKEN: opening ¥0.00 and lines ¥100.00")
    assert (first.holds, second.holds, second.fault) == (False, True, None)


def test_only_booked_lines_count_in_the_balance() -> None:
    made = ONE.of(
        Line("100.00"), Line("7.00", status="PDNG"), Line("8.00", status="INFO"), Line("9.00")
    )
    statement = whole(made_file(made))
    assert (statement.holds, statement.sum_fen, statement.lines) == (True, 10900, 4)
    assert [each.status for each in lines(made_file(made))] == [
        "booked", "pending", "information", "booked",
    ]  # fmt: skip


def test_a_missing_balance_is_undecided_and_marked() -> None:
    statement = whole(made_file(ONE.of(*ONE.lines, closing="none")))
    assert (statement.holds, statement.fault, statement.marks) == (None, None, ("UNPROVEN",))


@pytest.mark.parametrize(
    ("line", "reason", "is_fault"),
    [
        (Line("12..34"), "AMOUNT-UNREADABLE", True),
        (Line("1e3"), "AMOUNT-UNREADABLE", True),
        (Line("1,234.00"), "AMOUNT-UNREADABLE", True),
        (Line("１２.00"), "AMOUNT-UNREADABLE", True),
        (Line("1.001"), "AMOUNT-PRECISION", True),
        (Line("9" * 17), "AMOUNT-PRECISION", True),
        (Line("1.00", currency="EUR"), "CURRENCY-NOT-ACCOUNTS", False),
        (Line("1.00", status="ODD"), "UNKNOWN-STATUS", False),
        (Line("1.00", on="2026-02-30"), "DATE-IMPOSSIBLE", False),
    ],
)
def test_a_line_that_cannot_be_used_is_parked_by_name(
    line: Line, reason: str, is_fault: bool
) -> None:
    closing = "1.00" if reason.startswith("DATE") else "0.00"
    events = read(made_file(ONE.of(line, closing=closing)))
    parked = [each for each in events if isinstance(each, Parked)]
    assert [each.reason.split(":")[0] for each in parked] == [reason]
    assert parked[0].raw.startswith(b"<Ntry")
    assert parked[0].where == "Stmt[1]/Ntry[1]"
    statement = next(each for each in events if isinstance(each, Statement))
    assert (statement.fault is not None) is is_fault
    assert not [each for each in events if isinstance(each, Entry)]


def test_a_line_parked_for_its_day_still_counts_in_the_balance() -> None:
    made = ONE.of(Line("5.00", on="2026-02-30"), Line("6.00"))
    statement = whole(made_file(made))
    assert (statement.holds, statement.sum_fen, statement.fault) == (True, 1100, None)


def test_a_line_outside_the_days_of_its_statement_is_parked() -> None:
    made = ONE.of(
        Line("1.00", on="2026-02-28"),
        period=("2026-03-01T00:00:00+08:00", "2026-03-02T23:59:59+08:00"),
    )
    parked = [each for each in read(made_file(made)) if isinstance(each, Parked)]
    assert parked[0].reason.startswith("DATE-OUTSIDE-PERIOD")


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("12.5000", "EUR", 1250), ("1234", "JPY", 1234), ("1234.0", "PYG", 1234),
     ("1.234", "KWD", 1234), ("12.", "CNY", 1200), ("+7", "CNY", 700)],
)  # fmt: skip
def test_an_amount_is_minor_units_of_its_currency(amount: str, currency: str, minor: int) -> None:
    made = Made((Line(amount),), opening="none", closing="none", currency=currency)
    assert lines(made_file(made))[0].amount_fen == minor


def test_a_wrong_count_faults_the_statement() -> None:
    statement = whole(made_file(ONE.of(*ONE.lines, told=3)))
    assert statement.fault is not None
    assert statement.fault.reason.startswith("COUNT-DIFFERS")


def test_a_reversal_keeps_its_own_sign() -> None:
    back = lines(made_file(ONE.of(Line("-100.00", reversal=True, returned="AC04"))))[0]
    assert (back.amount_fen, back.reversal, back.details[0].return_code) == (-10000, True, "AC04")


def test_a_batch_says_whether_its_payments_explain_it() -> None:
    def marks(*parts: tuple[str, str], announced: int = 0) -> tuple[str, ...]:
        made = ONE.of(Line("10.00", parts=parts, announced=announced))
        return lines(made_file(made))[0].marks

    assert marks(("4.00", "a"), ("6.00", "b")) == ()
    assert marks(("14.00", "a"), ("-4.00", "b")) == ()
    assert marks(("4.00", "a"), ("5.00", "b")) == ("DETAILS-DO-NOT-ADD",)
    assert marks(("10.00", "a"), announced=102) == ("BATCH-WITHOUT-DETAILS",)


def test_a_time_near_midnight_falls_on_its_day_in_china() -> None:
    data = made_file(ONE).replace(
        b"<BookgDt><Dt>2026-03-02</Dt>", b"<BookgDt><DtTm>2026-03-02T23:30:00Z</DtTm>"
    )
    assert lines(data)[0].booking_on == date(2026, 3, 3)


def test_a_cut_file_faults_what_was_cut_and_keeps_what_was_whole() -> None:
    data = made_file(ONE, ONE.of(Line("1.00"), Line("2.00")))
    cut = data[: data.rindex(b"<Ntry>") + 20]
    events = [each for each in read(cut) if isinstance(each, Statement)]
    assert [each.fault is None for each in events] == [True, False]
    assert events[1].fault is not None
    assert events[1].fault.reason.startswith("TRUNCATED")


def test_what_follows_the_last_whole_statement_is_parked() -> None:
    events = read(made_file(ONE)[: -len(b"</Document>")])
    assert isinstance(events[-1], Parked)
    assert events[-1].reason.startswith("TRUNCATED")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "NOT-A-STATEMENT: the file looks like something else"),
        (b"%PDF-1.7", "NOT-A-STATEMENT: the file looks like a PDF document"),
        (b"<html><body/></html>", "NOT-A-STATEMENT: the file looks like a page of HTML"),
        (b"<a/>", "NOT-A-STATEMENT: the file looks like XML of another kind, <a>"),
        (made_file(), "NOT-A-STATEMENT: camt.053 without a statement in it"),
        (made_file(ONE)[:150], "TRUNCATED"),
        (
            made_file(ONE).replace(b"<Document", b'<!DOCTYPE d [<!ENTITY e "x">]><Document'),
            "DOCTYPE",
        ),
    ],
)  # fmt: skip
def test_what_is_no_statement_is_refused_and_says_what_it_looks_like(
    data: bytes, reason: str
) -> None:
    with pytest.raises(Unreadable) as refused:
        read(data)
    assert refused.value.detail.startswith(reason)
    assert refused.value.remedy


@pytest.mark.parametrize("depth", [100, 300])
def test_what_is_nested_too_deep_faults_the_statement(depth: int) -> None:
    deep = b"<X>" * depth + b"</X>" * depth
    data = made_file(ONE).replace(b"<BkTxCd>", deep + b"<BkTxCd>")
    fault = whole(data).fault
    assert fault is not None
    assert fault.reason.startswith("TOO-DEEP")


def test_a_text_that_does_not_end_faults_the_statement() -> None:
    data = made_file(ONE).replace(b"ZZCG", b"Z" * 70_000)
    fault = whole(data).fault
    assert fault is not None
    assert fault.reason.startswith("TEXT-TOO-LONG")


PEAK = """
import sys
from financing.formats import camt
with open(sys.argv[1], "rb") as stream:
    for _ in camt.read(stream, "s"):
        pass
with open("/proc/self/status") as status:  # getrusage counts what the parent had at the fork
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak_kib(count: int) -> int:
        path = tmp_path / f"{count}.xml"
        path.write_bytes(made_file(ONE.of(*ONE.lines * count)))
        run = [sys.executable, "-c", PEAK, str(path)]
        return int(subprocess.run(run, capture_output=True, check=True).stdout)

    small, large = peak_kib(500), peak_kib(15_000)
    assert large - small < 8 << 10  # the larger file has 8 MiB; its tree would have tens


def test_a_number_is_found_however_the_bank_wrote_it() -> None:
    for said in (
        ("合同编号ZZCG-2026-001货款",),
        ("合同 ＺＺＣＧ—２０２６—００１",),
        ("ZZCG-20", "26-001 货款"),
        ("zzcg/2026/001",),
    ):
        assert "ZZCG2026001" in searched(said)
    assert "ZZCG2026001" in numbers(("支付 ZZCG-2026-001 2026年款",))
    assert "ZZCG2026001" in numbers(("付合同ZZCG-2026-001款",))
    assert "ZZCG2026001" in numbers(("ZZCG-20", "26-001"))
    assert "ZZCG2026001" not in numbers(("ZZCG-2026-0012",))
