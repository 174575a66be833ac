"""Public camt and MT940 files: each reads, or is refused by name; counts are from their page."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from sqlalchemy import Engine

from financing.context import Context
from financing.errors import Unreadable
from financing.formats import readers
from financing.formats.statement import Entry, Event, Statement
from financing.journeys import files
from financing.journeys.statements import Counts
from financing.values.parked import Parked
from tests.paying import World

pytestmark = pytest.mark.real


class Told(NamedTuple):
    """What the collection's page says of a folder."""

    files: int
    statements: int
    entries: int
    holds: int
    broken: int
    undecidable: int


@pytest.fixture(scope="module")
def folder(real_data: Path) -> Path:
    return real_data / "bank" / "camt"


def told(folder: Path, name: str) -> Told:
    """The counts of a row of the page, which may stand for several folders."""
    page = (folder.parent / "README.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if f"`{folder.name}/{name}" in line.split(" | ")[0]]
    cells = [cell.strip() for cell in rows[0].split("|")[3:7]]
    return Told(*(int(n) for n in re.findall(r"\d+", " ".join(cells))))


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def read(path: Path) -> list[Event]:
    with path.open("rb") as stream:
        return list(readers.read(stream, path.name))


@pytest.mark.parametrize(("kind", "refused"), [("camt", 7), ("mt940", 7)])
def test_every_file_reads_or_is_refused_by_name(folder: Path, kind: str, refused: int) -> None:
    seen = {"read": 0, "refused": 0}
    for path in files_of(folder.parent / kind):
        try:
            events = read(path)
        except Unreadable as problem:
            assert re.match(r"[A-Z-]+: ", problem.detail), path.name
            assert problem.remedy
            seen["refused"] += 1
            continue
        seen["read"] += 1
        statements = [each for each in events if isinstance(each, Statement)]
        lines = [each for each in events if isinstance(each, Entry | Parked)]
        assert statements
        assert sum(each.lines for each in statements) == len(lines), path.name
        for reason in (
            *(each.fault.reason for each in statements if each.fault is not None),
            *(each.reason for each in lines if isinstance(each, Parked)),
        ):
            assert re.match(r"[A-Z-]+: ", reason), path.name
    assert seen["refused"] == refused


MT940_FOLDERS = (
    "wolph-", "jejik-php", "zilverline", "danskebank", "mt940-rs-special", "cmxl", "oca",
)  # fmt: skip


@pytest.mark.parametrize("name", MT940_FOLDERS)
def test_no_line_of_an_mt940_is_lost(folder: Path, name: str) -> None:
    swift = folder.parent / "mt940"
    others = ("mt940-rs-bugs",) if name == "mt940-rs-special" else ()
    paths = [
        path
        for path in files_of(swift)
        if path.parent.name.startswith((name, *others)) and readers.known(path.read_bytes())
    ]
    lines = 0
    for path in paths:
        with contextlib.suppress(Unreadable):
            lines += sum(isinstance(each, Entry | Parked) for each in read(path))
    assert lines == told(swift, name).entries


def test_reversals_of_credits_take_money_out_as_the_balances_say(folder: Path) -> None:
    events = read(folder.parent / "mt940" / "wolph-betterplace" / "sepa_mt9401.sta")
    statements = [each for each in events if isinstance(each, Statement)]
    assert all(each.holds is not False for each in statements)
    assert sum(each.holds is True for each in statements) >= 20
    assert any(isinstance(each, Entry) and each.reversal for each in events)


@pytest.mark.parametrize("name", ["subite-daily", "bankstatementparser", "prowide"])
def test_a_collection_gives_the_counts_of_its_page(folder: Path, name: str) -> None:
    expected = told(folder, name)
    paths = files_of(folder / name)
    events = [each for path in paths for each in read(path)]
    statements = [each for each in events if isinstance(each, Statement)]
    # The page's own reader gave up on a file with an amount that is no number.
    readable = [
        each for each in statements if not (each.fault and "AMOUNT-UNREADABLE" in each.fault.reason)
    ]
    assert len(paths) == expected.files
    assert len(readable) == expected.statements
    assert [each.holds for each in readable].count(True) == expected.holds
    assert [each.holds for each in readable].count(False) == expected.broken
    assert sum(each.lines for each in readable) == expected.entries


def test_a_month_of_daily_statements_is_booked_once_in_any_order(
    folder: Path, ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]
) -> None:
    set_clock(datetime(2026, 1, 1, tzinfo=UTC))
    world = World(ctx, owner)
    expected = told(folder, "subite-daily")
    paths = files_of(folder / "subite-daily")
    numbers = {
        each.account.number
        for path in paths
        for each in read(path)
        if isinstance(each, Statement) and each.account is not None
    }
    holder = world.party("supplier", "holder")
    for number in sorted(numbers):
        world.account(holder, number, "EUR")
    shuffled = Random(3).sample(paths, len(paths))
    first = _import(ctx, shuffled)
    assert (first.read, first.new, first.parked) == (expected.entries, expected.entries, 0)
    again = _import(ctx, paths)
    assert (again.unchanged, again.new, again.parked) == (expected.entries, 0, 0)
    holds = world.rows("SELECT count(*) AS n FROM statement WHERE holds")[0].n
    assert holds == expected.statements
    broken_links = world.rows(
        "SELECT 1 FROM (SELECT opening_fen, lag(closing_fen) OVER (PARTITION BY account_id,"
        " account_type ORDER BY closing_on) AS before FROM statement) s"
        " WHERE before <> opening_fen"
    )
    assert broken_links == []


def _import(ctx: Context, paths: list[Path]) -> Counts:
    total = Counts()
    for report in files.import_paths(ctx, paths):
        assert report.error is None
        total += Counts(report.read, report.new, report.changed, report.unchanged, report.parked)
    return total
