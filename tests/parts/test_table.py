"""Tables of lines: each cell is what the mapping says, and nothing else is taken."""

from __future__ import annotations

import json
from datetime import date
from io import BytesIO
from typing import Any

import pytest

from financing.errors import FinancingError, Invalid, Unreadable
from financing.formats import readers
from financing.formats.mapping import SavedMapping, Swift, parse
from financing.formats.statement import Entry, Event, Statement, tail
from financing.values.parked import Parked

MAPPING: dict[str, Any] = {
    "id": "ccb-basic",
    "version": 1,
    "encoding": "utf-8-sig",
    "account": {"cell": "账号"},
    "currency": {"column": "币种", "words": {"人民币": "CNY"}},
    "date": {"column": "交易时间", "format": "%Y%m%d %H:%M:%S"},
    "amount": {"in": "贷方发生额(收入)", "out": "借方发生额(支取)"},
    "balance": "余额",
    "reference": "流水号",
    "name": "对方户名",
    "other_account": "对方账号",
    "text": ["摘要", "备注"],
    "thousands": ",",
    "empty": ["-", "--"],
    "foot": "合计|共(?P<count>[0-9]+)笔",
}
HEAD = (
    "账　　号,6222 0202 0011 2233\r\n账户名称,甲公司\r\n\r\n"
    "交易时间,借方发生额（支取）,贷方发生额（收入）,余额,币种,对方户名,对方账号,摘要,备注,流水号\r\n"
)
ONE = (
    '20260302 15:24:03,0,"1,234.50","1,234.50",人民币,金水区教育局,41001,货款,ZZCG-2026-001,F1\r\n'
)
TWO = "20260303 09:00:00,34.50,-,1200.00,人民币,银行,,手续费,,F2\r\n"


def mapping(**changed: Any) -> SavedMapping:
    kept = {name: value for name, value in (MAPPING | changed).items() if value is not None}
    return parse(json.dumps(kept).encode(), "m.json")


def read(data: str | bytes, **changed: Any) -> list[Event]:
    content = data.encode() if isinstance(data, str) else data
    return list(readers.read(BytesIO(content), "s.csv", mapping(**changed)))


def whole(*rows: str, **changed: Any) -> Statement:
    found = read(HEAD + "".join(rows), **changed)[-1]
    assert isinstance(found, Statement)
    return found


def parked(row: str, **changed: Any) -> tuple[str, str | None]:
    line, statement = read(HEAD + row, **changed)
    assert isinstance(line, Parked), line
    assert isinstance(statement, Statement)
    fault = statement.fault
    return line.reason.split(":")[0], fault.reason.split(":")[0] if fault else None


def amount(written: str, **changed: Any) -> int:
    line = read(f"{HEAD}20260302 15:24:03,,{written},,人民币,,,,,\r\n", **changed)[0]
    assert isinstance(line, Entry), line
    return line.amount_fen


def test_rows_read_as_the_mapping_says() -> None:
    first, second, statement = read(HEAD + ONE + TWO)
    assert isinstance(first, Entry)
    assert isinstance(second, Entry)
    assert isinstance(statement, Statement)
    assert (first.amount_fen, second.amount_fen) == (123450, -3450)
    assert (first.booking_on, first.bank_ref) == (date(2026, 3, 2), "F1")
    assert first.details[0].counterparty == "金水区教育局"
    assert first.details[0].counterparty_account == "41001"
    assert first.details[0].free == ("货款", "ZZCG-2026-001")
    assert first.place == "table/row[5]"
    assert first.raw == ONE.encode()
    assert statement.account is not None
    assert statement.account.number == "6222 0202 0011 2233"
    assert (statement.holds, statement.fault, statement.marks) == (True, None, ())
    assert statement.opening is not None
    assert statement.closing is not None
    assert (statement.opening.fen, statement.closing.fen) == (0, 120000)
    assert statement.format == "table:ccb-basic:balance"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_the_encoding_is_declared(encoding: str) -> None:
    events = read((HEAD + ONE + TWO).encode(encoding), encoding=encoding)
    assert [type(each) for each in events] == [Entry, Entry, Statement]
    assert isinstance(events[0], Entry)
    assert events[0].details[0].counterparty == "金水区教育局"


def test_a_row_in_another_encoding_is_parked_with_its_bytes() -> None:
    data = (HEAD + ONE).encode() + TWO.encode("gb18030")
    line, statement = read(data)[1:]
    assert isinstance(line, Parked)
    assert line.reason.startswith("ENCODING")
    assert line.raw == TWO.encode("gb18030")
    assert isinstance(statement, Statement)
    assert statement.fault is not None


def test_newest_first_is_the_same_account() -> None:
    statement = whole(TWO, ONE)
    assert (statement.holds, statement.opening, statement.closing) == (
        True, whole(ONE, TWO).opening, whole(ONE, TWO).closing,
    )  # fmt: skip


def test_a_running_balance_that_fits_in_neither_order_books_nothing() -> None:
    statement = whole(ONE, TWO.replace("1200.00", "1200.01"))
    assert statement.holds is False
    assert statement.fault is not None
    assert statement.fault.reason.startswith("BALANCE-BROKEN")
    assert "table/row[6]" in statement.fault.reason


def test_debit_of_the_firms_own_ledger_is_found_by_the_balance() -> None:
    swapped = {"in": "借方发生额(支取)", "out": "贷方发生额(收入)"}
    statement = whole(ONE, TWO, amount=swapped)
    assert statement.holds is False


def test_one_row_proves_nothing() -> None:
    statement = whole(ONE)
    assert (statement.holds, statement.fault, statement.marks) == (None, None, ("UNPROVEN",))


def test_without_a_balance_column_nothing_is_proved() -> None:
    statement = whole(ONE, TWO, balance=None)
    assert (statement.holds, statement.opening, statement.marks) == (None, None, ("UNPROVEN",))
    assert statement.format == "table:ccb-basic:text"


@pytest.mark.parametrize(
    ("way", "cells", "fen"),
    [
        ({"signed": "额"}, "-5.00,,", -500),
        ({"signed": "额"}, "+5,,", 500),
        ({"column": "额", "direction": "向", "words": {"贷 Cr": "+", "借": "-"}}, "5,贷 Cr,", 500),
        ({"column": "额", "direction": "向", "words": {"贷": "+", "借 Dr": "-"}}, "5,借 Dr,", -500),
        ({"column": "额", "payer": "向", "payee": "到"}, "5,4100,62220202", 500),
        ({"column": "额", "payer": "向", "payee": "到"}, "5,6222 0202,4100", -500),
        ({"in": "额", "out": "向"}, "5,0.00,", 500),
        ({"in": "额", "out": "向"}, ",5,", -500),
        ({"in": "额", "out": "向"}, ",-5,", 500),  # written in red: it came back
        ({"in": "额", "out": "向", "signed_columns": True}, ",-5,", -500),
        ({"in": "额", "out": "向"}, "0,0,", 0),
    ],
)
def test_every_way_to_say_a_sign(way: dict[str, Any], cells: str, fen: int) -> None:
    line = read(
        f"日,额,向,到\n2026-03-02,{cells}\n",
        account={"number": "62220202"},
        currency="CNY",
        date={"column": "日", "format": "%Y-%m-%d"},
        amount=way,
        **dict.fromkeys(("balance", "reference", "name", "other_account")),
        text=[],
    )[0]
    assert isinstance(line, Entry), line
    assert line.amount_fen == fen
    if "payer" in way:
        assert line.details[0].counterparty_account == "4100"


@pytest.mark.parametrize(
    ("written", "fen"),
    [
        ("1", 100), ('"1,234,567.8"', 1_234_567_80), ("+1.20", 120), ("¥1.50", 150),
        (" 12.30\t", 1230), ("1.5000", 150), ("999999999999.99", 99999999999999),
    ],
)  # fmt: skip
def test_amounts_in_the_declared_form(written: str, fen: int) -> None:
    assert amount(written) == fen


@pytest.mark.parametrize(
    "written",
    [
        "NaN", "Infinity", "1e5", "1_000", "１２３", "12..3", '"1,23"', "1.234.567", "(5.00)",
        "5.00-", "5万元", "0x10", "--5", "1 2 x", "'5", "=1+1", "9" * 20,
    ],
)  # fmt: skip
def test_any_other_form_parks_line_and_statement(written: str) -> None:
    row = f"20260302 15:24:03,,{written},,人民币,,,,,\r\n"
    assert parked(row) == ("AMOUNT-UNREADABLE", "AMOUNT-UNREADABLE")


def test_other_forms_are_taken_where_the_mapping_says_so() -> None:
    assert amount("１２３．４０", full_width=True) == 12340
    assert amount("(5.00)", negative="brackets") == -500
    assert amount("5.00-", negative="trailing") == -500
    assert amount('"1.234,50"', decimal=",", thousands=".") == 123450
    assert amount("1 234.50", thousands=" ") == 123450


@pytest.mark.parametrize(
    ("row", "reason", "fault"),
    [
        ("20260302 15:24:03,5.00,5.00,,人民币,,,,,", "BOTH-COLUMNS", "BOTH-COLUMNS"),
        ("20260302 15:24:03,-,,,人民币,,,,,", "AMOUNT-UNREADABLE", "AMOUNT-UNREADABLE"),
        ("20260302 15:24:03,,1.005,,人民币,,,,,", "AMOUNT-PRECISION", "AMOUNT-PRECISION"),
        ("20260302 15:24:03,,5.00,x,人民币,,,,,", "AMOUNT-UNREADABLE", "AMOUNT-UNREADABLE"),
        ("20260302 15:24:03,,5.00,,金币,,,,,", "CURRENCY-UNKNOWN", "CURRENCY-UNKNOWN"),
        ("20260230 15:24:03,,5.00,,人民币,,,,,", "DATE-IMPOSSIBLE", None),
        ("2026-03-02,,5.00,,人民币,,,,,", "DATE-IMPOSSIBLE", None),
        ("02260302 15:24:03,,5.00,,人民币,,,,,", "DATE-IMPOSSIBLE", None),
        (",,5.00,,人民币,,,,,", "DATE-MISSING", None),
        ('20260302 15:24:03,,5.00,,人民币,"x', "ROW-UNREADABLE", "ROW-UNREADABLE"),
    ],
)
def test_a_row_that_cannot_be_used_is_parked_by_name(
    row: str, reason: str, fault: str | None
) -> None:
    assert parked(row + "\r\n") == (reason, fault)


def test_a_row_in_another_currency_is_parked_and_not_counted() -> None:
    dollar = ONE.replace("人民币", "USD")
    line, statement = read(HEAD + ONE + dollar)[1:]
    assert isinstance(line, Parked)
    assert line.reason.startswith("CURRENCY-NOT-ACCOUNTS")
    assert isinstance(statement, Statement)
    assert (statement.sum_fen, statement.lines, statement.fault) == (123450, 2, None)


def test_a_quote_that_does_not_close_costs_its_own_row_alone() -> None:
    events = read(HEAD + ONE.replace("金水区", '"金水区') + TWO)
    assert isinstance(events[0], Parked)
    assert events[0].reason.startswith("ROW-UNREADABLE")
    assert isinstance(events[1], Entry)
    assert events[1].amount_fen == -3450


def test_a_quoted_cell_may_run_over_lines() -> None:
    line = read(HEAD + ONE.replace("货款", '"货\r\n款"'))[0]
    assert isinstance(line, Entry)
    assert line.details[0].free[0].split() == ["货", "款"]


def test_the_foot_ends_no_row_and_its_count_must_fit() -> None:
    assert whole(ONE, TWO, "合计,34.50,1234.50\r\n共2笔\r\n\r\n").fault is None
    fault = whole(ONE, TWO, "共3笔\r\n").fault
    assert fault is not None
    assert fault.reason.startswith("COUNT-DIFFERS")


def test_a_header_in_the_middle_is_no_row() -> None:
    again = HEAD.splitlines(keepends=True)[-1]
    assert whole(ONE, again, TWO).lines == 2


@pytest.mark.parametrize(
    ("above", "number"),
    [
        ("账号：6222020200112233", "6222020200112233"),
        ("查询, ,账　号,,6222020200112233", "6222020200112233"),
    ],
)
def test_the_account_stands_beside_or_behind_its_label(above: str, number: str) -> None:
    header = HEAD.splitlines(keepends=True)[-1]
    found = read(f"{above}\r\n{header}{ONE}")[-1]
    assert isinstance(found, Statement)
    assert found.account is not None
    assert found.account.number == number


def test_a_table_without_its_account_is_not_booked() -> None:
    found = read(HEAD.splitlines(keepends=True)[-1] + ONE)[-1]
    assert isinstance(found, Statement)
    assert found.fault is not None
    assert found.fault.reason.startswith("ACCOUNT-MISSING")


def test_an_account_that_lost_digits_is_none_and_marked() -> None:
    line = read(HEAD + ONE.replace("41001", "6.22202123456789e+18"))[0]
    assert isinstance(line, Entry)
    assert (line.details[0].counterparty_account, line.marks) == (None, ("ACCOUNT-DIGITS-LOST",))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "HEADER-MISSING"),
        (b"a,b\n1,2\n", "HEADER-MISSING"),
        ("\n" * 60 + HEAD + ONE, "HEADER-MISSING"),
        (HEAD.replace("备注", "摘要"), "HEADER-MISSING"),
        (HEAD.replace("流水号", "流水号,摘要"), "COLUMN-TWICE"),
        (b"x" * 70_000, "TEXT-TOO-LONG"),
        (HEAD.encode("gb18030"), "HEADER-MISSING"),
    ],
)
def test_a_file_that_the_mapping_does_not_fit_is_refused(data: str | bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(data)
    assert refused.value.detail.startswith(reason)
    assert refused.value.remedy


def test_a_line_longer_than_any_faults_the_statement() -> None:
    fault = whole(ONE, "x" * 70_000).fault
    assert fault is not None
    assert fault.reason.startswith("TEXT-TOO-LONG")


def test_what_tells_two_lines_apart_is_said_by_the_mapping() -> None:
    tails = {}
    for identity in ("reference", "balance", "text"):
        line = read(HEAD + ONE, identity=identity)[0]
        assert isinstance(line, Entry)
        tails[identity] = tail(line, "")
    assert tails["reference"] == "ref:F1"
    assert tails["balance"] == "bal:123450"
    assert tails["text"].startswith("txt:")


def test_nul_and_markup_are_no_danger() -> None:
    line = read(HEAD + ONE.replace("货款", "货\x00款<script>"))[0]
    assert isinstance(line, Entry)
    assert line.details[0].free[0] == "货款<script>"


# The mapping itself


TOML = """
id = "swift-latin"
version = 2
format = "mt940"
encoding = "iso-8859-1"
thirty_day_months = true
"""


def test_a_mapping_of_messages_says_encoding_and_months() -> None:
    found = parse(TOML.encode(), "m.toml")
    assert isinstance(found, Swift)
    message = (
        ":20:M\n:25:12345678\n:60F:C260301EUR0,00\n:61:2602300301C5,00NTRFX\n:86:Müller\n"
        ":62F:C260301EUR5,00\n-\n"
    )
    line = next(iter(readers.read(BytesIO(message.encode("iso-8859-1")), "s.sta", found)))
    assert isinstance(line, Entry)
    assert (line.booking_on, line.value_on) == (date(2026, 3, 1), None)
    assert line.details[0].free == ("Müller",)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"id": None}, "/id"),
        ({"id": "Ü"}, "/id"),
        ({"version": "1"}, "/version"),
        ({"encoding": "ascii"}, "/encoding"),
        ({"account": {}}, "/account"),
        ({"account": {"number": "1", "cell": "2"}}, "/account"),
        ({"currency": "XXX"}, "/currency"),
        ({"currency": {"words": {}}}, "/currency/column"),
        ({"date": {"column": "a", "format": "%H"}}, "/date/format"),
        ({"amount": {}}, "/amount"),
        ({"amount": {"signed": "a", "in": "b"}}, "/amount"),
        ({"amount": {"column": "a", "direction": "b", "words": {"贷": "x"}}}, "/amount/words"),
        ({"decimal": ","}, "/thousands"),
        ({"foot": "("}, "/foot"),
        ({"identity": "balance", "balance": None}, "/identity"),
        ({"format": "pdf"}, "/format"),
        ({"unknown": 1}, "/unknown"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_said_with_its_place(
    changed: dict[str, Any], place: str
) -> None:
    with pytest.raises(Invalid) as wrong:
        mapping(**changed)
    assert place in wrong.value.detail
    assert (wrong.value.where, bool(wrong.value.remedy)) == ("m.json", True)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"id = ", b"\xff\xfe\x00", b"[]", b"{}" + b" " * 70_000]
)
def test_what_is_no_mapping_is_refused(data: bytes) -> None:
    with pytest.raises(FinancingError):
        parse(data, "m.toml")
