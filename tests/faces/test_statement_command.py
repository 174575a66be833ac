"""`financing statement` says what would be booked, to a person and to a script, without a store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.statements_made import Line, Made, camt, mt940, told

ROOT = Path(__file__).parents[2]
MADE = Made(
    (
        Line("1234.50", "付合同 ZZCG-2026-001 货款，第二期，" + "很长的附言" * 20, ref="R1"),
        Line("-34.50", "手续费", ref="R2", name=""),
        Line("7.00", "未定", ref="R3", status="PDNG"),
    ),
    number="12",
)


def run(folder: Path, data: bytes, *options: str) -> subprocess.CompletedProcess[str]:
    """The verb over one file, where no store could be opened."""
    path = folder / "august.txt"
    path.write_bytes(data)
    clean = {name: value for name, value in os.environ.items() if "FINANCING" not in name}
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    return subprocess.run(
        [sys.executable, "-m", "financing", "statement", path.name, *options],
        cwd=folder,
        env=clean | nowhere | {"PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def document(folder: Path, data: bytes) -> tuple[int, dict[str, Any]]:
    done = run(folder, data, "--json")
    return done.returncode, json.loads(done.stdout)


def width(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)


@pytest.mark.parametrize("made", [camt, mt940])
def test_a_script_gets_each_line_and_the_balance(tmp_path: Path, made: Any) -> None:
    code, shown = document(tmp_path, made(MADE.of(*MADE.lines[:2])))
    assert code == 0
    (found,) = shown["statements"]
    assert (found["account"], found["currency"], found["books"]) == ("2233", "CNY", True)
    assert found["balance"]["holds"] is True
    assert found["balance"]["closing"] == {
        "amount": {"fen": 120000, "currency": "CNY"},
        "date": "2026-03-02",
    }
    first, second = found["entries"]
    assert first["amount"] == {"fen": 123450, "currency": "CNY"}
    assert (first["direction"], second["direction"]) == ("in", "out")
    assert (first["date"], first["counterparty"]) == ("2026-03-02", "金水区教育局")
    assert "ZZCG-2026-001" in first["remittance"].replace(" ", "")
    assert shown["parked"] == []


def test_a_line_has_the_same_key_wherever_it_is_reported(tmp_path: Path) -> None:
    def keys(data: bytes) -> list[str]:
        return [each["key"] for each in document(tmp_path, data)[1]["statements"][0]["entries"]]

    twice = MADE.of(MADE.lines[0], MADE.lines[0], MADE.lines[1])
    first, second, third = keys(camt(twice))
    assert first == second != third
    assert keys(camt(replace(MADE, opening="9.00", on="2026-03-03")))[0] == first
    assert keys(mt940(MADE.of(MADE.lines[0])))[0] == first  # both name the bank's reference
    assert keys(camt(replace(MADE, account="4100555566667777")))[0] != first


def test_a_person_gets_a_table_that_fits_and_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, camt(MADE), "--lang", "en")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(map(width, lines)) <= 100
    assert "account ending 2233" in lines[0]
    assert "[pending] 未定" in lines[3]
    assert lines[4] == "2 lines would be booked"
    assert lines[5].startswith("The balance holds: opening ¥0.00 + lines ¥1,200.00")
    assert "6222020200112233" not in done.stdout
    assert "将入账2笔" in run(tmp_path, camt(MADE), "--lang", "zh").stdout


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (camt(replace(MADE, closing="1.00")), 1, "BALANCE-BROKEN"),
        (camt(replace(MADE, told=9)), 1, "COUNT-DIFFERS"),
        (camt(MADE)[:-400], 3, "TRUNCATED"),
        (camt(MADE.of(replace(MADE.lines[0], amount="1e5"), *MADE.lines[1:], closing="0.00")), 3,
         "AMOUNT-UNREADABLE"),
        (mt940(MADE.of(*MADE.lines[:2], closing="none")), 3, None),
        (camt(MADE, replace(MADE, closing="1.00")), 1, "BALANCE-BROKEN"),
        (told(MADE, "052"), 0, None),
        (told(MADE, "054"), 0, None),
    ],
)  # fmt: skip
def test_the_exit_code_says_whether_it_would_be_booked(
    tmp_path: Path, data: bytes, code: int, reason: str | None
) -> None:
    ended, shown = document(tmp_path, data)
    assert ended == code
    holds = {0: (True, None), 1: (False, True), 3: (None,)}[code]
    assert shown["statements"][-1]["balance"]["holds"] in holds
    assert [each["reason"].split(":")[0] for each in shown["parked"]][-1:] == (
        [reason] if reason else []
    )
    assert all(each["remedy"] for each in shown["parked"])


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", b"hello", b"<a/>"])
def test_what_is_no_statement_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    done = run(tmp_path, data)
    assert (done.returncode, done.stdout) == (2, "")
    assert "NOT-A-STATEMENT" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    told = json.loads(run(tmp_path, data, "--json").stdout)
    assert (told["where"], bool(told["remedy"])) == ("august.txt", True)
