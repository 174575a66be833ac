"""Amounts and dates as people type them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from financing.errors import Invalid
from financing.values.typed import typed_date, typed_minor


@pytest.mark.parametrize(
    ("text", "fen"),
    [
        ("450000", 45_000_000),
        ("450,000.00", 45_000_000),
        ("45万", 45_000_000),
        ("1.5万元", 1_500_000),
        ("１２，３４５．６", 1_234_560),
        ("¥1,234.50", 123_450),
        (" 7 ", 700),
    ],
)
def test_an_amount_is_read_as_people_write_it(text: str, fen: int) -> None:
    assert typed_minor(text, "CNY") == fen


@pytest.mark.parametrize(
    "text", ["", "万", "1e5", "-5", "45,00", "4,5000", "450 000", "1.234", "NaN", "4５x", "0x10"]
)
def test_what_is_no_amount_is_refused_and_never_guessed(text: str) -> None:
    with pytest.raises(Invalid):
        typed_minor(text, "CNY")


@given(st.integers(min_value=0, max_value=10**15))
def test_what_a_page_shows_is_read_back_as_the_same_amount(fen: int) -> None:
    shown = f"{fen // 100:,}.{fen % 100:02d}"
    assert typed_minor(shown, "CNY") == fen


@pytest.mark.parametrize("text", ["2026-03-05", "20260305", "2026年3月5日", "２０２６／３／５"])
def test_a_date_is_read_as_people_write_it(text: str) -> None:
    assert typed_date(text) == date(2026, 3, 5)


@pytest.mark.parametrize("text", ["", "2026-02-30", "2026315", "5.3.2026", "26-03-05", "明天"])
def test_what_is_no_date_is_refused_and_never_guessed(text: str) -> None:
    with pytest.raises(Invalid):
        typed_date(text)
