"""Any history, cut, overlapping, in any format and order, is booked once; damage never crashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from financing.context import Context
from financing.errors import Unreadable
from financing.formats.mapping import parse
from financing.journeys import checking, statements
from tests.paying import NOW, Case, World, case
from tests.statements_made import Line, Made, camt, mt940, told

MAPPING = """
id = "days"
version = 1
encoding = "utf-8-sig"
account = { number = "6222020200112233" }
currency = "CNY"
date = { column = "日期", format = "%Y-%m-%d" }
amount = { signed = "金额" }
balance = "余额"
text = ["摘要"]
"""
DAYS = 5

line = st.tuples(
    st.integers(1, DAYS), st.sampled_from([1, 2, -1]), st.sampled_from(["x", "y"])
)  # day, yuan, text: many are equal
span = st.tuples(st.integers(1, DAYS), st.integers(1, DAYS)).map(lambda two: tuple(sorted(two)))
slow = hypothesis_settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def known(ctx: Context, owner: Engine, set_clock: Callable[[datetime], None]) -> Case:
    set_clock(NOW)
    return case(World(ctx, owner))


@contextmanager
def emptied(known: Case) -> Iterator[World]:
    """The account before anything was booked, so that one store serves all examples."""
    with known.world.owner.begin() as link:
        link.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table in (
            "entry_source", "payment", "entry", "statement", "import_file", "audit", "parked",
            "outbox",
        ):  # fmt: skip
            link.exec_driver_sql(f"DELETE FROM {table}")
    yield known.world


def rendered(
    history: list[tuple[int, int, str]], first: int, last: int, form: str
) -> tuple[bytes, Any]:
    """The days of a history as one file of a format, with balances that hold."""
    before = sum(yuan for day, yuan, _ in history if day < first)
    inside = sorted((each for each in history if first <= each[0] <= last), key=lambda e: e[0])
    if form == "table":
        held, out = before, ["日期,金额,余额,摘要"]
        for day, yuan, text in inside:
            held += yuan
            out.append(f"2026-03-0{day},{yuan}.00,{held}.00,{text}")
        return "\n".join(out).encode(), parse(MAPPING.encode(), "m.toml")
    # Both messages name the same reference of the bank: one for each day, amount, and text.
    lines = tuple(
        Line(f"{yuan}.00", text, on=f"2026-03-0{day}", ref=f"{form}{day}{yuan}{text}")
        for day, yuan, text in inside
    )
    made = Made(lines, opening=f"{before}.00", on=f"2026-03-0{last}")
    return (camt(made) if form == "camt" else mt940(made)), None


def booked(world: World) -> Counter[tuple[int, int]]:
    rows = world.rows(
        "SELECT extract(day FROM booking_on)::int AS day, amount_fen FROM entry"
        " WHERE status = 'booked'"
    )
    return Counter((row.day, row.amount_fen) for row in rows)


def broken(world: World) -> list[str]:
    with world.ctx.begin() as tx:
        return [each.id for each in checking.check(tx, ["I12", "I13", "I14"]) if not each.holds]


def expected(history: list[tuple[int, int, str]]) -> Counter[tuple[int, int]]:
    return Counter((day, yuan * 100) for day, yuan, _ in history)


@pytest.mark.parametrize("form", ["camt", "mt940", "table"])
def test_whole_days_that_overlap_never_double_and_never_lose(known: Case, form: str) -> None:
    @slow
    @given(history=st.lists(line, min_size=1, max_size=9), spans=st.lists(span, max_size=4))
    def holds(history: list[tuple[int, int, str]], spans: list[tuple[int, int]]) -> None:
        with emptied(known) as world:
            for n, (first, last) in enumerate([*spans, (1, DAYS), *spans[:1]]):
                data, mapping = rendered(history, first, last, form)
                with world.ctx.begin() as tx:
                    statements.import_statement(tx, BytesIO(data), f"{n}", mapping)
            assert booked(world) == expected(history)
            assert broken(world) == []

    holds()


def test_whole_days_in_mixed_formats_never_double_never_lose_and_park_nothing(known: Case) -> None:
    @slow
    @given(
        history=st.lists(line, min_size=1, max_size=8),
        sent=st.lists(
            st.tuples(span, st.sampled_from(["camt", "mt940", "table"])), min_size=1, max_size=5
        ),
        is_announced=st.booleans(),
    )
    def holds(
        history: list[tuple[int, int, str]], sent: list[tuple[Any, str]], is_announced: bool
    ) -> None:
        with emptied(known) as world:
            if is_announced:
                world.imports(told(Made((Line("1.00", "x", on="2026-03-01"),)), "052"))
            covered: set[int] = set()
            for n, ((first, last), form) in enumerate(sent):
                data, mapping = rendered(history, first, last, form)
                covered |= set(range(first, last + 1))
                with world.ctx.begin() as tx:
                    statements.import_statement(tx, BytesIO(data), f"{n}", mapping)
            inside = Counter({key: n for key, n in expected(history).items() if key[0] in covered})
            assert booked(world) == inside
            assert world.parked() == []
            assert broken(world) == []

    holds()


@pytest.mark.parametrize("form", ["camt", "mt940", "table"])
def test_damaged_bytes_are_booked_parked_or_refused_and_never_crash(known: Case, form: str) -> None:
    history = [(1, 1, "x"), (1, 1, "x"), (2, -1, "y"), (3, 2, "合同 ZZCG-2026-001")]
    data, mapping = rendered(history, 1, 3, form)
    change = st.tuples(
        st.integers(0, len(data) - 1), st.integers(0, 4), st.binary(min_size=0, max_size=3)
    )

    @slow
    @given(changes=st.lists(change, min_size=1, max_size=4))
    def holds(changes: list[tuple[int, int, bytes]]) -> None:
        damaged = data
        for at, gone, put in changes:
            damaged = damaged[:at] + put + damaged[at + gone :]
        with emptied(known) as world:
            try:
                with world.ctx.begin() as tx:
                    statements.import_statement(tx, BytesIO(damaged), "d", mapping)
            except Unreadable as refused:
                assert ": " in refused.detail
                assert refused.remedy
            assert broken(world) == []

    holds()
