"""Public camt.053 files: each reads, or is refused by name; the counts are from their page."""

from __future__ import annotations

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
from financing.formats import camt
from financing.formats.statement import Entry, Statement
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
    page = (folder.parent / "README.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `camt/{name}`"))
    cells = [cell.strip() for cell in row.split("|")[3:7]]
    return Told(*(int(n) for n in re.findall(r"\d+", " ".join(cells))))


def read(path: Path) -> list[camt.Event]:
    with path.open("rb") as stream:
        return list(camt.read(stream, path.name))


def test_every_statement_reads_or_is_refused_by_name(folder: Path) -> None:
    seen = {"read": 0, "refused": 0}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            events = read(path)
        except Unreadable as refused:
            assert re.match(r"[A-Z-]+: ", refused.detail), path.name
            assert refused.remedy
            seen["refused"] += 1
            continue
        seen["read"] += 1
        statements = [each for each in events if isinstance(each, Statement)]
        lines = [each for each in events if isinstance(each, Entry | Parked)]
        assert statements
        assert sum(each.lines for each in statements) == len(lines), path.name
        for each in statements:
            assert each.fault is None or re.match(r"[A-Z-]+: ", each.fault.reason), path.name
    is_053 = [
        path
        for path in folder.rglob("*")
        if path.is_file() and re.search(rb"<(\w+:)?Stmt>", path.read_bytes())
    ]
    assert seen["read"] == len(is_053)


@pytest.mark.parametrize("name", ["subite-daily", "bankstatementparser", "prowide"])
def test_a_collection_gives_the_counts_of_its_page(folder: Path, name: str) -> None:
    expected = told(folder, name)
    paths = [path for path in (folder / name).rglob("*") if path.is_file()]
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
    paths = sorted(path for path in (folder / "subite-daily").rglob("*") if path.is_file())
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
