"""Dates as publishers write them: civil days where the day is beyond doubt, else None."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from financing.values.times import civil

# `2015-11-09T00:00:00.-06:00`, dates without a zone or a time, and blanks for the T are published.
_WRITTEN: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]*))?)? ?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_EARLIEST: Final = 1949
_LATEST: Final = 2199


class Written(NamedTuple):
    """A published date: its civil day, and an instant good enough to order releases by."""

    day: date
    instant: datetime


def read(text: object) -> Written | None:
    """Read a published date or time; None where it is none, or a day that does not exist.

    A time with an offset of its own is taken for the day it writes. A time in UTC is taken for its
    day in Asia/Shanghai, which is also the local day of every zone from UTC-8 to UTC+8 whose
    midnight was written in UTC. Without a zone the day stands as written, and the instant is taken
    as if it were UTC: it orders releases of one publisher and says nothing else.
    """
    if not isinstance(text, str):
        return None
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        return None
    day, clock, seconds, fraction, zone = found.groups()
    is_utc = zone is not None and zone.lstrip("+-").replace(":", "") in ("Z", "z", "0000")
    offset = "+00:00" if zone is None or is_utc else f"{zone[:3]}:{zone[-2:]}"
    micro = (fraction or "").ljust(6, "0")[:6]
    moment = f"{day}T{clock or '00:00'}:{seconds or '00'}.{micro}{offset}"
    try:
        local = datetime.fromisoformat(moment)
        instant = local.astimezone(UTC)
        on = civil(instant) if is_utc else local.date()
    except (ValueError, OverflowError):
        return None
    return Written(on, instant) if _EARLIEST <= on.year <= _LATEST else None
