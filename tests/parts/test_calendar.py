"""Chinese working days, as the yearly notices give them."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from financing.rules.calendar import (
    Holidays,
    add_working_days,
    is_announced,
    is_guess_between,
    is_working_day,
    roll_forward,
    working_days_between,
)

DAYS = st.dates(date(2004, 1, 1), date(2029, 12, 31))


@pytest.mark.parametrize(("year", "count"), [(2020, 249), (2024, 251), (2025, 248), (2026, 248)])
def test_a_year_has_as_many_working_days_as_its_notice_leaves(year: int, count: int) -> None:
    assert working_days_between(date(year - 1, 12, 31), date(year, 12, 31)) == count


def test_a_make_up_saturday_is_a_working_day_and_spring_festival_is_none() -> None:
    assert is_working_day(date(2026, 2, 14))
    assert not is_working_day(date(2026, 2, 17))


def test_a_year_without_notice_counts_weekends_only_and_says_so() -> None:
    due = add_working_days(date(2027, 2, 1), 5)
    assert due == (date(2027, 2, 8), True)
    assert not is_announced(2027)
    assert is_announced(2026)


def test_a_term_that_reaches_into_a_year_without_notice_is_provisional() -> None:
    assert add_working_days(date(2026, 12, 30), 3).provisional
    assert not add_working_days(date(2026, 12, 29), 2).provisional
    # The library begins in 2004: a term that began before is as uncertain as one that ends later.
    assert add_working_days(date(2003, 12, 30), 5).provisional
    assert is_guess_between(date(2026, 12, 30), date(2027, 1, 4))


def test_loading_the_notice_makes_the_year_certain_and_moves_the_day() -> None:
    notice = Holidays(
        frozenset(
            {(date(2027, 1, 1), "rest"), (date(2027, 2, 8), "rest"), (date(2027, 2, 6), "work")}
        )
    )
    assert add_working_days(date(2027, 2, 1), 5, notice) == (date(2027, 2, 6), False)
    assert add_working_days(date(2027, 2, 6), 1, notice) == (date(2027, 2, 9), False)


def test_an_operators_row_overrules_the_library() -> None:
    storm = Holidays(frozenset({(date(2026, 3, 3), "rest")}))
    assert is_working_day(date(2026, 3, 3))
    assert not is_working_day(date(2026, 3, 3), storm)
    assert roll_forward(date(2026, 3, 3), storm).on == date(2026, 3, 4)


@given(DAYS, st.integers(1, 300))
def test_adding_and_counting_working_days_agree(day: date, n: int) -> None:
    due = add_working_days(day, n)
    assert is_working_day(due.on)
    assert working_days_between(day, due.on) == n
    assert working_days_between(day, due.on - timedelta(days=1)) == n - 1


@given(DAYS, st.integers(0, 400))
def test_working_days_are_counted_day_by_day(day: date, span: int) -> None:
    one_by_one = sum(is_working_day(day + timedelta(days=i)) for i in range(1, span + 1))
    assert working_days_between(day, day + timedelta(days=span)) == one_by_one
