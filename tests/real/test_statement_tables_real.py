"""Public exports of banks: each line is read by a mapping or parked, each file ends with a name."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from financing.context import Context
from financing.errors import Unreadable
from financing.formats import readers
from financing.formats.mapping import parse
from financing.formats.statement import Entry, Event, Statement
from financing.journeys import files
from financing.values.parked import Parked

pytestmark = pytest.mark.real

DAY = "%Y-%m-%d"
EMPTY = ["-", "--", "----------", "-------------------"]
MAPPINGS: dict[str, dict[str, Any]] = {
    "china/example-abc_debit-records.csv": {
        "date": {"column": "交易日期", "format": "%Y%m%d"},
        "amount": {"signed": "交易金额"},
        "balance": "本次余额",
        "reference": "日 志 号",
        "text": ["交易摘要"],
    },
    "china/example-boc-records.csv": {
        "date": {"column": "记账日期", "format": DAY},
        "amount": {"signed": "金额"},
        "currency": {"column": "币别", "words": {"人民币": "CNY"}},
        "balance": "余额",
        "name": "对方账户名",
        "other_account": "对方卡号/账号",
        "text": ["附言"],
    },
    "china/example-bocom_debit-records.csv": {
        "date": {"column": "交易日期", "format": DAY},
        "amount": {
            "column": "交易金额",
            "direction": "借贷",
            "words": {"贷 Cr": "+", "借 Dr": "-"},
        },
        "balance": "余额",
        "name": "对方户名",
        "other_account": "对方账号",
        "text": ["摘要"],
    },
    "china/example-cmb-records.csv": {
        "date": {"column": "记账日期", "format": DAY},
        "amount": {"signed": "交易金额"},
        "currency": {"column": "货币", "words": {}},
        "balance": "联机余额",
        "text": ["交易摘要", "客户摘要"],
    },
    "china/example-icbc-debit-v2-records.csv": {
        "date": {"column": "交易日期", "format": DAY},
        "amount": {"in": "记账金额(收入)", "out": "记账金额(支出)"},  # the balance is masked
        "name": "对方户名",
        "other_account": "对方账户",
        "foot": "合计",
        "text": ["摘要", "交易场所"],
    },
    "oca-sheet/meta_data_separated_credit_debit.csv": {
        "account": {"cell": "Account Number"},
        "currency": "EUR",
        "date": {"column": "Date", "format": "%d/%m/%y"},
        "amount": {"in": "Credit", "out": "Debit", "signed_columns": True},
        "reference": "Operation Number",
        "decimal": ",",
        "thousands": ".",
        "foot": "^Balance",
        "text": ["Label"],
    },
    "bankstatementparser/csv_european_decimals.csv": {
        "delimiter": ";",
        "currency": {"column": "CCY", "words": {}},
        "date": {"column": "Buchungstag", "format": DAY},
        "amount": {"signed": "Betrag"},
        "decimal": ",",
        "thousands": ".",
        "reference": "Ref",
        "identity": "reference",
        "text": ["Verwendungszweck"],
    },
    "bankstatementparser/csv_garbled_amount.csv": {
        "currency": {"column": "Currency", "words": {}},
        "date": {"column": "Date", "format": DAY},
        "amount": {"signed": "Amount"},
        "text": ["Description"],
    },
}


@pytest.fixture(scope="module")
def folder(real_data: Path) -> Path:
    return real_data / "bank" / "csv"


def read(folder: Path, name: str) -> list[Event]:
    given = {
        "id": "real",
        "version": 1,
        "encoding": "utf-8-sig",
        "account": {"number": "6222020200112233"},
        "currency": "CNY",
        "thousands": ",",
        "empty": EMPTY,
        **MAPPINGS[name],
    }
    with (folder / name).open("rb") as stream:
        return list(readers.read(stream, name, parse(json.dumps(given).encode(), "m.json")))


@pytest.mark.parametrize("name", MAPPINGS)
def test_each_row_is_a_line_or_is_parked_by_name(folder: Path, name: str) -> None:
    events = read(folder, name)
    statement = events[-1]
    assert isinstance(statement, Statement)
    lines = [each for each in events if isinstance(each, Entry | Parked)]
    assert statement.lines == len(lines) >= 2
    reasons = Counter(each.reason.split(":")[0] for each in lines if isinstance(each, Parked))
    expected = {"bankstatementparser/csv_garbled_amount.csv": {"AMOUNT-UNREADABLE": 1}}
    assert reasons == expected.get(name, {})


def test_a_whole_export_newest_first_holds(folder: Path) -> None:
    statement = read(folder, "china/example-boc-records.csv")[-1]
    assert isinstance(statement, Statement)
    assert (statement.holds, statement.fault) == (True, None)


@pytest.mark.parametrize(
    "name", ["china/example-abc_debit-records.csv", "china/example-bocom_debit-records.csv"]
)
def test_an_invented_running_balance_is_seen(folder: Path, name: str) -> None:
    statement = read(folder, name)[-1]
    assert isinstance(statement, Statement)
    assert statement.fault is not None
    assert statement.fault.reason.startswith("BALANCE-BROKEN")


def test_every_file_of_every_bank_ends_as_a_statement_or_with_a_name(
    folder: Path, ctx: Context
) -> None:
    """Nothing of 267 files is an exception; a file that no reader takes is ignored by import."""
    reports = files.import_paths(ctx, [folder.parent])
    kinds = Counter(report.kind for report in reports)
    assert sum(kinds.values()) == 268  # and the page of the collection
    assert kinds["records"] == 0
    assert kinds["statement"] > 220
    for report in reports:
        if report.kind == "refused":
            assert isinstance(report.error, Unreadable)
            assert report.error.remedy
    with ctx.begin() as tx:
        assert all(files.replay(tx).values()) is False  # no account is registered: all waits
