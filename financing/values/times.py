"""Instants and civil dates; the only file that reads the wall clock.

The business clock (`tx.now`) is set by the transaction; what is here parses and shows its values.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta, timezone

from financing.errors import Invalid

# China has kept one offset without daylight saving since 1991; a fixed offset needs no zone
# files, which a bare system may lack.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")

_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def wall_now() -> datetime:
    """The wall clock, aware, UTC: for signatures, sessions, and webhook windows only."""
    return datetime.now(UTC)


def wall_ns() -> int:
    """Nanoseconds since 1970 by the wall clock, for time-ordered ids."""
    return time.time_ns()


def civil(instant: datetime) -> date:
    """The calendar day in China on which `instant` falls.

    Raises:
        Invalid: the instant carries no zone, so its day cannot be known.
    """
    if instant.tzinfo is None:
        raise Invalid(
            "a time without zone has no civil date",
            remedy="give the time with its zone",
        )
    return instant.astimezone(SHANGHAI).date()


def start_of(day: date) -> datetime:
    """The first instant of a Chinese civil day, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).astimezone(UTC)


def end_of(day: date) -> datetime:
    """The first instant after a Chinese civil day: a term that is due on `day` has run out."""
    return start_of(day + timedelta(days=1))


def rfc3339(instant: datetime) -> str:
    """Write an aware instant as UTC with `Z`; fractions appear only where there are any.

    Source: RFC 3339, section 5.6.
    """
    if instant.tzinfo is None:
        raise Invalid(
            "a time without zone cannot be written",
            remedy="give the time with its zone",
        )
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_instant(text: str) -> datetime:
    """Read an RFC 3339 time with its zone and return it in UTC.

    Fractions finer than a microsecond are cut: order messages by sequence, never by them.

    Raises:
        Invalid: no zone, another form, or a moment that does not exist.
    """
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise Invalid(
            f"{text[:40]!r} is not a time with zone",
            remedy="write it as 2026-03-02T01:30:00Z",
        )
    day, clock, fraction, zone = found.groups()
    micro = (fraction or "").ljust(6, "0")[:6]
    offset = "+00:00" if zone in "Zz" else zone
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{micro}{offset}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"{text[:40]!r} is a moment that does not exist",
            remedy="correct the date or the time",
        ) from error


def parse_date(text: str) -> date:
    """Read a civil date `YYYY-MM-DD`.

    Raises:
        Invalid: another form, or a day that does not exist.
    """
    if _DATE.fullmatch(text) is None:
        raise Invalid(f"{text[:40]!r} is not a date", remedy="write it as 2026-03-02")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid(
            f"{text!r} is a day that does not exist", remedy="correct the date"
        ) from error
