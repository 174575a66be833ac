"""Amounts and dates as people type them into a field; the field then shows what was understood."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from decimal import Decimal
from typing import Final

from financing.errors import Invalid
from financing.values.money import to_minor
from financing.values.times import parse_date

_AMOUNT: Final = re.compile(
    r"(?:¥|CNY|RMB|[A-Z]{3})?([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(\.[0-9]+)?(万|亿)?元?"
)
_UNITS: Final = {None: 1, "万": 10_000, "亿": 100_000_000}
_DATE: Final = re.compile(r"([0-9]{4})(?:-|/|年)([0-9]{1,2})(?:-|/|月)([0-9]{1,2})日?")
_COMPACT: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")


def typed_minor(text: str, currency: str) -> int:
    """An amount in major units as typed: `450000`, `450,000.00`, `45万`, full-width digits.

    Raises:
        Invalid: not an amount, or more digits after the point than the currency has.
    """
    plain = unicodedata.normalize("NFKC", text).upper().strip()
    found = _AMOUNT.fullmatch(plain)
    if found is None:
        raise Invalid(f"{text[:40]!r} is not an amount", remedy="write it as 450000 or 450,000.00")
    whole, part, unit = found.groups()
    value = Decimal(whole.replace(",", "") + (part or "")) * _UNITS[unit]
    return to_minor(value, currency)


def typed_date(text: str) -> date:
    """A civil date as typed: `2026-03-05`, `20260305`, `2026年3月5日`.

    Raises:
        Invalid: another form, or a day that does not exist.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    found = _COMPACT.fullmatch(plain) or _DATE.fullmatch(plain)
    if found is None:
        raise Invalid(f"{text[:40]!r} is not a date", remedy="write it as 2026-03-05")
    year, month, day = found.groups()
    return parse_date(f"{year}-{month:0>2}-{day:0>2}")
