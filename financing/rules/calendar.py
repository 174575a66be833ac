"""Chinese working days (工作日): weekends, the yearly holiday notice, and its make-up days (调休).

The years that the library knows come from it; rows of the operator come first and add the years
it does not know. A year whose notice nobody has loaded counts weekends only, and every answer
that touches it says `provisional`.

Source: the State Council's yearly notice on holidays (国务院办公厅关于部分节假日安排的通知).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

import chinese_calendar


@dataclass(frozen=True, slots=True)
class Holidays:
    """The operator's rows (day, `rest` or `work`), which overrule the library.

    A year counts as announced once its first day is among the rows: every notice begins with it.
    """

    rows: frozenset[tuple[date, Literal["rest", "work"]]] = frozenset()


class Due(NamedTuple):
    """A day by which something must be done; `provisional` while a holiday notice is missing."""

    on: date
    provisional: bool


class _Year(NamedTuple):
    working: tuple[date, ...]
    provisional: bool


LIBRARY_ONLY = Holidays()


def is_working_day(day: date, holidays: Holidays = LIBRARY_ONLY) -> bool:
    """Whether `day` is a working day in China."""
    working = _year(holidays, day.year).working
    place = bisect_left(working, day)
    return place < len(working) and working[place] == day


def is_announced(year: int, holidays: Holidays = LIBRARY_ONLY) -> bool:
    """Whether the holiday notice of `year` is known."""
    return not _year(holidays, year).provisional


def add_working_days(day: date, n: int, holidays: Holidays = LIBRARY_ONLY) -> Due:
    """The n-th working day after `day`, which itself does not count.

    Args:
        n: at least 1.
    Source: Civil Code art. 201 (the day of the trigger does not count).
    """
    provisional, year, left = False, day.year, n
    while True:
        working, is_guess = _year(holidays, year)
        first = bisect_right(working, day)
        if first + left <= len(working):
            return Due(working[first + left - 1], provisional or is_guess)
        # What is left of this year lies between the trigger and the due day, so it counts too.
        provisional = provisional or is_guess
        left -= len(working) - first
        year += 1


def roll_forward(day: date, holidays: Holidays = LIBRARY_ONLY) -> Due:
    """`day` itself when people work on it, else the next working day.

    Source: Civil Code art. 203 (a term that ends on a rest day ends on the day after the rest).
    """
    return add_working_days(day - timedelta(days=1), 1, holidays)


def working_days_between(after: date, until: date, holidays: Holidays = LIBRARY_ONLY) -> int:
    """How many working days lie after `after`, up to and including `until`; 0 when none."""
    if until <= after:
        return 0
    total = 0
    for year in range(after.year, until.year + 1):
        working = _year(holidays, year).working
        total += bisect_right(working, until) - bisect_right(working, after)
    return total


def is_guess_between(after: date, until: date, holidays: Holidays = LIBRARY_ONLY) -> bool:
    """Whether a count of working days over this span rests on a year without notice."""
    return any(_year(holidays, y).provisional for y in range(after.year, until.year + 1))


@lru_cache(maxsize=512)
def _year(holidays: Holidays, year: int) -> _Year:
    rows = {day: kind for day, kind in holidays.rows if day.year == year}
    first = date(year, 1, 1)
    try:
        chinese_calendar.is_workday(first)
        is_known = True
    except NotImplementedError:  # the library ends with the last notice it was released after
        is_known = False
    working = []
    for offset in range((date(year + 1, 1, 1) - first).days if year < date.max.year else 365):
        day = first + timedelta(days=offset)
        if day in rows:
            works = rows[day] == "work"
        elif is_known:
            works = chinese_calendar.is_workday(day)
        else:
            works = day.weekday() < 5  # Monday to Friday
        if works:
            working.append(day)
    return _Year(tuple(working), not is_known and first not in rows)
