"""A second opinion on public MT940 files: another reader sees the same days and amounts."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import date
from pathlib import Path

import mt940 as another
import pytest

from financing.errors import Unreadable
from financing.formats import readers
from financing.formats.statement import Entry
from financing.values.parked import Parked

pytestmark = pytest.mark.real

Lines = Counter[tuple[date, int]]


def theirs(content: bytes) -> Lines | None:
    """Value days and amounts as the other reader has them; None where it gives the file up."""
    try:
        statements = another.parse_statements(content.decode("utf-8"))
        found = [one.data for statement in statements for one in statement]
    except (ValueError, RuntimeError, AttributeError, KeyError):
        return None
    return Counter(
        (
            date(*one["date"].timetuple()[:3]),
            int(one["amount"].amount * 100),  # no file is in a currency of other digits
        )
        for one in found
        if one.get("amount") is not None
    )


def ours(path: Path) -> tuple[Lines, int, bool]:
    """The same by our reader, with how many lines it parks, and whether one is a reversal."""
    with path.open("rb") as stream:
        events = list(readers.read(stream, path.name))
    entries = [each for each in events if isinstance(each, Entry)]
    lines = Counter(
        (each.value_on, each.amount_fen) for each in entries if each.value_on is not None
    )
    parked = sum(isinstance(each, Parked) and each.kind == "line" for each in events)
    return lines, parked, any(each.reversal for each in entries)


def test_two_readers_see_the_same_days_and_amounts(
    real_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    agreed, lost = 0, 0
    for path in sorted((real_data / "bank" / "mt940").rglob("*")):
        if not path.is_file():
            continue
        try:
            lines, parked, is_reversed = ours(path)
        except Unreadable:
            continue
        other = theirs(path.read_bytes())
        if other is None:
            lost += 1
        elif is_reversed:
            # It gives the reversal of a credit the sign of the credit.
            plain = Counter((on, abs(fen)) for on, fen in lines.elements())
            assert plain == Counter((on, abs(fen)) for on, fen in other.elements()), path.name
        elif not parked:
            assert lines == other, path.name
            agreed += 1
        else:
            assert lines <= other, path.name  # what we park, it reads as something else
    assert agreed >= 100
    assert lost >= 10
